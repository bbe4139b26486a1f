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
from aitimestepper.systems.units import Units as UnitSystem

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
    """Those of the run, or else what the note of the initial conditions says, otherwise code units."""
    known = unit_system(recording)
    if known is not None:
        return Units(known.length, known.time.replace("pi", "π"))
    return Units(*["N-body units" if "N-body units" in recording.note else CODE_UNITS] * 2)


def unit_system(recording: Recording) -> UnitSystem | None:
    """The units of the run, as it says, or as the note of its initial conditions says; None where nobody does."""
    if recording.units:
        return UnitSystem.from_text(recording.units)
    found = re.search(r"\bau, solar masses, (yr(?:/2pi)?)", recording.note)
    return UnitSystem("au", found[1], "Msun") if found else None


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
    if _ends_with_a_rest(recording, len(dt)):
        time, dt = time[:-1], dt[:-1]
    return in_order_of_time(time, np.abs(dt))


def step_ranges(recording: Recording) -> tuple[Series, Series]:
    """The shortest and the longest step since the frame before; where every step was kept, both are that step.

    Nothing where steps are not known.
    """
    if np.isnan(recording.dt[1:]).all():
        return Series(np.empty(0), np.empty(0)), Series(np.empty(0), np.empty(0))
    if len(recording.step_history.time):
        return steps(recording), steps(recording)
    part = slice(1, -1 if _ends_with_a_rest(recording, len(recording.time) - 1) else None)
    time = recording.time[part]
    low, high = (in_order_of_time(time, np.abs(dt[part])) for dt in (recording.dt_min, recording.dt_max))
    return low, high


def _ends_with_a_rest(recording: Recording, n_steps: int) -> bool:
    """Whether the last step is what was left of the duration."""
    return has_finished(recording.summary.outcome) and n_steps > 1


def energy_errors(recording: Recording) -> Series:
    """Relative energy errors: of every step if that was kept, otherwise the largest since the frame before."""
    history = recording.step_history
    if not len(history.time):
        return _shown(recording.time, recording.error_max)
    error = recording.relative_energy_error(
        history.energy, recording.mergers.done_before(history.time, recording.time[0])
    )
    return in_order_of_time(history.time, np.maximum(error, SMALLEST_ERROR))


def largest_energy_error(recording: Recording) -> tuple[float, float] | None:
    """When the energy error of the run was largest, and how large; None where the run does not say when."""
    time, error = recording.summary.energy_error_max_time, recording.summary.energy_error_max
    return None if time is None or error <= 0.0 else (time, error)


def angular_momentum_errors(recording: Recording) -> Series:
    """|L - L_initial| over the largest sum m |x| |v| of a frame, as in the summary; L itself may be 0.

    A merger turns a part of L into spin, which is not followed: later states count from the first one behind it.
    """
    mergers = recording.mergers.done_at(recording.time)
    change = recording.angular_momentum - recording.angular_momentum[np.searchsorted(mergers, mergers)]
    scale = angular_momentum_scale(recording.mass, recording.position, recording.velocity).max() or 1.0
    return _shown(recording.time, np.abs(change if change.ndim == 1 else np.linalg.norm(change, axis=-1)) / scale)


def _shown(time: Floats, error: Floats) -> Series:
    """Without the initial state, which has no error."""
    return in_order_of_time(time[1:], np.maximum(error[1:], SMALLEST_ERROR))


def in_order_of_time(time: Floats, value: Floats) -> Series:
    """Also of a run that went back."""
    back = len(time) > 1 and time[-1] < time[0]
    return Series(time[::-1], value[::-1]) if back else Series(time, value)
