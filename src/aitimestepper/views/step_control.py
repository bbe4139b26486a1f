"""What a calibrated run did to its steps: step, errors, setbacks and anchors over time, as numbers and as a figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Unpack

import numpy as np
from numpy.typing import NDArray

from aitimestepper.arrays import Floats
from aitimestepper.constants import ANCHOR, EXCUSED, SETBACK
from aitimestepper.errors import InputError
from aitimestepper.recordings.recording import Recording
from aitimestepper.recordings.step_events import StepEvents
from aitimestepper.views.page import (
    BLACK,
    COLOURS,
    PAGE_WIDTH,
    at_least_a_decade,
    figure_file,
    legend_above,
    page_style,
    save_figure,
)
from aitimestepper.views.selection import AxisUnits, shown_in
from aitimestepper.views.series import Series, energy_errors, in_order_of_time, in_unit, steps
from aitimestepper.views.thinning import extremes, maxima, outline

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LARGEST_SHOWN = 1e3
"""Errors over what is allowed are shown up to here: a step through a pericentre may have one of 1e30."""

_SMALLEST_SHOWN, _RARE = 1e-8, 0.05
"""And from here on, or from where this part of each curve lies below: an error crosses zero now and then."""

ENERGY, POSITION, WANTED, AT_ANCHORS = BLACK, COLOURS[5], COLOURS[0], COLOURS[2]
BACK, ACCEPTED = COLOURS[1], COLOURS[3]
"""Colours of setbacks, and of those after which the error is accepted."""

_BINS = 800


class Setbacks(NamedTuple):
    """Returns to an anchor, all (K,), in the order in which they happened.

    Attributes:
        time: at which the error was met.
        anchor: time to which the run returned.
        step_before, step: in force before and after.
        error: that was met, over what is allowed.
        accepted: whether the error is accepted from then on.
    """

    time: Floats
    anchor: Floats
    step_before: Floats
    step: Floats
    error: Floats
    accepted: NDArray[Any]


class StepControl(NamedTuple):
    """What is shown over time.

    Attributes:
        step: in time.
        energy, position: errors over what is allowed.
        in_force, wanted: the step of the integrator's own variable, and what of it the network wants.
        unit: of these two.
        anchors: times (A,).
        setbacks: from all attempts.
    """

    step: Series
    energy: Series
    position: Series
    in_force: Series
    wanted: Series
    unit: str
    anchors: Floats
    setbacks: Setbacks


def has_step_control(recording: Recording) -> bool:
    """Whether the run noted what it did to its steps."""
    return len(recording.step_events.time) > 0 and tolerance_of(recording) > 0.0


def tolerance_of(recording: Recording) -> float:
    """Of the energy of the whole run, or else of a step; 0 if there is none."""
    asked = recording.summary.energy_error_asked or recording.settings.get("tolerance")
    return float(asked or 0.0)


def step_control(recording: Recording) -> StepControl:
    """What a run did to its steps.

    Raises:
        InputError: it did not note that.
    """
    events = recording.step_events
    if not has_step_control(recording):
        raise InputError(
            "the recording does not say how its steps were controlled: simulate --step-history notes it, of runs with "
            "calibrated steps (--tolerance without --timestep)"
        )
    time, energy = energy_errors(recording)
    back = (events.kind == SETBACK) | (events.kind == EXCUSED)
    known = ~back & (events.position_error > 0.0)
    last = np.append(np.diff(events.goes_on_at) != 0.0, True)  # of several setbacks to one anchor
    end = recording.step_history.time[-1] if len(recording.step_history.time) else recording.time[-1]
    leapfrog = recording.settings.get("integrator") == "leapfrog"
    return StepControl(
        steps(recording),
        Series(time, energy / tolerance_of(recording)),
        _held_before(events.time[known], events.position_error[known]),
        _stairs(events.goes_on_at[last], events.step[last], end),
        _stairs(events.goes_on_at[last], events.network_step[last], end),
        "fly-by time" if leapfrog else "fictitious time",
        in_order_of_time(events.time[events.kind == ANCHOR], events.time[events.kind == ANCHOR]).time,
        _setbacks(events, back),
    )


def _setbacks(events: StepEvents, back: NDArray[np.bool_]) -> Setbacks:
    found = StepEvents(*(column[back] for column in events))
    return Setbacks(found.time, found.goes_on_at, found.step_before, found.step, found.error, found.kind == EXCUSED)


def _stairs(time: Floats, value: Floats, end: float) -> Series:
    """A value that holds from each time (E,) to the next, the last one to the end, as a line of 2 E points."""
    return in_order_of_time(np.append(np.repeat(time, 2)[1:], end), np.repeat(value, 2))


def _held_before(time: Floats, value: Floats) -> Series:
    """A value that was in force up to each time (E,), likewise."""
    return in_order_of_time(np.repeat(time, 2)[:-1], np.repeat(value, 2)[1:])


def some_setbacks(setbacks: Setbacks, most: int) -> Setbacks:
    """At most so many: those with the largest errors of equal intervals."""
    if len(setbacks.time) <= most:
        return setbacks
    chosen = maxima(setbacks.anchor, setbacks.error, most)
    return Setbacks(*(column[chosen] for column in setbacks))


def some_anchors(anchors: Floats, most: int) -> Floats:
    """At most so many, one of each of equal intervals."""
    return anchors[maxima(anchors, anchors, most)] if len(anchors) > most else anchors


def shown_errors(error: Floats) -> Floats:
    """Those that are too large to be shown, at the edge."""
    return np.minimum(error, LARGEST_SHOWN)


def range_of_errors(shown: StepControl) -> tuple[float, float]:
    """Of the axis of errors over what is allowed: 1 is in it."""
    curves = [series.value for series in (shown.energy, shown.position) if len(series.value)]
    low = min([0.2, *(float(np.quantile(values, _RARE)) for values in curves)])
    high = max([1.0, *(float(values.max()) for values in curves), *shown.setbacks.error])
    return 0.5 * max(low, _SMALLEST_SHOWN), 2.0 * min(high, LARGEST_SHOWN)


def there_and_back(first: Floats, second: Floats) -> Floats:
    """Pairs of (K,) as points (3 K,) of a line with gaps."""
    return np.column_stack([first, second, np.full(len(first), np.nan)]).ravel()


def plot_step_control(
    recording: Recording,
    path: Path | str | None = None,
    *,
    title: str = "",
    overwrite: bool = False,
    **units: Unpack[AxisUnits],
) -> Figure:
    """What a calibrated run did to its steps, below each other over time.

    The step; the errors of energy and positions over what is allowed, with those that led to a setback; the step in
    force and that of the network, with setbacks from where an error was met to the anchor, and the anchors.

    Args:
        recording: of a run with calibrated steps that kept every step.
        path: .png, .pdf or .svg; None to write nothing.
        title: over the figure.
        overwrite: whether a file of the name may be replaced.
        units: time_unit and time_label, as for `plot_run`.

    Returns:
        The figure of matplotlib, to be edited and saved.

    Raises:
        InputError: the run did not note what it did, a suffix is not known, or the file cannot be written.
    """
    run, names = shown_in(recording, units)
    shown, unit = step_control(run), in_unit(names.time)
    with figure_file(path, overwrite) as output, page_style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(PAGE_WIDTH, 6.4), layout="constrained")
        step, error, control = axes = figure.subplots(3, 1, sharex=True)
        _line(step, shown.step, extremes, color=BLACK)
        step.set_ylabel("step" + unit)
        _draw_errors(error, shown)
        _draw_control(control, shown)
        control.set_xlabel("time" + unit)
        control.margins(x=0.01)
        for axis in axes:
            axis.set_yscale("log")
            at_least_a_decade(axis)
        figure.align_ylabels(axes)
        legend_above(figure, title, _legend(shown))
        save_figure(figure, output)
    return figure


def _line(axis: Any, series: Series, thinned: Any, **style: Any) -> None:
    if len(series.time):
        chosen = thinned(*series, _BINS)
        axis.plot(series.time[chosen], series.value[chosen], **style)


_MARK: dict[str, Any] = {"linestyle": "", "marker": "x", "markersize": 4, "markeredgewidth": 0.8}


def _draw_errors(axis: Any, shown: StepControl) -> None:
    axis.axhline(1.0, color=BLACK, linestyle=":", linewidth=0.8)
    _line(axis, shown.position, outline, color=POSITION)
    _line(axis, shown.energy, maxima, color=ENERGY)
    back = some_setbacks(shown.setbacks, _BINS)
    for accepted, colour in ((False, BACK), (True, ACCEPTED)):
        which = back.accepted == accepted
        axis.plot(back.time[which], shown_errors(back.error[which]), color=colour, zorder=4, **_MARK)
    axis.set(ylabel="error / allowed", yscale="log", ylim=range_of_errors(shown))


def _draw_control(axis: Any, shown: StepControl) -> None:
    _line(axis, shown.in_force, outline, color=BLACK)
    _line(axis, shown.wanted, outline, color=WANTED, linestyle="--")  # over the other, where both are one
    back = some_setbacks(shown.setbacks, _BINS)
    for accepted, colour in ((False, BACK), (True, ACCEPTED)):
        some = Setbacks(*(column[back.accepted == accepted] for column in back))
        across, up = there_and_back(some.time, some.anchor), there_and_back(some.step_before, some.step)
        axis.plot(across, up, color=colour, linewidth=0.6)
        axis.plot(some.time, some.step_before, color=colour, zorder=4, **_MARK)
    anchors = some_anchors(shown.anchors, _BINS)
    axis.plot(anchors, np.full(len(anchors), 0.02), transform=axis.get_xaxis_transform(), color=AT_ANCHORS, **_TICK)
    axis.set_ylabel(f"step in force [{shown.unit}]")
    axis.margins(y=0.2)


_TICK: dict[str, Any] = {"linestyle": "", "marker": "|", "markersize": 5, "markeredgewidth": 0.6}


def _legend(shown: StepControl) -> dict[str, dict[str, Any]]:
    """The styles that there are, by what they stand for."""
    styles: dict[str, dict[str, Any]] = {
        "energy error": {"color": ENERGY},
        "local position error": {"color": POSITION},
        "step of the network": {"color": WANTED, "linestyle": "--"},
        "anchor": {"color": AT_ANCHORS} | _TICK,
    }
    if (~shown.setbacks.accepted).any():
        styles["setback"] = {"color": BACK} | _MARK
    if shown.setbacks.accepted.any():
        styles["error accepted"] = {"color": ACCEPTED} | _MARK
    return styles
