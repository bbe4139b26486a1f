"""The compiled loop of a calibrated run: as `rollout.advance`, with a step that is asked for, measured and taken back.

A run that meets an error above what is allowed goes back to its anchor, the last state at which its errors were small,
and takes shorter steps from there: accept, or try again on the same state, as in training. What lies before an anchor
is final, so the loop returns only there, and what it does depends neither on the budget nor on the room for frames.
"""

from __future__ import annotations

import math

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled
from aitimestepper.engine.layout import (
    ANCHOR_STEP,
    AX,
    BOOKS,
    CORRECTION,
    ENERGY_SCALE,
    EVALUATIONS,
    FAILED_AT,
    FUTILE,
    KINETIC,
    LAST_RATE,
    LAST_WORST,
    LOOKED_AT,
    OMEGA,
    PARDON,
    POTENTIAL,
    REJECTED,
    SETBACKS,
    STEPS,
    TIME,
    WISH,
    X,
    n_bodies,
)
from aitimestepper.engine.physics.criteria import fly_by_rate
from aitimestepper.engine.physics.gravity import Law
from aitimestepper.engine.physics.integrators import TTL
from aitimestepper.engine.physics.omega import omega_of
from aitimestepper.engine.run.governor import (
    Control,
    consult,
    excess,
    is_quiet,
    lengthen,
    limit,
    parameter,
    review,
    sample,
    settled,
    shorten,
)
from aitimestepper.engine.run.local_error import energy_rounding
from aitimestepper.engine.run.rollout import is_frame, put_scalars
from aitimestepper.engine.run.state import Frames, Limits, Plan, Run
from aitimestepper.engine.run.step import AT_STEPS, AT_TARGET, FULL, NOT_FINITE, RUNNING, next_rate, one_step

BLOCK = 32
"""Steps between two looks at the errors: an anchor may follow each."""

LONGEST_STRETCH = 512
"""Steps after which there is an anchor whatever the error: so many frames may have to wait for it."""

_STEPS_BETWEEN_CHECKS = 64
_FIRST_STEPS, _EARLY_STEPS, _EARLY_STRIDE, _STRIDE = 4.0, 64.0, 8.0, 64.0
"""The local position error is sampled, at the price of two steps, at each of the first steps (a run may have no more
than those), then at every eighth, then at every 64th."""

_ANCHORED = 0.3
"""Part of what is allowed below which the error of an anchor must be, unless the stretch is over.

An error that rises in an encounter falls behind it, if the steps stay as they are; where they change, it remains as
it is. So a run goes back to before the encounter."""

_FORGOTTEN = 0.5
_MARGIN_OF_ENERGY, _SUM_OF_ROUNDING = 0.1, 20.0
_MOST_SETBACKS, _MOST_FUTILE, _NO_HELP = 20, 5, 0.95
"""At one anchor, and of those the ones that leave the error as it was (rounding, mostly): what cannot be kept then is
accepted, and reported."""


@compiled
def advance_controlled(run: Run, plan: Plan, limits: Limits, frames: Frames) -> tuple[int, int, int]:
    """Step until a limit is reached; arguments and result as for `rollout.advance`."""
    system, books, control = run.system, run.books, plan.control
    traits, layers, before = scratch(run, control)
    n_frames = n_history = sure_frames = sure_history = done = 0
    while True:
        if books[LOOKED_AT] != books[STEPS] + 1.0 and books[STEPS] % BLOCK == 0.0:
            anchored = _look(run, plan, traits, layers)
            if anchored:
                sure_frames, sure_history = n_frames, n_history
                if done >= limits.budget:
                    return RUNNING, n_frames, n_history
                if not _has_room(frames, n_frames, n_history):
                    return FULL, n_frames, n_history
        if books[STEPS] >= limits.last_step:
            drop_anchor(run)
            return AT_STEPS, n_frames, n_history
        time, done = books[TIME], done + 1
        status, worst = _step(run, plan, limits.target, before)
        if status == AT_TARGET:
            drop_anchor(run)
            return status, n_frames, n_history
        curable = status in (RUNNING, NOT_FINITE) and control.governed and books[FUTILE] < _MOST_FUTILE
        if curable and worst > limit(run.anchor, control):
            _set_back(run, plan, worst)
            n_frames, n_history = sure_frames, sure_history
            continue
        if status != RUNNING:
            return status, n_frames, n_history
        if books[WISH] > 1.0 and is_quiet(books, control):
            lengthen(books)
        if frames.history.shape[0] > 0:
            put_scalars(frames.history, n_history, books)
            n_history += 1
        if is_frame(books, time, frames.every, frames.interval):
            put_scalars(frames.scalars, n_frames, books)
            frames.rows[n_frames] = system[X * n_bodies(system) : AX * n_bodies(system)]
            n_frames += 1


@compiled
def _has_room(frames: Frames, n_frames: int, n_history: int) -> bool:
    """Whether all frames up to the next anchor fit."""
    for_frames, for_history = frames.scalars.shape[0] - n_frames, frames.history.shape[0] - n_history
    keeps_frames = frames.every > 0 or frames.interval < math.inf
    keeps_history = frames.history.shape[0] > 0
    return (for_frames >= LONGEST_STRETCH or not keeps_frames) and (for_history >= LONGEST_STRETCH or not keeps_history)


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
    books, control = run.books, plan.control
    books[LOOKED_AT] = books[STEPS] + 1.0
    before = parameter(books)
    if control.governed:
        review(books, control)
    if books[STEPS] % _STEPS_BETWEEN_CHECKS == 0.0:
        consult(run.system, books, plan.method.kind, plan.law, control, traits, layers)
    if parameter(books) != before:
        # The recursion swings about a rate that jumps: it begins anew.
        books[LAST_RATE] = 0.0
    late = books[STEPS] - books[ANCHOR_STEP] >= LONGEST_STRETCH
    error = settled(books, control)
    anchored = late or error <= _ANCHORED
    if error <= _FORGOTTEN:
        books[PARDON] = 0.0
    if anchored:
        drop_anchor(run)
    return anchored


@compiled
def _step(run: Run, plan: Plan, target: float, before: Floats) -> tuple[int, float]:
    """One step, sampled if it is time to; a status, and the errors over what is allowed."""
    system, books, method, law, rule = run.system, run.books, plan.method, plan.law, plan.rule
    stride = _stride(books[STEPS])
    due = books[STEPS] % stride == 0.0
    omega = books[OMEGA]
    if due:
        before[:] = system
    rate = next_rate(books, _wanted(system, books, method.kind, law), rule, method.kind)
    status = one_step(system, books, rate, method.kind, method.stages, method.weights, law, rule, target)
    if status != RUNNING:
        return status, math.inf
    if due:
        sample(
            before, omega, system, books,
            method.kind, method.stages, method.weights, law, plan.control, stride,
        )  # fmt: skip
    return status, excess(books, plan.control)


@compiled
def _stride(steps: float) -> float:
    """Steps between two samples."""
    if steps < _FIRST_STEPS:
        return 1.0
    return _EARLY_STRIDE if steps < _EARLY_STEPS else _STRIDE


@compiled
def _wanted(system: Floats, books: Floats, kind: int, law: Law) -> float:
    """One over the step in time that is wanted."""
    if kind == TTL:
        return books[OMEGA] / parameter(books)
    return math.sqrt(fly_by_rate(system, law)) / parameter(books)


@compiled
def drop_anchor(run: Run) -> None:
    """Remember the run as it is."""
    books = run.books
    books[ANCHOR_STEP], books[SETBACKS], books[FUTILE], books[LAST_WORST] = books[STEPS], 0.0, 0.0, math.inf
    books[FAILED_AT] = -math.inf
    run.anchor[:BOOKS] = books
    run.anchor[BOOKS:] = run.system


@compiled
def _is_rounding(run: Run, plan: Plan) -> bool:
    """Whether rounding alone may have made the energy error since the anchor what it is."""
    books, anchor = run.books, run.anchor
    grown = abs(books[KINETIC] + books[POTENTIAL] - anchor[KINETIC] - anchor[POTENTIAL])
    tolerated = books[ENERGY_SCALE] * plan.control.tolerance
    return grown > _MARGIN_OF_ENERGY * tolerated and grown < _SUM_OF_ROUNDING * energy_rounding(run.system, plan.law)


@compiled
def _set_back(run: Run, plan: Plan, worst: float) -> None:
    """Return to the anchor and go on with shorter steps; what has been spent stays spent."""
    books, control = run.books, plan.control
    # An error is known only as far as it had grown when it was noticed: a try that got further did help.
    no_help = worst > _NO_HELP * books[LAST_WORST] and books[TIME] <= books[FAILED_AT]
    futile = _MOST_FUTILE if _is_rounding(run, plan) else books[FUTILE] + (1.0 if no_help else 0.0)
    evaluations, setbacks = books[EVALUATIONS], books[SETBACKS] + 1.0
    rejected = books[REJECTED] + books[STEPS] - books[ANCHOR_STEP]
    correction, failed_at = books[CORRECTION], books[TIME]
    books[:] = run.anchor[:BOOKS]
    run.system[:] = run.anchor[BOOKS:]
    books[EVALUATIONS], books[SETBACKS], books[REJECTED] = evaluations, setbacks, rejected
    books[LAST_RATE], books[WISH], books[LAST_WORST], books[FAILED_AT] = 0.0, 1.0, worst, failed_at
    books[CORRECTION] = correction
    books[FUTILE] = futile if setbacks < _MOST_SETBACKS else _MOST_FUTILE
    if plan.method.kind == TTL:
        # The auxiliary Omega has errors of the longer steps, which shorter ones would keep.
        books[OMEGA] = omega_of(run.system, plan.law, plan.method.weights)
    if books[FUTILE] >= _MOST_FUTILE:
        books[PARDON] = run.anchor[PARDON] = 2.0 * worst
    else:
        shorten(books, worst, settled(books, control), control.order)
