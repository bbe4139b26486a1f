"""What a run is and how it is to be integrated: a few arrays, and a plan."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled, plain
from aitimestepper.engine.features.summary import DELTA_MAG, WIDTHS, Sight, fill_features
from aitimestepper.engine.layout import BOOKS, GX, LAYOUT, MASS, N_BOOKS, flat_system, n_bodies, row_of
from aitimestepper.engine.physics.conserved import motion
from aitimestepper.engine.physics.criteria import CALIBRATED
from aitimestepper.engine.physics.gravity import forces
from aitimestepper.engine.physics.integrators import TTL
from aitimestepper.engine.physics.omega import omega_of
from aitimestepper.engine.run.plan import Plan
from aitimestepper.errors import InputError


class Run(NamedTuple):
    """Where a run stands.

    Attributes:
        system: (ROWS x N,), see `layout`.
        books: (1,), the record of the run's scalars, see `layout`.
        past: (K, width) features of the states before, oldest first; those of zero states where they are not known.
        anchor: (N_BOOKS + ROWS x N,) books and system to which a calibrated run can go back; (0,) of other runs.
    """

    system: Floats
    books: NDArray[Any]
    past: Floats
    anchor: Floats


class Stops(NamedTuple):
    """What ends a run before its end.

    Attributes:
        distance: from the centre of mass, beyond which a body that is unbound ends it; infinite for none.
        approach: distance of two bodies below which they end it; 0 for none.
        radii: (N,), of bodies, two of which end it where they touch; (0,) for none.
        found: (1,), takes the time at which one of these was found.
    """

    distance: float
    approach: float
    radii: Floats
    found: Floats


@plain
def no_stops() -> Stops:
    """Nothing ends the run before its end."""
    return Stops(math.inf, 0.0, np.zeros(0), np.zeros(1))


class Limits(NamedTuple):
    """Where a call of `advance` stops.

    Attributes:
        target: a time that no step may reach or pass; infinite for none.
        last_step: number of steps since the start of the run; infinite for none.
        budget: steps of this call.
        stops: what else ends the run.
    """

    target: float
    last_step: float
    budget: int
    stops: Stops = no_stops()


class Events(NamedTuple):
    """Where events of a calibrated run go, see `events`.

    Attributes:
        rows: (E, `events.COLUMNS`); no rows for none.
        counts: (2,), the rows filled, and those of them up to the last anchor.
    """

    rows: Floats
    counts: NDArray[np.int64]


class Frames(NamedTuple):
    """Where frames go, and which states become frames.

    Attributes:
        books: (F, N_BOOKS), the books of the run at each frame.
        rows: (F, 6 N), positions and velocities: all x, all y, ...
        history: (H, 3), time, step and energy of every step; no rows for none.
        every: a frame after this many steps; 0 for none by steps.
        interval: a frame at the first state after each whole multiple of this time; infinite for none by time.
        events: of a calibrated run.
    """

    books: Floats
    rows: Floats
    history: Floats
    every: int
    interval: float
    events: Events


@compiled
def start(run: Run, plan: Plan) -> None:
    """Open the books of a run: energies, the first force, a history of zero states. Its time must be set."""
    system, books = run.system, run.books[0]
    time = books.time
    run.books.view(np.float64)[:] = 0.0
    books.time = books.start_time = time
    books.potential_energy, books.free_fall_rate_squared = forces(system, plan.law)
    books.force_evaluations = 1.0
    motion(system, books)
    books.initial_energy = books.first_energy = books.kinetic_energy + books.potential_energy
    books.energy_scale = 1.0
    if plan.method.kind == TTL:
        books.omega = omega_of(system, plan.law, plan.method.weights)
    books.initial_momentum_x, books.initial_angular_momentum_x = books.momentum_x, books.angular_momentum_x
    books.initial_momentum_y, books.initial_angular_momentum_y = books.momentum_y, books.angular_momentum_y
    books.initial_momentum_z, books.initial_angular_momentum_z = books.momentum_z, books.angular_momentum_z
    books.momentum_scale, books.angular_momentum_scale = books.absolute_momentum, books.absolute_angular_momentum
    nothing = np.zeros_like(system)
    nothing[: n_bodies(system)] = row_of(system, MASS)
    for row in range(run.past.shape[0]):
        fill_features(run.past[row], nothing, 0.0, 0.0, plan.law, plan.learner.sight)


def opened(mass: Floats, position: Floats, velocity: Floats, time: float, plan: Plan) -> Run:
    """A run at its start: the first force has been evaluated, the energy scale is not set yet.

    Args:
        mass: (N,).
        position, velocity: (N, D).
        time: at the start.
        plan: how the run is to be integrated.
    """
    run = blank_run(flat_system(mass, position, velocity), plan)
    books = run.books
    books[0].time = time
    start(run, plan)
    if plan.control.promises:
        books[0].tolerance_promised = plan.control.tolerance
    books[0].step_error_promised = plan.rule.promise
    return run


def blank_run(system: Floats, plan: Plan) -> Run:
    """A run of a system (ROWS x N,) whose books are empty."""
    sight = plan.learner.sight
    past = np.zeros((past_rows(sight), WIDTHS[sight.kind]))
    calibrated = plan.rule.criterion == CALIBRATED
    return Run(system, np.zeros(1, BOOKS), past, np.zeros(N_BOOKS + len(system) if calibrated else 0))


def past_rows(sight: Sight) -> int:
    """Feature rows of the past that a network sees: states, or the intervals between them."""
    return max(sight.history - 1, 0) if sight.kind == DELTA_MAG else sight.history


def copy_of(run: Run) -> Run:
    """An independent run that would go on in the same way."""
    return Run(*(array.copy() for array in run))


def packed(run: Run) -> Floats:
    """All that a run is, as one vector."""
    return np.concatenate([array.reshape(-1).view(np.float64) for array in run])


def unpack(vector: Floats, layout: str, run: Run) -> None:
    """Set a run of the same shapes to what `packed` gave.

    Args:
        vector: (M,), all that the run was.
        layout: digest of what its numbers mean; empty where it was written before there was one.
        run: is changed.

    Raises:
        InputError: the numbers mean something else than in this version, or are damaged.
    """
    if layout not in ("", LAYOUT) or len(vector) != len(packed(run)):
        raise InputError(
            "its state has the layout of another version of aitimestepper: go on with the one that wrote it"
        )
    position, n = 0, n_bodies(run.system)
    mass = run.system[:n].copy()
    for array in run:
        numbers = array.reshape(-1).view(np.float64)
        numbers[:] = vector[position : position + numbers.size]
        position += numbers.size
    books, moving, anchored = run.books[0], run.system[: GX * n], run.anchor[N_BOOKS : N_BOOKS + GX * n]
    scalars = [books.time, books.potential_energy, books.kinetic_energy, books.initial_energy, books.steps]
    finite = all(np.isfinite(numbers).all() for numbers in (moving, anchored, scalars))
    if not finite or not np.array_equal(mass, moving[:n]) or not books.energy_scale > 0.0:
        raise InputError("its state is damaged: masses or energies are not those of a run, or a number is not finite")
