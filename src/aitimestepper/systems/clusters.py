"""Random systems of many bodies, in N-body units: G = 1, total mass 1, virial radius 1.

In virial equilibrium the energy is then exactly -1/4 (Heggie & Mathieu 1986). The scaling is done on the bodies that
were drawn, not on the model that they were drawn from.
"""

from __future__ import annotations

import math

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.systems.initial import InitialConditions, about_centre_of_mass

VIRIAL_EQUILIBRIUM = 0.5
"""Kinetic energy over |potential energy|; 0 is a cold collapse, above 1 the system is unbound."""

SEPARATION = 0.5
"""Bodies of a random system keep at least this part of the mean spacing R n^(-1/D), so that no run opens with a
collision; they then fill 6 % of the disc or 2 % of the ball at most, and the next position is found at once."""


def random_system(
    rng: np.random.Generator,
    *,
    n_bodies: int,
    dim: int = 2,
    G: float = 1.0,
    virial_ratio: float = VIRIAL_EQUILIBRIUM,
) -> InitialConditions:
    """Unequal masses (within a factor of 3) spread over a disc or ball, with Gaussian velocities.

    Args:
        rng: where all draws come from.
        n_bodies: >= 2.
        dim: 2 or 3.
        G: gravitational constant of the result.
        virial_ratio: kinetic over |potential| energy, >= 0.
    """
    mass = rng.uniform(0.5, 1.5, n_bodies)
    position = _apart(rng, n_bodies, dim)
    velocity = rng.normal(size=(n_bodies, dim))
    return _in_nbody_units(mass, position, velocity, virial_ratio).with_gravity(G)


def plummer(rng: np.random.Generator, *, n_bodies: int, virial_ratio: float = VIRIAL_EQUILIBRIUM) -> InitialConditions:
    """Equal masses drawn from Plummer's model, n_bodies >= 2.

    Source: Aarseth, Henon & Wielen 1974, A&A 37, 183, appendix.
    """
    # 2^-53 keeps the enclosed mass off 0 and 1, where the radius is 0 or infinite.
    radius = 1.0 / np.sqrt(rng.uniform(2.0**-53, 1.0, n_bodies) ** (-2.0 / 3.0) - 1.0)
    escape_speed = math.sqrt(2.0) * (1.0 + radius**2) ** -0.25
    speed = escape_speed * fractions_of_escape_speed(rng, n_bodies)
    return _in_nbody_units(
        np.ones(n_bodies),
        radius[:, None] * _directions(rng, n_bodies),
        speed[:, None] * _directions(rng, n_bodies),
        virial_ratio,
    )


def potential_energy(mass: Floats, position: Floats) -> float:
    """Potential energy of point masses (N,) at positions (N, D), G = 1, row by row so that memory stays linear in N."""
    total = 0.0
    for body in range(len(mass) - 1):
        distance = np.linalg.norm(position[body + 1 :] - position[body], axis=1)
        total -= mass[body] * float(np.sum(mass[body + 1 :] / distance))
    return total


def kinetic_energy(mass: Floats, velocity: Floats) -> float:
    """Kinetic energy of masses (N,) with velocities (N, D), in the units of both."""
    return 0.5 * float(np.sum(mass[:, None] * velocity**2))


def _in_nbody_units(mass: Floats, position: Floats, velocity: Floats, virial_ratio: float) -> InitialConditions:
    """Scale to total mass 1, potential energy -1/2 and kinetic energy `virial_ratio` / 2, about the centre of mass."""
    mass = mass / mass.sum()
    position = about_centre_of_mass(mass, position)
    velocity = about_centre_of_mass(mass, velocity)
    position = position * (potential_energy(mass, position) / -0.5)
    velocity = velocity * math.sqrt(0.5 * virial_ratio / kinetic_energy(mass, velocity))
    return InitialConditions(mass, position, velocity, note="N-body units: total mass 1, virial radius 1")


def _apart(rng: np.random.Generator, n_bodies: int, dim: int) -> Floats:
    """Positions (N, D) spread evenly over the unit disc or ball, none too near to another."""
    nearest = SEPARATION * n_bodies ** (-1.0 / dim)
    positions = np.empty((n_bodies, dim))
    placed = 0
    while placed < n_bodies:
        position = rng.uniform(-1.0, 1.0, dim)
        inside = position @ position <= 1.0
        if inside and (np.linalg.norm(positions[:placed] - position, axis=1) >= nearest).all():
            positions[placed] = position
            placed += 1
    return positions


def _directions(rng: np.random.Generator, count: int) -> Floats:
    vectors = rng.normal(size=(count, 3))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def fractions_of_escape_speed(rng: np.random.Generator, count: int) -> Floats:
    """Draw q = v / v_escape (count,) with density q^2 (1 - q^2)^(7/2) by rejection; its largest value is 0.092."""
    accepted = np.empty(0)
    while len(accepted) < count:
        fraction, height = rng.random(2 * count), 0.1 * rng.random(2 * count)
        accepted = np.append(accepted, fraction[height < fraction**2 * (1.0 - fraction**2) ** 3.5])
    return accepted[:count]
