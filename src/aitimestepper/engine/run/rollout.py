"""The compiled loop: one system, step after step, until a time, a number of steps or a failure.

Nothing here knows of files or of Python objects: a run is a few arrays (see `layout`), and whatever it does next
follows from them alone, so that a copy of them continues it bit by bit.
"""

from __future__ import annotations

import math

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled, inlined
from aitimestepper.engine.layout import AX, N_BOOKS, Books, X, n_bodies
from aitimestepper.engine.physics.criteria import CALIBRATED, FIXED, LEARNED, OWN, Rule, classical_rate, own_rate
from aitimestepper.engine.physics.integrators import TTL
from aitimestepper.engine.physics.omega import omega_of
from aitimestepper.engine.run.governor import exceeds, parameter
from aitimestepper.engine.run.local_error import run_position_error
from aitimestepper.engine.run.plan import Learner, Plan
from aitimestepper.engine.run.state import Frames, Limits, Run
from aitimestepper.engine.run.step import (
    AT_STEPS,
    FULL,
    GUARDED,
    NOT_FINITE,
    RUNNING,
    begin_frame,
    judge,
    learned_rate,
    move,
    next_rate,
    one_step,
    remember,
    restore,
    save,
    shorter,
    tally,
)

_MOST_APPROACHES = 1000
"""Shortened steps after which an exact time counts as out of reach. Chosen."""

_PATIENCE = 5
"""Times that a step to an exact time is halved because it would break the promise of a calibrated run."""


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
    n_frames = n_history = 0
    most_frames, most_history = frames.books.shape[0], frames.history.shape[0]
    for _ in range(limits.budget):
        if books.steps >= limits.last_step:
            return AT_STEPS, n_frames, n_history
        if n_frames >= most_frames or n_history >= most_history > 0:
            return FULL, n_frames, n_history
        before = books.time
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
def reach(run: Run, plan: Plan, target: float) -> int:
    """Go on to a time exactly, by steps that are shortened: for the end of a run, or a look at a copy of it.

    Returns:
        RUNNING, or a status that says why it could not.
    """
    system, books, method, law, rule = run.system, run.books[0], plan.method, plan.law, plan.rule
    begin = books.time
    allowed = rule.guard * books.energy_scale
    left = (target - begin) + books.time_remainder
    longest, farthest = math.inf, _longest_fictitious(books, rule)
    patience = _PATIENCE if plan.control.governed else 0
    for _ in range(_MOST_APPROACHES):
        save(system, books)
        energy = books.kinetic_energy + books.potential_energy
        # The time that a fictitious step takes is known only afterwards: each leaves a small part of the rest.
        step = min(left, longest)
        own = step
        if method.kind == TTL:
            own = max(min(step * books.omega, farthest), -farthest)
        elapsed = move(system, books, own, method, law, rule.criterion)
        error = abs(books.kinetic_energy + books.potential_energy - energy)
        if not error < math.inf or not abs(elapsed) < math.inf:
            restore(system, books)
            return NOT_FINITE
        too_much = patience > 0 and exceeds(books, energy, plan.control)
        if error > allowed or too_much:
            restore(system, books)
            books.rejected_steps += 1.0
            if too_much:
                patience, farthest, longest = patience - 1, 0.5 * abs(own), 0.5 * abs(step)
                if method.kind == TTL:  # what the auxiliary Omega is off by does harm at any step
                    books.omega, books.omega_low = omega_of(system, law, method.weights), 0.0
            else:
                longest = step * shorter(error, allowed)
            continue
        left = left - elapsed if method.kind == TTL else left - step
        # The time may be 0: what its rounding is depends on where the run came from too.
        if not abs(left) > 1e-15 * max(abs(target), abs(begin)):
            books.time, books.time_remainder = target, 0.0
            books.last_dt = target - begin
            books.steps += 1.0
            tally(books)
            judge(books, error)
            if rule.criterion == CALIBRATED:
                books.run_position_error = run_position_error(system, law)
            return RUNNING
    return GUARDED


@compiled
def note_sample(run: Run, look: Run) -> None:
    """Enter a look at a copy, which is kept as a frame, into the books: what it cost and the errors that it saw."""
    books, seen = run.books[0], look.books[0]
    books.samples += 1.0
    books.force_evaluations = seen.force_evaluations
    books.max_energy_error, books.max_energy_error_time = seen.max_energy_error, seen.max_energy_error_time
    begin_frame(books)
    books.max_step_error, books.steps_above = seen.max_step_error, seen.steps_above
    books.max_momentum_error_squared = seen.max_momentum_error_squared
    books.max_angular_momentum_error_squared = seen.max_angular_momentum_error_squared
    books.momentum_scale, books.angular_momentum_scale = seen.momentum_scale, seen.angular_momentum_scale
    if run.anchor.shape[0] > 0:
        run.anchor[:N_BOOKS] = run.books.view(np.float64)  # the loop stopped at an anchor, and this belongs to it


@compiled
def _longest_fictitious(books: Books, rule: Rule) -> float:
    """The step in fictitious time that would pass the target, about: where bodies part, time passes ever faster."""
    if rule.criterion == CALIBRATED:
        return parameter(books)
    if rule.criterion == FIXED:
        return 1.0 / rule.per_step
    return 2.0 / books.last_rate if books.last_rate > 0.0 else math.inf


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
