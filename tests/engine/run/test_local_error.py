"""The local position error of a step is its distance from two halves of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.engine.builders import cloud, flat, law, rows
from tests.engine.run.builders import constant_model

from aitimestepper import Config, simulate
from aitimestepper.engine.layout import LAG, X_LOW
from aitimestepper.engine.physics.gravity import forces
from aitimestepper.engine.physics.integrators import LEAPFROG, STAGES, TTL, Method, leapfrog_step, ttl_step
from aitimestepper.engine.physics.omega import PAIR_NORM, omega_of
from aitimestepper.engine.run import local_error as errors
from aitimestepper.systems.orbits import Elements, two_body


def pull(mass, position, G=1.0, softening=0.0):
    apart = position[None] - position[:, None]
    cubed = ((apart**2).sum(-1) + softening**2) ** 1.5
    np.fill_diagonal(cubed, 1.0)
    return G * (mass[None, :, None] * apart / cubed[..., None]).sum(1)


def kick_drift_kick(state, dt, order, **law_keys):
    mass, x, v = state
    for fraction in STAGES[order]:
        v = v + 0.5 * fraction * dt * pull(mass, x, **law_keys)
        x = x + fraction * dt * v
        v = v + 0.5 * fraction * dt * pull(mass, x, **law_keys)
    return mass, x, v


def error_by_numpy(whole, halves, ahead, elapsed, G=1.0, softening=0.0):
    """Largest over the bodies of the error for each dynamical time, and the dynamical times of the fastest."""
    mass, x, _ = whole
    distance = np.sqrt(((x[None] - x[:, None]) ** 2).sum(-1) + softening**2)
    np.fill_diagonal(distance, math.inf)
    rate = (mass[None] + mass[:, None]) / distance**3
    nearest = rate.argmax(1)
    own = distance[np.arange(len(mass)), nearest]
    phase = np.sqrt(G * rate.max(1)) * elapsed
    error = np.linalg.norm(x - halves[1] - halves[2] * ahead, axis=-1)
    return (error / (own * phase)).max(), phase.max()


@pytest.mark.parametrize("order", [2, 4])
def test_the_local_error_of_a_leapfrog_step_is_its_distance_from_two_halves(order):
    keys = {"G": 2.5, "softening": 0.1}
    particle = cloud(3, 5, **keys)
    state = tuple(tensor.numpy() for tensor in particle.bodies)
    of_law = law(**keys)
    system = flat(*state)
    forces(system, of_law)
    before = system.copy()
    leapfrog_step(system, 0.1, STAGES[order], of_law)
    found = errors.halved(before, 0.0, system, 0.1, 0.1, Method(LEAPFROG, STAGES[order], PAIR_NORM), of_law)
    whole = kick_drift_kick(state, 0.1, order, **keys)
    halves = kick_drift_kick(kick_drift_kick(state, 0.05, order, **keys), 0.05, order, **keys)
    assert found == pytest.approx(error_by_numpy(whole, halves, 0.0, 0.1, **keys), rel=1e-7)


def ttl_by_numpy(state, omega, h):
    """Drift, kick, drift with Omega = (sum (M / r)^4)^(1/4) and G = 1; also the time that passes."""
    mass, x, v = state
    i, j = np.triu_indices(len(mass), 1)
    elapsed = 0.5 * h / omega
    x = x + elapsed * v
    apart = x[i] - x[j]
    power = (mass[i] + mass[j]) ** 4 / (apart**2).sum(-1) ** 2
    true = power.sum() ** 0.25
    kicked = v + h / true * pull(mass, x)
    mean = 0.5 * (v + kicked)
    climb = -(power[:, None] * apart / (apart**2).sum(-1)[:, None] * (mean[i] - mean[j])).sum() * true / power.sum()
    omega += h / true * climb
    return (mass, x + 0.5 * h / omega * kicked, kicked), omega, elapsed + 0.5 * h / omega


def test_the_local_error_of_a_ttl_step_is_taken_at_equal_times():
    state = tuple(tensor.numpy() for tensor in cloud(4, 4).bodies)
    system, h = flat(*state), 0.3
    omega = omega_of(system, law(), PAIR_NORM)
    before = system.copy()
    method = Method(TTL, STAGES[2], PAIR_NORM)
    _, _, elapsed = ttl_step(system, omega, 0.0, h, method, law())
    found = errors.halved(before, omega, system, h, elapsed, method, law())
    whole, _, passed = ttl_by_numpy(state, omega, h)
    assert passed == pytest.approx(elapsed)
    halves, later, first = ttl_by_numpy(state, omega, 0.5 * h)
    halves, _, second = ttl_by_numpy(halves, later, 0.5 * h)
    ahead = passed - first - second
    assert abs(ahead) > 1e-4 * passed
    assert found == pytest.approx(error_by_numpy(whole, halves, ahead, passed), rel=1e-7)


def test_halves_that_are_only_late_have_no_error():
    state = tuple(tensor.numpy() for tensor in cloud(5, 4).bodies)
    mass, x, v = state
    worst, phase = errors.local_error(flat(mass, x, v), flat(mass, x - 0.01 * v, v), 0.01, 0.1, law())
    assert worst < 1e-13
    assert phase > 0.0
    moved = x + np.array([1e-3, 0.0, 0.0])
    assert errors.local_error(flat(mass, x, v), flat(mass, moved, v), 0.0, 0.1, law())[0] > 1e-3


def test_a_massless_body_is_measured_and_two_of_them_are_no_pair():
    mass = np.array([1.0, 0.0, 0.0])
    x = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.0 + 1e-6, 0.0, 0.0]])
    halves = x.copy()
    halves[1, 1] = 1e-4
    worst, phase = errors.local_error(flat(mass, x, 0 * x), flat(mass, halves, 0 * x), 0.0, 0.1, law())
    assert phase == pytest.approx(0.1)
    assert worst == pytest.approx(1e-4 / 0.1)


def test_the_rounding_of_positions_is_no_error_of_the_step():
    """Of what a step adds to them: what they are themselves is known better."""
    x, v = np.array([[1e6, 0.0, 0.0], [1e6 + 1e-3, 0.0, 0.0]]), np.array([[1e3, 0.0, 0.0], [-1e3, 0.0, 0.0]])
    system, halves = flat([1.0, 1.0], x, v), flat([1.0, 1.0], x, v)
    rows(halves, X_LOW, X_LOW + 1)[:] = 4e-13
    assert errors.local_error(system, halves, 0.0, 1.0, law())[0] == 0.0
    rows(halves, X_LOW, X_LOW + 1)[:] = 4e-12
    assert errors.local_error(system, halves, 0.0, 1.0, law())[0] > 0.0


@pytest.mark.parametrize("order", [2, 4, 6, 8])
@pytest.mark.parametrize("integrator", ["ttl", "leapfrog"])
def test_the_position_error_of_a_run_is_the_true_one_of_its_steps(tmp_path, order, integrator):
    """On a circle every step is like the first, whose error is known."""
    factor = {2: 0.1, 4: 0.4, 6: 0.8, 8: 1.0}[order] * (1.0 if integrator == "ttl" else 0.5)
    pair = two_body((1.0, 1e-3), Elements(0.0, 1.0, 0.0))
    run = simulate(
        tolerance=0.01, tolerance_kind="none", model=constant_model(tmp_path, factor * 0.01 ** (-1.0 / order)),
               integrator=integrator, order=order, steps=100, every=1,
        system=pair,
    )  # fmt: skip
    angle = math.sqrt(1.001) * run.time[1]
    body = pair.position[1] @ np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    true = np.linalg.norm(run.position[1, 1] - body) / angle
    assert 1e-9 < true < 1e-2
    assert run.summary.position_error_max == pytest.approx(true, rel=0.15)


def test_what_lags_make_of_positions_is_the_error_of_a_run():
    """A pair that is late by a time is as far from its position as its relative speed takes it in that time."""
    x, v = np.array([[-0.5, 0.0, 0.0], [0.5, 0.0, 0.0]]), np.array([[0.0, -0.5, 0.0], [0.0, 0.5, 0.0]])
    system = flat([1.0, 1.0], x, v)
    rows(system, LAG, LAG + 1)[:] = 1e-3
    assert errors.run_position_error(system, law()) == pytest.approx(0.5e-3)


def test_a_moon_is_off_by_its_own_error_and_by_that_of_its_planet():
    x = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [1.01, 0.0, 0.0]])
    v = np.array([[0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 1.3, 0.0]])
    system = flat([1.0, 1e-3, 0.0], x, v)
    rows(system, LAG, LAG + 1)[0] = 0.0, 2e-4, 5e-4
    expected = (5e-4 * 0.3 + 2e-4 * 1.0 / 1.001) / 0.01
    assert errors.run_position_error(system, law()) == pytest.approx(expected)


@pytest.mark.parametrize(("e", "tolerance"), [(0.0, 1e-5), (0.6, 1e-5), (0.9, 1e-5), (0.9, 1e-8)])
def test_the_estimate_of_the_position_error_at_the_end_is_near_the_true_one(e, tolerance):
    system = two_body((1.0, 0.3), Elements(e, 1.0, 100.0), dim=2)
    duration = 30.3 * system.period
    run, right = (simulate(config=Config(duration=duration, tolerance=x), system=system) for x in (tolerance, 1e-12))
    apart = np.linalg.norm(right.position[-1, 0] - right.position[-1, 1])
    true = np.linalg.norm(run.position[-1] - right.position[-1], axis=-1).max() / apart
    assert run.summary.position_error_run is not None
    assert 0.3 < run.summary.position_error_run / true < 3.0


def test_three_bodies_that_are_about_equally_near_to_each_other_are_noticed():
    def seen(mass, position):
        return errors.is_democratic(flat(mass, position, np.zeros((len(mass), 3))), law())

    triangle = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.5, 0.9, 0.0]])
    assert seen([1.0, 0.9, 0.5], triangle)
    assert not seen([1.0, 0.9, 0.5], triangle * [1.0, 3.0, 1.0])
    assert not seen([1.0, 1e-3, 1e-3], triangle)  # planets
    assert seen([1.0, 1e-3, 1e-3], np.array([[0.0, 0, 0], [1.0, 0, 0], [1.1, 0, 0]]))  # that meet
    assert not seen([1.0, 1e-3, 0.0], np.array([[0.0, 0, 0], [1.0, 0, 0], [1.03, 0, 0]]))  # a moon
    assert not seen([1.0, 0.0, 0.0, 0.0], np.array([[0.0, 0, 0], [1.0, 0, 0], [1.01, 0, 0], [0, 1.0, 0]]))  # a ring
    assert not seen([1.0, 1.0], triangle[:2])


@pytest.mark.parametrize(
    ("ic", "duration", "known"),
    [
        ("pythagorean", 60.0, False),
        ("hierarchical-triple:e_in=0.3,a_out=10", 200.0, True),
        ("solar-system", 50.0, True),
    ],
)
def test_a_position_error_at_the_end_is_estimated_where_orbits_are_regular(ic, duration, known):
    summary = simulate(config=Config(ic=ic, duration=duration, tolerance=1e-6)).summary
    assert (summary.position_error_run is not None) == known
