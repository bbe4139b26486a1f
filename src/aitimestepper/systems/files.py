"""Initial conditions in files: tables, rows as .npy, HDF5 (also a recording's), REBOUND archives, trainings.

What is written is read back to the last bit.
"""

from __future__ import annotations

import json
import math
import tokenize
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from aitimestepper.errors import InitialConditionsError
from aitimestepper.hdf5 import DAMAGED, Content, opened
from aitimestepper.inputs import ARRAY, TABLE, check_size, content_of
from aitimestepper.names import ENSEMBLE_FORMAT, SYSTEMS_FILE
from aitimestepper.systems.archives import FIRST_BYTES, SUFFIXES, read_archive
from aitimestepper.systems.initial import InitialConditions, agreed_softening
from aitimestepper.systems.mergers import holders, masses_after, radii_after
from aitimestepper.systems.sources import SOURCES
from aitimestepper.systems.tables import bodies_from_rows, bodies_from_text
from aitimestepper.systems.trainings import read_training_system
from aitimestepper.systems.units import Units


def read_initial_conditions(
    path: Path | str, *, G: float = 1.0, softening: float | None = None, number: int | None = None
) -> InitialConditions:
    """Read bodies from a file, whose kind follows from its suffix, and otherwise from its first bytes.

    Args:
        path: .npy, .h5, .bin, .rebound, .archive, or a table with any other suffix or none; of several frames the last
            one is taken. The run directory of a training, or `initial_conditions.npz` in it, is the system that it
            began with.
        G: gravitational constant of the run that asks. A file that was made with another one is refused.
        softening: of the run that asks; None for that of the file. A file that was made with another one is refused.
        number: which of the systems of a training, counted from 0; None where there is but one.

    Raises:
        InitialConditionsError: names the file, what is wrong in it, and the line if it has lines.
    """
    path = Path(path)
    if (path / SYSTEMS_FILE).exists():
        path = path / SYSTEMS_FILE
    try:
        if path.exists() and not path.is_file():
            raise InitialConditionsError("it is not a regular file, nor the run directory of a training")
        if path.suffix.lower() == TRAINING_SUFFIX:
            found = read_training_system(path, number)
            check_gravity(found.G, G)
            system = found.system
        elif number is not None:
            raise InitialConditionsError(f"only a training has several systems: leave :system={number} out")
        else:
            system = _reader_of(path)(path, G)
        agreed_softening(system, softening)
        return system
    except InitialConditionsError as error:
        raise InitialConditionsError(f"cannot read the initial conditions {path}: {error}") from None
    except OSError as error:
        reason = error.strerror or error
        raise InitialConditionsError(f"cannot read the initial conditions {path}: {reason}") from None


# --- readers: (path, G) -> bodies -------------------------------------------------------------------------------


def text_in(path: Path) -> str:
    """The text of a table.

    Raises:
        InitialConditionsError: it is no text.
        OSError: it cannot be read, or is too large.
    """
    try:
        return content_of(path, TABLE).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InitialConditionsError("it is not a text file in UTF-8") from None


def _read_text(path: Path, G: float) -> InitialConditions:
    return bodies_from_text(text_in(path))


def array_in(path: Path) -> np.ndarray[Any, Any]:
    """The array of a .npy file.

    Raises:
        InitialConditionsError: it is none of plain numbers.
        OSError: it cannot be read, or is too large.
    """
    check_size(path, ARRAY)
    try:
        # Mapped, so that a header which promises more than the file holds is refused before memory is taken.
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, SyntaxError, tokenize.TokenError, OverflowError, MemoryError):
        raise InitialConditionsError("it is not a NumPy array of plain numbers") from None
    if not isinstance(rows, np.ndarray):
        raise InitialConditionsError("it is a NumPy archive of several arrays, not one array")
    return rows


def _read_npy(path: Path, G: float) -> InitialConditions:
    return bodies_from_rows(array_in(path))


def _read_hdf5(path: Path, G: float) -> InitialConditions:
    try:
        with opened(path) as file:
            if file.attrs.get("format") == ENSEMBLE_FORMAT:
                raise InitialConditionsError(_about_ensemble(file))
            _check_shapes(file)
            units = Units.from_text(" ".join(_texts(file, "units")))
            if units is None or not math.isclose(_scalar(file, "G", G), units.G, rel_tol=1e-9):
                check_gravity(_scalar(file, "G", G), G)
            system = InitialConditions(
                mass=_last_frame(file, "mass", rank=1),
                position=_last_frame(file, "position", rank=2),
                velocity=_last_frame(file, "velocity", rank=2),
                period=_scalar(file, "period", 0.0),
                time=_scalar(file, "time", 0.0),
                names=_texts(file, "names"),
                note=" ".join(_texts(file, "note")),
                softening=_scalar(file, "softening", 0.0),
                units=units,
                radius=file["radius"][()] if "radius" in file else np.zeros(()),
            )
            return _after(system, *_mergers_before_last_frame(file))
    except InitialConditionsError:
        raise
    except DAMAGED as error:
        raise InitialConditionsError(f"it is not a readable HDF5 file ({error})") from None


def _about_ensemble(file: Content) -> str:
    """Why the file of an ensemble is no system, and how to get at one of its members."""
    spec = str(json.loads(file.attrs["settings"]).get("ic") or "")
    text = f"it is an ensemble of {json.loads(file['summary'][()])['count']:,} members, which holds their ends alone"
    source = SOURCES.get(spec.partition(":")[0])
    if source is None or all(option.name != "seed" for option in source.options):
        return f"{text}: read them with EnsembleResult.load(path), its mass, position and velocity"
    return f"{text}: draw a member anew by its seed, as {spec}{',' if ':' in spec else ':'}seed=K"


def _after(system: InitialConditions, survivor: Sequence[int], other: Sequence[int]) -> InitialConditions:
    """What mergers, as for `holders`, have left of bodies that go on at one place."""
    if not survivor:
        return system
    there = np.flatnonzero(holders(system.n_bodies, survivor, other) == np.arange(system.n_bodies))
    return replace(
        system,
        mass=masses_after(system.mass, survivor, other)[there],
        position=system.position[there],
        velocity=system.velocity[there],
        names=tuple(system.names[body] for body in there) if system.names else (),
        radius=radii_after(system.radius, survivor, other)[there],
    )


def _mergers_before_last_frame(file: Content) -> tuple[Sequence[int], Sequence[int]]:
    """Numbers of the bodies that became one in a recording: of those that went on, and of those that went into them."""
    if "mergers/time" not in file:
        return (), ()
    count, times, row = int(json.loads(file["summary"][()])["merged"]), file["time"], _last_row(file)
    done = np.abs(file["mergers/time"][:count] - times[0]) <= abs(times[row] - times[0])
    survivor, other = (file[f"mergers/{name}"][:count][done].tolist() for name in ("survivor", "other"))
    if not {*survivor, *other} <= set(range(file["mass"].shape[0])):
        raise InitialConditionsError("its mergers are of bodies that are not there")
    return survivor, other


def _check_shapes(file: Content) -> None:
    """Compare the numbers of bodies before any of them is read."""
    shapes = [_dataset(file, name).shape for name in ("mass", "position", "velocity")]
    bodies = {shape[-1 - is_vector :][:1] for shape, is_vector in zip(shapes, (0, 1, 1), strict=True)}
    if len(bodies) > 1:
        raise InitialConditionsError(f"mass, position and velocity in it, of shapes {shapes}, do not fit")


def _last_row(file: Content) -> int:
    """Index of the last frame. A recording says how many it has; a killed run may leave half a block behind them."""
    return int(json.loads(file["summary"][()])["frames"]) - 1 if "summary" in file else -1


def _dataset(file: Content, name: str) -> Any:
    if name not in file:
        raise InitialConditionsError(f"there is no dataset {name!r} in it; mass, position and velocity are needed")
    return file[name]


def _last_frame(file: Content, name: str, *, rank: int) -> Any:
    """The dataset, or its last frame if it has one more axis, that of the times."""
    dataset = _dataset(file, name)
    if dataset.ndim == rank + 1 and len(dataset):
        return dataset[_last_row(file)]
    return dataset[()]


def _stored(file: Content, name: str) -> Any:
    """The dataset or the attribute of that name, None if there is neither."""
    return file[name][()] if name in file else file.attrs.get(name)


def _scalar(file: Content, name: str, default: float) -> float:
    """A number, that of the last frame if there is one for each, or the default if there is none of that name."""
    value = _stored(file, name)
    if value is None or not np.size(value):
        return default
    try:
        return float(value[_last_row(file)] if np.ndim(value) else value)
    except (TypeError, ValueError):
        raise InitialConditionsError(f"{name} in it must be a number") from None


def _texts(file: Content, name: str) -> tuple[str, ...]:
    if name in file and file[name].ndim:
        return file.texts(name)
    stored = _stored(file, name)
    if stored is None:
        return ()
    return tuple(text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text) for text in np.ravel(stored))


def _read_archive(path: Path, G: float) -> InitialConditions:
    bodies = read_archive(path)
    check_gravity(bodies.G, G)
    return InitialConditions(
        mass=bodies.mass,
        position=bodies.position,
        velocity=bodies.velocity,
        time=bodies.time,
        names=bodies.names,
        note="; ".join(bodies.remarks),
        softening=bodies.softening,
        radius=bodies.radius,
    )


def check_gravity(found: float, asked: float) -> None:
    """Refuse the G of a file that is not the one of the run that asks."""
    if not math.isclose(found, asked, rel_tol=1e-12):
        raise InitialConditionsError(f"it was made with G = {found!r}, not {asked!r}: pass --G {found!r}")


TRAINING_SUFFIX = Path(SYSTEMS_FILE).suffix

Reader = Callable[[Path, float], InitialConditions]

_READERS: dict[str, Reader] = {
    ".txt": _read_text,
    ".csv": _read_text,
    ".npy": _read_npy,
    ".h5": _read_hdf5,
    ".hdf5": _read_hdf5,
    **dict.fromkeys(SUFFIXES, _read_archive),
}

_READERS_BY_FIRST_BYTES: dict[bytes, Reader] = {
    b"\x93NUMPY": _read_npy,
    b"\x89HDF\r\n\x1a\n": _read_hdf5,
    FIRST_BYTES: _read_archive,
}


def _reader_of(path: Path) -> Reader:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        with path.open("rb") as stream:
            start = stream.read(32)
        reader = next((known for mark, known in _READERS_BY_FIRST_BYTES.items() if start.startswith(mark)), None)
    if reader is None and b"\0" not in start:
        return _read_text
    if reader is None:
        raise InitialConditionsError(
            f"its kind is not known; the suffix must be one of {', '.join((*_READERS, TRAINING_SUFFIX))}"
        )
    return reader
