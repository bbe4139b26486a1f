"""One step of a run: the rate that is wanted, the attempt, the gate, the books."""

from __future__ import annotations

import math

from aitimestepper.arrays import Floats
from aitimestepper.constants import DT_FLOOR, ENERGY_ERROR_ORDER, SLOWEST_TURN
from aitimestepper.engine.compilation import compiled, inlined
from aitimestepper.engine.features.ranges import is_familiar
from aitimestepper.engine.features.summary import fill_features
from aitimestepper.engine.layout import EARLIER, GX, SAVED, X_LOW, Books, X, n_bodies
from aitimestepper.engine.networks import first_output
from aitimestepper.engine.physics.conserved import motion
from aitimestepper.engine.physics.criteria import CALIBRATED, FIXED, FLY_BY, Rule
from aitimestepper.engine.physics.criteria import FREE_FALL as BY_FREE_FALL
from aitimestepper.engine.physics.gravity import fastest_free_fall, forces, potential_energy
from aitimestepper.engine.physics.integrators import LEAPFROG, TTL, Method, leapfrog_step, ttl_step
from aitimestepper.engine.physics.law import Law
from aitimestepper.engine.run.plan import Plan
from aitimestepper.engine.run.state import Run

RUNNING, AT_TARGET, AT_STEPS, FULL, NOT_FINITE, BAD_STEP, UNBOUNDED, TOO_SHORT, GUARDED, STOPPED = range(10)
"""Why `advance` returned."""

LAST_STEP_STRETCH = 1e-6
"""The last step may be longer by this part, so that rounding in the time never leaves a step of almost nothing."""

MOST_RETRIES = 40
"""Attempts that the guard may refuse at one state: each halves the step at least. Chosen."""

_SAFETY, _LEAST_FACTOR, _MOST_FACTOR = 0.8, 0.1, 0.5
"""Safety factor and bounds of what a refused step is multiplied by, in the range that is usual (Hairer, Norsett &
Wanner, Solving Ordinary Differential Equations I (1993), section II.4). Chosen, not measured."""


@inlined
def one_step(system: Floats, books: Books, rate: float, method: Method, law: Law, rule: Rule, target: float) -> int:
    """One accepted step, or a status that says why there is none; the run is then as it was."""
    if rate == 0.0:
        # A step that nothing bounds goes to the end, if there is one.
        return AT_TARGET if target < math.inf else UNBOUNDED
    if not 0.0 < rate < math.inf:
        return BAD_STEP
    step = 1.0 / rate
    if method.kind == LEAPFROG and passes(books, step, target):
        return AT_TARGET
    save(system, books)
    energy = books.kinetic_energy + books.potential_energy
    allowed = rule.guard * books.energy_scale
    first_try = True
    for _ in range(MOST_RETRIES):
        elapsed = move(system, books, step, method, law, rule.criterion)
        error = abs(books.kinetic_energy + books.potential_energy - energy)
        if error <= allowed and error < math.inf and elapsed > 0.0:
            if method.kind == TTL and passes(books, elapsed, target):
                restore(system, books)
                return AT_TARGET
            if not pass_time(books, elapsed):
                restore(system, books)
                return TOO_SHORT if first_try else GUARDED
            books.last_rate = rate
            books.steps += 1.0
            count_step(books)
            tally(books)
            judge(books, error)
            return RUNNING
        restore(system, books)
        if rule.guard == math.inf:
            return NOT_FINITE
        first_try = False
        books.rejected_steps += 1.0
        step *= shorter(error, allowed)
        rate = 1.0 / step
    return GUARDED


@inlined
def mirrored(wanted: float, last: float) -> float:
    """The rate behind a state from the one before it and the one that the state wants, their mean."""
    rate = 2.0 * wanted - last
    return SLOWEST_TURN * wanted if rate < SLOWEST_TURN * wanted else rate


@inlined
def next_rate(books: Books, wanted: float, rule: Rule, kind: int) -> float:
    """One over the next step, in the integrator's own variable, from one over the step in time that is wanted."""
    unit = 1.0
    if kind == TTL:
        unit = books.omega
        wanted /= unit
    rate = wanted
    if rule.reversible and books.last_rate > 0.0:
        # The mean of the rates before and after a state is the rate that it wants: the same both ways.
        rate = mirrored(wanted, books.last_rate)
    if rate * unit * rule.longest < 1.0:
        rate = 1.0 / (unit * rule.longest)
    if rate * unit * rule.shortest > 1.0:
        rate = 1.0 / (unit * rule.shortest)
    return rate


@compiled
def learned_rate(run: Run, plan: Plan, layers: Floats, row: Floats) -> float:
    """One over the network's step; the features of this state are left in `row`.

    Args:
        run: whose state it is.
        plan: with the network.
        layers: (2, widest), scratch.
        row: (width,), of the features.
    """
    books, past, learner = run.books[0], run.past, plan.learner
    fill_features(row, run.system, books.free_fall_rate_squared, books.last_dt, plan.law, learner.sight)
    if learner.low.shape[0] > 0:
        books.states_asked += 1.0
        if not is_familiar(row, learner.low, learner.high):
            books.states_outside_training += 1.0
    width = row.shape[0]
    for k in range(past.shape[0]):
        layers[0, k * width : (k + 1) * width] = past[k]
    end = past.shape[0] * width
    layers[0, end : end + width] = row
    output = first_output(learner.network, layers) + DT_FLOOR
    rate = math.sqrt(books.free_fall_rate_squared) if learner.physical else 1.0
    return rate / (output * learner.factor)


@compiled
def remember(system: Floats, past: Floats, row: Floats) -> None:
    """The history holds states strictly before the current one: the one that the step started from joins it."""
    for k in range(past.shape[0] - 1):
        past[k] = past[k + 1]
    if past.shape[0] > 0:
        past[past.shape[0] - 1] = row
    n = n_bodies(system)
    system[EARLIER * n :] = system[SAVED * n : (SAVED + X_LOW - X) * n]


@inlined
def passes(books: Books, dt: float, target: float) -> bool:
    """Whether a step goes to the target or beyond it."""
    return (target - books.time) + books.time_remainder <= dt * (1.0 + LAST_STEP_STRETCH)


@inlined
def pass_time(books: Books, dt: float) -> bool:
    """Add a step to the time, with what rounding swallows kept for the next (Kahan's sum); False if it is nothing."""
    step = dt - books.time_remainder
    time = books.time + step
    if not time > books.time:
        return False
    books.time_remainder = (time - books.time) - step
    books.time = time
    books.last_dt = dt
    return True


@inlined
def move(system: Floats, books: Books, step: float, method: Method, law: Law, criterion: int) -> float:
    """One step of the integrator, with the energies of the state reached; returns the time that it took."""
    books.force_evaluations += method.stages.shape[0]
    elapsed = step
    if method.kind == LEAPFROG:
        books.potential_energy, books.free_fall_rate_squared = leapfrog_step(system, step, method.stages, law)
    else:
        books.omega, books.omega_low, elapsed = ttl_step(system, books.omega, books.omega_low, step, method, law)
        if criterion in (FIXED, FLY_BY, BY_FREE_FALL, CALIBRATED):
            books.potential_energy = potential_energy(system, law)
            if criterion == BY_FREE_FALL:
                books.free_fall_rate_squared = fastest_free_fall(system, law)
        else:
            # The criterion looks at the acceleration, which this integrator has only halfway.
            books.potential_energy, books.free_fall_rate_squared = forces(system, law)
            books.force_evaluations += 1.0
    motion(system, books)
    return elapsed


@inlined
def save(system: Floats, books: Books) -> None:
    """Keep the state before a step."""
    n = n_bodies(system)
    for k in range(X * n, GX * n):
        system[k + (SAVED - X) * n] = system[k]
    books.saved_omega, books.saved_omega_low = books.omega, books.omega_low
    books.saved_potential_energy = books.potential_energy
    books.saved_kinetic_energy, books.saved_free_fall_rate_squared = books.kinetic_energy, books.free_fall_rate_squared


@inlined
def restore(system: Floats, books: Books) -> None:
    """Undo a step."""
    n = n_bodies(system)
    for k in range(X * n, GX * n):
        system[k] = system[k + (SAVED - X) * n]
    books.omega, books.omega_low = books.saved_omega, books.saved_omega_low
    books.potential_energy = books.saved_potential_energy
    books.kinetic_energy, books.free_fall_rate_squared = books.saved_kinetic_energy, books.saved_free_fall_rate_squared


@compiled
def shorter(error: float, allowed: float) -> float:
    """What a refused step is multiplied by: by the third-power law of the leapfrog, at least halved."""
    if not error < math.inf:
        return _LEAST_FACTOR
    return min(max(_SAFETY * (allowed / error) ** (1.0 / ENERGY_ERROR_ORDER), _LEAST_FACTOR), _MOST_FACTOR)


@inlined
def tally(books: Books) -> None:
    """Take the state that has been reached into the largest errors."""
    error = abs(books.kinetic_energy + books.potential_energy - books.initial_energy)
    x = books.momentum_x - books.initial_momentum_x
    y = books.momentum_y - books.initial_momentum_y
    z = books.momentum_z - books.initial_momentum_z
    linear = x * x + y * y + z * z
    x = books.angular_momentum_x - books.initial_angular_momentum_x
    y = books.angular_momentum_y - books.initial_angular_momentum_y
    z = books.angular_momentum_z - books.initial_angular_momentum_z
    angular = x * x + y * y + z * z
    if error > books.max_energy_error:
        books.max_energy_error, books.max_energy_error_time = error, books.time
    books.frame_energy_error = _larger(error, books.frame_energy_error)
    books.max_momentum_error_squared = _larger(linear, books.max_momentum_error_squared)
    books.max_angular_momentum_error_squared = _larger(angular, books.max_angular_momentum_error_squared)
    books.momentum_scale = _larger(books.absolute_momentum, books.momentum_scale)
    books.angular_momentum_scale = _larger(books.absolute_angular_momentum, books.angular_momentum_scale)


@inlined
def count_step(books: Books) -> None:
    """Take the step that was made into the shortest and the longest since the last state that was kept."""
    dt = books.last_dt
    if books.frame_dt_max == 0.0 or dt < books.frame_dt_min:
        books.frame_dt_min = dt
    books.frame_dt_max = _larger(dt, books.frame_dt_max)


@inlined
def begin_frame(books: Books) -> None:
    """Forget the steps up to a state that is kept: the next one speaks of those behind it."""
    books.frame_dt_min = books.frame_dt_max = books.frame_energy_error = 0.0


@inlined
def judge(books: Books, error: float) -> None:
    """Hold the energy error of one step against what was promised of each."""
    if books.step_error_promised > 0.0:
        relative = error / books.energy_scale
        books.max_step_error = _larger(relative, books.max_step_error)
        if relative > books.step_error_promised:
            books.steps_above += 1.0


@inlined
def _larger(new: float, old: float) -> float:
    """The larger number; the old one where the new one is none."""
    return new if new > old else old
