"""Setbacks of a calibrated run: back to its anchor, where its errors were small, and on with shorter steps."""

from __future__ import annotations

import math

import numpy as np

from aitimestepper.engine.compilation import compiled
from aitimestepper.engine.layout import N_BOOKS, books_in
from aitimestepper.engine.physics.integrators import TTL
from aitimestepper.engine.physics.law import Law
from aitimestepper.engine.physics.omega import omega_of
from aitimestepper.engine.run.governor import EPSILON, MODEST, ROUNDINGS, settled, shorten
from aitimestepper.engine.run.local_error import run_position_error
from aitimestepper.engine.run.plan import Plan
from aitimestepper.engine.run.state import Run

_ROUNDING_COUNTS, _MOST_ROUNDINGS = 0.1, 100.0
"""A growth of the energy error by more than the first part of the tolerance, and less than `ROUNDINGS` of the largest
energies since the anchor, is taken for rounding, against which nothing is tried; up to the second number of roundings
where shorter steps have not helped. Chosen."""

_TOO_LONG, _LONGEST_LENGTH = 1.0, 100.0
"""A step longer than the first number is too long for its error to say by what shorter ones would be better: in an
encounter it jumps over the pericentre. It becomes half as long as that at once, but not shorter than by the second
number. Chosen."""

_MOST_SETBACKS, MOST_VAIN_SETBACKS, _NO_HELP = 20, 5, 0.95
"""At one anchor, and of those the ones that leave more than the last part of the error (rounding, mostly): what cannot
be kept then is accepted, and reported."""


@compiled
def drop_anchor(run: Run, law: Law) -> None:
    """Remember the run as it is, with what its position errors have added up to."""
    books = run.books[0]
    books.run_position_error = run_position_error(run.system, law)
    books.anchor_step, books.setbacks, books.vain_setbacks = books.steps, 0.0, 0.0
    books.last_setback_error, books.last_setback_time, books.deepest = math.inf, -math.inf, 0.0
    run.anchor[:N_BOOKS] = run.books.view(np.float64)
    run.anchor[N_BOOKS:] = run.system


@compiled
def _is_rounding(run: Run, plan: Plan, roundings: float) -> bool:
    """Whether so many roundings may have made the energy error since the anchor what it is."""
    books, anchor = run.books[0], books_in(run.anchor)
    grown = abs(books.kinetic_energy + books.potential_energy - anchor.kinetic_energy - anchor.potential_energy)
    counts = grown > _ROUNDING_COUNTS * books.energy_scale * plan.control.tolerance
    return counts and grown < roundings * EPSILON * books.deepest


@compiled
def set_back(run: Run, plan: Plan, worst: float, length: float) -> bool:
    """Return to the anchor and go on with shorter steps; what has been spent stays spent.

    Args:
        worst: the errors that were met, over what is allowed.
        length: of the step in which they were met, over the free-fall time of the fastest pair that Omega does
            not show.

    Returns:
        Whether the error is accepted, because shorter steps do not help.
    """
    books, anchor, control = run.books[0], books_in(run.anchor), plan.control
    too_long = length > _TOO_LONG
    # An error is known only as far as it had grown when it was noticed: a try that got further did help.
    no_help = not too_long and worst > _NO_HELP * books.last_setback_error and books.time <= books.last_setback_time
    rounding = _is_rounding(run, plan, _MOST_ROUNDINGS if no_help else ROUNDINGS)
    vain = books.vain_setbacks + (1.0 if no_help else 0.0)
    evaluations, setbacks = books.force_evaluations, books.setbacks + 1.0
    rejected = books.rejected_steps + books.steps - books.anchor_step
    correction, failed_at = books.correction, books.time
    run.books.view(np.float64)[:] = run.anchor[:N_BOOKS]
    run.system[:] = run.anchor[N_BOOKS:]
    books.force_evaluations, books.setbacks, books.rejected_steps = evaluations, setbacks, rejected
    books.last_rate, books.wanted_factor, books.last_setback_error, books.last_setback_time = 0.0, 1.0, worst, failed_at
    books.correction = correction
    books.vain_setbacks = vain if setbacks < _MOST_SETBACKS else MOST_VAIN_SETBACKS
    if plan.method.kind == TTL:
        # The auxiliary Omega has errors of the longer steps, which shorter ones would keep.
        books.omega, books.omega_low = omega_of(run.system, plan.law, plan.method.weights), 0.0
    accepted = rounding or books.vain_setbacks >= MOST_VAIN_SETBACKS
    if accepted:
        books.excused_error = anchor.excused_error = 2.0 * worst
        if rounding or worst < MODEST:
            books.correction = anchor.correction
    else:
        shorten(books, worst, settled(books, control), control.order)
        if too_long:
            books.correction = min(books.correction, 0.5 * correction * _TOO_LONG / min(length, _LONGEST_LENGTH))
    return accepted
