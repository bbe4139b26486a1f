"""The tables of the promise, one a class, in Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from statistics import median
from typing import Any

import numpy as np

Entry = dict[str, Any]
Column = tuple[str, Callable[[list[Entry]], str]]

LOST = 0.2
"""Part by which the semi-major axis of a moon that is kept may be off."""


def tables(results: Entry) -> str:
    """All classes that were measured."""
    return "\n".join(f"### {name}\n\n{table(name, found['runs'])}" for name, found in results["classes"].items())


def table(name: str, runs: list[Entry]) -> str:
    """One line for each kind that the class is looked at by, and each tolerance."""
    lines = []
    columns = COLUMNS[name]
    for title, found in _rows(name, runs):
        lines.append([title, str(len(found)), *(column(found) for _, column in columns)])
    heads = [_FIRST.get(name, "asked"), "runs", *(head for head, _ in columns)]
    return "".join(f"| {' | '.join(line)} |\n" for line in (heads, ["---"] * len(heads), *lines))


def _rows(name: str, runs: list[Entry]) -> Iterable[tuple[str, list[Entry]]]:
    if name == "rings":
        return ((title, _beside_fifty(title, runs)) for title in dict.fromkeys(map(_ring_title, runs)))
    if name == "clusters":
        return _grouped(runs, lambda run: f"{run['kind']}, {run['tolerance']:.0e}")
    by_tolerance = _grouped(runs, lambda run: f"{run['tolerance']:.0e}")
    if name == "deep":
        least = {run["number"]: run for run in runs if run["tolerance"] == max(r["tolerance"] for r in runs)}
        return ((title, [run | {"base": least[run["number"]]} for run in found]) for title, found in by_tolerance)
    return by_tolerance


def _grouped(runs: list[Entry], key: Callable[[Entry], str]) -> list[tuple[str, list[Entry]]]:
    titles = sorted({key(run): -run["tolerance"] for run in runs}.items(), key=lambda pair: pair[1])
    return [(title, [run for run in runs if key(run) == title]) for title, _ in titles]


def _ring_title(run: Entry) -> str:
    return f"{run['kind']} of {run['n_light']} to {run['duration']:g}, {run['tolerance']:.0e}"


def _beside_fifty(title: str, runs: list[Entry]) -> list[Entry]:
    """Runs of one size, each with the run of 50 bodies that it is compared to."""
    small = {(r["kind"], r["duration"], r["tolerance"]): r for r in runs if r["n_light"] == 50}
    found = [run for run in runs if _ring_title(run) == title]
    return [run | {"base": small.get((run["kind"], run["duration"], run["tolerance"]))} for run in found]


def of_keys(run: Entry | None, key: str) -> float:
    """A number of a run; infinite if it did not end, or said nothing."""
    value = None if run is None else run.get(key)
    return math.inf if value is None else float(value)


def over(run: Entry, other: float) -> float:
    """Evaluations of a run over a number; infinite where it did not end."""
    cost = of_keys(run, "evaluations")
    return cost / other if cost < math.inf else math.inf


def is_lost(run: Entry) -> bool:
    """Whether the moon is not there, or on another orbit."""
    return not of_keys(run, "axis_error") <= LOST


def falsely_kept(run: Entry) -> bool:
    """Whether a moon is lost of which both verdicts say kept."""
    return is_lost(run) and run.get("energy_verdict") == run.get("position_verdict") == "kept"


def keeps_energy(run: Entry, key: str = "energy") -> bool:
    """By measurement, not by its verdict."""
    return of_keys(run, key) <= run["tolerance"]


def excess(run: Entry) -> float:
    """Energy error over what was asked."""
    return of_keys(run, "energy") / run["tolerance"]


def estimate(run: Entry) -> float:
    """Estimated over true position error at the end; 1 where both are larger than the system, which says nothing."""
    found, right = of_keys(run, "position_error_run"), of_keys(run, "position")
    return 1.0 if min(found, right) > 1.0 else found / right


def _share(test: Callable[[Entry], bool]) -> Callable[[list[Entry]], str]:
    return lambda runs: f"{100.0 * sum(map(test, runs)) / len(runs):.1f} %"


def _number(test: Callable[[Entry], bool]) -> Callable[[list[Entry]], str]:
    return lambda runs: str(sum(map(test, runs)))


def _spread(value: Callable[[Entry], float], *shares: float) -> Callable[[list[Entry]], str]:
    """Quantiles; those of runs that did not end are infinite."""

    def text(runs: list[Entry]) -> str:
        values = [value(run) for run in runs]
        return ", ".join(_short(float(np.quantile(values, share, method="inverted_cdf"))) for share in shares)

    return text


def _short(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"


def _excess_of_broken(runs: list[Entry]) -> str:
    broken = [excess(run) for run in runs if not keeps_energy(run)]
    return f"{_short(median(broken))}, {_short(max(broken))}" if broken else "-"


def _did_not_end(run: Entry) -> bool:
    return "evaluations" not in run


def _evaluations(run: Entry) -> float:
    return of_keys(run, "evaluations")


def _kept_by_kind(runs: list[Entry]) -> str:
    kinds = sorted({run["kind"] for run in runs})
    each = {kind: [keeps_energy(run) for run in runs if run["kind"] == kind] for kind in kinds}
    return ", ".join(f"{kind} {100.0 * sum(kept) / len(kept):.0f}" for kind, kept in each.items())


def has_estimate(run: Entry) -> bool:
    """Whether the run gave an estimate of its position error; a run without one says that it does not know."""
    return run.get("position_error_run") is not None


def _of_given(column: Callable[[list[Entry]], str]) -> Callable[[list[Entry]], str]:
    def text(runs: list[Entry]) -> str:
        given = [run for run in runs if has_estimate(run)]
        return column(given) if given else "-"

    return text


def _estimates_by_kind(runs: list[Entry]) -> str:
    kinds = sorted({run["kind"] for run in runs})
    each = {kind: [0.1 <= estimate(run) <= 10.0 for run in runs if run["kind"] == kind] for kind in kinds}
    return ", ".join(f"{kind} {100.0 * sum(within) / len(within):.0f}" for kind, within in each.items())


_COST: Column = ("evaluations: median, largest", _spread(_evaluations, 0.5, 1.0))
_UNENDED: Column = ("did not end", _number(_did_not_end))
_KEPT: Column = ("energy kept", _share(keeps_energy))
_BROKEN: Column = ("where not: error over asked, median, worst", _excess_of_broken)

_FIRST = {"rings": "system, asked", "clusters": "system, asked"}

COLUMNS: dict[str, list[Column]] = {
    "moons": [
        (f"a off by {LOST:.0%}, verdicts kept", _number(falsely_kept)),
        ("kept in truth", _share(lambda run: not is_lost(run) and keeps_energy(run))),
        _COST,
        ("over leapfrog: median, largest", _spread(lambda run: over(run, of_keys(run, "leapfrog")), 0.5, 1.0)),
        ("position error over a: median, 90 %, largest", _spread(lambda run: of_keys(run, "position"), 0.5, 0.9, 1.0)),
        _UNENDED,
    ],
    "scattering": [
        _KEPT,
        _BROKEN,
        ("final error within", _share(lambda run: keeps_energy(run, "energy_last"))),
        (
            "verdict kept, but not",
            _number(lambda run: run.get("energy_verdict") == "kept" and not keeps_energy(run)),
        ),
        _COST,
        _UNENDED,
        ("energy kept by kind, %", _kept_by_kind),
    ],
    "planets": [
        _KEPT,
        _BROKEN,
        _COST,
        ("over IAS15: median, largest", _spread(lambda run: over(run, run["ias15"]), 0.5, 1.0)),
        _UNENDED,
    ],
    "rings": [
        ("evaluations", _spread(_evaluations, 0.5)),
        ("over those with 50", _spread(lambda run: over(run, of_keys(run["base"], "evaluations")), 0.5)),
        ("us an evaluation", _spread(lambda run: 1e6 * of_keys(run, "seconds") / _evaluations(run), 0.5)),
        ("position error over radius", _spread(lambda run: run.get("position", math.nan), 0.5)),
        _UNENDED,
    ],
    "clusters": [
        ("evaluations a time unit: median, largest", _spread(lambda run: over(run, run["duration"]), 0.5, 1.0)),
        ("error over asked: median, largest", _spread(excess, 0.5, 1.0)),
        _UNENDED,
    ],
    "deep": [
        _COST,
        ("over the loosest: median, largest", _spread(lambda run: over(run, _evaluations(run["base"])), 0.5, 1.0)),
        ("energy error: median, largest", _spread(lambda run: of_keys(run, "energy"), 0.5, 1.0)),
        ("position error over a: median, largest", _spread(lambda run: of_keys(run, "position"), 0.5, 1.0)),
        _KEPT,
        _UNENDED,
    ],
    "regular": [
        _KEPT,
        ("position error over distance: median, largest", _spread(lambda run: of_keys(run, "position"), 0.5, 1.0)),
        ("estimates given", _number(has_estimate)),
        ("estimate over it: 5 %, median, 95 %", _of_given(_spread(estimate, 0.05, 0.5, 0.95))),
        ("estimate within 10 x", _of_given(_share(lambda run: 0.1 <= estimate(run) <= 10.0))),
        ("the same by kind, %", _of_given(_estimates_by_kind)),
        _UNENDED,
    ],
}
