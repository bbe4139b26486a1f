"""The look of a figure, and where it is saved: one page wide, and legible to every kind of colour vision."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from aitimestepper.errors import InputError
from aitimestepper.outputs import Reservation, check_output

SUFFIXES = (".png", ".pdf", ".svg")

BLACK = "#000000"
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", BLACK, "#882255", "#999933", "#888888")
"""Okabe & Ito's: blue, vermillion, green, purple, orange, sky blue, black; then Tol's wine and olive, and grey."""

_SOLID = 7
"""Styles without a dash: those beyond are told apart by it as well."""

MOST_NAMES = 10
"""With more bodies a legend says nothing."""

PAGE_WIDTH = 7.1  # inches: two columns of a journal
STYLE: dict[Any, Any] = {
    "font.size": 8.5,
    "axes.labelsize": 8.5,
    "axes.titlesize": 9.5,
    "legend.fontsize": 8,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "axes.linewidth": 0.6,
    "lines.linewidth": 0.9,
    "xtick.direction": "in",
    "ytick.direction": "in",
    "xtick.top": True,
    "ytick.right": True,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


def check_figure(path: Path | str, overwrite: bool) -> None:
    """Refuse a figure that cannot be drawn or saved, before any work is done for it.

    Raises:
        InputError: a suffix that is not known, no matplotlib, or a path that cannot be written to.
    """
    if Path(os.path.realpath(path)).suffix.lower() not in SUFFIXES:
        raise InputError(f"cannot draw {path}: its suffix must be one of {', '.join(SUFFIXES)}")
    check_matplotlib()
    check_output(path, overwrite)


def figure_file(path: Path | str | None, overwrite: bool) -> AbstractContextManager[Reservation | None]:
    """The file of a figure, reserved while it is drawn; None without a path.

    Raises:
        InputError: as for `check_figure`; another process is writing it.
    """
    if path is None:
        check_matplotlib()
        return nullcontext()
    check_figure(path, overwrite)
    return Reservation(path, overwrite)


def check_matplotlib() -> None:
    """Say how to get matplotlib, where it is missing.

    Raises:
        InputError: it is.
    """
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError:
        raise InputError("figures need the package matplotlib: pip install 'aitimestepper[plot]'") from None


def page_style() -> Any:
    """The look, as a context."""
    import matplotlib

    return matplotlib.rc_context(STYLE)


def line_style(number: int) -> dict[str, Any]:
    """Ten colours, dashed from the eighth on: no two of the first twenty-one are alike."""
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": ("-", "--", ":")[dash_of(number)]}


def dash_of(number: int) -> int:
    """0 for a solid line, 1 and 2 for two kinds of dashes."""
    return number // _SOLID % 3


def at_least_a_decade(axis: Any) -> None:
    """Widen a range of y of less than a decade to one, with numbers at 1, 2 and 5; of a wider one at powers of ten."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    low, high = axis.get_ylim()
    axis.yaxis.set_minor_formatter(NullFormatter())
    if high < 10 * low:
        middle = np.sqrt(low * high)
        axis.set_ylim(middle / np.sqrt(10), middle * np.sqrt(10))
        axis.yaxis.set_minor_formatter(FuncFormatter(_between_decades))
        axis.tick_params(axis="y", which="minor", labelsize=STYLE["ytick.labelsize"])


def _between_decades(value: float, _: Any) -> str:
    """`2 x 10^-3` and `5 x 10^-3`, nothing at the others."""
    decade = math.floor(math.log10(value) + 1e-9)
    mantissa = round(value / 10.0**decade)
    return rf"${mantissa} \times 10^{{{decade}}}$" if mantissa in (2, 5) else ""


def legend_above(figure: Any, title: str, styles: Mapping[str, dict[str, Any]]) -> None:
    """Title over the figure, and below it the name of each style of line, if there are any."""
    from matplotlib.lines import Line2D

    if not styles:
        figure.suptitle(title, fontsize=STYLE["axes.titlesize"])
        return
    # As the legend's own, the title has its room in the layout.
    figure.legend(
        [Line2D([], [], **line) for line in styles.values()],
        list(styles),
        title=title or None,
        title_fontsize=STYLE["axes.titlesize"],
        loc="outside upper center",
        ncols=min(len(styles), 5),
        frameon=False,
    )


def save_figure(figure: Any, output: Reservation | None) -> None:
    """Write the figure, completely or not at all; nothing without a file."""
    if output is None:
        return
    content = io.BytesIO()
    figure.savefig(content, format=output.path.suffix.lower()[1:], dpi=200)
    output.write(content.getvalue())
