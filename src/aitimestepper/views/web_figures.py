"""Figures for a web page, as plotly.js takes them: plain dictionaries, numbers as base64 text."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from aitimestepper.comparison import SystemComparison
from aitimestepper.ensemble_result import EnsembleResult
from aitimestepper.recording import Recording
from aitimestepper.views.interpolation import Motion
from aitimestepper.views.metrics import TRAINING_PANELS, known_values
from aitimestepper.views.page import BLACK, COLOURS, MOST_NAMES
from aitimestepper.views.series import (
    SMALLEST_ERROR,
    Series,
    angular_momentum_errors,
    body_names,
    energy_errors,
    in_external_field,
    steps,
    units_of,
)
from aitimestepper.views.thinning import Floats, along_path, extremes, maxima, running_median

INK = "@ink"
"""Stands for the colour of text, which the page puts in: black lines would not be seen on black."""

_DASHES = ("solid", "dash", "dot")
_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "triangle-left", "triangle-right")
_BYTES_OF_A_PATH_POINT = 45
_BYTES_OF_A_BIN = 90
_BYTES_OF_AN_EPOCH = 430
_GAP = 0.07


class WebFigure(NamedTuple):
    """One figure: what it shows in words, its traces and layout, and its height in pixels."""

    caption: str
    data: list[dict[str, Any]]
    layout: dict[str, Any]
    height: int


def numbers(values: Any, dtype: str = "f4") -> dict[str, str]:
    """An array as plotly.js reads it."""
    array = np.ascontiguousarray(values, dtype="<" + dtype)
    return {"dtype": dtype, "bdata": base64.b64encode(array.tobytes()).decode()}


def orbit_figures(recording: Recording, n_bytes: int) -> list[WebFigure]:
    """The paths of the bodies: in space, or in the plane and over time; at most about so many bytes."""
    motion = Motion(recording)
    n_dims, n_bodies = recording.position.shape[-1], len(recording.mass)
    most = max(20, n_bytes // (_BYTES_OF_A_PATH_POINT * n_bodies))
    times = motion.smooth_times(max(most, len(motion.time)))
    places = motion.at(times)
    chosen = [along_path(places[:, body], most)[0] for body in range(n_bodies)]
    paths = [(times[at], places[at, body]) for body, at in enumerate(chosen)]
    length, time = (f" [{unit}]" for unit in units_of(recording))
    if n_dims == 3:
        space = _paths([(p, t) for t, p in paths], recording, "scatter3d")
        scene = {name + "axis": {"title": {"text": name + length}} for name in "xyz"}
        layout = {"scene": scene | {"aspectmode": "data"}}
        return [WebFigure("Orbits in space: drag to turn, scroll to come nearer.", space, layout, 600)]
    flat = [(np.pad(p, ((0, 0), (0, 2 - n_dims))), t) for t, p in paths]
    plane_layout = {
        "xaxis": {"title": {"text": "x" + length}},
        "yaxis": {"title": {"text": "y" + length}, "scaleanchor": "x"},
    }
    world = [(np.column_stack([p, t]), t) for p, t in flat]
    names = {"x": "x" + length, "y": "y" + length, "z": "time" + time}
    scene = {axis + "axis": {"title": {"text": text}} for axis, text in names.items()}
    return [
        WebFigure("Orbits in the plane.", _paths(flat, recording, "scatter"), plane_layout, 560),
        WebFigure(
            "The same with time upwards: drag to turn, scroll to come nearer.",
            _paths(world, recording, "scatter3d"),
            {"scene": scene | {"aspectmode": "cube"}},
            600,
        ),
    ]


def _paths(paths: Sequence[tuple[Floats, Floats]], recording: Recording, kind: str) -> list[dict[str, Any]]:
    """A line for each body and a dot where it starts; with many bodies one line for all."""
    few = len(paths) <= MOST_NAMES
    names = body_names(recording) if few else [f"{len(paths)} bodies"]
    parts = [[path] for path in paths] if few else [list(paths)]
    traces = []
    for number, (name, part) in enumerate(zip(names, parts, strict=True)):
        gap = np.full((1, part[0][0].shape[1]), np.nan)
        line = np.concatenate([piece for places, _ in part for piece in (places, gap)])
        time = np.concatenate([piece for _, t in part for piece in (t, [np.nan])])
        starts = np.array([places[0] for places, _ in part])
        style = {"color": _colour(number), "dash": _DASHES[number // len(COLOURS) % 3]}
        common = {"type": kind, "name": name, "legendgroup": name}
        hover = {"customdata": numbers(time), "hovertemplate": "t = %{customdata:.6g}"}
        traces.append(
            {**common, **_columns(line), **hover, "mode": "lines", "line": style | {"width": 2 if few else 1}}
        )
        dot = {"color": style["color"], "size": (4 if kind == "scatter3d" else 8) if few else 2}
        traces.append(
            {**common, **_columns(starts), "mode": "markers", "marker": dot, "showlegend": False, "hoverinfo": "name"}
        )
    return traces


def _columns(places: Floats) -> dict[str, Any]:
    return {name: numbers(column) for name, column in zip("xyz", places.T, strict=False)}


def _colour(number: int) -> str:
    colour = COLOURS[number % len(COLOURS)]
    return INK if colour == BLACK else colour


def time_figure(recording: Recording, n_bytes: int) -> WebFigure:
    """Step, energy error and error of the angular momentum over time, below each other, zoomed together."""
    bins = max(200, n_bytes // _BYTES_OF_A_BIN)
    unit = units_of(recording).time
    spin = "angular momentum error" + (", not conserved (external field)" if in_external_field(recording) else "")
    panels = (
        (f"step [{unit}]", steps(recording), extremes),
        ("|E − E<sub>0</sub>| / |E<sub>0</sub>|", energy_errors(recording), maxima),
        ("|L − L<sub>0</sub>| / max Σ m|x||v|", angular_momentum_errors(recording), maxima),
    )
    data, layout = [], {"showlegend": False, "xaxis": {"title": {"text": f"time [{unit}]"}, "anchor": "y3"}}
    for number, (label, series, thin) in enumerate(panels, start=1):
        axis = "y" + str(number) * (number > 1)
        shown = thin(series.time, series.value, bins) if len(series.time) else []
        x, y = series.time[shown] if len(shown) else [], series.value[shown] if len(shown) else []
        data.append(
            {
                **{"type": "scatter", "mode": "lines", "x": numbers(x, "f8"), "y": numbers(y), "yaxis": axis},
                **{"line": {"color": INK, "width": 1}, "hovertemplate": "%{x:.6g}, %{y:.3e}<extra></extra>"},
            }
        )
        layout[f"yaxis{number}".removesuffix("1")] = _log_axis(label, y) | {"domain": _row(number - 1, 3)}
    return WebFigure(f"Step, energy error and {spin}: drag to zoom, double click to go back.", data, layout, 720)


def _row(number: int, count: int) -> list[float]:
    """The part of the height that a row takes, from the top."""
    height = (1.0 - (count - 1) * _GAP) / count
    bottom = 1.0 - number * (height + _GAP) - height
    return [max(0.0, bottom), min(1.0, bottom + height)]


def _log_axis(label: str, values: Any) -> dict[str, Any]:
    """A logarithmic axis of at least a decade."""
    axis: dict[str, Any] = {"title": {"text": label}, "type": "log", "exponentformat": "power"}
    positive = np.asarray(values, dtype=float)
    positive = positive[positive > 0]
    if len(positive):
        low, high = math.log10(positive.min()), math.log10(positive.max())
        margin = max(0.06 * (high - low), 0.5 * (1.0 - (high - low)))
        axis["range"] = [low - margin, high + margin]
    return axis


def training_figure(metrics: dict[str, Floats], n_bytes: int) -> WebFigure:
    """The metrics of a training: every epoch faint, the running median over it."""
    bins = max(50, n_bytes // _BYTES_OF_AN_EPOCH)
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {"legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"}}
    for panel, (label, scale, curves) in enumerate(TRAINING_PANELS):
        number = str(panel + 1) * (panel > 0)
        values = []
        for colour, (key, name) in enumerate(curves):
            epoch, value = known_values(metrics, key)
            if len(value):
                values.append(value)
                axes = {"xaxis": "x" + number, "yaxis": "y" + number, "legendgroup": name}
                data += _curve(Series(epoch, value), name, _colour(colour), bins, axes)
        row, column = divmod(panel, 2)
        across = {"domain": [0.56 * column, 0.44 + 0.56 * column], "anchor": "y" + number, "matches": "x"}
        layout["xaxis" + number] = across if panel else across | {"matches": None}
        layout["xaxis" + number]["title"] = {"text": "epoch" if row else ""}
        up = _log_axis(label, np.concatenate(values)) if values and scale == "log" else {"title": {"text": label}}
        layout["yaxis" + number] = up | {"domain": _row(row, 2), "anchor": "x" + number}
    return WebFigure("Training: each epoch faint, and the running median.", data, layout, 640)


def _curve(series: Series, name: str, colour: str, bins: int, axes: dict[str, Any]) -> list[dict[str, Any]]:
    shown = extremes(series.time, series.value, bins)
    places, medians = running_median(series.value, max(1, len(series.value) // 20), bins)
    common = {"type": "scatter", "mode": "lines", "name": name, **axes}
    return [
        {
            **common,
            **{"x": numbers(series.time[shown]), "y": numbers(series.value[shown])},
            **{"line": {"color": colour, "width": 1}, "opacity": 0.35, "showlegend": False, "hoverinfo": "skip"},
        },
        {
            **common,
            **{"x": numbers(series.time[places]), "y": numbers(medians), "line": {"color": colour, "width": 2}},
        },
    ]


def work_precision_figure(system: SystemComparison) -> WebFigure:
    """Errors of each method against the force evaluations that they cost; hollow where the budget was not met."""
    data: list[dict[str, Any]] = []
    methods = dict.fromkeys(row.method for row in system.rows)
    for panel, quantity in enumerate(("energy_error_max", "position_error")):
        for number, method in enumerate(methods):
            points = sorted(
                (row.force_evaluations, max(getattr(row, quantity), SMALLEST_ERROR), row.met)
                for row in system.rows
                if row.method == method and row.force_evaluations is not None and getattr(row, quantity) is not None
            )
            symbol = _SYMBOLS[(number + number // len(COLOURS)) % len(_SYMBOLS)]
            axis = str(panel + 1) * (panel > 0)
            data.append(
                {
                    **{"type": "scatter", "mode": "lines+markers", "name": method, "legendgroup": method},
                    **{"x": [p[0] for p in points], "y": [p[1] for p in points]},
                    **{"xaxis": "x" + axis, "yaxis": "y" + axis, "showlegend": panel == 0},
                    "line": {"color": _colour(number), "width": 1.5, "dash": _DASHES[number // len(COLOURS) % 3]},
                    "marker": {"size": 8, "symbol": [symbol if met else symbol + "-open" for *_, met in points]},
                }
            )
    cost = {"type": "log", "title": {"text": "force evaluations"}, "exponentformat": "SI"}
    layout: dict[str, Any] = {"legend": {"orientation": "h", "y": 1.02, "yanchor": "bottom"}}
    labels = ("max |E − E<sub>0</sub>| / |E<sub>0</sub>|", "position error")
    for panel, label in enumerate(labels):
        axis = str(panel + 1) * (panel > 0)
        layout["xaxis" + axis] = cost | {"domain": [0.56 * panel, 0.44 + 0.56 * panel], "anchor": "y" + axis}
        layout["yaxis" + axis] = {
            "type": "log",
            "title": {"text": label},
            "exponentformat": "power",
            "anchor": "x" + axis,
        }
    return WebFigure(f"{system.system}: error against cost.", data, layout, 460)


def ensemble_figure(result: EnsembleResult) -> WebFigure:
    """How the energy errors of the members that finished spread."""
    errors = np.maximum(result.energy_error_max[result.finished], SMALLEST_ERROR)
    counts, edges = np.histogram(np.log10(errors), bins="sturges") if len(errors) else (np.zeros(0), np.zeros(1))
    bars = {
        **{"type": "bar", "x": numbers(0.5 * (edges[:-1] + edges[1:])), "y": [int(count) for count in counts]},
        **{"width": numbers(np.diff(edges)), "marker": {"color": COLOURS[0]}},
    }
    layout = {
        "xaxis": {
            "title": {"text": "log<sub>10</sub> of the largest |E − E<sub>0</sub>| / |E<sub>0</sub>| of a member"}
        },
        "yaxis": {"title": {"text": "members"}},
        "bargap": 0,
    }
    return WebFigure("Energy errors of the members.", [bars], layout, 400)
