"""Weights of one's own: each step stays below the threshold of their training, or it is said that it did not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.builders import untrained

from aitimestepper import CheckpointError, Config, InputError, resume, simulate
from aitimestepper.engine.features.summary import WIDTHS
from aitimestepper.recordings.recording import Recording
from aitimestepper.weights.file import RANGES, read_model, write_model

WIDTH = WIDTHS[3]
RUN = {"ic": "kepler:e=0.9", "periods": 2, "timestep": "learned", "every": 1, "step_history": True}


@pytest.fixture
def model(tmp_path) -> str:
    """Steps of about 0.02 of the shortest pair time, too long near the pericentre for the threshold."""
    return untrained(tmp_path / "own.safetensors", feature_type="invariant", energy_threshold=1e-6)


def with_ranges(model: str, ranges: object) -> str:
    path = Path(model)
    write_model(path, read_model(path)._replace(about={RANGES: ranges}))
    return model


def errors_of(run: Recording) -> np.ndarray:
    """Relative energy errors of single steps, from the energies of all states."""
    energy = np.concatenate([run.energy[:1], run.step_history.energy])
    return np.abs(np.diff(energy) / energy[0])


def test_a_guard_at_the_threshold_of_the_training_is_the_default(model):
    run = simulate(config=Config(model=model, **RUN))
    summary = run.summary
    assert summary.step_error_asked == 1e-6
    assert summary.step_error_max == pytest.approx(errors_of(run).max(), rel=1e-6)
    assert summary.step_error_max <= 1e-6
    assert (summary.steps_above, summary.step_verdict, summary.outcome) == (0, "kept", "finished")
    assert summary.rejected_steps > 0
    assert not summary.falls_short


@pytest.mark.parametrize("guard", ["off", 1e-4])
def test_without_it_the_steps_above_the_threshold_are_counted_and_said(model, guard):
    run = simulate(config=Config(model=model, guard=guard, **RUN))
    summary, errors = run.summary, errors_of(run)
    assert summary.steps_above == (errors > 1e-6).sum() > 10
    assert summary.step_error_max == pytest.approx(errors.max(), rel=1e-6)
    assert summary.step_verdict == "exceeded"
    assert summary.falls_short
    assert summary.outcome.startswith(f"finished; {summary.steps_above} of {summary.steps} steps had an energy error")


def test_a_tolerance_takes_the_place_of_the_threshold(model):
    summary = simulate(config=Config(model=model, tolerance=1e-8, **RUN)).summary
    assert summary.step_error_asked == 1e-8
    assert summary.step_error_max <= 1e-8


def test_a_resumed_run_counts_on(model):
    keys = {**RUN, "model": model, "guard": "off"}
    whole = simulate(config=Config(**keys)).summary
    simulate(config=Config(**{**keys, "periods": 0.7}, output="run.h5"))
    ended = resume("run.h5", periods=2).summary
    assert (ended.steps_above, ended.step_error_max) == (whole.steps_above, whole.step_error_max)


def test_the_guard_cannot_be_lifted_where_there_is_none(model):
    for keys in ({"tolerance": 1e-4}, {"timestep": "fixed", "dt": 0.01}):
        with pytest.raises(InputError, match="guard = off lifts the guard of weights of your own"):
            simulate(config=Config(ic="kepler:e=0.5", periods=1, guard="off", **keys))


def test_states_outside_the_ranges_of_the_training_are_counted(model):
    assert simulate(config=Config(model=model, **RUN)).summary.outside_training is None
    wide = [[-1e9] * WIDTH, [1e9] * WIDTH]
    assert simulate(config=Config(model=with_ranges(model, wide), **RUN)).summary.outside_training == 0.0
    elsewhere = [[9e8] * WIDTH, [1e9] * WIDTH]
    assert simulate(config=Config(model=with_ranges(model, elsewhere), **RUN)).summary.outside_training == 1.0


@pytest.mark.parametrize("ranges", [[], "x", None, [[0.0], [1.0]], [[float("nan")] * WIDTH, [1.0] * WIDTH]])
def test_damaged_ranges_are_refused(model, ranges):
    with pytest.raises(CheckpointError, match="the model file is damaged"):
        simulate(config=Config(model=with_ranges(model, ranges), **RUN))


def test_steps_are_reversible_where_that_was_measured_to_be_better(model, tmp_path):
    def final_error(weights: str, **keys: object) -> float:
        config = Config(model=weights, guard="off", **{**RUN, "ic": "kepler:e=0.3", "periods": 5}, **keys)
        return simulate(config=config).summary.energy_error_final

    assert final_error(model) == final_error(model, reversible=False) != final_error(model, reversible=True)
    basic = untrained(tmp_path / "basic.safetensors", feature_type="basic")
    assert final_error(basic) == final_error(basic, reversible=True) != final_error(basic, reversible=False)
    looking_back = untrained(tmp_path / "back.safetensors", feature_type="delta_mag", history_len=2)
    assert final_error(looking_back) == final_error(looking_back, reversible=False)
