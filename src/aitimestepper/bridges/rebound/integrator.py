"""The compiled part of the integrator "aits": blocks of a calibrated run, made from C.

A call goes on to the next state to which the run will not go back (see `engine.run.governed_rollout`), so REBOUND
never sees a step that is taken back. A time that is to be met exactly is met on a copy, as in `simulate`: the run
itself does not know of it, and goes on from where it was unless somebody has changed the bodies.
"""

from __future__ import annotations

import math
from typing import Any

from numba import types

from aitimestepper.arrays import Floats
from aitimestepper.bridges.rebound.attention import first_of_note, is_watched, next_archive, room_for_steps
from aitimestepper.bridges.rebound.callbacks import fail, keep, prepare_integrator
from aitimestepper.bridges.rebound.memory import floats_at
from aitimestepper.bridges.rebound.plan_vector import plan_from
from aitimestepper.bridges.rebound.run_vector import (
    free_state,
    head_of,
    new_state,
    run_in,
    run_size,
    run_vector_of,
    shown_in,
    state_at,
)
from aitimestepper.bridges.rebound.structures import (
    GENERIC_ERROR,
    LAST_STEP,
    callback,
    compiled,
    particles_of,
    simulation_at,
)
from aitimestepper.engine.layout import VX, VY, VZ, Books, X, Y, Z
from aitimestepper.engine.run.exact_times import note_sample, reach
from aitimestepper.engine.run.governed_rollout import advance_controlled
from aitimestepper.engine.run.governor import POSITION_SHARE
from aitimestepper.engine.run.plan import Plan
from aitimestepper.engine.run.state import Limits, no_stops
from aitimestepper.engine.run.step import AT_TARGET, RUNNING

_BLOCKS_AHEAD, _STEPS_AHEAD = 8.0, 64.0
"""How far a call may go, in blocks and steps of the last one: it ends at the next anchor, a block or several away, and
what REBOUND does not allow is made in vain, and made again. Chosen, not measured."""

_LONGEST_CALL = 1024
"""Steps to an exact time after which REBOUND gets a look at what the user wants (Ctrl-C)."""


@compiled
def is_current(address: int, state_address: int) -> bool:
    """Whether the run is that of the simulation as it is, and goes the same way in time."""
    if not is_same(address, state_address):
        return False
    return head_of(run_vector_of(state_at(state_address))).direction * simulation_at(address).dt > 0.0


@compiled
def is_same(address: int, state_address: int) -> bool:
    """Whether nobody has changed a body, a constant or the tolerance since the run was last shown."""
    simulation, state = simulation_at(address), state_at(state_address)
    n = simulation.N
    if state.run == 0 or state.run_size != run_size(n):
        return False
    vector = run_vector_of(state)
    head = head_of(vector)
    if (
        n != head.N
        or head.shown_time != simulation.t
        or head.G != simulation.G
        or head.softening != simulation.softening
        or head.tolerance != state.tolerance
        or head.N_active != float(simulation.N_active)
    ):
        return False
    shown, particles = shown_in(vector), particles_of(simulation)
    for i in range(n):
        body = particles[i]
        if shown[0, i] != body.m or shown[1, i] != body.x or shown[2, i] != body.y or shown[3, i] != body.z:
            return False
        if shown[4, i] != body.vx or shown[5, i] != body.vy or shown[6, i] != body.vz:
            return False
    return True


@compiled
def note_shown(address: int, vector: Floats) -> None:
    """Remember the particles and the time as they are."""
    simulation = simulation_at(address)
    shown, particles = shown_in(vector), particles_of(simulation)
    for i in range(shown.shape[1]):
        body = particles[i]
        shown[0, i], shown[1, i], shown[2, i], shown[3, i] = body.m, body.x, body.y, body.z
        shown[4, i], shown[5, i], shown[6, i] = body.vx, body.vy, body.vz
    head_of(vector).shown_time = simulation.t


@compiled
def _show(address: int, vector: Floats, system: Floats, time: float) -> None:
    """Give REBOUND a state, in its own frame and direction of time."""
    simulation, head = simulation_at(address), head_of(vector)
    n, direction = int(head.N), head.direction
    particles, elapsed = particles_of(simulation), time - head.frame_time
    velocity = head.frame_velocity
    moved = head.frame_position + velocity * elapsed
    for i in range(n):
        body = particles[i]
        body.x = system[X * n + i] + moved[0]
        body.y = system[Y * n + i] + moved[1]
        body.z = system[Z * n + i] + moved[2]
        body.vx = direction * system[VX * n + i] + velocity[0]
        body.vy = direction * system[VY * n + i] + velocity[1]
        body.vz = direction * system[VZ * n + i] + velocity[2]
    simulation.t = time
    note_shown(address, vector)


@compiled
def _report(state: Any, books: Books) -> None:
    """What users read."""
    state.energy_error = books.max_energy_error / books.energy_scale
    state.position_error = POSITION_SHARE * books.max_position_error
    state.steps, state.force_evaluations = books.steps, books.force_evaluations
    state.rejected_steps = books.rejected_steps
    state.outside_training = books.states_outside_training / max(books.states_asked, 1.0)


@compiled
def _end(address: int, status: int) -> None:
    """End the integration with an error: its text is set first, where there is one."""
    if status != RUNNING:
        fail(address, status)
    simulation_at(address).status = GENERIC_ERROR


@compiled
def step(address: int, state_address: int) -> None:
    """One call of REBOUND: a block of the run, at most to t + dt; exactly there if it is the last.

    It ends before that where a snapshot is due, and at the first step after which REBOUND would act (see `attention`).
    """
    simulation, state = simulation_at(address), state_at(state_address)
    if _is_free(simulation):
        if prepare_integrator(address, state_address) == 0:
            _end(address, RUNNING)
            return
        _move_uniformly(simulation)
        return
    ready = state.plan != 0 and is_current(address, state_address)
    if not ready and prepare_integrator(address, state_address) == 0:
        _end(address, RUNNING)
        return
    vector, before = run_vector_of(state), simulation.t
    status = _go_on(address, vector, plan_from(floats_at(state.plan, state.plan_size)))
    books = run_in(vector).books[0]
    _report(state, books)
    if status != RUNNING:
        _end(address, status)
    _look_ahead(simulation, before, books.last_dt, head_of(vector).direction)


@compiled
def _go_on(address: int, vector: Floats, plan: Plan) -> int:
    """A block of the run; shows REBOUND its end, or a state on the way there that is to be met exactly."""
    simulation, head, run = simulation_at(address), head_of(vector), run_in(vector)
    direction, last, watched = head.direction, simulation.status == LAST_STEP, is_watched(simulation)
    asked = direction * (simulation.t + simulation.dt) if simulation.exact_finish_time == 1 else math.inf
    due = next_archive(simulation, direction)
    target, is_met = min(asked, due), last or due <= asked
    kept = vector.copy()
    limits = Limits(target, math.inf, _LONGEST_CALL if last and not watched else 1, no_stops())
    frames = room_for_steps(watched, simulation.N)
    status, count, _ = advance_controlled(run, plan, limits, frames)
    first = first_of_note(address, head, frames, count) if watched else math.inf
    if first < math.inf:
        vector[:] = kept
        target, is_met = first, True
        limits = Limits(target, math.inf, _LONGEST_CALL, no_stops())
        status, _, _ = advance_controlled(run, plan, limits, room_for_steps(False, 0))
    if status != AT_TARGET:
        _show(address, vector, run.system, direction * run.books[0].time)
    elif is_met:
        seen = vector.copy()
        look = run_in(seen)
        status = reach(look, plan, target)
        if status == RUNNING:
            note_sample(run, look)
            _show(address, vector, look.system, direction * target)
    else:
        # The block would go beyond what REBOUND allows. It allows more when it is asked again.
        vector[:] = kept
        status = RUNNING
    return status


@compiled
def _is_free(simulation: Any) -> bool:
    """Whether no body attracts another."""
    n = simulation.N
    particles = particles_of(simulation)
    for i in range(min(n, simulation.N_active) if simulation.N_active >= 0 else n):
        if particles[i].m != 0.0:
            return bool(n < 2)
    return True


@compiled
def _move_uniformly(simulation: Any) -> None:
    """A step of bodies of which none attracts another; there is nothing to plan or to measure."""
    particles, dt = particles_of(simulation), simulation.dt
    for i in range(simulation.N):
        body = particles[i]
        body.x += dt * body.vx
        body.y += dt * body.vy
        body.z += dt * body.vz
    simulation.t += dt
    simulation.dt_last_done = dt
    if simulation.exact_finish_time == 1:
        simulation.dt = _BLOCKS_AHEAD * dt


@compiled
def _look_ahead(simulation: Any, before: float, last: float, direction: float) -> None:
    """How far the next call may go: farther than it will."""
    covered = abs(simulation.t - before)
    simulation.dt_last_done = direction * covered
    far = _BLOCKS_AHEAD * covered if covered > 0.0 else _BLOCKS_AHEAD * abs(simulation.dt)
    simulation.dt = direction * max(far, _STEPS_AHEAD * last)


@callback(types.void(types.int64, types.int64))
def step_callback(address: int, state_address: int) -> None:
    """`step` as REBOUND calls it."""
    step(address, state_address)


@callback(types.int64())
def create_callback() -> int:
    """A new state, with nothing in it."""
    return new_state()


@callback(types.void(types.int64))
def free_callback(state_address: int) -> None:
    """Free a state and all that it has."""
    free_state(state_address)


for _callback in (step_callback, create_callback, free_callback):
    keep(_callback)
