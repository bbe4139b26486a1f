"""What a step of `gbs` is judged by, row by row of its table: both of its errors, over what is allowed."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled
from aitimestepper.engine.layout import LAG, MASS, VX, n_bodies, row_of
from aitimestepper.engine.physics.conserved import motion
from aitimestepper.engine.physics.extrapolation import MOST_ROWS, WORK, Table, room_for_table
from aitimestepper.engine.physics.gravity import potential_energy
from aitimestepper.engine.physics.law import Law
from aitimestepper.engine.run.governor import EPSILON, POSITION_SHARE, ROUNDINGS
from aitimestepper.engine.run.local_error import closest, host_of, is_democratic
from aitimestepper.engine.run.plan import Plan
from aitimestepper.engine.run.sampling import enter
from aitimestepper.engine.run.state import Run

_ENERGY_SHARE = 0.03
"""Of what is left of the tolerance, that one step may add to the energy error. With 0.01 evaluations x 1.03, with 0.1
5 % of the runs at 1e-6 end above their tolerance."""

_KEPT_BACK, _LEAST_LEFT = 0.1, 1e-3
"""Part of the tolerance that is never given to steps, and what one beyond it gets."""

_POSITION_PART = 0.1
"""Of the local position error that is allowed, what a step aims at. With 1 and 0.01 evaluations x 1.0."""

_LEAST_PHASE = 0.5
"""Dynamical times that a step counts for at least when its position error is held against them."""

_SAFETY, _AIM = 0.94, 0.65
_LEAST_CHANGE, _MOST_CHANGE = 0.1, 4.0
"""Of the control, as Hairer, Norsett & Wanner have it, but for the bounds of a change. Lengthening by 10 at most takes
as many evaluations."""


class Workshop(NamedTuple):
    """Room for steps of `gbs`.

    Attributes:
        table: of the extrapolation.
        change: (MOST_ROWS + 1,), the factor to the longest step that each row would allow.
        work: (MOST_ROWS + 1,), its force evaluations over that; infinite where it is not known.
        error: (MOST_ROWS + 1,), the larger of the two errors over what is allowed.
        position: (MOST_ROWS + 1,), the local position error.
    """

    table: Table
    change: Floats
    work: Floats
    error: Floats
    position: Floats


@compiled
def workshop(system: Floats) -> Workshop:
    """Room for steps of the bodies of a system."""
    size = MOST_ROWS + 1
    return Workshop(room_for_table(system), np.zeros(size), np.zeros(size), np.zeros(size), np.zeros(size))


@compiled
def judge_row(run: Run, plan: Plan, room: Workshop, k: int, energy: float, kinetic: float) -> None:
    """Both errors of row k over what is allowed, and the step and the work that they would allow."""
    system, books, tolerance = run.system, run.books[0], plan.control.tolerance
    motion(system, books)
    books.potential_energy = potential_energy(system, plan.law)
    reached = books.kinetic_energy + books.potential_energy
    position = _position_error(system, room.table, plan.law)
    room.position[k] = position
    roundings = (
        ROUNDINGS * EPSILON * (max(books.kinetic_energy, kinetic) - min(books.potential_energy, energy - kinetic))
    )
    left = 1.0
    if abs(reached - books.initial_energy) > abs(energy - books.initial_energy):
        there = abs(energy - books.initial_energy) / (books.energy_scale * tolerance)
        left = max(1.0 - _KEPT_BACK - there, _LEAST_LEFT)
    of_energy = abs(reached - energy) / max(_ENERGY_SHARE * left * tolerance * books.energy_scale, roundings)
    of_position = position / (_POSITION_PART * POSITION_SHARE * tolerance)
    if not (of_energy < math.inf and of_position < math.inf and room.table.best[-1] * books.macro_step > 0.0):
        room.error[k], room.change[k] = math.inf, _LEAST_CHANGE
    else:
        room.error[k] = max(of_energy, of_position)
        by_position = (_AIM / max(of_position, 1e-30)) ** (1.0 / (2.0 * k - 1.0))
        by_energy = (_AIM / max(of_energy, 1e-30)) ** (1.0 / (2.0 * k + 1.0))
        change = _SAFETY * min(by_position, by_energy)
        room.change[k] = min(max(change, _LEAST_CHANGE), _MOST_CHANGE)
    room.work[k] = WORK[k] / room.change[k]


@compiled
def _position_error(system: Floats, table: Table, law: Law) -> float:
    """What the last two entries of a table differ by in positions, at equal times, for each dynamical time.

    Each body is measured by the pair in which it would fall fastest, as in `local_error`; the largest counts.
    """
    n = n_bodies(system)
    best, second = table.best, table.second
    ahead, elapsed, worst = best[6 * n] - second[6 * n], best[6 * n], 0.0
    for i in range(n):
        rate, distance = closest(system, i, law)
        squared = 0.0
        for k in range(3):
            off = (best[k * n + i] - second[k * n + i]) - system[(VX + k) * n + i] * ahead
            squared += off * off
        phase = math.sqrt(law.G * rate) * abs(elapsed)
        error = math.sqrt(squared) / (distance * max(phase, _LEAST_PHASE))
        worst = worst if error <= worst else error  # also where it is no number
    return worst


@compiled
def enter_position_error(run: Run, plan: Plan, room: Workshop, rows: int, elapsed: float) -> None:
    """Enter the position error of the step that was accepted into the books, and what it makes bodies late by."""
    system, books, law = run.system, run.books[0], plan.law
    fastest = 0.0
    for i in range(n_bodies(system)):
        fastest = max(fastest, closest(system, i, law)[0])
    error = room.position[rows] / (POSITION_SHARE * plan.control.tolerance)
    enter(books, plan.control, error, math.sqrt(law.G * fastest) * abs(elapsed))
    if books.democratic == 0.0 and is_democratic(system, law):
        books.democratic = 1.0
    if books.democratic == 0.0:
        # The estimate is the error of the entry before: the best one's is smaller by about the same factor once more.
        smaller = 1.0
        if rows > 2 and room.position[rows - 1] > 0.0:
            smaller = min(room.position[rows] / room.position[rows - 1], 1.0)
        # A period is |E|^(-3/2): an energy that is off makes all that follows late.
        off = abs(books.kinetic_energy + books.potential_energy - books.initial_energy) / books.energy_scale
        _add_lags(system, room.table, smaller, 1.5 * off * abs(elapsed), law)


@compiled
def _add_lags(system: Floats, table: Table, smaller: float, late: float, law: Law) -> None:
    """Add what each body may be late by about its host, a time, as `local_error.run_position_error` wants it.

    Args:
        system: the state reached.
        table: of the step.
        smaller: the error of the best entry over that of the one before it.
        late: the time by which all bodies are late because of the energy.
        law: softening and G.
    """
    n = n_bodies(system)
    best, second, lag = table.best, table.second, row_of(system, LAG)
    ahead = best[6 * n] - second[6 * n]
    for i in range(n):
        host = host_of(system, i, law)[1]
        if host == i or system[MASS * n + host] == 0.0:
            continue
        off = speed = 0.0
        for k in range(3):
            v = system[(VX + k) * n + i] - system[(VX + k) * n + host]
            x = (best[k * n + i] - best[k * n + host]) - (second[k * n + i] - second[k * n + host])
            off += (x - v * ahead) ** 2
            speed += v * v
        if speed > 0.0:
            lag[i] += smaller * math.sqrt(off / speed) + late
