"""A function of the user's that looks at a run while it goes on, and may end it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from tests.engine.run.builders import constant_model
from tests.simulation.test_resume import assert_same
from tests.simulation.test_whole_summaries import KINDS, config_of

from aitimestepper import Config, Recording, resume, simulate
from aitimestepper.recordings.parts import Frames
from aitimestepper.simulation import driver
from aitimestepper.simulation.callback import State

KEPT = {"every": {"every": 50}, "samples": {"samples": 40}, "by default": {}}


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    """Files lie there."""
    monkeypatch.chdir(tmp_path)


def config(kind: str, kept: str, **keys) -> Config:
    duration = 20.0 if kind.startswith("calibrated") else 3.0
    return config_of(kind, **{"every": None, "duration": duration, **KEPT[kept], **keys})


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("kind", ["free-fall, plain", "calibrated"])
def test_it_sees_every_state_that_is_kept(kind, kept):
    seen: list[State] = []
    asked = config(kind, kept)
    run = simulate(config=asked, callback=seen.append)
    assert_same(run, simulate(config=asked))
    assert [state.time for state in seen] == list(run.time[1:])
    assert [state.energy for state in seen] == list(run.energy[1:])
    np.testing.assert_array_equal([state.position for state in seen], run.position[1:])
    np.testing.assert_array_equal([state.velocity for state in seen], run.velocity[1:])
    assert seen[0].names == run.names
    np.testing.assert_array_equal(seen[0].mass, run.mass)


def at_row(row: int):
    """Ends a run at the state that is kept as this row."""
    calls = []

    def callback(state: State) -> bool:
        calls.append(state.time)
        return len(calls) == row

    return callback


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_ends_with_the_state_at_which_it_is_told_to(kind, kept):
    asked = config(kind, kept)
    whole = simulate(config=asked)
    row = len(whole.time) // 2
    run = simulate(config=asked.replace(output="run.h5"), callback=at_row(row))
    for name in Frames._fields:
        np.testing.assert_array_equal(getattr(run, name), getattr(whole, name)[: row + 1], err_msg=name)
    summary, end = run.summary, run.time[-1]
    assert summary.outcome == f"stopped by the callback at t = {end:.9g} after {summary.steps} steps"
    assert (summary.time, summary.energy_final) == (end, run.energy[-1])
    assert summary.energy_error_max == run.error_max.max()
    count = summary.steps - (kept == "samples")  # the step of the copy that met it
    for mine, theirs in zip(run.step_history, whole.step_history, strict=True):
        np.testing.assert_array_equal(mine, theirs[:count])
    # Behind a sample a guard may refuse the step that passes it, and shorter ones end before it.
    assert kind == "guarded" or (whole.step_history.time[count:] >= end).all()
    assert_same(Recording.load("run.h5"), run)
    assert_same(resume("run.h5"), whole)
    assert_same(Recording.load("run.h5"), whole)


def test_a_run_that_went_back_ends_with_its_events(tmp_path):
    asked = Config(
        ic="hierarchical-triple:e_in=0.6", tolerance=1e-5, order=4, model=constant_model(tmp_path, 20.0),
        step_history=True, every=70, duration=3000.0, output="run.h5",
    )  # fmt: skip
    whole = simulate(config=asked.replace(output=None))
    assert whole.summary.rejected_steps > 0
    run = simulate(config=asked, callback=at_row(3))
    count = len(run.step_events.time)
    assert 0 < count < len(whole.step_events.time)
    for mine, theirs in zip(run.step_events, whole.step_events, strict=True):
        np.testing.assert_array_equal(mine, theirs[:count])
    assert (whole.step_events.goes_on_at[count:] > run.time[-1]).all()
    assert 0 < run.summary.rejected_steps < whole.summary.rejected_steps
    assert_same(resume("run.h5"), whole)


@pytest.mark.usefixtures("short_blocks")
@pytest.mark.parametrize("kind", ["free-fall, plain", "calibrated"])
def test_a_run_that_goes_on_has_one_too_and_an_error_of_it_is_the_users(kind):
    asked = config(kind, "every", duration=30.0)
    whole = simulate(config=asked)

    def fails(state: State) -> None:
        if state.time > 20.0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(config=asked.replace(output="run.h5"), callback=fails)
    stopped = Recording.load("run.h5")
    assert 0.0 < stopped.summary.time <= 20.0 + 1.0
    assert stopped.summary.energy_error_max == stopped.error_max.max()
    seen: list[float] = []
    assert_same(resume("run.h5", callback=lambda state: seen.append(state.time)), whole)
    assert seen == list(whole.time[-len(seen) :])


@pytest.fixture
def short_blocks(monkeypatch):
    """Many calls of the compiled loop."""
    monkeypatch.setattr(driver, "_next_budget", lambda budget, seconds: 150)


def test_a_run_back_in_time_shows_its_own_times():
    seen: list[State] = []
    run = simulate("figure-eight", duration=-3.0, tolerance=1e-6, samples=3, callback=seen.append)
    assert [state.time for state in seen] == [-1.0, -2.0, -3.0]
    np.testing.assert_array_equal([state.velocity for state in seen], run.velocity[1:])
    assert (
        simulate(
            "figure-eight", duration=-3.0, tolerance=1e-6, samples=3, callback=lambda state: state.time < -1.5
        ).time[-1]
        == -2.0
    )


def test_to_end_a_run_at_its_end_is_no_stop():
    run = simulate("figure-eight", duration=3.0, tolerance=1e-6, samples=3, callback=lambda state: state.time == 3.0)
    assert run.summary.outcome == "finished"


def test_a_state_cannot_be_changed():
    seen: list[State] = []
    simulate("figure-eight", duration=1.0, tolerance=1e-4, samples=1, callback=seen.append)
    for array in (seen[0].position, seen[0].velocity, seen[0].mass):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0
    with pytest.raises(dataclasses.FrozenInstanceError):
        seen[0].time = 3.0  # type: ignore[misc]


def test_a_run_that_was_stopped_can_be_confirmed_up_to_there():
    run = simulate(
        "figure-eight", duration=20.0, tolerance=1e-6, confirm=True, samples=10, callback=lambda state: state.time > 9.0
    )
    assert run.summary.confirm_outcome == "confirmed"
    assert run.time[-1] == 10.0
