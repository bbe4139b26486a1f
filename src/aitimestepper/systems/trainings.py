"""The systems that a training began with, as its run directory keeps them: all in one file, read one at a time."""

from __future__ import annotations

import io
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from aitimestepper.errors import InitialConditionsError
from aitimestepper.outputs import write_atomically
from aitimestepper.systems.initial import InitialConditions

LARGEST = 2**28
"""Bytes of the arrays together; chosen: three million pairs in a plane."""

_FORM = {
    "mass": ("f", 2),
    "position": ("f", 3),
    "velocity": ("f", 3),
    "n_bodies": ("i", 1),
    "n_dims": ("i", 1),
    "period": ("f", 1),
    "time": ("f", 1),
    "names": ("U", 2),
    "note": ("U", 1),
    "G": ("f", 0),
    "softening": ("f", 0),
}
"""Kind and number of axes of each array; the first axis is that of the systems, B."""


class TrainingSystem(NamedTuple):
    """One system of a training, and the gravitational constant of its units."""

    system: InitialConditions
    G: float


def write_training_systems(path: Path, systems: Sequence[InitialConditions], *, G: float, softening: float) -> None:
    """Write systems of one or of several sizes, completely or not at all.

    Raises:
        OutputError: the file cannot be written.
    """
    shape = (len(systems), max(s.n_bodies for s in systems), max(s.n_dims for s in systems))
    mass, position, velocity = np.zeros(shape[:2]), np.zeros(shape), np.zeros(shape)
    names = np.full(shape[:2], "", dtype=f"U{max((len(name) for s in systems for name in s.names), default=1)}")
    for row, system in enumerate(systems):
        n, dim = system.position.shape
        mass[row, :n] = system.mass
        position[row, :n, :dim], velocity[row, :n, :dim] = system.position, system.velocity
        names[row, : len(system.names)] = system.names
    arrays = {
        "mass": mass,
        "position": position,
        "velocity": velocity,
        "n_bodies": np.array([system.n_bodies for system in systems]),
        "n_dims": np.array([system.n_dims for system in systems]),
        "period": np.array([system.period for system in systems], dtype=np.float64),
        "time": np.array([system.time for system in systems], dtype=np.float64),
        "names": names,
        "note": np.array([system.note for system in systems]),
        "G": np.array(G, dtype=np.float64),
        "softening": np.array(softening, dtype=np.float64),
    }
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    write_atomically(path, buffer.getvalue())


def read_training_system(path: Path, number: int | None = None) -> TrainingSystem:
    """Read one of the systems, counted from 0; None where there is but one.

    Raises:
        InitialConditionsError: the file is damaged or foreign, or it has no such system, or several and none is chosen.
        OSError: the file cannot be read.
    """
    arrays = _arrays(path)
    count = _count(arrays)
    if number is None and count > 1:
        raise InitialConditionsError(
            f"a training has {count} systems in it: choose one, with :system=0 to :system={count - 1} behind the path"
        )
    if number is not None and number >= count:
        last = f" to system={count - 1}" if count > 1 else ""
        raise InitialConditionsError(f"there is no system={number} in it, only system=0{last}")
    return _system(arrays, number or 0)


def read_training_systems(path: Path) -> list[TrainingSystem]:
    """Read all of them, in their order.

    Raises:
        InitialConditionsError: the file is damaged or foreign.
        OSError: the file cannot be read.
    """
    arrays = _arrays(path)
    return [_system(arrays, number) for number in range(_count(arrays))]


def _count(arrays: dict[str, np.ndarray[Any, Any]]) -> int:
    return len(arrays["mass"])


def _system(arrays: dict[str, np.ndarray[Any, Any]], number: int) -> TrainingSystem:
    own = {name: array[number] if array.ndim else array[()] for name, array in arrays.items()}
    n, dim = int(own["n_bodies"]), int(own["n_dims"])
    if not (1 <= n <= len(own["mass"]) and 1 <= dim <= own["position"].shape[1]):
        raise InitialConditionsError(f"it says {n} bodies in {dim} dimensions, which it does not hold")
    names = tuple(str(name) for name in own["names"][:n])
    system = InitialConditions(
        mass=own["mass"][:n],
        position=own["position"][:n, :dim],
        velocity=own["velocity"][:n, :dim],
        period=float(own["period"]),
        time=float(own["time"]),
        names=names if any(names) else (),
        note=str(own["note"]),
        softening=float(own["softening"]),
    )
    return TrainingSystem(system, float(own["G"]))


def _arrays(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            sizes = [archive.getinfo(f"{name}.npy").file_size for name in _FORM]
            if sum(sizes) > LARGEST:
                raise InitialConditionsError(f"it holds {sum(sizes):.1e} bytes, the most that is read are {LARGEST}")
            arrays = {name: _array(archive.read(f"{name}.npy")) for name in _FORM}
    except KeyError as error:
        raise InitialConditionsError(f"it is not of a training: {error.args[0]}") from None
    except (
        *(zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError),
        *(ValueError, SyntaxError, tokenize.TokenError, OverflowError, MemoryError, TypeError),
    ) as error:
        if isinstance(error, InitialConditionsError):
            raise
        raise InitialConditionsError("it is damaged, or no NumPy archive of plain arrays") from None
    _check_form(arrays)
    return arrays


def _array(content: bytes) -> np.ndarray[Any, Any]:
    return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False)


def _check_form(arrays: dict[str, np.ndarray[Any, Any]]) -> None:
    count, n_bodies, n_dims = arrays["position"].shape if arrays["position"].ndim == 3 else (0, 0, 0)
    for name, (kind, n_axes) in _FORM.items():
        array, shape = arrays[name], (count, n_bodies, n_dims)[:n_axes]
        if not count or array.dtype.kind != kind or array.shape != shape:
            raise InitialConditionsError(f"it is damaged: {name} in it has shape {array.shape}, type {array.dtype}")
