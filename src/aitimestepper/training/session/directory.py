"""The directory of a training: made whole, and of one process at a time."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import tomli_w

from aitimestepper.config.schema import Config, fields_of
from aitimestepper.errors import OutputError, OutputExistsError
from aitimestepper.names import (
    ACCEPTED_FILE,
    CONFIG_FILE,
    METRICS_FILE,
    MODEL_FILE,
    RESUME_FILE,
    STEPS_FILE,
    SYSTEMS_FILE,
)
from aitimestepper.outputs import Reservation
from aitimestepper.processes import is_temporary, temporary_for
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.trainings import write_training_systems

CHECKPOINTS = "checkpoints"

_KEPT = (CONFIG_FILE, SYSTEMS_FILE, METRICS_FILE, STEPS_FILE, ACCEPTED_FILE, RESUME_FILE, MODEL_FILE)
"""What makes a checkpoint a run directory by itself."""

_BEFORE_A_CHECKPOINT = {CONFIG_FILE, SYSTEMS_FILE, METRICS_FILE, STEPS_FILE, ACCEPTED_FILE, "tensorboard", "wandb"}
"""What may be in a run directory that has no checkpoint."""


def begun(run_dir: Path, config: Config, systems: Sequence[InitialConditions], held: ExitStack) -> None:
    """Make a run directory with the configuration as used and the initial conditions.

    It takes the place of one that a training left before its first checkpoint.

    Args:
        run_dir: where; with `overwrite` it may be there already.
        config: of the training.
        systems: as `write_training_systems` takes them.
        held: keeps other processes from training here until it is closed.

    Raises:
        OutputExistsError: it exists, and `overwrite` is not set, or it is no run directory; another process trains
            there.
        OutputError: it cannot be made.
    """
    try:
        run_dir.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporary_for(run_dir)
        try:
            temporary.mkdir()
            _fill(temporary, config, systems)
            taken_up(temporary, held)
            _make_room(run_dir, config.overwrite)
            os.rename(temporary, run_dir)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except OSError as error:
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY) and run_dir.is_dir():  # another process was faster
            raise _exists(run_dir) from None
        raise OutputError(f"cannot create the run directory {run_dir}: {error.strerror}") from None


def taken_up(run_dir: Path, held: ExitStack) -> None:
    """Keep other processes from training in a run directory until `held` is closed.

    Raises:
        OutputExistsError: one does.
    """
    if (run_dir / CONFIG_FILE).is_file():
        try:
            held.enter_context(Reservation.of_existing(run_dir / CONFIG_FILE))
        except OutputExistsError:
            raise OutputExistsError(f"another process trains in {run_dir}: wait for its end") from None


def keep_checkpoint(run_dir: Path, epoch: int, count: int) -> None:
    """Give the newest checkpoint a directory of its own beside the last ones, and remove all but `count` of them.

    Each is a run directory: it can be resumed, and simulated with. One alone is that of the run itself.

    Raises:
        OutputError: it cannot be written.
    """
    if count == 1:
        return
    kept = run_dir / CHECKPOINTS / f"epoch-{epoch:05d}"
    try:
        kept.parent.mkdir(exist_ok=True)
        temporary = temporary_for(kept)
        try:
            temporary.mkdir()
            for name in _KEPT:
                if (run_dir / name).is_file():
                    shutil.copyfile(run_dir / name, temporary / name)
            shutil.rmtree(kept, ignore_errors=True)
            temporary.rename(kept)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        numbers = {int(path.name[6:]): path for path in kept.parent.glob("epoch-*") if path.name[6:].isdecimal()}
        for number in sorted(numbers)[:-count]:
            shutil.rmtree(numbers[number])
    except OSError as error:
        raise OutputError(f"cannot write {kept}: {error.strerror}") from None


def _fill(directory: Path, config: Config, systems: Sequence[InitialConditions]) -> None:
    # Without keys that follow another one: they are to follow it where the file is used again, too.
    following = {name for name, field in Config.model_fields.items() if field.default_factory is not None}
    following -= config.model_fields_set
    settings = config.model_dump(by_alias=True, exclude_none=True, mode="json", exclude=following)
    settings |= {key: 0 for key in ("max_retrain_iterations", "replay_patience") if getattr(config, key) is None}
    used = {key: value for key, value in settings.items() if key in fields_of("train")}
    (directory / CONFIG_FILE).write_text(tomli_w.dumps(used), encoding="utf-8")
    softening = systems[0].softening or config.softening
    write_training_systems(directory / SYSTEMS_FILE, systems, G=config.G, softening=softening)


def _make_room(run_dir: Path, overwrite: bool) -> None:
    """Remove what may be replaced."""
    if not os.path.lexists(run_dir):
        return
    with ExitStack() as held:
        # What a training left before its first checkpoint is of no use: the same command simply begins anew.
        if not _is_before_a_checkpoint(run_dir):
            if not overwrite:
                raise _exists(run_dir)
            if not (run_dir / CONFIG_FILE).is_file():
                raise OutputExistsError(f"{run_dir} is not a run directory, so overwrite does not replace it")
        taken_up(run_dir, held)
        shutil.rmtree(run_dir)


def _is_before_a_checkpoint(run_dir: Path) -> bool:
    if not run_dir.is_dir() or run_dir.is_symlink():
        return False
    names = {path.name for path in run_dir.iterdir() if not is_temporary(path)}
    return names <= _BEFORE_A_CHECKPOINT and (not names or CONFIG_FILE in names)


def _exists(run_dir: Path) -> OutputExistsError:
    return OutputExistsError(
        f"{run_dir} exists already: choose another save_name, resume it, or set overwrite to replace it"
    )
