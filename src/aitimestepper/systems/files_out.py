"""Initial conditions into files: tables, rows as .npy, HDF5. What is written is read back to the last bit."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.errors import OutputError, OutputExistsError
from aitimestepper.outputs import write_atomically
from aitimestepper.systems.initial import InitialConditions, text_of_units, units_of
from aitimestepper.systems.tables import HEADERS


def write_initial_conditions(
    path: Path | str, system: InitialConditions, overwrite: bool = False, *, G: float | None = None
) -> None:
    """Write bodies to a .npy, .txt, .csv or .h5 file, completely or not at all.

    Only .h5 keeps the period, the time, the note, the softening and, if given, G; .npy has no names, units or radii
    either.

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


def rows_from_bodies(system: InitialConditions) -> Floats:
    """The array (N, 1 + 2 D) of rows `[m, x..., v...]`."""
    return np.column_stack([system.mass, system.position, system.velocity])


def text_from_bodies(system: InitialConditions, separator: str, header_mark: str = "") -> str:
    """A header and one line for each body, every number with as many digits as bring back all its bits.

    Radii are the last column, if any body has one.
    """
    rows, units = rows_from_bodies(system), units_of(system)
    header = [*HEADERS[rows.shape[1]]]
    dims = len(header) // 2
    if system.radius.any():
        rows, header = np.column_stack([rows, system.radius]), [*header, "radius"]
    if units is not None:
        own = [units.mass, *[units.length] * dims, *[units.velocity] * dims, units.length]
        header = [f"{column}[{unit}]" for column, unit in zip(header, own, strict=False)]
    names = [_quoted(name) for name in system.names]
    lines = [header_mark + separator.join(["name"] * bool(names) + header)]
    for body, row in enumerate(rows):
        lines.append(separator.join([*names[body : body + 1], *(repr(float(value)) for value in row)]))
    return "\n".join(lines) + "\n"


def _quoted(name: str) -> str:
    """A name as a cell."""
    return '"' + name.replace('"', '""') + '"' if re.search(r'[\s,"#]', name) else name


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
        if system.radius.any():
            file["radius"] = system.radius
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
