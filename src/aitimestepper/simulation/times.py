"""Output times of one's own: read from a file, and checked against the start of a run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from aitimestepper.arrays import Floats
from aitimestepper.errors import InitialConditionsError, InputError
from aitimestepper.systems.files import array_in, text_in
from aitimestepper.systems.quantities import is_quantity
from aitimestepper.systems.tables import numbers_in

GIVEN = "(an array)"
"""What a recording's settings say of times that came from no file."""


def read_times(path: Path | str) -> Floats:
    """Read times from a file: one number a line, `#` begins a comment; or an array as .npy.

    Raises:
        InputError: names the file, and what is wrong in it.
    """
    path = Path(path)
    try:
        return np.asarray(array_in(path) if path.suffix.lower() == ".npy" else numbers_in(text_in(path)))
    except InitialConditionsError as error:
        raise InputError(f"cannot read the times {path}: {error}") from None
    except OSError as error:
        raise InputError(f"cannot read the times {path}: {error.strerror or error}") from None


def checked_times(times: ArrayLike, start: float) -> Floats:
    """The times (T,) behind the start of a run, in the order in which it meets them.

    Args:
        times: (T,), rising from the start on, or falling where the run goes back. The start itself may stand first.
        start: time of the initial state, which is always kept.

    Raises:
        InputError: not such times.
    """
    if is_quantity(times):
        raise InputError("times have a unit, but the system has no units of its own")
    array = np.asarray(times)
    if array.ndim != 1 or array.dtype.kind not in "fiu":
        raise InputError(f"times must be a list of numbers, got an array of shape {array.shape}, type {array.dtype}")
    array = array.astype(np.float64)
    array = array[1:] if len(array) and array[0] == start else array
    if not len(array):
        raise InputError(f"times must have one behind the start of the run, t = {start:g}")
    steps = np.diff(array, prepend=start)
    wrong = np.flatnonzero(~(steps * np.sign(steps[0]) > 0) | ~np.isfinite(array))
    if len(wrong):
        found = float(array[wrong[0]])
        raise InputError(f"times must all rise, or all fall, from the start at t = {start!r} on: {found!r} does not")
    return array
