"""What of a recording a figure is to show: some of the bodies, in other units; NumPy only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TypedDict

from aitimestepper.errors import InputError
from aitimestepper.recordings.recording import Recording
from aitimestepper.views.series import Units, unit_system, units_of


def only_bodies(recording: Recording, bodies: Sequence[int | str] | None) -> Recording:
    """The motion of some bodies, by name or number; None for all.

    Energies, steps and mergers, with their numbers of bodies, stay those of the whole run.

    Raises:
        InputError: none is named, one twice, or there is none of that name or number.
    """
    if bodies is None:
        return recording
    chosen = [recording.bodies.index(body) for body in bodies]
    if not chosen or len(set(chosen)) < len(chosen):
        raise InputError(f"bodies must name at least one, and none twice, got {', '.join(map(str, bodies)) or 'none'}")
    labels = recording.names or tuple(f"body {k}" for k in range(len(recording.mass)))
    return replace(
        recording,
        mass=recording.mass[chosen],
        names=tuple(labels[k] for k in chosen),
        position=recording.position[:, chosen],
        velocity=recording.velocity[:, chosen],
        radius=recording.radius[chosen],
    )


class AxisUnits(TypedDict, total=False):
    """Units of length and time of a figure.

    Attributes:
        length_unit, time_unit: to which a run is converted.
        length_label, time_label: what stands at the axes, instead of the names of the units.
    """

    length_unit: str
    time_unit: str
    length_label: str
    time_label: str


def shown_in(recording: Recording, wanted: AxisUnits) -> tuple[Recording, Units]:
    """A run in the units of a figure, and what these are called; its energies stay as they are.

    Raises:
        InputError: the run does not know its units, or one of these is none of length or time.
    """
    names = units_of(recording)
    length, time = wanted.get("length_unit"), wanted.get("time_unit")
    if length is not None or time is not None:
        recording = _converted(recording, length, time)
        names = Units(length or names.length, time or names.time)
    return recording, Units(wanted.get("length_label", names.length), wanted.get("time_label", names.time))


def _converted(recording: Recording, length: str | None, time: str | None) -> Recording:
    own = unit_system(recording)
    if own is None:
        what = "time" if length is None else "length"
        raise InputError(
            f"the run does not know its unit of {what}, so it cannot be converted: name the axis with {what}_label "
            f"(--{what}-label)"
        )
    x = 1.0 if length is None else own.in_other(length, "length")
    t = 1.0 if time is None else own.in_other(time, "time")
    history, events, summary = recording.step_history, recording.step_events, recording.summary
    mergers = recording.mergers
    when = summary.energy_error_max_time
    return replace(
        recording,
        **{name: getattr(recording, name) * t for name in ("time", "dt", "dt_min", "dt_max")},
        position=recording.position * x,
        velocity=recording.velocity * (x / t),
        angular_momentum=recording.angular_momentum * (x * x / t),
        radius=recording.radius * x,
        mergers=mergers._replace(time=mergers.time * t, radius=mergers.radius * x, speed=mergers.speed * (x / t)),
        step_events=events._replace(time=events.time * t, goes_on_at=events.goes_on_at * t),
        step_history=history._replace(time=history.time * t, dt=history.dt * t),
        summary=replace(summary, energy_error_max_time=None if when is None else when * t),
    )
