"""Several systems at once: named, in files, in the files of a folder, or all of a training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from aitimestepper.errors import InitialConditionsError
from aitimestepper.names import SYSTEMS_FILE
from aitimestepper.systems.catalogue import initial_conditions, prepared
from aitimestepper.systems.files import check_gravity
from aitimestepper.systems.initial import InitialConditions, agreed_softening
from aitimestepper.systems.trainings import read_training_systems


def is_set(spec: str) -> bool:
    """Whether a specification is a folder, which may hold several systems."""
    return Path(spec).is_dir()


def systems_named(
    specs: Sequence[str], *, G: float = 1.0, softening: float | None = None, seed: int = 0
) -> list[InitialConditions]:
    """The systems of specifications as `initial_conditions` takes them, and of folders, in the order given.

    Of a folder all files count, by name, but for those whose name begins with a point; of the run directory of a
    training all systems that it began with.

    Args:
        specs: one or more.
        G, softening, seed: as for `initial_conditions`.

    Raises:
        InitialConditionsError: as for `initial_conditions`; or a folder has no files.
    """
    found: list[InitialConditions] = []
    for spec in specs:
        if not is_set(spec):
            found.append(initial_conditions(spec, G=G, softening=softening, seed=seed))
        elif (Path(spec) / SYSTEMS_FILE).is_file():
            found += all_of_training(Path(spec) / SYSTEMS_FILE, G=G, softening=softening)
        else:
            found += [initial_conditions(str(file), G=G, softening=softening) for file in _files_in(Path(spec))]
    return found


def all_of_training(path: Path, *, G: float = 1.0, softening: float | None = None) -> list[InitialConditions]:
    """All systems that a training began with, from the `initial_conditions.npz` of its run directory.

    Raises:
        InitialConditionsError: the file cannot be read, or is of another G or softening.
    """
    try:
        found = read_training_systems(path)
        check_gravity(found[0].G, G)
        agreed_softening(found[0].system, softening)
    except InitialConditionsError as error:
        raise InitialConditionsError(f"cannot read the initial conditions {path}: {error}") from None
    except OSError as error:
        raise InitialConditionsError(f"cannot read the initial conditions {path}: {error.strerror or error}") from None
    return [prepared(one.system, G=G, softening=softening) for one in found]


def check_alike(systems: Sequence[InitialConditions]) -> None:
    """Refuse systems that cannot be advanced side by side as one batch.

    Raises:
        InitialConditionsError: they differ in bodies, dimensions or softening; or one has no forces.
    """
    for what, values in (
        ("bodies", [system.n_bodies for system in systems]),
        ("dimensions", [system.n_dims for system in systems]),
    ):
        if len(set(values)) > 1:
            counts = ", ".join(f"{count} with {value}" for value, count in sorted(Counter(values).items()))
            raise InitialConditionsError(
                f"systems of one training must have equal numbers of {what}, and of these {len(systems)} there are "
                f"{counts}: train on each kind by itself"
            )
    lengths = sorted({system.softening for system in systems})
    if len(lengths) > 1:
        raise InitialConditionsError(f"systems of one training must share a softening, and these have {lengths}")
    free = [number for number, system in enumerate(systems) if system.is_free]
    if free:
        which = f" (system {free[0]}, counting from 0, has none)" if len(systems) > 1 else ""
        raise InitialConditionsError(f"a training needs two bodies that attract each other{which}")


def _files_in(folder: Path) -> list[Path]:
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise InitialConditionsError(f"cannot read the folder {folder}: {error.strerror}") from None
    if not files:
        raise InitialConditionsError(f"there are no files in the folder {folder}")
    return files
