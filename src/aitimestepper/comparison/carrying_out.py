"""A comparison, carried out: on each system a reference, then each method tuned to each budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from aitimestepper.comparison.methods import ComparedMethod
from aitimestepper.comparison.own_runs import OwnRuns
from aitimestepper.comparison.rebound_runs import ReboundRuns
from aitimestepper.comparison.reference import ReferenceRun, distance, reference_run
from aitimestepper.comparison.result import Row, SystemComparison
from aitimestepper.comparison.runs import Case, Runs
from aitimestepper.comparison.tuning import Tuned, tuned


def runs_of(method: ComparedMethod, case: Case) -> Runs:
    """The runs of a method, by the program that makes them."""
    return ReboundRuns(method, case) if method.rebound else OwnRuns(method, case)


def compare_on(
    case: Case, runs: Sequence[Runs], budgets: tuple[int, ...], done: Callable[[], None]
) -> SystemComparison:
    """All methods at all budgets on one system.

    Args:
        case: the system.
        runs: of each method, checked.
        budgets: force evaluations.
        done: called after the reference and after each row.
    """
    reference = reference_run(case, max(budgets))
    done()
    rows = []
    for method in runs:
        for budget in budgets:
            rows.append(_row(case.name, method, budget, reference))
            done()
    about = None if reference is None else reference.about
    return SystemComparison(case.name, case.system.n_bodies, case.direction * case.duration, about, tuple(rows))


def _row(name: str, runs: Runs, budget: int, reference: ReferenceRun | None) -> Row:
    found, note = _tuned(runs, budget)
    best = found.best
    row = Row(
        system=name,
        method=runs.method.text,
        budget=budget,
        force_evaluations=None if best is None else round(best.cost),
        met=found.meets(budget),
        parameter=runs.method.parameter.name,
        value=None if best is None else best.value,
        trials=found.trials,
        note=note,
        **dict.fromkeys(_MEASURED),
    )
    if best is None or best.outcome is None:
        return row
    measured = {name: getattr(best.outcome, name) for name in _MEASURED if name != "position_error"}
    if reference is not None:
        measured["position_error"] = distance(best.outcome.position, reference.position)
    return replace(row, **measured)


_MEASURED = (
    *("steps", "rejected_steps", "energy_error_max", "energy_error_final", "angular_momentum_error"),
    *("position_error", "wall_seconds"),
)


def _tuned(runs: Runs, budget: int) -> tuple[Tuned, str]:
    """The search for the parameter, and what a reader has to know of it."""
    first = tuned(runs, budget)
    other = None if first.meets(budget) else runs.alternative()
    if other is None:
        return first, _remark(first, budget)
    second = tuned(other[0], budget)
    if not second.meets(budget) and (first.best is not None or second.best is None):
        return first, _remark(first, budget)
    note = f"{other[1]}; {_remark(second, budget)}".removesuffix("; ")
    return second._replace(trials=first.trials + second.trials), note


def _remark(found: Tuned, budget: int) -> str:
    """Why a budget has not been met."""
    if found.meets(budget):
        return ""
    if found.best is None:
        reason = found.last.failure or f"the last was cut off, at a cost of about {found.last.cost:.1g}"
        return f"no run came to its end near this budget: {reason}"
    if found.cheapest > budget:
        return f"cannot be met: the cheapest of {found.trials} runs took {found.cheapest:.0f}"
    return f"not met: the nearest run took {found.best.cost:.0f}"
