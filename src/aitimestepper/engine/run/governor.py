"""How a calibrated run keeps to what was asked: the network's choice, the errors measured, and what follows from both.

The step is a constant of the run most of the time, in fictitious time (`ttl`) or in units of the fly-by time scale
(`leapfrog`, where the reversible recursion makes steps of it): a step that changed with every state would cost the
drift that reversible steps do not have. It changes

- where the network wants it shorter, at once; where it has wanted a longer one for long;
- where a run has an error above what is allowed: the run goes back to its last anchor and takes shorter steps;
- where the errors stay far below what is allowed: longer, at a state whose own energy error is small, so that the
  change itself costs nothing.

The control is this project's own. Its constants were chosen; what becomes of 385 runs that no training has seen when
one of them is halved or doubled is in docs/calibrated-tables.md. Most change cost and errors by less than 3 %; those
of which more depends say so here, with the evaluations and the energy error against those of today's value.
"""

from __future__ import annotations

import math

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled, inlined
from aitimestepper.engine.features.description import CONCENTRATION, describe
from aitimestepper.engine.features.ranges import into_range, is_familiar
from aitimestepper.engine.layout import Books
from aitimestepper.engine.networks import first_output
from aitimestepper.engine.physics.gravity import forces
from aitimestepper.engine.physics.integrators import TTL
from aitimestepper.engine.run.plan import Control, Plan

POSITION_SHARE = 10.0
"""The local position error for each dynamical time may be this many times the tolerance."""

LOWEST_DEMAND, HIGHEST_DEMAND = -2.0, -0.5
"""Range of log10(tolerance^(1/order)) in training."""

RESERVE = 0.9
"""Part of what is allowed that the control itself keeps to: with half of it evaluations x 1.04, error x 0.8."""

_SHORTER, _LONGER = 0.8, 1.5
"""Parts of the network's last step at which another one is taken. At 0.4 in place of 0.8 evaluations x 0.96, but the
worst run exceeds its tolerance 8,400-fold, not 190-fold; at 0.95 19-fold, evaluations x 1.01."""

_MOST_CHECKS_BETWEEN = 16
"""Answers of the network in a row that must want a longer step."""

_PASSING, _LOOKS, _LEAST_ENERGY = 0.3, 16.0, 1e-300
"""Part of its mean over so many looks, below which the size of a system, one over its potential energy, is that of an
encounter that will pass: its own step is made for an energy that it does not have for long. Chosen."""

_LEAST_ROOM = 0.1
"""Error that is allowed beyond that of an anchor above the tolerance, over what is allowed."""

_QUIET, _NEGLIGIBLE, _PATIENCE = 0.02, 1e-5, 64.0
"""Steps become longer where the error is below the first part of its largest since the last change, times 1 + the
square of the steps since then over `_PATIENCE`, or below the second part of what is allowed. With half the patience
final energy errors x 1.13."""

_MOST_LENGTHENING = 2.0
"""Factor by which steps become longer at once. At 1.3 error x 0.8, evaluations x 1.02."""

_TOO_SMALL, _AIM_LONGER, _AIM_SHORTER = 0.15, 0.35, 0.75
"""Errors below the first part of what is allowed are a waste of steps; the others are what changes aim at, where steps
become longer and where they become shorter. With half of the first error x 0.94, evaluations x 1.02; with double x 1.06
and 0.99. At 0.2 in place of 0.35 error x 0.9."""

EPSILON = 2.0**-52
ROUNDINGS = 10.0
"""Roundings of the largest sum of kinetic and potential energy that an energy error may be made of: no error that other
steps would change. Chosen."""

MODEST = 10.0
"""An error below this times what is allowed may be rounding: setbacks do not shorten more and more for it, and where
they do not help a run goes on with the steps that it had. Without that e = 0.9999 at 1e-11 did not end. Chosen."""

_MOST_SHORTENING, _LEAST_SHORTENING = 0.25, 0.95
"""Bounds of the factor of a setback. With 0.5 as the upper one evaluations x 1.05, error x 0.8."""

_LEAST_PHASE, _LEAST_STEPS = 6.0, 16.0
"""Dynamical times and steps between two changes."""

LONGEST_FICTITIOUS, LONGEST_ETA = 1.5, 0.5
"""Longest steps that are ever taken: over the step that a state sets by itself, and over the fly-by time scale. With
half of the first evaluations x 1.03, error x 0.9; twice of either changes nothing."""

_MOST_CORRECTION = 8.0
"""Factor up to which errors may make the network's step longer; half and double change nothing."""


@compiled
def consult(system: Floats, books: Books, plan: Plan, traits: Floats, layers: Floats) -> None:
    """Ask the network about a state, and take its step if it is time to.

    Args:
        system: the state, with its acceleration for the leapfrog.
        books: of the run.
        plan: of a calibrated run.
        traits: (TRAITS,), scratch.
        layers: (2, widest), scratch.
    """
    law, control, ttl = plan.law, plan.control, plan.method.kind == TTL
    if _is_passing(books):
        return
    if ttl:
        # The integrator's own acceleration is that of the middle of the step.
        books.potential_energy, books.free_fall_rate_squared = forces(system, law)
        books.force_evaluations += 1.0
    reference = describe(traits, system, books.free_fall_rate_squared, law)
    books.states_asked += 1.0
    crowd = 1.0
    if not is_familiar(traits, control.low, control.high):
        books.states_outside_training += 1.0
        # n equal pairs make Omega larger by n^(1/4), and none of them faster.
        crowd = math.exp(0.25 * max(control.low[CONCENTRATION] - traits[CONCENTRATION], 0.0))
        into_range(traits, control.low, control.high)
    n_traits = traits.shape[0]
    layers[0, :n_traits] = traits
    layers[0, n_traits] = demand(control.tolerance, control.order)
    factor = first_output(control.network, layers)
    unit = reference * crowd if ttl else 1.0
    books.longest_step = unit * (LONGEST_FICTITIOUS if ttl else LONGEST_ETA)
    _choose(books, unit * factor * control.scale)


@compiled
def _is_passing(books: Books) -> bool:
    """Whether the bodies are much closer to each other than they mostly are: no state to choose a lasting step by."""
    size = 1.0 / max(abs(books.potential_energy), _LEAST_ENERGY)
    if books.network_step == 0.0:
        books.usual_size = size
        return False
    books.usual_size += (size - books.usual_size) / _LOOKS
    return size < _PASSING * books.usual_size


@compiled
def demand(tolerance: float, order: float) -> float:
    """log10(tolerance^(1/order)), what the network is told of the tolerance, within the range of its training."""
    return min(max(math.log10(tolerance) / order, LOWEST_DEMAND), HIGHEST_DEMAND)


@compiled
def parameter(books: Books) -> float:
    """The step in force: of fictitious time, or in units of the time scale."""
    return min(books.network_step * books.correction, books.longest_step)


@compiled
def excess(books: Books, control: Control) -> float:
    """The larger of the two errors of the state reached, over what is allowed; 2 where they are not finite."""
    energy = settled(books, control)
    deep = books.kinetic_energy - books.potential_energy
    books.deepest, books.review_deepest = max(books.deepest, deep), max(books.review_deepest, deep)
    books.review_energy_error = max(books.review_energy_error, growth(books, control))
    worst = max(energy, books.review_position_error)
    return worst if worst < math.inf else 2.0


@compiled
def _choose(books: Books, wanted: float) -> None:
    """Take a shorter step at once, a longer one when nothing shorter was wanted for long."""
    if books.network_step == 0.0:
        books.network_step, books.correction = wanted, 1.0
        books.least_wanted_step = math.inf
        _restart_review(books)
        return
    if wanted < _SHORTER * books.network_step:
        books.network_step = wanted
        _restart_review(books)
        return
    books.least_wanted_step = min(books.least_wanted_step, wanted)
    if books.states_asked % _MOST_CHECKS_BETWEEN == 0.0:
        if books.least_wanted_step > _LONGER * books.network_step:
            # What the errors have added already is part of what the network has now seen for itself.
            books.correction = max(min(books.correction, 1.0), parameter(books) / books.least_wanted_step)
            books.network_step = books.least_wanted_step
            _restart_review(books)
        books.least_wanted_step = math.inf


@compiled
def _restart_review(books: Books) -> None:
    books.changed_at_step, books.wanted_factor = books.steps, 1.0
    books.energy_at_change = books.kinetic_energy + books.potential_energy
    books.review_energy_error = books.review_phase = books.review_position_error = books.review_deepest = 0.0


@compiled
def settled(books: Books, control: Control) -> float:
    """Energy error of a state, over what is allowed."""
    return energy_error(books, control.tolerance)


@compiled
def growth(books: Books, control: Control) -> float:
    """Energy error that has come since the length of steps last changed, over what was left of what is allowed.

    What an encounter has left behind does not change any more, and is no reason for short steps.
    """
    energy, allowed = books.kinetic_energy + books.potential_energy, books.energy_scale * control.tolerance
    there = abs(books.energy_at_change - books.initial_energy) / allowed
    return abs(energy - books.energy_at_change) / allowed / max(1.0 - there, _LEAST_ROOM)


@inlined
def energy_error(books: Books, tolerance: float) -> float:
    """The same, of a tolerance."""
    return abs(books.kinetic_energy + books.potential_energy - books.initial_energy) / (books.energy_scale * tolerance)


@compiled
def exceeds(books: Books, before: float, control: Control) -> bool:
    """Whether a step has taken the energy from within the tolerance (`before`) to beyond it."""
    allowed = books.energy_scale * control.tolerance
    return (
        abs(before - books.initial_energy)
        <= allowed
        < abs(books.kinetic_energy + books.potential_energy - books.initial_energy)
    )


@compiled
def limit(anchor: Books, control: Control) -> float:
    """What the errors after an anchor may come to, over what is allowed: half of what is left, if that is little.

    Where the correction has come to its end, there is no limit: shorter steps have not helped.
    """
    if anchor.correction <= control.least_correction:
        return math.inf
    there = settled(anchor, control)
    return max(RESERVE, 0.5 * (1.0 + there) if there < 1.0 else there + _LEAST_ROOM, anchor.excused_error)


@compiled
def shorten(books: Books, worst: float, there: float, order: float) -> None:
    """Shorter steps after a setback.

    Args:
        worst: the error that was met, over what is allowed.
        there: the part of it that was there at the anchor and does not change.
        order: of the integrator.
    """
    left = 0.25 * (1.0 - there) if there < 1.0 else 0.5 * _LEAST_ROOM
    room, grown = max(_AIM_SHORTER - there, left), max(worst - there, _LEAST_ROOM)
    factor = min(max((room / grown) ** (1.0 / order), _MOST_SHORTENING), _LEAST_SHORTENING)
    if worst >= MODEST:
        factor = min(factor, 4.0 / (3.0 + books.setbacks))  # the more, the longer it fails at one anchor
    # Where the last try did not help, steps are too long for the law of the order to hold.
    books.correction *= factor if books.vain_setbacks == 0.0 else min(factor, 0.5)
    _restart_review(books)


@compiled
def review(books: Books, control: Control) -> None:
    """Want longer steps where the errors of some dynamical times are far below what is allowed."""
    books.wanted_factor = 1.0
    if books.review_phase < _LEAST_PHASE or books.steps - books.changed_at_step < _LEAST_STEPS:
        return
    rounding = ROUNDINGS * EPSILON * books.review_deepest / (books.energy_scale * control.tolerance)
    worst = max(books.review_energy_error - rounding, books.review_position_error)
    if (
        worst < _TOO_SMALL
        and books.correction < _MOST_CORRECTION
        and books.network_step * books.correction < books.longest_step
    ):
        books.wanted_factor = min((_AIM_LONGER / max(worst, 1e-3)) ** (1.0 / control.order), _MOST_LENGTHENING)


@compiled
def is_quiet(books: Books, control: Control) -> bool:
    """Whether steps may become longer here.

    The energy keeps a part of the error that has grown here, as large as the change: wait for a state with little of
    it, with less and less patience.
    """
    patience = (books.steps - books.changed_at_step) / _PATIENCE
    return growth(books, control) <= max(_QUIET * (1.0 + patience * patience) * books.review_energy_error, _NEGLIGIBLE)


@compiled
def lengthen(books: Books) -> None:
    """Take the longer steps that are wanted."""
    books.correction *= books.wanted_factor
    books.last_rate = books.sampled_length = 0.0
    _restart_review(books)
