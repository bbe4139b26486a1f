"""What a recording says of the steps between the states that it keeps."""

from __future__ import annotations

import numpy as np
import pytest
from tests.engine.run.builders import constant_model
from tests.simulation.test_resume import assert_same, interrupted
from tests.simulation.test_whole_summaries import KINDS, config_of

from aitimestepper import Config, Recording, resume, simulate

TIMES = (0.303, 0.3030001, 0.707, 0.953, 0.9530001, 1.307)
"""Two pairs of them lie in one step each, and none in a step that a guard refuses: behind the copy that meets them may
follow shorter steps, which end before it."""

KEPT = {"every": {"every": 50}, "samples": {"samples": 7}, "times": {"times": "times.txt"}, "by default": {}}


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    """With a file of times."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "times.txt").write_text("\n".join(map(str, TIMES)))


def config(kind: str, kept: str, **keys) -> Config:
    return config_of(kind, **{"every": None, "duration": TIMES[-1], **KEPT[kept], **keys})


def check_frames(run: Recording) -> None:
    """Every frame says of the steps since the one before what their history says; the worst has the run's error."""
    direction = np.sign(run.time[-1] - run.time[0])
    assert run.error_max.max() == run.summary.energy_error_max > 0.0
    worst = int(run.error_max.argmax())
    assert run.summary.energy_error_max_time is not None
    began, seen, ended = direction * np.array([run.time[worst - 1], run.summary.energy_error_max_time, run.time[worst]])
    assert began < seen <= ended
    assert (run.dt_min[0], run.dt_max[0], run.error_max[0]) == (0.0, 0.0, 0.0)
    steps = run.step_history
    at, passed = direction * steps.time, direction * run.time
    errors = np.abs(steps.energy - run.summary.energy_initial) / run.energy_scale
    for k in range(1, len(run.time)):
        since = (at > passed[k - 1]) & (at <= passed[k])
        if since.any():
            sizes = direction * steps.dt[since]
            assert (direction * run.dt_min[k], direction * run.dt_max[k]) == (sizes.min(), sizes.max())
            assert run.error_max[k] == max(errors[since].max(), run.energy_error[k])
        else:
            assert run.dt_min[k] == run.dt_max[k] == run.dt[k] != 0.0
            assert run.error_max[k] == run.energy_error[k]


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("kind", KINDS)
def test_frames_speak_of_the_steps_since_the_one_before(kind, kept):
    check_frames(simulate(config=config(kind, kept)))


@pytest.mark.parametrize("kind", ["free-fall, plain", "calibrated"])
def test_of_a_run_back_in_time_the_same(kind):
    check_frames(simulate(config=config(kind, "every", duration=-2.0)))


@pytest.mark.parametrize("kept", ["every", "samples", "by default"])
def test_steps_that_were_taken_back_do_not_count(tmp_path, kept):
    keys = {"ic": "hierarchical-triple:e_in=0.6", "tolerance": 1e-5, "order": 4, "duration": 300.0}
    run = simulate(config=Config(model=constant_model(tmp_path, 20.0), step_history=True, **keys, **KEPT[kept]))
    assert run.summary.rejected_steps > 0
    check_frames(run)


@pytest.mark.parametrize("kept", ["every", "samples"])
@pytest.mark.parametrize("kind", ["free-fall, plain", "calibrated"])
def test_of_a_run_that_was_stopped_and_goes_on_the_same(kind, kept):
    asked = config(kind, kept, duration=40.0)
    interrupted(asked.replace(output="run.h5"), 0.2)
    stopped = Recording.load("run.h5")
    assert 0.0 < stopped.summary.time < 40.0
    check_frames(stopped)
    assert_same(resume("run.h5"), simulate(config=asked))
    check_frames(Recording.load("run.h5"))
