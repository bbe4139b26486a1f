"""A training as the command line starts it: systems, network, run directory and observers from one configuration."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.optim import SGD, Adam, AdamW

from aitimestepper.config.keywords import configured, takes_keys_of, with_system
from aitimestepper.config.schema import Config
from aitimestepper.errors import InputError
from aitimestepper.features.scales import NormScales
from aitimestepper.model.adapter import ModelAdapter
from aitimestepper.model.batches import stack_particles
from aitimestepper.model.loading import build_network
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.names import ACCEPTED_FILE, METRICS_FILE, MODEL_FILE, RESUME_FILE, STEPS_FILE
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.mixture import MOST_BODIES, mixed_system
from aitimestepper.training.session.directory import begun, taken_up
from aitimestepper.training.session.epochs import TrainingState, one_thread
from aitimestepper.training.session.observers import (
    AcceptedSteps,
    JsonLines,
    Observer,
    TensorBoard,
    WeightsAndBiases,
    require_wandb,
)
from aitimestepper.training.session.orbit_steps import OrbitSteps
from aitimestepper.training.session.resume import config_of, read_resume, restore
from aitimestepper.training.session.run import run_training
from aitimestepper.training.session.scope import scope_of
from aitimestepper.training.session.systems import drawn_systems, external_field, particle_of, torch_device
from aitimestepper.training.steps import ranks
from aitimestepper.training.steps.learned import Learned
from aitimestepper.training.steps.single_step import SingleSteps
from aitimestepper.training.steps.trajectory import ReplayMemory
from aitimestepper.training.windows.measuring import batch_of
from aitimestepper.training.windows.windows import Windows

_MEASURED = 10_000
"""Systems from which the ranges of the description are taken."""

RESUMABLE = frozenset(
    {
        "epochs",
        "log_every",
        "log_steps",
        "checkpoint_every",
        "keep_checkpoints",
        "tensorboard",
        "wandb",
        "wandb_project",
        "wandb_mode",
    }
)
"""Keys that may change when a training is taken up again: none of them changes what an epoch does."""


@dataclass(frozen=True)
class TrainingOutcome:
    """What a training left behind.

    Attributes:
        run_dir: the run directory.
        model_path: the model file in it.
        epochs_completed: of this run, earlier sessions included.
        interrupted: whether Ctrl-C ended it.
        summary: the last epoch's numbers, convergence_rate and total_time.
    """

    run_dir: Path
    model_path: Path
    epochs_completed: int
    interrupted: bool
    summary: dict[str, Any]


@takes_keys_of("train", "ic", "json")
def train(
    systems: str | None = None,
    config: Config | None = None,
    *,
    resume: Path | None = None,
    observers: Sequence[Observer] = (),
    **keys: Any,
) -> TrainingOutcome:
    """Train a stepper: `train("kepler:e=0.9", epochs=200, save_name="first")`.

    Everything is left in `runs_dir/save_name`.

    Args:
        systems: the name of a system with its options, or a file, as `ic` of a configuration; None for those that the
            configuration draws.
        config: settings that several trainings share.
        keys: settings, over those of `config`; with `resume` only those of `RESUMABLE` count, the others come from the
            checkpoint.
        resume: run directory of a training to take up again.
        observers: told of steps and epochs, beside the metrics files.

    Raises:
        OutputExistsError: the run directory exists with a checkpoint, and neither `overwrite` nor `resume` is given; or
            another process trains in it.
        InputError: something that was asked for cannot be done.
        RunError: the training itself failed; the checkpoint of the last complete epoch is kept.
    """
    config = with_system(configured(config, keys), systems)
    with one_thread(), ranks.processes(torch_device(config)), ExitStack() as held:
        return _train(config, resume, observers, held)


def _train(config: Config, resume: Path | None, observers: Sequence[Observer], held: ExitStack) -> TrainingOutcome:
    run_dir = Path(config.runs_dir) / config.save_name if resume is None else Path(resume)
    if resume is not None:
        ranks.by_first(lambda: taken_up(run_dir, held))
    contents = None if resume is None else read_resume(run_dir / RESUME_FILE)
    if contents is not None:
        kept = config_of(contents)
        config = kept.replace(**{key: value for key, value in config.explicit().items() if key in RESUMABLE})
    else:
        _check_texts(config)
    state = build_training(config)
    if config.wandb:
        require_wandb()  # before the run directory is made, which would be in the way of the next try
    if contents is None:
        ranks.by_first(lambda: begun(run_dir, config, state.systems, held))
    else:
        restore(state, contents, run_dir / RESUME_FILE)
    watching = [*observers]
    if ranks.rank() == 0:
        watching = [*_metrics_observers(run_dir, config, resumed_at=state.epoch), *observers]
        if config.output_scale != "calibrated":
            watching.append(OrbitSteps(run_dir / STEPS_FILE, state, config))
    scope = scope_of(state.systems, config)
    for observer in observers:
        observer.begin(scope)
    about = {"scope": scope, "ic": config.ic or f"{config.num_orbits} drawn systems", "seed": config.seed}
    result = run_training(state, config, save_dir=run_dir, observers=watching, about=about)
    summary = {**result["final_metrics"], "total_time": result["total_time"]}
    summary["convergence_rate"] = result["convergence_rate"]
    return TrainingOutcome(
        run_dir, run_dir / MODEL_FILE, result["epochs_completed"], bool(result["interrupted"]), summary
    )


def _check_texts(config: Config) -> None:
    """Refuse what the files of a training, which are in UTF-8, cannot say.

    Raises:
        InputError: the name of a file has other bytes.
    """
    for key, value in config.explicit().items():
        if isinstance(value, str) and not value.isascii():
            try:
                value.encode()
            except UnicodeEncodeError:
                raise InputError(f"{key} = {value!r} is not in UTF-8, as the configuration of a training is") from None


def build_training(config: Config) -> TrainingState:
    """Systems, adapter, network and optimiser of a configuration, before the first epoch.

    Raises:
        InputError: the systems cannot be judged, or several processes cannot share this training.
    """
    build = _build_windows if config.output_scale == "calibrated" else _build_single_steps
    return build(config, torch.Generator().manual_seed(config.seed))


def _build_single_steps(config: Config, generator: torch.Generator) -> TrainingState:
    _refuse_processes(config.ic is not None)
    device = torch_device(config)
    systems = drawn_systems(config)
    particle = _batch_of_equals(systems, config, device)
    adapter = ModelAdapter(config, device=device, dtype=particle.position.dtype)
    learned = SingleSteps(config, adapter)
    learned.check(particle)
    # The features are built once here, so that their scales are those of the initial state.
    model = build_network(config, adapter.build_feature_tensor(particle).shape[-1], generator).to(device)
    if ranks.count() > 1:
        learned.scales = ranks.gathered(learned.scales)[0] or NormScales()
        ranks.share_weights(model)
        if ranks.rank() > 0:
            generator.manual_seed(int(np.random.SeedSequence(ranks.seed_of(config.seed)).generate_state(1)[0]))
    state = _before_the_first_epoch(config, model, particle, learned, generator, systems)
    state.history = adapter.history_buffer
    return state


def _build_windows(config: Config, generator: torch.Generator) -> TrainingState:
    _refuse_processes(True)
    learned = Windows(config, generator)
    rng = np.random.default_rng([config.seed, 0])
    learned.measure([mixed_system(rng) for _ in range(_MEASURED)])

    def draw(epoch: int) -> list[InitialConditions]:
        rng = np.random.default_rng([config.seed, epoch])
        return [mixed_system(rng) for _ in range(config.num_orbits)]

    systems = draw(1)
    particle = batch_of(systems, MOST_BODIES, config)
    state = _before_the_first_epoch(config, learned.network(), particle, learned, generator, systems)
    state.redraw = lambda epoch: batch_of(draw(epoch), MOST_BODIES, config)
    return state


def _refuse_processes(condition: bool) -> None:
    if condition and ranks.count() > 1:
        raise InputError(
            "several processes train on systems of their own, so they need drawn ones (no ic); and calibrated "
            "weights are trained in one process, which uses all cores"
        )


def _before_the_first_epoch(
    config: Config,
    model: torch.nn.Module,
    particle: ParticleTorch,
    learned: Learned[Any],
    generator: torch.Generator,
    systems: list[InitialConditions],
) -> TrainingState:
    return TrainingState(
        model=model,
        optimizer=_optimiser(model, config),
        initial=particle.clone_detached(),
        particle=particle,
        learned=learned,
        generator=generator,
        replay=ReplayMemory(config.replay_capacity),
        systems=systems,
    )


def _optimiser(model: torch.nn.Module, config: Config) -> torch.optim.Optimizer:
    # Fused where torch can: for a small network the many small operations cost more than their arithmetic.
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in model.parameters())
    kind: type[torch.optim.Optimizer] = {"adamw": AdamW, "adam": Adam, "sgd": SGD}[config.optimizer]
    settings: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": fused}
    if kind is SGD:
        settings["momentum"] = config.momentum
    return kind(model.parameters(), **settings)


def training_systems(config: Config, device: torch.device | None = None) -> ParticleTorch:
    """The system that `ic` names, or a batch of drawn ones: orbits of two bodies, random systems of more."""
    return _batch_of_equals(drawn_systems(config), config, device)


def _batch_of_equals(systems: list[InitialConditions], config: Config, device: torch.device | None) -> ParticleTorch:
    field = external_field(config)
    if config.ic is not None:
        config = config.replace(softening=systems[0].softening)
    particles = [particle_of(system, config, field, device) for system in systems]
    return particles[0] if config.ic is not None else stack_particles(particles)


def _metrics_observers(run_dir: Path, config: Config, *, resumed_at: int) -> list[Observer]:
    found: list[Observer] = [JsonLines(run_dir / METRICS_FILE, config.log_every, resumed_at=resumed_at)]
    if config.log_steps:
        found.append(AcceptedSteps(run_dir / ACCEPTED_FILE, resumed_at=resumed_at))
    if config.tensorboard:
        found.append(TensorBoard(run_dir / "tensorboard", config.log_every, resumed_at=resumed_at))
    if config.wandb:
        found.append(
            WeightsAndBiases(
                run_dir / "wandb",
                config.model_dump(mode="json"),
                project=config.wandb_project,
                mode=config.wandb_mode,
                name=config.save_name,
                every=config.log_every,
            )
        )
    return found
