"""Work-precision figure: errors of a comparison against the force evaluations that they cost."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aitimestepper.comparison.result import Comparison, SystemComparison
from aitimestepper.constants import SMALLEST_ERROR
from aitimestepper.errors import InputError
from aitimestepper.views.page import COLOURS, PAGE_WIDTH, STYLE, figure_file, line_style, page_style, save_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SYSTEMS_IN_A_BAND = 3
_PANEL_HEIGHT = 1.75
_LEGEND_ROW = 0.2
_MARKERS = ("o", "s", "D", "^", "v", "<", ">")
_UNSURE = "0.88"
_LONGEST_TITLE = 34
_PANELS = (("energy_error_max", r"max $|E - E_0| \, / \, |E_0|$"), ("position_error", "position error"))


def plot_work_precision(
    comparison: Comparison, path: Path | str | None = None, *, title: str = "", overwrite: bool = False
) -> Figure:
    """Largest energy error and position error at the end against force evaluations, a column for each system.

    A line for each method; where no run could meet the budget, the marker of the nearest one is hollow. Position
    errors in the grey part are below what the reference run is sure of.

    Args:
        comparison: what `compare` returned.
        path: .png, .pdf or .svg; None to write nothing.
        title: over the figure.
        overwrite: whether a file of the name may be replaced.

    Returns:
        The figure of matplotlib, to be edited and saved.

    Raises:
        InputError: there is nothing to draw, a suffix is not known, or the file cannot be written.
    """
    methods = list(dict.fromkeys(row.method for row in comparison.rows))
    if not methods:
        raise InputError("there is nothing to draw: the comparison has no rows")
    styles = {method: _style(number) for number, method in enumerate(methods)}
    columns = 2 if len(comparison.systems) in (2, 4) else min(len(comparison.systems), SYSTEMS_IN_A_BAND)
    with figure_file(path, overwrite) as output, page_style():
        figure, axes = _grid(len(comparison.systems), columns, len(methods))
        for number, system in enumerate(comparison.systems):
            band, column = divmod(number, columns)
            upper, lower = axes[2 * band][column], axes[2 * band + 1][column]
            _draw_system(system, upper, lower, styles)
            for axis, (_, label) in zip((upper, lower), _PANELS, strict=True):
                if column == 0:
                    axis.set_ylabel(label)
        _legend(figure, title, styles, missed=any(not row.met for row in comparison.rows))
        figure.align_ylabels()
        save_figure(figure, output)
    return figure


def _style(number: int) -> dict[str, Any]:
    """A colour and a marker that never come together twice in the first 21 methods."""
    marker = _MARKERS[(number + number // len(COLOURS)) % len(_MARKERS)]
    return {**line_style(number), "marker": marker, "markersize": 3.6, "markeredgewidth": 0.9}


def _grid(n_systems: int, columns: int, n_methods: int) -> tuple[Any, Any]:
    """Axes by row and column, two rows for each band of systems; those without a system are left empty."""
    from matplotlib.figure import Figure

    bands = -(-n_systems // columns)
    height = 2 * bands * _PANEL_HEIGHT + 0.5 + _LEGEND_ROW * -(-(n_methods + 2) // 3)
    width = PAGE_WIDTH * (1.0 if columns > 1 else 0.62)
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.subplots(2 * bands, columns, squeeze=False)
    for number in range(n_systems, bands * columns):
        band, column = divmod(number, columns)
        axes[2 * band][column].set_axis_off()
        axes[2 * band + 1][column].set_axis_off()
    return figure, axes


def _draw_system(system: SystemComparison, upper: Any, lower: Any, styles: dict[str, dict[str, Any]]) -> None:
    name = system.system
    upper.set_title(name if len(name) <= _LONGEST_TITLE else name[: _LONGEST_TITLE - 1] + "…", fontsize=8.5)
    for axis, (quantity, _) in zip((upper, lower), _PANELS, strict=True):
        for method, style in styles.items():
            _draw_method(axis, system.points(method, quantity, SMALLEST_ERROR), style)
        _scale(axis)
    upper.tick_params(labelbottom=False)
    lower.set_xlabel("force evaluations")
    low, high = (f(axis.get_xlim()[k] for axis in (upper, lower)) for k, f in ((0, min), (1, max)))
    for axis in (upper, lower):
        _number_costs(axis, low, high)
    _shade_what_is_unsure(lower, system)


def _draw_method(axis: Any, points: Sequence[tuple[int, float, bool]], style: dict[str, Any]) -> None:
    met = [(cost, error) for cost, error, met in points if met]
    missed = [(cost, error) for cost, error, met in points if not met]
    if met:
        axis.plot(*zip(*met, strict=True), **style)
    if missed:
        axis.plot(*zip(*missed, strict=True), **style | {"linestyle": "none", "markerfacecolor": "white", "zorder": 3})


def _scale(axis: Any) -> None:
    """Logarithmic both ways, with numbers of errors at powers of ten."""
    from matplotlib.ticker import LogLocator, NullFormatter

    axis.set(xscale="log", yscale="log")
    axis.margins(0.08)
    low, high = axis.get_ylim()
    if high < 30 * low:
        axis.set_ylim(low / 5, high * 5)
    axis.yaxis.set_major_locator(LogLocator(numticks=6))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.grid(True, which="major", color="0.9", linewidth=0.5)
    axis.set_axisbelow(True)


_NUMBERED = ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0))
"""Mantissas of the costs that are numbered: the first that give three numbers in the range."""


def _number_costs(axis: Any, low: float, high: float) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)))
    for mantissas in _NUMBERED:
        costs = [m * 10.0**decade for decade in decades for m in mantissas if low <= m * 10.0**decade <= high]
        if len(costs) >= 3:
            break
    axis.set_xlim(low, high)
    axis.xaxis.set_major_locator(FixedLocator(costs))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda cost, _: _short(cost)))
    axis.xaxis.set_minor_formatter(NullFormatter())


def _short(cost: float) -> str:
    """`500`, `20k`, `3M`."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if cost >= size:
            return f"{cost / size:g}{letter}"
    return f"{cost:g}"


def _shade_what_is_unsure(axis: Any, system: SystemComparison) -> None:
    """Grey where a position error is no larger than what the reference run itself may be off."""
    if system.reference is None:
        return
    edge = system.reference.uncertainty
    low, high = axis.get_ylim()
    if edge > low:
        axis.set_ylim(low, max(high, 3 * edge))
        axis.axhspan(low, edge, color=_UNSURE, linewidth=0, zorder=0)


def _legend(figure: Any, title: str, styles: dict[str, dict[str, Any]], *, missed: bool) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = [Line2D([], [], label=method, **style) for method, style in styles.items()]
    if missed:
        form: dict[str, Any] = {"marker": "o", "markersize": 3.6, "markerfacecolor": "white", "linestyle": "none"}
        handles.append(Line2D([], [], label="budget not met", color="0.4", **form))
    handles.append(Patch(color=_UNSURE, label="below the reference's certainty"))
    figure.legend(
        handles=handles,
        title=title or None,
        title_fontsize=STYLE["axes.titlesize"],
        loc="outside upper center",
        ncols=min(len(handles), 4 if figure.get_figwidth() > 6 else 2),
        frameon=False,
        handlelength=2.4,
    )
