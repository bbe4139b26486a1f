"""Figures of recordings and of training runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from aitimestepper.arrays import Floats
from aitimestepper.errors import InputError
from aitimestepper.recordings.recording import Recording
from aitimestepper.views.framing import common_box, in_dimensions, run_box, within
from aitimestepper.views.metrics import ERROR_PANEL, ROLES, TRAINING_PANELS, Panel, curves_of, edges_of, read_metrics
from aitimestepper.views.orbits import cube, draw_all, draw_orbits, label_orbit, paths_of, square
from aitimestepper.views.page import (
    BLACK,
    COLOURS,
    MOST_NAMES,
    PAGE_WIDTH,
    STYLE,
    at_least_a_decade,
    figure_file,
    legend_above,
    line_style,
    page_style,
    save_figure,
)
from aitimestepper.views.series import (
    Series,
    Units,
    angular_momentum_errors,
    body_names,
    energy_errors,
    in_external_field,
    in_unit,
    steps,
    units_of,
)
from aitimestepper.views.thinning import extremes, maxima, running_median

_BINS = 800


def plot_comparison(
    recordings: Mapping[str, Recording],
    path: Path | str,
    *,
    title: str = "",
    length_unit: str | None = None,
    time_unit: str | None = None,
    overwrite: bool = False,
) -> None:
    """Several runs of one system in one figure: orbits, steps over time, energy errors over time.

    The first run is drawn in front, and the others are shown as far out as twice its size. Long runs are thinned to
    what can be seen; of the energy error the largest value in each interval is shown.

    Args:
        recordings: the runs, by the name in the legend.
        path: .png, .pdf or .svg.
        title: over the figure.
        length_unit: of the initial conditions, for the axes; None for what the first recording says of itself.
        time_unit: likewise.
        overwrite: whether a file of the name may be replaced.

    Raises:
        InputError: there is no run, a suffix is not known, or the file cannot be written.
    """
    if not recordings:
        raise InputError("plot_comparison needs at least one recording")
    units = _units(next(iter(recordings.values())), length_unit, time_unit)
    with figure_file(path, overwrite) as output, page_style():
        figure, (orbit, step, error) = _panels()
        styles = {name: {"color": COLOURS[i % len(COLOURS)]} for i, name in enumerate(recordings)}
        for depth, (name, recording) in enumerate(reversed(list(recordings.items())), start=3):
            line = styles[name] | {"zorder": depth}
            draw_orbits(orbit, in_dimensions(paths_of(recording), 2), [line] * len(recording.mass))
            _draw_step(step, recording, line)
            _draw_error(error, energy_errors(recording), line)
        square(orbit, *common_box(list(recordings.values())))
        label_orbit(orbit, units)
        _label_over_time(figure, (step, error), units)
        legend_above(figure, title, styles)
        save_figure(figure, output)


def plot_run(
    recording: Recording,
    path: Path | str,
    *,
    title: str = "",
    length_unit: str | None = None,
    time_unit: str | None = None,
    overwrite: bool = False,
) -> None:
    """One run: the orbit of each body, and over time the step and the errors of energy and angular momentum.

    A run in three dimensions is shown in the x-y plane and in space. Where every step was kept, steps and energy
    errors are those of every step.

    Args and errors: as for `plot_comparison`.
    """
    n_bodies = len(recording.mass)
    units = _units(recording, length_unit, time_unit)
    in_space = recording.position.shape[-1] == 3
    with figure_file(path, overwrite) as output, page_style():
        figure, orbit, space, over_time = _run_panels(in_space)
        styles = [line_style(body) for body in range(n_bodies)]
        paths = paths_of(recording)
        draw_all(orbit, in_dimensions(paths, 2), styles)
        square(orbit, *run_box(recording, 2))
        label_orbit(orbit, units)
        if in_space:
            box = run_box(recording, 3)
            draw_all(space, within(paths, *box), styles)
            cube(space, *box, units)
        step, error, spin = over_time
        _draw_step(step, recording, {"color": BLACK})
        _draw_error(error, energy_errors(recording), {"color": BLACK})
        _draw_error(spin, angular_momentum_errors(recording), {"color": BLACK})
        spin.set(ylabel=_SPIN_LABEL, yscale="log")
        if in_external_field(recording):
            spin.set_title("not conserved: external field", fontsize=STYLE["legend.fontsize"])
        _label_over_time(figure, over_time, units)
        names = body_names(recording)
        legend_above(figure, title, dict(zip(names, styles, strict=True)) if n_bodies <= MOST_NAMES else {})
        save_figure(figure, output)


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
    metrics, edges = read_metrics(Path(metrics_path)), edges_of(Path(metrics_path))
    with figure_file(path, overwrite) as output, page_style():
        from matplotlib.figure import Figure

        figure = Figure(figsize=(PAGE_WIDTH, 6.6), layout="constrained")
        legend_above(figure, title, {name: {"color": COLOURS[role]} for role, name in enumerate(ROLES)})
        axes = figure.subplots(len(TRAINING_PANELS) // 2, 2, sharex=True)
        for axis, panel in zip(axes.flat, TRAINING_PANELS, strict=True):
            _draw_panel(axis, metrics, panel)
            if panel.label == ERROR_PANEL and edges is not None:
                axis.axhspan(edges.lower, edges.upper, color=BLACK, alpha=0.1, linewidth=0, zorder=0)
                axis.axhline(edges.threshold, color=BLACK, linewidth=0.7, linestyle="--", zorder=0)
        for axis in axes[-1]:
            axis.set_xlabel("epoch")
        save_figure(figure, output)


_SPIN_LABEL = r"$|L - L_0| \,/\, \max\, \Sigma m|x||v|$"


def _units(recording: Recording, length: str | None, time: str | None) -> Units:
    """The units that were given; of those that were not, what the recording says."""
    known = units_of(recording)
    return Units(known.length if length is None else length, known.time if time is None else time)


def _panels() -> tuple[Any, tuple[Any, Any, Any]]:
    """A square for the orbit, and beside it two panels over time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE_WIDTH, 3.6), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1.0, 1.25))
    return figure, (figure.add_subplot(grid[:, 0]), *_over_time(figure, [grid[0, 1], grid[1, 1]]))


def _run_panels(in_space: bool) -> tuple[Any, Any, Any, list[Any]]:
    """Figure, the plane, space if there is one, and three panels over time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE_WIDTH, 6.4 if in_space else 4.6), layout="constrained")
    # Grids of their own: rows of one grid would be as far apart on both sides.
    halves = figure.add_gridspec(1, 2, width_ratios=(1.0, 1.25))
    orbits = halves[0].subgridspec(2 if in_space else 1, 1)
    rows = halves[1].subgridspec(3, 1)
    space = figure.add_subplot(orbits[1], projection="3d") if in_space else None
    return figure, figure.add_subplot(orbits[0]), space, _over_time(figure, [rows[k] for k in range(3)])


def _over_time(figure: Any, cells: Sequence[Any]) -> list[Any]:
    """Panels below each other, with numbers of the time under the last alone."""
    axes: list[Any] = []
    for cell in cells:
        axes.append(figure.add_subplot(cell, sharex=axes[0] if axes else None))
    for axis in axes[:-1]:
        axis.tick_params(labelbottom=False)
    return axes


def _label_over_time(figure: Any, axes: Sequence[Any], units: Units) -> None:
    """Label the panels of the step, of the energy error, and perhaps more below them."""
    step, error, *_ = axes
    step.set(ylabel="step" + in_unit(units.time), yscale="log")
    error.set(ylabel=r"$|E - E_0| \, / \, |E_0|$", yscale="log")
    axes[-1].set_xlabel("time" + in_unit(units.time))
    axes[-1].margins(x=0.01)
    for axis in axes:
        at_least_a_decade(axis)
    figure.align_ylabels(axes)


def _draw_step(axis: Any, recording: Recording, line: dict[str, Any]) -> None:
    time, dt = steps(recording)
    if len(dt):
        shown = extremes(time, dt, _BINS)
        axis.plot(time[shown], dt[shown], **line)


def _draw_error(axis: Any, series: Series, line: dict[str, Any]) -> None:
    time, error = series
    if len(error):
        shown = maxima(time, error, _BINS)
        axis.plot(time[shown], error[shown], **line)


def _draw_panel(axis: Any, metrics: dict[str, Floats], panel: Panel) -> None:
    """Each epoch as a faint line, and the running median over it."""
    axis.set_ylabel(panel.label)
    axis.set_yscale(panel.scale, **({"linthresh": 1.0} if panel.scale == "symlog" else {}))
    curves = curves_of(metrics, panel)
    for role, (epoch, values) in curves.items():
        shown = extremes(epoch, values, _BINS)
        axis.plot(epoch[shown], values[shown], color=COLOURS[role], linewidth=0.5, alpha=0.4)
        chosen, medians = running_median(values, max(1, len(values) // 20), _BINS)
        axis.plot(epoch[chosen], medians, color=COLOURS[role], linewidth=1.4)
    if not curves:
        axis.text(0.5, 0.5, "not recorded", ha="center", va="center", transform=axis.transAxes)
    if panel.scale == "linear":
        axis.set_ylim(bottom=0.0)
