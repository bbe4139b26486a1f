"""The table of an extrapolated step: its order by row, its increments, and the state that it leaves."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.engine.builders import energy, flat, law

from aitimestepper.engine.layout import LOW, SAVED, X
from aitimestepper.engine.physics.extrapolation import MOST_ROWS, SUBSTEPS, WORK, extend, room_for_table
from aitimestepper.engine.physics.integrators import GBS, Method
from aitimestepper.engine.physics.omega import PAIR_NORM, omega_of


def three_bodies():
    x, y, u, v = 0.97000436, -0.24308753, 0.466203685, 0.43236573
    return flat([1.0, 1.1, 0.9], np.array([[x, y], [-x, -y], [0, 0]]), np.array([[u, v], [u, v], [-2 * u, -2 * v]]))


def stepped(step: float, rows: int, system=None):
    """A step from a state, by so many rows."""
    system = three_bodies() if system is None else system
    n = 3
    system[SAVED * n : (SAVED + 16 - X) * n] = system[X * n : 16 * n]
    table, method = room_for_table(system), Method(GBS, SUBSTEPS, PAIR_NORM)
    table.omega[0] = omega_of(system, law(), PAIR_NORM)
    for k in range(1, rows + 1):
        extend(table, k, system, step, method, law())
    return system, table


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
def test_each_row_raises_the_order_by_two(rows):
    """The error of one step of row k is step^(2 k + 1), against 10 rows."""
    errors = []
    for step in (0.4, 0.2):
        best = stepped(step, 10)[1].best
        errors.append(np.abs(stepped(step, rows)[1].best - best).max())
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2 * rows + 1, abs=0.6)


def test_the_last_two_entries_differ_by_the_error_of_the_second():
    """So by step^(2 k - 1): an estimate that is larger than the error."""
    best = stepped(0.3, 10)[1].best
    table = stepped(0.3, 4)[1]
    error, estimate = np.abs(table.best - best).max(), np.abs(table.best - table.second).max()
    assert error < estimate
    assert np.abs(table.second - best).max() == pytest.approx(estimate, rel=0.3)


def test_the_state_is_the_start_and_its_increments_with_low_parts():
    start = three_bodies()
    start[(X + LOW) * 3] = 1e-17
    system, table = stepped(0.5, 6, start.copy())
    moved = (system[X * 3 : 7 * 3] - start[X * 3 : 7 * 3]) + (
        system[(X + LOW) * 3 : 16 * 3] - start[(X + LOW) * 3 : 16 * 3]
    )
    np.testing.assert_allclose(moved, table.best[:18], rtol=1e-15, atol=1e-17)
    assert (np.abs(system[(X + LOW) * 3 : 16 * 3]) <= 2.0**-53 * np.abs(system[X * 3 : 7 * 3])).all()


def test_energy_is_kept_by_many_rows_and_time_passes():
    start = three_bodies()
    system, table = stepped(0.5, 9, start.copy())
    assert energy(system, law()) == pytest.approx(energy(start, law()), rel=1e-12)
    assert table.best[-1] > 0.0


def test_the_work_of_a_table_is_that_of_all_its_rows():
    assert WORK[0] == 0.0
    assert WORK[4] == 1 + 2 + 3 + 4
    assert len(WORK) == MOST_ROWS + 1
