"""Where everything stands: the rows of a system and the entries of its books.

A system is one flat array of ROWS x N numbers, a row for each quantity: loops run over neighbouring numbers, across the
three components at once, and a function takes one array instead of a dozen (for two bodies, passing arrays costs more
than their physics). Systems in one or two dimensions have zeros for the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import inlined

MASS = 0
X, Y, Z = 1, 2, 3
VX, VY, VZ = 4, 5, 6
AX, AY, AZ = 7, 8, 9
GX, GY, GZ = 10, 11, 12
"""Gradient of Omega, up to a factor; scratch."""
REACH = 13
"""Largest (m_i + m_j) / r^3 of each body with those before it; scratch."""
SAVED = 14
"""Positions, velocities and accelerations before the step that is being made: nine rows."""
EARLIER = 23
"""The same of the state before this one, for features of the change between the two; zero where it is not known."""
ROWS = 32

TIME, TIME_REST, LAST_DT, LAST_RATE, OMEGA = 0, 1, 2, 3, 4
"""Time, what its rounding has swallowed, the last step in time, one over the last step, and the auxiliary Omega."""
POTENTIAL, KINETIC, FREE_FALL = 5, 6, 7
"""Energies of the state and the square of its fastest free-fall rate."""
ENERGY_0, ENERGY_SCALE = 8, 9
MOMENTUM_0 = 10
"""Three entries."""
SPIN_0 = 13
"""Angular momentum at the start: three entries."""
ERROR_MAX, DRIFT_MAX, SPIN_MAX, SPEED_SCALE, SPIN_SCALE = 16, 17, 18, 19, 20
"""Largest errors so far (of energy; of momentum and angular momentum squared), and what the latter are relative to."""
STEPS, EVALUATIONS, REJECTED = 21, 22, 23
START_TIME = 24
SAVED_ENTRIES = 25
"""OMEGA, POTENTIAL, KINETIC and FREE_FALL before the step that is being made: four entries."""
MOMENTUM, SPIN, SPEEDS, LEVERS = 29, 32, 35, 36
"""Of the state: momentum and angular momentum, three entries each, sum m |v| and sum m |x| |v|."""
SAMPLES = 37
"""States that have been taken at times between steps."""
BASE, CORRECTION, LEAST_WANTED, LONGEST = 38, 39, 40, 41
"""Of a calibrated run: the step that the network chose, the factor that the run's own errors put on it, the least that
was wanted since the last choice, and the step that none may exceed."""
CHANGED_AT, REVIEW_ERROR, REVIEW_PHASE, REVIEW_RATE = 42, 43, 44, 45
"""Step of the last change; since then: largest energy error, dynamical times, largest local position error."""
SAMPLED, SAMPLED_PHASE, POSITION_MAX = 46, 47, 48
"""Local position errors since the last whole dynamical time, over how much of one, and their largest."""
CHECKS, OUTSIDE = 49, 50
"""States that the network was asked about, and those of them that are unlike what it was trained on."""
ANCHOR_STEP, SETBACKS, LOOKED_AT = 51, 52, 53
"""Step at which the run can be taken up again, how often that was done, and one more than the step of the last look."""
WISH, LAST_WORST, FUTILE = 54, 55, 56
"""Factor by which steps are to become longer; error of the last setback; setbacks at this anchor that did not help."""
PARDON = 57
"""Error that shorter steps did not cure, doubled: up to there none is taken back until it has passed."""
ASKED = 58
"""The tolerance of the run; 0 if nothing was asked of it."""
FAILED_AT = 59
"""Time of the last setback."""
BOOKS = 60


@inlined
def n_bodies(system: Floats) -> int:
    """N of a flat system."""
    return system.shape[0] // ROWS


@inlined
def row_of(system: Floats, row: int) -> Floats:
    """One row, (N,)."""
    n = system.shape[0] // ROWS
    return system[row * n : (row + 1) * n]


def rows_of(vectors: Any) -> Floats:
    """(N, D) as (3, N), with zeros for missing dimensions."""
    vectors = np.asarray(vectors, dtype=np.float64)
    rows = np.zeros((3, len(vectors)))
    rows[: vectors.shape[1]] = vectors.T
    return rows


def vectors_of(rows: Floats, n_dims: int) -> Floats:
    """(..., 3, N) as (..., N, D)."""
    return np.ascontiguousarray(np.moveaxis(rows[..., :n_dims, :], -2, -1))


def flat_system(mass: Any, position: Any, velocity: Any) -> Floats:
    """Bodies as a flat system, the other rows zero.

    Args:
        mass: (N,).
        position, velocity: (N, D).
    """
    rows = np.zeros((ROWS, len(mass)))
    rows[MASS] = mass
    rows[X : X + 3] = rows_of(position)
    rows[VX : VX + 3] = rows_of(velocity)
    return rows.reshape(-1)
