"""What of a recording is shown over time, and in which units; NumPy only."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.constants import SMALLEST_ERROR
from aitimestepper.recordings.parts import has_finished
from aitimestepper.recordings.recording import Recording
from aitimestepper.systems.conserved import angular_momentum_scale

CODE_UNITS = "code units"
"""The unit of what says nothing of its units."""


class Units(NamedTuple):
    """Names of the units of length and time."""

    length: str
    time: str


class Series(NamedTuple):
    """Numbers over time, both (M,)."""

    time: Floats
    value: Floats


def units_of(recording: Recording) -> Units:
    """What the note of the initial conditions says, otherwise code units."""
    if "N-body units" in recording.note:
        return Units("N-body units", "N-body units")
    found = re.search(r"\bau, solar masses, (yr(?:/2pi)?)", recording.note)
    return Units("au", found[1].replace("pi", "π")) if found else Units(CODE_UNITS, CODE_UNITS)


def in_unit(unit: str) -> str:
    """What follows the name of an axis."""
    return f" [{unit}]" if unit else ""


def in_external_field(recording: Recording) -> bool:
    """Whether bodies outside of the system pull at it: then its angular momentum is not conserved."""
    return bool(recording.settings.get("external_field_mass"))


def body_names(recording: Recording) -> list[str]:
    """A name for each body."""
    return list(recording.names) or [f"body {body}" for body in range(len(recording.mass))]


def steps(recording: Recording) -> Series:
    """The steps, all of them if they were kept, otherwise those that led to a frame."""
    history = recording.step_history
    time, dt = (history.time, history.dt) if len(history.time) else (recording.time[1:], recording.dt[1:])
    if has_finished(recording.summary.outcome) and len(dt) > 1:
        time, dt = time[:-1], dt[:-1]  # the last step is what was left of the duration
    return in_order_of_time(time, np.abs(dt))


def energy_errors(recording: Recording) -> Series:
    """|E - E_initial| over the energy scale, of every step if that was kept, otherwise of the frames."""
    history = recording.step_history
    if not len(history.time):
        return _shown(recording.time, recording.energy_error)
    error = np.abs(history.energy - recording.summary.energy_initial) / recording.energy_scale
    return in_order_of_time(history.time, np.maximum(error, SMALLEST_ERROR))


def angular_momentum_errors(recording: Recording) -> Series:
    """|L - L_initial| over the largest sum m |x| |v| of a frame, as in the summary; L itself may be 0."""
    change = recording.angular_momentum - recording.angular_momentum[0]
    scale = angular_momentum_scale(recording.mass, recording.position, recording.velocity).max() or 1.0
    return _shown(recording.time, np.abs(change if change.ndim == 1 else np.linalg.norm(change, axis=-1)) / scale)


def _shown(time: Floats, error: Floats) -> Series:
    """Without the initial state, which has no error."""
    return in_order_of_time(time[1:], np.maximum(error[1:], SMALLEST_ERROR))


def in_order_of_time(time: Floats, value: Floats) -> Series:
    """Also of a run that went back."""
    back = len(time) > 1 and time[-1] < time[0]
    return Series(time[::-1], value[::-1]) if back else Series(time, value)
