"""The compiled heartbeat that gives one of REBOUND's own integrators its next step.

REBOUND beats before the first step of each call of `integrate` or `steps`, and after every step. What has happened
since the last beat is told from the number of steps, the last step and the bodies themselves:

- one whole step: the next one follows by the reversible recursion;
- a shortened step (to an exact time): the recursion begins anew;
- nothing, with the direction of time or all velocities turned round: the last step is made again, backwards, and the
  run goes back the way it came (`path`);
- bodies that were added, removed or changed: Python sets everything up anew.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types
from numpy.typing import NDArray

from aitimestepper.arrays import Floats
from aitimestepper.bridges.rebound.callbacks import ask_function, fail, keep, prepare_heartbeat
from aitimestepper.bridges.rebound.memory import floats_at, integers_at, short_integers_at
from aitimestepper.bridges.rebound.path import (
    HEADING,
    PATH,
    begin_path,
    forget,
    go_on,
    is_inside,
    note_bend,
    step_at_bend,
)
from aitimestepper.bridges.rebound.plan_vector import law_from, plan_from, tolerance_from
from aitimestepper.bridges.rebound.structures import (
    DT,
    DT_LAST_DONE,
    EXTRAS,
    GENERIC_ERROR,
    GRAVITY,
    INTEGRATOR_STATE,
    N_ACTIVE,
    PARTICLE_MASS,
    PARTICLE_VX,
    PARTICLE_WORDS,
    PARTICLE_X,
    PARTICLES,
    SIMULATION_WORDS,
    SOFTENING,
    STATUS,
    STEP_FUNCTION,
    STEPS_DONE,
    N,
    T,
)
from aitimestepper.constants import SLOWEST_TURN
from aitimestepper.engine.compilation import callback, compiled
from aitimestepper.engine.layout import (
    BASE,
    BOOKS,
    CHANGED_AT,
    CHECKS,
    CORRECTION,
    ENERGY_0,
    ENERGY_SCALE,
    ERROR_MAX,
    FREE_FALL,
    KINETIC,
    LAST_DT,
    LAST_RATE,
    LONGEST,
    MASS,
    OUTSIDE,
    POTENTIAL,
    REVIEW_ERROR,
    REVIEW_PHASE,
    ROWS,
    STEPS,
    VX,
    WISH,
    X,
)
from aitimestepper.engine.physics.conserved import motion
from aitimestepper.engine.physics.criteria import fly_by_rate
from aitimestepper.engine.physics.gravity import forces, potential_energy
from aitimestepper.engine.physics.integrators import LEAPFROG
from aitimestepper.engine.run.governor import consult, energy_error, parameter, review
from aitimestepper.engine.run.step import BAD_STEP, TOO_SHORT, mirrored

Integers = NDArray[np.int64]

BODIES, OWN_GRAVITY, OWN_SOFTENING, OWN_ACTIVE, NOTED, DIRECTION, CHOSEN, WANTED = range(8)
REVERSIBLE, GOVERNED, BY_FUNCTION, UNIT, PLAN, PLAN_SIZE = range(8, 14)
THERE, REFERENCE, FASTEST, WIDEST, CEILING = range(14, 19)
STEP, ORDER_AT, ORDER, LED_HERE = range(19, 23)
_PATH = 23
HEAD = _PATH + PATH
"""What the vector was made for; REBOUND's steps at the last beat; the direction of time, the step that was chosen and
the rate that was wanted; what is asked for; how long a step of REBOUND's integrator may be against ours; address and
length of the plan. Since the last change of the step: its energy error over what is allowed, its energy, and the
fastest rate; the longest step that the network has wanted, and the one that was too long. REBOUND's
function that makes a step, and address and value of its order, whole numbers; the step that led to the state. Then the
path, books and system."""

_BETWEEN_REVIEWS, _BETWEEN_CHECKS = 32.0, 64.0
_TRIGGER, _QUARTER = 0.5, 0.25
"""An error above the first part of what is allowed makes steps shorter, so that a quarter of it would have come; there
is no going back, so it cannot wait until all of it is used up."""
_FIRST_CORRECTION, _LEAST_CORRECTION = 0.7, 0.05
"""The network aims at all of what is allowed, and a run that cannot go back had better not. The smallest one bounds
what a run may cost that keeps nothing all the same."""
_TIGHTER, _SLOW, _LONGER_REVIEW = 0.8, 0.5, 0.25
"""What the network must want for its step to be taken; the part of the fastest rate at which a change costs little
energy; the weight of phases, which makes reviews some orbits long."""
_ROUNDING = 1e-9
"""Part by which a step that was made may differ from the one that was chosen, and below which it is none."""
_BOUNDED = SLOWEST_TURN * (1.0 + 1e-12)
_UNCHANGED, _TURNED, _CHANGED = range(3)


@compiled
def vector_size(n: int) -> int:
    """Length of the vector."""
    return HEAD + BOOKS + ROWS * n


@compiled
def _compare(simulation: int, system: Floats) -> int:
    """What has become of the bodies since they were last looked at."""
    counts = integers_at(simulation, SIMULATION_WORDS)
    n = counts[N]
    n_active = counts[N_ACTIVE] if 0 <= counts[N_ACTIVE] < n else n
    particles = floats_at(counts[PARTICLES], n * PARTICLE_WORDS)
    same = turned = True
    for i in range(n):
        start = i * PARTICLE_WORDS
        # Test particles have no mass here.
        if i < n_active and system[MASS * n + i] != particles[start + PARTICLE_MASS]:
            return _CHANGED
        for k in range(3):
            if system[(X + k) * n + i] != particles[start + PARTICLE_X + k]:
                return _CHANGED
            speed = particles[start + PARTICLE_VX + k]
            same &= system[(VX + k) * n + i] == speed
            turned &= system[(VX + k) * n + i] == -speed
    return _UNCHANGED if same else _TURNED if turned else _CHANGED


@compiled
def _load(simulation: int, system: Floats) -> None:
    """Places and velocities from REBOUND."""
    counts = integers_at(simulation, SIMULATION_WORDS)
    n = counts[N]
    particles = floats_at(counts[PARTICLES], n * PARTICLE_WORDS)
    for i in range(n):
        start = i * PARTICLE_WORDS
        for k in range(3):
            system[(X + k) * n + i] = particles[start + PARTICLE_X + k]
            system[(VX + k) * n + i] = particles[start + PARTICLE_VX + k]


@compiled
def open_books(simulation: int, vector: Floats, plan: Floats) -> None:
    """The first look at the bodies: their energy, and the first step."""
    books, system = vector[HEAD : HEAD + BOOKS], vector[HEAD + BOOKS :]
    counts = integers_at(simulation, SIMULATION_WORDS)
    _load(simulation, system)
    vector[NOTED] = float(counts[STEPS_DONE])
    begin_path(vector[_PATH:HEAD])
    if vector[BY_FUNCTION] == 0.0:
        law = law_from(plan)
        motion(system, books)
        books[POTENTIAL] = potential_energy(system, law)
        books[ENERGY_0] = books[KINETIC] + books[POTENTIAL]
        books[CORRECTION], vector[CEILING] = _FIRST_CORRECTION, math.inf
        _consult(vector, system, books, plan)
        vector[WANTED] = math.sqrt(fly_by_rate(system, law)) / (parameter(books) * vector[UNIT])
    _set_step(simulation, vector, books)


@compiled
def _consult(vector: Floats, system: Floats, books: Floats, plan_vector: Floats) -> None:
    """Ask the network about the state, and take its step if that is a shorter one.

    What it wants varies along an orbit. Steps that followed would cost the drift that reversible ones do not have: the
    shortest is kept, and the energy tells whether it is shorter than need be.
    """
    plan = plan_from(plan_vector)
    law, control = plan.law, plan.control
    widest = control.low.shape[0] + 1
    for units in control.network.widths:
        widest = max(widest, units)
    asked = np.zeros(BOOKS)
    asked[POTENTIAL], asked[FREE_FALL] = forces(system, law)
    traits, layers = np.empty(control.low.shape[0]), np.empty((2, widest))
    consult(system, asked, LEAPFROG, law, control, traits, layers)
    wish = asked[BASE]
    books[CHECKS] += 1.0
    books[OUTSIDE] += asked[OUTSIDE]
    books[LONGEST] = asked[LONGEST]
    vector[WIDEST] = max(vector[WIDEST], wish)
    if books[BASE] == 0.0 or wish < _TIGHTER * books[BASE]:
        books[BASE] = wish
        _begin_anew(vector, books, control.tolerance)


@compiled
def _govern(vector: Floats, books: Floats, plan: Floats, rate: float) -> None:
    """Shorter steps where the energy error has come too far, longer ones where it stays small.

    Never longer than the network has wanted: what they do to places is not measured here.
    """
    tolerance = tolerance_from(plan)
    error, there = energy_error(books, tolerance), vector[THERE]
    bound = max(_TRIGGER, 0.5 * (1.0 + there) if there < 1.0 else 1.5 * there)
    if error > bound and books[CORRECTION] > _LEAST_CORRECTION:
        books[CORRECTION] *= _QUARTER ** (1.0 / plan_from(plan).control.order)
        vector[CEILING] = parameter(books)
        _begin_anew(vector, books, tolerance)
        return
    grown = abs(books[KINETIC] + books[POTENTIAL] - vector[REFERENCE]) / (books[ENERGY_SCALE] * tolerance)
    books[REVIEW_ERROR] = max(books[REVIEW_ERROR], grown / max(1.0 - there, 1.0 - _TIGHTER))
    books[REVIEW_PHASE] += _LONGER_REVIEW * rate * books[LAST_DT]
    vector[FASTEST] = max(vector[FASTEST], rate)
    if books[STEPS] % _BETWEEN_REVIEWS == 0.0:
        review(books, plan_from(plan).control)
    longest = min(vector[WIDEST], vector[CEILING])
    if books[WISH] > 1.0 and rate < _SLOW * vector[FASTEST] and parameter(books) < _TIGHTER * longest:
        books[CORRECTION] = min(books[CORRECTION] * books[WISH], longest / books[BASE])
        _begin_anew(vector, books, tolerance)


@compiled
def _begin_anew(vector: Floats, books: Floats, tolerance: float) -> None:
    """The step has changed: the recursion and the review start again."""
    books[LAST_RATE], books[WISH], books[CHANGED_AT] = 0.0, 1.0, books[STEPS]
    books[REVIEW_ERROR] = books[REVIEW_PHASE] = vector[FASTEST] = 0.0
    vector[THERE], vector[REFERENCE] = energy_error(books, tolerance), books[KINETIC] + books[POTENTIAL]


@compiled
def _choose(simulation: int, vector: Floats, books: Floats) -> None:
    """The next step, from the one that the state wants and the last one."""
    if vector[BY_FUNCTION] != 0.0 and ask_function(simulation, 0) == 0:
        _end(simulation)
        return
    _set_step(simulation, vector, books)


@compiled
def _set_step(simulation: int, vector: Floats, books: Floats) -> None:
    rate = vector[WANTED]
    if vector[REVERSIBLE] != 0.0 and books[LAST_RATE] > 0.0:
        rate = mirrored(rate, books[LAST_RATE])
    words = floats_at(simulation, SIMULATION_WORDS)
    if not 0.0 < rate < math.inf:
        fail(simulation, BAD_STEP)
        _end(simulation)
    elif words[T] + 1.0 / rate == words[T]:
        fail(simulation, TOO_SHORT)
        _end(simulation)
    vector[CHOSEN] = 1.0 / rate
    words[DT] = vector[DIRECTION] * vector[CHOSEN]


@compiled
def _end(simulation: int) -> None:
    """End the integration: the text of the error is set already."""
    short_integers_at(simulation, 2 * SIMULATION_WORDS)[STATUS] = GENERIC_ERROR


@compiled
def _stands(simulation: int, vector: Floats) -> bool:
    """Whether the vector is for this integrator, this number of bodies and these constants."""
    words, counts = floats_at(simulation, SIMULATION_WORDS), integers_at(simulation, SIMULATION_WORDS)
    made_for = vector.view(np.int64)
    return (
        made_for[STEP] == counts[STEP_FUNCTION]
        and made_for[ORDER_AT] == counts[INTEGRATOR_STATE]
        and made_for[ORDER] == short_integers_at(made_for[ORDER_AT], 1)[0]
        and vector[BODIES] == counts[N]
        and vector[OWN_GRAVITY] == words[GRAVITY]
        and vector[OWN_SOFTENING] == words[SOFTENING]
        and vector[OWN_ACTIVE] == float(counts[N_ACTIVE])
    )


@compiled
def beat(simulation: int) -> None:
    """One beat: see the module."""
    words, counts = floats_at(simulation, SIMULATION_WORDS), integers_at(simulation, SIMULATION_WORDS)
    address = counts[EXTRAS]
    if address == 0:
        return
    vector = floats_at(address, HEAD)
    if not _stands(simulation, vector):
        if prepare_heartbeat(simulation, 0) == 0:
            _end(simulation)
        return
    n = counts[N]
    vector = floats_at(address, vector_size(n))
    books, system = vector[HEAD : HEAD + BOOKS], vector[HEAD + BOOKS :]
    direction = math.copysign(1.0, words[DT])
    if vector[NOTED] == float(counts[STEPS_DONE]):
        found = _compare(simulation, system)
        if found == _CHANGED:
            if prepare_heartbeat(simulation, 0) == 0:
                _end(simulation)
            return
        turned = (found == _TURNED) != (direction != vector[DIRECTION])
        vector[DIRECTION] = direction
        _load(simulation, system)
        if turned:
            vector[_PATH + HEADING] *= -1.0
            if vector[LED_HERE] > 0.0 and vector[REVERSIBLE] != 0.0:
                vector[CHOSEN], vector[LED_HERE] = vector[LED_HERE], vector[CHOSEN]
        words[DT] = direction * vector[CHOSEN]
        return
    elapsed, alone = abs(words[DT_LAST_DONE]), vector[NOTED] + 1.0 == float(counts[STEPS_DONE])
    vector[NOTED], vector[DIRECTION] = float(counts[STEPS_DONE]), direction
    _load(simulation, system)
    if alone and elapsed < _ROUNDING * vector[CHOSEN]:
        # What rounding had left of the way to an exact time.
        words[DT] = direction * vector[CHOSEN]
        return
    books[STEPS] += 1.0
    _pass(simulation, vector, books, system, elapsed, alone)


@compiled
def _pass(simulation: int, vector: Floats, books: Floats, system: Floats, elapsed: float, alone: bool) -> None:
    """Choose the step behind a state that a step has led to.

    Args:
        simulation: address.
        vector, books, system: of the drive.
        elapsed: the step that was made.
        alone: whether it was the only one since the last beat.
    """
    path, before = vector[_PATH:HEAD], (books[BASE], books[CORRECTION])
    whole = alone and abs(elapsed - vector[CHOSEN]) <= _ROUNDING * vector[CHOSEN]
    known = whole and is_inside(path) and vector[REVERSIBLE] != 0.0
    if not alone or (is_inside(path) and not whole):
        forget(path)
    elif not whole and vector[REVERSIBLE] != 0.0:
        # The step that was chosen where this one began was another one.
        note_bend(path, books, vector[LED_HERE], elapsed, before)
    go_on(path)
    vector[LED_HERE] = vector[CHOSEN] if whole else elapsed
    books[LAST_RATE] = 1.0 / vector[LED_HERE] if whole else 0.0
    books[LAST_DT] = elapsed
    if vector[BY_FUNCTION] == 0.0:
        _look(vector, books, system, integers_at(integers_at(simulation, SIMULATION_WORDS)[EXTRAS], HEAD), known)
    bend = step_at_bend(path, books) if known else 0.0
    if bend > 0.0:
        vector[CHOSEN] = bend
        floats_at(simulation, SIMULATION_WORDS)[DT] = vector[DIRECTION] * bend
        return
    _choose(simulation, vector, books)
    follows = books[LAST_RATE] > 0.0 and 1.0 / vector[CHOSEN] > _BOUNDED * vector[WANTED]
    if vector[REVERSIBLE] != 0.0 and not follows:
        note_bend(path, books, vector[LED_HERE], vector[CHOSEN], before)


@compiled
def _look(vector: Floats, books: Floats, system: Floats, counts: Integers, known: bool) -> None:
    """The state after a step: its energy, what follows from it if it was not known, and the step that it wants."""
    plan = floats_at(counts[PLAN], counts[PLAN_SIZE])
    law = law_from(plan)
    rate = math.sqrt(fly_by_rate(system, law))
    if vector[GOVERNED] != 0.0:
        books[POTENTIAL] = potential_energy(system, law)
        motion(system, books)
        books[ERROR_MAX] = max(books[ERROR_MAX], abs(books[KINETIC] + books[POTENTIAL] - books[ENERGY_0]))
        if not known:
            _govern(vector, books, plan, rate)
    if books[STEPS] % _BETWEEN_CHECKS == 0.0 and not known:
        _consult(vector, system, books, plan)
    vector[WANTED] = rate / (parameter(books) * vector[UNIT])


@callback(types.void(types.int64))
def beat_callback(simulation: int) -> None:
    """`beat` as REBOUND calls it."""
    beat(simulation)


keep(beat_callback)
