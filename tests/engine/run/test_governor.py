"""A calibrated run keeps to what was asked of it, measures its own errors and takes back what exceeds them."""

from __future__ import annotations

import math
import shutil

import numpy as np
import pytest
from tests.engine.builders import cloud, energy, flat, law, rows
from tests.simulation.test_resume import assert_same, interrupted

from aitimestepper import Config, Recording, resume, simulate
from aitimestepper.constants import TRAITS
from aitimestepper.engine import layout
from aitimestepper.engine.layout import (
    ANCHOR_STEP,
    AX,
    BASE,
    BOOKS,
    CHANGED_AT,
    CORRECTION,
    ENERGY_0,
    ENERGY_SCALE,
    FUTILE,
    KINETIC,
    LAST_RATE,
    LONGEST,
    MASS,
    PARDON,
    POTENTIAL,
    REVIEW_ERROR,
    REVIEW_PHASE,
    REVIEW_RATE,
    ROWS,
    STEPS,
    VX,
    WISH,
    X,
)
from aitimestepper.engine.physics.gravity import forces
from aitimestepper.engine.physics.integrators import LEAPFROG, STAGES, TTL, leapfrog_step, ttl_step
from aitimestepper.engine.physics.omega import PAIR_NORM, omega_of
from aitimestepper.engine.run import governed_rollout as controlled
from aitimestepper.engine.run import governor as rules
from aitimestepper.engine.run import local_error as errors
from aitimestepper.engine.run.governed_rollout import LONGEST_STRETCH
from aitimestepper.engine.run.state import Frames, Limits, copy_of, packed, plan_of
from aitimestepper.simulation import recorder
from aitimestepper.simulation.driver import advance_run
from aitimestepper.simulation.planning import PlannedRun, planned
from aitimestepper.simulation.run import requested
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.orbits import Elements, relative_state, two_body
from aitimestepper.weights.calibrated import HEADS
from aitimestepper.weights.compiled import control_of
from aitimestepper.weights.file import ModelFile, write_model


def constant_model(tmp_path, factor: float = 0.5, *, fallback: float | None = None, ranges: float = 1e9) -> str:
    """Calibrated weights that want the same factor everywhere, and know descriptions within +-`ranges`."""
    config = Config(output_scale="calibrated", draw="mixed", feature_type="invariant", hidden_dims=(4,))
    bias = np.full(len(HEADS), math.log(math.expm1(factor)))
    weights = {
        "layers.0.weight": np.zeros((4, TRAITS + 1)),
        "layers.0.bias": np.zeros(4),
        "layers.2.weight": np.zeros((len(HEADS), 4)),
        "layers.2.bias": bias,
    }
    scales = (-ranges,) * TRAITS + (ranges,) * TRAITS
    about = {"fallback": [factor if fallback is None else fallback] * len(HEADS)}
    path = tmp_path / f"{factor:g}-{about['fallback'][0]:g}-{ranges:g}.safetensors"
    write_model(path, ModelFile(weights, config, scales, about))
    return str(path)


def control(tolerance: float = 1e-4, order: float = 4.0, **keys) -> rules.Control:
    settings = {"governed": True, "promises": True, "least_correction": 0.01, "fallback": 0.5, **keys}
    return plan_of(None, None, None).control._replace(
        tolerance=tolerance, order=order, scale=tolerance ** (1.0 / order), **settings
    )


def books_with(**entries: float):
    """Books of a run, whose energy error is `error` times the tolerance 1e-4."""
    books = np.zeros(BOOKS)
    books[CORRECTION], books[BASE], books[LONGEST], books[ENERGY_SCALE], books[ENERGY_0] = 1.0, 0.1, 1.0, 2.0, -2.0
    books[KINETIC], books[POTENTIAL] = 1.0, -3.0 + entries.pop("error", 0.0) * 2.0 * 1e-4
    for name, value in entries.items():
        books[getattr(layout, name.upper())] = value
    return books


# --- a step against its two halves


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
    found = errors.halved(before, 0.0, system, 0.1, 0.1, LEAPFROG, STAGES[order], PAIR_NORM, of_law)
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
    _, elapsed = ttl_step(system, omega, h, STAGES[2], law(), PAIR_NORM)
    found = errors.halved(before, omega, system, h, elapsed, TTL, STAGES[2], PAIR_NORM, law())
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


def test_the_rounding_of_places_is_no_error_of_the_step():
    x = np.array([[1e6, 0.0, 0.0], [1e6 + 1e-3, 0.0, 0.0]])
    system = flat([1.0, 1.0], x, 0 * x)
    assert errors.local_error(system, flat([1.0, 1.0], np.nextafter(x, 2e6), 0 * x), 0.0, 1.0, law())[0] == 0.0


@pytest.mark.parametrize("order", [2, 4, 6, 8])
@pytest.mark.parametrize("integrator", ["ttl", "leapfrog"])
def test_the_position_error_of_a_run_is_the_true_one_of_its_steps(tmp_path, order, integrator):
    """On a circle every step is like the first, whose error is known."""
    factor = {2: 0.1, 4: 0.4, 6: 0.8, 8: 1.0}[order] * (1.0 if integrator == "ttl" else 0.5)
    pair = two_body((1.0, 1e-3), Elements(0.0, 1.0, 0.0))
    run = simulate(
        Config(tolerance=0.01, tolerance_kind="none", model=constant_model(tmp_path, factor * 0.01 ** (-1.0 / order)),
               integrator=integrator, order=order, steps=100, every=1),
        system=pair,
    )  # fmt: skip
    angle = math.sqrt(1.001) * run.time[1]
    body = pair.position[1] @ np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    true = np.linalg.norm(run.position[1, 1] - body) / angle
    assert 1e-9 < true < 1e-2
    assert run.summary.position_error_max == pytest.approx(true, rel=0.15)


# --- the rules


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
        assert rules.is_familiar(np.array(traits), known) is familiar


def consulted(wishes) -> list[float]:
    """The step after each look of a network that wants these factors, one after the other."""
    state = flat(*(tensor.numpy() for tensor in cloud(6, 3).bodies))
    books, traits, layers = np.zeros(BOOKS), np.zeros(TRAITS), np.zeros((2, TRAITS + 1))
    _, books[layout.FREE_FALL] = forces(state, law())
    steps = []
    for factor in wishes:
        # Nothing is familiar, so the fallback is what is wanted.
        own = control(low=np.full(TRAITS, 1e9), high=np.full(TRAITS, 2e9), fallback=factor)
        rules.consult(state, books, LEAPFROG, law(), own, traits, layers)
        steps.append(rules.parameter(books) / own.scale)
    assert books[layout.CHECKS] == books[layout.OUTSIDE] == len(wishes)
    return steps


def test_a_shorter_step_is_taken_at_once_and_a_longer_one_only_after_long():
    assert consulted([1.0, 0.9, 0.5, 1.0, 0.5]) == pytest.approx([1.0, 1.0, 0.5, 0.5, 0.5])
    assert consulted([0.5] + 300 * [1.0])[-1] == pytest.approx(1.0)
    steps, period = np.array(consulted([0.5] + 300 * [1.0])), rules._MOST_CHECKS_BETWEEN
    assert period - 1 <= (steps < 0.6).sum() <= 2 * period
    assert set(np.round(steps, 6)) == {0.5, 1.0}
    now_and_then = np.where(np.arange(300) % period == 5, 0.6, 1.0)
    assert consulted([0.5, *now_and_then])[-1] == pytest.approx(0.5)


def test_no_wish_exceeds_the_longest_step():
    assert consulted([1e6])[0] == pytest.approx(0.5 / control().scale)


@pytest.mark.parametrize("order", [2.0, 4.0, 8.0])
def test_a_setback_shortens_steps_by_the_law_of_the_order(order):
    factors = []
    for worst in (1.0, 3.0, 10.0, 1e9):
        books = books_with(steps=70.0, review_error=3.0, review_phase=9.0, wish=1.3)
        rules.shorten(books, worst, 0.0, order)
        factors.append(books[CORRECTION])
        assert books[CHANGED_AT] == 70.0
        assert books[REVIEW_ERROR] == books[REVIEW_PHASE] == books[REVIEW_RATE] == 0.0
        assert books[WISH] == 1.0
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] == 0.25
    assert factors[0] <= 0.85
    law_of_order = (factors[1] / factors[2]) ** order
    assert law_of_order == pytest.approx(10.0 / 3.0) or 0.85 in factors[1:3] or 0.25 in factors[1:3]


def test_a_setback_counts_what_was_there_before_and_halves_where_the_last_did_not_help():
    fresh, burdened, again = books_with(), books_with(), books_with(futile=1.0)
    rules.shorten(fresh, 2.0, 0.0, 4.0)
    rules.shorten(burdened, 2.0, 0.6, 4.0)
    rules.shorten(again, 2.0, 0.0, 4.0)
    assert burdened[CORRECTION] < fresh[CORRECTION]
    assert again[CORRECTION] == 0.5 < fresh[CORRECTION]


def anchor_with(**entries: float):
    return np.concatenate([books_with(**entries), np.zeros(2 * ROWS)])


def test_the_limit_is_what_is_allowed_and_a_little_more_where_the_anchor_has_it_already():
    own = control()
    assert rules.limit(anchor_with(), own) == rules.RESERVE < 1.0
    assert rules.limit(anchor_with(error=0.3), own) == rules.RESERVE
    assert 0.95 < rules.limit(anchor_with(error=0.95), own) <= 1.06
    assert 3.0 < rules.limit(anchor_with(error=3.0), own) < 3.5
    assert rules.limit(anchor_with(error=-3.0), own) == pytest.approx(rules.limit(anchor_with(error=3.0), own))
    assert rules.limit(anchor_with(pardon=7.0), own) == 7.0
    assert rules.limit(anchor_with(correction=0.01), own) == math.inf


def test_the_excess_is_the_larger_of_the_two_errors_and_never_less_than_what_is_not_finite():
    own = control()
    books = books_with(error=-0.4, review_rate=0.2)
    assert rules.excess(books, own) == pytest.approx(0.4)
    assert books[REVIEW_ERROR] == pytest.approx(0.4)
    assert rules.excess(books_with(error=0.1, review_rate=0.7), own) == 0.7
    assert rules.excess(books_with(error=math.nan), own) == 2.0
    assert rules.excess(books_with(error=math.inf), own) == 2.0


SEEN = {"review_phase": 50.0, "steps": 1000.0, "review_error": 0.01, "review_rate": 0.005}


@pytest.mark.parametrize(
    ("change", "longer"),
    [
        ({}, True),
        ({"review_error": 0.5}, False),
        ({"review_rate": 0.5}, False),
        ({"review_phase": 1.0}, False),
        ({"changed_at": 995.0}, False),
        ({"correction": 1.01 * rules._FARTHEST}, False),
        ({"longest": 0.1}, False),
    ],
)
def test_longer_steps_are_wished_for_where_errors_are_small_for_long(change, longer):
    books = books_with(**{**SEEN, **change, "wish": 1.0})
    rules.review(books, control())
    assert bool(books[WISH] > 1.0) is longer
    assert books[WISH] <= rules._LONGEST_STRIDE


def test_the_wish_follows_the_law_of_the_order():
    wishes = []
    for order in (2.0, 4.0, 8.0):
        books = books_with(**{**SEEN, "review_error": 0.1})
        rules.review(books, control(order=order))
        wishes.append(books[WISH])
    assert wishes[0] > wishes[1] > wishes[2] > 1.0
    assert wishes[1] ** 4 == pytest.approx(wishes[2] ** 8)


def test_steps_become_longer_at_a_quiet_state_or_after_long_patience():
    quiet, loud = books_with(error=1e-4, review_error=0.1, steps=20.0), books_with(error=0.09, review_error=0.1)
    assert rules.is_quiet(quiet, control())
    assert not rules.is_quiet(loud, control())
    loud[STEPS] = 1e4
    assert rules.is_quiet(loud, control())


def test_longer_steps_are_taken_once():
    books = books_with(wish=1.4, steps=50.0, review_error=0.1)
    books[LAST_RATE] = 3.0
    rules.lengthen(books)
    assert books[CORRECTION] == 1.4
    assert (books[WISH], books[LAST_RATE], books[CHANGED_AT], books[REVIEW_ERROR]) == (1.0, 0.0, 50.0, 0.0)
    assert rules.parameter(books) == pytest.approx(0.14)
    books[LONGEST] = 0.12
    assert rules.parameter(books) == 0.12


def test_the_rounding_of_the_energy_grows_with_the_inverse_square_of_the_distance():
    def rounding(apart: float, away: float = 1.0) -> float:
        return errors.energy_rounding(flat([1.0, 1.0], [[away, 0, 0], [away, apart, 0]], np.zeros((2, 3))), law())

    assert rounding(1e-6) / rounding(1e-4) == pytest.approx(1e4, rel=1e-6)
    assert rounding(1e-6) == pytest.approx(2 * 2.0**-52 * 1e12, rel=1e-6)
    assert rounding(1e-6, away=10.0) == pytest.approx(10.0 * rounding(1e-6), rel=1e-6)


# --- the loop: the tolerance is kept

DRAWN = [
    *(f"random:n={n},seed={seed},dim=3" for n, seed in ((3, 7), (3, 51), (4, 13), (5, 45), (6, 21), (7, 33), (8, 5))),
    *("random:n=3,seed=1", "random:n=4,seed=8", "hierarchical-triple", "hierarchical-triple:e_in=0.7,m3=0.1"),
    "kepler:e=0.9",
]


def end_of(ic: str) -> dict:
    return {"duration": 2.0} if ic.startswith("random") else {"periods": 3}


def assert_kept(run: Recording, tolerance: float) -> None:
    errors = np.abs(run.step_history.energy - run.summary.energy_initial) / run.energy_scale
    assert errors.max() <= tolerance
    assert run.energy_error.max() <= tolerance
    summary = run.summary
    assert (summary.energy_verdict, summary.position_verdict) == ("kept", "kept")
    assert (summary.energy_error_asked, summary.position_error_asked) == (tolerance, 10.0 * tolerance)
    assert summary.energy_error_max == pytest.approx(max(errors.max(), run.energy_error.max()), rel=1e-12)
    assert summary.position_error_max is not None
    assert 0.0 <= summary.position_error_max <= 10.0 * tolerance


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-8])
@pytest.mark.parametrize("ic", DRAWN)
def test_the_energy_error_stays_below_the_tolerance_at_every_step(ic, tolerance):
    assert_kept(simulate(Config(ic=ic, tolerance=tolerance, step_history=True, **end_of(ic))), tolerance)


@pytest.mark.parametrize("order", [2, 4, 6, 8])
@pytest.mark.parametrize("integrator", ["ttl", "leapfrog"])
def test_any_integrator_keeps_the_tolerance(integrator, order):
    ic = "hierarchical-triple:e_in=0.6"
    keys = {"integrator": integrator, "order": order, "step_history": True, "periods": 3}
    assert_kept(simulate(Config(ic=ic, tolerance=1e-4, **keys)), 1e-4)


@pytest.mark.parametrize("ic", ["hierarchical-triple:e_in=0.6", "random:n=5,seed=45,dim=3", "kepler:e=0.8"])
@pytest.mark.parametrize(("tolerance", "order"), [(1e-4, 4), (1e-7, 6)])
def test_steps_that_are_far_too_long_are_taken_back(tmp_path, ic, tolerance, order):
    model = constant_model(tmp_path, 50.0)
    run = simulate(
        Config(ic=ic, tolerance=tolerance, order=order, model=model, step_history=True, every=1, duration=8.0)
    )
    assert_kept(run, tolerance)
    assert run.summary.rejected_steps > 0
    assert_one_trajectory(run)


def assert_one_trajectory(run: Recording) -> None:
    """Every step, and every frame, follows from the one before it: none is left of what was undone."""
    assert (np.diff(run.time) > 0).all()
    assert len(run.step_history.time) in (run.summary.steps, run.summary.steps - 1)
    assert (np.diff(run.step_history.time) > 0).all()
    whole = len(run.step_history.time)
    np.testing.assert_array_equal(run.time[1 : whole + 1], run.step_history.time)
    np.testing.assert_array_equal(run.energy[1 : whole + 1], run.step_history.energy)
    np.testing.assert_allclose(np.diff(run.time), run.dt[1:], rtol=1e-9, atol=1e-13)
    mean = 0.5 * (run.velocity[1:] + run.velocity[:-1]) * run.dt[1:, None, None]
    moved = np.abs(np.diff(run.position, axis=0) - mean).max(axis=(1, 2))
    reach = np.abs(mean).max(axis=(1, 2))
    assert (moved <= 0.5 * reach).all()


def test_steps_that_are_far_too_short_become_longer_at_no_cost(tmp_path):
    keys = {"ic": "hierarchical-triple", "tolerance": 1e-4, "order": 4, "duration": 200.0, "step_history": True}
    model = constant_model(tmp_path, 0.05)
    run, held = (simulate(Config(model=model, tolerance_kind=kind, **keys)) for kind in ("run", "none"))
    assert_kept(run, 1e-4)
    assert held.summary.steps > 2.5 * run.summary.steps
    first, last = (np.diff(run.step_history.time[part]).mean() for part in (slice(50), slice(-50, None)))
    assert last > 2.5 * first


def test_what_shorter_steps_cannot_cure_is_accepted_and_said():
    """At a pericentre of 1e-7 rounding alone is far above what is allowed."""
    pair = two_body((1.0, 1.0), Elements(1.0 - 1e-7, 1.0, 180.0))
    run = simulate(Config(tolerance=1e-12, periods=3.3, step_history=True), system=pair)
    assert run.summary.outcome == "finished"
    assert run.summary.steps < 200_000
    assert run.summary.energy_verdict == ("kept" if run.summary.energy_error_max <= 1e-10 else "exceeded")


# --- the loop: what it costs, and what it does not depend on


def cost(order: int, steps: int, *, ttl: bool) -> int:
    """First force, stages of every step, two more for each step that is sampled, and the looks of the network."""
    stages = {2: 1, 4: 5, 6: 9, 8: 17}[order]
    first, early = controlled._FIRST_STEPS, controlled._EARLY_STEPS
    samples = sum(
        n < first or n % (controlled._EARLY_STRIDE if n < early else controlled._STRIDE) == 0 for n in range(steps)
    )
    return 1 + stages * (steps + 2 * samples) + (steps // controlled._STEPS_BETWEEN_CHECKS + 1) * ttl


@pytest.mark.parametrize("order", [2, 4, 6, 8])
@pytest.mark.parametrize("integrator", ["ttl", "leapfrog"])
@pytest.mark.parametrize("steps", [1, 64, 200])
def test_every_force_evaluation_is_counted(tmp_path, integrator, order, steps):
    model = constant_model(tmp_path, 0.1)
    run = simulate(
        Config(ic="figure-eight", tolerance=0.01, model=model, integrator=integrator, order=order, steps=steps)
    )
    assert run.summary.rejected_steps == 0
    assert run.summary.steps == steps
    assert run.summary.force_evaluations == cost(order, steps, ttl=integrator == "ttl")


def test_setbacks_are_counted_as_steps_that_were_undone(tmp_path):
    model = constant_model(tmp_path, 20.0)
    run = simulate(Config(ic="figure-eight", tolerance=1e-5, order=4, model=model, steps=300))
    assert run.summary.rejected_steps > 0
    least = 5 * (run.summary.steps + run.summary.rejected_steps)
    assert least < run.summary.force_evaluations < 2.0 * least


def prepared(**keys) -> PlannedRun:
    config = Config(**keys)
    return planned(requested(config))


def arrays(n: int, *, room: int = 4000, every: int = 1) -> Frames:
    return Frames(np.empty((room, 3)), np.empty((room, 6 * n)), np.empty((room, 3)), every, math.inf)


def driven(plan: PlannedRun, budget: int, room: int):
    """The run at its end, its frames and its history, by calls that return after `budget` steps or so."""
    run, kept, history, calls = plan.new_run(), [], [], 0
    frames = arrays(plan.request.system.n_bodies, room=room)
    while True:
        status, n_frames, n_history = advance_run(
            run, plan.plan, plan.own, Limits(math.inf, plan.goal.last_step, budget), frames
        )
        kept.append(np.hstack([frames.scalars[:n_frames], frames.rows[:n_frames]]))
        history.append(frames.history[:n_history].copy())
        calls += 1
        if status == 2:
            return packed(run), np.vstack(kept), np.vstack(history), calls
        assert status in (0, 3)


@pytest.mark.parametrize("integrator", ["ttl", "leapfrog"])
def test_the_result_does_not_depend_on_how_often_the_loop_returns(tmp_path, integrator):
    plan = prepared(
        ic="random:n=4,seed=13,dim=3", tolerance=1e-5, order=4, integrator=integrator,
        model=constant_model(tmp_path, 3.0), steps=3001,
    )  # fmt: skip
    whole = driven(plan, 10**9, 4000)
    assert whole[3] == 1
    assert len(whole[1]) == len(whole[2]) == 3001
    for budget, room in ((1, 4000), (77, 4000), (10**9, LONGEST_STRETCH), (1, LONGEST_STRETCH + 5)):
        again = driven(plan, budget, room)
        assert again[3] > 3
        for mine, theirs in zip(again[:3], whole[:3], strict=True):
            np.testing.assert_array_equal(mine, theirs)


def long_run(tmp_path, **keys) -> Config:
    """One with setbacks all along its way."""
    model = constant_model(tmp_path, 20.0)
    return Config(
        ic="hierarchical-triple:e_in=0.6",
        tolerance=1e-5,
        order=4,
        model=model,
        step_history=True,
        **{"every": 70, **keys},
    )


@pytest.mark.parametrize("end", [{"duration": 12000.0}, {"steps": 40000}])
def test_an_interrupted_run_goes_on_bit_by_bit(tmp_path, end):
    whole = simulate(long_run(tmp_path, **end))
    assert whole.summary.rejected_steps > 0
    interrupted(long_run(tmp_path, output="run.h5", **end), 0.0)
    stopped = Recording.load("run.h5")
    assert 0 < stopped.summary.steps < whole.summary.steps
    assert_same(resume("run.h5"), whole)
    assert_same(Recording.load("run.h5"), whole)


def test_a_killed_run_goes_on_bit_by_bit(tmp_path, monkeypatch):
    """What is on the disk while a run goes on is all that is left of it when it is killed."""
    monkeypatch.setattr(recorder, "_SECONDS_OF_A_BLOCK", 0.0)
    whole = simulate(long_run(tmp_path, duration=12000.0))

    def keep_a_copy(done: float) -> None:
        if 0.0 < done < 0.9 and not (tmp_path / "killed.h5").exists():
            shutil.copy("run.h5", "killed.h5")

    simulate(long_run(tmp_path, duration=12000.0, output="run.h5"), keep_a_copy)
    killed = Recording.load("killed.h5")
    assert killed.summary.outcome.startswith("unfinished")
    assert 0 < killed.summary.steps < whole.summary.steps
    assert_same(resume("killed.h5"), whole)


@pytest.mark.parametrize("factor", [None, 10.0])
def test_samples_lie_at_their_times_once_each_although_the_run_goes_back(tmp_path, factor):
    model = None if factor is None else constant_model(tmp_path, factor)
    keys = {"ic": "hierarchical-triple:e_in=0.6", "tolerance": 1e-6, "model": model, "duration": 60.0}
    run = simulate(Config(samples=50, step_history=True, **keys))
    np.testing.assert_array_equal(run.time, np.linspace(0.0, 60.0, 51))
    assert run.summary.energy_error_max >= run.energy_error.max()
    assert_kept(run, 1e-6)
    if factor is not None:
        assert run.summary.rejected_steps > 0


def test_the_step_to_the_end_is_held_to_the_tolerance_too(tmp_path):
    keys = {"ic": "figure-eight", "tolerance": 1e-3, "order": 4, "model": constant_model(tmp_path, 3.0)}
    for duration in np.linspace(3.0, 9.0, 40):
        run = simulate(Config(duration=float(duration), step_history=True, **keys))
        assert run.time[-1] == duration
        assert_kept(run, 1e-3)


# --- the kinds of tolerance


def test_each_step_by_itself_can_be_held_to_the_tolerance(tmp_path):
    keys = {"ic": "figure-eight", "tolerance": 1e-5, "order": 4, "model": constant_model(tmp_path, 8.0)}
    run = simulate(Config(tolerance_kind="step", steps=200, step_history=True, **keys))
    changes = np.diff(np.concatenate([[run.summary.energy_initial], run.step_history.energy])) / run.energy_scale
    assert np.abs(changes).max() <= 1e-5
    assert run.summary.rejected_steps > 0
    assert run.summary.energy_error_max > 1e-5
    assert run.summary.energy_verdict is None
    assert run.summary.energy_error_asked is None


def test_a_run_that_nothing_holds_never_goes_back(tmp_path):
    keys = {"ic": "figure-eight", "tolerance": 1e-5, "order": 4, "model": constant_model(tmp_path, 8.0)}
    run = simulate(Config(tolerance_kind="none", steps=200, **keys))
    assert run.summary.rejected_steps == 0
    assert run.summary.energy_error_max > 1e-5
    assert run.summary.force_evaluations == cost(4, 200, ttl=True)
    assert run.summary.energy_verdict == run.summary.position_verdict == "exceeded"


# --- systems of every kind


def test_a_parabolic_pair_is_held_to_its_kinetic_and_potential_energy(tmp_path):
    position = np.array([[0.0, 0.0], [1.0, 0.2]])
    speed = math.sqrt(2.0 * 2.0 / math.hypot(1.0, 0.2))
    velocity = np.array([[0.0, 0.0], [-speed, 0.0]])
    pair = InitialConditions(np.ones(2), position, velocity)
    for model in (None, constant_model(tmp_path, 20.0)):
        run = simulate(Config(tolerance=1e-6, duration=5.0, step_history=True, model=model), system=pair)
        kinetic = 0.5 * (pair.velocity**2).sum()
        assert abs(run.summary.energy_initial) < 1e-12
        assert run.energy_scale == pytest.approx(2.0 * kinetic)
        assert_kept(run, 1e-6)


def planets_and_comet() -> InitialConditions:
    """A star, a planet and a comet without mass that passes close to the star."""
    planet = relative_state(Elements(0.05, 5.0, 200.0), 1.0)
    comet = relative_state(Elements(0.9, 3.0, 120.0), 1.0)
    zero = np.zeros(3)
    position, velocity = np.array([zero, planet[0], comet[0]]), np.array([zero, planet[1], comet[1]])
    return InitialConditions(np.array([1.0, 1e-4, 0.0]), position, velocity)


@pytest.mark.parametrize("factor", [None, 10.0])
def test_a_comet_without_mass_is_held_by_the_error_of_its_place(tmp_path, factor):
    model = None if factor is None else constant_model(tmp_path, factor)
    keys = {"model": model, "duration": 60.0}
    run = simulate(Config(tolerance=1e-6, step_history=True, **keys), system=planets_and_comet())
    assert_kept(run, 1e-6)
    free = simulate(Config(tolerance=1e-6, tolerance_kind="none", **keys), system=planets_and_comet())
    exact = simulate(
        Config(timestep="fixed", h=0.02, order=8, integrator="ttl", duration=60.0), system=planets_and_comet()
    )
    apart, apart_free = (np.abs(r.position[-1, 2] - exact.position[-1, 2]).max() for r in (run, free))
    assert apart < 1e-2
    if factor is not None:
        assert run.summary.rejected_steps > 0
        assert free.summary.position_verdict == "exceeded"
        assert apart_free > 10.0 * apart


def test_two_and_three_dimensions_are_the_same(tmp_path):
    keys = {"tolerance": 1e-6, "model": constant_model(tmp_path, 2.0), "duration": 2.0}
    flat_run = simulate(Config(ic="random:n=4,seed=8", **keys))
    first = InitialConditions(flat_run.mass, flat_run.position[0], flat_run.velocity[0])
    deep = InitialConditions(
        first.mass, np.pad(first.position, ((0, 0), (0, 1))), np.pad(first.velocity, ((0, 0), (0, 1)))
    )
    run = simulate(Config(**keys), system=deep)
    np.testing.assert_array_equal(run.position[..., :2], flat_run.position)
    assert not run.position[..., 2].any()
    assert run.summary.force_evaluations == flat_run.summary.force_evaluations


def test_softening_and_a_tide_belong_to_the_energy_that_is_kept(tmp_path):
    tide = {"external_field_mass": 20.0, "external_field_position": (8.0, 1.0, 0.0), "softening": 0.02, "G": 1.5}
    for model in (None, constant_model(tmp_path, 5.0)):
        config = Config(
            ic="random:n=4,seed=13,dim=3", tolerance=1e-5, duration=4.0, step_history=True, every=1, model=model, **tide
        )
        run = simulate(config)
        assert_kept(run, 1e-5)
        of_law = law(G=1.5, softening=0.02, tide=(20.0, 8.0, 1.0, 0.0))
        ends = [energy(flat(run.mass, run.position[k], run.velocity[k]), of_law) for k in (0, -1)]
        assert ends == pytest.approx([run.energy[0], run.energy[-1]], rel=1e-12)
        assert abs(ends[1] - ends[0]) <= 1e-5 * abs(ends[0])


@pytest.mark.parametrize(("heavier", "larger"), [(1e3, 1e-3), (1e-3, 1e3), (1e3, 1e3)])
def test_other_units_give_as_many_steps(tmp_path, heavier, larger):
    first = simulate(Config(ic="hierarchical-triple:e_in=0.6", timestep="fixed", dt=0.1, steps=1))
    position, velocity = first.position[0], first.velocity[0]
    scaled = InitialConditions(heavier * first.mass, larger * position, math.sqrt(heavier / larger) * velocity)
    plain = InitialConditions(first.mass, position, velocity)
    time = math.sqrt(larger**3 / heavier)
    for model in (None, constant_model(tmp_path, 3.0)):
        for integrator in ("ttl", "leapfrog"):
            keys = {"tolerance": 1e-5, "model": model, "integrator": integrator}
            one = simulate(Config(duration=20.0, **keys), system=plain).summary
            other = simulate(Config(duration=20.0 * time, **keys), system=scaled).summary
            assert (one.steps, one.rejected_steps) == (other.steps, other.rejected_steps)
            assert one.force_evaluations == pytest.approx(other.force_evaluations, abs=20)
            assert other.position_error_max == pytest.approx(one.position_error_max, rel=1e-3)


# --- the network's choice


def test_a_state_unlike_any_in_training_gets_the_careful_factor(tmp_path):
    keys = {"ic": "figure-eight", "tolerance": 1e-4, "order": 4, "steps": 300, "every": 1}
    strange = simulate(Config(model=constant_model(tmp_path, 0.9, fallback=0.2, ranges=1e-9), **keys))
    careful = simulate(Config(model=constant_model(tmp_path, 0.2), **keys))
    usual = simulate(Config(model=constant_model(tmp_path, 0.9, fallback=0.2), **keys))
    assert strange.summary.outside_training == 1.0
    assert careful.summary.outside_training == usual.summary.outside_training == 0.0
    np.testing.assert_array_equal(strange.position, careful.position)
    assert usual.dt[1] == pytest.approx(4.5 * careful.dt[1], rel=0.1)


def test_each_integrator_and_order_has_its_own_output(tmp_path):
    from aitimestepper.weights.file import read_model

    file = read_model(constant_model(tmp_path, 0.5, fallback=0.1))
    factors = 0.1 + 0.05 * np.arange(len(HEADS))
    file.weights["layers.2.bias"] = np.log(np.expm1(factors))
    file.about["fallback"] = list(0.5 * factors)
    for head, (integrator, order) in enumerate(HEADS):
        own = control_of(file, Config(tolerance=1e-4, integrator=integrator, order=order))
        layers = np.zeros((2, TRAITS + 1))
        assert rules.first_output(own.network, layers) == pytest.approx(factors[head])
        assert own.fallback == pytest.approx(0.5 * factors[head])
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
    run = simulate(config, system=pair)
    r = np.linalg.norm(run.position[:, 1] - run.position[:, 0], axis=-1)
    h = 2.0 * 1.1 * run.dt[1:] / (r[1:] + r[:-1])
    expected = 0.5 * math.sqrt(1e-3) * 1.1 / math.sqrt(1.1)
    np.testing.assert_allclose(h, h[0], rtol=2e-3)
    assert h[0] == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("integrator", ["ttl", "leapfrog"])
def test_steps_forward_and_back_return(tmp_path, integrator):
    """The choice does not know forwards from backwards."""
    plan = prepared(
        ic="kepler:e=0.7,m2=0.3", tolerance=1e-4, tolerance_kind="none", order=4, integrator=integrator,
        model=constant_model(tmp_path, 0.3), steps=300,
    )  # fmt: skip
    run, frames = plan.new_run(), arrays(2)
    n = 2
    begin = run.system[X * n : VX * n].copy()
    none = Limits(math.inf, 300.0, 10**9)
    assert advance_run(run, plan.plan, plan.own, none, frames)[0] == 2
    assert np.abs(run.system[X * n : VX * n] - begin).max() > 0.1
    back, ahead = copy_of(run), copy_of(run)
    assert advance_run(ahead, plan.plan, plan.own, none._replace(last_step=301.0), frames)[0] == 2
    back.system[VX * n : AX * n] *= -1.0
    back.books[LAST_RATE] = ahead.books[LAST_RATE]
    assert advance_run(back, plan.plan, plan.own, none._replace(last_step=600.0), frames)[0] == 2
    assert np.abs(back.system[X * n : VX * n] - begin).max() < 1e-10


def test_the_recursion_begins_anew_where_the_step_changes(tmp_path):
    plan = prepared(
        ic="figure-eight", tolerance=1e-4, tolerance_kind="none", order=2, integrator="leapfrog",
        model=constant_model(tmp_path, 0.5), steps=65,
    )  # fmt: skip
    run, frames = plan.new_run(), arrays(3)
    assert advance_run(run, plan.plan, plan.own, Limits(math.inf, 63.0, 10**9), frames)[0] == 2
    run.books[BASE] *= 3.0
    assert advance_run(run, plan.plan, plan.own, Limits(math.inf, 65.0, 10**9), frames)[:2] == (2, 2)
    x, v = np.moveaxis(frames.rows[0].reshape(2, 3, 3), -1, 1)
    i, j = np.triu_indices(3, 1)
    r, speed = (np.linalg.norm(vectors[i] - vectors[j], axis=-1) for vectors in (x, v))
    assert frames.scalars[1, 1] == pytest.approx(0.5 * 0.01 / np.sqrt((speed**2 + 2.0 / r) / r**2).max(), rel=1e-9)


def test_a_leapfrog_run_does_not_drift(tmp_path):
    keys = {"ic": "kepler:e=0.6", "tolerance": 1e-4, "order": 2, "integrator": "leapfrog", "periods": 40}
    for model in (None, constant_model(tmp_path, 1.0)):
        run = simulate(Config(model=model, step_history=True, **keys))
        assert_kept(run, 1e-4)
    even, uneven = (
        simulate(Config(tolerance_kind="none", model=constant_model(tmp_path, 2.0), reversible=r, **keys)).summary
        for r in (True, False)
    )
    assert even.energy_error_final < 0.1 * uneven.energy_error_final


def test_steps_keep_within_the_bounds_that_were_set(tmp_path):
    run = simulate(
        Config(
            ic="kepler:e=0.8", tolerance=1e-3, integrator="leapfrog", order=2, model=constant_model(tmp_path),
            dt_min=2e-3, dt_max=2e-2, periods=2, every=1,
        )
    )  # fmt: skip
    assert run.dt[1:-1].min() >= 2e-3 * (1 - 1e-12)
    assert run.dt[1:].max() <= 2e-2 * (1 + 1e-12)


def test_a_setback_restores_all_but_what_was_spent(tmp_path):
    plan = prepared(
        ic="hierarchical-triple:e_in=0.6", tolerance=1e-5, order=4, model=constant_model(tmp_path, 0.5), steps=64
    )
    run, frames = plan.new_run(), arrays(3)
    assert advance_run(run, plan.plan, plan.own, Limits(math.inf, 64.0, 10**9), frames)[0] == 2
    run.anchor[layout.OMEGA] *= 1.5  # as long steps may leave it
    begin, later = run.anchor.copy(), copy_of(run)
    run.anchor[ANCHOR_STEP] = later.books[ANCHOR_STEP] = 40.0
    run.books[:], run.system[:] = later.books, later.system + 1.0
    run.books[layout.EVALUATIONS], run.books[layout.TIME] = 1234.0, 99.0
    controlled._set_back(run, plan.plan, 3.0)
    np.testing.assert_array_equal(run.system, begin[BOOKS:])
    assert run.books[layout.TIME] == begin[layout.TIME]
    assert run.books[STEPS] == 64.0
    assert run.books[layout.EVALUATIONS] == 1234.0
    assert run.books[layout.REJECTED] == 24.0
    assert run.books[layout.SETBACKS] == 1.0
    assert run.books[LAST_RATE] == 0.0
    assert run.books[CORRECTION] < 1.0
    assert run.books[layout.OMEGA] == omega_of(run.system, plan.plan.law, PAIR_NORM)
    first = run.books[CORRECTION]
    controlled._set_back(run, plan.plan, 3.0)
    assert run.books[CORRECTION] < first
    assert run.books[layout.SETBACKS] == 2.0


def test_a_run_stands_at_its_anchor_whenever_the_loop_returns(tmp_path):
    plan = prepared(
        ic="hierarchical-triple:e_in=0.6", tolerance=1e-5, order=4, model=constant_model(tmp_path, 2.0), steps=2000
    )
    run, frames = plan.new_run(), arrays(3)
    while advance_run(run, plan.plan, plan.own, Limits(math.inf, 2000.0, 1), frames)[0] == 0:
        np.testing.assert_array_equal(run.anchor[:BOOKS], run.books)
        np.testing.assert_array_equal(run.anchor[BOOKS:], run.system)
        assert run.books[ANCHOR_STEP] == run.books[STEPS]
        assert run.books[PARDON] == run.books[FUTILE] == 0.0
    assert rows(run.system, MASS, X)[0].sum() > 0.0
