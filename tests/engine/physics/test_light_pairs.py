"""Light pairs beside heavy bodies: which get a weight of their own in Omega, and what Omega then is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.engine.builders import flat, law

from aitimestepper.constants import TRAITS
from aitimestepper.engine.features.description import describe
from aitimestepper.engine.layout import GX, HOST, LIGHT, X, n_attracting, n_bodies, row_of
from aitimestepper.engine.physics.gravity import forces
from aitimestepper.engine.physics.light_pairs import hidden_rate, weigh
from aitimestepper.engine.physics.omega import PAIR_NORM, forces_with_omega, omega_of
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.orbits import Elements, relative_state


def moon(a: float = 0.01, e: float = 0.8, planet: float = 1e-3, mass: float = 0.0, G: float = 1.0) -> InitialConditions:
    """A star of mass 1, a planet at 1 from it, and a moon at its apocentre."""
    position, velocity = np.zeros((3, 3)), np.zeros((3, 3))
    position[1:, 0], velocity[1:, 1] = 1.0, math.sqrt(G * (1.0 + planet))
    position[2, 0] -= a * (1.0 + e)
    velocity[2, 1] -= math.sqrt(G * (planet + mass) / a * (1.0 - e) / (1.0 + e))
    return InitialConditions(np.array([1.0, planet, mass]), position, velocity)


def system_of(bodies: InitialConditions) -> np.ndarray:
    return flat(bodies.mass, bodies.position, bodies.velocity)


@pytest.mark.parametrize("G", [1.0, 39.4])
@pytest.mark.parametrize(
    ("a", "e", "planet", "mass"), [(0.01, 0.8, 1e-3, 0.0), (0.003, 0.9, 1e-5, 1e-9), (0.01, 0.0, 1e-3, 1e-5)]
)
def test_a_moon_gets_the_weight_with_which_h_is_its_step_in_eccentric_anomaly(a, e, planet, mass, G):
    system = system_of(moon(a, e, planet, mass, G))
    assert weigh(system, law(G=G), first=True)
    host, light = row_of(system, HOST), row_of(system, LIGHT)
    # c of the star and its planet is sqrt(M a), that of the moon weight / sqrt(2 |k|).
    c = math.sqrt((1.0 + planet) / G)
    assert host[2] == 1.0
    assert light.tolist()[:2] == [0.0, 0.0]
    # The star and the moon are a pair, too, and c is a mean over both.
    assert light[2] == pytest.approx(c * math.sqrt(G * (planet + mass) / a), rel=0.15)
    assert not weigh(system, law(G=G), first=False)


def test_the_step_of_a_moon_does_not_depend_on_where_it_is():
    """h_ref of the description is c, which varies with the velocity of the moon in its pair with the star."""
    references = []
    for anomaly in (0.0, 10.0, 60.0, 180.0):
        bodies = moon()
        x, v = relative_state(Elements(0.8, 0.01, anomaly), 1e-3)
        position, velocity = bodies.position.copy(), bodies.velocity.copy()
        position[2], velocity[2] = position[1] + x, velocity[1] + v
        system = flat(bodies.mass, position, velocity)
        weigh(system, law(), first=True)
        _, free_fall = forces(system, law())
        references.append(describe(np.zeros(TRAITS), system, free_fall, law()))
    assert 0.7 < min(references) <= max(references) < 1.6


@pytest.mark.parametrize(
    "bodies",
    [
        InitialConditions(
            np.array([1.0, 1e-3]), np.array([[0.0, 0.0], [1.0, 0.0]]), np.array([[0.0, 0.0], [0.0, 0.3]])
        ),
        moon(a=0.08, e=0.0, planet=1e-4),  # outside the Hill sphere
        moon(a=0.01, e=0.8, planet=1.0),  # as heavy as the star: Omega shows it
    ],
    ids=["two bodies", "not isolated", "shown"],
)
def test_no_other_pair_gets_a_weight(bodies):
    system = system_of(bodies)
    assert not weigh(system, law(), first=True)
    assert not row_of(system, LIGHT).any()


@pytest.mark.parametrize("seed", range(20))
def test_bodies_of_like_mass_keep_the_sum_of_their_masses(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 9))
    system = flat(rng.uniform(0.5, 1.5, n), rng.normal(size=(n, 3)), 0.5 * rng.normal(size=(n, 3)))
    assert not weigh(system, law(), first=True)


def test_a_pair_that_has_parted_loses_its_weight_only_where_it_is_far_apart():
    system = system_of(moon())
    weigh(system, law(), first=True)
    n = n_bodies(system)
    x, v = relative_state(Elements(0.8, 0.01, 0.0), 1e-3)
    bodies = moon()
    near = flat(
        bodies.mass, np.vstack([bodies.position[:2], bodies.position[1] + x]),
        np.vstack([bodies.velocity[:2], bodies.velocity[1] + v]),
    )  # fmt: skip
    row_of(near, HOST)[2], row_of(near, LIGHT)[2] = 1.0, row_of(system, LIGHT)[2]
    before = row_of(near, LIGHT).copy()
    row_of(near, LIGHT)[2] *= 3.0
    assert not weigh(near, law(), first=False)
    assert row_of(near, LIGHT)[2] == 3.0 * before[2]
    row_of(system, X)[2] += 0.5  # unbound
    assert weigh(system, law(), first=False)
    assert not system[LIGHT * n : (LIGHT + 1) * n].any()


@pytest.mark.parametrize("softening", [0.0, 0.02])
def test_omega_and_its_gradient_have_the_pair_with_its_weight(softening):
    of_law = law(softening=softening)
    bodies = moon(mass=1e-6)
    system = system_of(bodies)
    weigh(system, of_law, first=True)
    weight = row_of(system, LIGHT)[2]

    def value(position):
        r = np.sqrt(((position[None] - position[:, None]) ** 2).sum(-1) + softening**2)
        i, j = np.triu_indices(3, 1)
        return (((bodies.mass[i] + bodies.mass[j]) / r[i, j]) ** 4).sum() + (weight / r[1, 2]) ** 4

    expected = value(bodies.position) ** 0.25
    assert omega_of(system, of_law, PAIR_NORM) == pytest.approx(expected, rel=1e-13)
    omega, factor = forces_with_omega(system, of_law, PAIR_NORM)
    assert omega == pytest.approx(expected, rel=1e-13)
    gradient = factor * system[GX * 3 : (GX + 3) * 3].reshape(3, 3)
    for body in range(3):
        for k in range(3):
            moved = [bodies.position.copy(), bodies.position.copy()]
            moved[0][body, k] += 1e-7
            moved[1][body, k] -= 1e-7
            slope = (value(moved[0]) ** 0.25 - value(moved[1]) ** 0.25) / 2e-7
            assert gradient[k, body] == pytest.approx(slope, rel=1e-5, abs=1e-5 * expected)


def test_pairs_that_omega_does_not_show_are_those_for_which_a_step_may_be_too_long():
    bodies = moon(mass=1e-6)
    system = system_of(bodies)
    omega = omega_of(system, law(), PAIR_NORM)
    r = np.linalg.norm(bodies.position[2] - bodies.position[1])
    assert hidden_rate(system, law(), omega) == pytest.approx((1e-3 + 1e-6) / r**3, rel=1e-12)
    weigh(system, law(), first=True)
    assert hidden_rate(system, law(), omega) == 0.0
    n = n_bodies(system)
    system[HOST * n : (LIGHT + 1) * n] = 0.0
    assert hidden_rate(system, law(), 0.01 * omega) == 0.0


def test_bodies_behind_the_last_with_mass_do_not_attract_each_other():
    assert n_attracting(flat([1.0, 0.0, 2.0, 0.0, 0.0], np.eye(5, 3), np.zeros((5, 3)))) == 3
    assert n_attracting(flat([0.0, 0.0], np.eye(2, 3), np.zeros((2, 3)))) == 0
