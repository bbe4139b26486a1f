"""`aitimestepper sweep` as a user types it."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from aitimestepper import read_config
from aitimestepper.cli.sweep import _print_best
from aitimestepper.sweeping import read_sweep
from aitimestepper.sweeping.study import SharedStudy
from aitimestepper.sweeping.trials import TrialResult

FILE = """
save_name = "search"
num_orbits = 4
hidden_dims = [8]
output_scale = "physical"
feature_type = "invariant"
epochs = 3
replay_steps = 3
tensorboard = false

[sweep]
trials = 2

[sweep.space]
lr = {low = 1e-3, high = 1e-2, log = true}
"""


@pytest.fixture
def file() -> Path:
    path = Path("search.toml")
    path.write_text(FILE, encoding="utf-8")
    return path


def test_a_sweep_is_reported_and_goes_on(call, file):
    answer = call("sweep", "--config", file)
    assert answer.code == 0
    assert "The best of 2 complete trials, by progress" in answer.out
    assert answer.err.count("complete after 3 epochs, score") == 2
    assert "aitimestepper train --config runs/search/best.toml" in answer.err
    answer = call("sweep", "--config", file, "--trials", 3, "--json")
    assert answer.code == 0
    found = json.loads(answer.out)
    assert (found["complete"], found["pruned"], found["failed"], found["metric"]) == (3, 0, 0, "progress")
    assert found["best"].keys() == {"trial", "score", "lr"}
    answer = call("train", "--config", "runs/search/best.toml", "--save-name", "best", "--epochs", 1)
    assert answer.code == 0
    assert call("train", "--config", file, "--save-name", "plain", "--epochs", 1).code == 0


def test_what_cannot_be_searched(call, file):
    call("sweep").refuses("sweep needs a file that says what to search: --config F.toml")
    call("sweep", "--config", file, "--lr", 1e-3).refuses("lr is searched for, and set to 0.001 as well")
    call("sweep", "--config", file, "--trials", "many").refuses("--trials = 'many'", "should be a number")
    Path("none.toml").write_text("epochs = 3\n", encoding="utf-8")
    call("sweep", "--config", "none.toml").refuses("none.toml has no table [sweep.space]")


def test_without_optuna_the_extra_is_named(call, file, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "optuna", None)
    call("sweep", "--config", file).refuses("pip install 'aitimestepper[sweep]'")


def begun(start, *words: str):
    """A sweep whose first trial has made some epochs."""
    running = start("sweep", *words, "--epochs", "100000")
    metrics = Path("runs/search/trial-0000/metrics.jsonl")
    deadline = time.monotonic() + 120
    while not (metrics.exists() and metrics.stat().st_size) and time.monotonic() < deadline:
        time.sleep(0.1)
    return running, metrics


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_leave_a_study_that_goes_on_with_the_same_trial(start, file, number):
    running, metrics = begun(start, "--config", str(file))
    running.send_signal(number)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 128 + number, err
    assert "interrupted; go on with:  aitimestepper sweep --config" in err
    assert not metrics.exists()
    journal = [json.loads(line) for line in Path("runs/search/study.journal").read_text().splitlines()]
    assert any("fixed_params" in json.dumps(line) for line in journal)  # its parameters wait for the next


def test_a_trial_whose_process_was_killed_is_tried_again(start, file):
    running, _ = begun(start, "--config", str(file))
    running.send_signal(signal.SIGKILL)
    running.wait()
    config, search = read_config(file, "train", {"epochs": 100000}), read_sweep(file)
    shared = SharedStudy(Path("runs/search"), config, search, search.dimensions(config))
    (killed,) = shared.finished()
    assert killed.state.name == "RUNNING"
    again, parameters = shared.next_trial()
    assert again.number == 1
    assert parameters == killed.params
    assert [trial.number for trial in shared.finished()] == [1]


def test_in_a_narrow_window_each_parameter_has_a_row(capsys, monkeypatch):
    parameters = {"lr": 1.25e-05, "hidden_dims": [32, 32], "energy_threshold": 1e-4, "replay_steps": 1000}
    trials = [TrialResult(number, "complete", 0.25, parameters, 50, 12.0) for number in range(5)]
    monkeypatch.setenv("COLUMNS", "80")
    _print_best(trials, "loss")
    _, *rows = capsys.readouterr().out.splitlines()
    assert [row.split()[0] for row in rows] == ["trial", "score", *parameters, "epochs", "seconds"]
    assert all(len(row) <= 80 for row in rows)
    monkeypatch.setenv("COLUMNS", "120")
    _print_best(trials, "loss")
    assert capsys.readouterr().out.splitlines()[1].split() == ["trial", "score", *parameters, "epochs", "seconds"]
