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
from typing import Any

from numba import types

from aitimestepper.arrays import Floats
from aitimestepper.bridges.rebound.callbacks import ask_function, fail, keep, prepare_heartbeat
from aitimestepper.bridges.rebound.drive_governor import FIRST_CORRECTION, ask_network, govern
from aitimestepper.bridges.rebound.drive_vector import drive_in, system_in, vector_size
from aitimestepper.bridges.rebound.memory import floats_at
from aitimestepper.bridges.rebound.path import begin_path, forget, go_on, is_inside, note_bend, step_at_bend
from aitimestepper.bridges.rebound.plan_vector import law_from
from aitimestepper.bridges.rebound.structures import (
    GENERIC_ERROR,
    callback,
    compiled,
    first_integer_at,
    particles_of,
    simulation_at,
)
from aitimestepper.constants import SLOWEST_TURN
from aitimestepper.engine.layout import MASS, VX, VY, VZ, X, Y, Z, n_bodies
from aitimestepper.engine.physics.conserved import motion
from aitimestepper.engine.physics.criteria import fly_by_rate
from aitimestepper.engine.physics.gravity import potential_energy
from aitimestepper.engine.run.governor import parameter
from aitimestepper.engine.run.step import BAD_STEP, TOO_SHORT, mirrored

_BETWEEN_CHECKS = 64.0
_ROUNDING = 1e-9
"""Part by which a step that was made may differ from the one that was chosen, and below which it is none."""
_BOUNDED = SLOWEST_TURN * (1.0 + 1e-12)
_UNCHANGED, _TURNED, _CHANGED = range(3)


@compiled
def _compare(simulation: Any, system: Floats) -> int:
    """What has become of the bodies since they were last looked at."""
    n = n_bodies(system)
    n_active = simulation.N_active if 0 <= simulation.N_active < n else n
    particles = particles_of(simulation)
    same = turned = True
    for i in range(n):
        body = particles[i]
        # Test particles have no mass here.
        if i < n_active and system[MASS * n + i] != body.m:
            return _CHANGED
        if system[X * n + i] != body.x or system[Y * n + i] != body.y or system[Z * n + i] != body.z:
            return _CHANGED
        u, v, w = system[VX * n + i], system[VY * n + i], system[VZ * n + i]
        same &= u == body.vx and v == body.vy and w == body.vz
        turned &= u == -body.vx and v == -body.vy and w == -body.vz
    return _UNCHANGED if same else _TURNED if turned else _CHANGED


@compiled
def _load(simulation: Any, system: Floats) -> None:
    """Positions and velocities from REBOUND."""
    n = n_bodies(system)
    particles = particles_of(simulation)
    for i in range(n):
        body = particles[i]
        system[X * n + i], system[Y * n + i], system[Z * n + i] = body.x, body.y, body.z
        system[VX * n + i], system[VY * n + i], system[VZ * n + i] = body.vx, body.vy, body.vz


@compiled
def begin_drive(address: int, vector: Floats, plan: Floats) -> None:
    """The first look at the bodies: their energy, and the first step.

    Args:
        address: of the simulation.
        vector: of the drive, with what it was made for.
        plan: as a vector; (0,) where a function gives the steps.
    """
    simulation, drive, system = simulation_at(address), drive_in(vector), system_in(vector)
    books = drive.books
    _load(simulation, system)
    drive.steps_done = simulation.steps_done
    begin_path(drive.path)
    if drive.by_function == 0:
        law = law_from(plan)
        motion(system, books)
        books.potential_energy = potential_energy(system, law)
        books.initial_energy = books.kinetic_energy + books.potential_energy
        books.correction, drive.too_long_step = FIRST_CORRECTION, math.inf
        ask_network(vector, plan)
        drive.wanted_rate = math.sqrt(fly_by_rate(system, law)) / (parameter(books) * drive.unit)
    _set_step(address, drive)


@compiled
def _choose(address: int, drive: Any) -> None:
    """The next step, from the one that the state wants and the last one."""
    if drive.by_function != 0 and ask_function(address, 0) == 0:
        _end(address)
        return
    _set_step(address, drive)


@compiled
def _set_step(address: int, drive: Any) -> None:
    simulation, last_rate = simulation_at(address), drive.books.last_rate
    rate = drive.wanted_rate
    if drive.reversible != 0 and last_rate > 0.0:
        rate = mirrored(rate, last_rate)
    if drive.wanted_rate == 0.0:  # nothing attracts: the step stays as it is
        rate = 1.0 / (drive.chosen_step if drive.chosen_step > 0.0 else abs(simulation.dt))
    if not 0.0 < rate < math.inf:
        fail(address, BAD_STEP)
        _end(address)
    elif simulation.t + 1.0 / rate == simulation.t:
        fail(address, TOO_SHORT)
        _end(address)
    drive.chosen_step = 1.0 / rate
    simulation.dt = drive.direction * drive.chosen_step


@compiled
def _end(address: int) -> None:
    """End the integration: the text of the error is set already."""
    simulation_at(address).status = GENERIC_ERROR


@compiled
def _stands(simulation: Any, drive: Any) -> bool:
    """Whether the drive is for this integrator, this number of bodies and these constants."""
    return (
        drive.integrator_step == simulation.integrator_step
        and drive.integrator_state == simulation.integrator_state
        and drive.order == first_integer_at(drive.integrator_state)
        and drive.N == simulation.N
        and drive.G == simulation.G
        and drive.softening == simulation.softening
        and drive.N_active == simulation.N_active
    )


@compiled
def beat(address: int) -> None:
    """One beat: see the module."""
    simulation = simulation_at(address)
    if simulation.extras == 0:
        return
    drive = drive_in(floats_at(simulation.extras, vector_size(0)))
    if not _stands(simulation, drive):
        if prepare_heartbeat(address, 0) == 0:
            _end(address)
        return
    vector = floats_at(simulation.extras, vector_size(simulation.N))
    system, direction = system_in(vector), math.copysign(1.0, simulation.dt)
    if drive.steps_done == simulation.steps_done:
        found = _compare(simulation, system)
        if found == _CHANGED:
            if prepare_heartbeat(address, 0) == 0:
                _end(address)
            return
        turned = (found == _TURNED) != (direction != drive.direction)
        drive.direction = direction
        _load(simulation, system)
        if turned:
            _turn_round(drive)
        simulation.dt = direction * drive.chosen_step
        return
    elapsed, alone = abs(simulation.dt_last_done), drive.steps_done + 1 == simulation.steps_done
    drive.steps_done, drive.direction = simulation.steps_done, direction
    _load(simulation, system)
    if alone and elapsed < _ROUNDING * drive.chosen_step:
        # What rounding had left of the way to an exact time.
        simulation.dt = direction * drive.chosen_step
        return
    drive.books.steps += 1.0
    _pass(address, vector, elapsed, alone)


@compiled
def _turn_round(drive: Any) -> None:
    drive.path.heading *= -1.0
    if drive.step_before > 0.0 and drive.reversible != 0:
        drive.chosen_step, drive.step_before = drive.step_before, drive.chosen_step


@compiled
def _pass(address: int, vector: Floats, elapsed: float, alone: bool) -> None:
    """Choose the step behind a state that a step has led to.

    Args:
        address: of the simulation.
        vector: of the drive.
        elapsed: the step that was made.
        alone: whether it was the only one since the last beat.
    """
    drive = drive_in(vector)
    books, path, reversible = drive.books, drive.path, drive.reversible != 0
    before = (books.network_step, books.correction)
    whole = alone and abs(elapsed - drive.chosen_step) <= _ROUNDING * drive.chosen_step
    known = whole and is_inside(path) and reversible
    if not alone or (is_inside(path) and not whole):
        forget(path)
    elif not whole and reversible:
        # The step that was chosen where this one began was another one.
        note_bend(path, books, drive.step_before, elapsed, before)
    go_on(path)
    drive.step_before = drive.chosen_step if whole else elapsed
    books.last_rate = 1.0 / drive.step_before if whole else 0.0
    books.last_dt = elapsed
    if drive.by_function == 0:
        _look(vector, known)
    bend = step_at_bend(path, books) if known else 0.0
    if bend > 0.0:
        drive.chosen_step = bend
        simulation_at(address).dt = drive.direction * bend
        return
    _choose(address, drive)
    follows = books.last_rate > 0.0 and 1.0 / drive.chosen_step > _BOUNDED * drive.wanted_rate
    if reversible and not follows:
        note_bend(path, books, drive.step_before, drive.chosen_step, before)


@compiled
def _look(vector: Floats, known: bool) -> None:
    """The state after a step: its energy, what follows from it if it was not known, and the step that it wants."""
    drive, system = drive_in(vector), system_in(vector)
    books, plan = drive.books, floats_at(drive.plan, drive.plan_size)
    law = law_from(plan)
    rate = math.sqrt(fly_by_rate(system, law))
    if drive.governed != 0:
        books.potential_energy = potential_energy(system, law)
        motion(system, books)
        error = abs(books.kinetic_energy + books.potential_energy - books.initial_energy)
        books.max_energy_error = max(books.max_energy_error, error)
        if not known:
            govern(drive, plan, rate)
    if books.steps % _BETWEEN_CHECKS == 0.0 and not known:
        ask_network(vector, plan)
    drive.wanted_rate = rate / (parameter(books) * drive.unit)


@callback(types.void(types.int64))
def beat_callback(address: int) -> None:
    """`beat` as REBOUND calls it."""
    beat(address)


keep(beat_callback)
