"""What a run is and how it is to be integrated: a few arrays, and a plan."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled
from aitimestepper.engine.features.summary import BASIC, DELTA_MAG, WIDTHS, Sight, fill_features
from aitimestepper.engine.layout import (
    ASKED,
    BOOKS,
    ENERGY_0,
    ENERGY_SCALE,
    EVALUATIONS,
    FREE_FALL,
    KINETIC,
    LEVERS,
    MASS,
    MOMENTUM,
    MOMENTUM_0,
    OMEGA,
    POTENTIAL,
    SPEED_SCALE,
    SPEEDS,
    SPIN,
    SPIN_0,
    SPIN_SCALE,
    START_TIME,
    TIME,
    flat_system,
    n_bodies,
    row_of,
)
from aitimestepper.engine.networks import TANH, Network
from aitimestepper.engine.physics.conserved import motion
from aitimestepper.engine.physics.criteria import CALIBRATED, Rule
from aitimestepper.engine.physics.gravity import Law, forces
from aitimestepper.engine.physics.integrators import TTL, Method
from aitimestepper.engine.physics.omega import omega_of
from aitimestepper.engine.run.governor import Control
from aitimestepper.engine.run.step import Learner


class Run(NamedTuple):
    """Where a run stands.

    Attributes:
        system: (ROWS x N,), see `layout`.
        books: (BOOKS,), see `layout`.
        past: (K, width) features of the states before, oldest first; those of zero states where they are not known.
        anchor: (BOOKS + ROWS x N,) books and system to which a calibrated run can go back; (0,) of other runs.
    """

    system: Floats
    books: Floats
    past: Floats
    anchor: Floats


class Plan(NamedTuple):
    """How a run is to be integrated: integrator, law of motion, choice of the step, and its network if it has one."""

    method: Method
    law: Law
    rule: Rule
    learner: Learner
    control: Control


def plan_of(
    method: Method, law: Law, rule: Rule, *, learner: Learner | None = None, control: Control | None = None
) -> Plan:
    """A plan, whose network is empty where none chooses the step: compiled code takes plans of one kind only."""
    empty = Network(np.zeros(2, np.int64), np.zeros(0), TANH)
    nothing = np.zeros(0)
    return Plan(
        method,
        law,
        rule,
        learner or Learner(Sight(BASIC, 0, 3, 1.0, 1.0, 1.0, 1.0), empty, False, 1.0),
        control or Control(empty, nothing, nothing, 1.0, 1.0, 2.0, 1.0, False, False, 0.0),
    )


class Limits(NamedTuple):
    """Where a call of `advance` stops.

    Attributes:
        target: a time that no step may reach or pass; infinite for none.
        last_step: number of steps since the start of the run; infinite for none.
        budget: steps of this call.
    """

    target: float
    last_step: float
    budget: int


class Frames(NamedTuple):
    """Where frames go, and which states become frames.

    Attributes:
        scalars: (F, 3), time, step and energy of each frame.
        rows: (F, 6 N), positions and velocities: all x, all y, ...
        history: (H, 3), time, step and energy of every step; no rows for none.
        every: a frame after this many steps; 0 for none by steps.
        interval: a frame at the first state after each whole multiple of this time; infinite for none by time.
    """

    scalars: Floats
    rows: Floats
    history: Floats
    every: int
    interval: float


@compiled
def start(run: Run, plan: Plan) -> None:
    """Open the books of a run: energies, the first force, a history of zero states. TIME must be set."""
    system, books = run.system, run.books
    time = books[TIME]
    books[:] = 0.0
    books[TIME] = books[START_TIME] = time
    books[POTENTIAL], books[FREE_FALL] = forces(system, plan.law)
    books[EVALUATIONS] = 1.0
    motion(system, books)
    books[ENERGY_0] = books[KINETIC] + books[POTENTIAL]
    books[ENERGY_SCALE] = 1.0
    if plan.method.kind == TTL:
        books[OMEGA] = omega_of(system, plan.law, plan.method.weights)
    for k in range(3):
        books[MOMENTUM_0 + k], books[SPIN_0 + k] = books[MOMENTUM + k], books[SPIN + k]
    books[SPEED_SCALE], books[SPIN_SCALE] = books[SPEEDS], books[LEVERS]
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
    system = flat_system(mass, position, velocity)
    books = np.zeros(BOOKS)
    books[TIME] = time
    sight = plan.learner.sight
    past = np.zeros((past_rows(sight), WIDTHS[sight.kind]))
    calibrated = plan.rule.criterion == CALIBRATED
    run = Run(system, books, past, np.zeros(len(system) + BOOKS if calibrated else 0))
    start(run, plan)
    if calibrated and plan.control.promises:
        books[ASKED] = plan.control.tolerance
    return run


def past_rows(sight: Sight) -> int:
    """Feature rows of the past that a network sees: states, or the intervals between them."""
    return max(sight.history - 1, 0) if sight.kind == DELTA_MAG else sight.history


def copy_of(run: Run) -> Run:
    """An independent run that would go on in the same way."""
    return Run(*(array.copy() for array in run))


def packed(run: Run) -> np.ndarray[Any, Any]:
    """All that a run is, as one vector."""
    return np.concatenate([array.reshape(-1) for array in run])


def unpack(vector: np.ndarray[Any, Any], run: Run) -> None:
    """Set a run of the same shapes to what `packed` gave."""
    position = 0
    for array in run:
        array.reshape(-1)[:] = vector[position : position + array.size]
        position += array.size
