"""Force and energy belong together, and no pair of a body with itself ever spoils them."""

from __future__ import annotations

import pytest
import torch
from tests.conftest import kepler, random_bodies

from aitimestepper import InputError, ParticleTorch, PointMassTidalField
from aitimestepper.physics import gravity
from aitimestepper.physics.conserved import relative_energy_error


@pytest.mark.parametrize(("softening", "G"), [(0.0, 1.0), (0.3, 1.0), (0.1, 4.5)])
def test_force_is_minus_the_gradient_of_the_potential(softening, G):
    bodies = random_bodies(5, n_bodies=4).bodies
    position = bodies.position.clone().requires_grad_()
    energy = gravity.potential_energy(bodies.mass, position, softening=softening, G=G)
    (gradient,) = torch.autograd.grad(energy, position)
    force = bodies.mass[:, None] * gravity.acceleration(bodies.mass, bodies.position, softening=softening, G=G)
    assert torch.allclose(force, -gradient, rtol=1e-12)


def test_two_energy_formulas_with_different_regularisation():
    """Known fault 1: at r = 1e-6 the energy is that of Newton's law, and the force belongs to it."""
    particle = ParticleTorch([1.0, 1.0], [[0.0, 0.0], [1e-6, 0.0]], torch.zeros(2, 2))
    assert particle.total_energy().item() == pytest.approx(-1e6, rel=1e-12)
    assert particle.acceleration[0, 0].item() == pytest.approx(1e12, rel=1e-12)


def test_a_float32_simulator():
    """Known fault 2: double precision throughout, so that rounding stays near 1e-16."""
    particle = kepler(e=0.1)
    particle.update_dt(1e-4)
    before = particle.total_energy()
    for _ in range(100):
        particle.evolve()
    assert {t.dtype for t in (particle.position, particle.dt, particle.current_time, before)} == {torch.float64}
    assert relative_energy_error(before, particle.total_energy()) < 1e-10


def test_the_self_pair_gives_finite_values_and_gradients_without_softening():
    mass = torch.tensor([1.0, 2.0, 0.0], dtype=torch.float64, requires_grad=True)
    position = torch.randn(3, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    total = gravity.acceleration(mass, position).sum() + gravity.potential_energy(mass, position)
    gradients = torch.autograd.grad(total, (mass, position))
    assert torch.isfinite(total)
    assert all(torch.isfinite(g).all() for g in gradients)


def test_a_massless_body_is_moved_and_moves_nothing():
    alone = gravity.acceleration(torch.tensor([1.0, 1.0]).double(), torch.tensor([[0.0, 0.0], [1.0, 0.0]]).double())
    mass = torch.tensor([1.0, 1.0, 0.0], dtype=torch.float64)
    position = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.5, 1.0]], dtype=torch.float64)
    together = gravity.acceleration(mass, position)
    assert torch.equal(together[:2], alone)
    assert together[2].abs().max() > 0.1


def test_shortest_pair_time_is_that_of_the_tightest_attracting_pair():
    mass = torch.tensor([1.0, 3.0, 0.0, 0.0], dtype=torch.float64)
    position = torch.tensor([[0.0], [2.0], [50.0], [50.001]], dtype=torch.float64)
    assert gravity.shortest_pair_time(mass, position, G=2.0).item() == pytest.approx((8 / 8) ** 0.5)


def test_tidal_field_is_minus_the_gradient_of_its_potential():
    field = PointMassTidalField(7.0, [3.0, -2.0, 1.0], G=1.3, softening=0.2)
    position = random_bodies(6).position.requires_grad_()
    time = torch.zeros((), dtype=torch.float64)
    (gradient,) = torch.autograd.grad(field.potential(position, time).sum(), position)
    assert torch.allclose(field.acceleration(position, time), -gradient, rtol=1e-12)
    origin = torch.zeros(1, 3, dtype=torch.float64)
    assert field.acceleration(origin, time).abs().max() < 1e-15
    assert field.potential(origin, time).abs().max() < 1e-15


def test_energy_of_an_external_field_left_out():
    """Known fault 15: with the tide in the energy a fine leapfrog conserves it; without, it seems not to."""
    particle = kepler(e=0.2)
    particle.set_external_field(PointMassTidalField(20.0, [6.0, 1.0]))
    particle.update_dt(particle.period / 4000)
    before, bare_before = particle.total_energy(), particle.kinetic_energy() + _pair_energy(particle)
    errors, bare_errors = [], []
    for _ in range(2000):
        particle.evolve()
        errors.append(float(relative_energy_error(before, particle.total_energy())))
        bare_errors.append(
            float(relative_energy_error(bare_before, particle.kinetic_energy() + _pair_energy(particle)))
        )
    assert max(errors) < 1e-4 * max(bare_errors)


def _pair_energy(particle):
    return gravity.potential_energy(particle.mass, particle.position)


@pytest.mark.parametrize(
    "arguments",
    [{"M": -1.0, "R0": [1.0, 0.0]}, {"M": 1.0}, {"M": 1.0, "R0": [0.0, 0.0]}, {"M": 1.0, "R0": [1.0], "R_of_t": abs}],
)
def test_a_tidal_field_that_makes_no_sense_is_refused(arguments):
    with pytest.raises(InputError, match=r"R0|M and G"):
        PointMassTidalField(**arguments)


def test_relative_energy_error_is_pushed_away_from_zero_in_the_direction_of_the_sign():
    before = torch.tensor([0.0, -1e-12, 1e-12, -2.0], dtype=torch.float64)
    error = relative_energy_error(before, before + 1e-12)
    assert error.tolist() == pytest.approx([1.0, 0.5, 0.5, 5e-13])
    assert relative_energy_error(torch.tensor(1.0), torch.tensor(float("nan"))) == 1.0
