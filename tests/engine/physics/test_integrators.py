"""Orders, symmetry and what is exact."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from tests.conftest import kepler
from tests.engine.builders import MAX_OMEGA, OMEGAS, cloud, energy, flat, law, law_of, rows, system_of

from aitimestepper.engine.layout import AX, MASS, VX, X_LOW, X
from aitimestepper.engine.physics import gravity
from aitimestepper.engine.physics import omega as omegas
from aitimestepper.engine.physics.integrators import STAGES, TTL, Method, leapfrog_step, ttl_step

ORDERS = tuple(STAGES)
INTEGRATORS = ("leapfrog", *OMEGAS)


def figure_eight():
    """Three equal masses that follow each other (Chenciner & Montgomery 2000); its period is 6.3259."""
    x, y, u, v = 0.97000436, -0.24308753, 0.466203685, 0.43236573
    return flat([1.0] * 3, np.array([[x, y], [-x, -y], [0, 0]]), np.array([[u, v], [u, v], [-2 * u, -2 * v]]))


def advance(system, integrator, order, step, n_steps, own_law=None, omega=None):
    """Many steps in place; returns the last auxiliary Omega and the time that has passed."""
    own_law = own_law or law()
    if integrator == "leapfrog":
        gravity.forces(system, own_law)
        for _ in range(n_steps):
            leapfrog_step(system, step, STAGES[order], own_law)
        return 0.0, n_steps * step
    weights = OMEGAS[integrator]
    time, low, omega = 0.0, 0.0, omega or omegas.omega_of(system, own_law, weights)
    for _ in range(n_steps):
        omega, low, elapsed = ttl_step(system, omega, low, step, Method(TTL, STAGES[order], weights), own_law)
        time += elapsed
    return omega, time


@pytest.mark.parametrize("order", ORDERS)
def test_stages_are_palindromes_that_make_a_whole_step(order):
    stages = STAGES[order]
    assert stages.tolist() == stages[::-1].tolist()
    assert math.fsum(stages) == pytest.approx(1.0, abs=1e-15)
    assert len(stages) == {2: 1, 4: 5, 6: 9, 8: 17}[order]


def end_of_a_third(integrator, order, n_steps):
    """Positions and velocities of the figure-eight after a fixed stretch of the integrator's own variable, its time."""
    system = figure_eight()
    stretch = 2.1 if integrator == "leapfrog" else 2.1 * omegas.omega_of(system, law(), OMEGAS[integrator])
    _, time = advance(system, integrator, order, stretch / n_steps, n_steps)
    return np.append(rows(system, X, AX), time)


@pytest.mark.parametrize("integrator", INTEGRATORS)
@pytest.mark.parametrize(("order", "n_steps"), [(2, 200), (4, 60), (6, 48), (8, 22)])
def test_orders(integrator, order, n_steps):
    exact = end_of_a_third(integrator, 8, 200)
    coarse, fine = (np.abs(end_of_a_third(integrator, order, n) - exact).max() for n in (n_steps, 3 * n_steps // 2))
    assert fine > 1e-13, "rounding, not the method"
    assert math.log(coarse / fine, 1.5) == pytest.approx(order, abs=0.6)


@pytest.mark.parametrize("order", ORDERS)
def test_leapfrog_and_time_transformed_leapfrog_agree_on_the_orbit(order):
    """Both at the time where the second one arrives."""
    one, other = figure_eight(), figure_eight()
    _, time = advance(one, "max", order, 0.004, 400)
    advance(other, "leapfrog", order, time / 800, 800)
    np.testing.assert_allclose(rows(one, X, AX), rows(other, X, AX), atol=1e-4 if order == 2 else 1e-7)


def test_the_leapfrog_is_that_of_the_torch_path():
    particle = cloud(1, 5, softening=0.1, G=1.5)
    system = system_of(particle)
    advance(system, "leapfrog", 2, 0.01, 10, law_of(particle))
    particle.update_dt(0.01)
    for _ in range(10):
        particle.evolve(particle.G)
    expected = (particle.position, particle.velocity, particle.acceleration)
    for first, tensor in zip((X, VX, AX), expected, strict=True):
        np.testing.assert_allclose(rows(system, first, first + 3).T, tensor.numpy(), rtol=1e-11, atol=1e-12)


def test_a_step_returns_energy_and_rate_of_the_state_reached():
    particle = cloud(2, 6)
    system = system_of(particle)
    potential, free_fall = leapfrog_step(system, 0.01, STAGES[4], law())
    assert potential == pytest.approx(gravity.potential_energy(system, law()), rel=1e-13)
    assert free_fall == pytest.approx(gravity.fastest_free_fall(system, law()), rel=1e-13)
    before = rows(system, AX, X_LOW).copy()
    gravity.forces(system, law())
    np.testing.assert_array_equal(rows(system, AX, X_LOW), before)


@pytest.mark.parametrize("integrator", INTEGRATORS)
@pytest.mark.parametrize("order", ORDERS)
def test_a_negative_step_returns(integrator, order):
    particle = cloud(3, 4, softening=0.2)
    tide = law(softening=0.2, tide=(5.0, 6.0, 2.0, 1.0))
    system = system_of(particle)
    before = rows(system, X, AX).copy()
    omega, there = advance(system, integrator, order, 0.05, 20, tide)
    assert np.abs(rows(system, X, VX) - before[:3]).max() > 0.1
    first_omega, back = advance(system, integrator, order, -0.05, 20, tide, omega)
    np.testing.assert_allclose(rows(system, X, AX), before, atol=1e-12)
    assert back == pytest.approx(-there, rel=1e-12)
    if integrator != "leapfrog":
        assert first_omega == pytest.approx(omegas.omega_of(system, tide, OMEGAS[integrator]), rel=1e-12)


def orbit_of(system):
    """Energy and angular momentum of the relative orbit, each divided by the reduced mass."""
    apart, moving = (np.diff(rows(system, first, first + 3))[:, 0] for first in (X, VX))
    both = rows(system, MASS, X).sum()
    return 0.5 * (moving**2).sum() - both / math.sqrt((apart**2).sum()), *np.cross(apart, moving)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("omega", OMEGAS)
@pytest.mark.parametrize(("m1", "m2"), [(1.0, 1.0), (1.0, 1e-3), (0.25, 4.0)])
@pytest.mark.parametrize("step", [0.01, 0.3, 3.0, 40.0])
def test_two_bodies_keep_to_their_orbit_at_any_step(step, m1, m2, omega, order):
    """The step is a multiple of what takes a radian at the circular orbit; e = 0.9, from pericentre."""
    system = system_of(kepler(0.9, m1, m2))
    unit = omegas.omega_of(system, law(), OMEGAS[omega]) * 0.1 / math.sqrt(m1 + m2)
    before = orbit_of(system)
    advance(system, omega, order, step * unit, 20)
    assert orbit_of(system) == pytest.approx(before, rel=1e-10 if step > 1 else 1e-11, abs=1e-11)


@pytest.mark.parametrize("omega", ["sum", "square", "max", "max, mass sum", "odd"])
def test_a_massless_body_keeps_to_its_orbit_round_a_massive_one(omega):
    system = flat([1.0, 0.0], np.array([[0.0, 0.0], [0.1, 0.0]]), np.array([[0.0, 0.0], [0.0, math.sqrt(19.0)]]))
    before = orbit_of(system)
    advance(system, omega, 2, 0.5, 50)
    assert orbit_of(system) == pytest.approx(before, rel=1e-11, abs=1e-11)
    assert not rows(system, X, AX)[:, 0].any()


def test_the_leapfrog_does_not_keep_to_the_orbit():
    """Otherwise the tests above would show nothing."""
    system = system_of(kepler(0.9))
    before = orbit_of(system)
    advance(system, "leapfrog", 2, 0.01, 100)
    assert abs(orbit_of(system)[0] / before[0] - 1.0) > 1e-3


@pytest.mark.parametrize("integrator", ["leapfrog", "log-h"])
def test_a_massless_body_moves_nothing(integrator):
    particle = cloud(4, 3)
    mass = [*particle.mass.tolist(), 0.0]
    position = torch.cat([particle.position, torch.ones(1, 3).double()])
    velocity = torch.cat([particle.velocity, torch.zeros(1, 3).double()])
    alone, together = system_of(particle), flat(mass, position.numpy(), velocity.numpy())
    for system in (alone, together):
        advance(system, integrator, 4, 0.02, 30)
    np.testing.assert_allclose(rows(together, X, AX)[:, :3], rows(alone, X, AX), atol=1e-12)
    assert np.abs(rows(together, X, VX)[:, 3] - 1.0).max() > 1e-3


@pytest.mark.parametrize("integrator", INTEGRATORS)
def test_momentum_and_angular_momentum_are_kept(integrator):
    system = system_of(cloud(5, 4, softening=0.1))
    mass = rows(system, MASS, X)

    def conserved():
        position, velocity = rows(system, X, VX), rows(system, VX, AX)
        spin = np.cross(position.T, velocity.T).T
        return np.append((mass * velocity).sum(1), (mass * spin).sum(1))

    before = conserved()
    advance(system, integrator, 2, 0.05, 100, law(softening=0.1))
    np.testing.assert_allclose(conserved(), before, atol=1e-12)


def test_energy_errors_do_not_grow():
    """Ten periods of the figure-eight: the largest error of the last is about that of the first."""
    system = figure_eight()
    before, errors = energy(system, law()), []
    omega, low = omegas.omega_of(system, law(), MAX_OMEGA), 0.0
    for _ in range(3000):
        omega, low, _ = ttl_step(system, omega, low, 0.05, Method(TTL, STAGES[2], MAX_OMEGA), law())
        errors.append(abs(energy(system, law()) - before))
    assert max(errors[-300:]) < 1.5 * max(errors[:300])
