"""To a time exactly, by steps that are shortened: the end of a run, or a look at a copy of it."""

from __future__ import annotations

import math

import numpy as np

from aitimestepper.engine.compilation import compiled
from aitimestepper.engine.layout import N_BOOKS, Books
from aitimestepper.engine.physics.criteria import CALIBRATED, FIXED, Rule
from aitimestepper.engine.physics.integrators import GBS, TTL, WH
from aitimestepper.engine.physics.omega import omega_of
from aitimestepper.engine.run.governor import exceeds, parameter
from aitimestepper.engine.run.local_error import run_position_error
from aitimestepper.engine.run.macro_errors import workshop
from aitimestepper.engine.run.macro_step import LEAST_ROWS, macro_step
from aitimestepper.engine.run.macro_step import begin as begin_macro_steps
from aitimestepper.engine.run.plan import Plan
from aitimestepper.engine.run.state import Run
from aitimestepper.engine.run.step import (
    GUARDED,
    NOT_FINITE,
    RUNNING,
    begin_frame,
    judge,
    move,
    restore,
    save,
    shorter,
    tally,
)
from aitimestepper.engine.run.wh_looks import reach_split

_MOST_APPROACHES = 1000
"""Shortened steps after which an exact time counts as out of reach. Chosen."""

_MUCH_SHORTER = 0.1
"""Part of a macro step below which a step to an exact time needs few rows. Chosen."""

_PATIENCE = 5
"""Times that a step to an exact time is halved because it would break the promise of a calibrated run."""


@compiled
def reach(run: Run, plan: Plan, target: float) -> int:
    """Go on to a time exactly, by steps that are shortened: for the end of a run, or a look at a copy of it.

    Returns:
        RUNNING, or a status that says why it could not.
    """
    if plan.method.kind == GBS:
        return _reach_by_macro_steps(run, plan, target)
    system, books, method, law, rule = run.system, run.books[0], plan.method, plan.law, plan.rule
    if method.kind == WH:
        return reach_split(run, plan, target)
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
        if not abs(left) > _rounding(target, begin):
            _arrive(books, target, begin)
            judge(books, error)
            if rule.criterion == CALIBRATED:
                books.run_position_error = run_position_error(system, law)
            return RUNNING
    return GUARDED


@compiled
def _reach_by_macro_steps(run: Run, plan: Plan, target: float) -> int:
    """As `reach`, for `gbs`."""
    books, room = run.books[0], workshop(run.system)
    if books.macro_step == 0.0:
        begin_macro_steps(run, plan)
    begin, longest = books.time, books.macro_step
    left = (target - begin) + books.time_remainder
    for _ in range(_MOST_APPROACHES):
        books.macro_step = max(min(left * books.omega, longest), -longest)
        if abs(books.macro_step) < _MUCH_SHORTER * longest:
            books.macro_rows = LEAST_ROWS
        status, elapsed = macro_step(run, plan, room)
        if status != RUNNING:
            return status
        left -= elapsed
        if not abs(left) > _rounding(target, begin):
            _arrive(books, target, begin)
            books.run_position_error = run_position_error(run.system, plan.law)
            return RUNNING
    return GUARDED


@compiled
def _rounding(target: float, begin: float) -> float:
    """Of a time on the way to another. The time may be 0: what its rounding is depends on where the run came from."""
    return 1e-15 * max(abs(target), abs(begin))


@compiled
def _arrive(books: Books, target: float, begin: float) -> None:
    """Enter a state at an exact time as one step."""
    books.time, books.time_remainder = target, 0.0
    books.last_dt = target - begin
    books.steps += 1.0
    tally(books)


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
