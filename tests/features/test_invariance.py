"""Features do not see what physics does not see."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import random_bodies

from aitimestepper import HistoryBuffer, ParticleTorch

STATE_TYPES = ("basic", "rich", "invariant")


def moved(particle: ParticleTorch, *, angle=0.0, shift=0.0, boost=0.0, order=None) -> ParticleTorch:
    c, s = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
    order = list(range(particle.n_bodies)) if order is None else order
    return ParticleTorch(
        particle.mass[order],
        (particle.position @ turn.T + shift)[order],
        (particle.velocity @ turn.T + boost)[order],
        dt=particle.dt,
    )


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    angle=st.floats(0, 6.3),
    shift=st.floats(-10, 10),
    boost=st.floats(-10, 10),
    order=st.permutations(range(4)),
)
@pytest.mark.parametrize("mode", STATE_TYPES)
def test_features_do_not_depend_on_order_place_motion_or_orientation(mode, seed, angle, shift, boost, order):
    particle = random_bodies(seed, n_bodies=4)
    other = moved(particle, angle=angle, shift=shift, boost=boost, order=order)
    assert torch.allclose(other.system_features(mode), particle.system_features(mode), rtol=1e-7, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), angle=st.floats(0, 6.3), shift=st.floats(-10, 10), order=st.permutations(range(4)))
def test_delta_mag_does_not_depend_on_order_place_or_orientation(seed, angle, shift, order):
    states = [random_bodies(seed, n_bodies=4)]
    states.append(ParticleTorch(states[0].mass, states[0].position + 0.1, states[0].velocity * 1.1, dt=0.1))

    def features(change):
        window = HistoryBuffer(2, "delta_mag")
        first, last = (moved(state, **change) for state in states)
        window.push(first)
        return window.features_for(last)

    plain, changed = features({}), features({"angle": angle, "shift": shift, "order": order})
    assert torch.allclose(changed, plain, rtol=1e-7, atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), length=st.floats(1e-3, 1e3), mass=st.floats(1e-3, 1e3), G=st.floats(1e-3, 1e3))
def test_invariant_features_have_no_units(seed, length, mass, G):
    particle = random_bodies(seed)
    speed = (G * mass / length) ** 0.5
    scaled = ParticleTorch(particle.mass * mass, particle.position * length, particle.velocity * speed, G=G)
    assert torch.allclose(
        scaled.system_features("invariant"), particle.system_features("invariant"), rtol=1e-9, atol=1e-9
    )


def test_invariant_features_are_even_in_the_velocities():
    particle = random_bodies(8)
    back = ParticleTorch(particle.mass, particle.position, -particle.velocity)
    assert torch.equal(back.system_features("invariant"), particle.system_features("invariant"))


def test_invariant_features_know_the_eccentricity_and_not_the_phase():
    from tests.conftest import kepler

    for e in (0.3, 0.9):
        near, far = (kepler(e, at=at).system_features("invariant")[3] for at in ("pericentre", "apocentre"))
        assert near.item() == pytest.approx(math.log(e**2 + 1e-4), rel=1e-9)
        assert far.item() == pytest.approx(near.item(), rel=1e-9)


@pytest.mark.parametrize(("mode", "length"), [("basic", 11), ("rich", 23), ("invariant", 10)])
@pytest.mark.parametrize("n_bodies", [1, 2, 5])
def test_lengths_and_finite_values_for_one_body_and_many(mode, length, n_bodies):
    features = random_bodies(9, n_bodies=n_bodies, batch=(4,)).system_features(mode)
    assert features.shape == (4, length)
    assert torch.isfinite(features).all()


def test_basic_features_are_the_ones_of_the_specification():
    particle = ParticleTorch([1.0, 3.0], [[0.0, 0.0], [4.0, 0.0]], [[0.0, 4.0], [0.0, 0.0]])
    expected = [2, 2, 4, 2, 3, 2, 3, 0.125, 3 / 16, 4, 4]  # centre of mass at x = 3, moving with v = 1
    assert particle.system_features("basic").tolist() == pytest.approx(expected)


@pytest.mark.parametrize("mode", [*STATE_TYPES, "delta_mag"])
def test_gradients_of_features_are_finite_for_coincident_bodies_and_bodies_at_rest(mode):
    position = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    velocity = torch.zeros(2, 2, dtype=torch.float64, requires_grad=True)
    particle = ParticleTorch.from_tensors(torch.ones(2, dtype=torch.float64), position, velocity)
    window = HistoryBuffer(2, mode)
    features = window.features_for(particle)
    gradients = torch.autograd.grad(features.sum(), (position, velocity), allow_unused=True)
    assert torch.isfinite(features).all()
    assert all(g is None or torch.isfinite(g).all() for g in gradients)


def test_delta_mag_features_are_those_of_the_interval():
    mass = [1.0, 1.0]
    first = ParticleTorch(mass, [[0.0, 0.0], [4.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]], dt=0.5)
    last = ParticleTorch(mass, [[3.0, 4.0], [4.0, 0.0]], [[0.0, 0.0], [2.0, 1.0]], dt=0.25)
    window = HistoryBuffer(1, "delta_mag")
    window.push(first)
    changes = torch.linalg.vector_norm(last.acceleration - first.acceleration, dim=-1)
    jerk = [changes.mean().item(), changes.max().item(), changes.square().mean().sqrt().item()]
    expected = [2.5, 5.0, 12.5**0.5, 1.0, 2.0, 2.0**0.5, *jerk, 0.25]
    assert window.features_for(last).tolist() == pytest.approx(expected)


def test_the_first_invariant_features_are_the_leading_error_of_the_leapfrog():
    """H_2 = {{T,V},T}-type and {{T,V},V}-type terms: sum m_i m_j (v^2 - 3 v_r^2) / 12 r^3 and sum m a^2 / 24."""
    particle = ParticleTorch([1.0, 2.0], [[0.0, 0.0], [2.0, 0.0]], [[0.0, 0.0], [0.6, 0.5]])
    masses, distance, speed, radial = 2.0, 2.0, 0.36 + 0.25, 0.36
    kinetic = 0.5 * (1 * 2 / 3) * speed
    energy = kinetic + masses / distance
    rate = masses / (distance * energy) * (speed + 3.0 / distance) / distance**2
    curvature = masses / (distance**3 * energy) * (speed - 3 * radial) / 12 / rate
    kick = (1 * 0.5**2 + 2 * 0.25**2) / (24 * energy * rate)
    assert particle.system_features("invariant")[:3].tolist() == pytest.approx([curvature, kick, curvature - kick])
