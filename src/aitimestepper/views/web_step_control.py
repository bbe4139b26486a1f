"""What a calibrated run did to its steps, as plotly.js takes it."""

from __future__ import annotations

from typing import Any

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.recordings.recording import Recording
from aitimestepper.views.series import Series, units_of
from aitimestepper.views.step_control import (
    ACCEPTED,
    AT_ANCHORS,
    BACK,
    POSITION,
    WANTED,
    Setbacks,
    StepControl,
    range_of_errors,
    shown_errors,
    some_anchors,
    some_setbacks,
    step_control,
    there_and_back,
)
from aitimestepper.views.thinning import extremes, maxima, outline
from aitimestepper.views.web_figures import INK, WebFigure, line_trace, log_axis, numbered, row_of_panels

_BYTES_OF_A_BIN = 200
_HOVER = {"hovertemplate": "%{x:.6g}, %{y:.3e}<extra></extra>"}


def step_control_figure(recording: Recording, n_bytes: int) -> WebFigure:
    """The panels of `plot_step_control`, zoomed together.

    Raises:
        InputError: the run did not note what it did.
    """
    shown, bins = step_control(recording), max(200, n_bytes // _BYTES_OF_A_BIN)
    unit = units_of(recording).time
    back = some_setbacks(shown.setbacks, bins)
    data = [
        _series(shown.step, extremes, bins, 0, INK, ""),
        _series(shown.position, outline, bins, 1, POSITION, "position error"),
        _series(shown.energy, maxima, bins, 1, INK, "energy error"),
        _line_at_one(shown.energy.time[[0, -1]]),
        _series(shown.wanted, outline, bins, 2, WANTED, "step of the network", dash="dash"),
        _series(shown.in_force, outline, bins, 2, INK, ""),
    ]
    names = ((False, BACK, "setback"), (True, ACCEPTED, "error accepted"))
    for accepted, colour, name in names:
        some = Setbacks(*(column[back.accepted == accepted] for column in back))
        if len(some.time):
            data += _setbacks(some, colour, name)
    data.append(_anchors(shown, bins))
    layout: dict[str, Any] = {
        "legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"},
        "xaxis": {"title": {"text": f"time [{unit}]"}, "anchor": "y3"},
        "yaxis4": {"overlaying": "y3", "range": [-0.03, 1.0], "visible": False, "fixedrange": True},
    }
    errors = np.array(range_of_errors(shown))
    in_force = np.concatenate([shown.in_force.value, shown.wanted.value, back.step_before])
    labels = (f"step [{unit}]", "error / allowed", f"step in force [{shown.unit}]")
    for panel, (label, values) in enumerate(zip(labels, (shown.step.value, errors, in_force), strict=True)):
        layout["yaxis" + numbered(panel)] = log_axis(label, values) | {"domain": row_of_panels(panel, 3)}
    caption = "Step control: a setback leads from where an error was met back to the anchor; ticks are anchors."
    return WebFigure(caption, data, layout, 780)


def _series(
    series: Series, thinned: Any, bins: int, panel: int, colour: str, name: str, dash: str = "solid"
) -> dict[str, Any]:
    chosen = thinned(*series, bins) if len(series.time) else np.empty(0, dtype=np.intp)
    line = {"line": {"color": colour, "width": 1, "dash": dash}, "yaxis": "y" + numbered(panel)}
    return line_trace(series.time[chosen], series.value[chosen], "f8") | _HOVER | line | _named(name)


def _named(name: str) -> dict[str, Any]:
    return {"name": name} if name else {"showlegend": False}


def _setbacks(some: Setbacks, colour: str, name: str) -> list[dict[str, Any]]:
    """Marks of the errors that were met, the same at their steps, and lines back to the anchors."""
    lines = line_trace(there_and_back(some.time, some.anchor), there_and_back(some.step_before, some.step), "f8")
    lines |= {"yaxis": "y3", "line": {"color": colour, "width": 1}, "hoverinfo": "skip", "showlegend": False}
    return [
        _marks(some.time, shown_errors(some.error), colour, 1) | _named(name),
        lines,
        _marks(some.time, some.step_before, colour, 2) | _named(""),
    ]


def _marks(time: Floats, value: Floats, colour: str, panel: int, symbol: str = "x-thin") -> dict[str, Any]:
    marker = {"symbol": symbol, "size": 7, "line": {"color": colour, "width": 1.5}, "color": colour}
    points = line_trace(time, value, "f8") | {"mode": "markers", "marker": marker}
    return points | _HOVER | {"yaxis": "y" + numbered(panel)}


def _anchors(shown: StepControl, bins: int) -> dict[str, Any]:
    """Ticks on an axis of their own, over the lowest part of the last panel."""
    anchors = some_anchors(shown.anchors, bins)
    return _marks(anchors, np.zeros(len(anchors)), AT_ANCHORS, 3, "line-ns") | _named("anchor")


def _line_at_one(times: Floats) -> dict[str, Any]:
    line = {"line": {"color": INK, "width": 1, "dash": "dot"}, "hoverinfo": "skip", "yaxis": "y2"}
    return line_trace(times, np.ones(len(times)), "f8") | line | _named("")
