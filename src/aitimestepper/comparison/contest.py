"""A comparison, carried out: on each system a reference, then each method tuned to each budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from aitimestepper.comparison.methods import ComparedMethod
from aitimestepper.comparison.own_runs import Arena
from aitimestepper.comparison.rebound_runs import Rival
from aitimestepper.comparison.reference import ReferenceRun, distance, reference_run
from aitimestepper.comparison.result import Row, SystemComparison
from aitimestepper.comparison.tuning import Trial, Tuned, tune
from aitimestepper.names import REBOUND_CRITERIA

_FALLBACK = "aarseth"
"""Criterion of IAS15 for the orbits on which the default one collapses (bodies in a line)."""


def compare_on(
    spec: str,
    arena: Arena,
    methods: tuple[ComparedMethod, ...],
    budgets: tuple[int, ...],
    done: Callable[[], None],
) -> SystemComparison:
    """All methods at all budgets on one system.

    Args:
        spec: the system, in the user's words.
        arena: the system itself.
        methods: that have been checked.
        budgets: force evaluations.
        done: called after the reference and after each row.
    """
    _warm_up(arena, methods)
    reference = reference_run(arena, max(budgets))
    done()
    rows = []
    for method in methods:
        for budget in budgets:
            rows.append(_row(spec, arena, method, budget, reference))
            done()
    about = None if reference is None else reference.about
    return SystemComparison(spec, arena.system.n_bodies, arena.duration, about, tuple(rows))


def _warm_up(arena: Arena, methods: tuple[ComparedMethod, ...]) -> None:
    """A few steps, so that no time that is measured has the compiler in it."""
    for method in methods:
        if not method.rebound:
            arena.run(method, 1e-3, 10)
            return


def _row(spec: str, arena: Arena, method: ComparedMethod, budget: int, reference: ReferenceRun | None) -> Row:
    tuned, note = _tuned(arena, method, budget)
    best = tuned.best
    row = Row(
        system=spec,
        method=method.text,
        budget=budget,
        force_evaluations=None if best is None else round(best.cost),
        met=tuned.meets(budget),
        parameter=method.parameter.name,
        value=None if best is None else best.value,
        trials=tuned.trials,
        note=note or _remark(tuned, budget),
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


def _tuned(arena: Arena, method: ComparedMethod, budget: int) -> tuple[Tuned, str]:
    """The search for the parameter, and a note on how IAS15 came through it."""
    first = _search(arena, method, budget)
    if first.meets(budget) or method.rebound != "ias15" or method.criterion:
        return first, ""
    other = _search(arena, replace(method, criterion=_FALLBACK), budget)
    if not other.meets(budget) and (first.best is not None or other.best is None):
        return first, ""
    trials = first.trials + other.trials
    failing = f"with IAS15's criterion {_FALLBACK}: its default {REBOUND_CRITERIA[0]} did not meet the budget"
    remark = _remark(other, budget)
    return other._replace(trials=trials), f"{failing}; {remark}".removesuffix("; ")


def _search(arena: Arena, method: ComparedMethod, budget: int) -> Tuned:
    rival = Rival(method, arena.config, arena.system, arena.duration) if method.rebound else None

    def trial(value: float) -> Trial:
        arena.show()
        return arena.run(method, value, budget) if rival is None else rival.run(value, budget, arena.show)

    if rival is None:
        return tune(trial, method.parameter, budget, arena.guess(method, budget))
    return tune(trial, method.parameter, budget, rival.guess(budget))


def _remark(tuned: Tuned, budget: int) -> str:
    """Why a budget has not been met."""
    if tuned.meets(budget):
        return ""
    if tuned.best is None:
        reason = tuned.last.failure or f"the last was cut off, at a cost of about {tuned.last.cost:.1g}"
        return f"no run came to its end near this budget: {reason}"
    if tuned.cheapest > budget:
        return f"cannot be met: the cheapest of {tuned.trials} runs took {tuned.cheapest:.0f}"
    return f"not met: the nearest run took {tuned.best.cost:.0f}"
