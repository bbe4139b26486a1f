"""A run is asked for once: completed, checked, its weights read once; and memory holds only what is not on file."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from tests.builders import untrained

from aitimestepper import Config, InputError, Recording
from aitimestepper.simulation import recorder as recorders
from aitimestepper.simulation.driver import drive
from aitimestepper.simulation.planning import planned
from aitimestepper.simulation.recorder import Recorder
from aitimestepper.simulation.request import bodies_of, checked, request_of, settings_of
from aitimestepper.simulation.run import requested, simulate_to_output

COUNT = """
import sys
opened = []
sys.addaudithook(lambda event, details: opened.append(str(details[0])) if event == "open" else None)
from aitimestepper.cli.main import main
code = main(sys.argv[1:])
print("OPENED", sum(name.endswith("m.safetensors") for name in opened), code, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "words",
    [
        "simulate --ic kepler --steps 5 --timestep learned --model m.safetensors --output run.h5",
        "ensemble --ic random:n=3 --count 20 --steps 3 --timestep learned --model m.safetensors",
        "compare --ic kepler --periods 1 --methods leapfrog:learned=m.safetensors leapfrog:fixed --evaluations 300",
    ],
)
def test_a_command_opens_its_model_file_once(words, tmp_path):
    untrained(tmp_path / "m.safetensors")
    run = subprocess.run([sys.executable, "-c", COUNT, *words.split()], capture_output=True, text=True, check=True)
    assert "OPENED 1 0" in run.stderr, run.stderr


def test_settings_that_are_completed_already_stay_as_they_are():
    settings = settings_of(Config(tolerance=1e-6, duration=1.0))
    assert settings.calibrated
    assert checked(settings.config, calibrated=True) == settings.config
    assert settings_of(settings.config, settings.model) == settings


def test_a_request_holds_bodies_and_end():
    config = Config(ic="kepler:e=0.5", tolerance=1e-4, periods=2)
    request = request_of(settings_of(config), bodies_of(config))
    assert request.system.n_bodies == 2
    assert request.end_time == pytest.approx(2 * request.system.period)
    with pytest.raises(InputError, match="samples are taken"):
        settings_of(Config(ic="kepler", tolerance=1e-4, steps=3, samples=2))


def test_states_that_are_on_file_do_not_stay_in_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(recorders, "_BYTES_OF_A_BLOCK", 1000)
    config = Config(ic="figure-eight", timestep="fixed", dt=1e-3, steps=3000, every=1, step_history=True)
    plan = planned(requested(config))
    run = plan.new_run()
    recorder = Recorder(plan.info, run, 2, keeps=True)
    recorder.create(tmp_path / "run.h5", plan.origin, overwrite=False)
    held = []
    for block in drive(run, plan.plan, plan.own, plan.goal, 2, budget=100):
        recorder.add(block)
        held.append(sum(len(b.frames.time) for b in (*recorder._kept, *recorder._pending)))
    assert len(held) > 3
    assert max(held) == 0
    summary = recorder.finish("finished")
    recorder.close()
    recording = recorder.recording(summary)
    assert len(recording.time) == len(recording.step_history.time) + 1 == 3001
    assert Recording.load(tmp_path / "run.h5").summary == summary


def test_the_command_keeps_no_states_in_memory_either_without_a_file(tmp_path):
    config = Config(ic="figure-eight", timestep="fixed", dt=1e-3, steps=500, every=1)
    plan = planned(requested(config))
    run = plan.new_run()
    recorder = Recorder(plan.info, run, 2, keeps=False)
    for block in drive(run, plan.plan, plan.own, plan.goal, 2):
        recorder.add(block)
    assert sum(len(b.frames.time) for b in (*recorder._kept, *recorder._pending)) == 1
    _, summary = simulate_to_output(config.replace(output=str(tmp_path / "run.h5")), lambda fraction: None)
    assert summary == Recording.load(tmp_path / "run.h5").summary
    np.testing.assert_equal(summary.steps, 500)
