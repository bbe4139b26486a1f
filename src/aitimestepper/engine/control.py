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

from aitimestepper.engine.calibration import describe
from aitimestepper.engine.compilation import compiled, inlined
from aitimestepper.engine.integrators import LEAPFROG, TTL, leapfrog_step, ttl_step
from aitimestepper.engine.kernels import Law, Weights, forces
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
    MASS,
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
    VX,
    WISH,
    Floats,
    X,
    n_bodies,
    row_of,
)
from aitimestepper.engine.network import Network, first_output

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
_HOPELESS = 1e30
_EPSILON = 2.0**-52
_PLACE_ROUNDING = 8.0 * _EPSILON
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


@compiled
def richardson(order: float) -> float:
    """Error of a step over its difference from two halves."""
    return 2.0**order / (2.0**order - 1.0)


@compiled
def halved(
    before: Floats, omega: float, system: Floats, step: float, elapsed: float,
    kind: int, stages: Floats, weights: Weights, law: Law,
) -> tuple[float, float]:  # fmt: skip
    """Make a step again in two halves, and measure it by them; see `local_error`.

    Compared at equal times: what the halves are ahead in time is taken out along their velocity.

    Args:
        before: the state that the step started from; becomes that after two halves.
        omega: auxiliary Omega there.
        system: the state after it.
        step: in the integrator's own variable.
        elapsed: the time that it took.
        kind, stages, weights, law: how it was made.
    """
    passed = elapsed
    if kind == LEAPFROG:
        for _ in range(2):
            leapfrog_step(before, 0.5 * step, stages, law)
    else:
        passed = 0.0
        for _ in range(2):
            omega, part = ttl_step(before, omega, 0.5 * step, stages, law, weights)
            passed += part
    return local_error(system, before, elapsed - passed, elapsed, law)


@compiled
def local_error(system: Floats, halves: Floats, ahead: float, elapsed: float, law: Law) -> tuple[float, float]:
    """Position error of one step for each dynamical time, and the dynamical times that the step took.

    Each body is measured by the pair in which it would fall fastest: its error over that distance, its time by that
    pair's sqrt(r^3 / G M). The largest of all bodies counts. What rounding does to a place is no error of the step.
    """
    n = n_bodies(system)
    mass = row_of(system, MASS)
    worst = fastest = 0.0
    for i in range(n):
        rate, distance = 0.0, 1.0
        for j in range(n):
            both = mass[i] + mass[j]
            if j != i and both > 0.0:
                squared = law.squared_softening
                for k in range(3):
                    squared += (system[(X + k) * n + j] - system[(X + k) * n + i]) ** 2
                apart = math.sqrt(squared)
                if both > rate * squared * apart:
                    rate, distance = both / (squared * apart), apart
        error = size = 0.0
        for k in range(3):
            size += system[(X + k) * n + i] ** 2
            place = halves[(X + k) * n + i] + halves[(VX + k) * n + i] * ahead
            error += (system[(X + k) * n + i] - place) ** 2
        phase = math.sqrt(law.G * rate) * elapsed
        if phase > 0.0:
            rate = (math.sqrt(error) - _PLACE_ROUNDING * math.sqrt(size)) / (distance * phase)
            worst = worst if rate <= worst else rate  # also where it is no number
            fastest = max(fastest, phase)
    return worst if worst < math.inf else _HOPELESS, fastest


@compiled
def energy_rounding(system: Floats, law: Law) -> float:
    """What the rounding of places and velocities may do to the energy: much, where two bodies are close to each other
    and far from the origin."""
    n = n_bodies(system)
    total = 0.0
    for i in range(n):
        place = speed = 0.0
        for k in range(3):
            place += system[(X + k) * n + i] ** 2
            speed += system[(VX + k) * n + i] ** 2
        pull = 0.0
        for j in range(n):
            squared = law.squared_softening
            for k in range(3):
                squared += (system[(X + k) * n + j] - system[(X + k) * n + i]) ** 2
            if j != i and squared > 0.0:
                pull += law.G * system[MASS * n + j] / squared
        total += system[MASS * n + i] * (math.sqrt(place) * pull + speed)
    return _EPSILON * total
