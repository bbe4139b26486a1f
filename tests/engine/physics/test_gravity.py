"""Forces, energies and Omega of the engine are those of `physics`, and each force is the gradient of its potential."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.engine.builders import OMEGAS, cloud, flat, law, law_of, rows, system_of

from aitimestepper import PointMassTidalField
from aitimestepper.engine.layout import AX, BOOKS, GX, MASS, REACH, VX, X_LOW, X
from aitimestepper.engine.physics import gravity
from aitimestepper.engine.physics import omega as omegas
from aitimestepper.engine.physics.conserved import motion
from aitimestepper.engine.physics.omega import Weights
from aitimestepper.physics import conserved, leapfrog

TIDE = (11.0, [5.0, -4.0, 3.0])


def particle_for(n_bodies, n_dims, kind):
    keys = {
        "plain": {},
        "soft": {"softening": 0.3},
        "units": {"softening": 0.1, "G": 4.5},
        "massless": {"massless": True, "G": 0.7},
        "tide": {"G": 1.3},
    }
    particle = cloud(n_bodies, n_bodies, n_dims, **keys[kind])
    if kind == "tide":
        particle.set_external_field(PointMassTidalField(TIDE[0], TIDE[1][:n_dims], G=1.3))
    return particle


@pytest.mark.parametrize("kind", ["plain", "soft", "units", "massless", "tide"])
@pytest.mark.parametrize("n_dims", [1, 2, 3])
@pytest.mark.parametrize("n_bodies", [1, 2, 3, 9, 33])
def test_forces_and_energies_are_those_of_the_torch_path(n_bodies, n_dims, kind):
    particle = particle_for(n_bodies, n_dims, kind)
    own_law, system = law_of(particle), system_of(particle)
    expected = rows(system, AX, X_LOW).copy()
    kinetic = float(particle.kinetic_energy())
    energy = float(leapfrog.total_energy(particle.bodies, torch.zeros(()), particle.law()))
    rate = float(particle.shortest_pair_time()) ** -2

    rows(system, AX, X_LOW)[:] = np.nan  # whatever stood there does not matter
    potential, free_fall = gravity.forces(system, own_law)
    np.testing.assert_allclose(rows(system, AX, X_LOW), expected, rtol=1e-12, atol=1e-13 * np.abs(expected).max())
    assert kinetic + potential == pytest.approx(energy, rel=1e-12)
    assert gravity.potential_energy(system, own_law) == pytest.approx(potential, rel=1e-12, abs=1e-15)
    assert free_fall == pytest.approx(rate, rel=1e-12)
    assert gravity.fastest_free_fall(system, own_law) == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize("omega", OMEGAS.values(), ids=OMEGAS.keys())
@pytest.mark.parametrize("kind", ["plain", "units", "massless", "tide"])
@pytest.mark.parametrize("n_bodies", [2, 3, 9, 33])
def test_the_pass_with_omega_finds_the_same_forces(n_bodies, kind, omega):
    particle = particle_for(n_bodies, 3, kind)
    system = system_of(particle)
    expected = rows(system, AX, X_LOW).copy()
    omegas.forces_with_omega(system, law_of(particle), omega)
    np.testing.assert_allclose(rows(system, AX, X_LOW), expected, rtol=1e-12, atol=1e-13 * np.abs(expected).max())


def omega_by_numpy(mass, position, softening, weights):
    """In extended precision, for differences."""
    i, j = np.triu_indices(len(mass), 1)
    mass, position = mass.astype(np.longdouble), position.astype(np.longdouble)
    distance = np.sqrt(((position[:, i] - position[:, j]) ** 2).sum(0) + np.longdouble(softening) ** 2)
    weight = weights.unit + weights.by_sum * (mass[i] + mass[j]) + weights.by_product * mass[i] * mass[j]
    powers = np.where(mass[i] + mass[j] > 0, weight / distance, 0.0) ** weights.q
    return powers.sum() ** (1 / np.longdouble(weights.q))


@pytest.mark.parametrize("omega", OMEGAS.values(), ids=OMEGAS.keys())
@pytest.mark.parametrize(("softening", "massless"), [(0.0, False), (0.2, False), (0.0, True)])
@pytest.mark.parametrize("n_bodies", [2, 3, 7])
def test_omega_and_its_gradient(n_bodies, softening, massless, omega):
    system = system_of(cloud(7, n_bodies + massless, softening=softening, massless=massless))
    own_law = law(softening=softening)
    mass, position = rows(system, MASS, X)[0], rows(system, X, VX)
    value, factor = omegas.forces_with_omega(system, own_law, omega)
    assert value == pytest.approx(float(omega_by_numpy(mass, position, softening, omega)), rel=1e-12)
    assert omegas.omega_of(system, own_law, omega) == pytest.approx(value, rel=1e-12)

    step = np.longdouble(1e-6)
    gradient = np.zeros_like(position)
    for index in np.ndindex(position.shape):
        moved = np.zeros(position.shape, np.longdouble)
        moved[index] = step
        ends = (omega_by_numpy(mass, position + sign * moved, softening, omega) for sign in (1, -1))
        gradient[index] = float((next(ends) - next(ends)) / (2 * step))
    largest = np.abs(gradient).max()
    np.testing.assert_allclose(factor * rows(system, GX, REACH), gradient, rtol=1e-8, atol=1e-9 * largest)


@pytest.mark.parametrize("G", [1.0, 2.5])
def test_omega_of_the_logarithmic_hamiltonian_is_minus_the_potential(G):
    particle = cloud(3, 6, softening=0.1, G=G)
    system, own_law = system_of(particle), law_of(particle)
    omega, factor = omegas.forces_with_omega(system, own_law, Weights(1.0, 0.0, 0.0, G))
    assert omega == pytest.approx(-gravity.potential_energy(system, own_law), rel=1e-12)
    force = rows(system, MASS, X) * rows(system, AX, X_LOW)
    np.testing.assert_allclose(factor * rows(system, GX, REACH), force, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("n_dims", [2, 3])
@pytest.mark.parametrize("n_bodies", [1, 2, 9])
def test_energy_momentum_and_angular_momentum_are_those_of_the_torch_path(n_bodies, n_dims):
    particle = cloud(4, n_bodies, n_dims)
    books = np.zeros(1, BOOKS)[0]
    motion(system_of(particle), books)
    bodies = particle.bodies
    spin = np.atleast_1d(conserved.angular_momentum(bodies).numpy())
    assert books.kinetic_energy == pytest.approx(float(particle.kinetic_energy()), rel=1e-13)
    linear = [books[f"momentum_{axis}"] for axis in "xyz"]
    angular = [books[f"angular_momentum_{axis}"] for axis in "xyz"]
    np.testing.assert_allclose(linear[:n_dims], conserved.momentum(bodies), rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(angular[3 - len(spin) :], spin, rtol=1e-12, atol=1e-14)
    assert books.absolute_angular_momentum == pytest.approx(float(conserved.angular_momentum_scale(bodies)), rel=1e-13)
    speed = torch.linalg.vector_norm(particle.velocity, dim=-1)
    assert books.absolute_momentum == pytest.approx(float((particle.mass * speed).sum()), rel=1e-13)


def two_and_one(masses):
    """Two bodies at one point and a third at a distance."""
    return flat(masses, np.array([[1.0, 2.0], [1.0, 2.0], [0.0, 0.0]]), np.zeros((3, 2)))


@pytest.mark.parametrize("omega", [OMEGAS["sum"], OMEGAS["max"], OMEGAS["odd"]])
def test_two_massless_bodies_may_meet(omega):
    system = two_and_one([0.0, 0.0, 2.0])
    potential, free_fall = gravity.forces(system, law())
    assert (potential, free_fall) == pytest.approx((0.0, 2.0 / 5.0**1.5))
    np.testing.assert_allclose(rows(system, AX, X_LOW)[:2, :2], -2.0 * np.array([[1, 1], [2, 2]]) / 5.0**1.5)
    value, _ = omegas.forces_with_omega(system, law(), omega)
    assert np.isfinite([value, *rows(system, AX, REACH).reshape(-1)]).all()
    assert gravity.fastest_free_fall(system, law()) == pytest.approx(free_fall)
    assert omegas.omega_of(system, law(), omega) == pytest.approx(value)


@pytest.mark.parametrize("masses", [[1.0, 1.0, 2.0], [1.0, 0.0, 2.0]])
def test_attracting_bodies_at_one_point_are_betrayed_by_a_number_that_is_not_finite(masses):
    system = two_and_one(masses)
    potential, free_fall = gravity.forces(system, law())
    assert not math.isfinite(potential) or not np.isfinite(rows(system, AX, X_LOW)).all()
    assert free_fall == math.inf or math.isnan(free_fall)
    if masses[1] > 0.0:
        assert not math.isfinite(potential)
        assert not math.isfinite(gravity.potential_energy(system, law()))


def test_softened_bodies_may_meet():
    system = two_and_one([1.0, 1.0, 2.0])
    potential, free_fall = gravity.forces(system, law(softening=0.5))
    assert potential == pytest.approx(-(1 / 0.5 + 2 * 2 / math.sqrt(5.25)))
    assert free_fall == pytest.approx(2.0 / 0.5**3)
    assert np.isfinite(rows(system, AX, X_LOW)).all()
