"""Figures of recordings and of training runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Unpack

from aitimestepper.arrays import Floats
from aitimestepper.errors import InputError
from aitimestepper.recordings.recording import Recording
from aitimestepper.views.framing import common_box, in_dimensions, inner_part, run_box, within
from aitimestepper.views.interpolation import Motion
from aitimestepper.views.metrics import ERROR_PANEL, ROLES, TRAINING_PANELS, Panel, curves_of, edges_of, read_metrics
from aitimestepper.views.orbits import cube, draw_all, draw_orbits, ends_in_words, label_orbit, paths_of, square
from aitimestepper.views.over_time import (
    BINS,
    draw_energy_error,
    draw_error,
    draw_step,
    label_over_time,
    panels_over_time,
)
from aitimestepper.views.page import (
    BLACK,
    COLOURS,
    MOST_NAMES,
    PAGE_WIDTH,
    STYLE,
    figure_file,
    legend_above,
    line_style,
    page_style,
    save_figure,
)
from aitimestepper.views.selection import AxisUnits, only_bodies, shown_in
from aitimestepper.views.series import Units, angular_momentum_errors, body_names, in_external_field
from aitimestepper.views.thinning import extremes, running_median

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_comparison(
    recordings: Mapping[str, Recording],
    path: Path | str | None = None,
    *,
    title: str = "",
    bodies: Sequence[int | str] | None = None,
    overwrite: bool = False,
    **units: Unpack[AxisUnits],
) -> Figure:
    """Several runs of one system in one figure: orbits, steps over time, energy errors over time.

    The first run is drawn in front, and the others are shown as far out as twice its size. Long runs are thinned to
    what can be seen: of steps the shortest and the longest in each interval are shown, of the energy error the largest.

    Args:
        recordings: the runs, by the name in the legend.
        path: .png, .pdf or .svg; None to write nothing.
        title: over the figure.
        bodies: names or numbers of those whose orbits are shown; None for all.
        overwrite: whether a file of the name may be replaced.
        units: length_unit, time_unit: to which a run that knows its units is converted; length_label, time_label: what
            stands at the axes instead of the names of the units.

    Returns:
        The figure of matplotlib, to be edited and saved.

    Raises:
        InputError: there is no run, a unit or body is not known, a suffix is not known, or the file cannot be written.
    """
    if not recordings:
        raise InputError("plot_comparison needs at least one recording")
    shown = {name: shown_in(recording, units) for name, recording in recordings.items()}
    names = next(iter(shown.values()))[1]
    runs = {name: run for name, (run, _) in shown.items()}
    with figure_file(path, overwrite) as output, page_style():
        figure, (orbit, step, error) = _panels()
        styles = {name: {"color": COLOURS[i % len(COLOURS)]} for i, name in enumerate(runs)}
        for depth, (name, run) in enumerate(reversed(list(runs.items())), start=3):
            line = styles[name] | {"zorder": depth}
            drawn = only_bodies(run, bodies)
            draw_orbits(orbit, in_dimensions(paths_of(drawn), 2), [line] * len(drawn.mass))
            draw_step(step, run, line)
            draw_energy_error(error, run, line, words=len(runs) == 1)
        drawn_runs = [only_bodies(run, bodies) for run in runs.values()]
        square(orbit, *common_box(drawn_runs))
        label_orbit(orbit, names)
        _say_what_is_straight(orbit, drawn_runs)
        label_over_time(figure, (step, error), names)
        legend_above(figure, title, styles | ends_in_words(1))
        save_figure(figure, output)
    return figure


def plot_run(
    recording: Recording,
    path: Path | str | None = None,
    *,
    title: str = "",
    bodies: Sequence[int | str] | None = None,
    dim: Literal[2, 3] | None = None,
    overwrite: bool = False,
    **units: Unpack[AxisUnits],
) -> Figure:
    """One run: the orbit of each body, and over time the step and the errors of energy and angular momentum.

    A run in three dimensions is shown in the x-y plane and in space; bodies in the middle of much wider orbits have a
    panel of their own. Over time stand the shortest and the longest step, and the largest energy error, since the state
    before, whether it was kept or not; dashed is what was asked.

    Args and errors: as for `plot_comparison`, and
        dim: 2 for the x-y plane alone; None or 3 for what the run has.
    """
    run, names = shown_in(recording, units)
    drawn = only_bodies(run, bodies)
    if dim == 3 and run.position.shape[-1] < 3:
        raise InputError(f"the run has {run.position.shape[-1]} dimensions: it cannot be shown in space (dim = 3)")
    in_space = run.position.shape[-1] == 3 and dim != 2
    inner = inner_part(drawn)
    styles = [line_style(body) for body in range(len(drawn.mass))]
    with figure_file(path, overwrite) as output, page_style():
        figure, orbits, over_time = _run_panels(in_space, inner is not None)
        paths = paths_of(drawn)
        draw_all(orbits[0], in_dimensions(paths, 2), styles)
        square(orbits[0], *run_box(drawn, 2))
        label_orbit(orbits[0], names)
        _say_what_is_straight(orbits[0], [drawn])
        if inner is not None:
            _draw_inner(orbits, inner, in_dimensions(paths, 2), styles, names)
        if in_space:
            box = run_box(drawn, 3)
            draw_all(orbits[-1], within(paths, *box), styles)
            cube(orbits[-1], *box, names)
        _draw_over_time(figure, over_time, run, names)
        few = len(drawn.mass) <= MOST_NAMES
        named = dict(zip(body_names(drawn), styles, strict=True)) if few else {}
        legend_above(figure, title, named | ends_in_words(len(drawn.mass)))
        save_figure(figure, output)
    return figure


def _draw_inner(orbits: Sequence[Any], inner: Any, paths: Floats, styles: Sequence[Any], units: Units) -> None:
    """The bodies in the middle, in a panel of their own, and its frame in the first one."""
    from matplotlib.patches import Rectangle

    chosen, (centre, half) = inner
    draw_orbits(orbits[1], paths[:, chosen], [styles[k] for k in chosen])
    square(orbits[1], centre, half)
    label_orbit(orbits[1], units)
    orbits[1].set_title("inner part", fontsize=STYLE["legend.fontsize"])
    orbits[0].add_patch(Rectangle(centre - half, 2 * half, 2 * half, fill=False, edgecolor="0.4", linewidth=0.6))


def _draw_over_time(figure: Any, axes: Sequence[Any], run: Recording, units: Units) -> None:
    step, error, spin = axes
    draw_step(step, run, {"color": BLACK})
    draw_energy_error(error, run, {"color": BLACK}, words=True)
    draw_error(spin, angular_momentum_errors(run), {"color": BLACK})
    spin.set(ylabel=r"$|\Delta L|$ (relative)", yscale="log")
    if in_external_field(run):
        spin.set_title("not conserved: external field", fontsize=STYLE["legend.fontsize"])
    label_over_time(figure, axes, units)


def _say_what_is_straight(axis: Any, runs: Sequence[Recording]) -> None:
    counts = [Motion(run).straight() for run in runs]
    straight, arcs = (sum(column) for column in zip(*counts, strict=True))
    if straight:
        text = f"{straight:,} of {arcs:,} arcs drawn straight: few states"
        axis.set_title(text, fontsize=STYLE["ytick.labelsize"])


def plot_training(
    metrics_path: Path | str, path: Path | str | None = None, *, title: str = "", overwrite: bool = False
) -> Figure:
    """The course of a training, from its metrics.jsonl: every epoch, and the running median.

    Args:
        metrics_path: the file, or the run directory that holds it.
        path: .png, .pdf or .svg; None to write nothing.
        title: over the figure.
        overwrite: whether a file of the name may be replaced.

    Returns:
        The figure of matplotlib, to be edited and saved.

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
        figure.align_ylabels(axes)
        save_figure(figure, output)
    return figure


def _panels() -> tuple[Any, tuple[Any, Any, Any]]:
    """A square for the orbit, and beside it two panels over time."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(PAGE_WIDTH, 3.6), layout="constrained")
    grid = figure.add_gridspec(2, 2, width_ratios=(1.0, 1.25))
    return figure, (figure.add_subplot(grid[:, 0]), *panels_over_time(figure, [grid[0, 1], grid[1, 1]]))


def _run_panels(in_space: bool, with_inner: bool) -> tuple[Any, list[Any], list[Any]]:
    """Figure; the plane, its inner part and space, where they are wanted; and three panels over time."""
    from matplotlib.figure import Figure

    count = 1 + in_space + with_inner
    figure = Figure(figsize=(PAGE_WIDTH, (4.0, 6.4, 8.8)[count - 1]), layout="constrained")
    # Grids of their own: rows of one grid would be as far apart on both sides.
    halves = figure.add_gridspec(1, 2, width_ratios=(1.0, 1.25))
    cells = halves[0].subgridspec(count, 1)
    orbits = [figure.add_subplot(cells[k]) for k in range(1 + with_inner)]
    if in_space:
        orbits.append(figure.add_subplot(cells[count - 1], projection="3d"))
    rows = halves[1].subgridspec(3, 1)
    return figure, orbits, panels_over_time(figure, [rows[k] for k in range(3)])


def _draw_panel(axis: Any, metrics: dict[str, Floats], panel: Panel) -> None:
    """Each epoch as a faint line, and the running median over it."""
    axis.set_ylabel(panel.label)
    axis.set_yscale(panel.scale, **({"linthresh": 1.0} if panel.scale == "symlog" else {}))
    curves = curves_of(metrics, panel)
    for role, (epoch, values) in curves.items():
        shown = extremes(epoch, values, BINS)
        axis.plot(epoch[shown], values[shown], color=COLOURS[role], linewidth=0.5, alpha=0.4)
        chosen, medians = running_median(values, max(1, len(values) // 20), BINS)
        axis.plot(epoch[chosen], medians, color=COLOURS[role], linewidth=1.4)
    if not curves:
        axis.text(0.5, 0.5, "not recorded", ha="center", va="center", transform=axis.transAxes)
    if panel.scale == "linear":
        axis.set_ylim(bottom=0.0)
