"""Gragg-Bulirsch-Stoer extrapolation of the time-transformed leapfrog: one long step from many short ones.

The step is made with 1, 2, 3, ... equal steps of the leapfrog, which returns the same way: what it is off by is a
series in the square of their length, and a polynomial in that square through the results tells what steps of no length
would give. Each further row of the table raises the order by two, and the difference of its last two entries is an
estimate of the error.

Increments are extrapolated, not positions: what a body moves by in a step has digits that its position does not.

Source: Hairer, Norsett & Wanner, Solving Ordinary Differential Equations I (1993), section II.9; of the
time-transformed leapfrog Mikkola & Tanikawa 1999, MNRAS 310, 745.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled, compiled_fused, lost, plus
from aitimestepper.engine.layout import AX, LOW, SAVED, X, n_bodies
from aitimestepper.engine.physics.integrators import TTL, Method, ttl_step
from aitimestepper.engine.physics.law import Law

MOST_ROWS = 14
"""Of a table: order 28. More are never chosen, since roundings grow with each."""

SUBSTEPS = np.arange(1.0, MOST_ROWS + 1.0)
"""Steps of the leapfrog in each row: the harmonic sequence (Deuflhard 1983, Numer. Math. 41, 399). The even numbers
take 1.2 x the evaluations on 60 scattering systems, 1, 2, 3, 4, 6, 8, 12, ... 1.06 x; errors are as large."""

WORK = np.concatenate([[0.0], np.cumsum(SUBSTEPS)])
"""Force evaluations of a table with so many rows."""


class Table(NamedTuple):
    """Room for the last row of a table, its entries increments of positions and velocities, and the time that passed.

    Attributes:
        row: (MOST_ROWS + 1, 6 N + 1), the entries from the first on; entry 0 is not used.
        best: (6 N + 1,), the last entry.
        second: (6 N + 1,), the one before it.
        omega: (1,), Omega of the state that the step starts from.
    """

    row: Floats
    best: Floats
    second: Floats
    omega: Floats


@compiled
def room_for_table(system: Floats) -> Table:
    """An empty table for the bodies of a system."""
    width = 6 * n_bodies(system) + 1
    return Table(np.zeros((MOST_ROWS + 1, width)), np.zeros(width), np.zeros(width), np.zeros(1))


@compiled
def extend(table: Table, k: int, system: Floats, step: float, method: Method, law: Law) -> None:
    """Make row k of a table, and put its best entry in place of the state.

    Args:
        table: with the rows before; its Omega is that of the saved state.
        k: from 1 on.
        system: its saved rows are the state that the step starts from; takes the state that is reached.
        step: of fictitious time.
        method: whose stages are the numbers of substeps.
        law: what moves the bodies.
    """
    n = n_bodies(system)
    system[X * n : AX * n] = system[SAVED * n : (SAVED + AX - X) * n]
    system[(X + LOW) * n : (AX + LOW) * n] = system[(SAVED + LOW) * n : (SAVED + LOW + AX - X) * n]
    substeps = method.stages[k - 1]
    equal = Method(TTL, np.full(int(substeps), 1.0 / substeps), method.weights)
    _, _, elapsed = ttl_step(system, table.omega[0], 0.0, step, equal, law)
    _take_increments(table.best, system)
    table.best[6 * n] = elapsed
    _extrapolate(table, k, method.stages)
    put_best(system, table.best)


@compiled_fused
def _take_increments(into: Floats, system: Floats) -> None:
    """What positions and velocities have become more than those saved, from both of their parts."""
    n = n_bodies(system)
    for k in range(6 * n):
        high = system[X * n + k] - system[SAVED * n + k]
        into[k] = high + (system[(X + LOW) * n + k] - system[(SAVED + LOW) * n + k])


@compiled
def _extrapolate(table: Table, k: int, substeps: Floats) -> None:
    """The entries of row k from its first, which is in `best`, and the row before (Aitken and Neville)."""
    row, best, second = table.row, table.best, table.second
    for j in range(1, k):
        denominator = (substeps[k - 1] / substeps[k - 1 - j]) ** 2 - 1.0
        for q in range(best.shape[0]):
            second[q] = best[q]
            best[q] += (best[q] - row[j, q]) / denominator
            row[j, q] = second[q]
    row[k] = best


@compiled
def put_best(system: Floats, increments: Floats) -> None:
    """The state that is so far from the saved one, with low parts."""
    n = n_bodies(system)
    for k in range(6 * n):
        before = system[SAVED * n + k]
        change = increments[k] + system[(SAVED + LOW) * n + k]
        after = plus(before, change)
        system[X * n + k], system[(X + LOW) * n + k] = after, lost(before, change, after)
