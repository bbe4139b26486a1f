"""Twin of `features.scales`: the scales by which features are divided, from the initial state."""

from __future__ import annotations

import math

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.layout import AX, ROWS, X_LOW, flat_system
from aitimestepper.engine.physics.gravity import forces
from aitimestepper.engine.physics.law import Law


def scales_of(mass: Floats, position: Floats, velocity: Floats, law: Law) -> tuple[float, float, float, float]:
    """Mean pair distance L0, rms speed V0, rms acceleration A0, and the time L0 / V0.

    Args:
        mass: (N,).
        position, velocity: (N, D).
        law: what moves the bodies.
    """
    n = len(mass)
    system = flat_system(mass, position, velocity)
    forces(system, law)
    apart = position[:, None] - position[None]
    length = float(np.linalg.norm(apart, axis=-1).sum() / (n * (n - 1))) if n > 1 else 0.0
    length = length or 1.0
    acceleration = system.reshape(ROWS, -1)[AX:X_LOW]
    pull = float(np.sqrt((acceleration**2).sum(0).mean()))
    speed = float(np.sqrt((velocity**2).sum(-1).mean())) or math.sqrt(length * pull) or 1.0
    return length, speed, pull or speed**2 / length, length / speed
