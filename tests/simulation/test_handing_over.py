"""A calibrated run hands over to `gbs` once three bodies have met, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aitimestepper import Config, InitialConditions, InputError, resume, simulate
from aitimestepper.simulation.driver import drive
from aitimestepper.simulation.planning import planned
from aitimestepper.simulation.run import requested


def run_of(system, **keys):
    return simulate(system, progress=False, **{"tolerance": 1e-8, **keys})


@pytest.mark.parametrize("tolerance", [1e-4, 1e-7, 1e-10])
def test_it_hands_over_where_three_bodies_meet_and_keeps_the_promise(tolerance):
    run = run_of("pythagorean", duration=50.0, tolerance=tolerance)
    summary = run.summary
    assert run.settings["integrator"] == "auto"
    assert 0 < summary.handed_over_at_step < summary.steps
    assert 0.0 < summary.handed_over_at_time < 10.0
    assert (summary.energy_verdict, summary.position_verdict) == ("kept", "kept")
    assert "by gbs from t =" in str(run)


@pytest.mark.parametrize("system", ["kepler:e=0.9", "hierarchical-triple", "solar-system"])
def test_where_no_three_bodies_meet_it_is_the_run_of_one_method(system):
    automatic, alone = (run_of(system, duration=40.0, **keys) for keys in ({}, {"integrator": "ttl"}))
    assert automatic.summary.handed_over_at_step is None
    assert automatic.position.tobytes() == alone.position.tobytes()


def test_up_to_there_it_is_the_run_of_one_method_too():
    automatic, alone = (run_of("pythagorean", duration=50.0, every=1, **keys) for keys in ({}, {"integrator": "ttl"}))
    until = automatic.summary.handed_over_at_step + 1
    assert automatic.position[:until].tobytes() == alone.position[:until].tobytes()
    assert automatic.summary.force_evaluations < 0.5 * alone.summary.force_evaluations


def test_it_does_not_depend_on_how_often_the_loop_returns():
    ends = []
    for budget in (1, 50, 10**6):
        plan = planned(requested(Config(ic="pythagorean", duration=20.0, tolerance=1e-8)))
        *_, block = drive(plan.new_run(), plan.plan, plan.own, plan.goal, 2, budget=budget)
        ends.append(block.reached.system.tobytes() + block.reached.books.tobytes())
    assert ends[0] == ends[1] == ends[2]


@pytest.mark.parametrize("until", [0.2, 10.0])
def test_a_resumed_run_has_the_same_bits(until):
    """Before it is handed over, and behind it."""
    whole = run_of("pythagorean", duration=20.0, samples=100, output="whole.h5")
    run_of("pythagorean", duration=until, samples=round(5 * until), output="part.h5")
    gone_on = resume(Path("part.h5"), duration=20.0, progress=False)
    assert gone_on.position.tobytes() == whole.position.tobytes()
    assert gone_on.summary.handed_over_at_time == whole.summary.handed_over_at_time


def test_every_step_and_event_is_noted_once():
    run = run_of("pythagorean", duration=20.0, step_history=True)
    assert len(run.step_history.time) == run.summary.steps - 1  # the last one is shortened, to the end
    assert (np.diff(run.step_history.time) > 0.0).all()
    assert (run.step_events.time <= run.summary.handed_over_at_time).all()


@pytest.mark.parametrize("keys", [{"order": 4}, {"dt_max": 0.1}, {"integrator": "ttl"}, {"tolerance_kind": "none"}])
def test_what_belongs_to_one_method_keeps_to_it(keys):
    assert run_of("pythagorean", duration=5.0, **keys).settings["integrator"] == "ttl"


def test_a_run_of_gbs_alone_was_handed_over_by_nobody_even_where_bodies_merge():
    line = InitialConditions([1.0, 0.5, 0.25], [[0.0], [1.0], [-3.0]], np.zeros((3, 1)), radius=[0.1, 0.05, 0.05])
    run = run_of(line, duration=2.5, integrator="gbs", collisions="merge")
    assert run.summary.mergers == 1
    assert run.summary.handed_over_at_step is None
    assert "by gbs from" not in str(run)


def test_it_needs_calibrated_steps():
    with pytest.raises(InputError, match="integrator = auto needs calibrated steps"):
        simulate("kepler", duration=1.0, integrator="auto", timestep="fly-by", eta=0.01)
