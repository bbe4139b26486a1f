"""Orbits for a web page, as plotly.js takes them: in the plane, in space, and with time upwards."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.recordings.recording import Recording
from aitimestepper.views.framing import in_dimensions, run_box, within
from aitimestepper.views.interpolation import Motion
from aitimestepper.views.page import MOST_NAMES, dash_of
from aitimestepper.views.series import body_names, units_of
from aitimestepper.views.thinning import along_path
from aitimestepper.views.web_figures import DASHES, WebFigure, colour_of, numbers

_BYTES_OF_A_PATH_POINT = 45
_LEAST_POINTS = 20
"""Of a path that is shown at all."""


def orbit_figures(recording: Recording, n_bytes: int) -> list[WebFigure]:
    """The paths of the bodies: in space, or in the plane and over time; at most about so many bytes."""
    paths = _thinned_paths(recording, n_bytes // _BYTES_OF_A_PATH_POINT)
    length, time = (f" [{unit}]" for unit in units_of(recording))
    marks = "hollow at the start, filled at the end" if len(recording.mass) <= MOST_NAMES else "with marks at the end"
    turning = "drag to turn, scroll to come nearer."
    n_dims = recording.position.shape[-1]
    if n_dims == 3:
        centre, half = run_box(recording, 3)
        paths = [BodyPath(times, within(positions, centre, half)) for times, positions in paths]
        ranges = [[float(middle - half), float(middle + half)] for middle in centre]
        scene = _scene([name + length for name in "xyz"], ranges)
        return [
            WebFigure(
                f"Orbits in space, {marks}: {turning}", _lines_and_dots(paths, recording, "scatter3d"), scene, 600
            )
        ]
    plane = [BodyPath(times, in_dimensions(positions, 2)) for times, positions in paths]
    world = [BodyPath(times, np.column_stack([positions, times])) for times, positions in plane]
    axes = {
        "xaxis": {"title": {"text": "x" + length}},
        "yaxis": {"title": {"text": "y" + length}, "scaleanchor": "x"},
    }
    scene = _scene(["x" + length, "y" + length, "time" + time])
    return [
        WebFigure(f"Orbits in the plane, {marks}.", _lines_and_dots(plane, recording, "scatter"), axes, 560),
        WebFigure(f"The same with time upwards: {turning}", _lines_and_dots(world, recording, "scatter3d"), scene, 600),
    ]


class BodyPath(NamedTuple):
    """The path of one body: times (P,) and positions (P, D)."""

    time: Floats
    positions: Floats


def _thinned_paths(recording: Recording, n_points: int) -> list[BodyPath]:
    """Paths of at most about so many points together; of very many bodies some are left out."""
    n_bodies = len(recording.mass)
    shown = np.unique(np.linspace(0, n_bodies - 1, min(n_bodies, n_points // _LEAST_POINTS)).astype(np.intp))
    most = n_points // len(shown)
    motion = Motion(recording)
    times = motion.smooth_times(most)
    positions = motion.at(times)[:, shown]
    chosen = [along_path(path, most)[0] for path in positions.swapaxes(0, 1)]
    return [BodyPath(times[rows], positions[rows, body]) for body, rows in enumerate(chosen)]


def _scene(labels: Sequence[str], ranges: Sequence[list[float]] | None = None) -> dict[str, Any]:
    """A cube seen from above its corner; of equal scales if the ranges are equally long."""
    axes: dict[str, Any] = {f"{name}axis": {"title": {"text": text}} for name, text in zip("xyz", labels, strict=True)}
    for axis, extent in zip(axes.values(), ranges or (), strict=False):
        axis["range"] = extent
    return {"scene": axes | {"aspectmode": "cube", "camera": {"eye": {"x": 1.5, "y": 1.5, "z": 1.0}}}}


def _lines_and_dots(paths: Sequence[BodyPath], recording: Recording, kind: str) -> list[dict[str, Any]]:
    """A line for each body, a hollow mark where it starts and a filled one where it ends; of many one line for all."""
    few = len(recording.mass) <= MOST_NAMES
    n_bodies = len(recording.mass)
    of = "" if len(paths) == n_bodies else f" of {n_bodies}"
    names = body_names(recording) if few else [f"{len(paths)}{of} bodies"]
    parts = [[path] for path in paths] if few else [list(paths)]
    traces: list[dict[str, Any]] = []
    for number, (name, part) in enumerate(zip(names, parts, strict=True)):
        gap = np.full((1, part[0].positions.shape[1]), np.nan)
        time = np.concatenate([piece for path in part for piece in (path.time, [np.nan])])
        line = _columns(np.concatenate([piece for path in part for piece in (path.positions, gap)]))
        style = {"color": colour_of(number), "dash": DASHES[dash_of(number)], "width": 2 if few else 1}
        hover = {"customdata": numbers(time), "hovertemplate": "t = %{customdata:.6g}"}
        traces.append(line | hover | {"mode": "lines", "line": style})
        dot = {"color": colour_of(number), "size": (4 if kind == "scatter3d" else 8) if few else 2}
        for index, form in ((0, {"symbol": "circle-open"}), (-1, {"symbol": "circle"}))[0 if few else 1 :]:
            ends = _columns(np.array([path.positions[index] for path in part]))
            traces.append(ends | {"mode": "markers", "marker": dot | form, "showlegend": False, "hoverinfo": "name"})
        for trace in traces[-3 if few else -2 :]:
            trace.update(type=kind, name=name, legendgroup=name)
    return traces


def _columns(positions: Floats) -> dict[str, Any]:
    return {name: numbers(column) for name, column in zip("xyz", positions.T, strict=False)}
