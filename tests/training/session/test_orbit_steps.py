"""The steps over the orbits of a training, as its run directory keeps them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from aitimestepper import Config, ParticleTorch, load_stepper, train
from aitimestepper.training.session.building import build_training
from aitimestepper.training.session.orbit_steps import STATES, is_noted, watched_states

SMALL = {"hidden_dims": (8,), "output_scale": "physical", "replay_steps": 4, "lr": 1e-3, "tensorboard": False}


def noted(run: str = "run") -> tuple[dict, list[dict]]:
    first, *lines = map(json.loads, Path(f"runs/{run}/steps.jsonl").read_text().splitlines())
    return first, lines


def test_epochs_are_noted_evenly_in_their_logarithm_and_the_first_and_last_always():
    epochs = [epoch for epoch in range(1, 1001) if is_noted(epoch)]
    assert epochs[:9] == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert len(epochs) == 50
    assert np.diff(np.log10(epochs[20:])).max() < 0.06
    train(config=Config(epochs=13, ic="kepler:e=0.6", **SMALL))
    assert [line["epoch"] for line in noted()[1]] == [0, *(e for e in range(1, 14) if is_noted(e) or e == 13)]


def test_steps_are_those_that_the_network_predicts_and_the_largest_is_where_the_error_crosses_the_threshold():
    train(config=Config(epochs=2, ic="kepler:e=0.8", **SMALL))
    first, lines = noted()
    (orbit,) = first["systems"]
    stepper = load_stepper("runs/run")
    separation = np.array(orbit["separation"])
    assert len(separation) == len(lines[-1]["dt"][0]) == STATES
    assert (separation.min(), separation.max()) == pytest.approx((0.2, 1.8), rel=0.02)
    for state in (0, 20, 41):
        r, speed = separation[state], np.sqrt(2.0 * (2.0 / separation[state] - 1.0))
        across = np.sqrt(2.0 * (1.0 - 0.8**2)) / r
        along = np.sqrt(max(speed**2 - across**2, 0.0)) * (-1.0 if separation[state + 1] < r else 1.0)
        velocity = [[-along / 2, -across / 2], [along / 2, across / 2]]
        particle = ParticleTorch([1.0, 1.0], [[-r / 2, 0.0], [r / 2, 0.0]], velocity)
        assert stepper.adapter.predict_dt(stepper.model, particle) == pytest.approx(lines[-1]["dt"][0][state], rel=1e-2)
        errors = []
        for factor in (0.9, 1.35):  # the largest lies on a grid of factors of 1.22
            after = particle.clone_detached()
            after.update_dt(factor * orbit["largest"][state])
            after.evolve()
            errors.append(abs(float(after.total_energy() / particle.total_energy()) - 1.0))
        assert errors[0] < 2e-4 < errors[1]


def test_a_resumed_training_notes_what_an_uninterrupted_one_does():
    keys = {**SMALL, "num_orbits": 5, "history_len": 2, "feature_type": "delta_mag"}
    train(config=Config(epochs=9, save_name="whole", **keys))
    train(config=Config(epochs=4, save_name="cut", **keys))
    Path("runs/cut/steps.jsonl").write_text(
        Path("runs/cut/steps.jsonl").read_text() + '{"epoch": 5, "dt": []}\n{"epoch": 6'
    )
    train(config=Config(epochs=9), resume=Path("runs/cut"))
    assert Path("runs/whole/steps.jsonl").read_bytes() == Path("runs/cut/steps.jsonl").read_bytes()
    assert len(noted("cut")[0]["systems"]) == 3


def test_a_history_looks_back_by_steps_of_a_usual_length():
    config = Config(ic="kepler:e=0.7", history_len=3, feature_type="delta_mag", **SMALL)
    state = build_training(config)
    watched = watched_states(state.initial, state.learned, state.history, config)
    (orbit,) = watched.systems
    oldest, middle, newest = watched.start.history.snapshots()
    now = watched.start.state
    assert not any(bool(past.is_zero().any()) for past in (oldest, middle, newest))
    moved = (now.position - newest.position).norm(dim=-1).amax(-1)
    assert (moved > 0).all()
    assert 0.4 < float((now.dt / torch.tensor(orbit["largest"])).median()) < 0.9
    assert torch.isfinite(watched.start.features).all()


@pytest.mark.parametrize("ic", ["pythagorean", "random:n=4,dim=3,seed=2", "kepler:e=0"])
def test_systems_without_a_period_and_of_any_size_have_steps_too(ic):
    train(config=Config(epochs=1, ic=ic, **SMALL))
    first, lines = noted()
    assert np.isfinite(lines[-1]["dt"]).all()
    assert np.all(np.diff(first["systems"][0]["time"]) >= 0)  # equal in a deep encounter, to the digits that are kept


def test_looking_at_the_steps_does_not_change_the_training(monkeypatch):
    keys = {
        **SMALL,
        "num_orbits": 3,
        "history_len": 2,
        "dropout": 0.2,
        "normalize_inputs": True,
        "feature_type": "basic",
    }
    train(config=Config(epochs=3, save_name="seen", **keys))
    session = "aitimestepper.training.session.session"
    monkeypatch.setattr(f"{session}.OrbitSteps.begin", lambda *_: None)
    monkeypatch.setattr(f"{session}.OrbitSteps.epoch", lambda *_: None)
    train(config=Config(epochs=3, save_name="unseen", **keys))
    one, other = (load_stepper(f"runs/{name}").model.state_dict() for name in ("seen", "unseen"))
    assert all(torch.equal(one[name], other[name]) for name in one)
