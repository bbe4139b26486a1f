"""The law of motion as a value, and the kick-drift-kick leapfrog."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from aitimestepper.physics import conserved, gravity
from aitimestepper.physics.bodies import Bodies
from aitimestepper.physics.tides import ExternalField


class Law(NamedTuple):
    """What moves the bodies: their own gravity and, perhaps, an external field.

    Attributes:
        softening: Plummer length, the same in force and energy.
        G: gravitational constant.
        external_field: added to force and energy, or None.
    """

    softening: float = 0.0
    G: float = 1.0
    external_field: ExternalField | None = None


def acceleration(bodies: Bodies, time: Tensor, law: Law) -> Tensor:
    """Total acceleration, (..., N, D), at `time` (...)."""
    own = gravity.acceleration(bodies.mass, bodies.position, softening=law.softening, G=law.G)
    if law.external_field is None:
        return own
    return own + law.external_field.acceleration(bodies.position, time)


def total_energy(bodies: Bodies, time: Tensor, law: Law) -> Tensor:
    """Kinetic energy, energy of the pairs and energy in the external field, (...), at `time` (...)."""
    own = conserved.kinetic_energy(bodies) + gravity.potential_energy(
        bodies.mass, bodies.position, softening=law.softening, G=law.G
    )
    if law.external_field is None:
        return own
    return own + (bodies.mass * law.external_field.potential(bodies.position, time)).sum(-1)


def leapfrog_step(bodies: Bodies, opening: Tensor, dt: Tensor, *, time: Tensor, law: Law) -> tuple[Bodies, Tensor]:
    """Advance by one kick-drift-kick step with ONE evaluation of the force.

    Args:
        bodies: the state at `time`.
        opening: (..., N, D), its acceleration: the closing one of the step before.
        dt: (...), the step of each system.
        time: (...).
        law: what moves the bodies.

    Returns:
        The state at `time + dt` and its acceleration, which opens the next step.

    Source: Hairer, Lubich & Wanner, Geometric Numerical Integration (2006), section I.1.4.
    """
    step = dt[..., None, None]
    half = bodies.velocity + 0.5 * step * opening
    moved = bodies._replace(position=bodies.position + step * half)
    closing = acceleration(moved, time + dt, law)
    return moved._replace(velocity=half + 0.5 * step * closing), closing
