"""The compiled loop of a calibrated run: as `rollout.advance`, with a step that is asked for, measured and taken back.

A run that meets an error above what is allowed goes back to its anchor, the last state at which its errors were small,
and takes shorter steps from there: accept, or try again on the same state, as in training. What lies before an anchor
is final, so the loop returns only there, and what it does depends neither on the budget nor on the room for frames.
"""

from __future__ import annotations

import math

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.constants import EXCUSED, LONGER, NETWORK, SETBACK
from aitimestepper.engine.compilation import compiled
from aitimestepper.engine.layout import EARLIER, GX, SAVED, Books, X, books_in, n_bodies
from aitimestepper.engine.physics.criteria import fly_by_rate
from aitimestepper.engine.physics.integrators import TTL
from aitimestepper.engine.physics.law import Law
from aitimestepper.engine.physics.light_pairs import hidden_rate, weigh
from aitimestepper.engine.physics.omega import PAIR_NORM, omega_of
from aitimestepper.engine.run.events import has_room, note, note_anchor, note_setback
from aitimestepper.engine.run.governor import (
    consult,
    excess,
    is_quiet,
    lengthen,
    limit,
    parameter,
    review,
    settled,
)
from aitimestepper.engine.run.plan import Control, Plan
from aitimestepper.engine.run.rollout import is_frame, put_frame, put_step
from aitimestepper.engine.run.sampling import sample
from aitimestepper.engine.run.setbacks import MOST_VAIN_SETBACKS, drop_anchor, set_back
from aitimestepper.engine.run.state import Events, Frames, Limits, Run
from aitimestepper.engine.run.step import AT_STEPS, AT_TARGET, FULL, NOT_FINITE, RUNNING, STOPPED, next_rate, one_step
from aitimestepper.engine.run.stops import is_stopped, keep, room_to_keep

BLOCK = 32
"""Steps between two looks at the errors: an anchor may follow each. With 16 evaluations x 0.97, error x 1.04; with 64
x 1.04 and 0.94 (this and what follows as the constants of `governor`: chosen, measured at half and at double)."""

LONGEST_STRETCH = 512
"""Steps after which there is an anchor whatever the error: so many frames may have to wait for it."""

_STEPS_BETWEEN_CHECKS = 64
"""Steps between two questions to the network. With 32 the worst run exceeds its tolerance 74-fold, not 190-fold."""

_FIRST_STEPS, _EARLY_STEPS, _EARLY_STRIDE, _STRIDE = 4.0, 64.0, 8.0, 64.0
"""The local position error is sampled, at the price of two steps, at each of the first steps (a run may have no more
than those), then at every eighth, then at every 64th. Every fourth and every 32nd cost 6 % and 2 % more."""

_OUT_OF_TURN = 1.2
"""A step that is longer than all that were sampled by this factor, over the time in which the fastest pair falls
together, is sampled out of turn: an encounter that is shorter than the stride is not missed. Chosen."""

_ANCHORED = 0.3
"""Part of what the last anchor has left of what is allowed, below which the error of an anchor must be, unless the
stretch is over.

An error that rises in an encounter falls behind it, if the steps stay as they are; where they change, it remains as
it is. So a run goes back to before the encounter."""

_FORGOTTEN = 0.5
"""Part of what is allowed at which an error that was excused is excused no longer."""


@compiled
def advance_controlled(run: Run, plan: Plan, limits: Limits, frames: Frames) -> tuple[int, int, int]:
    """Step until a limit is reached; arguments and result as for `rollout.advance`."""
    books, control = run.books[0], plan.control
    traits, layers, before = scratch(run, control)
    kept = room_to_keep(run, limits.stops)
    watched = kept.shape[0] > 0
    n_frames = n_history = sure_frames = sure_history = done = 0
    frames.events.counts[:] = 0
    while True:
        if books.reviewed_before_step != books.steps + 1.0 and _steps_since(books) % BLOCK == 0.0:
            anchored = _noted_look(run, plan, traits, layers, frames.events)
            if anchored:
                sure_frames, sure_history = n_frames, n_history
                handed_over = control.hands_over and books.democratic == 1.0
                if done >= limits.budget or handed_over:
                    return RUNNING, n_frames, n_history
                if not _has_room(frames, n_frames, n_history):
                    return FULL, n_frames, n_history
        if books.steps >= limits.last_step:
            _noted_anchor(run, plan, frames.events)
            return AT_STEPS, n_frames, n_history
        time, done = books.time, done + 1
        if watched:
            keep(kept, run)
        status, worst, length = _step(run, plan, limits.target, before)
        if status == AT_TARGET:
            _noted_anchor(run, plan, frames.events)
            return status, n_frames, n_history
        curable = status in (RUNNING, NOT_FINITE) and control.governed and books.vain_setbacks < MOST_VAIN_SETBACKS
        if curable and worst > limit(books_in(run.anchor), control):
            _noted_setback(run, plan, worst, length, frames.events)
            n_frames, n_history = sure_frames, sure_history
            continue
        if status != RUNNING:
            return status, n_frames, n_history
        if watched and is_stopped(run, kept, plan, limits.stops):
            _noted_anchor(run, plan, frames.events)
            return STOPPED, n_frames, n_history
        if books.wanted_factor > 1.0 and books.time > books.last_setback_time and is_quiet(books, control):
            _noted_lengthening(books, frames.events)
        if frames.history.shape[0] > 0:
            put_step(frames.history, n_history, books)
            n_history += 1
        if is_frame(books, time, frames.every, frames.interval):
            put_frame(frames, n_frames, run)
            n_frames += 1


@compiled
def _steps_since(books: Books) -> float:
    """Steps since the run began, or since two bodies became one: it begins anew there."""
    return books.steps - books.began_at_step


@compiled
def _has_room(frames: Frames, n_frames: int, n_history: int) -> bool:
    """Whether all frames up to the next anchor fit."""
    for_frames, for_history = frames.books.shape[0] - n_frames, frames.history.shape[0] - n_history
    keeps_frames = frames.every > 0 or frames.interval < math.inf
    keeps_history = frames.history.shape[0] > 0
    fits = (for_frames >= LONGEST_STRETCH or not keeps_frames) and (for_history >= LONGEST_STRETCH or not keeps_history)
    return fits and has_room(frames.events)


@compiled
def scratch(run: Run, control: Control) -> tuple[Floats, Floats, Floats]:
    """A description of a state, the layers of the network, and a state to try steps on."""
    n_traits = control.low.shape[0]
    widest = n_traits + 1
    for units in control.network.widths:
        widest = max(widest, units)
    return np.empty(n_traits), np.empty((2, widest)), np.empty_like(run.system)


@compiled
def _look(run: Run, plan: Plan, traits: Floats, layers: Floats) -> bool:
    """What is due at the end of a block; whether there is a new anchor."""
    books, control = run.books[0], plan.control
    books.reviewed_before_step = books.steps + 1.0
    before = parameter(books)
    if control.governed:
        review(books, control)
    if _steps_since(books) % _STEPS_BETWEEN_CHECKS == 0.0:
        _weigh(run, plan)
        consult(run.system, books, plan, traits, layers)
    if parameter(books) != before:
        # The recursion swings about a rate that jumps: it begins anew.
        books.last_rate = 0.0
    late = books.steps - books.anchor_step >= LONGEST_STRETCH
    error = settled(books, control)
    there = settled(books_in(run.anchor), control) if _steps_since(books) > 0.0 else 0.0
    anchored = late or error <= there + _ANCHORED * max(1.0 - there, 0.0)
    if error <= _FORGOTTEN:
        books.excused_error = 0.0
    if anchored:
        drop_anchor(run, plan.law)
    return anchored


@compiled
def _noted_look(run: Run, plan: Plan, traits: Floats, layers: Floats, events: Events) -> bool:
    """`_look`, with what it changes noted."""
    books, control = run.books[0], plan.control
    before, position_error = parameter(books), books.review_position_error
    anchored = _look(run, plan, traits, layers)
    if parameter(books) != before:
        note(events, NETWORK, books, before, settled(books, control), position_error)
    if anchored:
        note_anchor(events, books, control)
    return anchored


@compiled
def _noted_anchor(run: Run, plan: Plan, events: Events) -> None:
    """An anchor where a call ends."""
    drop_anchor(run, plan.law)
    note_anchor(events, run.books[0], plan.control)


@compiled
def _noted_setback(run: Run, plan: Plan, worst: float, length: float, events: Events) -> None:
    """`set_back`, noted."""
    books = run.books[0]
    failed_at, before, position_error = books.time, parameter(books), books.review_position_error
    kind = EXCUSED if set_back(run, plan, worst, length) else SETBACK
    note_setback(events, books, kind, failed_at, before, worst, position_error)


@compiled
def _noted_lengthening(books: Books, events: Events) -> None:
    """`lengthen`, noted."""
    before, position_error = parameter(books), books.review_position_error
    worst = max(books.review_energy_error, position_error)
    lengthen(books)
    note(events, LONGER, books, before, worst, position_error)


@compiled
def _weigh(run: Run, plan: Plan) -> None:
    """Look for light pairs; where their weights change, steps are of another Omega, and the network is asked anew."""
    system, books, method = run.system, run.books[0], plan.method
    if method.kind != TTL or method.weights != PAIR_NORM:
        return
    if weigh(system, plan.law, _steps_since(books) == 0.0):
        books.omega, books.omega_low = omega_of(system, plan.law, method.weights), 0.0
        books.network_step = books.last_rate = 0.0


@compiled
def _step(run: Run, plan: Plan, target: float, before: Floats) -> tuple[int, float, float]:
    """One step, sampled if it is time to.

    Returns:
        A status, the errors over what is allowed, and the step over the free-fall time of the fastest pair that Omega
        does not show.
    """
    system, books, method, law, rule = run.system, run.books[0], plan.method, plan.law, plan.rule
    made = _steps_since(books)
    stride = _stride(made)
    due = made % stride == 0.0
    rate = next_rate(books, _wanted(system, books, method.kind, law), rule, method.kind)
    status = one_step(system, books, rate, method, law, rule, target)
    if status != RUNNING:
        return status, math.inf, 0.0
    before_it = books.hidden_rate_squared
    books.hidden_rate_squared = (
        hidden_rate(system, law, books.omega) if method.kind == TTL else books.free_fall_rate_squared
    )
    length = books.last_dt * math.sqrt(max(before_it, books.hidden_rate_squared))
    books.longest_length = max(books.longest_length, length)
    longest = length > _OUT_OF_TURN * books.sampled_length
    if due or longest:
        n = n_bodies(system)
        before[:] = system
        before[X * n : GX * n] = system[SAVED * n : EARLIER * n]
        sample(before, books.saved_omega, run, plan, stride if due else 1.0)
        books.sampled_length = max(books.sampled_length, length)
    return status, excess(books, plan.control), length


@compiled
def _stride(steps: float) -> float:
    """Steps between two samples."""
    if steps < _FIRST_STEPS:
        return 1.0
    return _EARLY_STRIDE if steps < _EARLY_STEPS else _STRIDE


@compiled
def _wanted(system: Floats, books: Books, kind: int, law: Law) -> float:
    """One over the step in time that is wanted."""
    if kind == TTL:
        return books.omega / parameter(books)
    return math.sqrt(fly_by_rate(system, law)) / parameter(books)
