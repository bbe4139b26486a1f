"""Ratios, means and shares of the held-out suite, from its raw numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

Entry = dict[str, Any]

FLOOR = 1e-14
"""Energy errors below are rounding: both sides of a ratio are taken to be at least this."""

POSITION_ALLOWED = 10.0
"""Estimated position error per dynamical time that is allowed, in tolerances."""

USED = 0.1
"""A run that stays below this part of both errors that it may make is too careful."""

LONG = 100
"""Periods from which on the final energy error is judged."""


class Point(NamedTuple):
    """One number of one run, and what it belongs to."""

    system: str
    group: str
    n_bodies: int
    tolerance: float
    order: int | None
    value: float

    def __str__(self) -> str:
        order = "" if self.order is None else f", order {self.order}"
        return f"{self.value:.2g} ({self.system}, {self.tolerance:.0e}{order})"


def over(first: float, second: float, floor: float = FLOOR) -> float:
    """Ratio of two errors, both at least the floor."""
    return max(first, floor) / max(second, floor)


def points(results: Entry, part: str, value: Callable[[Entry, Entry], float | None]) -> list[Point]:
    """A number of every run of a part that has it.

    Args:
        results: all raw numbers.
        part: `promise`, `classical` or `constant`.
        value: makes it from the system's entry and the run's: None for none, infinite for a run that failed.
    """
    found = []
    for name, system in results["systems"].items():
        for run in system.get(part, ()):
            number = value(system, run)
            if number is not None:
                about = (name, system["group"], system["n_bodies"], run["tolerance"], run["asked_order"])
                found.append(Point(*about, number))
    return found


def energy_ratio(system: Entry, run: Entry) -> float | None:
    """Achieved over asked."""
    return math.inf if "failure" in run else float(run["energy_max"] / run["tolerance"])


def position_ratio(system: Entry, run: Entry) -> float | None:
    """Estimated local position error over the allowed one; None where the run does not say."""
    if "failure" not in run and run["position_max"] is None:
        return None
    return math.inf if "failure" in run else float(run["position_max"] / (POSITION_ALLOWED * run["tolerance"]))


def larger_ratio(system: Entry, run: Entry) -> float | None:
    """The larger of the two."""
    return max(energy_ratio(system, run) or 0.0, position_ratio(system, run) or 0.0)


def against(name: str, floor: float = FLOOR) -> Callable[[Entry, Entry], float | None]:
    """An error over that of the best other method that met the budget."""

    def value(system: Entry, run: Entry) -> float | None:
        if "failure" in run:
            return None if name == "position" and system["chaotic"] else math.inf
        others = [other[name] for other in run["others"].values() if other["met"] and other[name] is not None]
        return over(run[name], min(others), floor) if others and run[name] is not None else None

    return value


def long_final(system: Entry, run: Entry) -> float | None:
    """Final energy errors, of long runs only."""
    return against("energy_final")(system, run) if system["periods"] >= LONG else None


def ias15_points(results: Entry, name: str = "energy_max") -> list[Point]:
    """Evaluations over those of IAS15 for the same error."""
    found = []
    for spec, system in results["systems"].items():
        for run in system.get("ias15", {}).get("own", ()):
            if run.get(name) is None and not ("failure" in run and name == "energy_max"):
                continue
            cost = math.inf if "failure" in run else run["evaluations"]
            ias15 = cheapest(system["ias15"]["sweeps"].values(), name, max(run.get(name, 0.0), FLOOR))
            if ias15 is not None:
                found.append(Point(spec, system["group"], system["n_bodies"], run["tolerance"], None, cost / ias15))
    return found


def cheapest(sweeps: Iterable[list[Entry]], name: str, target: float) -> float | None:
    """Evaluations of IAS15 for an error, under its better criterion.

    Where neither gets there, the cost of its most accurate run, which is less than the error would cost.
    """
    sweeps = [sweep for sweep in sweeps if sweep]
    costs = [cost for sweep in sweeps if (cost := cost_of(sweep, name, target)) is not None]
    if costs:
        return min(costs)
    best = [min(sweep, key=lambda entry: float(entry[name])) for sweep in sweeps]
    return min((float(entry["evaluations"]) for entry in best), default=None)


def cost_of(sweep: list[Entry], name: str, target: float) -> float | None:
    """On straight lines between the runs in the log-log plot; of the cheapest run if that is accurate enough."""
    before: tuple[float, float] | None = None
    for cost, error in sorted((entry["evaluations"], max(entry[name], FLOOR)) for entry in sweep):
        if error <= target:
            if before is None:
                return float(cost)
            share = math.log(before[1] / target) / math.log(before[1] / error)
            return float(before[0] * (cost / before[0]) ** share)
        before = (cost, error)
    return None


def drift_points(results: Entry) -> list[Point]:
    """Largest error of the long run over that of the short one: position for two bodies, otherwise energy."""
    found = []
    for name, system in results["systems"].items():
        for entry in system.get("drift", ()):
            short, long = entry["runs"]
            key = "position_max" if system["n_bodies"] == 2 else "energy_max"
            failed = "failure" in short or "failure" in long
            if failed or short[key] is not None:
                value = math.inf if failed else over(long[key], short[key])
                about = (name, system["group"], system["n_bodies"], entry["tolerance"], entry["asked_order"])
                found.append(Point(*about, value))
    return found


def mean_of(found: list[Point]) -> float:
    """Geometric mean of the runs that did not fail."""
    finite = [math.log(max(point.value, 1e-300)) for point in found if point.value < math.inf]
    return math.exp(sum(finite) / len(finite)) if finite else math.nan


def share_of(found: list[Point], test: Callable[[float], bool]) -> float:
    """Part of the points that pass, in percent."""
    return 100.0 * sum(test(point.value) for point in found) / len(found) if found else math.nan


def worst_of(found: list[Point]) -> str:
    """The largest of all."""
    return str(max(found, key=lambda point: point.value)) if found else "-"


def of_order(found: list[Point], order: int | None) -> list[Point]:
    """Those with this order asked for."""
    return [point for point in found if point.order == order]


def split(found: list[Point]) -> tuple[list[Point], list[Point]]:
    """Those of two bodies, and the others."""
    return [p for p in found if p.n_bodies == 2], [p for p in found if p.n_bodies > 2]


def complaints(results: Entry) -> list[str]:
    """Systems that could not be measured, runs that failed, budgets that no other method met."""
    found = [f"{name}: {system['error']}" for name, system in results["systems"].items() if "error" in system]
    for name, system in results["systems"].items():
        own = [*system.get("promise", ()), *system.get("classical", ()), *system.get("ias15", {}).get("own", ())]
        own += [run for entry in system.get("drift", ()) for run in entry["runs"]]
        for run in own:
            asked = f"{name}, {run['tolerance']:.0e}, order {run['asked_order'] or 'default'}"
            if "failure" in run:
                found.append(f"{asked}: {run['failure']}")
            found += [
                f"{asked}: {text} left out, {other['reason']}"
                for text, other in run.get("others", {}).items()
                if not other["met"]
            ]
    return list(dict.fromkeys(found))
