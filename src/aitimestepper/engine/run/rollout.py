"""The compiled loop: one system, step after step, until a time, a number of steps or a failure.

Nothing here knows of files or of Python objects: a run is a few arrays (see `layout`), and whatever it does next
follows from them alone, so that a copy of them continues it bit by bit.
"""

from __future__ import annotations

import math

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled, inlined
from aitimestepper.engine.layout import AX, Books, X, n_bodies
from aitimestepper.engine.physics.criteria import FIXED, LEARNED, OWN, classical_rate, own_rate
from aitimestepper.engine.run.plan import Learner, Plan
from aitimestepper.engine.run.state import Frames, Limits, Run
from aitimestepper.engine.run.step import (
    AT_STEPS,
    FULL,
    RUNNING,
    STOPPED,
    begin_frame,
    learned_rate,
    next_rate,
    one_step,
    remember,
)
from aitimestepper.engine.run.stops import is_stopped, keep, room_to_keep


@compiled
def advance(run: Run, plan: Plan, own: object, limits: Limits, frames: Frames) -> tuple[int, int, int]:
    """Step until a limit is reached; a step that would reach or pass the target time is left to `reach`.

    Args:
        run: as `start` or an earlier call left it; advanced in place.
        plan: how.
        own: compiled function of the user's criterion, or a stand-in that is never called.
        limits: where to stop.
        frames: where to put frames; FULL is returned before one more might not fit.

    Returns:
        A status, the frames filled, and the rows of the history filled.
    """
    system, books, past = run.system, run.books[0], run.past
    method, law, rule, learner = plan.method, plan.law, plan.rule, plan.learner
    layers, row = _scratch(past, learner)
    kept = room_to_keep(run, limits.stops)
    watched = kept.shape[0] > 0  # a call for nothing would cost as much as a step of three bodies
    n_frames = n_history = 0
    most_frames, most_history = frames.books.shape[0], frames.history.shape[0]
    for _ in range(limits.budget):
        if books.steps >= limits.last_step:
            return AT_STEPS, n_frames, n_history
        if n_frames >= most_frames or n_history >= most_history > 0:
            return FULL, n_frames, n_history
        before = books.time
        if watched:
            keep(kept, run)
        if rule.criterion == FIXED:
            rate = rule.per_step
        else:
            if rule.criterion == LEARNED:
                rate = learned_rate(run, plan, layers, row)
            elif rule.criterion == OWN:
                rate = own_rate(own, system, law, rule)
            else:
                rate = classical_rate(system, books.free_fall_rate_squared, law, rule)
            rate = next_rate(books, rate, rule, method.kind)
        status = one_step(system, books, rate, method, law, rule, limits.target)
        if watched and status == RUNNING and is_stopped(run, kept, plan, limits.stops):
            status = STOPPED
        if status != RUNNING:
            return status, n_frames, n_history
        if rule.criterion == LEARNED and learner.sight.history > 0:
            remember(system, past, row)
        if most_history > 0:
            put_step(frames.history, n_history, books)
            n_history += 1
        if is_frame(books, before, frames.every, frames.interval):
            put_frame(frames, n_frames, run)
            n_frames += 1
    return RUNNING, n_frames, n_history


@compiled
def _scratch(past: Floats, learner: Learner) -> tuple[Floats, Floats]:
    """Layers for the network, and a row for the features of the current state."""
    width = past.shape[1]
    widest = width * (past.shape[0] + 1)
    for units in learner.network.widths:
        widest = max(widest, units)
    return np.empty((2, widest)), np.empty(width)


@inlined
def is_frame(books: Books, before: float, every: int, interval: float) -> bool:
    """Whether the state reached by the step that began at time `before` is to be kept."""
    if every > 0 and books.steps % every == 0.0:
        return True
    if interval == math.inf:
        return False
    began = books.start_time
    return math.floor((books.time - began) / interval) > math.floor((before - began) / interval)


@compiled
def put_frame(frames: Frames, row: int, run: Run) -> None:
    """Keep the state reached, with the books as they are."""
    n = n_bodies(run.system)
    frames.books[row] = run.books.view(np.float64)
    frames.rows[row] = run.system[X * n : AX * n]
    begin_frame(run.books[0])


@compiled
def put_step(rows: Floats, row: int, books: Books) -> None:
    """Time, step and energy of the state reached."""
    rows[row, 0], rows[row, 1], rows[row, 2] = books.time, books.last_dt, books.kinetic_energy + books.potential_energy
