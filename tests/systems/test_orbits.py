import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aitimestepper import InitialConditionsError
from aitimestepper.systems.clusters import kinetic_energy, potential_energy
from aitimestepper.systems.orbits import (
    Elements,
    eccentric_anomaly,
    halley,
    hierarchical_triple,
    osculating_period,
    relative_state,
    sample_orbits,
    two_body,
)

angles = st.floats(-720.0, 720.0)
elements_3d = st.builds(
    Elements, st.floats(0.0, 0.9999), st.floats(1e-3, 1e3), angles, st.floats(0.0, 180.0), angles, angles
)
masses = st.tuples(st.floats(1e-3, 1e3), st.just(0.0) | st.floats(1e-20, 1e3))


def relative(system):
    return system.position[1] - system.position[0], system.velocity[1] - system.velocity[0]


@given(st.floats(-math.pi, math.pi), st.sampled_from([0.0, 0.3, 0.9, 0.99, 0.9999]))
def test_keplers_equation_is_solved_to_round_off(mean_anomaly, eccentricity):
    anomaly = eccentric_anomaly(mean_anomaly, eccentricity)
    assert anomaly - eccentricity * math.sin(anomaly) == pytest.approx(mean_anomaly, abs=4e-16 * math.pi)


def test_keplers_equation_next_to_the_pericentre_of_a_needle():
    # There E is large against M: (1 - e) E + e E^3 / 6 = M.
    anomaly = eccentric_anomaly(1e-12, 0.9999)
    assert 1e-4 * anomaly + 0.9999 * anomaly**3 / 6 == pytest.approx(1e-12, rel=1e-9)


@given(elements_3d, masses)
def test_energy_and_angular_momentum_follow_from_the_elements(elements, masses):
    system = two_body(masses, elements, dim=3)
    kinetic = kinetic_energy(system.mass, system.velocity)
    potential = potential_energy(system.mass, system.position)
    energy = -masses[0] * masses[1] / (2.0 * elements.semi_major_axis)
    assert kinetic + potential == pytest.approx(energy, rel=1e-13, abs=1e-14 * (kinetic - potential))
    r, v = relative(system)
    e, a, gm = elements.eccentricity, elements.semi_major_axis, sum(masses)
    momentum = np.cross(r, v)
    assert np.linalg.norm(momentum) == pytest.approx(math.sqrt(gm * a * (1 - e) * (1 + e)), rel=1e-12)
    assert momentum[2] / np.linalg.norm(momentum) == pytest.approx(
        math.cos(math.radians(elements.inclination)), abs=1e-12
    )


@given(elements_3d, masses)
def test_the_eccentricity_vector_points_to_the_pericentre(elements, masses):
    r, v = relative(two_body(masses, elements, dim=3))
    vector = np.cross(v, np.cross(r, v)) / sum(masses) - r / np.linalg.norm(r)
    to_pericentre, _ = relative_state(elements._replace(mean_anomaly=0.0), 1.0)
    to_pericentre /= np.linalg.norm(to_pericentre)
    # The two terms of the vector cancel when e is small and grow with 1 / (1 - e) where the motion is fast.
    np.testing.assert_allclose(vector, elements.eccentricity * to_pericentre, atol=1e-11)


@given(elements_3d, masses)
def test_unequal_masses_have_no_momentum(elements, masses):
    system = two_body(masses, elements, dim=3)
    momenta = system.mass[:, None] * system.velocity
    assert np.abs(momenta.sum(axis=0)).max() <= 1e-15 * np.abs(momenta).sum()


def test_orbits_start_at_the_apocentre_unless_told():
    r, v = relative(two_body((1.0, 0.5), Elements(0.6, 2.0)))
    np.testing.assert_allclose(r, [-3.2, 0.0], atol=1e-15)
    assert v[1] < 0  # counter-clockwise
    r, _ = relative(two_body((1.0, 0.5), Elements(0.6, 2.0, mean_anomaly=0.0)))
    np.testing.assert_allclose(r, [0.8, 0.0], atol=1e-15)


def test_a_quarter_of_the_period_later_the_mean_anomaly_is_90_degrees_further():
    """Kepler's motion itself is the judge: integrate the orbit with many small steps."""
    elements = Elements(0.5, 1.3, 20.0, 40.0, 50.0, 60.0)
    r, v = relative_state(elements, 1.5)
    period = two_body((1.0, 0.5), elements, dim=3).period
    steps = 5000
    dt = 0.25 * period / steps
    for _ in range(steps):
        v = v - 0.5 * dt * 1.5 * r / np.linalg.norm(r) ** 3
        r = r + dt * v
        v = v - 0.5 * dt * 1.5 * r / np.linalg.norm(r) ** 3
    expected, _ = relative_state(elements._replace(mean_anomaly=110.0), 1.5)
    np.testing.assert_allclose(r, expected, atol=1e-6)


@given(elements_3d, masses)
def test_the_period_is_recovered_from_a_state(elements, masses):
    system = two_body(masses, elements, dim=3)
    assert osculating_period(system.mass, system.position, system.velocity, 1.0) == pytest.approx(
        system.period, rel=1e-10
    )


def test_an_unbound_pair_has_no_period():
    assert osculating_period(np.ones(2), np.array([[0.0], [1.0]]), np.array([[0.0], [2.0]]), 1.0) == 0.0
    assert osculating_period(np.ones(2), np.zeros((2, 1)), np.zeros((2, 1)), 1.0) == 0.0


@pytest.mark.parametrize("dim", [2, 3])
def test_sampled_orbits_stay_in_their_ranges(dim):
    G = 4.0
    orbits = sample_orbits(
        np.random.default_rng(7),
        count=50,
        e_range=(0.6, 0.95),
        a_range=(0.5, 2.0),
        dim=dim,
        G=G,
        mass_ratio_range=(0.1, 1.0),
    )
    assert len(orbits) == 50
    for system in orbits:
        r, v = relative(system)
        gm = G * system.mass.sum()
        a = 1.0 / (2.0 / np.linalg.norm(r) - v @ v / gm)
        momentum = np.cross(*np.pad([r, v], ((0, 0), (0, 3 - dim))))
        assert 0.5 <= a <= 2.0
        assert 0.6 - 1e-9 <= math.sqrt(1 - momentum @ momentum / (gm * a)) <= 0.95 + 1e-9
        assert 0.1 <= system.mass[1] <= system.mass[0] == 1.0
        assert system.period == pytest.approx(math.tau * math.sqrt(a**3 / gm), rel=1e-10)
        assert system.n_dims == dim


def test_sampled_orbits_depend_on_the_generator_alone():
    ranges = {"count": 3, "e_range": (0.0, 0.9), "a_range": (1.0, 1.0)}
    first, second = (sample_orbits(np.random.default_rng(3), **ranges) for _ in range(2))
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.position, other.position)
    assert not np.allclose(first[0].position, first[1].position)


def test_halley_returns_after_75_years_and_its_perihelion_lies_inside_venus():
    comet = halley()
    assert comet.period / math.tau == pytest.approx(75.3, abs=0.1)
    assert np.linalg.norm(relative(comet)[0]) == pytest.approx(17.834 * 1.96714, rel=1e-12)
    assert np.linalg.norm(relative(halley(0.0))[0]) == pytest.approx(0.586, abs=1e-3)
    assert np.cross(*relative(comet))[2] < 0, "its motion is retrograde"


def test_triple_reproduces_a_published_start():
    """SpaceHub's Kozai-Lidov case; its x-y plane is seen from the other side, hence the signs of z."""
    system = hierarchical_triple(
        (1.0, 1.0, 1.0),
        Elements(0.001, 10.0, 0.0, inclination=96.7, pericentre=180.0),
        Elements(0.5, 100.0, 0.0, pericentre=180.0),
    )
    x = [21.661666666666669, 11.671666666666667, -33.33333333333333]
    v = [[0, 0.07388552865893562, 0.2223018994221075], [0, 0.12611447134106443, -0.2223018994221075], [0, -0.2, 0]]
    np.testing.assert_allclose(system.position, [[value, 0, 0] for value in x], atol=1e-13)
    np.testing.assert_allclose(system.velocity, v, atol=1e-13)
    assert system.period == pytest.approx(math.tau * math.sqrt(1e3 / 2))


def test_a_triple_whose_orbits_cross_is_refused():
    with pytest.raises(InitialConditionsError, match=r"outer orbit must stay outside .* = 1 must be > .* = 1.3"):
        hierarchical_triple((1.0, 1.0, 1.0), Elements(0.3, 1.0), Elements(0.5, 2.0))
