"""The keys of the configuration, in groups.

A field says its type, default, bounds and meaning once; the group that it stands in is its section in the help, and
`commands` of the group says which subcommands take it.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from aitimestepper.names import (
    COMMANDS,
    TIMESTEPS,
    Activation,
    Command,
    Draw,
    Dtype,
    FeatureType,
    Integrator,
    NormMode,
    Omega,
    OmegaWeight,
    OutputScale,
    ToleranceKind,
)

_TRAIN: tuple[Command, ...] = ("train",)
_SIMULATE: tuple[Command, ...] = ("simulate",)
_ENSEMBLE: tuple[Command, ...] = ("ensemble",)
_COMPARE: tuple[Command, ...] = ("compare",)
_RUN: tuple[Command, ...] = ("simulate", "ensemble")
_REPORT: tuple[Command, ...] = ("simulate", "ensemble", "compare")


class KeyGroup(BaseModel):
    """A group of keys; `commands` are the subcommands that take them."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False, defer_build=True)
    commands: ClassVar[tuple[Command, ...]] = COMMANDS


class PhysicsKeys(KeyGroup):
    """Physics"""

    G: float = Field(1.0, gt=0, description="gravitational constant in the user's units")
    softening: float = Field(0.0, ge=0, description="Plummer softening length, the same in force and energy")
    external_field_mass: float | None = Field(
        None, gt=0, description="mass of a distant point mass whose tide acts on the system"
    )
    external_field_position: tuple[float, ...] | None = Field(
        None, description="place of that point mass, as many numbers as dimensions"
    )


class SystemKeys(KeyGroup):
    """Initial conditions"""

    ic: str | None = Field(
        None,
        description="initial conditions: a name with options (kepler:e=0.6,a=1) or a file; see 'ic --list'",
        json_schema_extra={"metavar": "SPEC"},
    )


class TrainingSystemKeys(KeyGroup):
    """Training systems (without --ic)"""

    commands = _TRAIN
    draw: Draw = Field(
        "orbits", description="orbits of two bodies (random systems of more), or mixed: systems of every kind"
    )
    redraw_every: int = Field(0, ge=0, description="epochs after which new systems take their place; 0: never")
    num_particles: int = Field(2, ge=2, description="bodies of each training system; 2 draws orbits")
    dim: int = Field(2, ge=2, le=3, description="dimensions of the training systems")
    num_orbits: int = Field(1, ge=1, description="training systems that are advanced side by side")
    e_min: float = Field(0.0, ge=0, lt=1, description="smallest eccentricity of the training orbits")
    e_max: float = Field(0.9, ge=0, lt=1, description="largest eccentricity of the training orbits")
    a_min: float = Field(1.0, gt=0, description="smallest semi-major axis of the training orbits")
    a_max: float = Field(1.0, gt=0, description="largest semi-major axis of the training orbits")
    stop_at_period: bool = Field(False, description="end the training when every system has covered one period")


class PartOneKeys(KeyGroup):
    """Part 1, collecting"""

    commands = _TRAIN
    epochs: int = Field(1000, ge=1, description="epochs of collecting and generalising")
    steps_per_epoch: int = Field(1, ge=1, description="accepted steps in each epoch")
    energy_threshold: float = Field(2e-4, gt=0, description="relative energy error that a step must stay below")
    E_lower: float = Field(1e-6, gt=0, description="lower edge of the band that the energy error is driven to")
    E_upper: float = Field(1e-4, gt=0, description="upper edge of that band; must be < energy_threshold")
    L_lower: float | None = Field(None, gt=0, description="lower edge for the relative angular-momentum error")
    L_upper: float | None = Field(None, gt=0, description="upper edge for the relative angular-momentum error")
    max_step_fraction: float = Field(
        0.5, gt=0, description="largest step that is accepted, in units of the shortest pair time"
    )
    max_retrain_iterations: int | None = Field(
        None, ge=1, description="retrain iterations on one state before the run fails; none: no limit"
    )


class PartTwoKeys(KeyGroup):
    """Part 2, generalising"""

    commands = _TRAIN
    replay_steps: int = Field(1000, ge=0, description="most iterations of Part 2 in an epoch; 0 turns it off")
    replay_batch_size: int = Field(512, ge=1, description="accepted states in a minibatch")
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


class OptimiserKeys(KeyGroup):
    """Optimiser"""

    commands = _TRAIN
    lr: float = Field(1e-4, gt=0, description="learning rate of Adam")
    lr_final: float | None = Field(
        None, gt=0, description="learning rate at the end, reached by half a cosine (default: as at the start)"
    )
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")
    error_loss_weight: float = Field(
        0.0, ge=0, description="weight of the loss on the predicted energy error (second network output)"
    )


class FeatureKeys(KeyGroup):
    """Features"""

    commands = _TRAIN
    feature_type: FeatureType = Field("basic", description="what the network sees of a state")
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
        "absolute",
        description="network output is dt, dt over the shortest pair time (any units), or calibrated: what a state's "
        "own step is multiplied by for a tolerance, which is drawn for each sample",
    )


class PrecisionKeys(KeyGroup):
    """Device and precision"""

    commands = _TRAIN
    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$", description="auto, cpu, cuda, cuda:N or mps")
    dtype: Dtype = Field("float64", description="precision of states and weights")


class RuntimeKeys(KeyGroup):
    """Run"""

    seed: int = Field(0, ge=0, lt=2**63, description="seed of everything that is drawn")
    overwrite: bool = Field(False, description="replace outputs that exist")


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
    checkpoint_every: int = Field(50, ge=1, description="epochs between two checkpoints; the last is always kept")
    tensorboard: bool = Field(True, description="write TensorBoard events")
    wandb: bool = Field(False, description="log to Weights & Biases")
    wandb_project: str = Field("aitimestepper", min_length=1, description="W&B project")
    wandb_mode: Literal["offline", "online"] = Field("offline", description="where W&B records go")


class StepKeys(KeyGroup):
    """Time step"""

    commands = _RUN
    timestep: str | None = Field(
        None,
        description="how the step is chosen, or the name of a criterion of your own (default: learned)",
        json_schema_extra={"metavar": "{" + ",".join(TIMESTEPS) + "}"},
    )
    dt: float | None = Field(None, gt=0, description="the step of --timestep fixed")
    h: float | None = Field(
        None, gt=0, description="the fixed step of --integrator ttl, in the unit of Omega times time"
    )
    eta: float | None = Field(None, gt=0, description="step over the time scale of the criterion")
    tolerance: float | None = Field(
        None,
        gt=0,
        description="relative energy error wanted: of the whole run with calibrated weights, of one step with others "
        "(default: as trained); of a classical criterion, another way to set eta = tolerance^(1/order)",
    )
    tolerance_kind: ToleranceKind = Field(
        "run",
        description="calibrated weights: what is held to the tolerance, the run or each step; with none nothing is",
    )
    model: str | None = Field(
        None,
        description="weights of --timestep learned: a model file or a run directory (default: the calibrated weights "
        "that come with the package)",
        json_schema_extra={"metavar": "PATH"},
    )
    dt_min: float | None = Field(None, gt=0, description="shortest step in time; wanted steps below it become it")
    dt_max: float | None = Field(None, gt=0, description="longest step in time")
    reversible: bool | None = Field(
        None,
        description="choose variable steps the same both ways in time, which removes the drift of the energy "
        "(default: on, but for learned steps, whose network was trained on the steps that it predicts)",
    )
    guard: float | None = Field(
        None,
        ge=1e-15,
        description="relative energy error above which a step is undone and retried with a shorter one",
    )


class IntegratorKeys(KeyGroup):
    """Integrator"""

    commands = _RUN
    integrator: Integrator | None = Field(
        None,
        description="leapfrog, or ttl, the time-transformed leapfrog (default: ttl with calibrated steps)",
    )
    order: int | None = Field(
        None,
        ge=2,
        le=8,
        multiple_of=2,
        description="order 2, 4, 6 or 8: 1, 5, 9 or 17 force evaluations a step (default: for calibrated steps by the "
        "tolerance, else 2)",
    )
    omega: Omega = Field("pair-norm", description="what the time of ttl is transformed with")
    omega_q: float = Field(4.0, ge=1, le=64, description="power of pair-norm: (sum (w/r)^q)^(1/q)")
    omega_weight: OmegaWeight = Field("mass-sum", description="w of pair-norm and sum: m_i + m_j, or 1")


class SimulationKeys(KeyGroup):
    """Length of the run"""

    commands = _REPORT
    duration: float | None = Field(None, gt=0, description="time to simulate")
    periods: float | None = Field(None, gt=0, description="orbital periods to simulate")
    steps: int | None = Field(None, ge=1, description="steps to simulate")


class OutputKeys(KeyGroup):
    """Output"""

    commands = _REPORT
    output: str | None = Field(
        None,
        description="file for the result; a recording as .bin is a REBOUND archive",
        json_schema_extra={"metavar": "F.h5"},
    )
    json_summary: bool = Field(False, alias="json", description="print the result as one JSON object")


class FrameKeys(KeyGroup):
    """Which states are kept"""

    commands = _SIMULATE
    every: int | None = Field(
        None, ge=1, description="keep every N-th state (default: about 1,000 states, evenly over the run)"
    )
    samples: int | None = Field(
        None, ge=1, description="keep N states at exactly equal intervals of time, at a few more force evaluations"
    )
    step_history: bool = Field(False, description="keep time, step and energy of every step too")


class EnsembleKeys(KeyGroup):
    """Ensemble"""

    commands = _ENSEMBLE
    count: int = Field(100, ge=1, description="members; a system that is drawn gets the seeds seed, seed + 1, ...")
    threads: int | None = Field(None, ge=1, description="threads that integrate (default: one for each core)")
    scheduler: str | None = Field(
        None,
        description="address of a Dask scheduler, whose workers then integrate",
        json_schema_extra={"metavar": "ADDRESS"},
    )


class CompareKeys(KeyGroup):
    """Comparison"""

    commands = _COMPARE
    systems: tuple[str, ...] | None = Field(
        None,
        description="several initial conditions, in place of --ic, with spaces between them",
        json_schema_extra={"metavar": "SPEC"},
    )
    methods: tuple[str, ...] | None = Field(
        None,
        description="what is compared: INTEGRATOR[ORDER]:STEP[/OPTION], see the end of this help",
        json_schema_extra={"metavar": "METHOD"},
    )
    evaluations: tuple[int, ...] = Field(
        (3000, 10_000, 30_000), description="force evaluations that every method is tuned to spend on every system"
    )
    figure: str | None = Field(
        None, description="work-precision figure to draw (.png, .pdf or .svg)", json_schema_extra={"metavar": "F.png"}
    )
