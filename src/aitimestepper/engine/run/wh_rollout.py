"""The compiled loop of Wisdom and Holman's split, whose steps cost less than a look at the energy.

The rows of positions and velocities hold a synchronised copy, the run itself stands in rows of its own (see
`physics.coordinates`). Energies are looked at where a state is kept, and every so many steps between.
"""

from __future__ import annotations

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled
from aitimestepper.engine.layout import N_BOOKS
from aitimestepper.engine.physics.coordinates import is_ordered
from aitimestepper.engine.physics.kepler_lanes import room_for_lanes
from aitimestepper.engine.physics.wisdom_holman import open_split, split_steps
from aitimestepper.engine.run.plan import Plan
from aitimestepper.engine.run.rollout import is_frame, put_frame, put_step
from aitimestepper.engine.run.state import Frames, Limits, Run
from aitimestepper.engine.run.step import (
    AT_STEPS,
    AT_TARGET,
    FULL,
    NOT_FINITE,
    RUNNING,
    STOPPED,
    TOO_SHORT,
    count_step,
    pass_time,
    passes,
    tally,
)
from aitimestepper.engine.run.stops import is_stopped, keep, room_to_keep
from aitimestepper.engine.run.wh_looks import cost_of_a_look, look, room_for_a_look

LOOK_EVERY, CORRECTED_LOOK_EVERY = 64, 1024
"""Steps between looks at the energy where no state is kept: a look costs about as much as one step, with a corrector as
seventeen, and together they cost a few percent of the steps. Chosen."""


@compiled
def advance_wh(run: Run, plan: Plan, limits: Limits, frames: Frames) -> tuple[int, int, int]:
    """Step until a limit is reached; see `rollout.advance`, whose arguments and statuses these are.

    The largest energy error is that of the states that are looked at. Whenever it returns, positions, velocities and
    energies are those of the time in the books; what the run does next does not depend on when that was.
    """
    system, books, dt = run.system, run.books[0], 1.0 / plan.rule.per_step
    work, kept = room_for_lanes(), room_for_a_look(run)
    before, good = room_to_keep(run, limits.stops), np.empty(N_BOOKS + system.shape[0])
    watched = before.shape[0] > 0
    n_frames = n_history = 0
    most_frames, most_history = frames.books.shape[0], frames.history.shape[0]
    keep(good, run)
    if not is_ordered(system):
        open_split(system, plan.splitting, plan.law, dt, work)
        books.force_evaluations += 2 * plan.splitting.corrector.shape[0]
    every = LOOK_EVERY if plan.splitting.corrector.shape[0] == 0 else CORRECTED_LOOK_EVERY
    left, status = limits.budget, RUNNING
    while left > 0 and status == RUNNING:
        if n_frames >= most_frames or n_history >= most_history > 0:
            status = FULL
            break
        keep(before, run)
        # To call for the steps one by one would cost as much as they do: the books are ahead of them.
        each = watched or most_history > 0
        status, n_steps, looks, framed = _entered(run, plan, limits, frames, 1 if each else min(left, every))
        left -= n_steps
        split_steps(system, plan.splitting, plan.law, dt, work, n_steps)
        if looks or (each and n_steps > 0):
            if not _looked(run, plan, dt, work, kept):
                _go_back(run, good)
                return NOT_FINITE, n_frames, n_history
            if watched and is_stopped(run, before, plan, limits.stops):
                return STOPPED, n_frames, n_history
            keep(good, run)
        if n_steps > 0 and most_history > 0:
            put_step(frames.history, n_history, books)
            n_history += 1
        if framed:
            put_frame(frames, n_frames, run)
            n_frames += 1
    if not look(run, plan, dt, work, kept):
        _go_back(run, good)
        status = NOT_FINITE
    return status, n_frames, n_history


@compiled
def _entered(run: Run, plan: Plan, limits: Limits, frames: Frames, most: int) -> tuple[int, int, bool, bool]:
    """Enter steps into the books up to the next state that is looked at.

    Returns:
        RUNNING, or why there is no further step; the number of steps; whether the state reached is looked at, and kept.
    """
    books, dt, kicks = run.books[0], 1.0 / plan.rule.per_step, plan.splitting.kicks.shape[0]
    every = LOOK_EVERY if plan.splitting.corrector.shape[0] == 0 else CORRECTED_LOOK_EVERY
    books.last_rate = plan.rule.per_step
    for n_steps in range(most):
        if books.steps >= limits.last_step:
            return AT_STEPS, n_steps, False, False
        if passes(books, dt, limits.target):
            return AT_TARGET, n_steps, False, False
        began = books.time
        if not pass_time(books, dt):
            return TOO_SHORT, n_steps, False, False
        books.steps += 1.0
        books.force_evaluations += kicks
        count_step(books)
        framed = is_frame(books, began, frames.every, frames.interval)
        if framed or books.steps % every == 0.0 or books.steps >= limits.last_step:
            return RUNNING, n_steps + 1, True, framed
    return RUNNING, most, False, False


@compiled
def _looked(run: Run, plan: Plan, dt: float, work: Floats, kept: Floats) -> bool:
    """Take the state into the largest errors; False where it is none any more."""
    books = run.books[0]
    books.force_evaluations += cost_of_a_look(plan)
    if not look(run, plan, dt, work, kept):
        return False
    tally(books)
    return True


@compiled
def _go_back(run: Run, good: Floats) -> None:
    """To the last state that was looked at."""
    run.books.view(np.float64)[:] = good[:N_BOOKS]
    run.system[:] = good[N_BOOKS:]
