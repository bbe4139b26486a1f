"""Finding the parameter with which a run costs what it may cost."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

from aitimestepper.comparison.methods import Parameter
from aitimestepper.comparison.result import NEAR_ENOUGH
from aitimestepper.comparison.runs import Runs, Trial

PRECISION = 0.02
"""The search ends as soon as the cost is this near to the budget, well inside `NEAR_ENOUGH`."""

MOST_TRIALS = 24
"""Of one search: a power law is met in a few, so what takes more has jumps over the budget. Chosen, not measured."""

_LONGEST_STRIDE = 30.0
"""Factor by which a trial may differ from the one before."""

_NARROWEST = 1e-9
"""Of the bracket, in the logarithm of the parameter: below it the cost jumps over the budget."""


class Tuned(NamedTuple):
    """The trial that came to its end nearest to the budget, if any did, and how the search went."""

    best: Trial | None
    last: Trial
    trials: int
    cheapest: float
    """Cost of the cheapest of all that came to an end; infinite if none did."""

    def meets(self, budget: int) -> bool:
        """Whether the best trial costs about the budget."""
        return self.best is not None and abs(self.best.cost / budget - 1.0) <= NEAR_ENOUGH


def tuned(runs: Runs, budget: int) -> Tuned:
    """The search for the value of a method's parameter with which its run costs the budget."""
    return tune(lambda value: runs.run(value, budget), runs.method.parameter, budget, runs.guess(budget))


def tune(run: Callable[[float], Trial], parameter: Parameter, budget: int, guess: float) -> Tuned:
    """Search on the logarithm of the parameter until a run costs the budget.

    A run that fails counts as one whose steps were too long. Costs need not fall steadily as the parameter grows
    (chaotic orbits, IAS15): then the search ends with the nearest trial that it met.

    Args:
        run: makes a trial; its cost is > 0.
        parameter: its range, and how the cost depends on it.
        budget: force evaluations.
        guess: where to begin.
    """
    bracket = _Bracket(parameter)
    value, best, cheapest = bracket.within(guess), None, math.inf
    for count in range(1, MOST_TRIALS + 1):  # noqa: B007
        trial = run(value)
        if trial.outcome is not None:
            cheapest = min(cheapest, trial.cost)
            if best is None or _miss(trial, budget) < _miss(best, budget):
                best = trial
        if best is not None and _miss(best, budget) <= math.log1p(PRECISION):
            break
        following = bracket.narrowed(trial, budget)
        if following is None:
            break
        value = following
    return Tuned(best, trial, count, cheapest)


def _miss(trial: Trial, budget: int) -> float:
    return abs(math.log(trial.cost / budget))


class _Bracket:
    """The part of the range in which the budget must lie: costs too much at its lower end, too little at its upper."""

    def __init__(self, parameter: Parameter) -> None:
        self._parameter = parameter
        self._low, self._high = math.log(parameter.low), math.log(parameter.high)
        self._excess: float | None = None
        self._saving: float | None = None
        self._trials = 0

    def within(self, value: float) -> float:
        """The nearest value in the range."""
        return min(max(value, self._parameter.low), self._parameter.high)

    def narrowed(self, trial: Trial, budget: int) -> float | None:
        """Take a trial into account; the value to try next, or None if there is nowhere left to look."""
        self._trials += 1
        here, over = math.log(trial.value), math.log(trial.cost / budget)
        too_long = bool(trial.failure) and not trial.too_short
        if too_long:
            self._high, self._saving = here, None
        elif over > 0:
            self._low, self._excess = here, over
        else:
            self._high, self._saving = here, over
        if self._high - self._low < _NARROWEST:
            return None
        following = self._next(here, over, too_long)
        return None if abs(following - here) < _NARROWEST else self.within(math.exp(following))

    def _next(self, here: float, over: float, failed: bool) -> float:
        width = self._high - self._low
        if self._excess is not None and (self._saving is not None or failed):
            if self._saving is None or self._trials % 3 == 0:
                return 0.5 * (self._low + self._high)
            share = self._excess / (self._excess - self._saving)
            return self._low + width * min(max(share, 0.02), 0.98)
        stride = -math.log(_LONGEST_STRIDE) / 2 if failed else -over / self._parameter.power
        stride = min(max(stride, -math.log(_LONGEST_STRIDE)), math.log(_LONGEST_STRIDE))
        return min(max(here + stride, self._low), self._high)
