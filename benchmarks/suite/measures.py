"""What the held-out suite measures on one system: plain numbers, ready for JSON."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import cached_property
from statistics import median
from typing import Any, NamedTuple

from held_out import Case

from aitimestepper import Config, Recording, SimulationError, simulate
from aitimestepper.arrays import Floats
from aitimestepper.comparison import runs
from aitimestepper.comparison.methods import ORDERS, parse_method
from aitimestepper.comparison.own_runs import OwnRuns
from aitimestepper.comparison.rebound_runs import ReboundRuns
from aitimestepper.comparison.reference import ReferenceRun, distance, reference_run
from aitimestepper.comparison.tuning import tuned
from aitimestepper.engine.physics.integrators import STAGES
from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.systems.initial import InitialConditions

Entry = dict[str, Any]

TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-9)
AT_EQUAL_COST = ((1e-2, 2), (1e-3, 2), (1e-4, 2), (1e-4, None), (1e-6, None))
"""Tolerance and order (None: the default) of the runs that others must equal in force evaluations."""

IAS15_TOLERANCES = (1e-4, 1e-6, 1e-8)
DRIFTS = ((1e-4, 2), (1e-4, None), (1e-6, None))
DRIFT_PERIODS = (100, 10_000)

CLASSICAL = tuple(f"leapfrog:{name}/plain" for name in ("free-fall", "fly-by", "acceleration", "aarseth", "prs23"))
IAS15 = ("rebound:ias15/prs23", "rebound:ias15/aarseth")
EPSILONS = (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-10, 1e-12)
LEAST_IAS15 = 20_000
BUDGETS_IAS15 = 3
"""A run of IAS15 is cut off at a dozen budgets: this many times the calibrated run's evaluations, or the least."""

REFERENCE_BUDGETS = (20_000, 30_000)
"""Least and largest budget that the reference is made for: it takes ten times as much. Fewer are too coarse for a
hundred periods, more only cost time."""

WALL_SYSTEM = "plummer:n=100,seed=9050"
WALL_TOLERANCE = 1e-6
WALL_DURATION = 4.0
WALL_REPEATS = 9

PATIENCE = 120
"""Seconds after which a calibrated run is given up."""


def calibrated_run(
    system: InitialConditions, duration: float, tolerance: float, order: int | None = None, *, G: float = 1.0
) -> Recording:
    """The stepper under test: nothing is set but what a user must set.

    Raises:
        SimulationError: the run could not go on.
        TimeoutError: it took longer than any run of the suite should.
    """
    began = time.perf_counter()

    def watch(fraction: float) -> None:
        if time.perf_counter() - began > PATIENCE:
            raise TimeoutError(f"given up after {PATIENCE} s, {100.0 * fraction:.2g} % done")

    keys = {} if order is None else {"order": order}
    return simulate(config=Config(tolerance=tolerance, duration=duration, G=G, **keys), progress=watch, system=system)


class Own(NamedTuple):
    """One calibrated run: its numbers, and where it ends (None if it did not come to its end)."""

    entry: Entry
    end: Floats | None


class Bench:
    """One system with all its runs; a calibrated run that several parts need is made once."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.system = case.build()
        self.duration = case.length(self.system)
        self.compared = runs.Case(case.name, Config(G=case.G), self.system, self.duration)
        self._own: dict[tuple[float, int | None, float], Own] = {}

    def own(self, tolerance: float, order: int | None, duration: float | None = None) -> Own:
        """A calibrated run, of the usual duration unless told."""
        length = self.duration if duration is None else duration
        key = (tolerance, order, length)
        if key not in self._own:
            self._own[key] = _own(self.case, self.system, length, tolerance, order)
        return self._own[key]

    @cached_property
    def reference(self) -> ReferenceRun | None:
        """Where positions should end; None where they are not compared."""
        if self.case.chaotic:
            return None
        costs = [self.own(*pair).entry.get("evaluations", 0) for pair in AT_EQUAL_COST]
        least, most = REFERENCE_BUDGETS
        return reference_run(self.compared, min(max(*costs, least), most))

    def position_error(self, end: Floats | None) -> float | None:
        """Distance from the reference, not below what is known of that."""
        if end is None or self.reference is None:
            return None
        return max(distance(end, self.reference.position), self.reference.about.uncertainty)


def _own(case: Case, system: InitialConditions, duration: float, tolerance: float, order: int | None) -> Own:
    entry: Entry = {"tolerance": tolerance, "asked_order": order}
    try:
        recording = calibrated_run(system, duration, tolerance, order, G=case.G)
    except (SimulationError, TimeoutError) as error:
        return Own(entry | {"failure": str(error)}, None)
    summary = recording.summary
    numbers = {
        "steps": summary.steps,
        "evaluations": summary.force_evaluations,
        "order": order or order_of(recording),
        "energy_max": summary.energy_error_max,
        "energy_final": summary.energy_error_final,
        "position_max": getattr(summary, "position_error_max", None),
        "outside": getattr(summary, "outside_training", None),
        "seconds": summary.wall_seconds,
    }
    return Own(entry | numbers, recording.position[-1])


def order_of(recording: Recording) -> int:
    """The order that a run chose: as it says itself, or else by its evaluations per step."""
    said = getattr(recording.summary, "order", None) or recording.settings.get("order")
    each = recording.summary.force_evaluations / max(recording.summary.steps, 1)
    return int(said or min(ORDERS, key=lambda order: abs(math.log(len(STAGES[order]) / each))))


def promise(bench: Bench) -> list[Entry]:
    """Achieved over asked, at the default order."""
    return [bench.own(tolerance, None).entry for tolerance in TOLERANCES]


def classical(bench: Bench) -> list[Entry]:
    """The plain classical criteria, each tuned to the evaluations of the calibrated run."""
    return _at_equal_cost(bench, lambda order: CLASSICAL)


def constant(bench: Bench) -> list[Entry]:
    """The same integrator with a constant step, tuned likewise."""
    return _at_equal_cost(bench, lambda order: (f"ttl{order}:fixed",))


def _at_equal_cost(bench: Bench, methods: Callable[[int], tuple[str, ...]]) -> list[Entry]:
    entries = []
    for tolerance, order in AT_EQUAL_COST:
        own = bench.own(tolerance, order)
        entry = own.entry | {"position": bench.position_error(own.end), "others": {}}
        if own.end is not None:
            for text in methods(entry["order"]):
                entry["others"][text] = _tuned(bench, text, entry["evaluations"])
        entries.append(entry)
    return entries


def _tuned(bench: Bench, text: str, budget: int) -> Entry:
    found = tuned(OwnRuns(parse_method(text), bench.compared), budget)
    if found.best is None or found.best.outcome is None or not found.meets(budget):
        return {"met": False, "reason": found.last.failure or "the budget cannot be met"}
    outcome = found.best.outcome
    return {
        "met": True,
        "value": found.best.value,
        "evaluations": outcome.force_evaluations,
        "energy_max": outcome.energy_error_max,
        "energy_final": outcome.energy_error_final,
        "position": bench.position_error(outcome.position),
    }


def ias15(bench: Bench) -> Entry:
    """Calibrated runs and sweeps of IAS15's epsilon under both of its criteria."""
    made = [bench.own(tolerance, None) for tolerance in IAS15_TOLERANCES]
    owns = [run.entry | {"position": bench.position_error(run.end)} for run in made]
    budget = max(LEAST_IAS15, BUDGETS_IAS15 * max(entry.get("evaluations", 0) for entry in owns))
    return {"own": owns, "sweeps": {text: _sweep(bench, text, owns, budget) for text in IAS15}}


def _sweep(bench: Bench, text: str, owns: list[Entry], budget: int) -> list[Entry]:
    """From the largest epsilon on, until a run is as accurate as the most accurate calibrated one."""
    found = []
    for epsilon in EPSILONS:
        outcome = ReboundRuns(parse_method(text), bench.compared).run(epsilon, budget).outcome
        if outcome is None:
            continue
        entry = {
            "epsilon": epsilon,
            "evaluations": outcome.force_evaluations,
            "energy_max": outcome.energy_error_max,
            "position": bench.position_error(outcome.position),
        }
        found.append(entry)
        if all(_as_good(entry, owns, name) for name in ("energy_max", "position")):
            break
    return found


def _as_good(entry: Entry, owns: list[Entry], name: str) -> bool:
    return all(entry[name] is None or own.get(name) is None or entry[name] <= own[name] for own in owns)


def drift(bench: Bench) -> list[Entry]:
    """Short and long runs of the few systems that have any."""
    if not bench.case.drift:
        return []
    lengths = [periods * bench.system.period for periods in DRIFT_PERIODS]
    return [
        {"tolerance": tolerance, "asked_order": order}
        | {"runs": [bench.own(tolerance, order, length).entry for length in lengths]}
        for tolerance, order in DRIFTS
    ]


PARTS: dict[str, Callable[[Bench], Any]] = {
    "promise": promise,
    "classical": classical,
    "constant": constant,
    "ias15": ias15,
    "drift": drift,
}
"""What is measured on each system; the wall time is measured on a system of its own."""


def measured(case: Case, parts: tuple[str, ...]) -> Entry:
    """All parts that are wanted on one system."""
    began = time.perf_counter()
    bench = Bench(case)
    entry: Entry = {
        "group": case.group,
        "n_bodies": bench.system.n_bodies,
        "periods": case.periods,
        "duration": bench.duration,
        "chaotic": case.chaotic,
    }
    entry |= {part: PARTS[part](bench) for part in PARTS if part in parts}
    if not set(parts).isdisjoint({"classical", "constant", "ias15"}) and bench.reference is not None:
        entry["uncertainty"] = bench.reference.about.uncertainty
    return entry | {"seconds": round(time.perf_counter() - began, 1)}


def wall(tolerance: float = WALL_TOLERANCE) -> Entry:
    """Seconds per step, calibrated and with a constant step of the same mean, in turns in one process."""
    system = initial_conditions(WALL_SYSTEM)
    duration = WALL_DURATION
    own = calibrated_run(system, duration, tolerance)
    order = order_of(own)
    case = runs.Case(WALL_SYSTEM, Config(), system, duration)
    budget = own.summary.steps * len(STAGES[order]) + 1
    best = tuned(OwnRuns(parse_method(f"ttl{order}:fixed"), case), budget).best
    assert best is not None
    plain = Config(timestep="fixed", integrator="ttl", order=order, h=best.value, duration=duration)
    seconds: tuple[list[float], list[float]] = ([], [])
    for _ in range(WALL_REPEATS):
        for times, run in zip(
            seconds, (calibrated_run(system, duration, tolerance), simulate(config=plain, system=system)), strict=True
        ):
            times.append(run.summary.wall_seconds / run.summary.steps)
    return {
        "system": WALL_SYSTEM,
        "tolerance": tolerance,
        "order": order,
        "steps": own.summary.steps,
        "evaluations": own.summary.force_evaluations,
        "calibrated": median(seconds[0]),
        "constant": median(seconds[1]),
        "ratio": median(first / second for first, second in zip(*seconds, strict=True)),
    }
