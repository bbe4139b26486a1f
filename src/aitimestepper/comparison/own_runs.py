"""Runs of this program's own integrators for a comparison, of which only cost, errors and end are kept."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from aitimestepper.comparison.methods import ComparedMethod
from aitimestepper.comparison.tuning import OVERDRAFT, Outcome, Trial
from aitimestepper.config.schema import Config
from aitimestepper.engine.layout import ROWS, X, vectors_of
from aitimestepper.engine.run.state import Run
from aitimestepper.engine.run.step import TOO_SHORT
from aitimestepper.recordings.parts import FINISHED
from aitimestepper.simulation.driver import FAILURES, Goal, drive, summary_of
from aitimestepper.simulation.planning import PlannedRun, planned
from aitimestepper.simulation.request import request_of, settings_of
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.weights.file import ModelFile, read_model

LEAST_FRACTION = 1e-6
"""A run that was cut off before this part of its time counts as if it had come so far."""

_SMALL = 1e-4
"""Of any parameter: a step with it can only be too short."""


class Arena:
    """One system, its law of motion and its duration: all that the methods of a comparison have in common."""

    def __init__(
        self,
        config: Config,
        system: InitialConditions,
        duration: float,
        show: Callable[[], None],
        weights: dict[str | None, ModelFile],
    ) -> None:
        """Take what is common.

        Args:
            config: the keys that every run has; none about steps, integrators or lengths.
            system: the bodies.
            duration: of every run.
            show: called several times a second while a run goes on; may raise to end everything.
            weights: those that have been read, by their path; it grows.
        """
        self._weights = weights
        self.config, self.system, self.duration, self.show = config, system, duration, show
        self.end_time = system.time + duration

    def configured(self, method: ComparedMethod, value: float) -> Config:
        """The configuration of one run."""
        changes = {**method.keys, method.parameter.name: value, "duration": self.duration}
        return self.config.replace(**changes)

    def check(self, method: ComparedMethod) -> None:
        """Refuse a method that does not fit, before any run.

        Raises:
            InputError: names the method.
        """
        self.prepared(method, min(1.0, method.parameter.high))

    def prepared(self, method: ComparedMethod, value: float) -> PlannedRun:
        """All that a run needs."""
        settings = settings_of(self.configured(method, value), self._weights_of(method))
        return planned(request_of(settings, self.system))

    def _weights_of(self, method: ComparedMethod) -> ModelFile | None:
        """The weights of a method, which are read once in a comparison."""
        if method.keys["timestep"] != "learned":
            return None
        path = method.keys.get("model")
        if path not in self._weights:
            self._weights[path] = read_model(path)
        return self._weights[path]

    def guess(self, method: ComparedMethod, budget: int) -> float:
        """A value from which to look for the budget: by the first step, as if all were like it."""
        prepared = self.prepared(method, _SMALL)
        run = prepared.new_run()
        for _ in drive(run, prepared.plan, prepared.own, Goal(self.end_time, last_step=1), self.system.n_dims):
            self.show()
        if not run.books[0].last_dt > 0:
            return _SMALL
        cost = self.duration / float(run.books[0].last_dt) * len(prepared.plan.method.stages)
        return float(_SMALL * (budget / cost) ** (1.0 / method.parameter.power))

    def run(self, method: ComparedMethod, value: float, budget: int) -> Trial:
        """One run, cut off where it costs several budgets."""
        prepared = self.prepared(method, value)
        run = prepared.new_run()
        stages = len(prepared.plan.method.stages)
        goal = Goal(self.end_time, last_step=math.ceil(OVERDRAFT * budget / stages) + 1)
        began = time.perf_counter()
        for block in drive(run, prepared.plan, prepared.own, goal, self.system.n_dims):  # noqa: B007
            self.show()  # the last block stays
        seconds = time.perf_counter() - began
        if block.failure is None and block.final:
            return Trial(value, *_ended(block.reached, seconds, self.system.n_dims))
        passed = (float(run.books[0].time) - self.system.time) / self.duration
        cost = float(run.books[0].force_evaluations) / max(passed, LEAST_FRACTION)
        return Trial(value, cost, None, block.failure or "", too_short=block.failure == FAILURES[TOO_SHORT])


def _ended(run: Run, seconds: float, n_dims: int) -> tuple[float, Outcome]:
    summary = summary_of(run.books[0], seconds, FINISHED)
    rows = run.system.reshape(ROWS, -1)
    outcome = Outcome(
        summary.steps,
        summary.force_evaluations,
        summary.rejected_steps,
        summary.energy_error_max,
        summary.energy_error_final,
        summary.angular_momentum_residual,
        vectors_of(rows[X : X + 3], n_dims),
        seconds,
    )
    return float(summary.force_evaluations), outcome
