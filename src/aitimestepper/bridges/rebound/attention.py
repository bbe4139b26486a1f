"""States at which REBOUND acts itself, and at which a call of "aits" therefore has to end: exits, collisions, archives.

REBOUND looks at its particles after each of its steps, and a call of "aits" makes many. So the steps that a call has
made are looked through for the first one in which REBOUND would act, and the call ends there.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.bridges.rebound.structures import compiled, particles_of, simulation_at
from aitimestepper.engine.layout import N_BOOKS, books_in
from aitimestepper.engine.run.events import room_for_events
from aitimestepper.engine.run.governed_rollout import BLOCK, LONGEST_STRETCH
from aitimestepper.engine.run.state import Frames

_DIRECT = 1
"""REBOUND's number of its search for collisions among all pairs."""


@compiled
def is_watched(simulation: Any) -> bool:
    """Whether REBOUND looks at the particles after each step."""
    return bool(
        simulation.exit_max_distance != 0.0 or simulation.exit_min_distance != 0.0 or simulation.collision == _DIRECT
    )


@compiled
def room_for_steps(watched: bool, n: int) -> Frames:
    """Room for the steps of a call, up to its last anchor, where they are to be looked at; else none."""
    rows = LONGEST_STRETCH + BLOCK if watched else 1
    return Frames(
        np.empty((rows, N_BOOKS)),
        np.empty((rows, 6 * n if watched else 1)),
        np.empty((0, 3)),
        1 if watched else 0,
        math.inf,
        room_for_events(0),
    )


@compiled
def next_archive(simulation: Any, direction: float) -> float:
    """When the next snapshot at an interval is due, in the run's direction of time; infinite for never."""
    if simulation.archive == 0 or simulation.archive_interval == 0.0:
        return math.inf
    due = direction * simulation.archive_next
    return due if due > direction * simulation.t else math.inf


@compiled
def first_of_note(address: int, head: Any, frames: Frames, count: int) -> float:
    """The time of the first of some steps in which REBOUND acts, in the run's direction of time; infinite for none.

    Args:
        address: the simulation.
        head: of the run.
        frames: its steps; those that REBOUND has been shown already are passed over.
        count: how many there are.
    """
    simulation, direction = simulation_at(address), head.direction
    particles, radii = particles_of(simulation), np.empty(simulation.N)
    for i in range(simulation.N):
        radii[i] = particles[i].r
    for k in range(count):
        time = books_in(frames.books[k]).time
        if time > direction * simulation.t and _is_of_note(simulation, head, frames.rows[k], radii, direction * time):
            return time
    return math.inf


@compiled
def _is_of_note(simulation: Any, head: Any, row: Floats, radii: Floats, time: float) -> bool:
    """Whether REBOUND acts when it is given this state."""
    n = radii.shape[0]
    if simulation.exit_max_distance != 0.0:
        moved = head.frame_position + head.frame_velocity * (time - head.frame_time)
        farthest = simulation.exit_max_distance * simulation.exit_max_distance
        for i in range(n):
            x, y, z = row[i] + moved[0], row[n + i] + moved[1], row[2 * n + i] + moved[2]
            if x * x + y * y + z * z > farthest:
                return True
    nearest = simulation.exit_min_distance * simulation.exit_min_distance
    collides = simulation.collision == _DIRECT
    for i in range(n):
        for j in range(i):
            squared = approach = 0.0
            for axis in range(3):
                apart = row[axis * n + i] - row[axis * n + j]
                squared += apart * apart
                approach += apart * (row[(3 + axis) * n + i] - row[(3 + axis) * n + j])
            touching = radii[i] + radii[j]
            if squared < nearest or (collides and squared <= touching * touching and approach <= 0.0):
                return True
    return False
