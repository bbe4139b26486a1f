"""Initial conditions into files: tables, rows as .npy, HDF5. What is written is read back to the last bit."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from aitimestepper.errors import OutputError, OutputExistsError
from aitimestepper.outputs import write_atomically
from aitimestepper.systems.initial import InitialConditions, text_of_units
from aitimestepper.systems.tables import rows_from_bodies, text_from_bodies


def write_initial_conditions(
    path: Path | str, system: InitialConditions, overwrite: bool = False, *, G: float | None = None
) -> None:
    """Write bodies to a .npy, .txt, .csv or .h5 file, completely or not at all.

    Only .h5 keeps the period, the time, the note, the softening and, if given, G; .npy has no names or units either.

    Raises:
        OutputExistsError: the file exists and `overwrite` is False.
        OutputError: the suffix is of no known kind, or the path cannot be written to.
    """
    path = Path(path)
    encode = _ENCODERS.get(path.suffix.lower())
    if encode is None:
        raise OutputError(
            f"cannot write initial conditions to {path}: its suffix must be one of {', '.join(_ENCODERS)}"
        )
    if os.path.lexists(path) and not overwrite:
        raise OutputExistsError(f"{path} exists already: choose another name, or set overwrite to replace it")
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no directory {path.parent}")
    write_atomically(path, encode(system, G))


def _encode_csv(system: InitialConditions, G: float | None) -> bytes:
    return text_from_bodies(system, ",").encode()


def _encode_txt(system: InitialConditions, G: float | None) -> bytes:
    return text_from_bodies(system, " ", header_mark="# ").encode()


def _encode_npy(system: InitialConditions, G: float | None) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, rows_from_bodies(system), allow_pickle=False)
    return buffer.getvalue()


def _encode_hdf5(system: InitialConditions, G: float | None) -> bytes:
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["mass"], file["position"], file["velocity"] = system.mass, system.position, system.velocity
        file.attrs.update({name: getattr(system, name) for name in ("period", "time", "note", "softening")})
        if system.names:
            file["names"] = list(system.names)
        if G is not None:
            file.attrs["G"] = G
        file.attrs["units"] = text_of_units(system)
    return buffer.getvalue()


_ENCODERS: dict[str, Callable[[InitialConditions, float | None], bytes]] = {
    ".npy": _encode_npy,
    ".txt": _encode_txt,
    ".csv": _encode_csv,
    ".h5": _encode_hdf5,
}
