"""The low parts of positions and velocities: what they add, and that they are kept."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from tests.engine.builders import flat, law, rows

from aitimestepper.arrays import Floats
from aitimestepper.engine.layout import AX, GX, LOW, VX, X_LOW, X
from aitimestepper.engine.physics.gravity import forces, potential_energy
from aitimestepper.engine.physics.integrators import LEAPFROG, STAGES, TTL, Method, leapfrog_step, ttl_step
from aitimestepper.engine.physics.low_parts import separation
from aitimestepper.engine.physics.omega import PAIR_NORM, Weights, forces_with_omega, omega_of

WEIGHTS = (PAIR_NORM, Weights(1.0, 0.0, 0.0, 1.0), Weights(6.0, 1.0, 0.0, 0.0))


def near_pair(away: float, n_bodies: int = 4, seed: int = 3) -> tuple[Floats, Floats]:
    """Bodies of which two are 1e-6 from each other and `away` from the origin, with low parts; and the same bodies
    about the first of them, where low parts do not matter."""
    random = np.random.default_rng(seed)
    mass = random.uniform(0.5, 2.0, n_bodies)
    position = away + random.normal(size=(n_bodies, 3))
    position[1] = position[0] + 1e-6 * random.normal(size=3)
    velocity = random.normal(size=(n_bodies, 3))
    low = 0.4 * np.spacing(position) * random.uniform(-1.0, 1.0, position.shape)
    about = [
        [float(Fraction(x) + Fraction(y) - Fraction(a) - Fraction(b)) for x, y, a, b in zip(*row, strict=True)]
        for row in zip(position, low, [position[0]] * n_bodies, [low[0]] * n_bodies, strict=True)
    ]
    system = flat(mass, position, velocity)
    rows(system, X_LOW, X_LOW + 3)[:] = low.T
    return system, flat(mass, np.array(about), velocity)


@pytest.mark.parametrize("softening", [0.0, 3e-7])
@pytest.mark.parametrize("away", [1.0, 100.0])
def test_a_close_pair_has_the_digits_that_its_low_parts_give(away, softening):
    system, about = near_pair(away)
    own_law = law(softening=softening)
    assert forces(system, own_law)[0] == pytest.approx(forces(about, own_law)[0], rel=1e-14)
    np.testing.assert_allclose(rows(system, AX, X_LOW)[:, :2], rows(about, AX, X_LOW)[:, :2], rtol=3e-12)
    assert potential_energy(system, own_law) == pytest.approx(potential_energy(about, own_law), rel=1e-15)
    # Without low parts eight digits of the force would be left, or six.
    rows(system, X_LOW, GX)[:] = 0.0
    forces(system, own_law)
    assert abs(rows(system, AX, X_LOW) / rows(about, AX, X_LOW) - 1.0)[:, :2].max() > 1e-11 * away


@pytest.mark.parametrize("weights", WEIGHTS)
def test_omega_and_its_gradient_have_them_too(weights):
    system, about = near_pair(1e3)
    omega, factor = forces_with_omega(system, law(), weights)
    assert (omega, factor) == pytest.approx(forces_with_omega(about, law(), weights), rel=1e-13)
    np.testing.assert_allclose(rows(system, GX, GX + 3)[:, :2], rows(about, GX, GX + 3)[:, :2], rtol=1e-11)
    np.testing.assert_allclose(rows(system, AX, X_LOW)[:, :2], rows(about, AX, X_LOW)[:, :2], rtol=1e-11)
    assert omega_of(system, law(), weights) == pytest.approx(omega, rel=1e-14)


def test_a_body_without_mass_has_them_as_others():
    system, about = near_pair(1.0)
    for each in (system, about):
        rows(each, 0, 1)[0, 1:] = 0.0
    forces_with_omega(system, law(), PAIR_NORM)
    forces_with_omega(about, law(), PAIR_NORM)
    np.testing.assert_allclose(rows(system, GX, GX + 3)[:, 1], rows(about, GX, GX + 3)[:, 1], rtol=1e-12)
    np.testing.assert_allclose(rows(system, AX, X_LOW)[:, 1], rows(about, AX, X_LOW)[:, 1], rtol=1e-12)


def test_a_separation_is_exact_to_its_last_digit():
    system, about = near_pair(1e4)
    assert separation(system, 0, 1) == pytest.approx(tuple(rows(about, X, VX)[:, 1]), rel=1e-15)


@pytest.mark.parametrize("kind", [LEAPFROG, TTL])
def test_a_small_step_is_not_lost_where_positions_are_large(kind):
    """A thousand steps, each a tenth of the last digit of a position."""
    system = flat([1.0, 1.0], [[1.0, 0, 0], [2.0, 0, 0]], [[0, 0, 0], [0, 0, 0]])
    rows(system, VX, VX + 3)[0] = 1.0
    dt = 0.1 * np.spacing(1.0)
    for _ in range(1000):
        if kind == LEAPFROG:
            leapfrog_step(system, dt, STAGES[2], law(G=0.0))
        else:
            ttl_step(system, 1.0, 0.0, dt, Method(TTL, STAGES[2], Weights(1.0, 1.0, 0.0, 0.0)), law(G=0.0))
    position = rows(system, X, VX)[0]
    assert position == pytest.approx([1.0 + 1000 * dt, 2.0 + 1000 * dt], abs=np.spacing(2.0))
    assert position[0] > 1.0
    assert position[1] > 2.0
    assert (np.abs(rows(system, X, AX)) * 2.0**-53 >= np.abs(rows(system, X + LOW, AX + LOW))).all()


def test_an_eccentric_pair_far_from_the_origin_keeps_its_energy():
    """e = 0.999 at a thousand times its semi-major axis: without low parts the error is 1e-9."""
    a, e, away = 1.0, 0.999, 1000.0
    far = a * (1.0 + e)
    speed = np.sqrt(2.0 / far - 1.0 / a)
    system = flat([1.0, 0.0], [[away, 0, 0], [away + far, 0, 0]], [[0, 0, 0], [0, speed, 0]])
    rows(system, 0, 1)[0] = 0.5, 0.5
    rows(system, VX, VX + 3)[1] = -0.5 * speed, 0.5 * speed
    method, omega, low = Method(TTL, STAGES[8], PAIR_NORM), omega_of(system, law(), PAIR_NORM), 0.0

    def energy() -> float:
        return 0.25 * float((rows(system, VX, AX) ** 2).sum()) + potential_energy(system, law())

    before, worst = energy(), 0.0
    for _ in range(1000):
        omega, low, _ = ttl_step(system, omega, low, 0.2, method, law())
        worst = max(worst, abs(energy() / before - 1.0))
    assert worst < 1e-10
