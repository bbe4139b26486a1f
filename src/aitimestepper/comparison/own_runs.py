"""Runs of this program's own integrators for a comparison, of which only cost, errors and end are kept."""

from __future__ import annotations

import math
import time

from aitimestepper.comparison.methods import ComparedMethod
from aitimestepper.comparison.runs import LEAST_FRACTION, Case, Outcome, Runs, Trial
from aitimestepper.engine.run.step import TOO_SHORT
from aitimestepper.errors import InputError
from aitimestepper.recordings.parts import FINISHED
from aitimestepper.simulation.blocks import Block, frame_of
from aitimestepper.simulation.driver import drive
from aitimestepper.simulation.goal import Goal
from aitimestepper.simulation.outcomes import FAILURES
from aitimestepper.simulation.planning import PlannedRun, planned
from aitimestepper.simulation.request import request_of, settings_of
from aitimestepper.simulation.summaries import summary_of

MOST_BUDGETS = 4
"""A run is cut off when it has cost this many budgets: the search then knows that the steps are too short by about that
factor, which is enough to go on, and no trial costs more than a few good ones."""

_SMALL = 1e-4
"""Of any parameter: a step with it can only be too short."""


class OwnRuns:
    """Runs of one method, made by this program."""

    def __init__(self, method: ComparedMethod, case: Case) -> None:
        self.method, self._case = method, case

    def check(self) -> None:
        """As `Runs.check`."""
        try:
            self._planned(min(1.0, self.method.parameter.high), Goal())
        except InputError as error:
            raise InputError(f"method {self.method.text!r}: {error}") from None

    def guess(self, budget: int) -> float:
        """As if all steps were like the first one, which also compiles what is timed later."""
        plan = self._planned(_SMALL, Goal(self._case.end_time, last_step=1))
        dt = float(frame_of(self._driven(plan).reached, self._case.system.n_dims).dt[0])
        if not dt > 0:
            return _SMALL
        cost = self._case.duration / dt * len(plan.plan.method.stages)
        return float(_SMALL * (budget / cost) ** (1.0 / self.method.parameter.power))

    def run(self, value: float, budget: int) -> Trial:
        """As `Runs.run`."""
        case, plan = self._case, self._planned(value, Goal())
        last_step = math.ceil(MOST_BUDGETS * budget / len(plan.plan.method.stages)) + 1
        plan = plan._replace(goal=Goal(case.end_time, last_step=last_step, keeps=False))
        began = time.perf_counter()
        block = self._driven(plan)
        summary = summary_of(block.reached.books[0], time.perf_counter() - began, FINISHED)
        if summary.time != case.end_time:  # cut off, or failed
            passed = (summary.time - case.system.time) / case.duration
            cost = float(summary.force_evaluations) / max(passed, LEAST_FRACTION)
            return Trial(value, cost, None, block.failure or "", too_short=block.failure == FAILURES[TOO_SHORT])
        outcome = Outcome(
            summary.steps,
            summary.force_evaluations,
            summary.rejected_steps,
            summary.energy_error_max,
            summary.energy_error_final,
            summary.angular_momentum_residual,
            frame_of(block.reached, case.system.n_dims).position[0],
            summary.wall_seconds,
        )
        return Trial(value, float(summary.force_evaluations), outcome)

    def alternative(self) -> tuple[Runs, str] | None:
        """There is none."""
        return None

    def _planned(self, value: float, goal: Goal) -> PlannedRun:
        """All that a run needs."""
        case, keys = self._case, self.method.keys
        config = case.config.replace(**keys, **{self.method.parameter.name: value}, duration=case.duration)
        model = case.read_model(keys.get("model")) if keys["timestep"] == "learned" else None
        return planned(request_of(settings_of(config, model), case.system), goal=goal)

    def _driven(self, plan: PlannedRun) -> Block:
        """The last block of a run."""
        for block in drive(plan.new_run(), plan.plan, plan.own, plan.goal, self._case.system.n_dims):  # noqa: B007
            self._case.show()
        return block
