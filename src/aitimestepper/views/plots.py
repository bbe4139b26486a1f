"""Figures of recordings and of training runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aitimestepper.errors import InputError
from aitimestepper.recording import FINISHED, Recording
from aitimestepper.views.page import (
    BLACK,
    COLOURS,
    PAGE_WIDTH,
    STYLE,
    at_least_a_decade,
    check_figure,
    legend_above,
    line_style,
    page_style,
    save_figure,
)
from aitimestepper.views.thinning import Floats, along_path, extremes, maxima, running_median

_BINS = 800
_PATH_POINTS = 12_000
_SHARPEST_TURN = 0.15
_SMALLEST_ERROR = 1e-17
_MOST_NAMES = 10


def plot_comparison(
    recordings: Mapping[str, Recording],
    path: Path | str,
    *,
    title: str = "",
    length_unit: str = "",
    time_unit: str = "",
    overwrite: bool = False,
) -> None:
    """Several runs of one system in one figure: orbits, steps over time, energy errors over time.

    The first run is drawn in front, and the others are shown as far out as twice its size. Long runs are thinned to
    what can be seen; of the energy error the largest value in each interval is shown.

    Args:
        recordings: the runs, by the name in the legend.
        path: .png, .pdf or .svg.
        title: over the figure.
        length_unit: of the initial conditions, for the axes.
        time_unit: likewise.
        overwrite: whether a file of the name may be replaced.

    Raises:
        InputError: there is no run, a suffix is not known, or the file cannot be written.
    """
    check_figure(path, overwrite)
    if not recordings:
        raise InputError("plot_comparison needs at least one recording")
    with page_style():
        figure, (orbit, step, error) = _panels()
        styles = {name: {"color": COLOURS[i % len(COLOURS)]} for i, name in enumerate(recordings)}
        for depth, (name, recording) in enumerate(reversed(list(recordings.items())), start=3):
            line = styles[name] | {"zorder": depth}
            _draw_orbits(orbit, recording, [line] * len(recording.mass))
            _draw_step(step, recording, line)
            _draw_error(error, recording, line)
        _frame(orbit, list(recordings.values()))
        _label(figure, (orbit, step, error), length_unit, time_unit)
        legend_above(figure, title, styles)
        save_figure(figure, path)


def plot_run(
    recording: Recording,
    path: Path | str,
    *,
    title: str = "",
    length_unit: str = "",
    time_unit: str = "",
    overwrite: bool = False,
) -> None:
    """One run: the orbit of each body, the step over time, the energy error over time.

    Args and errors: as for `plot_comparison`.
    """
    check_figure(path, overwrite)
    n_bodies = len(recording.mass)
    with page_style():
        figure, (orbit, step, error) = _panels()
        styles = [line_style(body) for body in range(n_bodies)]
        _draw_orbits(orbit, recording, styles)
        _draw_step(step, recording, {"color": BLACK})
        _draw_error(error, recording, {"color": BLACK})
        _frame(orbit, [recording])
        _label(figure, (orbit, step, error), length_unit, time_unit)
        names = recording.names or [f"body {body}" for body in range(n_bodies)]
        legend_above(figure, title, dict(zip(names, styles, strict=True)) if n_bodies <= _MOST_NAMES else {})
        save_figure(figure, path)


def plot_training(metrics_path: Path | str, path: Path | str, *, title: str = "", overwrite: bool = False) -> None:
    """The course of a training, from its metrics.jsonl: every epoch, and the running median.

    Args:
        metrics_path: the file, or the run directory that holds it.
        path: .png, .pdf or .svg.
        title: over the figure.
        overwrite: whether a file of the name may be replaced.

    Raises:
        InputError: the metrics cannot be read, a suffix is not known, or the file cannot be written.
    """
    check_figure(path, overwrite)
    metrics = _read_metrics(Path(metrics_path))
    with page_style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(PAGE_WIDTH, 4.6), layout="constrained")
        figure.suptitle(title, fontsize=STYLE["axes.titlesize"])
        axes = figure.subplots(2, 2, sharex=True)
        for axis, (label, scale, curves) in zip(axes.flat, _TRAINING_PANELS, strict=True):
            axis.set_ylabel(label)
            axis.set_yscale(scale, **({"linthresh": 1.0} if scale == "symlog" else {}))
            drawn = [
                # Each thinner than the one before: curves that coincide are both seen.
                _draw_metric(axis, metrics, key, name, {"color": COLOURS[i], "linewidth": 2.0 - 0.4 * i})
                for i, (key, name) in enumerate(curves)
            ]
            if any(drawn):
                axis.legend(frameon=False)
            else:
                axis.text(0.5, 0.5, "not recorded", ha="center", va="center", transform=axis.transAxes)
        axes[1, 1].set_ylim(bottom=0.0)
        for axis in axes[1]:
            axis.set_xlabel("epoch")
        save_figure(figure, path)


_TRAINING_PANELS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    (
        "relative energy error",
        "log",
        (("mean_energy_error", "accepted steps, mean"), ("max_rel_dE", "replayed states, largest")),
    ),
    ("step, in the unit of time", "log", (("accepted_dt", "accepted steps, mean"),)),
    (
        "retrain iterations",
        "symlog",
        (("mean_retrain_iterations", "Part 1, for each step"), ("part2_iterations", "Part 2, in the epoch")),
    ),
    (
        "fraction",
        "linear",
        (
            ("acceptance_rate", "attempts accepted"),
            ("final_pass_rate", "replayed states that pass"),
            ("in_band_rate", "replayed states in the band"),
            ("mean_step_fraction", "step over the largest that passes"),
        ),
    ),
)
"""Label, scale, and the metrics with their names, of each panel."""


def _panels() -> tuple[Any, tuple[Any, Any, Any]]:
    """A square for the orbit, and beside it two panels over time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE_WIDTH, 3.6), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1.0, 1.25))
    step = figure.add_subplot(grid[0, 1])
    error = figure.add_subplot(grid[1, 1], sharex=step)
    step.tick_params(labelbottom=False)
    return figure, (figure.add_subplot(grid[:, 0]), step, error)


def _label(figure: Any, axes: tuple[Any, Any, Any], length_unit: str, time_unit: str) -> None:
    from matplotlib.ticker import MaxNLocator

    orbit, step, error = axes
    orbit.set(xlabel="x" + _in(length_unit), ylabel="y" + _in(length_unit))
    for axis in (orbit.xaxis, orbit.yaxis):
        axis.set_major_locator(MaxNLocator(5))
    step.set(ylabel="step" + _in(time_unit), yscale="log")
    error.set(ylabel=r"$|E - E_0| \, / \, |E_0|$", yscale="log", xlabel="time" + _in(time_unit))
    error.margins(x=0.01)
    for axis in (step, error):
        at_least_a_decade(axis)
    figure.align_ylabels([step, error])


def _in(unit: str) -> str:
    return f" [{unit}]" if unit else ""


def _plane(recording: Recording) -> Floats:
    """(S, N, 2): places in the x-y plane; a body in one dimension moves along x."""
    position = recording.position[..., :2]
    if position.shape[-1] == 1:
        return np.concatenate([position, np.zeros_like(position)], axis=-1)
    return position


def _draw_orbits(axis: Any, recording: Recording, styles: Sequence[dict[str, Any]]) -> None:
    """The path of each body in the x-y plane, and a dot where it starts."""
    for path, line in zip(np.moveaxis(_plane(recording), 1, 0), styles, strict=True):
        chosen, turn = along_path(path, _PATH_POINTS)
        # Over very many revolutions chords would fill the inside of the orbit: then it is dotted.
        dotted = len(chosen) < len(path) and turn > _SHARPEST_TURN
        form = {"linestyle": "none", "marker": ".", "markersize": 0.8} if dotted else {}
        axis.plot(*path[chosen].T, **line | {"linewidth": 0.7} | form)
        axis.plot(*path[0], ".", markersize=4, **line | {"zorder": line.get("zorder", 2) + 0.5})


def _frame(axis: Any, recordings: Sequence[Recording]) -> None:
    """A square that holds the first run, and of the others what is within twice its size."""
    corners = [np.array([plane.min((0, 1)), plane.max((0, 1))]) for plane in map(_plane, recordings)]
    low, high = corners[0]
    grown = 0.5 * (high - low).max()
    low = np.maximum(np.min([c[0] for c in corners], axis=0), low - grown)
    high = np.minimum(np.max([c[1] for c in corners], axis=0), high + grown)
    centre, half = 0.5 * (low + high), 0.54 * (high - low).max() or 1.0
    axis.set(xlim=(centre[0] - half, centre[0] + half), ylim=(centre[1] - half, centre[1] + half), aspect="equal")


def _draw_step(axis: Any, recording: Recording, line: dict[str, Any]) -> None:
    time, dt = recording.time[1:], recording.dt[1:]
    if recording.summary.outcome == FINISHED and len(dt) > 1:
        time, dt = time[:-1], dt[:-1]  # the last step is what was left of the duration
    if len(dt):
        shown = extremes(time, dt, _BINS)
        axis.plot(time[shown], dt[shown], **line)


def _draw_error(axis: Any, recording: Recording, line: dict[str, Any]) -> None:
    time, error = recording.time[1:], np.maximum(recording.energy_error[1:], _SMALLEST_ERROR)
    if len(error):
        shown = maxima(time, error, _BINS)
        axis.plot(time[shown], error[shown], **line)


def _draw_metric(axis: Any, metrics: Mapping[str, Floats], key: str, name: str, line: dict[str, Any]) -> bool:
    """Each epoch as a faint line and the running median over it; returns whether there was anything."""
    if key not in metrics:
        return False
    known = np.isfinite(metrics[key])
    epoch, values = metrics["epoch"][known], metrics[key][known]
    if not len(values):
        return False
    shown = extremes(epoch, values, _BINS)
    axis.plot(epoch[shown], values[shown], **line | {"linewidth": 0.5, "alpha": 0.4})
    places, medians = running_median(values, max(1, len(values) // 20), _BINS)
    axis.plot(epoch[places], medians, label=name, **line)
    return True


def _read_metrics(path: Path) -> dict[str, Floats]:
    """The numbers of each epoch, NaN where one is missing; the last line may have been cut by a kill."""
    path = path / "metrics.jsonl" if path.is_dir() else path
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the metrics {path}: {getattr(error, 'strerror', None) or error}") from None
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(dict(json.loads(line)))
        except (ValueError, TypeError):
            if number < len(lines):
                raise InputError(f"cannot read the metrics {path}: line {number} is not a JSON object") from None
    if not records or "epoch" not in records[0]:
        raise InputError(f"cannot read the metrics {path}: there is no epoch in it")
    keys = dict.fromkeys(key for record in records for key in record)
    return {key: np.array([_number(record.get(key)) for record in records]) for key in keys}


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")
