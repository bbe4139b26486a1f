"""What is seen of a run by Wisdom and Holman's split: its synchronised state, energies, and states at exact times."""

from __future__ import annotations

import math

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled
from aitimestepper.engine.layout import n_bodies
from aitimestepper.engine.physics.conserved import motion
from aitimestepper.engine.physics.gravity import potential_energy
from aitimestepper.engine.physics.kepler_lanes import room_for_lanes
from aitimestepper.engine.physics.wisdom_holman import open_split, split_steps, synchronise
from aitimestepper.engine.run.plan import Plan
from aitimestepper.engine.run.state import Run
from aitimestepper.engine.run.step import NOT_FINITE, RUNNING, tally


@compiled
def room_for_a_look(run: Run) -> Floats:
    """Scratch of `look`."""
    return np.empty(15 * n_bodies(run.system))


@compiled
def look(run: Run, plan: Plan, dt: float, work: Floats, kept: Floats) -> bool:
    """Synchronise, energies and momenta into the books; whether they are numbers. The run goes on as without it."""
    books = run.books[0]
    synchronise(run.system, plan.splitting, plan.law, dt, work, kept)
    books.potential_energy = potential_energy(run.system, plan.law)
    motion(run.system, books)
    return abs(books.kinetic_energy + books.potential_energy) < math.inf


@compiled
def cost_of_a_look(plan: Plan) -> int:
    """Force evaluations of a look: the kicks of the corrector, and the energy."""
    return 2 * plan.splitting.corrector.shape[0] + 1


@compiled
def reach_split(run: Run, plan: Plan, target: float) -> int:
    """Go from the synchronised state to a time by one step of its own length: `exact_times.reach` for these runs.

    The state of the split run is lost: this is for copies.
    """
    system, books = run.system, run.books[0]
    begin = books.time
    left = (target - begin) + books.time_remainder
    work, kept = room_for_lanes(), room_for_a_look(run)
    open_split(system, plan.splitting, plan.law, left, work)
    split_steps(system, plan.splitting, plan.law, left, work, 1)
    opening = 2 * plan.splitting.corrector.shape[0]
    books.force_evaluations += opening + plan.splitting.kicks.shape[0] + cost_of_a_look(plan)
    if not look(run, plan, left, work, kept):
        return NOT_FINITE
    books.time, books.time_remainder = target, 0.0
    books.last_dt = target - begin
    books.steps += 1.0
    tally(books)
    return RUNNING
