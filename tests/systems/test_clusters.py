import math

import numpy as np
import pytest

from aitimestepper.systems.clusters import SEPARATION, fractions_of_escape_speed, plummer, random_system


def energies(system, G=1.0):
    """Kinetic and potential energy from all pairs at once."""
    distance = np.linalg.norm(system.position[:, None] - system.position, axis=-1)
    pairs = np.triu_indices(system.n_bodies, k=1)
    potential = -G * np.sum(np.outer(system.mass, system.mass)[pairs] / distance[pairs])
    return 0.5 * np.sum(system.mass * np.sum(system.velocity**2, axis=1)), potential


@pytest.mark.parametrize("n_bodies", [2, 3, 64, 300])
@pytest.mark.parametrize("build", [random_system, plummer])
def test_nbody_units_hold_for_the_bodies_that_were_drawn(build, n_bodies):
    system = build(np.random.default_rng(1), n_bodies=n_bodies)
    kinetic, potential = energies(system)
    assert system.mass.sum() == pytest.approx(1.0, rel=1e-14)
    assert kinetic == pytest.approx(0.25, rel=1e-12)
    assert potential == pytest.approx(-0.5, rel=1e-12)
    assert np.abs(system.mass @ system.velocity).max() < 1e-15
    assert np.abs(system.mass @ system.position).max() < 1e-15


@pytest.mark.parametrize("virial_ratio", [0.0, 0.1, 0.5, 1.5])
@pytest.mark.parametrize("build", [random_system, plummer])
def test_virial_ratio_sets_the_kinetic_energy(build, virial_ratio):
    kinetic, potential = energies(build(np.random.default_rng(2), n_bodies=10, virial_ratio=virial_ratio))
    assert kinetic / -potential == pytest.approx(virial_ratio, rel=1e-12)


def test_virial_ratio_holds_for_another_constant_of_gravity():
    system = random_system(np.random.default_rng(2), n_bodies=5, G=39.5)
    kinetic, potential = energies(system, G=39.5)
    assert kinetic / -potential == pytest.approx(0.5, rel=1e-12)


def test_plummer_spheres_have_the_density_and_the_velocities_of_the_model():
    """The median radius encloses half the mass: a / sqrt(2^(2/3) - 1); <v^2> at the centre is 1/2 a^-1 (G = M = 1)."""
    system = plummer(np.random.default_rng(5), n_bodies=4000)
    scale = 3.0 * math.pi / 16.0
    radius = np.linalg.norm(system.position, axis=1)
    assert np.median(radius) == pytest.approx(scale / math.sqrt(2 ** (2 / 3) - 1), rel=0.05)
    inner = np.sum(system.velocity[radius < 0.5 * scale] ** 2, axis=1)
    expected = np.mean(0.5 / np.sqrt(radius[radius < 0.5 * scale] ** 2 + scale**2))
    assert inner.mean() == pytest.approx(expected, rel=0.05)
    speed = np.linalg.norm(system.velocity, axis=1)
    assert (speed <= 1.02 * np.sqrt(2.0 / np.sqrt(radius**2 + scale**2))).all(), "no body escapes"


def test_speeds_have_the_moments_of_their_distribution():
    """Of q^2 (1 - q^2)^(7/2): <q^2> = B(5/2, 9/2) / B(3/2, 9/2) = 1/4, <q^4> = 5/56."""
    fraction = fractions_of_escape_speed(np.random.default_rng(8), 200_000)
    assert np.mean(fraction**2) == pytest.approx(1 / 4, rel=5e-3)
    assert np.mean(fraction**4) == pytest.approx(5 / 56, rel=1e-2)


def test_plummer_spheres_are_round():
    system = plummer(np.random.default_rng(6), n_bodies=4000)
    directions = system.position / np.linalg.norm(system.position, axis=1, keepdims=True)
    np.testing.assert_allclose(directions.T @ directions / 4000, np.eye(3) / 3, atol=0.03)


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("seed", range(5))
def test_no_pair_of_a_random_system_starts_close(dim, seed):
    system = random_system(np.random.default_rng(seed), n_bodies=20, dim=dim)
    distance = np.linalg.norm(system.position[:, None] - system.position, axis=-1)
    nearest = distance[np.triu_indices(20, k=1)].min()
    # Everything lies in a disc or ball of unknown scale; its diameter bounds the largest distance.
    assert nearest >= SEPARATION * 20 ** (-1 / dim) * 0.5 * distance.max()
    assert system.n_dims == dim
    assert 0.5 / 20 / 1.5 < system.mass.min() < system.mass.max() < 3.0 * system.mass.min()


def test_draws_depend_on_the_generator_alone():
    for build in (random_system, plummer):
        first, again, other = (build(np.random.default_rng(seed), n_bodies=8) for seed in (1, 1, 2))
        np.testing.assert_array_equal(first.position, again.position)
        np.testing.assert_array_equal(first.velocity, again.velocity)
        assert not np.allclose(first.position, other.position)
