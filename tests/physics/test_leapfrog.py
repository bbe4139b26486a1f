"""The leapfrog: order, symmetry, cost and derivatives."""

from __future__ import annotations

import math

import pytest
import torch
from tests.conftest import CountingField, kepler, random_bodies

from aitimestepper import InputError, ParticleTorch, PointMassTidalField, make_particle, stack_particles


def energy_error_after_one_orbit(particle: ParticleTorch, n_steps: int) -> float:
    before = particle.total_energy()
    particle.update_dt(particle.period / n_steps)
    largest = 0.0
    for _ in range(n_steps):
        particle.evolve()
        largest = max(largest, abs(float(particle.total_energy() / before) - 1.0))
    return largest


def test_leapfrog_is_second_order():
    coarse, fine = (energy_error_after_one_orbit(kepler(e=0.3), n) for n in (400, 800))
    assert math.log2(coarse / fine) == pytest.approx(2.0, abs=0.1)


def test_leapfrog_goes_back_the_way_it_came():
    particle = random_bodies(1)
    start = particle.position.clone()
    for dt in (0.01, -0.01):
        particle.update_dt(dt)
        for _ in range(50):
            particle.evolve()
    assert torch.allclose(particle.position, start, rtol=0, atol=1e-12)


def test_a_step_keeps_momentum_and_angular_momentum():
    particle = random_bodies(2, n_bodies=5)
    momentum, spin = particle.momentum(), particle.angular_momentum()
    particle.update_dt(0.01)
    for _ in range(20):
        particle.evolve()
    assert torch.allclose(particle.momentum(), momentum, rtol=0, atol=1e-13)
    assert torch.allclose(particle.angular_momentum(), spin, rtol=0, atol=1e-13)


def test_two_force_evaluations_for_each_step():
    """Known fault 18: n steps cost n + 1 evaluations, features and energies included."""
    field = CountingField()
    particle = kepler(e=0.5)
    particle.set_external_field(field)
    particle.update_dt(0.01)
    for _ in range(10):
        particle.system_features("rich")
        particle.evolve()
        particle.total_energy()
    assert field.forces == 11


@pytest.mark.parametrize("changed", ["position", "mass"])
def test_a_changed_state_is_not_moved_by_a_stale_force(changed):
    particle = random_bodies(3)
    particle.get_acceleration()
    with torch.no_grad():
        getattr(particle, changed)[0] += 0.25  # in place, which no setter sees
    fresh = ParticleTorch(particle.mass, particle.position, particle.velocity)
    assert torch.equal(particle.acceleration, fresh.acceleration)


def test_each_system_of_a_batch_advances_by_its_own_step_like_alone():
    singles = [random_bodies(seed) for seed in range(3)]
    batch = stack_particles(singles)
    steps = torch.tensor([0.01, 0.02, 0.005], dtype=torch.float64)
    batch.update_dt(steps)
    batch.evolve_batch()
    for index, (single, dt) in enumerate(zip(singles, steps, strict=True)):
        single.update_dt(dt)
        single.evolve()
        assert torch.allclose(batch.position[index], single.position, rtol=1e-14, atol=0)
        assert batch.current_time[index] == single.current_time
        assert torch.allclose(batch.total_energy_batch()[index], single.total_energy(), rtol=1e-14)


def test_a_field_that_changes_is_felt_at_both_ends_of_a_step():
    class Growing:
        def acceleration(self, position, time):
            return torch.zeros_like(position) + time[..., None, None]

        def potential(self, position, time):
            return -time[..., None] * position.sum(-1)

    particle = ParticleTorch([1.0], [[0.0]], [[0.0]], dt=0.5, current_time=2.0, external_field=Growing())
    particle.evolve()
    assert particle.velocity.item() == pytest.approx(0.25 * (2.0 + 2.5), rel=1e-15)


def test_derivatives_of_a_step_match_finite_differences():
    start = random_bodies(4, n_bodies=3, n_dims=2)

    def energy(dt, position, velocity, mass):
        particle = ParticleTorch.from_tensors(mass, position, velocity, dt=dt, softening=0.1)
        particle.set_external_field(PointMassTidalField(5.0, R_of_t=lambda t: torch.stack([4 + t, t * t], -1)))
        particle.evolve()
        particle.evolve()
        return particle.total_energy()

    dt = torch.tensor(0.03, dtype=torch.float64, requires_grad=True)
    tensors = [t.clone().requires_grad_() for t in (start.position, start.velocity, start.mass)]
    assert torch.autograd.gradcheck(energy, (dt, *tensors))


def test_clone_detached_keeps_everything_but_the_graph():
    particle = kepler(e=0.4)
    particle.softening = 0.05
    particle.set_external_field(PointMassTidalField(1.0, [5.0, 0.0]))
    particle.update_dt(torch.tensor(0.1, dtype=torch.float64, requires_grad=True))
    particle.evolve()
    twin = particle.clone_detached()
    assert (twin.softening, twin.external_field, twin.period) == (0.05, particle.external_field, particle.period)
    assert twin.dt == particle.dt
    assert twin.current_time == particle.current_time
    assert not any(
        t.requires_grad for t in (twin.position, twin.velocity, twin.dt, twin.current_time, twin.acceleration)
    )
    particle.position.data += 1.0
    assert not torch.equal(twin.position, particle.position)


@pytest.mark.parametrize(
    ("mass", "position", "match"),
    [
        ([1.0, -1.0], [[0.0, 0.0], [1.0, 0.0]], "mass must be >= 0"),
        ([0.0, 0.0], [[0.0, 0.0], [1.0, 0.0]], "at least one body"),
        ([1.0, 1.0], [[0.0, float("nan")], [1.0, 0.0]], "position must be finite"),
        ([1.0, 1.0, 1.0], [[0.0, 0.0], [1.0, 0.0]], "mass must be a scalar"),
        ([1.0, 1.0], [0.0, 1.0], r"shape \(..., N, D\)"),
    ],
)
def test_bodies_that_make_no_sense_are_refused(mass, position, match):
    with pytest.raises(InputError, match=match):
        ParticleTorch(mass, position, torch.zeros(torch.as_tensor(position).shape))


def test_a_particle_moves_under_its_own_constant():
    rows = [[1.0, 0.0, 0.0, 0.0, 0.0], [1e-3, 1.0, 0.0, 0.0, 2.0 * math.pi]]
    G = 4.0 * math.pi**2
    tensors = torch.tensor(rows, dtype=torch.float64)
    made = [
        make_particle(rows, G=G),
        ParticleTorch(tensors[:, 0], tensors[:, 1:3], tensors[:, 3:], G=G),
        ParticleTorch.from_tensors(tensors[:, 0], tensors[:, 1:3], tensors[:, 3:], G=G),
    ]
    for particle in made:
        other = particle.clone_detached()
        assert particle.total_energy() == other.total_energy(G) == other.total_energy_batch(G)
        assert torch.equal(particle.get_acceleration(), other.get_acceleration(G))
        particle.update_dt(0.01)
        other.update_dt(0.01)
        particle.evolve()
        other.evolve(G)
        assert particle.G == G
        assert torch.equal(particle.position, other.position)
        assert not torch.equal(other.get_acceleration(), other.get_acceleration(1.0))


def test_a_constant_that_is_given_to_a_step_stays():
    particle = kepler(e=0.3)
    particle.update_dt(0.01)
    particle.evolve(2.0)
    assert particle.G == 2.0
    assert particle.total_energy() == particle.total_energy(2.0)


def test_the_constructor_cuts_the_graph_and_from_tensors_keeps_it():
    mass, velocity = torch.ones(2, dtype=torch.float64), torch.zeros(2, 2, dtype=torch.float64)
    position = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64, requires_grad=True)
    assert not ParticleTorch(mass, position, velocity).total_energy().requires_grad
    assert ParticleTorch.from_tensors(mass, position, velocity).total_energy().requires_grad
