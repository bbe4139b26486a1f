"""Kepler steps against elements in extended precision, and what an orbit keeps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aitimestepper.engine.physics.kepler import kepler_factors, stumpff
from aitimestepper.engine.physics.kepler_lanes import _PLACES, LANES, kepler_steps

LONG = np.longdouble
MU = 1.7


def bisected(equation, low, high):
    """The root of a growing function in extended precision."""
    low, high = LONG(low), LONG(high)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if equation(middle) < 0 else (low, middle)
    return (low + high) / 2


def state_on_orbit(eccentricity, time):
    """Position and velocity at a time from the pericentre, by the elements; a = 1, or q = 1 of a parabola."""
    e, mu, n = LONG(eccentricity), LONG(MU), np.sqrt(LONG(MU))
    if e < 1:
        anomaly = bisected(lambda E: E - e * np.sin(E) - n * LONG(time), n * LONG(time) - 2, n * LONG(time) + 2)
        c, s, b = np.cos(anomaly), np.sin(anomaly), np.sqrt(1 - e * e)
        rate = n / (1 - e * c)
        return np.array([c - e, b * s]), np.array([-s * rate, b * c * rate])
    if e > 1:
        anomaly = bisected(lambda F: e * np.sinh(F) - F - n * LONG(time), -30, 30)
        c, s, b = np.cosh(anomaly), np.sinh(anomaly), np.sqrt(e * e - 1)
        rate = n / (e * c - 1)
        return np.array([e - c, b * s]), np.array([-s * rate, b * c * rate])
    tangent = bisected(lambda D: D + D**3 / 3 - np.sqrt(mu / 2) * LONG(time), -1000, 1000)
    rate = np.sqrt(mu / 2) / (1 + tangent**2)
    return np.array([1 - tangent**2, 2 * tangent]), np.array([-2 * tangent * rate, 2 * rate])


def stepped(position, velocity, dt, mu=MU):
    distance, eta = math.hypot(*position), float(position @ velocity)
    f, g, f_dot, g_dot = kepler_factors(distance, eta, 2 * mu / distance - float(velocity @ velocity), mu, dt)
    return position + (f * position + g * velocity), velocity + (f_dot * position + g_dot * velocity)


def error_of_a_step(eccentricity, begin, dt):
    """Largest relative error of position and velocity, over what rounding of the start alone may do to them."""
    position, velocity = (part.astype(float) for part in state_on_orbit(eccentricity, begin))
    x, v = stepped(position, velocity, dt)
    right_x, right_v = state_on_orbit(eccentricity, LONG(begin) + LONG(dt))
    size_x, size_v = (float(np.sqrt((part**2).sum())) for part in (right_x, right_v))
    errors = float(np.abs(x - right_x).max()) / size_x, float(np.abs(v - right_v).max()) / size_v
    rounding = [0.0, 0.0]
    for k in range(4):
        moved = np.concatenate([position, velocity])
        moved[k] *= 1.0 + 2.0**-48
        near_x, near_v = stepped(moved[:2], moved[2:], dt)
        rounding[0] += float(np.abs(near_x - x).max()) / size_x / 16
        rounding[1] += float(np.abs(near_v - v).max()) / size_v / 16
    return max(errors[k] / (rounding[k] + 2.0**-52) for k in range(2))


@pytest.mark.parametrize("dt", [1e-3, 0.3, -0.3, 2.0, 40.0, -1000.0])
@pytest.mark.parametrize("eccentricity", [0.0, 0.1, 0.5, 0.9, 0.99, 0.9999, 1.0, 1.0001, 1.5, 4.0])
def test_a_step_is_as_exact_as_its_start(eccentricity, dt):
    draw = np.random.default_rng(1)
    errors = [error_of_a_step(eccentricity, draw.uniform(-2.4, 2.4), dt) for _ in range(20)]
    assert max(errors) < 32.0


@pytest.mark.parametrize("z", [-300.0, -3.0, -1.0, -1e-3, 0.0, 0.5, 1.0, 1.0000001, 9.0, 39.0])
def test_stumpff_functions_are_what_their_series_say(z):
    for k, value in enumerate(stumpff(z)):
        terms = [(-LONG(z)) ** i / LONG(math.factorial(2 * i + k)) for i in range(80)]
        assert value == pytest.approx(float(sum(terms)), rel=2e-15, abs=3e-15)


@pytest.mark.parametrize("speed", [0.0, 1.0, math.sqrt(2 * MU), 3.0])
@pytest.mark.parametrize("dt", [0.2, -0.2])
def test_a_radial_orbit(speed, dt):
    # Before the two meet: the motion along a line, of which the energy gives the time by a quadrature.
    x, v = stepped(np.array([1.0, 0.0]), np.array([speed, 0.0]), dt)
    energy = 0.5 * speed**2 - MU
    assert 0.5 * v[0] ** 2 - MU / x[0] == pytest.approx(energy, abs=1e-14)
    back_x, back_v = stepped(x, v, -dt)
    assert back_x[0] == pytest.approx(1.0, abs=1e-15)
    assert back_v[0] == pytest.approx(speed, abs=3e-15)
    # dt is the integral of dx / v, here by many small steps of the middle.
    path = np.array([1.0, speed])
    n = 4000
    for _ in range(n):
        h = dt / n
        k1 = np.array([path[1], -MU / path[0] ** 2])
        k2 = np.array([path[1] + 0.5 * h * k1[1], -MU / (path[0] + 0.5 * h * k1[0]) ** 2])
        path = path + h * k2
    assert x[0] == pytest.approx(path[0], rel=1e-7)


def test_without_mass_bodies_move_uniformly():
    assert kepler_factors(1.0, 0.3, -1.0, 0.0, 2.5) == (0.0, 2.5, 0.0, 0.0)


def rows_of_orbits(eccentricities, seed=3):
    """Rows for `kepler_steps`, with orbits turned in space, a = 1 to 2 and a first body that is not moved."""
    draw = np.random.default_rng(seed)
    n = len(eccentricities) + 1
    rows = np.zeros((15, n))
    rows[:6, 0] = 1.0
    rows[6] = MU
    for k, e in enumerate(eccentricities, 1):
        x, v = (part.astype(float) for part in state_on_orbit(e, draw.uniform(-2.4, 2.4)))
        turn = np.linalg.qr(draw.normal(size=(3, 3)))[0][:, :2]
        size = 1.0 + k / n
        rows[:3, k], rows[3:6, k] = size * (turn @ x), turn @ v / math.sqrt(size)
    return rows


def advance(rows, dt, n_steps):
    work = np.empty(_PLACES * LANES)
    flat = rows.reshape(-1)
    for _ in range(n_steps):
        kepler_steps(flat, 0, rows.shape[1], 1, dt, work)


@pytest.mark.parametrize("count", [1, 3, 4, 9])
@pytest.mark.parametrize("dt", [0.05, -0.4, 3.0])
def test_four_at_a_time_is_one_at_a_time(count, dt):
    rows = rows_of_orbits(([0.0, 0.2, 0.97, 1.3, 0.05] * 2)[:count])
    before = rows.copy()
    advance(rows, dt, 1)
    assert rows[:, 0].tolist() == before[:, 0].tolist()
    for k in range(1, count + 1):
        x, v = stepped(before[:3, k], before[3:6, k], dt)
        assert rows[:3, k] == pytest.approx(x, rel=1e-13, abs=1e-13)
        assert rows[3:6, k] == pytest.approx(v, rel=1e-13, abs=1e-13)


def conserved(rows):
    x, v = rows[:3, 1:] + rows[9:12, 1:], rows[3:6, 1:] + rows[12:15, 1:]
    energy = 0.5 * (v**2).sum(0) - MU / np.sqrt((x**2).sum(0))
    return energy, np.cross(x.T, v.T).T


def test_energy_and_angular_momentum_do_not_drift():
    rows = rows_of_orbits([0.0, 0.05, 0.1, 0.2, 0.3, 0.3, 0.4, 0.5])
    energy, momentum = conserved(rows)
    errors = []
    for _ in range(100):
        advance(rows, 0.31, 1000)
        now, turned = conserved(rows)
        errors.append(now / energy - 1.0)
        assert np.abs(turned - momentum).max() < 3e-13
    # A drift of one rounding a step would be 1e-11; a random walk is the root of the number of steps.
    assert np.abs(errors).max() < 40.0 * math.sqrt(1e5) * 2.0**-53
    assert abs(np.mean(errors[-1])) < 10.0 * math.sqrt(1e5) * 2.0**-53


def test_a_step_and_one_back_return():
    rows = rows_of_orbits([0.0, 0.3, 0.6, 0.9, 0.99, 1.2])
    before = rows.copy()
    advance(rows, 0.7, 1)
    advance(rows, -0.7, 1)
    assert rows[:6] == pytest.approx(before[:6], rel=1e-12, abs=1e-12)
