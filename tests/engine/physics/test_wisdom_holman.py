"""Coordinates both ways, orders in the step and in the masses, and what massless bodies do."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from tests.engine.builders import energy, flat, law, rows

from aitimestepper.engine.layout import AX, VX, X
from aitimestepper.engine.physics.coordinates import (
    COORDINATES,
    HELD,
    ORDER,
    Q,
    V,
    from_inertial,
    is_ordered,
    put_in_order,
    to_inertial,
)
from aitimestepper.engine.physics.kepler_lanes import _PLACES, LANES
from aitimestepper.engine.physics.law import law_of
from aitimestepper.engine.physics.splittings import CORRECTOR_17, KINDS, splitting_of
from aitimestepper.engine.physics.wisdom_holman import open_split, split_steps, synchronise

BOTH = tuple(COORDINATES)


def planets(scale=1.0, *, massless=0, seed=2, shuffled=False):
    """A star, three planets of `scale` times 1e-3, 5e-4 and 2e-4, and massless bodies between and beyond them."""
    draw = np.random.default_rng(seed)
    angle = draw.uniform(0.0, 2.0 * math.pi, 3 + massless)
    sizes = np.array([1.0, 1.7, 3.1, *draw.uniform(0.6, 5.0, massless)])
    mass = np.array([1.0, *(scale * np.array([1e-3, 5e-4, 2e-4])), *np.zeros(massless)])
    position, velocity = np.zeros((len(mass), 3)), np.zeros((len(mass), 3))
    position[1:] = (sizes * np.array([np.cos(angle), np.sin(angle), 0.03 * np.cos(3 * angle)])).T
    velocity[1:] = (sizes**-0.5 * np.array([-np.sin(angle), np.cos(angle), 0.02 * np.sin(angle)])).T * 0.98
    position += [0.3, -0.2, 0.1]
    velocity += np.array([0.01, 0.02, -0.03]) - (mass[:, None] * velocity).sum(0) / mass.sum()
    order = draw.permutation(len(mass)) if shuffled else np.arange(len(mass))
    return flat(mass[order], position[order], velocity[order]), order


def run(system, kind, coordinates, dt, n_steps, *, of_law=None, looks=1):
    """Advance in place; returns the changes of the energy at the looks."""
    of_law = of_law or law()
    splitting = splitting_of(kind, COORDINATES[coordinates])
    work, kept = np.empty(_PLACES * LANES), np.empty(15 * (system.shape[0] // 48))
    first = energy(system, of_law)
    open_split(system, splitting, of_law, dt, work)
    errors = []
    for _ in range(looks):
        split_steps(system, splitting, of_law, dt, work, n_steps // looks)
        synchronise(system, splitting, of_law, dt, work, kept)
        errors.append(energy(system, of_law) - first)
    return np.array(errors)


@pytest.mark.parametrize("coordinates", BOTH)
def test_coordinates_there_and_back(coordinates):
    system, _ = planets(massless=4, shuffled=True)
    before = rows(system, X, AX).copy()
    put_in_order(system, 1.0, COORDINATES[coordinates])
    from_inertial(system, COORDINATES[coordinates])
    rows(system, X, AX)[:] = np.nan
    to_inertial(system, COORDINATES[coordinates])
    assert rows(system, X, AX) == pytest.approx(before, rel=1e-14, abs=1e-14)


def test_bodies_are_put_in_order_of_their_orbits_massless_ones_last():
    system, order = planets(massless=3, shuffled=True)
    assert not is_ordered(system)
    put_in_order(system, 1.0, COORDINATES["jacobi"])
    assert is_ordered(system)
    places = rows(system, ORDER, ORDER + 1)[0].astype(int)
    assert order[places][:4].tolist() == [0, 1, 2, 3]
    assert set(order[places][4:].tolist()) == {4, 5, 6}


def test_jacobi_coordinates_are_from_the_mass_inside():
    system, _ = planets()
    put_in_order(system, 1.0, COORDINATES["jacobi"])
    from_inertial(system, COORDINATES["jacobi"])
    mass, x, v = rows(system, 0, 1)[0], rows(system, X, VX), rows(system, VX, AX)
    for i in range(1, 4):
        for plain, split in ((x, rows(system, Q, Q + 3)), (v, rows(system, V, V + 3))):
            inside = (mass[:i] * plain[:, :i]).sum(1) / mass[:i].sum()
            assert split[:, i] == pytest.approx(plain[:, i] - inside, abs=1e-15)
        assert rows(system, HELD, HELD + 1)[0, i] == pytest.approx(mass[: i + 1].sum(), rel=1e-15)
    assert rows(system, Q, Q + 3)[:, 0] == pytest.approx((mass * x).sum(1) / mass.sum(), abs=1e-15)


@pytest.mark.parametrize("kind", KINDS)
def test_two_bodies_are_exact_for_any_step(kind):
    system = flat([1.0, 0.02], [[0.0, 0.0], [0.4, 0.0]], [[0.0, 0.0], [0.0, 2.0]])
    first = energy(system, law())
    assert abs(run(system, kind, "jacobi", 0.5, 64)[0] / first) < 1e-13


@pytest.mark.parametrize("coordinates", BOTH)
@pytest.mark.parametrize(("kind", "order"), [("plain", 2), ("saba", 4)])
def test_positions_converge_as_they_should(kind, order, coordinates):
    ends = []
    for n_steps in (40, 80, 160):
        system, _ = planets(30.0)
        run(system, kind, coordinates, 8.0 / n_steps, n_steps)
        ends.append(rows(system, X, AX).copy())
    slope = math.log2(np.abs(ends[0] - ends[1]).max() / np.abs(ends[1] - ends[2]).max())
    assert slope > order - 0.3


@pytest.mark.parametrize("coordinates", BOTH)
@pytest.mark.parametrize(("kind", "power"), [("plain", 2), ("corrected", 3), ("saba", 3)])
def test_errors_fall_with_the_masses_of_the_planets(kind, power, coordinates):
    def error(scale):
        system, _ = planets(scale)
        # SABA has no error above rounding at half of this step.
        return np.abs(run(system, kind, coordinates, 0.4 if kind == "saba" else 0.2, 200, looks=50)).max()

    slope = math.log10(error(10.0) / error(1.0))
    assert slope > power - 0.25


def test_the_corrector_fulfils_its_condition():
    # 2 sum b_k sinh(k a x) = ((x/2) / sinh(x/2) - 1) / x, power by power; a^2 = 7/40.
    ratio = [Fraction(1, 4**k * math.factorial(2 * k + 1)) for k in range(9)]
    series = [Fraction(1)]
    for k in range(1, 9):
        series.append(-sum(ratio[j] * series[k - j] for j in range(1, k + 1)))
    for power in range(8):
        a = math.sqrt(7.0 / 40.0) ** (2 * power + 1) / math.factorial(2 * power + 1)
        terms = [2.0 * b * k ** (2 * power + 1) * a for k, b in enumerate(CORRECTOR_17.tolist(), 1)]
        size = math.fsum(abs(term) for term in terms)
        assert math.fsum(terms) == pytest.approx(float(series[power + 1]), abs=1e-15 * size)


@pytest.mark.parametrize("kind", KINDS)
def test_fractions_make_a_whole_step(kind):
    splitting = splitting_of(kind, 0)
    assert math.fsum(splitting.drifts) == pytest.approx(1.0, abs=1e-15)
    assert math.fsum(splitting.kicks) == pytest.approx(1.0, abs=1e-15)
    assert splitting.lead == 0.5 * splitting.drifts[0]


def test_kicks_of_saba_are_a_quadrature_of_order_10():
    # To first order in the masses a split is a quadrature along the orbit: its kicks at the sums of its drifts.
    splitting = splitting_of("saba", 0)
    places = np.cumsum(splitting.drifts) - splitting.lead
    for power in range(10):
        assert float((splitting.kicks * places**power).sum()) == pytest.approx(1.0 / (power + 1), abs=1e-15)


@pytest.mark.parametrize("coordinates", BOTH)
@pytest.mark.parametrize("kind", KINDS)
def test_massless_bodies_change_nothing_and_go_where_light_ones_go(kind, coordinates):
    alone, _ = planets()
    run(alone, kind, coordinates, 0.1, 100)
    among, _ = planets(massless=5)
    run(among, kind, coordinates, 0.1, 100)
    assert rows(among, X, AX)[:, :4].tolist() == rows(alone, X, AX)[:, :4].tolist()
    light, _ = planets(massless=5)
    light[4:9] = 1e-20
    run(light, kind, coordinates, 0.01, 1000)
    limit = {"plain": 3e-3, "corrected": 1e-4, "saba": 1e-4}[kind] * (1.0 if coordinates == "jacobi" else 3.0)
    assert rows(among, X, AX) == pytest.approx(rows(light, X, AX), abs=limit)


@pytest.mark.parametrize("coordinates", BOTH)
def test_the_order_in_which_bodies_are_listed_does_not_matter(coordinates):
    plain, _ = planets(massless=2)
    mixed, order = planets(massless=2, shuffled=True)
    run(plain, "corrected", coordinates, 0.1, 50)
    run(mixed, "corrected", coordinates, 0.1, 50)
    assert rows(mixed, X, AX) == pytest.approx(rows(plain, X, AX)[:, order], abs=1e-13)


@pytest.mark.parametrize("coordinates", BOTH)
@pytest.mark.parametrize("kind", KINDS)
def test_a_look_changes_nothing_and_a_run_returns(kind, coordinates):
    quiet, _ = planets()
    before = rows(quiet, X, AX).copy()
    watched = quiet.copy()
    run(quiet, kind, coordinates, 0.1, 40)
    run(watched, kind, coordinates, 0.1, 40, looks=20)
    assert watched.tobytes() == quiet.tobytes()
    rows(quiet, VX, AX)[:] *= -1.0
    run(quiet, kind, coordinates, 0.1, 40)
    rows(quiet, VX, AX)[:] *= -1.0
    # The corrector is not the same both ways, to second order in the masses.
    assert rows(quiet, X, AX) == pytest.approx(before, abs=1e-8 if kind == "corrected" else 1e-12)


@pytest.mark.parametrize("coordinates", BOTH)
def test_relativity_and_oblateness_keep_their_energy(coordinates):
    of_law = law_of(1.0, 0.0, light_speed=300.0, J2=1e-3, J2_radius=0.3, J2_pole=(0.2, 0.1, 1.0))
    errors = [
        np.abs(run(planets()[0], "corrected", coordinates, dt, 100, of_law=of_law, looks=20)).max()
        for dt in (0.3, 0.15)
    ]
    without = np.abs(run(planets()[0], "corrected", coordinates, 0.15, 100, looks=20)).max()
    assert errors[1] < max(3.0 * without, 1e-9)
    assert errors[1] < errors[0]
