"""Ensembles that are killed or stopped lose the members in flight at most, and end with the same bits all the same."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import h5py
import pytest
from distributed import LocalCluster
from tests.builders import head_on
from tests.ensembles.test_ensemble import drawn, members, mixed, touching

from aitimestepper import Config, EnsembleResult, InputError, resume_ensemble, simulate_ensemble
from aitimestepper.cli.main import main
from aitimestepper.ensembles.file import TABLES

COMMAND = [
    *("ensemble", "--ic", "random:n=3", "--count", "40", "--steps", "200000", "--timestep", "free-fall"),
    *("--eta", "0.01", "--softening", "1e-3", "--threads", "2", "--output", "e.h5"),
]


def columns(path) -> dict[str, bytes]:
    """All bits of all columns that count."""
    with h5py.File(path) as file:
        rows = json.loads(file["summary"][()])
        return {name: file[name][: rows[table]].tobytes() for table, names in TABLES.items() for name in names}


def stopped_after(count: int):
    """A progress function that presses Ctrl-C when so many of six members are done."""

    def show(fraction: float) -> None:
        if fraction >= count / 6:
            raise KeyboardInterrupt

    return show


def interrupt(config: Config, count: int, systems=None) -> None:
    with pytest.raises(KeyboardInterrupt):
        simulate_ensemble(config=config, systems=systems, progress=stopped_after(count))


LONG = {"duration": None, "steps": 600_000, "threads": 1}


@pytest.mark.parametrize("count", [0, 1, 4])
def test_an_interrupted_ensemble_ends_with_the_same_bits(count):
    whole = simulate_ensemble(config=drawn(**LONG, output="whole.h5"))
    interrupt(drawn(**LONG, output="e.h5"), count)
    half = EnsembleResult.load("e.h5")
    assert (len(half), count <= half.n_ended < 6) == (6, True)
    assert members(resume_ensemble("e.h5", threads=2)) == members(whole)
    assert columns("e.h5") == columns("whole.h5")
    assert members(EnsembleResult.load("e.h5")) == members(whole)
    assert EnsembleResult.load("e.h5").n_ended == 6


def test_it_may_be_stopped_again_and_again():
    simulate_ensemble(config=drawn(**LONG, output="whole.h5"))
    interrupt(drawn(**LONG, output="e.h5"), 1)
    for count in (2, 3, 5):
        with pytest.raises(KeyboardInterrupt):
            resume_ensemble("e.h5", progress=stopped_after(count))
        assert count <= EnsembleResult.load("e.h5").n_ended < 6
    resume_ensemble("e.h5")
    assert columns("e.h5") == columns("whole.h5")


def test_a_kill_in_a_resume_says_so():
    interrupt(drawn(**LONG, output="e.h5"), 1)
    outcomes: list[str] = []
    resume_ensemble("e.h5", progress=lambda fraction: outcomes.append(EnsembleResult.load("e.h5").outcome[-1]))
    assert outcomes[0].startswith("interrupted")
    assert outcomes[1].startswith("unfinished")
    assert outcomes[-1] == "finished"


def test_seconds_add_up():
    interrupt(drawn(**LONG, output="e.h5"), 1)
    seconds = EnsembleResult.load("e.h5").wall_seconds
    assert resume_ensemble("e.h5").wall_seconds > seconds


def test_members_that_failed_have_ended():
    systems = [*mixed(), touching(), head_on()]
    config = Config(timestep="free-fall", eta=0.02, duration=2.0, threads=1)
    whole = simulate_ensemble(config=config, systems=systems)
    with pytest.raises(KeyboardInterrupt):
        simulate_ensemble(config=config.replace(output="e.h5"), systems=systems, progress=stopped_after(2))
    assert members(resume_ensemble("e.h5", systems)) == members(whole)


def test_a_cluster_goes_on_with_what_threads_began():
    whole = simulate_ensemble(config=drawn(**LONG))
    interrupt(drawn(**LONG, output="e.h5"), 2)
    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address=None) as cluster:
        assert members(resume_ensemble("e.h5", scheduler=cluster.scheduler_address)) == members(whole)


@pytest.mark.parametrize("seconds", [0.0, 0.3, 1.0])
def test_a_kill_loses_the_members_in_flight_only(seconds, capsys):
    command = [sys.executable, "-m", "aitimestepper", *COMMAND]
    running = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not os.path.exists("e.h5") or os.path.getsize("e.h5") == 0 or EnsembleResult.load("e.h5").n_ended == 0:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(seconds)
    before = EnsembleResult.load("e.h5").n_ended
    assert main(["ensemble", "--resume", "e.h5"]) == 2
    assert "another process is writing" in capsys.readouterr().err
    running.send_signal(signal.SIGKILL)
    running.wait()
    killed = EnsembleResult.load("e.h5")
    assert before <= killed.n_ended < len(killed) == 40
    assert killed.failures[0].outcome.startswith("unfinished: ")
    assert main(["ensemble", "--resume", "e.h5", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["finished"] == 40
    assert main([*COMMAND[:-1], "whole.h5"]) == 0
    assert columns("e.h5") == columns("whole.h5")
    assert sorted(os.listdir()) == ["e.h5", "whole.h5"]


def test_members_are_on_file_as_they_end():
    seen: list[int] = []

    def look(fraction: float) -> None:
        if os.path.exists("e.h5") and os.path.getsize("e.h5"):
            seen.append(EnsembleResult.load("e.h5").n_ended)

    simulate_ensemble(config=drawn(**LONG, output="e.h5"), progress=look)
    assert seen == sorted(seen)
    assert any(0 < count < 6 for count in seen)


def test_a_finished_ensemble_is_not_touched():
    simulate_ensemble(config=drawn(output="e.h5"))
    with open("e.h5", "rb") as file:
        before = file.read()
    assert members(resume_ensemble("e.h5")) == members(EnsembleResult.load("e.h5"))
    with open("e.h5", "rb") as file:
        assert file.read() == before


def test_what_cannot_go_on_is_refused():
    interrupt(drawn(**LONG, output="e.h5"), 1)
    EnsembleResult.load("e.h5").save("copy.h5")
    with pytest.raises(InputError, match="a copy of an ensemble, which does not say how to go on"):
        resume_ensemble("copy.h5")
    with pytest.raises(InputError, match="beside resume may stand one of threads, scheduler, got threads, scheduler"):
        resume_ensemble("e.h5", threads=1, scheduler="tcp://x:1")
    given = Config(timestep="free-fall", eta=0.02, steps=600_000, threads=1, output="given.h5")
    interrupt(given, 1, mixed())
    with pytest.raises(InputError, match=r"the bodies are not those that given\.h5 began with"):
        resume_ensemble("given.h5", mixed()[::-1])
    assert main(["ensemble", "--resume", "e.h5", "--count", "7"]) == 2
    assert main(["ensemble", "--resume", "nowhere.h5"]) == 2


def test_where_all_members_are_refused_no_file_is_left():
    with pytest.raises(InputError, match="are at one point"):
        simulate_ensemble(
            config=Config(timestep="free-fall", eta=0.02, duration=2.0, output="e.h5"), systems=[touching(), touching()]
        )
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("index", 7),
        ("index", -1),
        ("index", 0),
        ("n_bodies", 10**15),
        ("n_dims", 0),
        ("n_characters", -1),
        ("outcome", 255),
    ],
)
def test_damaged_rows_are_refused(name, value):
    simulate_ensemble(config=drawn(output="e.h5"))
    with h5py.File("e.h5", "r+") as file:
        file[name][1] = value
    with pytest.raises(InputError, match=r"cannot read the ensemble e\.h5"):
        EnsembleResult.load("e.h5")


def test_a_saved_result_is_the_file_itself():
    result = simulate_ensemble(config=drawn(output="e.h5"))
    result.save("copy.h5")
    assert columns("copy.h5") == columns("e.h5")
