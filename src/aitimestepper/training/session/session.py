"""A training as the command line starts it: systems, network, run directory and observers from one configuration."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aitimestepper.config.keywords import configured, takes_keys_of
from aitimestepper.config.schema import Config
from aitimestepper.errors import InputError
from aitimestepper.names import (
    ACCEPTED_FILE,
    CONFIG_FILE,
    METRICS_FILE,
    MODEL_FILE,
    RESUME_FILE,
    STEPS_FILE,
    SYSTEMS_FILE,
)
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.sets import all_of_training
from aitimestepper.training.session.building import build_training
from aitimestepper.training.session.directory import begun, taken_up
from aitimestepper.training.session.epochs import one_thread
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
from aitimestepper.training.session.scope import scope_of, systems_in_words
from aitimestepper.training.session.systems import (
    Systems,
    is_own,
    passed_systems,
    torch_device,
)
from aitimestepper.training.steps import ranks

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
        n_systems: that it began with.
        interrupted: whether Ctrl-C ended it.
        summary: the last epoch's numbers, convergence_rate and total_time.
    """

    run_dir: Path
    model_path: Path
    epochs_completed: int
    n_systems: int
    interrupted: bool
    summary: dict[str, Any]


@takes_keys_of("train", "ic", "systems", "json")
def train(
    systems: Systems = None,
    config: Config | None = None,
    *,
    resume: Path | None = None,
    observers: Sequence[Observer] = (),
    **keys: Any,
) -> TrainingOutcome:
    """Train a stepper: `train("kepler:e=0.9", epochs=200, save_name="first")`.

    Everything is left in `runs_dir/save_name`.

    Args:
        systems: `InitialConditions`, the name of a system with its options, a file, or a folder of files; or several of
            them, with equal numbers of bodies and dimensions. None for those that the configuration names or draws.
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
    config = configured(config, keys)
    run_dir = Path(config.runs_dir) / config.save_name if resume is None else Path(resume)
    if resume is not None and systems is not None:
        raise InputError("a training that is resumed goes on with its own systems: leave out those that were passed")
    given, config = passed_systems(systems, config, run_dir)
    with one_thread(), ranks.processes(torch_device(config)), ExitStack() as held:
        return _train(config, given, run_dir, resume is not None, observers, held)


def _train(
    config: Config,
    given: list[InitialConditions] | None,
    run_dir: Path,
    resume: bool,
    observers: Sequence[Observer],
    held: ExitStack,
) -> TrainingOutcome:
    if resume:
        ranks.by_first(lambda: taken_up(run_dir, held))
    contents = read_resume(run_dir / RESUME_FILE) if resume else None
    if contents is not None:
        kept = config_of(contents)
        config = kept.replace(**{key: value for key, value in config.explicit().items() if key in RESUMABLE})
        given = _begun_with(run_dir, config) if is_own(config) else None
    else:
        _check_texts(config)
    state = build_training(config, given)
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
    about = {"scope": scope, "ic": systems_in_words(config, len(state.systems)), "seed": config.seed}
    result = run_training(state, config, save_dir=run_dir, observers=watching, about=about)
    summary = {**result["final_metrics"], "total_time": result["total_time"]}
    summary["convergence_rate"] = result["convergence_rate"]
    return TrainingOutcome(
        run_dir=run_dir,
        model_path=run_dir / MODEL_FILE,
        epochs_completed=result["epochs_completed"],
        n_systems=len(state.systems),
        interrupted=bool(result["interrupted"]),
        summary=summary,
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


def _begun_with(run_dir: Path, config: Config) -> list[InitialConditions]:
    """The systems that a training began with, whatever has become of the files that named them."""
    return all_of_training(run_dir / SYSTEMS_FILE, G=config.G)


def _metrics_observers(run_dir: Path, config: Config, *, resumed_at: int) -> list[Observer]:
    found: list[Observer] = [JsonLines(run_dir / METRICS_FILE, config.log_every, resumed_at=resumed_at)]
    if config.log_steps:
        found.append(AcceptedSteps(run_dir / ACCEPTED_FILE, resumed_at=resumed_at))
    if config.tensorboard:
        settings = (run_dir / CONFIG_FILE).read_text(encoding="utf-8")
        found.append(TensorBoard(run_dir / "tensorboard", config.log_every, resumed_at=resumed_at, settings=settings))
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
