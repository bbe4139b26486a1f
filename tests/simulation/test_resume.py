"""Runs that are stopped, killed and resumed end with the same bits as those that are not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.engine.run.test_rollout import model_file
from tests.recordings.test_recording import without_events

from aitimestepper import Config, InputError, Recording, resume, simulate
from aitimestepper.cli.main import main
from aitimestepper.engine.layout import LAYOUT
from aitimestepper.recordings.parts import Frames

PLANS = {
    "leapfrog": {"timestep": "free-fall", "eta": 0.01},
    "ttl": {"timestep": "fixed", "integrator": "ttl", "h": 0.02, "order": 4},
    "guarded": {"timestep": "fixed", "dt": 0.002, "guard": 1e-9},
    "learned": {"timestep": "learned"},
}


def request(name: str, tmp_path: Path, **keys) -> Config:
    plan = dict(PLANS[name])
    if name == "learned":
        plan["model"] = model_file(tmp_path, feature_type="delta_mag", history_len=3)
    return Config(**{"ic": "three-body:name=moth-I", "every": 7, "step_history": True, **plan, **keys})


def assert_same(first: Recording, second: Recording, *, but: tuple[str, ...] = ("wall_seconds",)) -> None:
    """Bit by bit, but for the time that it took."""
    for name in Frames._fields:
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)
    noted = ((*run.step_history, *run.step_events) for run in (first, second))
    for mine, theirs in zip(*noted, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    mine, theirs = ({k: v for k, v in r.summary.as_dict().items() if k not in but} for r in (first, second))
    assert mine == theirs


def interrupted(config: Config, at: float) -> None:
    def stop(done: float) -> None:
        if done > at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        simulate(config=config, progress=stop)


@pytest.mark.parametrize("name", PLANS)
def test_an_interrupted_run_goes_on_bit_by_bit(tmp_path, name):
    whole = simulate(config=request(name, tmp_path, duration=25.0))
    interrupted(request(name, tmp_path, duration=25.0, output="run.h5"), 0.0)
    stopped = Recording.load("run.h5")
    assert 0 < stopped.summary.steps < whole.summary.steps
    assert_same(resume("run.h5"), whole)
    assert_same(Recording.load("run.h5"), whole)


@pytest.mark.parametrize("end", [{"duration": 20.0}, {"steps": 3001}])
@pytest.mark.parametrize("name", ["leapfrog", "ttl"])
def test_a_finished_run_goes_further_as_if_it_had_never_ended(tmp_path, name, end):
    further = {key: type(value)(2 * value) for key, value in end.items()}
    simulate(config=request(name, tmp_path, output="run.h5", **end))
    assert_same(resume("run.h5", **further), simulate(config=request(name, tmp_path, **further)))
    assert Recording.load("run.h5").settings[next(iter(end))] == next(iter(further.values()))


def test_samples_go_on_where_they_were(tmp_path):
    keys = {"every": None, "samples": 40, "duration": 25.0}
    whole = simulate(config=request("ttl", tmp_path, **keys))
    interrupted(request("ttl", tmp_path, output="run.h5", **keys), 0.3)
    assert_same(resume("run.h5"), whole)


_RUN = """
import sys
from aitimestepper import Config
from aitimestepper import simulate
simulate(ic="plummer:n=24,seed=2", timestep="free-fall", eta=0.002, duration=1e5, every=25, output="run.h5")
"""


@pytest.mark.parametrize("seconds", [0.0, 0.4, 1.3])
def test_a_killed_run_opens_and_goes_on_bit_by_bit(tmp_path, seconds):
    writer = subprocess.Popen([sys.executable, "-c", _RUN], cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not os.path.exists("run.h5") or Recording.load("run.h5").summary.steps == 0:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(seconds)
    writer.send_signal(signal.SIGKILL)
    writer.wait()
    killed = Recording.load("run.h5")
    assert killed.summary.outcome.startswith("unfinished")
    assert killed.summary.steps > 0
    steps = killed.summary.steps + 500
    continued = resume("run.h5", steps=steps)
    whole = simulate(
        config=Config(
            ic="plummer:n=24,seed=2", timestep="free-fall", eta=0.002, steps=steps, every=25, output="whole.h5"
        )
    )
    assert_same(continued, whole)


def test_other_weights_are_refused(tmp_path):
    config = request("learned", tmp_path, steps=200, output="run.h5")
    simulate(config=config)
    model_file(tmp_path, feature_type="delta_mag", history_len=3, hidden_dims=(5,))
    with pytest.raises(InputError, match="are not those that the run began with"):
        resume("run.h5", steps=300)


def test_a_run_cannot_end_before_it_stands(tmp_path):
    simulate(config=request("leapfrog", tmp_path, steps=200, output="run.h5"))
    with pytest.raises(InputError, match="after 200 steps already: ask for a later end"):
        resume("run.h5", steps=100)
    with pytest.raises(InputError, match="got duration, steps"):
        resume("run.h5", duration=1.0, steps=10)


def test_a_recording_that_was_saved_by_hand_cannot_go_on(tmp_path):
    simulate(config=request("leapfrog", tmp_path, steps=20)).save("copy.h5")
    with pytest.raises(InputError, match="does not say how to go on"):
        resume("copy.h5")


def test_a_state_of_another_layout_is_refused_and_one_without_a_digest_is_taken(tmp_path):
    simulate(config=request("leapfrog", tmp_path, steps=200, output="run.h5"))
    simulate(config=request("leapfrog", tmp_path, steps=200, output="old.h5"))
    for path, digest in (("run.h5", "0" * 64), ("old.h5", None)):
        with h5py.File(path, "r+") as file:
            assert file["state"].attrs["layout"] == LAYOUT
            if digest is None:
                del file["state"].attrs["layout"]
            else:
                file["state"].attrs["layout"] = digest
    with pytest.raises(InputError, match=r"cannot go on with run\.h5: its state has the layout of another version"):
        resume("run.h5", steps=300)
    assert_same(resume("old.h5", steps=300), simulate(config=request("leapfrog", tmp_path, steps=300)))


def test_the_command_line_resumes(tmp_path, capsys):
    simulate(config=request("leapfrog", tmp_path, steps=200, output="run.h5"))
    assert main(["simulate", "--resume", "run.h5", "--steps", "300", "--json"]) == 0
    assert '"steps": 300' in capsys.readouterr().out
    assert main(["simulate", "--resume", "run.h5", "--eta", "0.1"]) == 2
    assert "--eta cannot stand beside --resume" in capsys.readouterr().err
    assert main(["simulate", "--resume", "nowhere.h5"]) == 2


def test_a_file_of_before_there_were_events_goes_on_and_gets_them(tmp_path):
    keys = {"ic": "random:n=5,virial=0,seed=9011", "tolerance": 1e-6, "every": 50, "step_history": True}
    keys["integrator"] = "ttl"
    first = simulate(config=Config(steps=2000, output="run.h5", **keys))
    without_events(tmp_path / "run.h5")
    further = resume("run.h5", steps=4000)
    whole = simulate(config=Config(steps=4000, **keys))
    np.testing.assert_array_equal(further.energy, whole.energy)
    assert 0 < len(further.step_events.time) < len(whole.step_events.time)
    for mine, theirs in zip(further.step_events, whole.step_events, strict=True):
        np.testing.assert_array_equal(mine, theirs[-len(mine) :])
    assert further.step_events.time[0] <= first.summary.time
