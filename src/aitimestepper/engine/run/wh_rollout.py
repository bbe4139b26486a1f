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
from aitimestepper.engine.physics.wisdom_holman import open_split, split_step
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
    status = RUNNING
    for _ in range(limits.budget):
        status = _why_not(run, limits, dt, n_frames >= most_frames or n_history >= most_history > 0)
        if status != RUNNING:
            break
        keep(before, run)
        began = books.time
        if not pass_time(books, dt):
            status = TOO_SHORT
            break
        split_step(system, plan.splitting, plan.law, dt, work)
        _count(run, plan)
        framed = is_frame(books, began, frames.every, frames.interval)
        if framed or watched or most_history > 0 or books.steps % every == 0.0 or books.steps >= limits.last_step:
            if not _looked(run, plan, dt, work, kept):
                _go_back(run, good)
                return NOT_FINITE, n_frames, n_history
            if watched and is_stopped(run, before, plan, limits.stops):
                return STOPPED, n_frames, n_history
            keep(good, run)
        if most_history > 0:
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
def _why_not(run: Run, limits: Limits, dt: float, full: bool) -> int:
    """RUNNING, or why no step is to be made."""
    books = run.books[0]
    if books.steps >= limits.last_step:
        return AT_STEPS
    if full:
        return FULL
    return AT_TARGET if passes(books, dt, limits.target) else RUNNING


@compiled
def _count(run: Run, plan: Plan) -> None:
    """Enter a step into the books."""
    books = run.books[0]
    books.last_rate = plan.rule.per_step
    books.steps += 1.0
    books.force_evaluations += plan.splitting.kicks.shape[0]
    count_step(books)


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
