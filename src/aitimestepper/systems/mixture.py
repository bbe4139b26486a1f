"""Systems of every kind, drawn at random: what a stepper for any system is trained on. G = 1."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.systems.clusters import plummer, random_system
from aitimestepper.systems.companions import crowded_planets, log_uniform, moons, ring
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.orbits import Elements, hierarchical_triple, relative_state, two_body

MOST_BODIES = 256


def mixed_system(rng: np.random.Generator) -> InitialConditions:
    """One system of 2 to 256 bodies, of a kind drawn by `_KINDS`, in three dimensions or in a plane.

    Pairs, random groups, hierarchical triples and quadruples, planets, comets among planets, moons, rings and belts,
    planets that meet, clusters with and without binaries, and encounters of unbound bodies; masses down to none,
    eccentricities up to 0.995.
    """
    kinds, weights = zip(*_KINDS, strict=True)
    chosen: Callable[[np.random.Generator], InitialConditions] = kinds[rng.choice(len(kinds), p=weights)]
    return chosen(rng)


def _elements(rng: np.random.Generator, axis: float, e_max: float = 0.995, flat: bool = False) -> Elements:
    """An orbit of any orientation and phase; high eccentricities are as common as low ones."""
    eccentricity = e_max * math.sqrt(rng.uniform()) if rng.uniform() < 0.7 else e_max * rng.uniform() ** 3
    inclination = 0.0 if flat else math.degrees(math.acos(rng.uniform(-1.0, 1.0)))
    phase, node, pericentre = rng.uniform(0.0, 360.0, 3)
    return Elements(eccentricity, axis, phase, inclination, 0.0 if flat else node, pericentre)


def _pair(rng: np.random.Generator) -> InitialConditions:
    mass = rng.choice([log_uniform(rng, 1e-6, 1.0), log_uniform(rng, 1e-16, 1e-6), 0.0], p=[0.75, 0.15, 0.1])
    return two_body((1.0, mass), _elements(rng, log_uniform(rng, 0.1, 10.0)), dim=3)


def _group(rng: np.random.Generator) -> InitialConditions:
    """Three to ten bodies, cold to hot, with masses over up to three decades in half of them."""
    flat = rng.uniform() < 0.4
    n = int(rng.choice([3, 3, 3, 4, 5, 6, 8, 10]))
    virial = rng.choice([0.0, rng.uniform(0.0, 0.9), rng.uniform(0.9, 2.0)], p=[0.15, 0.7, 0.15])
    system = random_system(rng, n_bodies=n, dim=2 if flat else 3, virial_ratio=virial)
    if rng.uniform() < 0.5:
        return system
    mass = system.mass * 10.0 ** rng.uniform(-3.0, 0.0, n)
    return InitialConditions(mass / mass.sum(), system.position, system.velocity)


def _triple(rng: np.random.Generator) -> InitialConditions:
    """A binary and a third body at 2.5 to 100 times its size, coplanar or inclined."""
    flat = rng.uniform() < 0.3
    masses = (1.0, log_uniform(rng, 1e-3, 1.0), log_uniform(rng, 1e-3, 10.0))
    inner = _elements(rng, 1.0, 0.9, flat)
    outer = _elements(rng, 1.0, 0.7, flat)
    reach = (1.0 + inner.eccentricity) / (1.0 - outer.eccentricity)
    return hierarchical_triple(masses, inner, outer._replace(semi_major_axis=reach * log_uniform(rng, 1.5, 100.0)))


def _quadruple(rng: np.random.Generator) -> InitialConditions:
    """Two binaries about each other."""
    first, second = two_binaries = [
        two_body((1.0, rng.uniform(0.1, 1.0)), _elements(rng, axis, 0.8), dim=3)
        for axis in (1.0, log_uniform(rng, 0.1, 1.0))
    ]
    apart, speed = relative_state(_elements(rng, 4.0 * log_uniform(rng, 1.0, 20.0), 0.5), 3.0)
    return InitialConditions(
        np.concatenate([system.mass for system in two_binaries]),
        np.concatenate([first.position, second.position + apart]),
        np.concatenate([first.velocity, second.velocity + speed]),
    )


def _round_a_star(rng: np.random.Generator, mass: Floats, axes: Floats, e_max: float) -> InitialConditions:
    """Bodies on nearly coplanar orbits about a mass of 1."""
    position, velocity = [np.zeros(3)], [np.zeros(3)]
    for own, axis in zip(mass, axes, strict=True):
        inclination = abs(rng.normal(0.0, 3.0))
        phase, node, pericentre = rng.uniform(0.0, 360.0, 3)
        elements = Elements(e_max * rng.uniform(), axis, phase, inclination, node, pericentre)
        x, v = relative_state(elements, 1.0 + own)
        position.append(x)
        velocity.append(v)
    return InitialConditions(np.concatenate([[1.0], mass]), np.array(position), np.array(velocity))


def _planets(rng: np.random.Generator) -> InitialConditions:
    n = int(rng.integers(2, 9))
    axes = np.cumprod(np.concatenate([[1.0], rng.uniform(1.25, 2.2, n - 1)]))
    mass = 10.0 ** (rng.uniform(-8.0, -2.5) + rng.uniform(-1.5, 0.5, n))
    return _round_a_star(rng, mass, axes, rng.choice([0.02, 0.1, 0.25]))


def _comet(rng: np.random.Generator) -> InitialConditions:
    """Planets, and a body of next to no mass (or none) on an eccentric orbit that crosses theirs."""
    planets = _planets(rng)
    elements = _elements(rng, log_uniform(rng, 0.5, 20.0), 0.98)
    position, velocity = relative_state(elements, 1.0)
    mass = rng.choice([0.0, 1e-14, 1e-10])
    return InitialConditions(
        np.append(planets.mass, mass),
        np.vstack([planets.position, planets.position[0] + position]),
        np.vstack([planets.velocity, planets.velocity[0] + velocity]),
    )


_SIZES = ((8, 24), (24, 128), (128, MOST_BODIES + 1))
_SHARES_OF_SIZES = (0.9, 0.08, 0.02)
"""Bodies of clusters. A window costs the square of their number: one draw in a thousand of 1,024 bodies would
cost seven times what all others cost together."""


def _cluster(rng: np.random.Generator) -> InitialConditions:
    """A Plummer sphere; in half of them one body is replaced by a binary, hard or soft."""
    # Large ones are rare: they take most of the time, and are not unlike the others.
    low, high = _SIZES[rng.choice(len(_SIZES), p=_SHARES_OF_SIZES)]
    n = int(log_uniform(rng, low, high))
    system = plummer(rng, n_bodies=n, virial_ratio=rng.choice([0.0, 0.1, 0.5, 0.5, 1.0, 1.5]))
    if rng.uniform() < 0.5:
        return system
    share = rng.uniform(0.2, 1.0)
    own = float(system.mass[0])
    binary = two_body((own, own * share), _elements(rng, log_uniform(rng, 1e-3, 0.1) / n, 0.9), dim=3)
    return InitialConditions(
        np.concatenate([binary.mass, system.mass[1:]]),
        np.concatenate([binary.position + system.position[0], system.position[1:]]),
        np.concatenate([binary.velocity + system.velocity[0], system.velocity[1:]]),
    )


def _encounter(rng: np.random.Generator) -> InitialConditions:
    """A single body that comes from afar to another one, or to a binary: unbound, energies of either sign and none."""
    flat = rng.uniform() < 0.3
    third = log_uniform(rng, 1e-2, 10.0)
    binary = two_body((1.0, log_uniform(rng, 1e-2, 1.0)), _elements(rng, 1.0, 0.9, flat), dim=3)
    whole = float(binary.mass.sum()) + third
    distance, impact = rng.uniform(3.0, 10.0), rng.uniform(0.0, 3.0)
    speed = math.sqrt(2.0 * whole / distance) * rng.uniform(0.7, 2.5)
    x, v = np.array([distance, impact, 0.0]), np.array([-speed, 0.0, 0.0])
    if rng.uniform() < 0.3:
        return InitialConditions(np.array([1.0, third]), np.array([np.zeros(3), x]), np.array([np.zeros(3), v]))
    return InitialConditions(
        np.append(binary.mass, third), np.vstack([binary.position, x]), np.vstack([binary.velocity, v])
    )


_KINDS = (
    (_pair, 0.1),
    (_group, 0.19),
    (_triple, 0.11),
    (_quadruple, 0.04),
    (_planets, 0.07),
    (_comet, 0.04),
    (_cluster, 0.08),
    (_encounter, 0.05),
    (moons, 0.14),
    (ring, 0.07),
    (crowded_planets, 0.11),
)
"""Kinds of systems and their shares."""
