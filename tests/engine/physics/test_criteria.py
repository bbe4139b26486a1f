"""Each criterion is its formula, has the right unit and does not know forwards from backwards."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.engine.builders import cloud, flat, free_fall_of, law, law_of, rows, system_of

from aitimestepper.engine.layout import AX, ROWS, X_LOW
from aitimestepper.engine.physics import criteria, gravity
from aitimestepper.engine.physics.criteria import AARSETH, ACCELERATION, FLY_BY, FREE_FALL, PRS23, Rule
from aitimestepper.engine.physics.integrators import STAGES, leapfrog_step

CRITERIA = {"free fall": FREE_FALL, "fly-by": FLY_BY, "acceleration": ACCELERATION, "aarseth": AARSETH, "prs23": PRS23}


def rate(criterion, particle, per_step=1.0):
    """One over the step that is wanted."""
    rule = Rule(criterion, per_step, 0.0, math.inf, True, math.inf)
    return criteria.classical_rate(system_of(particle), free_fall_of(particle), law_of(particle), rule)


def pairs(particle):
    """M, r^2 + eps^2, and the relative vectors of the pairs that attract each other."""
    mass, position, velocity = (tensor.numpy() for tensor in particle.bodies)
    i, j = np.triu_indices(len(mass), 1)
    both = mass[i] + mass[j]
    i, j = i[both > 0], j[both > 0]
    acceleration = particle.get_acceleration(particle.G).numpy()
    apart, moving, pull = (vectors[i] - vectors[j] for vectors in (position, velocity, acceleration))
    return mass[i] + mass[j], (apart**2).sum(-1) + particle.softening**2, moving, pull


def by_numpy(criterion, particle):
    both, squared, moving, pull = pairs(particle)
    if criterion == FREE_FALL:
        return math.sqrt((particle.G * both / squared**1.5).max())
    if criterion == FLY_BY:
        return math.sqrt(((moving**2).sum(-1) / squared + particle.G * both / squared**1.5).max())
    if criterion == ACCELERATION:
        return math.sqrt((np.sqrt((pull**2).sum(-1)) / np.sqrt(squared)).max())
    a, j, s, c = (np.sqrt((vectors**2).sum(0)) for vectors in derivatives_along_the_orbit(particle))
    if criterion == AARSETH:
        return math.sqrt(((j * c + s**2) / (a * s + j**2)).max())
    return math.sqrt((0.5 * (j**2 + a * s) / a**2).max())


def derivatives_along_the_orbit(particle):
    """Acceleration and its first three derivatives, (3, N) each: a polynomial through nine states."""
    own_law, spacing, substeps = law_of(particle), 2.0**-8, 4
    times, pulls = [], []
    for direction in (1, -1):
        system = system_of(particle)
        gravity.forces(system, own_law)
        for sample in range(5):
            times.append(direction * sample)
            pulls.append(rows(system, AX, X_LOW).reshape(-1).copy())
            for _ in range(substeps):
                leapfrog_step(system, direction * spacing / substeps, STAGES[8], own_law)
    coefficients = np.polynomial.polynomial.polyfit(times, np.array(pulls), 8)
    return [math.factorial(k) * coefficients[k].reshape(3, -1) / spacing**k for k in range(4)]


PARTICLES = {
    "plain": (0, 4, 3, {}),
    "flat": (1, 3, 2, {"G": 2.5}),
    "soft": (2, 6, 3, {"softening": 0.4}),
    "massless": (3, 5, 3, {"massless": True, "softening": 0.3}),
}


@pytest.mark.parametrize("name", PARTICLES)
@pytest.mark.parametrize("criterion", CRITERIA.values(), ids=CRITERIA.keys())
def test_criteria_are_their_formulas(criterion, name):
    seed, n_bodies, n_dims, keys = PARTICLES[name]
    particle = cloud(seed, n_bodies, n_dims, **keys)
    exact = criterion in (FREE_FALL, FLY_BY, ACCELERATION)
    assert rate(criterion, particle) == pytest.approx(by_numpy(criterion, particle), rel=1e-12 if exact else 1e-6)


@pytest.mark.parametrize("name", PARTICLES)
def test_derivatives_of_the_force_are_those_along_the_orbit(name):
    seed, n_bodies, n_dims, keys = PARTICLES[name]
    particle = cloud(seed, n_bodies, n_dims, **keys)
    higher = criteria.force_derivatives(system_of(particle).reshape(ROWS, -1), law_of(particle), True)
    for order, expected in enumerate(derivatives_along_the_orbit(particle)[1:]):
        largest = np.abs(expected).max()
        np.testing.assert_allclose(higher[3 * order : 3 * order + 3], expected, rtol=1e-5, atol=1e-6 * largest)


@pytest.mark.parametrize("criterion", CRITERIA.values(), ids=CRITERIA.keys())
def test_criteria_are_rates(criterion):
    """Lengths by L, masses by M, times by T, and G by L^3 / M T^2: every rate by 1 / T."""
    length, mass, time = 7.0, 0.3, 40.0
    plain = cloud(4, 5, softening=0.2, G=1.5)
    scaled = cloud(4, 5, softening=0.2 * length, G=1.5 * length**3 / (mass * time**2))
    scaled.mass = scaled.mass * mass
    scaled.position = scaled.position * length
    scaled.velocity = scaled.velocity * length / time
    assert rate(criterion, scaled) == pytest.approx(rate(criterion, plain) / time, rel=1e-12)


@pytest.mark.parametrize("criterion", CRITERIA.values(), ids=CRITERIA.keys())
def test_criteria_are_even_in_the_velocities(criterion):
    forwards, backwards = cloud(5, 6, softening=0.1), cloud(5, 6, softening=0.1)
    backwards.velocity = -backwards.velocity
    assert rate(criterion, backwards) == rate(criterion, forwards) > 0.0


@pytest.mark.parametrize("criterion", CRITERIA.values(), ids=CRITERIA.keys())
def test_eta_divides_and_a_lone_body_is_bounded_by_nothing(criterion):
    assert rate(criterion, cloud(6, 3), 1 / 0.02) == pytest.approx(50 * rate(criterion, cloud(6, 3)), rel=1e-14)
    assert rate(criterion, cloud(7, 1)) == 0.0


@pytest.mark.parametrize("criterion", CRITERIA.values(), ids=CRITERIA.keys())
def test_two_massless_bodies_may_meet(criterion):
    particle = cloud(8, 4, softening=0.0)
    particle.mass = particle.mass * particle.mass.new_tensor([1.0, 0.0, 0.0, 1.0])
    particle.position = particle.position[[0, 1, 1, 3]]
    assert math.isfinite(rate(criterion, particle))


@pytest.mark.parametrize("e", [0.0, 0.5, 0.9])
def test_scales_of_two_bodies_at_pericentre(e):
    """With r = 1 - e and M = 1: free fall sqrt(1/r^3), passing by with v^2 = (1 + e) / r, both in one."""
    position, velocity = np.zeros((2, 3)), np.zeros((2, 3))
    position[1, 0], velocity[1, 1] = 1 - e, math.sqrt((1 + e) / (1 - e))
    system = flat([1.0, 0.0], position, velocity)
    _, free_fall = gravity.forces(system, law())
    assert free_fall == pytest.approx((1 - e) ** -3, rel=1e-13)
    assert criteria.fly_by_rate(system, law()) == pytest.approx((2 + e) * (1 - e) ** -3, rel=1e-13)
    assert criteria.acceleration_rate(system, law()) == pytest.approx((1 - e) ** -3, rel=1e-13)
