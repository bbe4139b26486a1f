"""What is looked at on systems that are never trained on: it is right, and leaves no trace."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tests.training.stopping import check_that_stopping_changes_nothing, left_by

from aitimestepper import Config, train
from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.training.session.building import build_training
from aitimestepper.training.session.systems import asked_systems
from aitimestepper.training.session.unseen import held_out

SMALL = {
    "num_orbits": 3,
    "hidden_dims": (8,),
    "lr": 1e-3,
    "replay_steps": 4,
    "steps_per_epoch": 5,
    "tensorboard": False,
}
CHECKED = {"check_loss", "check_pass_rate", "check_mean_rel_dE", "check_max_rel_dE", "check_dt", "check_step_fraction"}
HISTORY = {"history_len": 2, "feature_type": "delta_mag", "normalize_inputs": True, "dropout": 0.2}
KINDS = {
    "orbits": SMALL,
    "history": {**SMALL, **HISTORY},
    "three bodies": {**SMALL, "num_particles": 3, "num_orbits": 2},
    "rollouts": {**SMALL, "n_steps": 2},
}


def lines(run: str) -> list[dict[str, float]]:
    return [json.loads(line) for line in Path("runs", run, "metrics.jsonl").read_text().splitlines()]


def orbits(count: int):
    return [initial_conditions(f"kepler:e={0.9 * k / count}") for k in range(count)]


@pytest.mark.parametrize("kind", KINDS)
def test_looking_leaves_no_trace_in_the_training(kind):
    for every in (0, 1):
        train(config=Config(**KINDS[kind], epochs=3, check_every=every, save_name=f"every-{every}"))
    (without, told), (with_it, also_told) = map(left_by, ("runs/every-0", "runs/every-1"))
    assert without.keys() == with_it.keys()
    assert all(np.array_equal(without[name], with_it[name], equal_nan=True) for name in without)
    assert [{key: value for key, value in line.items() if key not in CHECKED} for line in also_told] == told
    assert all(line.keys() >= CHECKED for line in also_told)


@pytest.mark.parametrize("kind", ["orbits", "history"])
def test_a_training_that_was_stopped_sees_the_same(kind):
    check_that_stopping_changes_nothing({**KINDS[kind], "check_every": 2, "checkpoint_every": 1}, epochs=4)
    assert [line.keys() >= CHECKED for line in lines("cut")] == [False, True, False, True]


def test_the_check_agrees_with_what_is_seen_of_the_training_where_both_are_the_same_family():
    train(config=Config(**{**SMALL, "num_orbits": 32}, epochs=40, check_every=40, save_name="family"))
    last = lines("family")[-1]
    assert last["check_pass_rate"] > 0.9
    assert last["check_loss"] < 10.0 * last["loss"] + 1.0
    assert 0.0 < last["check_mean_rel_dE"] <= last["check_max_rel_dE"] <= 1.0
    assert last["check_step_fraction"] == pytest.approx(last["mean_step_fraction"], rel=0.5)


def test_drawn_unseen_systems_are_others():
    config = Config(**SMALL)
    state = build_training(config)
    state.unseen.look(state.model)
    seen = {float(x) for system in asked_systems(config) for x in system.position[0]}
    positions = state.unseen._start.state.position.reshape(16, -1, 2, 2)[:, 0, 0]
    assert not seen & set(positions.reshape(-1).tolist())


def test_a_tenth_of_own_systems_is_held_out_and_said():
    systems = orbits(21)
    kept = held_out(systems, Config())[1]
    assert len(kept) == 2
    assert [len(part) for part in held_out(systems[:9], Config())] == [9, 0]
    assert [len(part) for part in held_out(systems, Config(held_out=0.5))] == [11, 10]
    state = build_training(Config(systems=("runs/x",)), systems)
    assert state.particle.batch_shape == (19,)
    assert len(state.systems) == 21
    told = []

    class Listener:
        def begin(self, message):
            told.append(message)

        def step(self, record):
            pass

        epoch = step

        def close(self):
            pass

    keys = {key: value for key, value in SMALL.items() if key != "num_orbits"}
    train(systems, epochs=2, check_every=1, save_name="own", observers=[Listener()], **keys)
    assert "21 systems of one's own, of which 2 are held out for the check" in told[0]
    assert lines("own")[-1].keys() >= CHECKED


def test_one_system_has_no_others_to_be_checked_on():
    assert build_training(Config(ic="kepler")).unseen is None
    assert build_training(Config(systems=("runs/x",)), orbits(3)).unseen is None
    assert build_training(Config(check_every=0)).unseen is None


def test_tensorboard_has_groups_each_number_once_and_the_configuration():
    train(config=Config(**{**SMALL, "tensorboard": True}, epochs=2, check_every=1, save_name="groups"))
    events = EventAccumulator("runs/groups/tensorboard")
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert {tag.partition("/")[0] for tag in tags} == {"part1", "part2", "check", "run"}
    assert {"part1/mean_energy_error", "part2/loss", "check/loss", "check/pass_rate", "run/wall_seconds"} <= tags
    assert {tag.partition("/")[2] for tag in tags} & {"epoch", "n_epochs", "energy_error", "pass_rate"} == {"pass_rate"}
    written = lines("groups")
    shown = [event.value for event in events.Scalars("check/loss")]
    assert shown == pytest.approx([line["check_loss"] for line in written], rel=1e-6)
    text = events.Tensors("configuration/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "steps_per_epoch = 5" in text
