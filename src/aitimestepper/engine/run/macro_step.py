"""One step of `gbs`: its length and its order follow from its own errors, and it is refused where they are too large.

Two errors are held against what is allowed. The energy of the state reached is compared with that before the step: what
a step may add is a part of what the tolerance has left, so that a run of any length stays within it; a step that brings
the energy back towards its start may change it more. The positions are judged by the last two entries of the table, for
each dynamical time, as those of other calibrated runs are by two halves of a step (`local_error`).

Length and order are chosen by the least work for each unit of length (Hairer, Norsett & Wanner, Solving Ordinary
Differential Equations I (1993), section II.9). The constants were chosen on 60 scattering systems that no figure in the
documentation is made of (benchmarks/promise, class `scattering`, seed 778).
"""

from __future__ import annotations

import math

from aitimestepper.engine.compilation import compiled
from aitimestepper.engine.layout import Books
from aitimestepper.engine.physics.criteria import fly_by_rate
from aitimestepper.engine.physics.extrapolation import MOST_ROWS, WORK, extend
from aitimestepper.engine.physics.light_pairs import weigh
from aitimestepper.engine.physics.omega import PAIR_NORM, omega_of
from aitimestepper.engine.run.governor import POSITION_SHARE
from aitimestepper.engine.run.macro_errors import Workshop, enter_position_error, judge_row
from aitimestepper.engine.run.plan import Plan
from aitimestepper.engine.run.state import Run
from aitimestepper.engine.run.step import GUARDED, NOT_FINITE, RUNNING, restore, save

_FIRST_ROWS, _FIRST_LENGTH = 6, 0.3
"""Rows of the first table, and its length over the fly-by time scale."""

_MOST_REFUSED = 0.7
"""Factor of a step that was refused, at most. Chosen."""

_CHEAPER, _DEARER = 0.8, 0.9
"""Parts of the work at which a table with fewer or with more rows is taken, as Hairer, Norsett & Wanner have it."""

LEAST_ROWS = 3
"""Of a table that is aimed at. With two the error of the first entries says little."""

_MOST_TRIES, _GIVEN_UP = 60, 12
"""Attempts at one state; from the second number on an energy error is accepted that shorter steps have not cured."""


@compiled
def begin(run: Run, plan: Plan) -> None:
    """Choose the first step of a run."""
    books = run.books[0]
    weigh_pairs(run, plan, True)
    fastest = fly_by_rate(run.system, plan.law)
    books.macro_step = _FIRST_LENGTH * books.omega / math.sqrt(fastest)
    books.macro_rows = _FIRST_ROWS
    books.macro_began_at_step, books.macro_began_at_time = books.steps, books.time


@compiled
def weigh_pairs(run: Run, plan: Plan, *, first: bool) -> None:
    """Look for light pairs, where Omega has them, and take Omega anew."""
    if plan.method.weights == PAIR_NORM:
        weigh(run.system, plan.law, first)
    run.books[0].omega = omega_of(run.system, plan.law, plan.method.weights)


@compiled
def macro_step(run: Run, plan: Plan, room: Workshop) -> tuple[int, float]:
    """One accepted step of the length in the books, or a shorter one; the time itself is not advanced.

    Args:
        run: takes the state reached, its energies, and the next step.
        plan: of `gbs`.
        room: scratch.

    Returns:
        RUNNING and the time that passed, or a status that says why there is no step; the run is then as it was.
    """
    system, books = run.system, run.books[0]
    save(system, books)
    energy, kinetic = books.kinetic_energy + books.potential_energy, books.kinetic_energy
    room.table.omega[0] = books.omega
    refused = False
    for attempt in range(_MOST_TRIES):
        target = int(books.macro_rows)
        rows = _tried(run, plan, room, energy, kinetic, attempt >= _GIVEN_UP)
        if rows > 0:
            elapsed = room.table.best[room.table.best.shape[0] - 1]
            enter_position_error(run, plan, room, rows, elapsed)
            _plan_next(books, room, rows, target, refused)
            books.omega = omega_of(system, plan.law, plan.method.weights)
            return RUNNING, elapsed
        refused = True
        books.rejected_steps += 1.0
        _plan_again(books, room, target, -rows)
        restore(system, books)
        if not abs(books.macro_step) > 0.0:
            return NOT_FINITE, 0.0
    return GUARDED, 0.0


@compiled
def _tried(run: Run, plan: Plan, room: Workshop, energy: float, kinetic: float, given_up: bool) -> int:
    """Make rows of a table until one is good enough.

    Returns:
        The row that is; minus the last row that was made where none is.
    """
    books = run.books[0]
    target, first = int(books.macro_rows), books.steps == 0.0
    room.work[:] = math.inf
    last = min(target + 1, MOST_ROWS)
    for k in range(1, last + 1):
        extend(room.table, k, run.system, books.macro_step, plan.method, plan.law)
        books.force_evaluations += plan.method.stages[k - 1]
        # What follows from the rows before is asked of the last but two.
        if k < max(2, target - 2) and not (first and k > 1):
            continue
        judge_row(run, plan, room, k, energy, kinetic)
        error = room.error[k]
        if k < target - 1 and not first:
            continue
        if error <= 1.0 or (given_up and k >= target and room.position[k] < POSITION_SHARE * plan.control.tolerance):
            return k
        if not first and _is_hopeless(error, k, target):
            return -k
    return -last


@compiled
def _is_hopeless(error: float, k: int, target: int) -> bool:
    """Whether the rows up to one behind the target cannot bring an error below what is allowed."""
    if k == target - 1:
        return target < MOST_ROWS and error > float((target + 1) * target) ** 2
    return k == target and error > float(target + 1) ** 2


@compiled
def _plan_next(books: Books, room: Workshop, rows: int, target: int, refused: bool) -> None:
    """Length and rows of the step after one that was accepted in a row."""
    work, change = room.work, room.change
    if rows == 2:
        wanted = 2 if refused else LEAST_ROWS
    elif rows <= target:
        wanted = rows
        if work[rows - 1] < _CHEAPER * work[rows]:
            wanted = rows - 1
        if work[rows] < _DEARER * work[rows - 1]:
            wanted = min(rows + 1, MOST_ROWS - 1)
    else:
        wanted = rows - 1
        if rows > 3 and work[rows - 2] < _CHEAPER * work[rows - 1]:
            wanted = rows - 2
        if work[rows] < _DEARER * work[wanted]:
            wanted = min(rows, MOST_ROWS - 1)
    if refused:
        wanted = min(wanted, rows)
        if work[wanted] < math.inf:
            books.macro_step *= min(change[wanted], 1.0)
    elif wanted <= rows:
        books.macro_step *= change[wanted]
    elif rows < target and work[rows] < _DEARER * work[rows - 1]:
        books.macro_step *= change[rows] * WORK[wanted + 1] / WORK[rows]
    else:
        books.macro_step *= change[rows] * WORK[wanted] / WORK[rows]
    books.macro_rows = max(wanted, LEAST_ROWS)


@compiled
def _plan_again(books: Books, room: Workshop, target: int, rows: int) -> None:
    """Length and rows of the next attempt, after one that was refused in a row."""
    wanted = min(target, rows)
    if wanted > 2 and room.work[wanted - 1] < _DEARER * room.work[wanted]:
        wanted -= 1
    wanted = max(wanted, 2)
    books.macro_step *= min(room.change[wanted], _MOST_REFUSED)
    books.macro_rows = max(wanted, LEAST_ROWS)
