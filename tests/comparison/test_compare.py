"""Comparisons: budgets are met, every force evaluation is counted, errors are those of the run."""

from __future__ import annotations

import importlib.util
import math
import os
import signal
import time

import numpy as np
import pytest

from aitimestepper import Comparison, Config, ConfigError, InputError, compare, register_criterion, simulate
from aitimestepper.comparison import tuning
from aitimestepper.comparison.carrying_out import runs_of
from aitimestepper.comparison.methods import Parameter, parse_method
from aitimestepper.comparison.own_runs import MOST_BUDGETS, OwnRuns
from aitimestepper.comparison.rebound_runs import ReboundRuns
from aitimestepper.comparison.result import Row
from aitimestepper.comparison.runs import Case, Outcome, Trial
from aitimestepper.comparison.tuning import tune
from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.systems.rebound_bodies import rebound_installed

needs_rebound = pytest.mark.skipif(not rebound_installed(), reason="rebound is not installed")

KEPLER = "kepler:e=0.9,m2=0.5"
OWN = (
    "leapfrog:fixed",
    "leapfrog:free-fall",
    "leapfrog:aarseth/plain",
    "ttl:fixed",
    "ttl:free-fall",
    "ttl4:fixed/log-h",
)


@pytest.fixture(scope="module")
def kepler() -> Comparison:
    return compare(config=Config(ic=KEPLER, periods=5, methods=OWN, evaluations=(3000, 6000)))


def row_of(comparison: Comparison, method: str, budget: int) -> Row:
    return next(row for row in comparison.rows if (row.method, row.budget) == (method, budget))


def test_every_budget_is_met_within_a_few_percent(kepler):
    assert [(row.method, row.budget) for row in kepler.rows] == [(m, b) for m in OWN for b in (3000, 6000)]
    for row in kepler.rows:
        assert row.met
        assert row.force_evaluations == pytest.approx(row.budget, rel=0.03)
        assert row.note == ""


@pytest.mark.parametrize("method", OWN)
def test_the_numbers_are_those_of_a_simulation_with_the_parameter_found(kepler, method):
    row = row_of(kepler, method, 3000)
    keys = parse_method(method).keys
    summary = simulate(config=Config(ic=KEPLER, periods=5, **keys, **{row.parameter: row.value})).summary
    assert (row.steps, row.rejected_steps) == (summary.steps, summary.rejected_steps)
    assert row.force_evaluations == summary.force_evaluations
    assert row.energy_error_max == summary.energy_error_max
    assert row.energy_error_final == summary.energy_error_final
    assert row.angular_momentum_error == summary.angular_momentum_residual


def test_a_fixed_leapfrog_evaluates_the_force_once_a_step_and_once_before(kepler):
    row = row_of(kepler, "leapfrog:fixed", 3000)
    assert row.steps == math.ceil(kepler.systems[0].duration / row.value - 1e-6)
    assert row.force_evaluations == row.steps + 1


def test_on_an_eccentric_orbit_the_methods_rank_as_is_known(kepler):
    fixed, free_fall, ttl = (
        row_of(kepler, method, 6000).energy_error_max
        for method in ("leapfrog:fixed", "leapfrog:free-fall", "ttl:fixed")
    )
    assert fixed > 10 * free_fall
    assert free_fall > 1e6 * ttl
    assert ttl < 1e-11


def test_position_errors_are_against_where_the_bodies_truly_are(kepler):
    row = row_of(kepler, "leapfrog:free-fall", 6000)
    recording = simulate(config=Config(ic=KEPLER, periods=5, timestep="free-fall", eta=row.value))
    # After whole periods the bodies are where they were.
    truth = np.linalg.norm(recording.position[-1] - recording.position[0], axis=-1).max()
    assert row.position_error == pytest.approx(truth, rel=1e-6)
    assert kepler.systems[0].reference.doubled_step_distance < 1e-10


def test_twice_the_evaluations_are_a_quarter_of_the_error(kepler):
    coarse, fine = (row_of(kepler, "leapfrog:free-fall", budget) for budget in (3000, 6000))
    order = math.log(coarse.energy_error_max / fine.energy_error_max) / math.log(
        fine.force_evaluations / coarse.force_evaluations
    )
    assert order == pytest.approx(2.0, abs=0.2)


def test_several_systems_and_bodies_of_the_callers_own():
    by_name = compare(
        config=Config(systems=(KEPLER, "figure-eight"), duration=2, methods=("ttl:fixed",), evaluations=(500,))
    )
    assert [(s.system, s.n_bodies) for s in by_name.systems] == [(KEPLER, 2), ("figure-eight", 3)]
    bodies = [initial_conditions("figure-eight")]
    own = compare(config=Config(duration=2, methods=("ttl:fixed",), evaluations=(500,)), systems=bodies)
    assert own.systems[0].system == "system 0"
    assert own.rows[0].energy_error_max == by_name.rows[1].energy_error_max


def test_physics_reaches_every_run():
    keys = {"softening": 0.2, "G": 2.0, "external_field_mass": 5.0, "external_field_position": (9.0, 0.0)}
    comparison = compare(
        config=Config(ic="figure-eight", duration=1, methods=("leapfrog:fixed",), evaluations=(500,), **keys)
    )
    row = comparison.rows[0]
    summary = simulate(config=Config(ic="figure-eight", duration=1, timestep="fixed", dt=row.value, **keys)).summary
    assert row.energy_error_max == summary.energy_error_max
    assert comparison.systems[0].reference.ias15_distance is None
    assert "external field" in comparison.systems[0].reference.note or not rebound_installed()


def test_a_criterion_of_the_users_own_competes():
    register_criterion("compared-own", lambda mass, position, velocity, acceleration, softening, G: 0.1)
    row = compare(config=Config(ic=KEPLER, periods=1, methods=("leapfrog:compared-own",), evaluations=(500,))).rows[0]
    assert row.met
    assert row.parameter == "eta"


def test_progress_goes_from_nothing_to_all():
    seen: list[float] = []
    compare(config=Config(ic=KEPLER, periods=1, methods=("ttl:fixed",), evaluations=(200, 400)), progress=seen.append)
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)


def test_a_budget_below_what_a_method_can_do_is_said_not_invented():
    # 17 stages a step: one step is the least.
    rows = compare(config=Config(ic=KEPLER, periods=1, methods=("leapfrog8:fixed",), evaluations=(107,))).rows
    assert rows[0].met == (abs(rows[0].force_evaluations / 107 - 1) <= 0.05)
    assert rows[0].met or rows[0].note


@pytest.mark.parametrize("method", ["leapfrog:fixed", "ttl4:learned"])
def test_a_run_that_is_cut_off_has_no_outcome_and_the_cost_that_all_of_it_would_have_had(method):
    runs = runs_of(parse_method(method), Case(KEPLER, Config(), initial_conditions(KEPLER), 50.0))
    assert isinstance(runs, OwnRuns)
    value = {"leapfrog:fixed": 1e-3, "ttl4:learned": 1e-9}[method]
    whole = runs.run(value, 10**6)
    budget = round(whole.cost / (3 * MOST_BUDGETS))
    cut = runs.run(value, budget)
    assert (cut.outcome, cut.failure) == (None, "")
    assert cut.cost == pytest.approx(whole.cost, rel=0.3)


# The search itself, with costs that are known.


def made_up(cost, value) -> Trial:
    outcome = Outcome(1, round(cost), 0, 0.0, 0.0, 0.0, np.zeros((1, 2)), 0.0)
    return Trial(value, cost, outcome)


@pytest.mark.parametrize("power", [-1.0, -1 / 3, -1 / 7, -2.0])
def test_a_power_law_is_found_in_a_few_trials(power):
    tuned = tune(lambda x: made_up(50 * x**power, x), Parameter("x", power, 1e-30, 1e30), 10_000, 1.0)
    assert tuned.meets(10_000)
    assert tuned.trials <= 14


def test_a_law_that_is_no_power_is_found_too():
    tuned = tune(lambda x: made_up(900 + 30 / x**2 + 5 / x, x), Parameter("x"), 10_000, 5.0)
    assert tuned.best.cost == pytest.approx(10_000, rel=tuning.PRECISION)


def test_runs_that_fail_count_as_too_long_steps():
    def run(x):
        return Trial(x, 3.0, None, "not finite") if x > 1e-3 else made_up(1 / x, x)

    assert tune(run, Parameter("x"), 10_000, 1.0).meets(10_000)


def test_a_cost_that_never_falls_to_the_budget_gives_the_cheapest_run():
    tuned = tune(lambda x: made_up(500 + 1 / x, x), Parameter("x", high=1e2), 100, 1e-2)
    assert not tuned.meets(100)
    assert tuned.cheapest == pytest.approx(500, rel=0.01)


def test_a_jump_over_the_budget_ends_the_search():
    tuned = tune(lambda x: made_up(200 if x < 1 else 50, x), Parameter("x"), 100, 3.0)
    assert not tuned.meets(100)
    assert tuned.trials <= tuning.MOST_TRIALS


# What methods are called.


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("leapfrog:free-fall", {"integrator": "leapfrog", "order": 2, "timestep": "free-fall"}),
        ("ttl6:fixed/log-h", {"integrator": "ttl", "order": 6, "timestep": "fixed", "omega": "log-h"}),
        ("ttl:fixed/q=2/unit", {"omega_q": 2.0, "omega_weight": "unit"}),
        ("leapfrog4:aarseth/plain", {"order": 4, "reversible": False}),
        ("leapfrog:learned=runs/a,b/model", {"timestep": "learned", "model": "runs/a,b/model"}),
        ("ttl:learned=runs/first/reversible", {"model": "runs/first", "reversible": True}),
        ("ttl4:learned", {"timestep": "learned", "order": 4}),
    ],
)
def test_a_method_is_its_keys(text, keys):
    found = parse_method(text).keys
    assert {key: found[key] for key in keys} == keys


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        ("leapfrg:free-fall", "did you mean leapfrog:free-fall"),
        ("leapfrog:freefall", "did you mean leapfrog:free-fall"),
        ("ttl5:fixed", "did you mean ttl:fixed"),
        ("rebound:ias", "did you mean rebound:ias15"),
        ("rebound:ias15/prs32", "did you mean rebound:ias15/prs23"),
        ("leapfrog:free-fall/plan", "did you mean plain"),
        ("ttl:fixed/q=x", "should be a number"),
        ("leapfrog", "should be INTEGRATOR"),
        ("leapfrog:learned=", "learned=PATH"),
        ("leapfrog:fixed=x", "only learned has any"),
        ("leapfrog:fixed/plain", "does nothing"),
        ("leapfrog:fixed/log-h", "does nothing"),
        ("leapfrog:learned=nowhere.safetensors", "nowhere.safetensors"),
    ],
)
def test_a_bad_method_is_refused_with_the_nearest_choice(text, fragment):
    with pytest.raises(InputError, match="method") as refused:
        compare(config=Config(ic=KEPLER, periods=1, methods=(text,)))
    assert fragment in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("keys", "fragment"),
    [
        ({"ic": KEPLER}, "exactly one of duration"),
        ({"ic": KEPLER, "steps": 3}, "not steps"),
        ({"periods": 1}, "needs ic or systems"),
        ({"ic": KEPLER, "systems": (KEPLER,), "periods": 1}, "given twice"),
        ({"systems": (KEPLER, KEPLER), "periods": 1}, "twice"),
        ({"ic": "pythagorean", "periods": 1}, "set duration"),
        ({"ic": KEPLER, "periods": 1, "evaluations": (5,)}, "evaluations must be"),
        ({"ic": KEPLER, "periods": 1, "methods": ("ttl:fixed", "ttl:fixed")}, "methods has ttl:fixed twice"),
        ({"ic": "keplr", "periods": 1}, "did you mean kepler"),
    ],
)
def test_a_comparison_that_cannot_be_made_is_refused(keys, fragment):
    with pytest.raises(InputError, match=r".") as refused:
        compare(config=Config(**keys))
    assert fragment in str(refused.value)


def test_keys_of_single_runs_are_no_keys_of_the_command():
    from aitimestepper.config.schema import fields_of

    assert not {"timestep", "dt", "integrator", "every"} & set(fields_of("compare"))
    assert {"methods", "systems", "evaluations", "figure", "softening"} <= set(fields_of("compare"))
    with pytest.raises(ConfigError, match="evaluations"):
        Config(evaluations=("many",))


def test_without_rebound_its_methods_are_refused_and_the_check_is_left_out(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"'rebound:ias15' needs the package rebound: pip install"):
        compare(config=Config(ic=KEPLER, periods=1, methods=("rebound:ias15",)))
    comparison = compare(config=Config(ic=KEPLER, periods=1, methods=("ttl:fixed",), evaluations=(300,)))
    assert "rebound is not installed" in comparison.systems[0].reference.note
    assert comparison.systems[0].reference.ias15_distance is None


# REBOUND.


@needs_rebound
def test_the_reference_agrees_with_ias15(kepler):
    reference = kepler.systems[0].reference
    assert reference.ias15_distance < 1e-10
    assert reference.uncertainty == max(reference.ias15_distance, reference.doubled_step_distance)
    assert reference.energy_error_max < 1e-11


@needs_rebound
def test_a_chaotic_system_admits_that_its_reference_is_unsure():
    comparison = compare(
        config=Config(ic="random:n=8,seed=1", duration=20, methods=("leapfrog:fly-by",), evaluations=(3000,))
    )
    assert comparison.systems[0].reference.uncertainty > 0.1


@needs_rebound
@pytest.mark.parametrize(
    ("epsilon", "per_step"), [(1e-9, (21, 24)), (1e-7, (28, 31)), (1e-5, (34, 44)), (1e-3, (50, 69))]
)
@pytest.mark.parametrize(("spec", "duration"), [("kepler:e=0.9", 40.0), ("pythagorean", 20.0)])
def test_all_force_evaluations_of_ias15_are_counted(spec, duration, epsilon, per_step):
    runs = ReboundRuns(parse_method("rebound:ias15"), Case(spec, Config(), initial_conditions(spec), duration))
    trial = runs.run(epsilon, 10**6)
    assert trial.outcome.force_evaluations == trial.cost == runs.evaluations
    assert per_step[0] <= trial.cost / trial.outcome.steps <= per_step[1]


@needs_rebound
def test_the_leapfrog_of_rebound_costs_one_evaluation_a_step_and_has_the_same_error():
    methods = ("rebound:leapfrog", "leapfrog:fixed")
    rows = compare(config=Config(ic="kepler:e=0.3", periods=5, methods=methods, evaluations=(2000,))).rows
    assert abs(rows[0].force_evaluations - rows[0].steps) <= 1
    assert rows[0].met
    # Drift first there, kick first here: errors of one size, not the same.
    assert rows[0].energy_error_max == pytest.approx(rows[1].energy_error_max, rel=1.0)


@needs_rebound
@pytest.mark.parametrize("spec", ["random:n=3,seed=2,dim=3", "figure-eight"])
def test_rebound_feels_the_same_forces(spec):
    config = Config(G=2.0, softening=0.1)
    system = initial_conditions(spec, G=2.0, softening=0.1)
    runs = ReboundRuns(parse_method("rebound:ias15"), Case(spec, config, system, 1.5))
    outcome = runs.run(1e-9, 10**6).outcome
    keys = {"integrator": "leapfrog", "order": 8, "timestep": "fixed", "dt": 0.002, "duration": 1.5}
    recording = simulate(config=Config(ic=spec, G=2.0, softening=0.1, **keys))
    np.testing.assert_allclose(outcome.position, recording.position[-1], rtol=0, atol=1e-11)
    assert outcome.energy_error_max < 1e-13
    assert outcome.angular_momentum_error < 1e-13


@needs_rebound
def test_a_budget_that_ias15_cannot_meet_is_said():
    rows = compare(
        config=Config(ic="kepler:e=0.9", periods=30, methods=("rebound:ias15",), evaluations=(6000, 40_000))
    ).rows
    assert [row.met for row in rows] == [False, True]
    assert rows[0].note.startswith("cannot be met: the cheapest of")
    assert rows[0].force_evaluations > 25_000
    assert rows[1].rejected_steps is None


@needs_rebound
def test_where_the_default_criterion_of_ias15_collapses_another_one_runs():
    # Three bodies come to lie in a line halfway through.
    keys = {"ic": "three-body:name=butterfly-I", "periods": 1, "evaluations": (30_000,)}
    row = compare(config=Config(methods=("rebound:ias15",), **keys)).rows[0]
    assert row.met
    if row.note:
        assert "aarseth" in row.note


@needs_rebound
def test_ctrl_c_still_reaches_python_after_rebound_has_run():
    signal.signal(signal.SIGINT, signal.default_int_handler)  # other tests let REBOUND's own loop take it away
    case = Case(KEPLER, Config(), initial_conditions(KEPLER), 1.0)
    ReboundRuns(parse_method("rebound:ias15"), case).run(1e-9, 10**6)
    with pytest.raises(KeyboardInterrupt):
        _interrupt_this_process()


def _interrupt_this_process() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(5)


def test_a_comparison_shows_a_line_for_each_run():
    text = repr(compare("figure-eight", duration=1, methods=("leapfrog:fixed", "ttl:fixed"), evaluations=(500,)))
    assert text.splitlines()[0] == "Comparison of 2 runs on 1 system"
    assert len(text.splitlines()) == 3
    assert "evaluations, energy error" in text
