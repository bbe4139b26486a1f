"""States of the torch path as flat systems of the engine, and the laws that belong to them."""

from __future__ import annotations

import math

import numpy as np
from tests.conftest import random_bodies

from aitimestepper import ParticleTorch, PointMassTidalField
from aitimestepper.arrays import Floats
from aitimestepper.engine.layout import AX, MASS, ROWS, VX, X_LOW, X, rows_of
from aitimestepper.engine.physics import gravity
from aitimestepper.engine.physics.law import Law
from aitimestepper.engine.physics.law import law_of as any_law_of
from aitimestepper.engine.physics.omega import Weights

MAX_OMEGA = Weights(4.0, 1.0, 0.0, 0.0)
OMEGAS = {
    "log-h": Weights(1.0, 0.0, 0.0, 1.0),
    "sum": Weights(1.0, 1.0, 0.0, 0.0),
    "square": Weights(2.0, 1.0, 0.0, 0.0),
    "max": MAX_OMEGA,
    "max, mass sum": Weights(4.0, 0.0, 1.0, 0.0),
    "odd": Weights(2.5, 0.3, 0.2, 0.5),
}


def law(*, G: float = 1.0, softening: float = 0.0, tide: tuple[float, ...] = (0.0, 0.0, 0.0, 0.0)) -> Law:
    mass, *position = tide
    return any_law_of(G, softening, mass, position)


def law_of(particle: ParticleTorch) -> Law:
    """The same law, with a tide whose perturber stands still."""
    field = particle.external_field
    if field is None:
        return law(G=particle.G, softening=particle.softening)
    assert isinstance(field, PointMassTidalField)
    place = [*field.R0.tolist(), 0.0, 0.0][:3]
    return law(G=particle.G, softening=particle.softening, tide=(field.M, *place))


def flat(mass, position, velocity) -> Floats:
    rows = np.zeros((ROWS, len(mass)))
    rows[MASS] = mass
    rows[X:VX] = rows_of(position)
    rows[VX:AX] = rows_of(velocity)
    return rows.reshape(-1)


def system_of(particle: ParticleTorch) -> Floats:
    """Bodies and their acceleration, as torch has it."""
    system = flat(*(tensor.detach().numpy() for tensor in particle.bodies))
    system.reshape(ROWS, -1)[AX:X_LOW] = rows_of(particle.get_acceleration(particle.G).detach().numpy())
    return system


def free_fall_of(particle: ParticleTorch) -> float:
    """Square of the fastest free-fall rate."""
    shortest = float(particle.shortest_pair_time())
    return 1.0 / shortest**2 if shortest > 0.0 else math.inf


def cloud(seed: int, n_bodies: int, n_dims: int = 3, *, softening=0.0, G=1.0, massless=False) -> ParticleTorch:
    """Random bodies; with `massless` every second one has no mass."""
    particle = random_bodies(seed, n_bodies, n_dims)
    mass = particle.mass.clone()
    if massless:
        mass[1::2] = 0.0
    return ParticleTorch(mass, particle.position, particle.velocity, softening=softening, G=G)


def rows(system: Floats, first: int, last: int) -> Floats:
    """A view of some rows, (last - first, N)."""
    return system.reshape(ROWS, -1)[first:last]


def energy(system: Floats, of_law: Law) -> float:
    mass, velocity = rows(system, MASS, X)[0], rows(system, VX, AX)
    return 0.5 * float((mass * velocity**2).sum()) + gravity.potential_energy(system, of_law)
