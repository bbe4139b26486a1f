"""The compiled part of the integrator "aits": blocks of a calibrated run, made from C.

A call goes on to the next state to which the run will not go back (see `engine.run.governed_rollout`), so REBOUND
never sees a step that is taken back. A time that is to be met exactly is met on a copy, as in `simulate`: the run
itself does not know of it, and goes on from where it was unless somebody has changed the bodies.
"""

from __future__ import annotations

import math

import numpy as np
from numba import types

from aitimestepper.arrays import Floats
from aitimestepper.bridges.rebound.callbacks import fail, keep, prepare_integrator
from aitimestepper.bridges.rebound.memory import allocated, floats_at, integers_at, released, short_integers_at
from aitimestepper.bridges.rebound.plan_vector import plan_from
from aitimestepper.bridges.rebound.structures import (
    DT,
    DT_LAST_DONE,
    EXACT_FINISH_TIME,
    GENERIC_ERROR,
    GRAVITY,
    LAST_STEP,
    N_ACTIVE,
    PARTICLE_MASS,
    PARTICLE_VX,
    PARTICLE_WORDS,
    PARTICLE_X,
    PARTICLES,
    SIMULATION_WORDS,
    SOFTENING,
    STATUS,
    N,
    T,
)
from aitimestepper.engine.compilation import callback, compiled
from aitimestepper.engine.layout import (
    BOOKS,
    CHECKS,
    ENERGY_SCALE,
    ERROR_MAX,
    EVALUATIONS,
    LAST_DT,
    OUTSIDE,
    POSITION_MAX,
    REJECTED,
    ROWS,
    TIME,
    VX,
    X,
)
from aitimestepper.engine.layout import STEPS as RUN_STEPS
from aitimestepper.engine.run.governed_rollout import advance_controlled
from aitimestepper.engine.run.governor import POSITION_SHARE
from aitimestepper.engine.run.rollout import note_sample, reach
from aitimestepper.engine.run.state import Frames, Limits, Run
from aitimestepper.engine.run.step import AT_TARGET, RUNNING

TOLERANCE, ENERGY_ERROR, POSITION_ERROR, STEPS, FORCES, REJECTIONS, UNFAMILIAR = range(7)
RUN, RUN_SIZE, PLAN, PLAN_SIZE = range(7, 11)
STATE_WORDS = 11
"""The integrator's state: numbers that users read, then the addresses and lengths of two vectors."""

BODIES, DIRECTION, SHOWN_TIME, OWN_GRAVITY, OWN_SOFTENING, OWN_TOLERANCE, OWN_ACTIVE, FRAME_TIME = range(8)
FRAME_PLACE, FRAME_VELOCITY = 8, 11
HEAD = 14
"""A run's vector: number of bodies, 1 or -1 for its direction in time, what it was made for, and the centre of mass;
then its books, its system and its anchor, then the particles as REBOUND was last given them, seven rows."""

_BLOCKS_AHEAD, _STEPS_AHEAD = 8.0, 64.0
_LONGEST_CALL = 1024
"""Steps to an exact time after which REBOUND gets a look at what the user wants (Ctrl-C)."""


@compiled
def run_size(n: int) -> int:
    """Length of a run's vector."""
    return HEAD + 2 * (BOOKS + ROWS * n) + 7 * n


@compiled
def room_for_run(state: int, n: int) -> int:
    """Give a state a new run's vector; returns its address, or 0 if there is no room."""
    own = integers_at(state, STATE_WORDS)
    released(own[RUN])
    own[RUN], own[RUN_SIZE] = allocated(run_size(n), 8), run_size(n)
    return own[RUN]


@compiled
def run_in(vector: Floats) -> Run:
    """The run in its vector."""
    n = int(vector[BODIES])
    books, system = HEAD, HEAD + BOOKS
    anchor = system + ROWS * n
    return Run(
        vector[system:anchor], vector[books:system], np.zeros((0, 1)), vector[anchor : anchor + BOOKS + ROWS * n]
    )


@compiled
def shown_in(vector: Floats) -> Floats:
    """The particles as they were last shown: seven rows."""
    n = int(vector[BODIES])
    return vector[HEAD + 2 * (BOOKS + ROWS * n) :]


@compiled
def _copy(run: Run) -> Run:
    return Run(run.system.copy(), run.books.copy(), run.past, run.anchor.copy())


@compiled
def _particles(simulation: int) -> Floats:
    words = integers_at(simulation, SIMULATION_WORDS)
    return floats_at(words[PARTICLES], words[N] * PARTICLE_WORDS)


@compiled
def is_current(simulation: int, state: int) -> bool:
    """Whether the run is that of the simulation as it is, and goes the same way in time."""
    if not is_same(simulation, state):
        return False
    own = integers_at(state, STATE_WORDS)
    return floats_at(own[RUN], HEAD)[DIRECTION] * floats_at(simulation, SIMULATION_WORDS)[DT] > 0.0


@compiled
def is_same(simulation: int, state: int) -> bool:
    """Whether nobody has changed a body, a constant or the tolerance since the run was last shown."""
    words, counts = floats_at(simulation, SIMULATION_WORDS), integers_at(simulation, SIMULATION_WORDS)
    own = integers_at(state, STATE_WORDS)
    n = counts[N]
    if own[RUN] == 0 or own[RUN_SIZE] != run_size(n):
        return False
    vector = floats_at(own[RUN], own[RUN_SIZE])
    if (
        vector[BODIES] != n
        or vector[SHOWN_TIME] != words[T]
        or vector[OWN_GRAVITY] != words[GRAVITY]
        or vector[OWN_SOFTENING] != words[SOFTENING]
        or vector[OWN_TOLERANCE] != floats_at(state, STATE_WORDS)[TOLERANCE]
        or vector[OWN_ACTIVE] != float(counts[N_ACTIVE])
    ):
        return False
    shown, particles = shown_in(vector), _particles(simulation)
    for i in range(n):
        start = i * PARTICLE_WORDS
        if shown[i] != particles[start + PARTICLE_MASS]:
            return False
        for k in range(3):
            place, speed = particles[start + PARTICLE_X + k], particles[start + PARTICLE_VX + k]
            if shown[(1 + k) * n + i] != place or shown[(4 + k) * n + i] != speed:
                return False
    return True


@compiled
def note_shown(simulation: int, vector: Floats) -> None:
    """Remember the particles and the time as they are."""
    n = int(vector[BODIES])
    shown, particles = shown_in(vector), _particles(simulation)
    for i in range(n):
        start = i * PARTICLE_WORDS
        shown[i] = particles[start + PARTICLE_MASS]
        for k in range(3):
            shown[(1 + k) * n + i] = particles[start + PARTICLE_X + k]
            shown[(4 + k) * n + i] = particles[start + PARTICLE_VX + k]
    vector[SHOWN_TIME] = floats_at(simulation, SIMULATION_WORDS)[T]


@compiled
def _show(simulation: int, vector: Floats, system: Floats, time: float) -> None:
    """Give REBOUND a state, in its own frame and direction of time."""
    n = int(vector[BODIES])
    particles, elapsed = _particles(simulation), time - vector[FRAME_TIME]
    for i in range(n):
        start = i * PARTICLE_WORDS
        for k in range(3):
            moved = vector[FRAME_PLACE + k] + vector[FRAME_VELOCITY + k] * elapsed
            particles[start + PARTICLE_X + k] = system[(X + k) * n + i] + moved
            speed = vector[DIRECTION] * system[(VX + k) * n + i]
            particles[start + PARTICLE_VX + k] = speed + vector[FRAME_VELOCITY + k]
    floats_at(simulation, SIMULATION_WORDS)[T] = time
    note_shown(simulation, vector)


@compiled
def _report(state: int, books: Floats) -> None:
    """What users read."""
    own = floats_at(state, STATE_WORDS)
    own[ENERGY_ERROR] = books[ERROR_MAX] / books[ENERGY_SCALE]
    own[POSITION_ERROR] = POSITION_SHARE * books[POSITION_MAX]
    own[STEPS], own[FORCES], own[REJECTIONS] = books[RUN_STEPS], books[EVALUATIONS], books[REJECTED]
    own[UNFAMILIAR] = books[OUTSIDE] / max(books[CHECKS], 1.0)


@compiled
def _end(simulation: int, status: int) -> None:
    """End the integration with an error: its text is set first, where there is one."""
    if status != RUNNING:
        fail(simulation, status)
    short_integers_at(simulation, 2 * SIMULATION_WORDS)[STATUS] = GENERIC_ERROR


@compiled
def step(simulation: int, state: int) -> None:
    """One call of REBOUND: a block of the run, at most to t + dt; exactly there if it is the last."""
    own = integers_at(state, STATE_WORDS)
    ready = own[PLAN] != 0 and is_current(simulation, state)
    if not ready and prepare_integrator(simulation, state) == 0:
        _end(simulation, RUNNING)
        return
    words = floats_at(simulation, SIMULATION_WORDS)
    vector = floats_at(own[RUN], own[RUN_SIZE])
    plan = plan_from(floats_at(own[PLAN], own[PLAN_SIZE]))
    run = run_in(vector)
    flags = short_integers_at(simulation, 2 * SIMULATION_WORDS)
    last, exact = flags[STATUS] == LAST_STEP, flags[EXACT_FINISH_TIME] == 1
    before, end = words[T], words[T] + words[DT]
    target = vector[DIRECTION] * end if exact else math.inf
    kept = vector.copy()
    nothing = Frames(np.empty((1, 3)), np.empty((1, 1)), np.empty((0, 3)), 0, math.inf)
    status, _, _ = advance_controlled(run, plan, Limits(target, math.inf, _LONGEST_CALL if last else 1), nothing)
    if status == AT_TARGET and last:
        look = _copy(run)
        status = reach(look, plan, target)
        if status == RUNNING:
            note_sample(run, look)
            _show(simulation, vector, look.system, end)
    elif status == AT_TARGET:
        # The block would go beyond what REBOUND allows. It allows more when it is asked again.
        vector[:] = kept
        status = RUNNING
    else:
        _show(simulation, vector, run.system, vector[DIRECTION] * run.books[TIME])
    _report(state, run.books)
    if status != RUNNING:
        _end(simulation, status)
    _look_ahead(words, before, run.books[LAST_DT], vector[DIRECTION])


@compiled
def _look_ahead(words: Floats, before: float, last: float, direction: float) -> None:
    """How far the next call may go: farther than it will."""
    covered = abs(words[T] - before)
    words[DT_LAST_DONE] = direction * covered
    far = _BLOCKS_AHEAD * covered if covered > 0.0 else _BLOCKS_AHEAD * abs(words[DT])
    words[DT] = direction * max(far, _STEPS_AHEAD * last)


@callback(types.void(types.int64, types.int64))
def step_callback(simulation: int, state: int) -> None:
    """`step` as REBOUND calls it."""
    step(simulation, state)


@callback(types.int64())
def create_callback() -> int:
    """A new state, with nothing in it."""
    return allocated(STATE_WORDS, 8)


@callback(types.void(types.int64))
def free_callback(state: int) -> None:
    """Free a state and its run; plans are shared."""
    released(integers_at(state, STATE_WORDS)[RUN])
    released(state)


for _callback in (step_callback, create_callback, free_callback):
    keep(_callback)
