"""What the engine shows a network is what the network saw in training."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import kepler, random_bodies
from tests.engine.builders import cloud, free_fall_of, law_of, rows, system_of

from aitimestepper import HistoryBuffer, ParticleTorch
from aitimestepper.engine.features.summary import BASIC, DELTA_MAG, INVARIANT, RICH, WIDTHS, Sight, fill_features
from aitimestepper.engine.layout import EARLIER, GX, MASS, X_LOW, X
from aitimestepper.features.scales import NormScales

KINDS = {"basic": BASIC, "rich": RICH, "invariant": INVARIANT}
SCALES = NormScales(L0=2.0, V0=0.7, A0=5.0, T0=0.3)


def sight_of(kind, n_dims=3, scales=SCALES, history=0):
    return Sight(kind, history, n_dims, *scales)


def by_engine(particle, mode, free_fall=None):
    out = np.full(WIDTHS[KINDS[mode]], np.nan)
    free_fall = free_fall_of(particle) if free_fall is None else free_fall
    sight = sight_of(KINDS[mode], particle.n_dims)
    fill_features(out, system_of(particle), free_fall, 0.0, law_of(particle), sight)
    return out


def assert_twins(particle, mode, rtol=1e-11):
    expected = particle.system_features(mode, SCALES).numpy()
    np.testing.assert_allclose(by_engine(particle, mode), expected, rtol=rtol, atol=1e-12)


@pytest.mark.parametrize("n_dims", [1, 2, 3])
@pytest.mark.parametrize("n_bodies", [*range(1, 19), 31, 40])
@pytest.mark.parametrize("mode", KINDS)
def test_features_are_those_of_the_torch_path(mode, n_bodies, n_dims):
    assert_twins(cloud(n_bodies, n_bodies, n_dims), mode)


@pytest.mark.parametrize("n_bodies", [1, 2, 3, 10])
@pytest.mark.parametrize(
    "keys", [{"softening": 0.3}, {"G": 4.5}, {"massless": True}, {"massless": True, "softening": 0.1, "G": 0.2}]
)
@pytest.mark.parametrize("mode", KINDS)
def test_features_with_softening_units_and_massless_bodies(mode, keys, n_bodies):
    assert_twins(cloud(50 + n_bodies, n_bodies, **keys), mode)


@pytest.mark.parametrize("mode", KINDS)
@pytest.mark.parametrize("e", [0.0, 0.3, 0.99])
def test_features_of_two_bodies(e, mode):
    for at in ("pericentre", "apocentre"):
        assert_twins(kepler(e, 1.0, 0.2, at=at), mode)


@pytest.mark.parametrize("softening", [0.0, 0.5])
@pytest.mark.parametrize("n_bodies", [1, 2, 5])
@pytest.mark.parametrize("mode", KINDS)
def test_features_of_a_zero_state(mode, n_bodies, softening):
    """What stands for a state that is not known: everything zero but the masses."""
    mass = 1.0 + np.arange(n_bodies)
    nothing = np.zeros((n_bodies, 3))
    particle = ParticleTorch(mass, nothing, nothing, softening=softening)
    zeros = particle.snapshot().zeroed()
    particle = particle.with_state(particle.bodies, zeros.dt, zeros.dt, zeros.dt, zeros.acceleration)
    expected = particle.system_features(mode, SCALES).numpy()
    for free_fall in (0.0, free_fall_of(particle)):
        np.testing.assert_allclose(by_engine(particle, mode, free_fall), expected, rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("masses", [[1.0, 2.0, 0.5, 1.0], [1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0]])
@pytest.mark.parametrize("mode", KINDS)
def test_features_where_bodies_coincide(mode, masses):
    particle = cloud(60, 4)
    position, velocity = particle.position, particle.velocity
    assert_twins(ParticleTorch(masses, position[[0, 1, 1, 3]], velocity), mode)
    assert_twins(ParticleTorch(masses, position[[0, 1, 1, 3]], velocity[[0, 1, 1, 3]]), mode)


@pytest.mark.parametrize("mode", KINDS)
def test_features_of_bodies_at_rest(mode):
    particle = cloud(61, 5)
    assert_twins(ParticleTorch(particle.mass, particle.position, 0.0 * particle.velocity), mode)


@pytest.mark.parametrize("mass", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("length", [1e-30, 1.0, 1e30])
@pytest.mark.parametrize("n_bodies", [2, 3, 10])
def test_invariant_features_in_extreme_units(n_bodies, length, mass):
    plain = cloud(62, n_bodies)
    scaled = ParticleTorch(plain.mass * mass, plain.position * length, plain.velocity * math.sqrt(mass / length))
    assert_twins(scaled, "invariant")
    np.testing.assert_allclose(by_engine(scaled, "invariant"), by_engine(plain, "invariant"), rtol=1e-10, atol=1e-12)


exponents = st.lists(st.floats(-25, 0), min_size=4, max_size=4)


@settings(max_examples=60)
@given(seed=st.integers(0, 1000), masses=exponents, nearer=st.floats(-12, 0), slower=st.floats(-6, 6))
def test_invariant_features_where_a_light_close_pair_sets_the_pace(seed, masses, nearer, slower):
    """Their powers leave the range of numbers unless the unit is well chosen."""
    plain = random_bodies(seed, 4)
    position = plain.position.clone()
    position[3] = position[2] + 10.0**nearer * (position[3] - position[2])
    mass = 10.0 ** torch.tensor(masses, dtype=torch.float64)
    # What cancels in the mean motion and in v^2 - v_r^2 is lost in both twins.
    particle = ParticleTorch(mass, position, plain.velocity * 10.0**slower)
    expected = particle.system_features("invariant").numpy()
    np.testing.assert_allclose(by_engine(particle, "invariant"), expected, rtol=1e-9, atol=1e-9)


def interval_by_engine(first, last, n_dims):
    system = system_of(last)
    if first is not None:
        before = system_of(first)
        rows(system, EARLIER, EARLIER + 9)[:] = rows(before, X, X_LOW)
    out = np.full(WIDTHS[DELTA_MAG], np.nan)
    sight = sight_of(DELTA_MAG, n_dims, history=1)
    fill_features(out, system, free_fall_of(last), float(last.dt), law_of(last), sight)
    return out


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("n_dims", [2, 3])
@pytest.mark.parametrize("n_bodies", [1, 2, 3, 10, 33])
def test_changes_are_those_of_the_history_buffer(n_bodies, n_dims, known):
    first, last = cloud(70, n_bodies, n_dims, softening=0.1, G=2.0), cloud(71, n_bodies, n_dims, softening=0.1, G=2.0)
    last.mass = first.mass
    first.update_dt(0.2)
    last.update_dt(0.125)
    window = HistoryBuffer(1, "delta_mag", SCALES)
    if known:
        window.push(first)
    changes = interval_by_engine(first if known else None, last, n_dims)
    np.testing.assert_allclose(changes, window.features_for(last).numpy(), rtol=1e-12, atol=1e-13)


def test_a_state_at_rest_is_not_taken_for_one_that_is_not_known():
    first, last = cloud(72, 3), cloud(73, 3)
    first = ParticleTorch(first.mass, first.position, 0.0 * first.velocity, dt=0.1)
    last.mass = first.mass
    window = HistoryBuffer(1, "delta_mag", SCALES)
    window.push(first)
    np.testing.assert_allclose(interval_by_engine(first, last, 3), window.features_for(last).numpy(), rtol=1e-12)


@pytest.mark.parametrize("mode", KINDS)
def test_features_leave_the_state_alone(mode):
    particle = cloud(74, 7)
    system = system_of(particle)
    before = system.copy()
    out = np.empty(WIDTHS[KINDS[mode]])
    sight = sight_of(KINDS[mode])
    fill_features(out, system, free_fall_of(particle), 0.0, law_of(particle), sight)
    np.testing.assert_array_equal(rows(system, MASS, GX), rows(before, MASS, GX))
    np.testing.assert_array_equal(rows(system, EARLIER, EARLIER + 9), rows(before, EARLIER, EARLIER + 9))
