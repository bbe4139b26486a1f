"""A report: one web page that opens without a network, with everything that it needs inside."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

from aitimestepper._version import __version__
from aitimestepper.comparison.result import Comparison, SystemComparison
from aitimestepper.ensembles.promises import largest_share, promises_of
from aitimestepper.ensembles.result import COLUMN_NAMES, EnsembleResult, spread_of
from aitimestepper.errors import InputError
from aitimestepper.outputs import Reservation, check_output, spelled
from aitimestepper.recordings.parts import Summary
from aitimestepper.recordings.recording import Recording
from aitimestepper.recordings.shown import summary_rows
from aitimestepper.views.series import units_of
from aitimestepper.views.sources import Source, Training, read_sources
from aitimestepper.views.step_control import has_step_control
from aitimestepper.views.web_figures import (
    WebFigure,
    ensemble_figure,
    time_figure,
    training_figure,
    work_precision_figure,
)
from aitimestepper.views.web_orbits import orbit_figures
from aitimestepper.views.web_step_control import step_control_figure

MOST_SOURCES = 12
"""What a page shows at most."""

_FIGURE_BYTES = 900_000
"""For the figures of all sources together; the script that draws them has 4.8 MB, a page less than 6."""
_PATHS = 0.6
"""Part of it for orbits; the rest is for what is shown over time."""
_MOST_FAILURES = 20
"""Lines of failed members; all of them are in the file of the ensemble."""


class Table(NamedTuple):
    """Rows of text under a head; the head may be empty."""

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


class Section(NamedTuple):
    """One source on the page.

    Attributes:
        title: of the section.
        subtitle: what it is.
        tables: by their heading.
        verdict: what was asked and achieved, in a table of its own; None where nothing is ever asked.
        figures: from top to bottom.
        code: text shown on demand, by its heading.
    """

    title: str
    subtitle: str
    tables: dict[str, Table]
    verdict: Table | None
    figures: list[WebFigure]
    code: dict[str, str]


def report(
    sources: Sequence[Path | str] | Path | str, path: Path | str, *, title: str = "", overwrite: bool = False
) -> None:
    """Write a page about recordings, ensembles, comparisons and trainings.

    Args:
        sources: files, or directories with such files and perhaps a training; one or several.
        path: .html.
        title: of the page; by default the names of the sources.
        overwrite: whether a file of the name may be replaced.

    Raises:
        InputError: a source cannot be shown, there are too many, a package is missing, or the page cannot be written.
    """
    check_page(path, overwrite)
    named = [sources] if isinstance(sources, (str, Path)) else list(sources)
    found = [source for name in named for source in read_sources(name)]
    if not 0 < len(found) <= MOST_SOURCES:
        raise InputError(f"a report shows 1 to {MOST_SOURCES} files, got {len(found)}: name those that it is to show")
    share = _FIGURE_BYTES // len(found)
    title = title or ", ".join(Path(name).resolve().name for name in named)
    with Reservation(path, overwrite) as output:
        sections = [_section(source, share) for source in found]
        output.write(_page(title, sections).encode(errors="backslashreplace"))


def check_page(path: Path | str, overwrite: bool) -> None:
    """Refuse a page that cannot be written, before any work is done for it.

    Raises:
        InputError: a suffix that is not known, a package that is missing, or a path that cannot be written to.
    """
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise InputError(f"cannot write the report {path}: its suffix must be .html")
    try:
        import jinja2  # noqa: F401
        import plotly  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError(f"reports need the package {error.name}: pip install 'aitimestepper[plot]'") from None
    check_output(path, overwrite)


def _page(title: str, sections: Sequence[Section]) -> str:
    import jinja2
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    figures = [figure for section in sections for figure in section.figures]
    template = resources.files("aitimestepper.views").joinpath("report.html").read_text(encoding="utf-8")
    return (
        jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
        .from_string(template)
        .render(
            title=title,
            sections=sections,
            figures=[{"data": figure.data, "layout": figure.layout} for figure in figures],
            plotly=Markup(get_plotlyjs()),
            version=__version__,
        )
    )


def _section(source: Source, n_bytes: int) -> Section:
    name, content = source.path.resolve().name, source.content
    if isinstance(content, Recording):
        return _of_recording(name, content, n_bytes)
    if isinstance(content, EnsembleResult):
        return _of_ensemble(name, content)
    if isinstance(content, Comparison):
        return _of_comparison(name, content)
    return _of_training(name, content, n_bytes)


def _of_recording(name: str, recording: Recording, n_bytes: int) -> Section:
    summary = recording.summary
    units = units_of(recording)
    about = {
        "bodies": str(len(recording.mass)),
        "dimensions": str(recording.position.shape[-1]),
        "initial conditions": str(recording.settings.get("ic", "given as arrays")),
        "note": recording.note,
        "units of length and time": f"{units.length}, {units.time}",
        "G": _cell(recording.G),
        "softening": _cell(recording.softening),
        "states kept": str(len(recording.time)),
    }
    asked = {key for key in summary.as_dict() if key.endswith(("_asked", "_verdict"))}
    results = summary_rows({key: value for key, value in summary.as_dict().items() if key not in asked})
    paths = int(_PATHS * n_bytes)
    over_time, control = n_bytes - paths, []
    if has_step_control(recording):
        over_time //= 2
        control = [step_control_figure(recording, over_time)]
    return Section(
        title=name,
        subtitle=f"A simulation: {summary.outcome}",
        tables={"System": _facts(about), "Summary": Table((), results), "Settings": _facts(recording.settings)},
        verdict=_verdict(summary),
        figures=[*orbit_figures(recording, paths), time_figure(recording, over_time), *control],
        code={},
    )


def _verdict(summary: Summary) -> Table:
    lines = (
        ("energy error of the run", summary.energy_error_asked, summary.energy_error_max, summary.energy_verdict),
        (
            "local position error",
            *(summary.position_error_asked, summary.position_error_max, summary.position_verdict),
        ),
        ("position error at the end, estimated", None, summary.position_error_run, None),
        ("energy error of a step", summary.step_error_asked, summary.step_error_max, summary.step_verdict),
    )
    return Table(
        ("", "asked", "achieved", "verdict"),
        [(what, _cell(asked), _cell(achieved, digits=3), verdict or "") for what, asked, achieved, verdict in lines],
    )


def _of_ensemble(name: str, result: EnsembleResult) -> Section:
    finished = int(result.finished.sum())
    about = {
        "members": len(result),
        "ended": result.n_ended,
        "finished": finished,
        "G": result.G,
        "softening": result.softening,
        "wall seconds": result.wall_seconds,
        "cost": largest_share(result),
    }
    spread = spread_of(result)
    heads = tuple(next(iter(spread.values())))
    rows = [
        (COLUMN_NAMES.get(column, column.replace("_", " ")), *map(_cell, values.values()))
        for column, values in spread.items()
    ]
    tables = {"Ensemble": _facts(about), "Members that finished": Table(("", *heads), rows)}
    failures = result.failures
    if failures:
        shown = [(str(f.index), str(f.seed), f.outcome) for f in failures[:_MOST_FAILURES]]
        heading = f"Members that failed: {len(failures)}" + ", the first" * (len(failures) > len(shown))
        tables[heading] = Table(("member", "seed", "outcome"), shown)
    tables["Settings"] = _facts(result.settings)
    return Section(name, f"An ensemble of {len(result)} systems", tables, _kept(result), [ensemble_figure(result)], {})


def _kept(result: EnsembleResult) -> Table | None:
    rows = [
        (p.name, _cell(p.asked), f"{p.kept:,} of {p.count:,}", f"{_cell(p.worst, digits=3)}, {p.who}", p.verdict)
        for p in promises_of(result)
    ]
    return Table(("", "asked", "kept by", "worst", "verdict"), rows) if rows else None


_ROW = (
    *("method", "parameter", "value", "force_evaluations"),
    *("energy_error_max", "position_error", "wall_seconds", "note"),
)


def _of_comparison(name: str, comparison: Comparison) -> Section:
    tables = {system.system: _rows_of(system) for system in comparison.systems}
    figures = [work_precision_figure(system) for system in comparison.systems]
    return Section(name, "A comparison at equal force evaluations", tables, None, figures, {})


def _rows_of(system: SystemComparison) -> Table:
    rows = sorted(system.rows, key=lambda row: row.budget)
    return Table(
        tuple(column.replace("_", " ") for column in _ROW),
        [tuple(_cell(getattr(row, column), digits=4) for column in _ROW) for row in rows],
    )


def _of_training(name: str, training: Training, n_bytes: int) -> Section:
    last = {key: float(values[-1]) for key, values in training.metrics.items() if math.isfinite(values[-1])}
    return Section(
        title=name,
        subtitle=f"A training: {int(last['epoch'])} epochs",
        tables={"Last epoch": _facts(last)},
        verdict=None,
        figures=[training_figure(training.metrics, n_bytes)],
        code={"Configuration": training.config} if training.config else {},
    )


def _facts(values: Mapping[str, Any]) -> Table:
    """Names and values, without those that say nothing."""
    return Table(
        (), [(key.replace("_", " "), _cell(value)) for key, value in values.items() if value not in ("", None)]
    )


def _cell(value: Any, digits: int = 6) -> str:
    return "–" if value is None else spelled(value, digits, between=", ")
