"""Panels over time: the step, and errors, with what was asked and the largest of the run."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aitimestepper.recordings.recording import Recording
from aitimestepper.views.page import STYLE, at_least_a_decade
from aitimestepper.views.series import (
    Series,
    Units,
    energy_errors,
    in_unit,
    largest_energy_error,
    step_ranges,
)
from aitimestepper.views.thinning import envelope, maxima

BINS = 800


def panels_over_time(figure: Any, cells: Sequence[Any]) -> list[Any]:
    """Panels below each other, with numbers of the time under the last alone."""
    axes: list[Any] = []
    for cell in cells:
        axes.append(figure.add_subplot(cell, sharex=axes[0] if axes else None))
    for axis in axes[:-1]:
        axis.tick_params(labelbottom=False)
    return axes


def label_over_time(figure: Any, axes: Sequence[Any], units: Units) -> None:
    """Label the panels of the step, of the energy error, and perhaps more below them."""
    step, error, *_ = axes
    step.set(ylabel="step" + in_unit(units.time), yscale="log")
    error.set(ylabel=r"$|E - E_0| \, / \, |E_0|$", yscale="log")
    axes[-1].set_xlabel("time" + in_unit(units.time))
    axes[-1].margins(x=0.01)
    for axis in axes:
        at_least_a_decade(axis)
    figure.align_ylabels(axes)


def draw_step(axis: Any, recording: Recording, line: dict[str, Any]) -> None:
    """The shortest and the longest step over time, and what lies between them."""
    low, high = step_ranges(recording)
    if not len(low.time):
        axis.text(0.5, 0.5, "not recorded", ha="center", va="center", transform=axis.transAxes)
        return
    time, shortest, longest = envelope(low.time, low.value, high.value, BINS)
    axis.plot(time, shortest, **line | {"linewidth": 0.6})
    axis.plot(time, longest, **line | {"linewidth": 0.6})
    axis.fill_between(time, shortest, longest, color=line["color"], alpha=0.3, linewidth=0)


def draw_error(axis: Any, series: Series, line: dict[str, Any]) -> None:
    """Errors over time: the largest of each interval."""
    time, error = series
    if len(error):
        shown = maxima(time, error, BINS)
        axis.plot(time[shown], error[shown], **line)


def draw_energy_error(axis: Any, recording: Recording, line: dict[str, Any], *, words: bool) -> None:
    """Energy errors over time, what was asked as a dashed line, and the largest of the run as a mark.

    Args:
        axis: the panel.
        recording: the run.
        line: of the curve and of the mark.
        words: whether line and mark are named.
    """
    draw_error(axis, energy_errors(recording), line)
    axis.set_yscale("log")
    asked, largest = recording.summary.energy_error_asked, largest_energy_error(recording)
    texts = []
    if asked is not None:
        axis.axhline(asked, color="0.35" if words else line["color"], linestyle="--", linewidth=0.8, zorder=1)
        texts.append(f"asked {asked:.3g} (dashed)")
    if largest is not None:
        axis.plot(*largest, linestyle="", marker="v", markersize=4, color=line["color"], zorder=5)
        texts.append(f"largest {largest[1]:.2g} ($\\blacktriangledown$)")
    if words:
        axis.set_title(", ".join(texts), loc="left", fontsize=STYLE["ytick.labelsize"], pad=3)
