"""Moons are bound and isolated, rings are about their centre, crowded planets are near each other or cross."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aitimestepper.systems.companions import ISOLATED, crowded_planets, hill_radius, moons, ring
from aitimestepper.systems.initial import InitialConditions, check_apart

COUNT = 200
KINDS = [moons, ring, crowded_planets]


def drawn(kind, seed: int = 21) -> list[InitialConditions]:
    rng = np.random.default_rng(seed)
    return [kind(rng) for _ in range(COUNT)]


def orbits(system: InitialConditions, centre: int, bodies) -> tuple[np.ndarray, np.ndarray]:
    """Semi-major axis, below 0 where it is not bound, and eccentricity of bodies about another one."""
    apart, speed = ((vectors[bodies] - vectors[centre]) for vectors in (system.position, system.velocity))
    mass = system.mass[centre] + system.mass[bodies]
    distance = np.linalg.norm(apart, axis=1)
    axis = 1.0 / (2.0 / distance - (speed**2).sum(1) / mass)
    spin = (np.cross(apart, speed) ** 2).sum(1)
    return axis, np.sqrt(np.maximum(1.0 - spin / (mass * axis), 0.0))


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_draws_the_same_bytes_and_another_seed_others(kind):
    def content(seed: int) -> list[bytes]:
        return [
            array.tobytes() for system in drawn(kind, seed) for array in (system.mass, system.position, system.velocity)
        ]

    first = content(3)
    assert content(3) == first
    assert content(4) != first


@pytest.mark.parametrize("kind", KINDS)
def test_the_bodies_are_apart_from_each_other(kind):
    for system in drawn(kind):
        assert system.n_dims == 3
        check_apart(system, 0.0)


def second_star(system: InitialConditions) -> bool:
    return system.n_bodies > 3 and system.mass[-1] >= 0.1


def test_moons_are_bound_to_their_host_and_isolated():
    counts, hosts, eccentricities, masses, doubles = [], [], [], [], 0
    for system in drawn(moons):
        doubles += second_star(system)
        bodies = np.arange(2, system.n_bodies - second_star(system))
        axis, e = orbits(system, 1, bodies)
        own_axis, own_e = (float(value[0]) for value in orbits(system, 0, [1]))
        reach = ISOLATED * hill_radius(system.mass[1], own_axis * (1.0 - own_e), 1.0)
        assert (axis > 0.0).all()
        assert (axis * (1.0 + e) <= reach * (1.0 + 1e-6)).all()
        assert (system.mass[bodies] <= 1e-2 * system.mass[1]).all()
        order = np.argsort(axis)
        assert ((axis * (1.0 + e))[order][:-1] < (axis * (1.0 - e))[order][1:]).all()  # they do not cross
        counts.append(len(bodies))
        hosts.append(system.mass[1])
        eccentricities += e.tolist()
        masses += (system.mass[bodies] / system.mass[1]).tolist()
    assert set(counts) == {1, 2, 3, 4, 5}
    planets = np.array(hosts) <= 1e-2
    assert 0.6 < planets.mean() < 0.9
    assert min(hosts) == pytest.approx(1e-6, rel=0.5)
    assert (np.array(hosts)[~planets] >= 0.1).all()
    assert 0.9 < max(eccentricities) <= 0.95 + 1e-6
    assert 0.0 in masses
    assert max(masses) > 1e-3
    assert 0.1 * COUNT < doubles < 0.3 * COUNT


def centre_of_ring(system: InitialConditions) -> tuple[int, int] | None:
    """The body that a ring is about, and the number of its first body."""
    alike = system.mass[1] <= 10.0 * system.mass[2:].min() * (1.0 + 1e-9)  # may be a body of the ring itself
    for centre, first in ((0, 1), (0, 2), (1, 2))[not alike :]:
        axis, e = orbits(system, centre, np.arange(first, system.n_bodies))
        if (axis > 0.0).all() and (e <= 0.1 + 1e-6).all() and axis.max() <= 2.0 * axis.min():
            return centre, first
    return None


def test_rings_are_about_a_star_with_or_without_a_planet_or_about_a_planet():
    found, sizes, massless, shares = [], [], 0, []
    for system in drawn(ring):
        there = centre_of_ring(system)
        assert there is not None
        centre, first = there
        light = system.mass[first:]
        if centre == 1:
            axis, e = orbits(system, 1, np.arange(2, system.n_bodies))
            own_axis, own_e = (float(value[0]) for value in orbits(system, 0, [1]))
            reach = ISOLATED * hill_radius(system.mass[1], own_axis * (1.0 - own_e), 1.0)
            assert (axis * (1.0 + e) <= reach * (1.0 + 1e-6)).all()
        found.append(there)
        sizes.append(len(light))
        massless += not light.any()
        shares.append(light.sum() / system.mass[centre])
    assert min(found.count(there) for there in ((0, 1), (0, 2), (1, 2))) > 0.15 * COUNT
    assert 4 <= min(sizes) <= 5
    assert 90 < max(sizes) <= 100
    assert 0.4 * COUNT < massless < 0.8 * COUNT
    assert 1e-6 < max(shares) <= 1e-4 * (1.0 + 1e-9)


def test_crowded_planets_are_a_few_hill_radii_apart_and_half_of_their_orbits_cross():
    crossing, near, counts = 0, 0, []
    for system in drawn(crowded_planets):
        mass, planets = system.mass[1:], np.arange(1, system.n_bodies)
        axis, e = orbits(system, 0, planets)
        assert (mass >= 1e-6 * (1.0 - 1e-9)).all()
        assert (mass <= 3e-3).all()
        mutual = 0.5 * (axis[1:] + axis[:-1]) * ((mass[1:] + mass[:-1]) / 3.0) ** (1.0 / 3.0)
        spacing = np.diff(axis) / mutual
        assert (spacing > 2.0 - 1e-6).all()
        assert (spacing < 8.0 + 1e-6).all()
        overlap = axis[:-1] * (1.0 + e[:-1]) > axis[1:] * (1.0 - e[1:])
        assert overlap.all() or not overlap.any()
        crossing += bool(overlap.all())
        apart = np.linalg.norm(np.diff(system.position[1:], axis=0), axis=1)
        near += bool((apart < 10.0 * mutual).any())
        counts.append(len(mass))
    assert set(counts) == {2, 3, 4, 5}
    assert 0.35 * COUNT < crossing < 0.65 * COUNT
    assert near > 0.4 * COUNT


def test_the_hill_radius_is_where_the_tide_of_a_star_is_half_of_the_pull():
    """(m / 3 M)^(1/3): the tide of 2 M r takes two thirds, the rotation of the frame the rest."""
    r = hill_radius(1e-3, 0.7, 1.0)
    assert math.isclose(3.0 * r / 0.7**3, 1e-3 / r**2)
