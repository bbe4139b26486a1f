"""The compiled loop of `gbs`: as `rollout.advance`, with steps that choose their own length and order."""

from __future__ import annotations

import math

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled
from aitimestepper.engine.layout import N_BOOKS
from aitimestepper.engine.physics.criteria import fly_by_rate
from aitimestepper.engine.run.local_error import run_position_error
from aitimestepper.engine.run.macro_errors import Workshop, workshop
from aitimestepper.engine.run.macro_step import begin, macro_step, weigh_pairs
from aitimestepper.engine.run.plan import Plan
from aitimestepper.engine.run.rollout import is_frame, put_frame, put_step
from aitimestepper.engine.run.state import Frames, Limits, Run
from aitimestepper.engine.run.step import (
    AT_STEPS,
    AT_TARGET,
    FULL,
    RUNNING,
    STOPPED,
    TOO_SHORT,
    count_step,
    pass_time,
    passes,
    tally,
)
from aitimestepper.engine.run.stops import is_stopped, keep, room_to_keep, take_back

_STEPS_BETWEEN_LOOKS = 16.0
"""At light pairs, whose weights are of Omega. Chosen."""

_LONGEST_WATCHED = 0.3
"""Longest step over the fly-by time scale where close encounters are looked for. Chosen."""


@compiled
def advance_extrapolated(run: Run, plan: Plan, limits: Limits, frames: Frames) -> tuple[int, int, int]:
    """Step until a limit is reached; arguments and result as for `rollout.advance`."""
    books, room = run.books[0], workshop(run.system)
    kept, before = room_to_keep(run, limits.stops), np.empty(N_BOOKS + run.system.shape[0])
    watched = kept.shape[0] > 0
    n_frames = n_history = 0
    frames.events.counts[:] = 0
    most_frames, most_history = frames.books.shape[0], frames.history.shape[0]
    for _ in range(limits.budget):
        if books.steps >= limits.last_step:
            return AT_STEPS, n_frames, n_history
        if n_frames >= most_frames or n_history >= most_history > 0:
            return FULL, n_frames, n_history
        if books.macro_step == 0.0:
            begin(run, plan)
        elif books.steps % _STEPS_BETWEEN_LOOKS == 0.0:
            weigh_pairs(run, plan, False)
        time = books.time
        keep(before, run)
        keep(kept, run)
        if watched:
            _shorten_for_encounters(run, plan)
        status = _one_step(run, plan, room, limits.target, before)
        if watched and status == RUNNING and is_stopped(run, kept, plan, limits.stops):
            status = STOPPED
        if status != RUNNING:
            return status, n_frames, n_history
        if most_history > 0:
            put_step(frames.history, n_history, books)
            n_history += 1
        if is_frame(books, time, frames.every, frames.interval):
            put_frame(frames, n_frames, run)
            n_frames += 1
    return RUNNING, n_frames, n_history


@compiled
def _one_step(run: Run, plan: Plan, room: Workshop, target: float, before: Floats) -> int:
    """One step that does not come to a target; the run is as `before` where there is none."""
    books = run.books[0]
    status, elapsed = macro_step(run, plan, room)
    if status == RUNNING and passes(books, elapsed, target):
        take_back(run, before)
        return AT_TARGET
    if status == RUNNING and not pass_time(books, elapsed):
        take_back(run, before)
        return TOO_SHORT
    if status != RUNNING:
        return status
    books.steps += 1.0
    books.run_position_error = run_position_error(run.system, plan.law)
    count_step(books)
    tally(books)
    return RUNNING


@compiled
def _shorten_for_encounters(run: Run, plan: Plan) -> None:
    """Keep a step short enough for a cubic to show what lies between its ends (`between_steps`)."""
    books = run.books[0]
    longest = _LONGEST_WATCHED * books.omega / math.sqrt(fly_by_rate(run.system, plan.law))
    books.macro_step = min(books.macro_step, longest)
