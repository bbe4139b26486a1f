"""Reproduce the tables of the research note on the time-transformed leapfrog, on published and drawn systems.

    python benchmarks/compare_table.py            # everything: some minutes
    python benchmarks/compare_table.py kepler     # systems whose name has this in it; writes nothing

Writes benchmarks/results/compare.json, the tables at the end of docs/comparison.md, and docs/comparison.png.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import time
from pathlib import Path
from typing import NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

from aitimestepper import Comparison, Config, compare
from aitimestepper.comparison.result import Row, SystemComparison
from aitimestepper.systems.three_body import PERIODIC_ORBITS
from aitimestepper.views.work_precision import plot_work_precision

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs"

CLASSICAL = (
    "leapfrog:free-fall/plain",
    "leapfrog:fly-by/plain",
    "leapfrog:acceleration/plain",
    "leapfrog:aarseth/plain",
)
REVERSIBLE = ("leapfrog:free-fall", "leapfrog:fly-by")
OMEGAS = ("ttl:fixed/log-h", "ttl:fixed/sum/unit", "ttl:fixed/q=2", "ttl:fixed/unit", "ttl:fixed")
COMPOSED = ("ttl4:fixed/unit", "ttl6:fixed/unit", "ttl8:fixed/unit", "rebound:ias15", "rebound:ias15/aarseth")
MARK = "<!-- what follows is written by benchmarks/compare_table.py -->"
SHOWN = ("leapfrog:fly-by/plain", "leapfrog:fly-by", "ttl:fixed", *COMPOSED[:4])
"""Methods in the figure."""


class Case(NamedTuple):
    """A system, the length of its runs, and budgets: the first for order 2, all for the composed methods."""

    spec: str
    length: dict[str, float]
    budgets: tuple[int, ...]
    figure: bool = False


def cases() -> list[Case]:
    """All systems."""
    periodic = [
        Case(
            f"three-body:name={name}", {"periods": 10 if name == "figure-eight" else 1}, budgets, name == "butterfly-I"
        )
        for name, budgets in {
            "figure-eight": (8000, 16_000, 42_000),
            "butterfly-I": (4000, 8000, 16_000),
            "moth-I": (4000, 8000, 16_000),
            "I.A7": (8000, 16_000, 42_000),
            "figure-eight-light": (1000, 2000, 4000, 8000),
            "butterfly-II": (4000, 8000, 16_000),
            "yarn": (8000, 16_000, 42_000),
            "yin-yang-Ia": (4000, 8000, 16_000),
            "yin-yang-Ib": (4000, 8000, 16_000),
            "yin-yang-IIa": (16_000, 32_000, 84_000),
        }.items()
    ]
    assert {case.spec.split("=")[1] for case in periodic} <= set(PERIODIC_ORBITS)
    return [
        Case("kepler:e=0.6", {"periods": 30}, (6000, 30_000, 68_000)),
        Case("kepler:e=0.9", {"periods": 30}, (6000, 30_000, 68_000), True),
        *periodic,
        Case("pythagorean", {"duration": 20}, (5400, 10_800, 27_000), True),
        Case("random:n=3,virial=0,seed=1", {"duration": 5}, (4500, 9000, 21_000)),
        Case("random:n=3,virial=0,seed=2", {"duration": 5}, (4500, 9000, 21_000)),
        Case("random:n=3,seed=1", {"duration": 5}, (2400, 4800, 10_000)),
        Case("random:n=3,seed=2,dim=3", {"duration": 5}, (600, 1200, 2400, 4800)),
        Case("random:n=3,seed=3", {"duration": 20}, (4800, 9700, 24_000)),
        Case("hierarchical-triple", {"periods": 30}, (9000, 18_000, 42_000), True),
        Case("hierarchical-triple:e_in=0.8,a_out=100", {"periods": 1000}, (127_000, 254_000)),
        Case("random:n=6,seed=1", {"duration": 2}, (2300, 4600, 9000)),
        Case("random:n=8,seed=1", {"duration": 2}, (2300, 4600, 9000)),
        Case("random:n=24,seed=1,dim=3", {"duration": 1}, (900, 1800, 5200), True),
        Case("plummer:n=16,seed=1", {"duration": 2}, (600, 1200, 2400, 4600)),
        Case("plummer:n=64,seed=1", {"duration": 1}, (1800, 3600, 7200)),
        Case(str(HERE / "outer-planets.csv"), {"duration": 3726.0}, (9000, 15_000, 25_000, 41_000), True),
    ]


def carried_out(case: Case) -> SystemComparison:
    """Order 2 at the smallest budget, composed methods at all."""
    name = Path(case.spec).stem if case.spec.endswith(".csv") else case.spec
    parts = [
        compare(config=Config(ic=case.spec, methods=methods, evaluations=budgets, **case.length)).systems[0]
        for methods, budgets in (
            ((*CLASSICAL, *REVERSIBLE, *OMEGAS), case.budgets[:1]),
            (COMPOSED, case.budgets),
            *((((SHOWN[:3]), case.budgets[1:]),) if case.figure else ()),
        )
    ]
    rows = tuple(row for part in parts for row in part.rows)
    return SystemComparison(name, parts[0].n_bodies, parts[0].duration, parts[1].reference, rows)


def main(wanted: str = "") -> None:
    """Compare, print the tables and, unless only some systems were wanted, write them."""
    began, done, drawn = time.perf_counter(), [], []
    for case in cases():
        if wanted in case.spec:
            done.append(carried_out(case))
            if case.figure:
                rows = tuple(row for row in done[-1].rows if row.method in SHOWN)
                drawn.append(SystemComparison(*(vars(done[-1]) | {"rows": rows}).values()))
            print(f"{case.spec}: {time.perf_counter() - began:.0f} s so far", flush=True)
    comparison = Comparison(tuple(done))
    text = tables(comparison)
    print(text)
    if wanted:
        return
    about = {"machine": platform.node(), "processor": platform.machine(), "python": platform.python_version()}
    about["seconds"] = round(time.perf_counter() - began)
    (HERE / "results").mkdir(exist_ok=True)
    content = json.dumps({"about": about, **comparison.as_dict()}, indent=1)
    (HERE / "results" / "compare.json").write_text(content + "\n")
    page = DOCS / "comparison.md"
    page.write_text(page.read_text().partition(MARK)[0] + text)
    plot_work_precision(Comparison(tuple(drawn)), DOCS / "comparison.png", overwrite=True)


def tables(comparison: Comparison) -> str:
    """All tables, in Markdown."""
    parts = (omega_table, position_table, order_table, ratio_table)
    return "\n".join([f"{MARK}\n", *(line for part in parts for line in part(comparison))])


def _first(system: SystemComparison, method: str) -> Row:
    return next(row for row in system.rows if row.method == method)


def _error(system: SystemComparison, method: str) -> float:
    """Largest energy error of a method; infinite where it has none at about the budget."""
    row = _first(system, method)
    return row.energy_error_max if row.met and row.energy_error_max is not None else math.inf


def _mean(ratios: list[float]) -> str:
    finite = [math.log(ratio) for ratio in ratios if 0 < ratio < math.inf]
    return f"{math.exp(sum(finite) / len(finite)):.2g} ({len(finite)})" if finite else "-"


def omega_table(comparison: Comparison) -> list[str]:
    """Order 2: geometric means over the systems (their number in brackets)."""
    groups = {"3 bodies": (3, 3), "4-64 bodies": (4, 64)}
    lines = [
        "### Largest energy error over that of the best classical criterion",
        "",
        f"| method | 2 bodies, error itself | {' | '.join(groups)} |",
        "|---|---|---|---|",
    ]
    for method in (*REVERSIBLE, *OMEGAS):
        two = [f"{_error(s, method):.0e}" for s in comparison.systems if s.n_bodies == 2]
        cells = [
            _mean(
                [
                    _error(system, method) / min(_error(system, other) for other in CLASSICAL)
                    for system in comparison.systems
                    if low <= system.n_bodies <= high
                ]
            )
            for low, high in groups.values()
        ]
        lines.append(f"| {method} | {', '.join(two)} | {' | '.join(cells)} |")
    return [*lines, ""]


def position_table(comparison: Comparison) -> list[str]:
    """Order 2, system by system."""
    methods = ("leapfrog:fly-by", "ttl:fixed/log-h", "ttl:fixed")
    lines = ["### Order 2 on each system: largest energy error, position error", ""]
    lines += [
        f"| system | evaluations | best plain | {' | '.join(methods)} | reference sure to |",
        "|---|---|---|---|---|---|---|",
    ]
    for system in comparison.systems:
        rows = [_first(system, method) for method in methods]
        best = min((_first(system, method) for method in CLASSICAL), key=lambda row: row.energy_error_max or math.inf)
        cells = [_spelled(row) for row in (best, *rows)]
        sure = "-" if system.reference is None else f"{system.reference.uncertainty:.0e}"
        lines.append(f"| {system.system} | {rows[0].budget} | {' | '.join(cells)} | {sure} |")
    return [*lines, ""]


def _spelled(row: Row) -> str:
    if row.energy_error_max is None or row.position_error is None:
        return "-"
    return f"{row.energy_error_max:.0e}, {row.position_error:.0e}" + ("" if row.met else f" ({row.force_evaluations})")


def order_table(comparison: Comparison) -> list[str]:
    """Higher orders and IAS15."""
    lines = ["### Composed methods: force evaluations, largest energy error", ""]
    lines += [f"| system | {' | '.join(COMPOSED)} |", "|---" * (len(COMPOSED) + 1) + "|"]
    for system in comparison.systems:
        cells = []
        for method in COMPOSED:
            rows = [row for row in system.rows if row.method == method and row.energy_error_max is not None]
            costs = {row.force_evaluations: row.energy_error_max for row in rows}
            cells.append("; ".join(f"{cost / 1000:.3g}k {error:.0e}" for cost, error in costs.items()) or "-")
        lines.append(f"| {system.system} | {' | '.join(cells)} |")
    return [*lines, ""]


TARGETS = (1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9, 1e-10)


def ratio_table(comparison: Comparison) -> list[str]:
    """What an error costs with the best composed method, over what it costs with IAS15."""
    own, ias15 = COMPOSED[:3], COMPOSED[3:]
    lines = ["### Cost of an error: the cheapest composed `ttl` over the cheapest IAS15", ""]
    lines += [
        "| system | " + " | ".join(f"{target:.0e}" for target in TARGETS) + " |",
        "|---" * (len(TARGETS) + 1) + "|",
    ]
    for system in comparison.systems:
        cells = []
        for target in TARGETS:
            costs = [min(_cost_of(system, method, target) for method in group) for group in (own, ias15)]
            cells.append(f"{costs[0] / costs[1]:.2f}" if max(costs) < math.inf else "-")
        lines.append(f"| {system.system} | {' | '.join(cells)} |")
    return [*lines, ""]


def _cost_of(system: SystemComparison, method: str, target: float) -> float:
    """Force evaluations for an error, on straight lines between the runs in the log-log plot; none beyond them."""
    points = sorted(
        (row.force_evaluations, row.energy_error_max)
        for row in system.rows
        if row.method == method and row.force_evaluations is not None and row.energy_error_max is not None
    )
    before: tuple[float, float] | None = None
    for cost, error in points:
        if error <= target:
            if before is None:
                return cost
            share = math.log(before[1] / target) / math.log(before[1] / error)
            return before[0] * (cost / before[0]) ** share
        before = (cost, error)
    return math.inf


if __name__ == "__main__":
    main(*sys.argv[1:2])
