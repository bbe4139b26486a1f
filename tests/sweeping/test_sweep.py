"""Sweeps: spaces, trials, pruning, studies that processes share and go on with."""

from __future__ import annotations

import csv
import json
import os
import time
from pathlib import Path

import pytest

from aitimestepper import Config, ConfigError, InputError, RunError, read_config
from aitimestepper.sweeping import SweepSettings, claims, sweep
from aitimestepper.sweeping.space import points
from aitimestepper.sweeping.study import SharedStudy
from aitimestepper.training.session.observers import EpochObserver, JsonLines
from aitimestepper.training.steps.records import EpochRecord
from aitimestepper.weights.file import read_model

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
        ({"lr": {"low": "a", "high": 0.1}}, "lr: 'a' is not allowed"),
        ({"lr": {"low": 1e-4, "high": 0.1, "log": "yes"}}, "log = 'yes' should be true or false"),
        ({"replay_batch_size": {"low": 8, "high": 16, "step": 0.5}}, "step = 0.5 should be a whole number"),
        ({"replay_batch_size": {"low": 8.5, "high": 16}}, "8.5 is not allowed"),
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
    expected = {**outcome.best.parameters, "save_name": best.save_name}
    assert best == config.replace(**expected)
    weights = read_model(folder)
    assert weights.config.lr == outcome.best.parameters["lr"]
    assert weights.about == read_model(folder / f"trial-{outcome.best.number:04d}").about
    # The score is what the metrics file of the trial says.
    last = json.loads((folder / f"trial-{outcome.best.number:04d}" / "metrics.jsonl").read_text().splitlines()[-1])
    assert outcome.best.score == pytest.approx(last["progress"])


class CtrlC(EpochObserver):
    """Presses it after the second epoch."""

    def note(self, record: EpochRecord) -> None:
        if record.epoch == 2:
            raise KeyboardInterrupt


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
    # Also when it is stopped in the middle of a trial, which is then made again from its start.
    stopped = config.replace(save_name="stopped")
    first = sweep(stopped, settings(trials=4, startup=2), observers=lambda number: [CtrlC()] if number == 2 else [])
    assert (first.interrupted, [trial.state for trial in first.trials]) == (True, ["complete"] * 2 + ["waiting"])
    again = sweep(stopped, settings(trials=4, startup=2))
    assert [trial.number for trial in again.trials] == [0, 1, 3, 4]
    assert parameters(whole) == parameters(again)
    assert [trial.score for trial in whole.trials] == [trial.score for trial in again.trials]


WIDE = {**SPACE, "hidden_dims": [[8], [16], [8, 8]], "replay_batch_size": {"low": 8, "high": 512}}


def tried(shared: SharedStudy) -> list[tuple[str, dict, dict, object]]:
    """Go on to the end with a stand-in for the training; what has been tried, and what came of it."""
    while (taken := shared.next_trial()) is not None:
        trial, found = taken
        for epoch in (1, 2):
            trial.report(score := found["lr"] * epoch * len(found.get("hidden_dims", [8])), epoch)
            if trial.should_prune():
                shared.end(trial, "PRUNED", reason="fell behind")
                break
        else:
            shared.end(trial, "COMPLETE", score)
    return [(t.state.name, t.params, t.intermediate_values, t.value) for t in shared.finished()]


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_a_study_cut_between_any_two_lines_of_its_journal_goes_on_as_if_it_had_not_been(sampler):
    grid = {"lr": [3e-3, 1e-3, 1e-2], "hidden_dims": [[8], [8, 8]]}
    search = settings(trials=5, startup=2, sampler=sampler, warmup_epochs=1, space=grid if sampler == "grid" else WIDE)
    config = Config(**{key: value for key, value in SHORT.items() if key != "hidden_dims"})
    whole = tried(opened(config, search, "whole"))
    assert {state for state, *_ in whole} == {"COMPLETE", "PRUNED"}
    lines = Path("runs/whole/study.journal").read_text().splitlines(keepends=True)
    for count in range(1, len(lines)):
        cut = Path("runs", f"{count}")
        cut.mkdir()
        (cut / "study.journal").write_text("".join(lines[:count]))
        assert tried(opened(config, search, cut.name)) == whole, lines[count - 1]


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
    with pytest.raises(InputError, match=r"metric = 'mean_retrain' is none of .*mean_retrain_iterations.*progress"):
        sweep(config.replace(save_name="b"), settings(metric="mean_retrain", direction="minimize"))


def opened(config: Config, search: SweepSettings, name: str = "search") -> SharedStudy:
    directory = Path("runs", name)
    directory.mkdir(parents=True, exist_ok=True)
    return SharedStudy(directory, config, search, search.dimensions(config))


def test_a_trial_of_another_machine_is_repeated_when_it_has_been_silent():
    config, search = Config(**SHORT), settings(trials=1)
    mine, other = opened(config, search), opened(config, search)
    _, parameters = other.next_trial()
    claim = Path("runs/search/claims/0000.json")
    claim.write_text(json.dumps({"machine": "elsewhere", "pid": 1}))
    assert mine.next_trial() is None  # no more trials than asked for
    long_ago = time.time() - 2 * claims.SILENCE
    os.utime(claim, (long_ago, long_ago))
    again, same = mine.next_trial()
    assert (again.number, same) == (1, parameters)
    assert [trial.number for trial in mine.finished()] == [1]
    assert other.next_trial() is None


def test_a_process_that_lost_its_trial_says_nothing_of_it():
    config, search = Config(**SHORT), settings(trials=1)
    mine, other = opened(config, search), opened(config, search)
    trial, _ = other.next_trial()
    Path("runs/search/claims/0000.json").unlink()
    again, _ = mine.next_trial()
    other.end(trial, "COMPLETE", 9.0)
    mine.end(again, "COMPLETE", 1.0)
    assert [trial.value for trial in mine.finished()] == [1.0]


def test_a_trial_that_kills_its_process_is_not_repeated_for_ever():
    config, search = Config(**SHORT), settings(trials=1)
    shared = opened(config, search)
    for number in range(3):
        trial, _ = shared.next_trial()
        assert trial.number == number
        Path(f"runs/search/claims/{number:04d}.json").unlink()
    assert shared.next_trial() is None
    (left,) = shared.finished()
    assert (left.state.name, left.user_attrs["reason"]) == ("FAIL", "its process died 3 times")


@pytest.mark.timeout(60)
def test_a_lock_that_a_killed_process_left_is_broken():
    """Also where the directory has a relative path, which Optuna's own default lock cannot look through."""
    config, search = Config(**SHORT), settings(trials=1)
    killed, shared = opened(config, search), opened(config, search)
    for lock in (killed._lock, killed._storage._backend._lock):
        lock.acquire()
    for lock in (shared._lock, shared._storage._backend._lock):
        lock.grace_period = 0.2
    assert shared.next_trial() is not None


def test_a_grid_that_was_begun_with_fewer_trials_goes_on_where_it_was():
    space = {"lr": [1e-3, 1e-2], "dim": [2, 3]}
    some, all_of_it = (settings(trials=trials, sampler="grid", space=space) for trials in (2, None))
    shared = opened(Config(**SHORT), some)
    for _ in range(2):
        shared.end(shared.next_trial()[0], "COMPLETE", 0.0)
    assert shared.next_trial() is None
    assert opened(Config(**SHORT), some).next_trial() is None
    shared = opened(Config(**SHORT), all_of_it)
    for _ in range(2):
        shared.end(shared.next_trial()[0], "COMPLETE", 0.0)
    assert shared.next_trial() is None
    assert len({tuple(trial.params.values()) for trial in shared.finished()}) == len(shared.finished()) == 4


def test_what_is_wrong_with_all_trials_costs_none(monkeypatch):
    config = Config(ic="nowhere.csv", **{**SHORT, "num_orbits": 1})
    with pytest.raises(InputError, match=r"cannot read the initial conditions nowhere\.csv"):
        sweep(config, settings())
    assert [trial.state.name for trial in opened(config, settings()).finished()] == ["WAITING"]
    assert opened(Config(**SHORT), settings()).finished() == []  # nothing was tried: the mistake may be corrected
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match="not for torchrun"):
        sweep(Config(**SHORT), settings())


def test_a_training_whose_numbers_explode_has_failed(tmp_path):
    values = dict.fromkeys(("energy_error", "accepted_dt", "retrain_iterations", "acceptance_rate", "pass_rate"), 0.5)
    record = EpochRecord(
        epoch=1, n_epochs=2, wall_seconds=1.0, part2_iterations=1, skipped=False, converged=False, time=1.0,
        mean_step_fraction=float("inf"), **values,
    )  # fmt: skip
    lines = JsonLines(tmp_path / "metrics.jsonl")
    with pytest.raises(RunError, match="not finite in epoch 1: mean_step_fraction"):
        lines.epoch(record)
    lines.close()
