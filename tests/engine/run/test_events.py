"""What a calibrated run notes of its setbacks, anchors and changes of the step, and that noting decides nothing."""

from __future__ import annotations

import math

import numpy as np
import pytest
from tests.engine.run.builders import arrays, constant_model, prepared

from aitimestepper import Config, Recording, simulate
from aitimestepper.constants import ANCHOR, EXCUSED, LONGER, NETWORK, SETBACK
from aitimestepper.engine.run import setbacks
from aitimestepper.engine.run.events import COLUMNS, MOST_EVENTS
from aitimestepper.engine.run.governor import RESERVE
from aitimestepper.engine.run.state import Limits, packed
from aitimestepper.engine.run.step import AT_STEPS, FULL
from aitimestepper.recordings.step_events import StepEvents
from aitimestepper.simulation.driver import advance_run
from aitimestepper.simulation.planning import PlannedRun

TOLERANCE = 1e-6


def noted(plan: PlannedRun, budget: int, events: int):
    """The run at its end, its events, and the number of calls."""
    run, found, calls = plan.new_run(), [], 0
    frames = arrays(plan.request.system.n_bodies, room=4000, events=events)
    while True:
        status, _, _ = advance_run(run, plan.plan, plan.own, Limits(math.inf, plan.goal.last_step, budget), frames)
        found.append(frames.events.rows[: frames.events.counts[0]].copy())
        calls += 1
        if status == AT_STEPS:
            return packed(run), np.vstack(found), calls
        assert status in (0, FULL)


def test_noting_decides_nothing_and_does_not_depend_on_how_often_the_loop_returns(tmp_path):
    model = constant_model(tmp_path, 1.0)
    plan = prepared(ic="random:n=4,seed=13,dim=3", tolerance=1e-5, order=4, model=model, steps=3001)
    state, events, calls = noted(plan, 10**9, 4000)
    assert calls == 1
    assert {ANCHOR, SETBACK, NETWORK, LONGER} <= set(events[:, 0])
    for budget, room in ((1, 4000), (10**9, MOST_EVENTS), (10**9, 0)):
        again, found, calls = noted(plan, budget, room)
        np.testing.assert_array_equal(again, state)
        if room == 0:
            assert len(found) == 0
            continue
        assert calls > 3
        np.testing.assert_array_equal(found, events)


@pytest.fixture(scope="module")
def run() -> Recording:
    """One with many encounters."""
    return simulate(
        config=Config(
            ic="random:n=5,virial=0,seed=9011", tolerance=TOLERANCE, steps=6001, step_history=True, integrator="ttl"
        )
    )


def test_a_setback_leads_from_where_the_error_was_met_back_to_the_last_anchor(run):
    events = run.step_events
    back = np.flatnonzero((events.kind == SETBACK) | (events.kind == EXCUSED))
    assert len(back) > 5
    for number in back:
        earlier = np.flatnonzero(events.kind[:number] == ANCHOR)
        assert events.goes_on_at[number] == events.time[earlier[-1]]
        assert events.time[number] > events.goes_on_at[number]
        assert events.error[number] > RESERVE
    assert (events.step[events.kind == SETBACK] < events.step_before[events.kind == SETBACK]).all()
    # No more steps lie between anchor and setback than were taken back.
    assert len(back) <= run.summary.rejected_steps


def test_events_lie_on_the_path_that_was_kept(run):
    events = run.step_events
    assert (np.diff(events.goes_on_at) >= 0.0).all()
    kept = ~np.isin(events.kind, (SETBACK, EXCUSED))
    np.testing.assert_array_equal(events.time[kept], events.goes_on_at[kept])
    assert np.isin(events.time[kept], np.append(0.0, run.step_history.time)).all()
    # On that path the step in force is what the event before has left.
    np.testing.assert_array_equal(events.step_before[1:][kept[1:]], events.step[:-1][kept[1:]])
    assert (events.step[events.kind == LONGER] > events.step_before[events.kind == LONGER]).all()
    assert (events.step[events.kind == ANCHOR] == events.step_before[events.kind == ANCHOR]).all()


def test_the_error_of_an_anchor_is_that_of_its_state(run):
    events, history = run.step_events, run.step_history
    anchors = np.flatnonzero(events.kind == ANCHOR)[1:-1]
    energy = history.energy[np.searchsorted(history.time, events.time[anchors])]
    errors = np.abs(energy - run.summary.energy_initial) / run.energy_scale
    np.testing.assert_allclose(events.error[anchors], errors / TOLERANCE, rtol=1e-6)


def test_there_is_room_for_all_events_up_to_the_next_anchor(run):
    between = np.diff(np.flatnonzero(run.step_events.kind == ANCHOR))
    assert between.max() <= MOST_EVENTS
    assert setbacks._MOST_SETBACKS + 17 + 543 // 16 + 1 <= MOST_EVENTS


def test_the_state_before_a_sample_is_an_anchor_and_events_go_on_behind_it(tmp_path):
    model = constant_model(tmp_path, 10.0)
    keys = {"ic": "hierarchical-triple:e_in=0.6", "tolerance": 1e-6, "duration": 60.0, "model": model}
    run = simulate(config=Config(step_history=True, samples=50, **keys))
    events, times = run.step_events, np.append(0.0, run.step_history.time)
    before = times[np.searchsorted(times, run.time[1:-1], side="right") - 1]
    assert np.isin(before, events.time[events.kind == ANCHOR]).all()
    assert (np.diff(events.goes_on_at) >= 0.0).all()
    assert (events.kind == SETBACK).any()


@pytest.mark.parametrize("keys", [{}, {"timestep": "fixed", "dt": 0.01}])
def test_nothing_is_noted_where_nothing_is_asked_or_controlled(keys):
    if keys:
        recording = simulate(config=Config(ic="figure-eight", steps=100, step_history=True, **keys))
    else:
        recording = simulate(config=Config(ic="figure-eight", steps=100, tolerance=1e-4))
    assert len(recording.step_events.time) == 0


def test_a_number_that_no_file_has_becomes_the_largest_one():
    rows = np.zeros((2, COLUMNS))
    rows[0, 6], rows[1, 7] = math.inf, math.nan
    events = StepEvents.of(rows)
    assert np.isfinite(np.array(events)).all()
    assert events.error[0] == events.position_error[1] == np.finfo(float).max


def test_a_run_back_notes_the_events_of_one_forth():
    keys = {"ic": "figure-eight", "tolerance": 1e-6, "step_history": True}
    back, forth = (simulate(config=Config(duration=sign * 5.0, **keys)).step_events for sign in (-1.0, 1.0))
    np.testing.assert_array_equal(back.kind, forth.kind)
    assert back.time[-1] == pytest.approx(-forth.time[-1], rel=1e-6)
    assert (np.diff(back.goes_on_at) <= 0.0).all()
