"""The description of a state is its formulas, and does not see what physics does not see."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engine.builders import flat, law

from aitimestepper import ParticleTorch
from aitimestepper.constants import TRAITS
from aitimestepper.engine.features.description import INVARIANTS, describe
from aitimestepper.engine.physics.gravity import forces
from aitimestepper.engine.physics.light_pairs import weigh
from aitimestepper.systems.orbits import Elements, two_body

PLAIN = law()
BODIES = st.integers(0, 10**6).map(lambda seed: bodies(seed))


def bodies(seed: int, *, n: int = 5, massless: int = 1):
    rng = np.random.default_rng(seed)
    mass = 10.0 ** rng.uniform(-2.0, 0.0, n)
    mass[n - massless :] = 0.0
    position, velocity = rng.normal(size=(n, 3)), rng.normal(size=(n, 3))
    return tuple(np.array(a) for a in (mass, position - mass @ position / mass.sum(), velocity - mass @ velocity))


def described(mass, position, velocity, of_law=PLAIN):
    """The 22 ratios and the step."""
    return _described(flat(mass, position, velocity), of_law)


def described_with_light_pairs(mass, position, velocity, of_law=PLAIN):
    """The same at the start of a run, with the weights of light pairs."""
    system = flat(mass, position, velocity)
    weigh(system, of_law, first=True)
    return _described(system, of_law)


def _described(system, of_law):
    traits = np.full(TRAITS, np.nan)
    _, free_fall = forces(system, of_law)
    return traits, describe(traits, system, free_fall, of_law)


def by_numpy(mass, position, velocity, G=1.0, softening=0.0):
    """The ratios that are this module's own, and the step, from the table in its docstring."""
    i, j = np.triu_indices(len(mass), 1)
    r = np.sqrt(((position[i] - position[j]) ** 2).sum(-1) + softening**2)
    size = mass.sum() ** 2 / (mass[i] * mass[j] / r).sum()
    met = mass[i] + mass[j] > 0
    i, j, r = i[met], j[met], r[met]
    M, apart, moving = mass[i] + mass[j], position[i] - position[j], velocity[i] - velocity[j]
    depth = mass[i] * mass[j] / r
    energy = (moving**2).sum(-1) / 2 - G * M / r
    spin = (moving**2).sum(-1) * r**2 - (apart * moving).sum(-1) ** 2
    k = np.hypot(energy, 0.3 * G * M / size)
    omega = ((M / r) ** 4).sum() ** 0.25
    p, s = (M / r) ** 4 / omega**4, depth / depth.sum()
    strength = np.minimum(1.0, G * M / (r * k)) * 2 * k / (omega * r) ** 2
    step = (strength**2).sum() ** -0.25
    full = np.sqrt(((position[:, None] - position[None]) ** 2).sum(-1) + softening**2)
    np.fill_diagonal(full, math.inf)
    pull = (mass / full**3).sum(1)
    tide = (pull[i] + pull[j]) * r**3 / M - 1.0
    ratios = [
        math.log(step * (p * np.sqrt(2 * k) / M).sum()),
        math.log((p**2).sum()),
        math.log((p * s).sum() + 1e-12),
        math.log(max((p * (1 + 2 * energy * spin / (G * M) ** 2)).sum(), 0.0) + 1e-3),
        math.log((s**2).sum()),
        math.log((p * np.maximum(tide, 0.0)).sum() + 1e-12),
        math.log(mass.sum() / (omega * size)),
        math.log((p * k * r / (G * M)).sum()),
        math.log((p * mass[i] * mass[j] / M**2).sum() + 1e-12),
        math.log(strength.sum() ** 2 / (strength**2).sum()),
        math.log(len(mass)),
        math.log(step * math.sqrt(G / (mass.sum() * size))),
    ]
    return np.array(ratios), step


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(3, 9),
    massless=st.integers(0, 2),
    G=st.floats(0.1, 40.0),
    softening=st.sampled_from([0.0, 0.05, 0.5]),
)
def test_each_ratio_is_its_formula(seed, n, massless, G, softening):
    state = bodies(seed, n=n, massless=min(massless, n - 1))
    traits, step = described(*state, law(G=G, softening=softening))
    ratios, expected = by_numpy(*state, G=G, softening=softening)
    assert step == pytest.approx(expected, rel=1e-10)
    np.testing.assert_allclose(traits[INVARIANTS:], ratios, rtol=1e-8, atol=1e-8)
    invariant = ParticleTorch(*state, softening=softening, G=G).system_features("invariant")
    np.testing.assert_allclose(traits[:INVARIANTS], invariant.numpy(), rtol=1e-7, atol=1e-9)


def rotation(seed: int):
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))[0]


def assert_alike(first, second, *, longer: float = 1.0) -> None:
    np.testing.assert_allclose(second[0], first[0], rtol=1e-8, atol=1e-8)
    assert second[1] == pytest.approx(longer * first[1], rel=1e-9)


@settings(max_examples=25)
@given(state=BODIES, order=st.permutations(range(5)), turn=st.integers(0, 99))
def test_order_orientation_and_the_direction_of_time_do_not_matter(state, order, turn):
    mass, position, velocity = state
    turned = position @ rotation(turn), velocity @ rotation(turn)
    plain = described(*state)
    assert_alike(plain, described(mass[order], position[order], velocity[order]))
    assert_alike(plain, described(mass, *turned))
    assert_alike(plain, described(mass, position, -velocity))


@settings(max_examples=25)
@given(state=BODIES, heavier=st.floats(-6, 6), larger=st.floats(-6, 6))
def test_units_do_not_matter(state, heavier, larger):
    """A step of fictitious time, Omega times time, has the unit of sqrt(mass length)."""
    mass, position, velocity = state
    m, x = 10.0**heavier, 10.0**larger
    scaled = described(m * mass, x * position, math.sqrt(m / x) * velocity)
    assert_alike(described(*state), scaled, longer=math.sqrt(m * x))


@pytest.mark.parametrize(("e", "m2"), [(0.0, 1.0), (0.5, 1.0), (0.95, 1e-3), (0.3, 1e-8)])
def test_a_pair_by_itself_keeps_its_step_along_the_orbit(e, m2):
    steps = []
    for phase in np.linspace(0.0, 180.0, 13):
        pair = two_body((1.0, m2), Elements(e, 2.0, phase), dim=3)
        steps.append(described(pair.mass, pair.position, pair.velocity)[1])
    k = (1.0 + m2) / (2.0 * 2.0)
    np.testing.assert_allclose(steps, (1.0 + m2) / math.sqrt(2.0 * k), rtol=0.05)


def test_a_period_takes_two_pi_of_these_steps():
    period_of_fictitious_time = 0.0
    for mean in np.arange(0.25, 360.0, 0.5):
        pair = two_body((1.0, 0.01), Elements(0.4, 3.0, mean), dim=3)
        omega = 1.01 / np.linalg.norm(pair.position[1] - pair.position[0])
        period_of_fictitious_time += omega * pair.period / 720.0
    step = described(pair.mass, pair.position, pair.velocity)[1]
    assert period_of_fictitious_time == pytest.approx(2.0 * math.pi * step, rel=0.01)


def test_one_that_passes_fast_has_a_step_of_its_free_fall():
    mass, position = np.array([1.0, 2.0]), np.array([[0.0, 0.0, 0.0], [0.3, 0.4, 0.0]])
    velocity = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1e3]])
    free_fall = math.sqrt(0.5**3 / 3.0)
    assert described(mass, position, velocity)[1] == pytest.approx(3.0 / 0.5 * free_fall / math.sqrt(2.0), rel=1e-5)


def test_two_massless_bodies_do_not_count():
    mass, position, velocity = bodies(3, n=5, massless=2)
    position[4] = position[3] + 1e-9
    near = described(mass, position, velocity)
    ratios, step = by_numpy(mass, position, velocity)
    assert near[1] == pytest.approx(step, rel=1e-10)
    np.testing.assert_allclose(near[0][INVARIANTS:], ratios, rtol=1e-8, atol=1e-8)
    position[4] = position[3]
    np.testing.assert_allclose(described(mass, position, velocity)[0], near[0], atol=1e-6)


def test_bodies_at_rest_have_a_description():
    mass, position, velocity = bodies(5)
    traits, step = described(mass, position, 0.0 * velocity)
    assert np.isfinite(traits).all()
    assert 0.0 < step < math.inf


def test_coincident_bodies_with_softening_have_a_description():
    mass, position, velocity = bodies(6)
    position[1] = position[0]
    traits, step = described(mass, position, velocity, law(softening=0.1))
    assert np.isfinite(traits).all()
    assert 0.0 < step < math.inf


def test_nothing_that_attracts_has_no_step():
    mass, position, velocity = bodies(7, massless=0)
    traits, step = described(0.0 * mass, position, velocity)
    assert step == 0.0
    assert np.isfinite(traits[INVARIANTS:]).all()
