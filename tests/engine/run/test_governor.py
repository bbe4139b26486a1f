"""What a calibrated run does with its errors and with the network's choice."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.engine.builders import cloud, flat, law
from tests.engine.run.builders import books_with, constant_model, constant_network, control

from aitimestepper import Config, simulate
from aitimestepper.constants import TRAITS
from aitimestepper.engine.features.ranges import into_range, is_familiar
from aitimestepper.engine.layout import BOOKS
from aitimestepper.engine.physics.criteria import CALIBRATED, Rule
from aitimestepper.engine.physics.gravity import forces
from aitimestepper.engine.physics.integrators import LEAPFROG, STAGES, Method
from aitimestepper.engine.physics.omega import PAIR_NORM
from aitimestepper.engine.run import governor as rules
from aitimestepper.engine.run.plan import plan_of
from aitimestepper.systems.orbits import Elements, two_body
from aitimestepper.weights.calibrated import HEADS
from aitimestepper.weights.compiled import control_of


@pytest.mark.parametrize(("tolerance", "order"), [(1e-3, 2), (1e-7, 4), (1e-6, 6), (1e-12, 2), (0.1, 8)])
def test_the_demand_is_the_step_of_the_law_within_its_range(tolerance, order):
    demand = rules.demand(tolerance, order)
    assert demand == pytest.approx(np.clip(math.log10(tolerance) / order, -2.0, -0.5))
    assert rules.demand(1e-30, 2.0) == rules.LOWEST_DEMAND < rules.HIGHEST_DEMAND == rules.demand(0.9, 8.0)


def test_states_are_familiar_a_little_beyond_those_of_training():
    low, high = np.array([0.0, -2.0]), np.array([1.0, 2.0])
    known = control(low=low, high=high)
    for traits, familiar in (
        ([0.5, 0.0], True), ([1.09, 0.0], True), ([-0.09, 2.39], True),
        ([1.11, 0.0], False), ([0.5, -2.41], False), ([math.nan, 0.0], False), ([0.5, math.inf], False),
    ):  # fmt: skip
        assert is_familiar(np.array(traits), known.low, known.high) is familiar


def consulted(factors) -> list[float]:
    """The step after each look of a network that wants these factors, one after the other."""
    state = flat(*(tensor.numpy() for tensor in cloud(6, 3).bodies))
    books, traits, layers = np.zeros(1, BOOKS)[0], np.zeros(TRAITS), np.zeros((2, TRAITS + 1))
    _, books.free_fall_rate_squared = forces(state, law())
    method, rule = Method(LEAPFROG, STAGES[2], PAIR_NORM), Rule(CALIBRATED, 1.0, 0.0, 1.0, True, 1.0)
    steps = []
    for factor in factors:
        own = control(low=np.full(TRAITS, 1e9), high=np.full(TRAITS, 2e9), network=constant_network(factor))
        rules.consult(state, books, plan_of(method, law(), rule, control=own), traits, layers)
        steps.append(rules.parameter(books) / own.scale)
    assert books.states_asked == books.states_outside_training == len(factors)
    return steps


def test_a_shorter_step_is_taken_at_once_and_a_longer_one_only_after_long():
    assert consulted([1.0, 0.9, 0.5, 1.0, 0.5]) == pytest.approx([1.0, 1.0, 0.5, 0.5, 0.5])
    assert consulted([0.5] + 300 * [1.0])[-1] == pytest.approx(1.0)
    steps, period = np.array(consulted([0.5] + 300 * [1.0])), rules._MOST_CHECKS_BETWEEN
    assert period - 1 <= (steps < 0.6).sum() <= 2 * period
    assert set(np.round(steps, 6)) == {0.5, 1.0}
    now_and_then = np.where(np.arange(300) % period == 5, 0.6, 1.0)
    assert consulted([0.5, *now_and_then])[-1] == pytest.approx(0.5)


def test_no_step_wanted_exceeds_the_longest_step():
    assert consulted([100.0])[0] == pytest.approx(0.5 / control().scale)


@pytest.mark.parametrize("order", [2.0, 4.0, 8.0])
def test_a_setback_shortens_steps_by_the_law_of_the_order(order):
    factors = []
    for worst in (1.0, 3.0, 10.0, 1e9):
        books = books_with(steps=70.0, review_energy_error=3.0, review_phase=9.0, wanted_factor=1.3)
        rules.shorten(books, worst, 0.0, order)
        factors.append(books.correction)
        assert books.changed_at_step == 70.0
        assert books.review_energy_error == books.review_phase == books.review_position_error == 0.0
        assert books.wanted_factor == 1.0
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == 0.25
    assert factors[0] <= 0.95
    law_of_order = (factors[1] / factors[2]) ** order
    assert law_of_order == pytest.approx(10.0 / 3.0) or 0.95 in factors[1:3] or 0.25 in factors[1:3]


def test_a_setback_counts_what_was_there_before_and_halves_where_the_last_did_not_help():
    fresh, burdened, again = books_with(), books_with(), books_with(vain_setbacks=1.0)
    rules.shorten(fresh, 2.0, 0.0, 4.0)
    rules.shorten(burdened, 2.0, 0.6, 4.0)
    rules.shorten(again, 2.0, 0.0, 4.0)
    assert burdened.correction < fresh.correction
    assert again.correction == 0.5 < fresh.correction


def anchor_with(**entries: float):
    return books_with(**entries)


def test_the_limit_is_what_is_allowed_and_a_little_more_where_the_anchor_has_it_already():
    own = control()
    assert rules.limit(anchor_with(), own) == rules.RESERVE < 1.0
    assert rules.limit(anchor_with(error=0.3), own) == rules.RESERVE
    assert 0.95 < rules.limit(anchor_with(error=0.95), own) <= 1.06
    assert 3.0 < rules.limit(anchor_with(error=3.0), own) < 3.5
    assert rules.limit(anchor_with(error=-3.0), own) == pytest.approx(rules.limit(anchor_with(error=3.0), own))
    assert rules.limit(anchor_with(excused_error=7.0), own) == 7.0
    assert rules.limit(anchor_with(correction=0.01), own) == math.inf


def test_the_excess_is_the_larger_of_the_two_errors_and_never_less_than_what_is_not_finite():
    own = control()
    books = books_with(error=-0.4, review_position_error=0.2)
    assert rules.excess(books, own) == pytest.approx(0.4)
    assert books.review_energy_error == pytest.approx(0.4)
    assert rules.excess(books_with(error=0.1, review_position_error=0.7), own) == 0.7
    assert rules.excess(books_with(error=math.nan), own) == 2.0
    assert rules.excess(books_with(error=math.inf), own) == 2.0


SEEN = {"review_phase": 50.0, "steps": 1000.0, "review_energy_error": 0.01, "review_position_error": 0.005}


@pytest.mark.parametrize(
    ("change", "longer"),
    [
        ({}, True),
        ({"review_energy_error": 0.5}, False),
        ({"review_position_error": 0.5}, False),
        ({"review_phase": 1.0}, False),
        ({"changed_at_step": 995.0}, False),
        ({"correction": 1.01 * rules._MOST_CORRECTION}, False),
        ({"longest_step": 0.1}, False),
    ],
)
def test_longer_steps_are_wanted_where_errors_are_small_for_long(change, longer):
    books = books_with(**{**SEEN, **change, "wanted_factor": 1.0})
    rules.review(books, control())
    assert bool(books.wanted_factor > 1.0) is longer
    assert books.wanted_factor <= rules._MOST_LENGTHENING


def test_the_wanted_factor_follows_the_law_of_the_order():
    factors = []
    for order in (2.0, 4.0, 8.0):
        books = books_with(**{**SEEN, "review_energy_error": 0.1})
        rules.review(books, control(order=order))
        factors.append(books.wanted_factor)
    assert factors[0] > factors[1] > factors[2] > 1.0
    assert factors[1] ** 4 == pytest.approx(factors[2] ** 8)


def test_steps_become_longer_at_a_quiet_state_or_after_long_patience():
    quiet, loud = (
        books_with(error=1e-4, review_energy_error=0.1, steps=20.0),
        books_with(error=0.09, review_energy_error=0.1),
    )
    assert rules.is_quiet(quiet, control())
    assert not rules.is_quiet(loud, control())
    loud.steps = 1e4
    assert rules.is_quiet(loud, control())


def test_longer_steps_are_taken_once():
    books = books_with(wanted_factor=1.4, steps=50.0, review_energy_error=0.1)
    books.last_rate = 3.0
    rules.lengthen(books)
    assert books.correction == 1.4
    assert (books.wanted_factor, books.last_rate, books.changed_at_step) == (1.0, 0.0, 50.0)
    assert books.review_energy_error == 0.0
    assert rules.parameter(books) == pytest.approx(0.14)
    books.longest_step = 0.12
    assert rules.parameter(books) == 0.12


def test_a_state_unlike_any_in_training_gets_the_step_of_the_nearest_that_is():
    low, high = np.full(TRAITS, -0.5), np.full(TRAITS, 0.5)
    traits = np.linspace(-2.0, 2.0, TRAITS)
    traits[3] = math.nan
    into_range(traits, low, high)
    expected = np.clip(np.linspace(-2.0, 2.0, TRAITS), low, high)
    expected[3] = -0.5
    np.testing.assert_array_equal(traits, expected)


def test_nothing_jumps_where_the_range_of_the_training_ends(tmp_path):
    keys = {"ic": "figure-eight", "tolerance": 1e-4, "integrator": "leapfrog", "order": 4, "steps": 300, "every": 1}
    strange = simulate(config=Config(model=constant_model(tmp_path, 0.9, ranges=1e-9), **keys))
    usual = simulate(config=Config(model=constant_model(tmp_path, 0.9), **keys))
    assert (strange.summary.outside_training, usual.summary.outside_training) == (1.0, 0.0)
    np.testing.assert_array_equal(strange.position, usual.position)


def test_each_integrator_and_order_has_its_own_output(tmp_path):
    from aitimestepper.weights.file import read_model

    file = read_model(constant_model(tmp_path, 0.5))
    factors = 0.1 + 0.05 * np.arange(len(HEADS))
    file.weights["layers.2.bias"] = np.log(np.expm1(factors))
    for head, (integrator, order) in enumerate(HEADS):
        own = control_of(file, Config(tolerance=1e-4, integrator=integrator, order=order))
        layers = np.zeros((2, TRAITS + 1))
        assert rules.first_output(own.network, layers) == pytest.approx(factors[head])
        assert own.scale == pytest.approx(1e-4 ** (1.0 / order))


def test_the_network_sees_the_place_in_the_ranges_of_training(tmp_path):
    from aitimestepper.weights.file import read_model

    rng = np.random.default_rng(2)
    file = read_model(constant_model(tmp_path))
    weights = {name: rng.normal(size=array.shape) for name, array in file.weights.items()}
    low = rng.normal(size=TRAITS)
    high = low + rng.uniform(0.5, 3.0, TRAITS)
    file = file._replace(weights=weights, scales=(*low, *high))
    traits = low + rng.uniform(size=TRAITS) * (high - low)
    inputs = np.append(2.0 * (traits - low) / (high - low) - 1.0, -1.2)
    hidden = np.tanh(weights["layers.0.weight"] @ inputs + weights["layers.0.bias"])
    outputs = np.logaddexp(0.0, weights["layers.2.weight"] @ hidden + weights["layers.2.bias"])
    for head, (integrator, order) in enumerate(HEADS):
        own = control_of(file, Config(tolerance=1e-4, integrator=integrator, order=order))
        layers = np.zeros((2, TRAITS + 1))
        layers[0] = np.append(traits, -1.2)
        assert rules.first_output(own.network, layers) == pytest.approx(outputs[head], rel=1e-9)


def test_the_step_of_fictitious_time_is_constant_on_an_orbit(tmp_path):
    """Of two bodies Omega is M / r: half of each drift takes h r / M."""
    pair = two_body((1.0, 0.1), Elements(0.8, 1.0, 180.0))
    config = Config(
        tolerance=1e-3, tolerance_kind="none", order=2, model=constant_model(tmp_path, 0.5), steps=2000, every=1
    )
    run = simulate(config=config, system=pair)
    r = np.linalg.norm(run.position[:, 1] - run.position[:, 0], axis=-1)
    h = 2.0 * 1.1 * run.dt[1:] / (r[1:] + r[:-1])
    expected = 0.5 * math.sqrt(1e-3) * 1.1 / math.sqrt(1.1)
    np.testing.assert_allclose(h, h[0], rtol=2e-3)
    assert h[0] == pytest.approx(expected, rel=0.03)


def test_steps_keep_within_the_bounds_that_were_set(tmp_path):
    run = simulate(
        config=Config(
            ic="kepler:e=0.8", tolerance=1e-3, integrator="leapfrog", order=2, model=constant_model(tmp_path),
            dt_min=2e-3, dt_max=2e-2, periods=2, every=1,
        )
    )  # fmt: skip
    assert run.dt[1:-1].min() >= 2e-3 * (1 - 1e-12)
    assert run.dt[1:].max() <= 2e-2 * (1 + 1e-12)
