"""Output times of one's own."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.simulation.test_backwards import METHODS, late
from tests.simulation.test_resume import assert_same, interrupted

from aitimestepper import Config, InputError, resume, simulate
from aitimestepper.cli.main import main

TIMES = np.array([2.6, 2.7000000001, 3.0, 4.75, 4.7500001, 7.0])


@pytest.mark.parametrize("method", METHODS)
def test_times_are_met_exactly_in_either_direction(method):
    for times in (TIMES, 5.0 - TIMES):
        run = simulate(config=Config(**METHODS[method]), system=late(), times=times)
        np.testing.assert_array_equal(run.time, [2.5, *times])
        assert run.summary.outcome == "finished"


def test_states_are_those_of_a_run_that_ends_there():
    method = METHODS["free fall"]
    run = simulate(config=Config(**method), system=late(), times=TIMES)
    for number, time in enumerate(TIMES, start=1):
        alone = simulate(config=Config(**method, duration=time - 2.5), system=late())
        np.testing.assert_allclose(run.position[number], alone.position[-1], rtol=0, atol=1e-12)


def test_600_exact_times():
    times = np.linspace(0.0, 60.0, 600)
    run = simulate(config=Config(ic="kepler:e=0.6", tolerance=1e-8), times=times)
    np.testing.assert_array_equal(run.time, times)
    assert run.summary.energy_verdict == "kept"


def test_the_end_may_lie_behind_the_last_time():
    run = simulate(config=Config(**METHODS["fixed"], duration=10.0), system=late(), times=TIMES)
    np.testing.assert_array_equal(run.time, [2.5, *TIMES, 12.5])
    with pytest.raises(InputError, match=r"times go on to 7\.0, but the run ends at 3\.5"):
        simulate(config=Config(**METHODS["fixed"], duration=1.0), system=late(), times=TIMES)
    with pytest.raises(InputError, match=r"times go on to 7\.0, but the run ends at 1\.5"):
        simulate(config=Config(**METHODS["fixed"], duration=-1.0), system=late(), times=TIMES)


@pytest.mark.parametrize("method", ["fixed", "fixed ttl", "free fall"])
@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_a_stopped_run_meets_the_times_that_are_left(tmp_path, method, direction):
    times = direction * np.concatenate([np.linspace(0.3, 4.0, 50), [4.0 + 1e-9], np.linspace(5.0, 20.0, 5)])
    config = Config(ic="three-body:name=moth-I", **METHODS[method])
    whole = simulate(config=config, times=times)
    np.save("times.npy", times)
    interrupted(config.replace(times="times.npy", output="run.h5"), 0.4)
    Path("times.npy").unlink()
    assert_same(resume("run.h5"), whole)
    further = resume("run.h5", duration=direction * 25.0)
    np.testing.assert_array_equal(further.time, [0.0, *times, direction * 25.0])


def test_a_recording_has_room_for_many_times(tmp_path):
    times = np.linspace(0.0, 1.0, 20_001)
    run = simulate(config=Config(ic="kepler", **METHODS["fixed"], output="run.h5"), times=times)
    np.testing.assert_array_equal(run.time, times)
    with h5py.File("run.h5") as file:
        np.testing.assert_array_equal(file["sample_times"], times[1:])


def test_the_command_reads_times_from_a_file(tmp_path, capsys):
    Path("times.txt").write_text("# t\n0.0\n1.0D-01\n0.25  # a quarter\n\n2\n")
    words = ["simulate", "--ic", "kepler", "--tolerance", "1e-4", "--times", "times.txt", "--output", "run.h5"]
    assert main(words) == 0
    with h5py.File("run.h5") as file:
        np.testing.assert_array_equal(file["time"], [0.0, 0.1, 0.25, 2.0])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"times must have one behind the start of the run, t = 0"),
        ("0\n", r"times must have one behind the start of the run, t = 0"),
        ("1\n2\n2\n", r"must all rise, or all fall, from the start at t = 0\.0 on: 2\.0 does not"),
        ("1\n-1\n", r"-1\.0 does not"),
        ("-1\n-2\n-1.5\n", r"-1\.5 does not"),
        ("1\n0\n", r"0\.0 does not"),
        ("1\nnan\n", "times.txt: line 2: 'nan' is not a finite number"),
        ("1\n2 3\n", "times.txt: line 2: 2 columns, where one number is wanted"),
        ("one\n", "times.txt: line 1: 'one' is not a number"),
    ],
)
def test_times_that_cannot_be_met_are_refused(content, message):
    Path("times.txt").write_text(content)
    with pytest.raises(InputError, match=message):
        simulate(config=Config(ic="kepler", tolerance=1e-4, times="times.txt"))


def test_files_of_times_that_are_none_are_refused(tmp_path):
    config = Config(ic="kepler", tolerance=1e-4)
    with pytest.raises(InputError, match=r"cannot read the times nowhere: No such file"):
        simulate(config=config.replace(times="nowhere"))
    with pytest.raises(InputError, match=r"cannot read the times .*: it is not a regular file"):
        simulate(config=config.replace(times=str(tmp_path)))
    Path("times.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(InputError, match=r"times\.npy: it is not a NumPy array"):
        simulate(config=config.replace(times="times.npy"))
    np.save("table.npy", np.ones((2, 2)))
    with pytest.raises(InputError, match=r"a list of numbers, got an array of shape \(2, 2\)"):
        simulate(config=config.replace(times="table.npy"))
    with pytest.raises(InputError, match="would do nothing"):
        simulate(config=config.replace(times="times.npy"), times=[1.0])
    with pytest.raises(InputError, match="samples and times are 2 ways to choose the states"):
        Config(ic="kepler", tolerance=1e-4, times="t", samples=3)
    with pytest.raises(InputError, match="ends at a time"):
        simulate(config=config.replace(steps=10), times=[1.0])
