"""A function of the user's that looks at a run while it goes on, and may end it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from aitimestepper.arrays import Floats
from aitimestepper.recordings.parts import Frames
from aitimestepper.systems.initial import InitialConditions


@dataclass(frozen=True, eq=False)
class State:
    """One state of a run; its arrays cannot be written to.

    Attributes:
        time: simulated time.
        position, velocity: (N, D).
        energy: kinetic + potential, the external field included.
        mass: (N,).
        names: one for each body, or empty.
    """

    time: float
    position: Floats
    velocity: Floats
    energy: float
    mass: Floats
    names: tuple[str, ...]


Callback = Callable[[State], object]
"""Takes a state; where it returns True, or what counts as true, the run ends there."""

Watch = Callable[[Frames], int | None]
"""Looks at states that are kept, as they come, in the run's own time; gives the number of the one at which the run is
to end, None if it is to go on."""


def watch_of(callback: Callback, system: InitialConditions, direction: float) -> Watch:
    """What shows a callback the states that are kept.

    Args:
        callback: the user's.
        system: the bodies.
        direction: of time, as in `Goal`.
    """
    mass = _fixed(system.mass)

    def watch(frames: Frames) -> int | None:
        seen = frames.turned(direction)
        for row, (time, energy) in enumerate(zip(seen.time, seen.energy, strict=True)):
            vectors = _fixed(seen.position[row]), _fixed(seen.velocity[row])
            if callback(State(float(time), *vectors, float(energy), mass, system.names)):
                return row
        return None

    return watch


def _fixed(array: Floats) -> Floats:
    """A copy that cannot be written to."""
    copy = array.copy()
    copy.setflags(write=False)
    return copy
