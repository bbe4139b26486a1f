"""How a calibrated run keeps to what was asked: the network's choice, the errors measured, and what follows from both.

The step is a constant of the run most of the time, in fictitious time (`ttl`) or in units of the fly-by time scale
(`leapfrog`, where the reversible recursion makes steps of it): a step that changed with every state would cost the
drift that reversible steps do not have. It changes

- where the network wants it shorter by `_TIGHTER`, at once; where it has wanted a longer one for long;
- where a run has an error above what is allowed: the run goes back to its last anchor and takes shorter steps;
- where the errors stay far below what is allowed: longer, at a state whose own energy error is small, so that the
  change itself costs nothing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled, inlined
from aitimestepper.engine.features.description import describe
from aitimestepper.engine.layout import (
    BASE,
    CHANGED_AT,
    CHECKS,
    CORRECTION,
    ENERGY_0,
    ENERGY_SCALE,
    EVALUATIONS,
    FREE_FALL,
    FUTILE,
    KINETIC,
    LAST_DT,
    LAST_RATE,
    LEAST_WANTED,
    LONGEST,
    OUTSIDE,
    PARDON,
    POSITION_MAX,
    POTENTIAL,
    REVIEW_ERROR,
    REVIEW_PHASE,
    REVIEW_RATE,
    SAMPLED,
    SAMPLED_PHASE,
    STEPS,
    WISH,
)
from aitimestepper.engine.networks import Network, first_output
from aitimestepper.engine.physics.gravity import Law, forces
from aitimestepper.engine.physics.integrators import TTL
from aitimestepper.engine.physics.omega import Weights
from aitimestepper.engine.run.local_error import halved, richardson

POSITION_SHARE = 10.0
"""The local position error for each dynamical time may be this many times the tolerance."""

LOWEST_DEMAND, HIGHEST_DEMAND = -2.0, -0.5
"""Range of log10(tolerance^(1/order)) in training."""

RESERVE = 0.9
"""Part of what is allowed that the control itself keeps to."""

_TIGHTER, _LOOSER = 0.8, 1.5
_MOST_CHECKS_BETWEEN = 16
_MARGIN = 0.1
_QUIET, _NOTHING, _PATIENCE, _LONGEST_STRIDE = 0.02, 1e-5, 64.0, 2.0
_WASTE, _AIM, _AIM_AGAIN = 0.15, 0.35, 0.75
"""Errors below the first part of what is allowed are a waste of steps; the others are what changes aim at, where steps
become longer and where they become shorter."""
_WHOLE_PHASE, _LEAST_PHASE, _LEAST_STEPS = 2.0, 6.0, 16.0
"""Dynamical times over which local errors are averaged, and between two changes."""
LONGEST_FICTITIOUS, LONGEST_ETA = 1.5, 0.5
"""Longest steps that are ever taken: over the step that a state sets by itself, and over the fly-by time scale."""
_FARTHEST = 8.0


class Control(NamedTuple):
    """What was asked of a calibrated run, and the network that chooses its step.

    Attributes:
        network: from the description of a state and the tolerance to a factor.
        low, high: (TRAITS,) range of the descriptions that it was trained on.
        fallback: the factor outside that range.
        tolerance: largest relative energy error of the run.
        order: of the integrator.
        scale: tolerance^(1/order).
        governed: whether the run's own errors change the step.
        promises: whether the tolerance is meant for the whole run.
        least_correction: the smallest factor that they may put on it.
    """

    network: Network
    low: Floats
    high: Floats
    fallback: float
    tolerance: float
    order: float
    scale: float
    governed: bool
    promises: bool
    least_correction: float


@compiled
def consult(
    system: Floats, books: Floats, kind: int, law: Law, control: Control, traits: Floats, layers: Floats
) -> None:
    """Ask the network about a state, and take its step if it is time to."""
    if kind == TTL:
        # The integrator's own acceleration is that of the middle of the step.
        books[POTENTIAL], books[FREE_FALL] = forces(system, law)
        books[EVALUATIONS] += 1.0
    reference = describe(traits, system, books[FREE_FALL], law)
    books[CHECKS] += 1.0
    factor = control.fallback
    if is_familiar(traits, control):
        n_traits = traits.shape[0]
        layers[0, :n_traits] = traits
        layers[0, n_traits] = demand(control.tolerance, control.order)
        factor = first_output(control.network, layers)
    else:
        books[OUTSIDE] += 1.0
    unit = reference if kind == TTL else 1.0
    books[LONGEST] = unit * (LONGEST_FICTITIOUS if kind == TTL else LONGEST_ETA)
    _choose(books, unit * factor * control.scale)


@compiled
def demand(tolerance: float, order: float) -> float:
    """log10(tolerance^(1/order)), what the network is told of the tolerance, within the range of its training."""
    return min(max(math.log10(tolerance) / order, LOWEST_DEMAND), HIGHEST_DEMAND)


@compiled
def is_familiar(traits: Floats, control: Control) -> bool:
    """Whether a state is like those that the network was trained on, with a margin of a tenth of their range."""
    for k in range(traits.shape[0]):
        margin = 0.1 * (control.high[k] - control.low[k])
        if not control.low[k] - margin <= traits[k] <= control.high[k] + margin:
            return False
    return True


@compiled
def parameter(books: Floats) -> float:
    """The step in force: of fictitious time, or in units of the time scale."""
    return min(books[BASE] * books[CORRECTION], books[LONGEST])


@compiled
def excess(books: Floats, control: Control) -> float:
    """The larger of the two errors of the state reached, over what is allowed; 2 where they are not finite."""
    energy = settled(books, control)
    books[REVIEW_ERROR] = max(books[REVIEW_ERROR], energy)
    worst = max(energy, books[REVIEW_RATE])
    return worst if worst < math.inf else 2.0


@compiled
def _choose(books: Floats, wanted: float) -> None:
    """Take a shorter step at once, a longer one when nothing shorter was wanted for long."""
    if books[BASE] == 0.0:
        books[BASE], books[CORRECTION] = wanted, 1.0
        books[LEAST_WANTED] = math.inf
        return
    if wanted < _TIGHTER * books[BASE]:
        books[BASE] = wanted
        _restart_review(books)
        return
    books[LEAST_WANTED] = min(books[LEAST_WANTED], wanted)
    if books[CHECKS] % _MOST_CHECKS_BETWEEN == 0.0:
        if books[LEAST_WANTED] > _LOOSER * books[BASE]:
            # What the errors have added already is part of what the network has now seen for itself.
            books[CORRECTION] = max(min(books[CORRECTION], 1.0), parameter(books) / books[LEAST_WANTED])
            books[BASE] = books[LEAST_WANTED]
            _restart_review(books)
        books[LEAST_WANTED] = math.inf


@compiled
def _restart_review(books: Floats) -> None:
    books[CHANGED_AT], books[WISH] = books[STEPS], 1.0
    books[REVIEW_ERROR] = books[REVIEW_PHASE] = books[REVIEW_RATE] = 0.0


@compiled
def settled(books: Floats, control: Control) -> float:
    """Energy error of a state, over what is allowed."""
    return energy_error(books, control.tolerance)


@inlined
def energy_error(books: Floats, tolerance: float) -> float:
    """The same, of a tolerance."""
    return abs(books[KINETIC] + books[POTENTIAL] - books[ENERGY_0]) / (books[ENERGY_SCALE] * tolerance)


@compiled
def exceeds(books: Floats, before: float, control: Control) -> bool:
    """Whether a step has taken the energy from within the tolerance (`before`) to beyond it."""
    allowed = books[ENERGY_SCALE] * control.tolerance
    return abs(before - books[ENERGY_0]) <= allowed < abs(books[KINETIC] + books[POTENTIAL] - books[ENERGY_0])


@compiled
def limit(anchor: Floats, control: Control) -> float:
    """What the errors after an anchor may come to, over what is allowed: half of what is left, if that is little.

    Where the correction has come to its end, there is no limit: shorter steps have not helped.
    """
    if anchor[CORRECTION] <= control.least_correction:
        return math.inf
    there = settled(anchor, control)
    return max(RESERVE, 0.5 * (1.0 + there) if there < 1.0 else there + _MARGIN, anchor[PARDON])


@compiled
def shorten(books: Floats, worst: float, there: float, order: float) -> None:
    """Shorter steps after a setback.

    Args:
        worst: the error that was met, over what is allowed.
        there: the part of it that was there at the anchor and does not change.
        order: of the integrator.
    """
    left = 0.25 * (1.0 - there) if there < 1.0 else 0.5 * _MARGIN
    room, grown = max(_AIM_AGAIN - there, left), max(worst - there, _MARGIN)
    factor = min(max((room / grown) ** (1.0 / order), 0.25), 0.85)
    # Where the last try did not help, steps are too long for the law of the order to hold.
    books[CORRECTION] *= factor if books[FUTILE] == 0.0 else min(factor, 0.5)
    _restart_review(books)


@compiled
def review(books: Floats, control: Control) -> None:
    """Wish for longer steps where the errors of some dynamical times are far below what is allowed."""
    books[WISH] = 1.0
    if books[REVIEW_PHASE] < _LEAST_PHASE or books[STEPS] - books[CHANGED_AT] < _LEAST_STEPS:
        return
    worst = max(books[REVIEW_ERROR], books[REVIEW_RATE])
    if worst < _WASTE and books[CORRECTION] < _FARTHEST and books[BASE] * books[CORRECTION] < books[LONGEST]:
        books[WISH] = min((_AIM / max(worst, 1e-3)) ** (1.0 / control.order), _LONGEST_STRIDE)


@compiled
def is_quiet(books: Floats, control: Control) -> bool:
    """Whether steps may become longer here.

    The energy keeps a part of the error that it has here, as large as the change: wait for a state with little of it,
    with less and less patience.
    """
    patience = (books[STEPS] - books[CHANGED_AT]) / _PATIENCE
    return settled(books, control) <= max(_QUIET * (1.0 + patience * patience) * books[REVIEW_ERROR], _NOTHING)


@compiled
def lengthen(books: Floats) -> None:
    """Take the longer steps that were wished for."""
    books[CORRECTION] *= books[WISH]
    books[LAST_RATE] = 0.0
    _restart_review(books)


@compiled
def sample(
    before: Floats, omega: float, system: Floats, books: Floats,
    kind: int, stages: Floats, weights: Weights, law: Law, control: Control, stride: float,
) -> None:  # fmt: skip
    """Enter the local position error of the step that was just made; arguments as for `halved`.

    Args:
        before, omega, system, kind, stages, weights, law: of that step.
        books: those of the run.
        control: what is allowed.
        stride: steps that this one stands for.
    """
    step = 1.0 / books[LAST_RATE]
    rate, phase = halved(before, omega, system, step, books[LAST_DT], kind, stages, weights, law)
    books[EVALUATIONS] += 2.0 * stages.shape[0]
    rate *= richardson(control.order) / (POSITION_SHARE * control.tolerance)
    phase *= stride
    books[SAMPLED] += rate * phase
    books[SAMPLED_PHASE] += phase
    books[REVIEW_PHASE] += phase
    rate = books[SAMPLED] / max(books[SAMPLED_PHASE], _WHOLE_PHASE)
    books[REVIEW_RATE] = max(books[REVIEW_RATE], rate)
    books[POSITION_MAX] = max(books[POSITION_MAX], rate * control.tolerance)
    if books[SAMPLED_PHASE] >= _WHOLE_PHASE:
        books[SAMPLED] = books[SAMPLED_PHASE] = 0.0
