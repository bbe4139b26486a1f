"""How the errors of a driven simulation act on its steps.

There is no going back here, as the engine's own runs have it (`engine.run.governor`): REBOUND has made a step before it
is looked at. So errors act earlier, and the network's step is shortened from the first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.bridges.rebound.drive_vector import drive_in, system_in
from aitimestepper.bridges.rebound.plan_vector import plan_from, scalars_of
from aitimestepper.engine.compilation import compiled
from aitimestepper.engine.layout import BOOKS
from aitimestepper.engine.physics.gravity import forces
from aitimestepper.engine.run.governor import consult, energy_error, parameter, review

FIRST_CORRECTION, _LEAST_CORRECTION = 0.7, 0.05
"""The network aims at all of what is allowed, and a run that cannot go back had better not. The smallest one bounds
what a run may cost that keeps nothing all the same. Chosen, not measured."""

_BETWEEN_REVIEWS = 32.0
_TRIGGER, _QUARTER = 0.5, 0.25
"""An error above the first part of what is allowed makes steps shorter, so that a quarter of it would have come; there
is no going back, so it cannot wait until all of it is used up."""

_TIGHTER, _SLOW, _LONGER_REVIEW = 0.8, 0.5, 0.25
"""What the network must want for its step to be taken; the part of the fastest rate at which a change costs little
energy; the weight of phases, which makes reviews some orbits long. Chosen, not measured."""


@compiled
def ask_network(vector: Floats, plan_vector: Floats) -> None:
    """Ask the network about the state, and take its step if that is a shorter one.

    What it wants varies along an orbit. Steps that followed would cost the drift that reversible ones do not have: the
    shortest is kept, and the energy tells whether it is shorter than need be.
    """
    drive, system, plan = drive_in(vector), system_in(vector), plan_from(plan_vector)
    books, control = drive.books, plan.control
    widest = control.low.shape[0] + 1
    for units in control.network.widths:
        widest = max(widest, units)
    answer = np.zeros(1, BOOKS)
    _ask(system, answer, plan, np.empty(control.low.shape[0]), np.empty((2, widest)))
    wanted = answer[0].network_step
    books.states_asked += 1.0
    books.states_outside_training += answer[0].states_outside_training
    books.longest_step = answer[0].longest_step
    drive.widest_step = max(drive.widest_step, wanted)
    if books.network_step == 0.0 or wanted < _TIGHTER * books.network_step:
        books.network_step = wanted
        _begin_anew(drive, control.tolerance)


@compiled
def _ask(system: Floats, answer: Any, plan: Any, traits: Floats, layers: Floats) -> None:
    books = answer[0]
    books.potential_energy, books.free_fall_rate_squared = forces(system, plan.law)
    consult(system, books, plan, traits, layers)


@compiled
def govern(drive: Any, plan: Floats, rate: float) -> None:
    """Shorter steps where the energy error has come too far, longer ones where it stays small.

    Never longer than the network has wanted: what they do to positions is not measured here.

    Args:
        drive: the record, with the energies of the state.
        plan: as a vector.
        rate: one over the shortest fly-by time of the state.
    """
    books, tolerance = drive.books, scalars_of(plan).tolerance
    error, there = energy_error(books, tolerance), drive.error_then
    bound = max(_TRIGGER, 0.5 * (1.0 + there) if there < 1.0 else 1.5 * there)
    if error > bound and books.correction > _LEAST_CORRECTION:
        books.correction *= _QUARTER ** (1.0 / scalars_of(plan).order)
        drive.too_long_step = parameter(books)
        _begin_anew(drive, tolerance)
        return
    grown = abs(books.kinetic_energy + books.potential_energy - drive.energy_then) / (books.energy_scale * tolerance)
    books.review_energy_error = max(books.review_energy_error, grown / max(1.0 - there, 1.0 - _TIGHTER))
    books.review_phase += _LONGER_REVIEW * rate * books.last_dt
    drive.fastest_rate = max(drive.fastest_rate, rate)
    if books.steps % _BETWEEN_REVIEWS == 0.0:
        review(books, plan_from(plan).control)
    longest = min(drive.widest_step, drive.too_long_step)
    if books.wanted_factor > 1.0 and rate < _SLOW * drive.fastest_rate and parameter(books) < _TIGHTER * longest:
        books.correction = min(books.correction * books.wanted_factor, longest / books.network_step)
        _begin_anew(drive, tolerance)


@compiled
def _begin_anew(drive: Any, tolerance: float) -> None:
    """The step has changed: the recursion and the review start again."""
    books = drive.books
    books.last_rate, books.wanted_factor, books.changed_at_step = 0.0, 1.0, books.steps
    books.review_energy_error = books.review_phase = drive.fastest_rate = 0.0
    drive.error_then, drive.energy_then = energy_error(books, tolerance), books.kinetic_energy + books.potential_energy
