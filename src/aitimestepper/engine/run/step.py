"""One step of a run: the rate that is wanted, the attempt, the gate, the books."""

from __future__ import annotations

import math
from typing import NamedTuple

from aitimestepper.arrays import Floats
from aitimestepper.constants import DT_FLOOR, SLOWEST_TURN
from aitimestepper.engine.compilation import compiled, inlined
from aitimestepper.engine.features.summary import Sight, fill_features
from aitimestepper.engine.layout import (
    DRIFT_MAX,
    EARLIER,
    ENERGY_0,
    ENERGY_SCALE,
    ERROR_MAX,
    EVALUATIONS,
    FREE_FALL,
    GX,
    KINETIC,
    LAST_DT,
    LAST_RATE,
    LEVERS,
    MOMENTUM,
    MOMENTUM_0,
    OMEGA,
    POTENTIAL,
    REJECTED,
    SAVED,
    SAVED_ENTRIES,
    SPEED_SCALE,
    SPEEDS,
    SPIN,
    SPIN_0,
    SPIN_MAX,
    SPIN_SCALE,
    STEPS,
    TIME,
    TIME_REST,
    X,
    n_bodies,
)
from aitimestepper.engine.networks import Network, first_output
from aitimestepper.engine.physics.conserved import motion
from aitimestepper.engine.physics.criteria import CALIBRATED, FIXED, FLY_BY, Rule
from aitimestepper.engine.physics.criteria import FREE_FALL as BY_FREE_FALL
from aitimestepper.engine.physics.gravity import Law, fastest_free_fall, forces, potential_energy
from aitimestepper.engine.physics.integrators import LEAPFROG, TTL, leapfrog_step, ttl_step
from aitimestepper.engine.physics.omega import Weights

RUNNING, AT_TARGET, AT_STEPS, FULL, NOT_FINITE, BAD_STEP, UNBOUNDED, TOO_SHORT, GUARDED = range(9)
"""Why `advance` returned."""

LAST_STEP_STRETCH = 1e-6
"""The last step may be longer by this part, so that rounding in the time never leaves a step of almost nothing."""

MOST_RETRIES = 40
"""Attempts that the guard may refuse at one state."""


class Learner(NamedTuple):
    """What a learned criterion needs.

    Attributes:
        sight: which features.
        network: the weights.
        physical: whether the output counts shortest pair times.
        factor: scales every step, to the tolerance that is asked for.
    """

    sight: Sight
    network: Network
    physical: bool
    factor: float


@inlined
def one_step(
    system: Floats,
    books: Floats,
    rate: float,
    kind: int,
    stages: Floats,
    weights: Weights,
    law: Law,
    rule: Rule,
    target: float,
) -> int:
    """One accepted step, or a status that says why there is none; the run is then as it was."""
    if rate == 0.0:
        # A step that nothing bounds goes to the end, if there is one.
        return AT_TARGET if target < math.inf else UNBOUNDED
    if not 0.0 < rate < math.inf:
        return BAD_STEP
    step = 1.0 / rate
    if kind == LEAPFROG and _passes(books, step, target):
        return AT_TARGET
    save(system, books)
    energy = books[KINETIC] + books[POTENTIAL]
    allowed = rule.guard * books[ENERGY_SCALE]
    first_try = True
    for _ in range(MOST_RETRIES):
        elapsed = move(system, books, step, kind, stages, weights, law, rule.criterion)
        error = abs(books[KINETIC] + books[POTENTIAL] - energy)
        if error <= allowed and error < math.inf and elapsed > 0.0:
            if kind == TTL and _passes(books, elapsed, target):
                restore(system, books)
                return AT_TARGET
            if not _pass_time(books, elapsed):
                restore(system, books)
                return TOO_SHORT if first_try else GUARDED
            books[LAST_RATE] = rate
            books[STEPS] += 1.0
            tally(books)
            return RUNNING
        restore(system, books)
        if rule.guard == math.inf:
            return NOT_FINITE
        first_try = False
        books[REJECTED] += 1.0
        step *= shorter(error, allowed)
        rate = 1.0 / step
    return GUARDED


@inlined
def mirrored(wanted: float, last: float) -> float:
    """The rate behind a state from the one before it and the one that the state wants, their mean."""
    rate = 2.0 * wanted - last
    return SLOWEST_TURN * wanted if rate < SLOWEST_TURN * wanted else rate


@inlined
def next_rate(books: Floats, wanted: float, rule: Rule, kind: int) -> float:
    """One over the next step, in the integrator's own variable, from one over the step in time that is wanted."""
    unit = 1.0
    if kind == TTL:
        unit = books[OMEGA]
        wanted /= unit
    rate = wanted
    if rule.reversible and books[LAST_RATE] > 0.0:
        # The mean of the rates before and after a state is the rate that it wants: the same both ways.
        rate = mirrored(wanted, books[LAST_RATE])
    if rate * unit * rule.longest < 1.0:
        rate = 1.0 / (unit * rule.longest)
    if rate * unit * rule.shortest > 1.0:
        rate = 1.0 / (unit * rule.shortest)
    return rate


@compiled
def learned_rate(
    system: Floats,
    books: Floats,
    past: Floats,
    law: Law,
    learner: Learner,
    layers: Floats,
    row: Floats,
) -> float:
    """One over the network's step; the features of this state are left in `row`."""
    fill_features(row, system, books[FREE_FALL], books[LAST_DT], law, learner.sight)
    width = row.shape[0]
    for k in range(past.shape[0]):
        layers[0, k * width : (k + 1) * width] = past[k]
    end = past.shape[0] * width
    layers[0, end : end + width] = row
    output = first_output(learner.network, layers) + DT_FLOOR
    rate = math.sqrt(books[FREE_FALL]) if learner.physical else 1.0
    return rate / (output * learner.factor)


@compiled
def remember(system: Floats, past: Floats, row: Floats) -> None:
    """The history holds states strictly before the current one: the one that the step started from joins it."""
    for k in range(past.shape[0] - 1):
        past[k] = past[k + 1]
    if past.shape[0] > 0:
        past[past.shape[0] - 1] = row
    n = n_bodies(system)
    system[EARLIER * n :] = system[SAVED * n : EARLIER * n]


@inlined
def _passes(books: Floats, dt: float, target: float) -> bool:
    """Whether a step goes to the target or beyond it."""
    return (target - books[TIME]) + books[TIME_REST] <= dt * (1.0 + LAST_STEP_STRETCH)


@inlined
def _pass_time(books: Floats, dt: float) -> bool:
    """Add a step to the time, with what rounding swallows kept for the next (Kahan's sum); False if it is nothing."""
    step = dt - books[TIME_REST]
    time = books[TIME] + step
    if not time > books[TIME]:
        return False
    books[TIME_REST] = (time - books[TIME]) - step
    books[TIME] = time
    books[LAST_DT] = dt
    return True


@inlined
def move(
    system: Floats, books: Floats, step: float, kind: int, stages: Floats, weights: Weights, law: Law, criterion: int
) -> float:
    """One step of the integrator, with the energies of the state reached; returns the time that it took."""
    books[EVALUATIONS] += stages.shape[0]
    elapsed = step
    if kind == LEAPFROG:
        books[POTENTIAL], books[FREE_FALL] = leapfrog_step(system, step, stages, law)
    else:
        books[OMEGA], elapsed = ttl_step(system, books[OMEGA], step, stages, law, weights)
        if criterion in (FIXED, FLY_BY, BY_FREE_FALL, CALIBRATED):
            books[POTENTIAL] = potential_energy(system, law)
            if criterion == BY_FREE_FALL:
                books[FREE_FALL] = fastest_free_fall(system, law)
        else:
            # The criterion looks at the acceleration, which this integrator has only halfway.
            books[POTENTIAL], books[FREE_FALL] = forces(system, law)
            books[EVALUATIONS] += 1.0
    motion(system, books)
    return elapsed


@inlined
def save(system: Floats, books: Floats) -> None:
    """Keep the state before a step."""
    n = n_bodies(system)
    for k in range(X * n, GX * n):
        system[k + (SAVED - X) * n] = system[k]
    for entry in range(4):
        books[SAVED_ENTRIES + entry] = books[OMEGA + entry]


@inlined
def restore(system: Floats, books: Floats) -> None:
    """Undo a step."""
    n = n_bodies(system)
    for k in range(X * n, GX * n):
        system[k] = system[k + (SAVED - X) * n]
    for entry in range(4):
        books[OMEGA + entry] = books[SAVED_ENTRIES + entry]


@compiled
def shorter(error: float, allowed: float) -> float:
    """What a refused step is multiplied by: by the third-power law of the leapfrog, at least halved."""
    if not error < math.inf:
        return 0.1
    return min(max(0.8 * (allowed / error) ** (1.0 / 3.0), 0.1), 0.5)


@inlined
def tally(books: Floats) -> None:
    """Take the state that has been reached into the largest errors."""
    error = abs(books[KINETIC] + books[POTENTIAL] - books[ENERGY_0])
    drift = _squared_distance(books, MOMENTUM, MOMENTUM_0)
    spin = _squared_distance(books, SPIN, SPIN_0)
    books[ERROR_MAX] = error if error > books[ERROR_MAX] else books[ERROR_MAX]
    books[DRIFT_MAX] = drift if drift > books[DRIFT_MAX] else books[DRIFT_MAX]
    books[SPIN_MAX] = spin if spin > books[SPIN_MAX] else books[SPIN_MAX]
    books[SPEED_SCALE] = books[SPEEDS] if books[SPEEDS] > books[SPEED_SCALE] else books[SPEED_SCALE]
    books[SPIN_SCALE] = books[LEVERS] if books[LEVERS] > books[SPIN_SCALE] else books[SPIN_SCALE]


@inlined
def _squared_distance(books: Floats, first: int, second: int) -> float:
    x, y, z = (
        books[first] - books[second], books[first + 1] - books[second + 1], books[first + 2] - books[second + 2],
    )  # fmt: skip
    return x * x + y * y + z * z
