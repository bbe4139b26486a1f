"""Sweeps: spaces, trials, pruning, studies that processes share and go on with."""

from __future__ import annotations

import csv
import json
import os
import time
from pathlib import Path

import pytest

from aitimestepper import Config, ConfigError, InputError, read_config
from aitimestepper.checkpoint import read_model
from aitimestepper.sweeping import SweepSettings, sweep
from aitimestepper.sweeping.space import points
from aitimestepper.sweeping.study import SharedStudy

SHORT = {
    "num_orbits": 4, "hidden_dims": (8,), "output_scale": "physical", "feature_type": "invariant", "epochs": 3,
    "replay_steps": 3, "steps_per_epoch": 2, "tensorboard": False, "save_name": "search",
}  # fmt: skip
SPACE = {"lr": {"low": 1e-4, "high": 1e-2, "log": True}, "activation": ["tanh", "silu"]}


def settings(**changes) -> SweepSettings:
    return SweepSettings(**{"trials": 3, "space": SPACE, **changes})


def parameters(outcome) -> list[dict]:
    return [trial.parameters for trial in outcome.trials]


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({}, "is empty"),
        ({"lrr": [1e-3]}, "'lrr' is no key of a training; did you mean lr?"),
        ({"duration": [1.0]}, "'duration' is no key of a training"),
        ({"save_name": ["a", "b"]}, "save_name is set by the sweep itself"),
        ({"epochs": [3, 4]}, "epochs is searched for, and set to 3 as well"),
        ({"lr": 1e-3}, "should be a list of choices, or a range"),
        ({"lr": {"low": 1.0, "high": 0.1}}, "a range needs low < high"),
        ({"lr": {"low": 1.0}}, "a range needs low < high"),
        ({"lr": {"low": -1.0, "high": 0.1}}, "lr: -1.0 is not allowed: input should be greater than 0"),
        ({"lr": {"low": 1e-4, "high": 0.1, "logg": True}}, "unknown 'logg'; did you mean log?"),
        ({"lr": {"low": 1e-4, "high": 0.1, "log": True, "step": 0.1}}, "logarithmic range"),
        ({"lr": {"low": 1e-4, "high": 0.1, "step": 1.0}}, "step = 1.0 does not fit"),
        ({"history_len": [0, "many"]}, "history_len: 'many' is not allowed"),
        ({"activation": {"low": 0, "high": 1}}, "activation is no number: give a list"),
    ],
)
def test_a_space_that_does_not_fit_is_refused_in_words(space, words):
    with pytest.raises(ConfigError) as caught:
        settings(space=space).dimensions(Config(**SHORT))
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"trails": 3}, "unknown key 'trails'; did you mean trials?"),
        ({"trials": 0}, "trials = 0 is not allowed"),
        ({"metric": "mean_rel_dE"}, "needs direction"),
        ({"direction": "minimize"}, "progress is to be maximized"),
        ({"sampler": "best"}, "sampler = 'best' is not allowed"),
    ],
)
def test_settings_that_are_not_allowed(changes, words):
    with pytest.raises(ConfigError) as caught:
        settings(**changes)
    assert words in str(caught.value)


def test_a_grid_needs_an_end():
    with pytest.raises(ConfigError, match="a grid needs a list of choices, or a range with a step"):
        settings(sampler="grid").dimensions(Config(**SHORT))
    space = {"lr": {"low": 0.1, "high": 0.3, "step": 0.1}, "history_len": {"low": 0, "high": 1}, "dim": [2, 3]}
    found = points(settings(sampler="grid", space=space).dimensions(Config(**SHORT)))
    assert len(found) == 3 * 2 * 2
    assert [round(point["lr"], 12) for point in found[::4]] == [0.1, 0.2, 0.3]


def test_a_sweep_leaves_the_best_configuration_its_weights_and_a_table():
    config = Config(**SHORT)
    told = []
    outcome = sweep(config, settings(), on_trial=told.append)
    assert [trial.number for trial in told] == [0, 1, 2]
    assert [trial.state for trial in outcome.trials] == ["complete"] * 3
    assert outcome.best.score == max(trial.score for trial in outcome.trials)
    folder = Path("runs/search")
    with (folder / "trials.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [json.loads(row["lr"]) for row in rows] == [trial.parameters["lr"] for trial in outcome.trials]
    best = read_config(folder / "best.toml", "train")
    assert best == config.replace(**outcome.best.parameters, save_name=best.save_name)
    weights = read_model(folder)
    assert weights.config.lr == outcome.best.parameters["lr"]
    assert weights.about == read_model(folder / f"trial-{outcome.best.number:04d}").about
    # The score is what the metrics file of the trial says.
    last = json.loads((folder / f"trial-{outcome.best.number:04d}" / "metrics.jsonl").read_text().splitlines()[-1])
    assert outcome.best.score == pytest.approx(last["pass_rate"] * last["mean_step_fraction"])


def test_the_same_seed_gives_the_same_trials_in_one_go_and_in_two():
    config = Config(**SHORT)
    whole = sweep(config, settings(trials=4, startup=2))
    twice = config.replace(save_name="twice")
    sweep(twice, settings(trials=2, startup=2))
    again = sweep(twice, settings(trials=4, startup=2))
    assert parameters(whole) == parameters(again)
    assert [trial.score for trial in whole.trials] == [trial.score for trial in again.trials]
    other = sweep(config.replace(save_name="other"), settings(trials=4, startup=2, seed=1))
    assert parameters(whole) != parameters(other)


def test_a_study_with_other_settings_is_refused_and_names_them():
    config = Config(**SHORT)
    sweep(config, settings(trials=1))
    with pytest.raises(InputError, match=r"begun with epochs = 3, and now it is 4"):
        sweep(config.replace(epochs=4), settings(trials=2))
    with pytest.raises(InputError, match=r"begun with \[sweep\] seed = 0, and now it is 5"):
        sweep(config, settings(trials=2, seed=5))
    Path("runs/else").mkdir()
    Path("runs/else/file").touch()
    with pytest.raises(InputError, match="holds no sweep"):
        sweep(config.replace(save_name="else"), settings(trials=2))


def test_a_grid_tries_every_point_once():
    outcome = sweep(Config(**SHORT), settings(trials=None, sampler="grid", space={"lr": [1e-3, 1e-2], "dim": [2, 3]}))
    assert sorted((p["lr"], p["dim"]) for p in parameters(outcome)) == [(1e-3, 2), (1e-3, 3), (1e-2, 2), (1e-2, 3)]


def test_trials_that_fall_behind_are_pruned_and_those_that_fail_are_told():
    """Where nothing can be reached in one retrain iteration the training fails; a slow rate falls behind."""
    space = {"lr": [3e-3, 3e-3, 1e-9], "energy_threshold": [2e-4, 2e-4, 1e-12]}
    keys = {key: value for key, value in SHORT.items() if key != "epochs"}
    config = Config(**{**keys, "epochs": 6, "E_lower": 1e-14, "E_upper": 1e-13, "max_retrain_iterations": 400})
    wide = settings(trials=8, space=space, startup=2, warmup_epochs=1, sampler="random", seed=3)
    states = {trial.state: trial for trial in sweep(config, wide).trials}
    assert states.keys() == {"complete", "pruned", "failed"}
    assert "400 retrain iterations" in states["failed"].reason
    assert states["failed"].parameters["energy_threshold"] == 1e-12


def test_a_metric_of_the_file_and_one_that_is_not_there():
    config = Config(**SHORT)
    outcome = sweep(config, settings(metric="mean_retrain_iterations", direction="minimize"))
    assert outcome.best.score == min(trial.score for trial in outcome.trials)
    with pytest.raises(InputError, match=r"metric = 'mean_retrain' is none of progress, .*mean_retrain_iterations"):
        sweep(config.replace(save_name="b"), settings(metric="mean_retrain", direction="minimize"))


def test_a_silent_trial_of_another_machine_is_given_up_after_a_while(monkeypatch):
    config, search = Config(**SHORT), settings(trials=2, stale_after=60.0)
    sweep(config, settings(trials=1))
    shared = SharedStudy(Path("runs/search"), config, search, search.dimensions(config))
    trial = shared.next_trial()
    trial.set_user_attr("claim", {"host": "elsewhere", "pid": os.getpid(), "seen": time.time() - 30.0})
    shared._free_what_was_killed()
    assert shared.finished()[-1].state.name == "RUNNING"
    trial.set_user_attr("claim", {"host": "elsewhere", "pid": os.getpid(), "seen": time.time() - 61.0})
    shared._free_what_was_killed()
    assert [t.state.name for t in shared.finished()] == ["COMPLETE"]


def test_no_more_trials_than_asked_for_where_another_process_was_faster():
    config, search = Config(**SHORT), settings(trials=1)
    directory = Path("runs/search")
    directory.mkdir(parents=True)
    mine, other = (SharedStudy(directory, config, search, search.dimensions(config)) for _ in range(2))
    counted = type(mine)._counted
    mine._counted = lambda: 0  # as if it had looked a moment earlier
    trial = other.next_trial()
    assert trial is not None
    trial.set_user_attr("claim", {"host": "elsewhere", "pid": 1, "seen": time.time()})
    assert mine.next_trial() is None
    assert counted(other) == 1
