"""Where everything stands: the rows of a system, and the record of a run's scalars, its books.

A system is one flat array of ROWS x N numbers, a row for each quantity: loops run over neighbouring numbers, across the
three components at once, and a function takes one array instead of a dozen (for two bodies, passing arrays costs more
than their physics). Systems in one or two dimensions have zeros for the rest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import inlined, plain

MASS = 0
X, Y, Z = 1, 2, 3
VX, VY, VZ = 4, 5, 6
AX, AY, AZ = 7, 8, 9
X_LOW, Y_LOW, Z_LOW = 10, 11, 12
"""Low parts: a position is the sum of two numbers, the first of them the nearest float. Where two bodies are close to
each other and far from the origin, their distance has digits that the first numbers do not (Dekker 1971, Numer. Math.
18, 224; Pichat 1972, Numer. Math. 19, 400)."""
VX_LOW = 13
"""The same of velocities: three rows, like positions so far behind what they belong to."""
LOW = X_LOW - X
"""Rows from a position or velocity to its low part."""
GX, GY, GZ = 16, 17, 18
"""Gradient of Omega, up to a factor; scratch."""
REACH = 19
"""Largest (m_i + m_j) / r^3 of each body with those before it; scratch."""
NEAREST = 20
"""Square of the distance from each body to the nearest of those before it; scratch."""
HOST = 21
"""Number of the heavier body of each body's light pair, see `physics.light_pairs`, where the next row is not 0."""
LIGHT = 22
"""Weight of that pair in Omega; 0 for none."""
LAG = 23
"""Position errors of a run, added up, over the speed of each body about its host (`run.local_error`): a time."""
SAVED = 24
"""What a step starts from, the rows from X to before GX, before the step that is being made."""
EARLIER = SAVED + GX - X
"""Positions, velocities and accelerations of the state before this one, nine rows, for features of the change between
the two; zero where it is not known."""
ROWS = EARLIER + X_LOW - X

_FIELDS = (
    "time",
    "time_remainder",  # what the rounding of the time has swallowed (Kahan's sum)
    "last_dt",  # the last step in time
    "last_rate",  # one over the last step in the integrator's own variable; 0 where the recursion begins
    "omega",  # the auxiliary Omega of the time-transformed leapfrog
    "potential_energy",
    "kinetic_energy",
    "free_fall_rate_squared",  # the fastest of all pairs
    "initial_energy",
    "energy_scale",  # what energy errors are relative to
    "initial_momentum_x",
    "initial_momentum_y",
    "initial_momentum_z",
    "initial_angular_momentum_x",
    "initial_angular_momentum_y",
    "initial_angular_momentum_z",
    "max_energy_error",  # over all steps so far, absolute
    "max_momentum_error_squared",
    "max_angular_momentum_error_squared",
    "momentum_scale",  # what these two are relative to: largest sum m |v| ...
    "angular_momentum_scale",  # ... and sum m |x| |v| so far
    "steps",
    "force_evaluations",
    "rejected_steps",
    "start_time",
    "saved_omega",  # before the step that is being made, as the next three
    "saved_potential_energy",
    "saved_kinetic_energy",
    "saved_free_fall_rate_squared",
    "momentum_x",
    "momentum_y",
    "momentum_z",
    "angular_momentum_x",
    "angular_momentum_y",
    "angular_momentum_z",  # about the origin
    "absolute_momentum",  # sum m |v|
    "absolute_angular_momentum",  # sum m |x| |v|
    "samples",  # states that have been taken at times between steps
    # Of calibrated runs: a step is of fictitious time for `ttl`, else in units of the fly-by time scale.
    "network_step",  # the step that the network chose; 0 before it was asked
    "correction",  # the factor that the run's own errors put on it
    "least_wanted_step",  # the least that the network wanted since its last choice
    "longest_step",  # what no step may exceed
    "changed_at_step",  # number of the step at which the length of steps last changed
    "review_energy_error",  # largest since then, over what is allowed
    "review_phase",  # dynamical times since then
    "review_position_error",  # largest since then, over what is allowed
    "sampled_position_error",  # sum since the last whole dynamical time, over what is allowed
    "sampled_phase",  # the part of a dynamical time that it is over
    "max_position_error",  # local, for each dynamical time, over POSITION_SHARE
    "states_asked",  # states that the network was asked about
    "states_outside_training",  # those of them that are unlike what it was trained on
    "anchor_step",  # number of the step at which the run can be taken up again
    "setbacks",  # how often that was done, at this anchor
    "reviewed_before_step",  # one more than the number of the step of the last review
    "wanted_factor",  # by which steps are to become longer
    "last_setback_error",  # over what is allowed
    "vain_setbacks",  # setbacks at this anchor that left the error as it was
    "excused_error",  # an error that shorter steps did not cure, doubled: none up to it is taken back
    "tolerance_promised",  # for the whole run; 0 if nothing was asked of it
    "last_setback_time",
    # Of steps that were each promised to stay below an energy error.
    "step_error_promised",  # relative, as the next; 0 if nothing was asked of a single step
    "max_step_error",  # of one step so far
    "steps_above",  # steps with a larger error than promised
    "sampled_length",  # of calibrated runs: longest step that was sampled, over the time of the fastest pair
    "energy_at_change",  # of calibrated runs: where the length of steps last changed
    "hidden_rate_squared",  # of calibrated runs: the fastest of the pairs for which time is not transformed
    "omega_low",  # low part of the auxiliary Omega
    "saved_omega_low",  # before the step that is being made
    "deepest",  # of calibrated runs: largest sum of kinetic and potential energy, both positive, since the anchor
    "review_deepest",  # the same since the length of steps last changed
    "usual_size",  # of calibrated runs: mean of one over the potential energy at the last looks
    "longest_length",  # of calibrated runs: longest step over the time of the fastest pair that Omega does not show
    "democratic",  # of calibrated runs: 1 after three bodies were seen about equally near to each other
    "run_position_error",  # of calibrated runs: what the lags make of positions now, over the distances of pairs
    "max_energy_error_time",  # when the energy error was largest
    "frame_dt_min",  # since the last state that was kept: the shortest step, 0 before there is one ...
    "frame_dt_max",  # ... the longest ...
    "frame_energy_error",  # ... and the largest energy error, absolute
    "began_at_step",  # number of the step at which two bodies last became one; 0 before that
    "first_energy",  # of the initial state: after a merger the errors count from another one
    "mergers",  # how many so far
    "merger_energy",  # what they have taken together
    "macro_step",  # of `gbs`: the next step, of fictitious time; 0 before the first is chosen
    "macro_rows",  # of `gbs`: rows of the table of the next step
    "macro_began_at_step",  # number of the step behind which all are of `gbs`
    "macro_began_at_time",  # and its time
)
"""Names of a run's scalars. Their order is part of the format of recordings and archives, see `LAYOUT`."""


def record(fields: Sequence[tuple[Any, ...]]) -> np.dtype[Any]:
    """The kind of a record whose fields lie one behind the other: name, kind and, perhaps, shape of each."""
    return np.dtype((np.record, np.dtype(list(fields), align=True)))


BOOKS = record([(name, np.float64) for name in _FIELDS])
"""A run's scalars as a record: fields by name in compiled code too, where a misspelt one is an error.

A record is an address: compiled code takes it from an array that it was given, never from one of its own making,
which would be freed while the record is in use.
"""

N_BOOKS = BOOKS.itemsize // 8
"""Length of the record as a vector of floats."""

Books = Any
"""The record, for the type checker."""

_ROWS = {
    "mass": MASS, "x": X, "vx": VX, "ax": AX, "low": X_LOW, "gx": GX, "reach": REACH, "host": HOST, "light": LIGHT,
    "lag": LAG, "saved": SAVED, "earlier": EARLIER,
}  # fmt: skip


def digest_of(fields: tuple[str, ...], rows: dict[str, int]) -> str:
    """SHA-256 of the names of a run's scalars in their order, and of the rows of a system."""
    return hashlib.sha256(repr((fields, rows, ROWS)).encode()).hexdigest()


LAYOUT = digest_of(_FIELDS, _ROWS)
"""Digest of what the numbers of a state mean: it is kept beside a stored one."""


@plain
def books_in(vector: Floats) -> Books:
    """The record at the beginning of a vector, not a copy."""
    return vector[:N_BOOKS].view(BOOKS)[0]


@inlined
def n_bodies(system: Floats) -> int:
    """N of a flat system."""
    return system.shape[0] // ROWS


@inlined
def row_of(system: Floats, row: int) -> Floats:
    """One row, (N,)."""
    n = system.shape[0] // ROWS
    return system[row * n : (row + 1) * n]


@inlined
def n_attracting(system: Floats) -> int:
    """Number of bodies up to the last one that has mass: behind it no two attract each other."""
    n = system.shape[0] // ROWS
    while n > 0 and system[MASS * (system.shape[0] // ROWS) + n - 1] == 0.0:
        n -= 1
    return n


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
