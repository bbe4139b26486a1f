"""The keys of a training, in groups."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from aitimestepper.config.keys import KeyGroup
from aitimestepper.names import Activation, Command, Draw, Dtype, FeatureType, NormMode, Optimiser, OutputScale

_TRAIN: tuple[Command, ...] = ("train",)


class TrainingSystemKeys(KeyGroup):
    """Training systems (without --ic)"""

    commands = _TRAIN
    draw: Draw = Field(
        "orbits", description="orbits of two bodies (random systems of more), or mixed: systems of every kind"
    )
    redraw_every: int = Field(0, ge=0, description="epochs after which new systems are drawn; 0: never")
    num_particles: int = Field(2, ge=2, description="bodies of each training system; 2 draws orbits")
    dim: int = Field(2, ge=2, le=3, description="dimensions of the training systems")
    num_orbits: int = Field(32, ge=1, description="training systems that are advanced side by side")
    e_min: float = Field(0.0, ge=0, lt=1, description="smallest eccentricity of the training orbits")
    e_max: float = Field(0.95, ge=0, lt=1, description="largest eccentricity of the training orbits")
    a_min: float = Field(1.0, gt=0, description="smallest semi-major axis of the training orbits")
    a_max: float = Field(1.0, gt=0, description="largest semi-major axis of the training orbits")
    stop_at_period: bool = Field(False, description="end the training when every system has covered one period")


class PartOneKeys(KeyGroup):
    """Part 1, collecting"""

    commands = _TRAIN
    epochs: int = Field(1000, ge=1, description="epochs of collecting and generalising")
    steps_per_epoch: int = Field(1, ge=1, description="accepted steps in each epoch")
    energy_threshold: float = Field(
        2e-4, gt=0, description="relative energy error that a step must stay below; the one number that sets the steps"
    )
    E_upper: float = Field(
        default_factory=lambda keys: 0.75 * keys.get("energy_threshold", 1.0),
        gt=0,
        description="upper edge of the band that the energy error is driven to, < energy_threshold (default: three "
        "quarters of energy_threshold)",
    )
    E_lower: float = Field(
        default_factory=lambda keys: keys.get("E_upper", 1.0) / 3.0,
        gt=0,
        description="lower edge of that band (default: a third of E_upper, a quarter of energy_threshold)",
    )
    L_lower: float | None = Field(None, gt=0, description="lower edge for the relative angular-momentum error")
    L_upper: float | None = Field(None, gt=0, description="upper edge for the relative angular-momentum error")
    max_step_fraction: float = Field(
        0.5, gt=0, description="largest step that is accepted, in units of the shortest pair time"
    )
    max_retrain_iterations: int | None = Field(  # most that was needed: see docs/training.md
        50_000, ge=0, description="retrain iterations on one state before the training fails; none or 0: no limit"
    )


class PartTwoKeys(KeyGroup):
    """Part 2, generalising"""

    commands = _TRAIN
    replay_steps: int = Field(1000, ge=0, description="most iterations of Part 2 in an epoch; 0 turns it off")
    replay_patience: int | None = Field(  # 10, and 128 below: measured in docs/training.md
        10, ge=0, description="iterations of Part 2 in which its loss must fall by a hundredth; none or 0: no limit"
    )
    replay_batch_size: int = Field(128, ge=1, description="accepted states in a minibatch")
    min_replay_size: int = Field(2, ge=1, description="accepted states below which Part 2 is skipped")
    replay_capacity: int = Field(10_000, ge=1, description="accepted states kept over the epochs, oldest out")
    min_replay_steps: int = Field(
        1,
        ge=0,
        description="iterations of Part 2 in an epoch even where every state passes: steps grow by them",
    )
    n_steps: int = Field(
        1, ge=1, description="steps of a rollout in Part 2, of which the largest error counts; most steps of a window"
    )
    window: float = Field(3.0, gt=0, description="orbital periods of a window (output_scale calibrated)")


class CheckKeys(KeyGroup):
    """Check on unseen systems"""

    commands = _TRAIN
    check_every: int = Field(
        10, ge=0, description="epochs between two looks at systems that are never trained on; 0: never"
    )
    held_out: float = Field(
        0.1, ge=0, le=0.9, description="part of the systems of --systems that is kept for these looks"
    )


class OptimiserKeys(KeyGroup):
    """Optimiser"""

    commands = _TRAIN
    optimizer: Optimiser = Field("adamw", description="what learns; with sgd Part 1 is not compiled")
    lr: float = Field(2e-3, gt=0, description="learning rate")
    lr_final: float | None = Field(
        None, gt=0, description="learning rate at the end, reached by half a cosine (default: as at the start)"
    )
    weight_decay: float = Field(
        0.0, ge=0, description="pull of the weights to zero: by itself (adamw), or as part of the gradient (adam, sgd)"
    )
    momentum: float = Field(0.9, ge=0, lt=1, description="part of the last step that sgd takes again")
    error_loss_weight: float = Field(
        0.0, ge=0, description="weight of the loss on the predicted energy error (second network output)"
    )


class FeatureKeys(KeyGroup):
    """Features"""

    commands = _TRAIN
    feature_type: FeatureType = Field("invariant", description="what the network sees of a state")
    history_len: int = Field(0, ge=0, description="past states that the network sees beside the current one")
    normalize_inputs: bool = Field(False, description="divide the features by scales of the initial state")
    norm_mode: NormMode = Field("auto", description="scales from the initial state, or the norm_ keys")
    norm_L0: float | None = Field(None, gt=0, description="length scale (norm_mode manual)")
    norm_V0: float | None = Field(None, gt=0, description="velocity scale (norm_mode manual)")
    norm_A0: float | None = Field(None, gt=0, description="acceleration scale (manual; default V0^2/L0)")
    norm_T0: float | None = Field(None, gt=0, description="time scale (manual; default L0/V0)")


class NetworkKeys(KeyGroup):
    """Network"""

    commands = _TRAIN
    hidden_dims: tuple[int, ...] = Field((64, 64), description="width of each hidden layer")
    activation: Activation = Field("tanh", description="activation of the hidden layers")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout rate in Part 2; the gate never sees it")
    fourier_dim: int = Field(0, ge=0, description="random Fourier frequencies before the first layer; 0 is off")
    fourier_scale: float = Field(1.0, gt=0, description="standard deviation of those frequencies")
    output_scale: OutputScale = Field(
        "physical",
        description="network output is dt, dt over the shortest pair time (any units), or calibrated: what a state's "
        "own step is multiplied by for a tolerance, which is drawn for each sample",
    )


class PrecisionKeys(KeyGroup):
    """Device and precision"""

    commands = _TRAIN
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$", description="auto, cpu, cuda, cuda:N or mps")
    dtype: Dtype = Field("float64", description="precision of states and weights")


class RecordKeys(KeyGroup):
    """Run directory and logging"""

    commands = _TRAIN
    save_name: str = Field(
        "run",
        pattern=r"^[^./\\\x00][^/\\\x00]*$",
        description="a name for the run directory in runs_dir, without slashes or a leading dot",
    )
    runs_dir: str = Field("runs", min_length=1, description="directory of all run directories")
    log_every: int = Field(1, ge=1, description="epochs between two records of the metrics")
    log_steps: bool = Field(False, description="keep every accepted step in accepted_steps.jsonl")
    checkpoint_every: int = Field(50, ge=1, description="epochs between two checkpoints; the last is always kept")
    keep_checkpoints: int = Field(
        1, ge=1, description="newest checkpoints to keep; above 1 each in a directory of its own, checkpoints/epoch-N"
    )
    tensorboard: bool = Field(True, description="write TensorBoard events")
    wandb: bool = Field(False, description="log to Weights & Biases")
    wandb_project: str = Field("aitimestepper", min_length=1, description="W&B project")
    wandb_mode: Literal["offline", "online"] = Field("offline", description="where W&B records go")
