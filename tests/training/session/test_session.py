"""A training from a configuration: what it leaves, and that it goes on as if it had never stopped."""

from __future__ import annotations

import json
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.conftest import kepler, parts
from tests.training.stopping import Stop, check_that_stopping_changes_nothing, left_by

from aitimestepper import (
    CheckpointError,
    Config,
    InputError,
    OutputError,
    OutputExistsError,
    RunError,
    load_stepper,
    run_two_phase_training,
    train,
)
from aitimestepper.processes import own_name
from aitimestepper.training.session.building import build_training
from aitimestepper.training.session.resume import read_resume
from aitimestepper.weights.file import read_model

SMALL = {
    "num_orbits": 3,
    "hidden_dims": (8,),
    "output_scale": "physical",
    "lr": 1e-3,
    "replay_steps": 4,
    "steps_per_epoch": 2,
    "checkpoint_every": 2,
    "tensorboard": False,
}
IMPATIENT = {"replay_patience": 1, "replay_steps": 50, "lr": 1e-5}
HISTORY = {"history_len": 2, "feature_type": "delta_mag", "normalize_inputs": True, "dropout": 0.2}


def weights(run: Path | str) -> dict[str, np.ndarray]:
    return read_model(run).weights


def same(first: Path | str, second: Path | str) -> bool:
    one, two = weights(first), weights(second)
    return one.keys() == two.keys() and all(np.array_equal(one[name], two[name]) for name in one)


FAMILY = {**SMALL, "feature_type": "invariant", "steps_per_epoch": 5, "replay_steps": 8, "checkpoint_every": 1}
RESUMED = {
    "one system": {**FAMILY, "num_orbits": 1, "ic": "kepler:e=0.7", "steps_per_epoch": 51},
    "many systems": {**FAMILY, "num_orbits": 4, "e_min": 0.3, "seed": 3, "steps_per_epoch": 51},
    "states that leave the memory": {**FAMILY, "replay_capacity": 37, "replay_batch_size": 16},
    "three bodies": {**FAMILY, "num_particles": 3, "feature_type": "rich", "normalize_inputs": True},
    "history": {**FAMILY, **HISTORY},
    "history of one system": {**FAMILY, **HISTORY, "num_orbits": 1, "ic": "figure-eight", "feature_type": "basic"},
    "rollouts, in torch": {**FAMILY, "n_steps": 2, "history_len": 1},
    "sgd": {**FAMILY, "optimizer": "sgd"},
    "little patience": {**FAMILY, **IMPATIENT},
    "adam": {**FAMILY, "optimizer": "adam", "weight_decay": 0.1},
    "single precision": {**FAMILY, "dtype": "float32", "energy_threshold": 1e-2, "E_upper": 1e-3, "E_lower": 1e-4},
}


@pytest.mark.parametrize("name", RESUMED)
def test_a_run_stopped_after_every_epoch_ends_with_the_bits_of_one_that_never_was(name):
    check_that_stopping_changes_nothing(RESUMED[name], epochs=9)


@pytest.mark.parametrize(
    ("keys", "kind", "loop"),
    [
        ({}, torch.optim.AdamW, "compiled"),
        ({"optimizer": "adam"}, torch.optim.Adam, "compiled"),
        ({"optimizer": "sgd", "momentum": 0.5}, torch.optim.SGD, "in torch"),
    ],
)
def test_the_optimiser_is_the_one_that_was_asked_for_and_the_log_says_which_loop_runs(keys, kind, loop):
    config = Config(epochs=1, weight_decay=0.25, **SMALL, **keys)
    optimizer = build_training(config).optimizer
    assert type(optimizer) is kind
    assert {"lr": 1e-3, "weight_decay": 0.25, "momentum": 0.5 if keys.get("momentum") else None}.items() <= {
        "momentum": None, **optimizer.defaults
    }.items()  # fmt: skip
    assert read_model(train(config=config).model_path).about["part_one"] == loop


def test_weight_decay_pulls_by_itself_in_adamw_and_through_the_gradient_in_adam():
    for name, optimizer in (("adamw", "adamw"), ("adam", "adam"), ("plain", "adam"), ("decoupled", "adamw")):
        decay = 0.0 if name in ("plain", "decoupled") else 0.5
        train(config=Config(epochs=2, save_name=name, weight_decay=decay, optimizer=optimizer, **SMALL))
    assert same("runs/plain", "runs/decoupled")
    assert not same("runs/adam", "runs/adamw")


def test_every_accepted_step_is_kept_where_asked_also_over_a_resume():
    keys = {**SMALL, "log_steps": True, "checkpoint_every": 1}
    train(config=Config(epochs=4, save_name="whole", **keys))
    train(config=Config(epochs=2, save_name="halves", **keys))
    train(config=Config(epochs=4), resume=Path("runs/halves"))
    one, two = (Path(f"runs/{name}/accepted_steps.jsonl").read_text() for name in ("whole", "halves"))
    assert one == two
    steps = [json.loads(line) for line in one.splitlines()]
    metrics = [json.loads(line) for line in Path("runs/whole/metrics.jsonl").read_text().splitlines()]
    for epoch in metrics:
        own = [step for step in steps if step["epoch"] == epoch["epoch"]]
        assert [step["step"] for step in own] == list(range(1, int(epoch["total_steps"]) + 1))
        assert np.mean([step["error"] for step in own]) == pytest.approx(epoch["mean_energy_error"], rel=1e-12)
        assert np.mean([step["dt"] for step in own]) == pytest.approx(epoch["mean_accepted_dt"], rel=1e-12)
        assert {step["system"] for step in own} <= {0, 1, 2}


def test_the_last_metrics_tell_how_long_the_last_epoch_took():
    summary = train(config=Config(epochs=2, **SMALL)).summary
    assert 0 < summary["epoch_time"] < summary["total_time"]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others():
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        train(config=Config(epochs=3, save_name=name, seed=seed, **SMALL, **HISTORY))
    assert same("runs/a", "runs/b")
    assert not same("runs/a", "runs/c")


class Threads(Stop):
    """Notes how many threads torch has in a training."""

    def __init__(self) -> None:
        super().__init__(after=100)
        self.seen: set[int] = set()

    def epoch(self, record):
        self.seen.add(torch.get_num_threads())


def test_results_do_not_depend_on_the_number_of_threads():
    before, watch = torch.get_num_threads(), Threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            train(config=Config(epochs=3, save_name=str(threads), **SMALL), observers=[watch])
            assert torch.get_num_threads() == threads
    finally:
        torch.set_num_threads(before)
    assert same("runs/1", "runs/2")
    assert same("runs/1", "runs/3")
    assert watch.seen == {1}  # large arrays, which several would share, take too long for a test


def test_a_run_directory_holds_all_that_is_needed_to_repeat_it():
    outcome = train(config=Config(epochs=2, save_name="run", **{**SMALL, "tensorboard": True}))
    names = {path.name for path in outcome.run_dir.iterdir()}
    assert names == {
        "config.toml", "initial_conditions.npz", "metrics.jsonl", "model.safetensors", "resume.pt", "steps.jsonl",
        "tensorboard",
    }  # fmt: skip
    used = tomllib.loads((outcome.run_dir / "config.toml").read_text())
    assert Config(**used) == Config(epochs=2, save_name="run", **{**SMALL, "tensorboard": True})
    assert any((outcome.run_dir / "tensorboard").iterdir())
    stepper = load_stepper(outcome.run_dir)
    assert stepper.adapter.predict_dt(stepper.model, kepler(e=0.5)) > 0


def test_a_loaded_stepper_takes_the_steps_of_the_one_that_was_trained():
    state = build_training(Config(**SMALL, **HISTORY))
    run_two_phase_training(
        state.model,
        state.particle,
        state.optimizer,
        Config(epochs=2, **SMALL, **HISTORY),
        state.learned.adapter,
        save_dir="here",
    )
    loaded = load_stepper("here")
    particle = kepler(e=0.5)
    assert loaded.adapter.norm_scales == state.learned.adapter.norm_scales
    before = state.learned.adapter.predict_dt(state.model, particle, loaded.adapter.history_buffer)
    assert loaded.adapter.predict_dt(loaded.model, particle) == before


def test_ctrl_c_writes_a_checkpoint_from_which_the_run_goes_on_bit_by_bit():
    script = f"""
        import pathlib
        from aitimestepper import Config
        from aitimestepper import train

        class Stop:
            def begin(self, message):
                pass

            def step(self, record):
                if record.epoch == 5:
                    pathlib.Path("now").touch()
                    while True:
                        pass
            def epoch(self, record): pass
            def close(self): pass

        outcome = train(config=Config(epochs=8, save_name="cut", **{SMALL!r}, **{HISTORY!r}), observers=[Stop()])
        assert outcome.interrupted and outcome.epochs_completed == 4, outcome
    """
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    while not Path("now").exists() and process.poll() is None:
        os.sched_yield()
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    train(config=Config(epochs=8), resume=Path("runs/cut"))
    train(config=Config(epochs=8, save_name="whole", **SMALL, **HISTORY))
    assert same("runs/whole", "runs/cut")


def test_a_training_that_fails_keeps_its_last_complete_epoch():
    class Sabotage:
        def begin(self, message):
            pass

        def step(self, record):
            if record.epoch == 4:
                raise RunError("the fourth epoch fails")

        def epoch(self, record):
            pass

        def close(self):
            pass

    config = Config(epochs=8, save_name="cut", **{**SMALL, "checkpoint_every": 100})
    with pytest.raises(RunError, match="fourth epoch"):
        train(config=config, observers=[Sabotage()])
    train(config=Config(epochs=8), resume=Path("runs/cut"))
    train(config=config.replace(save_name="whole"))
    assert same("runs/whole", "runs/cut")


def test_a_missing_wandb_is_said_before_anything_is_made(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'aitimestepper\[wandb\]'"):
        train(config=Config(epochs=1, save_name="run", wandb=True, **SMALL))
    assert not Path("runs/run").exists()


def test_an_existing_run_is_kept_unless_told_otherwise():
    train(config=Config(epochs=1, save_name="run", **SMALL))
    kept = weights("runs/run")
    with pytest.raises(OutputExistsError, match="set overwrite"):
        train(config=Config(epochs=1, save_name="run", seed=5, **SMALL))
    assert all(np.array_equal(kept[name], array) for name, array in weights("runs/run").items())
    train(config=Config(epochs=1, save_name="run", seed=5, overwrite=True, **SMALL))
    assert not all(np.array_equal(kept[name], array) for name, array in weights("runs/run").items())


def test_overwrite_never_deletes_a_directory_that_is_no_run():
    Path("runs/precious").mkdir(parents=True)
    Path("runs/precious/thesis.tex").touch()
    with pytest.raises(OutputExistsError, match="not a run directory"):
        train(config=Config(epochs=1, save_name="precious", overwrite=True, **SMALL))
    assert Path("runs/precious/thesis.tex").exists()


def test_the_newest_checkpoints_are_kept_and_each_is_a_run_directory():
    keys = {**SMALL, "keep_checkpoints": 3, "checkpoint_every": 2, "log_steps": True}
    train(config=Config(epochs=9, save_name="run", **keys))
    kept = Path("runs/run/checkpoints")
    assert sorted(path.name for path in kept.iterdir()) == ["epoch-00006", "epoch-00008", "epoch-00009"]
    assert same(kept / "epoch-00009", "runs/run")
    assert not same(kept / "epoch-00006", "runs/run")
    assert read_model(kept / "epoch-00006").about["epoch"] == 6
    assert load_stepper(kept / "epoch-00006").model is not None
    outcome = train(config=Config(), resume=kept / "epoch-00006")
    assert (outcome.epochs_completed, outcome.run_dir) == (9, kept / "epoch-00006")
    assert same(kept / "epoch-00006", "runs/run")
    assert left_by("runs/run/checkpoints/epoch-00006")[1] == left_by("runs/run")[1]
    one, other = (Path(run, "accepted_steps.jsonl").read_text() for run in (kept / "epoch-00006", "runs/run"))
    assert one == other
    assert train(config=Config(epochs=12, keep_checkpoints=2), resume=Path("runs/run")).epochs_completed == 12
    assert sorted(path.name for path in kept.iterdir()) == ["epoch-00010", "epoch-00012"]
    train(config=Config(epochs=4, save_name="one", **SMALL))
    assert not Path("runs/one/checkpoints").exists()


def test_a_training_that_was_killed_before_its_first_checkpoint_is_started_again():
    script = f"""
        import os
        from aitimestepper import Config, train
        from tests.training.stopping import Stop

        class Kill(Stop):
            def step(self, record):
                if record.epoch == 2:
                    os.kill(os.getpid(), {int(signal.SIGKILL)})

        train(config=Config(epochs=4, save_name="killed", **{ {**SMALL, "checkpoint_every": 4}!r}), observers=[Kill(0)])
    """
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), *filter(None, sys.path)])}
    killed = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert Path("runs/killed/metrics.jsonl").exists()
    with pytest.raises(CheckpointError, match="started again with the same command"):
        train(config=Config(), resume=Path("runs/killed"))
    train(config=Config(epochs=4, save_name="killed", **SMALL))
    train(config=Config(epochs=4, save_name="whole", **SMALL))
    assert same("runs/killed", "runs/whole")


def test_a_directory_with_anything_else_is_no_training_that_was_killed():
    train(config=Config(epochs=1, save_name="run", **SMALL))
    Path("runs/run/resume.pt").unlink()
    Path("runs/run/model.safetensors").rename("runs/run/precious.safetensors")
    with pytest.raises(OutputExistsError, match="exists already"):
        train(config=Config(epochs=1, save_name="run", **SMALL))
    assert Path("runs/run/precious.safetensors").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="files are locked on Linux only")
def test_nobody_else_trains_in_a_directory_meanwhile():
    class Another(Stop):
        def epoch(self, record):
            for keys in ({"resume": Path("runs/run")}, {}):
                with pytest.raises(OutputExistsError, match="another process trains in runs/run"):
                    train(config=Config(epochs=3, save_name="run", **{**SMALL, "overwrite": True}), **keys)

    train(config=Config(epochs=2, save_name="run", **SMALL), observers=[Another(9)])
    assert train(config=Config(epochs=3), resume=Path("runs/run")).epochs_completed == 3


def test_what_a_killed_process_left_half_made_is_removed():
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    place = own_name().partition("-")[2]
    Path("runs/run").mkdir(parents=True)
    half = [Path(f"runs/.run.{dead.pid}-{place}.tmp"), Path(f"runs/run/.resume.pt.{dead.pid}-{place}.tmp")]
    kept = [Path(f"runs/.other.{os.getppid()}-{place}.tmp"), Path("runs/.other.1234-00000000.tmp"), Path("runs/.x.tmp")]
    half[0].mkdir()
    for path in (half[0] / "config.toml", half[1], *kept):
        path.write_text("half")
    train(config=Config(epochs=1, save_name="run", **SMALL))
    assert not any(path.exists() for path in half)
    assert all(path.exists() for path in kept)


def test_a_run_directory_that_cannot_be_made_is_said_so():
    Path("runs").touch()
    with pytest.raises(OutputError, match="cannot create the run directory"):
        train(config=Config(epochs=1, **SMALL))


def test_wandb_offline_keeps_its_run_in_the_run_directory():
    pytest.importorskip("wandb")
    train(config=Config(epochs=1, save_name="watched", wandb=True, **SMALL))
    assert list(Path("runs/watched/wandb").rglob("*.wandb"))


@pytest.mark.parametrize("damage", ["cut", "foreign", "pickle", "missing", "other size"])
def test_a_damaged_or_foreign_checkpoint_gives_one_clear_line(damage):
    outcome = train(config=Config(epochs=1, save_name="run", **SMALL))
    resume = outcome.run_dir / "resume.pt"
    for path in (outcome.model_path, resume):
        content = path.read_bytes()
        if damage == "cut":
            path.write_bytes(content[: len(content) // 2])
        elif damage == "foreign":
            path.write_bytes(b"#!/bin/sh\n")
        elif damage == "pickle":
            path.write_bytes(pickle.dumps(Hostile()))
        elif damage == "missing":
            path.unlink()
    if damage == "other size":
        contents = read_resume(resume)
        contents["model"] = build_training(Config(**{**SMALL, "hidden_dims": (9,)})).model.state_dict()
        torch.save(contents, resume)
        with pytest.raises(CheckpointError, match="network of another size"):
            train(config=Config(epochs=2), resume=outcome.run_dir)
        return
    with pytest.raises(CheckpointError, match=r"model.safetensors") as model_error:
        load_stepper(outcome.run_dir)
    with pytest.raises(CheckpointError, match=r"resume.pt") as resume_error:
        train(config=Config(epochs=2), resume=outcome.run_dir)
    assert "\n" not in str(model_error.value) + str(resume_error.value)
    assert not Path("executed").exists()


class Hostile:
    """Would leave a file behind if anything unpickled it with trust."""

    def __reduce__(self):
        return (os.mkdir, ("executed",))


def test_a_safetensors_file_of_somebody_else_is_refused():
    from safetensors.numpy import save_file

    save_file({"w": np.zeros(3)}, "other.safetensors")
    with pytest.raises(CheckpointError, match="not a model of this package"):
        read_model("other.safetensors")


def test_model_files_are_read_without_torch():
    train(config=Config(epochs=1, save_name="run", **SMALL))
    code = (
        "import sys; from aitimestepper.weights.file import read_model; file = read_model('runs/run'); "
        "assert file.config.hidden_dims == (8,) and 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_stopping_at_the_period_with_a_period_of_zero():
    """Known fault 11: it is an error, and not a training of nothing that reports convergence."""
    with pytest.raises(InputError, match="period > 0"):
        train(
            config=Config(
                ic="random:n=3", stop_at_period=True, epochs=3, **{k: v for k, v in SMALL.items() if k != "num_orbits"}
            )
        )
    model, optimizer, config, adapter = parts(0.01, epochs=2, min_replay_size=50)
    result = run_two_phase_training(model, kepler(), optimizer, config, adapter)
    assert result["convergence_rate"] == 0.0
    assert result["epochs_completed"] == 2


def test_training_stops_when_the_period_is_covered():
    model, optimizer, config, adapter = parts(0.05, stop_at_period=True, steps_per_epoch=10)
    result = run_two_phase_training(model, kepler(e=0.1), optimizer, config, adapter)
    period = kepler().period.item()
    assert period <= result["final_particle"].current_time.item() < 1.5 * period
    assert result["epochs_completed"] < config.epochs


def test_state_and_history_run_on_across_epochs():
    model, optimizer, config, adapter = parts(0.001, epochs=3, steps_per_epoch=2, history_len=3)
    result = run_two_phase_training(model, kepler(e=0.3), optimizer, config, adapter)
    assert len(adapter.history_buffer) == 3
    times = [float(s.dt) for s in adapter.history_buffer.snapshots()]
    assert all(dt > 0 for dt in times)
    assert result["final_metrics"]["warmup_discarded"] == 0


def test_an_energy_that_the_gate_cannot_see_is_refused():
    with pytest.raises(InputError, match="choose units"):
        train(config=Config(ic="kepler:m2=1e-13", epochs=1))


def test_a_missing_device_is_said_so():
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA")
    with pytest.raises(InputError, match="asks for CUDA"):
        train(config=Config(device="cuda", epochs=1, **SMALL))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_training_runs_on_a_gpu(dtype):
    outcome = train(config=Config(device="cuda", dtype=dtype, epochs=2, energy_threshold=1e-2, E_upper=1e-3, **SMALL))
    assert outcome.epochs_completed == 2
