"""A second run at a tenth of the tolerance: how far its bodies are from those of the first, at equal times."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.recordings.parts import Summary
from aitimestepper.simulation.driver import drive
from aitimestepper.simulation.goal import Goal
from aitimestepper.simulation.outcomes import outcome_of
from aitimestepper.simulation.planning import PlannedRun, planned
from aitimestepper.simulation.recorder import Recorder
from aitimestepper.weights.calibrated import TOLERANCES

_FINER = 10

_ORDER_OF_GBS = 12
"""About the order that its steps have between tolerances of 1e-6 and 1e-10: six rows of a table."""

_STEPS_FOR_A_STATE = 50
"""A state that is met exactly costs as much as four or five steps (measured for orders 2 to 8): a tenth of the run."""

_LEAST_STATES, _MOST_STATES = 10, 100
"""That are compared where none were asked for at exact times; chosen."""


def share_of_first(plan: PlannedRun) -> float:
    """The part that the first run has of the work of both, by the law error ~ step^order."""
    order = plan.request.settings.config.order or _ORDER_OF_GBS
    return 1.0 / (1.0 + _FINER ** (1.0 / order))


def confirmed(plan: PlannedRun, recorder: Recorder, summary: Summary, show: Callable[[float], None]) -> Summary:
    """The summary of a run that has finished, with what a second one says of its positions.

    The second run has the same bodies, integrator and order. It meets times at which the first one kept a state: all of
    them if these were asked for (`samples`, `times`), otherwise some, evenly, and the end. Only steps of the second run
    are shortened for that; the first one is what it would be without.

    Args:
        plan: of the first run.
        recorder: of the first run, not yet closed.
        summary: of the first run.
        show: called with the part of the second run that is done, 0 to 1.
    """
    config, system = plan.request.settings.config, plan.request.system
    exact = config.samples is not None or config.times is not None
    most = None if exact else min(max(summary.steps // _STEPS_FOR_A_STATE, _LEAST_STATES), _MOST_STATES)
    times, positions = recorder.kept(most)
    second = _finer(plan, times)
    run, done, differences = second.new_run(), 0, [(0.0, 0.0)]
    for block in drive(run, second.plan, second.own, second.goal, system.n_dims):
        if block.failure is not None:
            break
        found = block.frames.position
        differences.append(differences_between(positions[done : done + len(found)], found))
        done += len(found)
        show(second.fraction(block.reached))
    summary = replace(
        summary,
        confirm_tolerance=second.request.settings.config.tolerance,
        confirm_force_evaluations=int(block.reached.books[0].force_evaluations),
    )
    if block.failure is not None:
        reason = outcome_of(block, system.mass, system.names, second.goal.direction)
        return replace(summary, confirm_outcome=f"not confirmed, by a second run: {reason}")
    largest, relative = (max(numbers) for numbers in zip(*differences, strict=True))
    return replace(
        summary,
        confirm_position_difference=largest,
        confirm_position_difference_relative=relative if system.n_bodies > 1 else None,
        confirm_outcome="confirmed",
    )


def _finer(plan: PlannedRun, times: Floats) -> PlannedRun:
    """The second run, which ends with the last of the times (T,)."""
    settings, direction = plan.request.settings, plan.goal.direction
    assert settings.config.tolerance is not None
    tenth = float(Decimal(repr(settings.config.tolerance)) / _FINER)  # 1e-5 / 10 is not 1e-6
    config = settings.config.replace(tolerance=max(tenth, TOLERANCES[0]))
    request = plan.request._replace(settings=settings._replace(config=config), end_time=float(times[-1]), times=times)
    goal = Goal(direction * request.end_time, sample_times=direction * times, direction=direction)
    return planned(request, own=plan.own, goal=goal)


def differences_between(first: Floats, second: Floats) -> tuple[float, float]:
    """Largest distance of a body between states of two runs, and the largest over that to its nearest neighbour.

    Args:
        first, second: positions (K, N, D) at the same times; neighbours are those of the second run.

    Returns:
        Both are finite: where two bodies are at one point, the latter may be the largest number that there is.
    """
    if not len(first):
        return 0.0, 0.0
    apart, most = np.linalg.norm(first - second, axis=-1), sys.float_info.max
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(apart > 0.0, apart / _nearest(second), 0.0)
    return min(float(apart.max()), most), min(float(relative.max()), most)


def _nearest(position: Floats) -> Floats:
    """Distances (K, N) of all bodies to their nearest neighbour; memory grows with bodies, not with pairs."""
    found = np.empty(position.shape[:2])
    for body in range(position.shape[1]):
        distance = np.linalg.norm(position - position[:, body, None], axis=-1)
        distance[:, body] = np.inf
        found[:, body] = distance.min(-1)
    return found
