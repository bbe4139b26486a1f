"""Figures for a web page, as plotly.js takes them: plain dictionaries, numbers as base64 text."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.comparison.result import SystemComparison
from aitimestepper.constants import SMALLEST_ERROR
from aitimestepper.ensembles.result import EnsembleResult
from aitimestepper.recordings.recording import Recording
from aitimestepper.views.metrics import ROLES, TRAINING_PANELS, curves_of
from aitimestepper.views.page import BLACK, COLOURS, dash_of
from aitimestepper.views.series import (
    Series,
    angular_momentum_errors,
    energy_errors,
    in_external_field,
    largest_energy_error,
    step_ranges,
    units_of,
)
from aitimestepper.views.thinning import envelope, extremes, maxima, running_median

INK = "@ink"
"""Stands for the colour of text, which the page puts in: black lines would not be seen on black."""

DASHES = ("solid", "dash", "dot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "triangle-left", "triangle-right")
_BYTES_OF_A_BIN = 90
_BYTES_OF_AN_EPOCH = 430
_HALF_PAGE = ((0.0, 0.44), (0.56, 1.0))
"""Where the two panels of a row stand."""


class WebFigure(NamedTuple):
    """One figure: what it shows in words, its traces and layout, and its height in pixels."""

    caption: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    height: int


def numbers(values: Any, dtype: str = "f4") -> dict[str, str]:
    """An array of any shape as plotly.js reads it: base64 of float32, or of another `dtype`."""
    array = np.ascontiguousarray(values, dtype="<" + dtype)
    return {"dtype": dtype, "bdata": base64.b64encode(array.tobytes()).decode()}


def colour_of(number: int) -> str:
    """The colour of a line, black as that of text."""
    colour = COLOURS[number % len(COLOURS)]
    return INK if colour == BLACK else colour


def time_figure(recording: Recording, n_bytes: int) -> WebFigure:
    """Step, energy error and error of the angular momentum over time, below each other, zoomed together."""
    bins = max(200, n_bytes // _BYTES_OF_A_BIN)
    unit = units_of(recording).time
    spin = "angular momentum error" + (", not conserved (external field)" if in_external_field(recording) else "")
    asked, largest = recording.summary.energy_error_asked, largest_energy_error(recording)
    low, high = step_ranges(recording)
    panels = (
        (f"step [{unit}]", _envelope(low, high, bins), ()),
        (
            "|E − E<sub>0</sub>| / |E<sub>0</sub>|",
            [_largest(energy_errors(recording), bins)],
            (*([] if asked is None else [asked]), *([] if largest is None else largest[1:])),
        ),
        ("|ΔL| (relative)", [_largest(angular_momentum_errors(recording), bins)], ()),
    )
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {"showlegend": False, "xaxis": {"title": {"text": f"time [{unit}]"}, "anchor": "y3"}}
    for panel, (label, lines, more) in enumerate(panels):
        number = numbered(panel)
        hover = {"hovertemplate": "%{x:.6g}, %{y:.3e}<extra></extra>", "line": {"color": INK, "width": 1}}
        traces = [line_trace(line.time, line.value, "f8") | hover | {"yaxis": "y" + number} for line in lines]
        for upper in traces[1:]:
            upper |= {"fill": "tonexty", "fillcolor": _SHADE}
        data += traces
        values = np.concatenate([*(line.value for line in lines), np.array(more)])
        layout["yaxis" + number] = log_axis(label, values) | {"domain": row_of_panels(panel, 3)}
    if largest is not None:
        mark = {"symbol": "triangle-down", "size": 9, "color": INK}
        point = line_trace(np.array(largest[:1]), np.array(largest[1:]), "f8")
        data.append(point | {"mode": "markers", "marker": mark, "yaxis": "y2", "name": "largest of the run"})
    words = f"Step (shortest and longest), energy error and {spin}"
    if asked is not None:
        layout["shapes"] = [_level(asked)]
        words += f"; dashed: the {asked:.3g} that was asked"
    return WebFigure(f"{words}; drag to zoom, double click to go back.", data, layout, 720)


_SHADE = "rgba(128, 128, 128, 0.35)"


def _envelope(low: Series, high: Series, bins: int) -> list[Series]:
    if not len(low.time):
        return [low]
    time, shortest, longest = envelope(low.time, low.value, high.value, bins)
    return [Series(time, shortest), Series(time, longest)]


def _largest(series: Series, bins: int) -> Series:
    shown = maxima(*series, bins) if len(series.time) else np.empty(0, dtype=np.intp)
    return Series(series.time[shown], series.value[shown])


def _level(value: float) -> dict[str, Any]:
    """A dashed line across the panel of energy errors."""
    across = {"x0": 0, "x1": 1, "xref": "paper", "y0": value, "y1": value, "yref": "y2"}
    return {"type": "line", **across, "line": {"color": INK, "dash": "dash", "width": 1}}


def line_trace(x: Floats, y: Floats, dtype: str = "f4") -> dict[str, Any]:
    """A line through points, both (M,)."""
    return {"type": "scatter", "mode": "lines", "x": numbers(x, dtype), "y": numbers(y)}


def numbered(panel: int) -> str:
    """How the axes of a panel are numbered: the first has no number."""
    return str(panel + 1) if panel else ""


def row_of_panels(number: int, count: int, gap: float = 0.07) -> list[float]:
    """The part of the height that a row takes, from the top."""
    height = (1.0 - (count - 1) * gap) / count
    bottom = 1.0 - number * (height + gap) - height
    return [max(0.0, bottom), min(1.0, bottom + height)]


def log_axis(label: str, values: Floats) -> dict[str, Any]:
    """A logarithmic axis of at least a decade."""
    axis: dict[str, Any] = {"title": {"text": label}, "type": "log", "exponentformat": "power"}
    positive = values[values > 0]
    if len(positive):
        low, high = math.log10(positive.min()), math.log10(positive.max())
        margin = max(0.06 * (high - low), 0.5 * (1.0 - (high - low)))
        axis["range"] = [low - margin, high + margin]
    return axis


def training_figure(metrics: dict[str, Floats], n_bytes: int) -> WebFigure:
    """The metrics of a training: every epoch faint, the running median over it."""
    bins = max(50, n_bytes // _BYTES_OF_AN_EPOCH)
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {"showlegend": False, "annotations": []}
    rows = len(TRAINING_PANELS) // 2
    for number_of_panel, panel in enumerate(TRAINING_PANELS):
        number = numbered(number_of_panel)
        curves = curves_of(metrics, panel)
        for role, curve in curves.items():
            axes = {"xaxis": "x" + number, "yaxis": "y" + number}
            data += _curve(Series(*curve), ROLES[role], colour_of(role), bins, axes)
        row, column = divmod(number_of_panel, 2)
        left, right = _HALF_PAGE[column]
        domain = row_of_panels(row, rows, gap=0.12)
        layout["annotations"].append(_names_above({ROLES[role]: colour_of(role) for role in curves}, left, domain[1]))
        across = {"domain": [left, right], "anchor": "y" + number, "matches": "x"}
        layout["xaxis" + number] = across if number_of_panel else across | {"matches": None}
        layout["xaxis" + number]["title"] = {"text": "epoch" if row == rows - 1 else ""}
        values = np.concatenate([values for _, values in curves.values()] or [np.empty(0)])
        up = log_axis(panel.label, values) if panel.scale == "log" else {"title": {"text": panel.label}}
        layout["yaxis" + number] = up | {"domain": domain, "anchor": "x" + number}
    return WebFigure("Training: each epoch faint, and the running median.", data, layout, 1080)


def _names_above(colours: Mapping[str, str], left: float, top: float) -> dict[str, Any]:
    """The names of the curves of a panel, two in a line; plotly.js has one legend for all panels."""
    spans = [f'<span style="color:{colour}">— {name}</span>' for name, colour in colours.items()] or ["not recorded"]
    lines = ["   ".join(spans[k : k + 2]) for k in range(0, len(spans), 2)]
    where = {"xref": "paper", "yref": "paper", "x": left, "y": top + 0.01, "xanchor": "left", "yanchor": "bottom"}
    return where | {"text": "<br>".join(lines), "align": "left", "showarrow": False, "font": {"size": 12}}


def _curve(series: Series, name: str, colour: str, bins: int, axes: dict[str, Any]) -> list[dict[str, Any]]:
    shown = extremes(series.time, series.value, bins)
    chosen, medians = running_median(series.value, max(1, len(series.value) // 20), bins)
    every = line_trace(series.time[shown], series.value[shown]) | {
        "line": {"color": colour, "width": 1},
        "opacity": 0.35,
    }
    median = line_trace(series.time[chosen], medians) | {"line": {"color": colour, "width": 2}}
    faint = {"showlegend": False, "hoverinfo": "skip"}
    return [every | faint | axes, median | {"name": name} | axes]


def work_precision_figure(system: SystemComparison) -> WebFigure:
    """Errors of each method against the force evaluations that they cost; hollow where the budget was not met."""
    data: list[dict[str, Any]] = []
    methods = dict.fromkeys(row.method for row in system.rows)
    for panel, quantity in enumerate(("energy_error_max", "position_error")):
        for number, method in enumerate(methods):
            points = system.points(method, quantity, SMALLEST_ERROR)
            symbol = _SYMBOLS[(number + number // len(COLOURS)) % len(_SYMBOLS)]
            axis = numbered(panel)
            names = {"name": method, "legendgroup": method, "showlegend": panel == 0}
            where = {"xaxis": "x" + axis, "yaxis": "y" + axis}
            data.append(
                names
                | where
                | {
                    "type": "scatter",
                    "mode": "lines+markers",
                    "x": [p[0] for p in points],
                    "y": [p[1] for p in points],
                    "line": {"color": colour_of(number), "width": 1.5, "dash": DASHES[dash_of(number)]},
                    "marker": {"size": 8, "symbol": [symbol if met else symbol + "-open" for *_, met in points]},
                }
            )
    cost = {"type": "log", "title": {"text": "force evaluations"}, "exponentformat": "SI"}
    layout: dict[str, Any] = {"legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"}}
    labels = ("max |E − E<sub>0</sub>| / |E<sub>0</sub>|", "position error")
    for panel, label in enumerate(labels):
        axis = numbered(panel)
        layout["xaxis" + axis] = cost | {"domain": list(_HALF_PAGE[panel]), "anchor": "y" + axis}
        up = {"type": "log", "title": {"text": label}, "exponentformat": "power"}
        layout["yaxis" + axis] = up | {"anchor": "x" + axis}
    caption = f"{system.system}: error against cost; hollow where the budget was not met."
    if system.reference is not None:
        caption += f" Position errors below {system.reference.uncertainty:.1e} mean nothing."
    return WebFigure(caption, data, layout, 460)


def ensemble_figure(result: EnsembleResult) -> WebFigure:
    """How the energy errors of the members that finished spread."""
    errors = np.maximum(result.energy_error_max[result.finished], SMALLEST_ERROR)
    counts, edges = np.histogram(np.log10(errors), bins="sturges") if len(errors) else (np.zeros(0), np.zeros(1))
    bars = {
        "type": "bar",
        "x": numbers(0.5 * (edges[:-1] + edges[1:])),
        "y": [int(count) for count in counts],
        "width": numbers(np.diff(edges)),
        "marker": {"color": COLOURS[0]},
    }
    label = "log<sub>10</sub> of the largest |E − E<sub>0</sub>| / |E<sub>0</sub>| of a member"
    layout: dict[str, Any] = {"xaxis": {"title": {"text": label}}, "yaxis": {"title": {"text": "members"}}, "bargap": 0}
    asked = result.energy_error_asked[~np.isnan(result.energy_error_asked)]
    if not len(asked):
        return WebFigure("Energy errors of the members.", [bars], layout, 400)
    where = {"x0": math.log10(asked.min()), "x1": math.log10(asked.min()), "y0": 0, "y1": 1, "yref": "paper"}
    layout["shapes"] = [{"type": "line", **where, "line": {"color": INK, "dash": "dash", "width": 1.5}}]
    return WebFigure("Energy errors of the members; dashed: what was asked.", [bars], layout, 400)
