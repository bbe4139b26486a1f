"""`aitimestepper train`: run directories, refusals, watching, stopping and going on."""

from __future__ import annotations

import json
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from aitimestepper import RetrainWarning
from aitimestepper.cli import progress
from aitimestepper.cli.interrupt import Interrupt
from aitimestepper.simulation.progress import tell
from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.training.steps.records import EpochRecord, StepRecord
from aitimestepper.weights.file import read_model

TINY = ["--hidden-dims", 8, "--epochs", 2, "--output-scale", "physical", "--no-tensorboard", "--replay-steps", 4]


def test_a_run_says_where_it_is_and_how_to_use_it(call):
    answer = call("train", *TINY, "--ic", "kepler:e=0.5", "--softening", "0.01")
    assert (answer.code, answer.out) == (0, "")
    scope, loop, progress, end, hint = answer.err.splitlines()
    assert scope == ("training on kepler:e=0.5, e = 0.5: on other systems steps are guesses; in any units")
    assert loop == "Part 1 runs compiled"
    assert re.fullmatch(r"epoch 2/2   error \S+   dt \S+   retrained \d+ x   pass rate \d+ %", progress)
    assert end == "trained 2 epochs; run directory runs/run, model runs/run/model.safetensors"
    assert hint == (
        "simulate with:  aitimestepper simulate --ic kepler:e=0.5 --steps 1000 --softening 0.01 "
        "--timestep learned --model runs/run"
    )
    assert read_model("runs/run").config.softening == 0.01


def test_the_system_of_a_training_is_the_one_that_is_offered_and_it_runs(call):
    drawn = call("train", *TINY, "--num-orbits", 1, "--seed", 3, "--save-name", "one")
    e = float(
        re.match(r"training on one system that was drawn \(seed 3\), e = ([\d.]+): on other systems", drawn.err)[1]
    )
    one = initial_conditions("runs/one")
    speed, distance = (np.linalg.norm(v[1] - v[0]) for v in (one.velocity, one.position))
    (x, y), (u, v) = (vectors[1] - vectors[0] for vectors in (one.position, one.velocity))
    momentum = x * v - y * u
    assert e == pytest.approx(np.sqrt(1 + 2 * (0.5 * speed**2 - 2 / distance) * momentum**2 / 4), rel=2e-3)
    hint = call("train", *TINY, "--num-orbits", 2, "--save-name", "two").err.splitlines()[-1]
    assert " --ic runs/two:system=0 --steps 1000 --timestep learned --model runs/two" in hint
    words = hint.partition("aitimestepper ")[2].split()
    assert call(*words).code == 0
    call("simulate", "--ic", "runs/two", "--steps", 1, "--tolerance", 1e-6).refuses(
        "a training has 2 systems in it: choose one"
    )
    for words in (
        ["simulate", "--ic", "runs/one", "--steps", 1, "--timestep", "fixed", "--dt", 0.01],
        ["ensemble", "--ic", "runs/two:system=1", "--count", 1, "--steps", 1, "--timestep", "fixed", "--dt", 0.01],
        ["ic", "runs/two:system=1", "--output", "two.csv"],
        ["train", *TINY, "--ic", "runs/two:system=1", "--save-name", "again"],
    ):
        answer = call(*words)
        assert answer.code == 0, answer.err


def test_flags_go_over_the_section_and_the_section_over_shared_keys(call):
    Path("c.toml").write_text("epochs = 7\nlr = 0.1\nseed = 4\nperiods = 3\n[train]\nlr = 0.2\nseed = 5\n")
    assert call("train", "--config", "c.toml", *TINY, "--seed", 6).code == 0
    config = read_model("runs/run").config
    assert (config.epochs, config.lr, config.seed) == (2, 0.2, 6)


def test_a_rule_between_two_keys_sees_flag_and_file_together(call):
    Path("c.toml").write_text("E_upper = 5e-4\n")
    call("train", "--config", "c.toml", *TINY).refuses("E_upper = 0.0005 must be < energy_threshold = 0.0002")
    assert call("train", "--config", "c.toml", *TINY, "--energy-threshold", "1e-3").code == 0


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        ("energy_treshold = 1", ["c.toml: unknown key 'energy_treshold'; did you mean energy_threshold?"]),
        ("[train]\nperiods = 3", ["[train] unknown key 'periods'", "it belongs to another table"]),
        ("lr = -1", ["lr = -1 is not allowed: it should be greater than 0"]),
        ("hidden_dims = 'wide'", ["hidden_dims = 'wide' is not allowed: it should be a list"]),
        ("lr = ", ["c.toml is not valid TOML"]),
        ("device = 'gpu'", ["device = 'gpu' is not allowed: it should be auto, cpu, cuda, cuda:N or mps"]),
    ],
)
def test_a_bad_file_gives_one_line(call, content, fragments):
    Path("c.toml").write_text(content)
    call("train", "--config", "c.toml").refuses(*fragments)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--config", "missing.toml"], "cannot read the configuration missing.toml: No such file or directory"),
        (["--lr", "fast"], "lr = 'fast' is not allowed: it should be a number"),
        (["--epochs", "0"], "epochs = 0 is not allowed: it should be greater than or equal to 1"),
        (["--epochs", "1.5"], "epochs = 1.5 is not allowed: it should be a whole number"),
        (["--E-upper=1e-3"], "E_upper = 0.001 must be < energy_threshold = 0.0002"),
        (["--feature-type", "basik"], "it should be 'basic', 'rich', 'delta_mag' or 'invariant'"),
        (["--feature-type", "delta_mag"], "needs history_len >= 1"),
        (["--optimizer", "adamm"], "it should be 'adamw', 'adam' or 'sgd'"),
        (["--momentum", "0.5"], "momentum = 0.5 does nothing with optimizer = adamw"),
        (["--save-name", ".."], "without slashes or a leading dot"),
        (["--ic", "keplr"], "did you mean kepler?"),
        (["--ic", "kepler", "--num-orbits", "3"], "num_orbits cannot be set beside it"),
        (["--ic", "missing.csv"], "cannot read the initial conditions missing.csv"),
        (["--resume", "nowhere"], "nothing to resume: there is no nowhere/resume.pt"),
        (["--resume", "nowhere", "--lr", "1"], "--lr cannot stand beside --resume"),
        (["--resume", "nowhere", "--config", "c.toml"], "--config cannot stand beside --resume"),
    ],
)
def test_bad_input_gives_one_line_and_leaves_nothing(call, words, fragment):
    call("train", *words).refuses(fragment)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ("m,x,y,vx\n1,0,0,0\n", "4 columns"),
        ("m,x,y,u,v\n1,0,0,0,0\n", "'u' is none of m, x, y"),
        ("1,0,0,0,0\n1,nan,0,0,0\n", "line 2: 'nan' is not a finite number"),
        ("1,0,0,0,0\n1,0,0,1,0\n", "bodies 0 and 1 (counting from 0) are at one point"),
        ("1,0,0,0,0\n-1,1,0,1,0\n", "mass of body 1 (counting from 0) must be >= 0, got -1"),
        ("", "no body in it"),
    ],
)
@pytest.mark.parametrize("command", ["train", "simulate", "both", "ic"])
def test_a_malformed_file_of_bodies_gives_one_line(call, command, content, fragment):
    Path("bodies.csv").write_text(content)
    rest = {
        "simulate": ["--timestep", "fixed", "--dt", "0.1", "--steps", "3"],
        "both": ["--steps", "3"],
    }
    where = ["bodies.csv"] if command == "ic" else ["--ic", "bodies.csv"]
    call(command, *where, *rest.get(command, [])).refuses(fragment)
    assert not Path("runs").exists()


@pytest.mark.parametrize("content", ["0,0,0,0,0\n0,1,0,1,0\n", "1,0,0,0,0\n"])
def test_bodies_that_do_not_attract_each_other_cannot_be_trained_on(call, content):
    Path("bodies.csv").write_text(content)
    call("train", "--ic", "bodies.csv").refuses("a training needs two bodies that attract each other")
    assert not Path("runs").exists()


def test_an_existing_run_is_refused_and_kept(call):
    assert call("train", *TINY).code == 0
    before = Path("runs/run/model.safetensors").read_bytes()
    call("train", *TINY, "--seed", 1).refuses("runs/run exists already", "--resume", "--overwrite")
    assert Path("runs/run/model.safetensors").read_bytes() == before
    assert call("train", *TINY, "--seed", 1, "--overwrite").code == 0
    assert Path("runs/run/model.safetensors").read_bytes() != before


def test_a_run_directory_below_a_file_gives_one_line(call):
    Path("file").touch()
    call("train", *TINY, "--runs-dir", "file/runs").refuses("file/runs/run", "Not a directory")


def test_a_run_goes_on_with_its_own_settings(call):
    assert call("train", *TINY, "--seed", 3, "--lr", "1e-3").code == 0
    answer = call("train", "--resume", "runs/run", "--epochs", 4, "--log-every", 2)
    assert answer.code == 0
    assert "trained 4 epochs" in answer.err
    config = read_model("runs/run").config
    assert (config.epochs, config.seed, config.lr, config.log_every) == (4, 3, 1e-3, 2)


def test_nothing_left_to_do_is_said(call):
    assert call("train", *TINY).code == 0
    answer = call("train", "--resume", "runs/run")
    assert answer.code == 0
    assert "all 2 epochs of runs/run are done already; ask for more with --epochs" in answer.err


def test_a_damaged_checkpoint_gives_one_line(call):
    assert call("train", *TINY).code == 0
    Path("runs/run/resume.pt").write_bytes(b"PK\x03\x04 not really")
    call("train", "--resume", "runs/run").refuses("runs/run/resume.pt is damaged")


def test_a_training_that_fails_says_where_and_what_is_kept(call):
    words = [*TINY, "--output-scale", "absolute", "--max-retrain-iterations", 1, "--E-upper", "2e-12"]
    answer = call("train", *words, "--energy-threshold", "1e-11", "--E-lower", "1e-12", "--lr", "1e-9")
    assert (answer.code, answer.out) == (3, "")
    where, error = answer.err.splitlines()[-2:]
    assert where.startswith("the training failed in epoch 1, step 1")
    assert error.startswith("aitimestepper: error: no step passed the gate within 1 retrain iterations")


def step_of(epoch: int, **changes: object) -> StepRecord:
    values = {"step": 1, "accepted": False, "error": 1.5e-3, "dt": 0.25, "retrain_iterations": 17, **changes}
    return StepRecord(epoch=epoch, **values)  # type: ignore[arg-type]


def epoch_of(epoch: int, n_epochs: int = 10) -> EpochRecord:
    rates = {"energy_error": 1e-5, "accepted_dt": 0.1, "retrain_iterations": 2.0, "acceptance_rate": 0.5}
    return EpochRecord(
        epoch=epoch, n_epochs=n_epochs, wall_seconds=1.0, pass_rate=0.75, part2_iterations=3, skipped=False,
        converged=False, mean_step_fraction=0.5, time=1.0, **rates,
    )  # fmt: skip


def test_a_log_file_gets_a_plain_line_every_ten_seconds(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    lines = progress.TrainingLines(None, Interrupt())
    for epoch in range(3, 9):
        now[0] += 4.0
        lines.step(step_of(epoch))
        lines.epoch(epoch_of(epoch))
    assert capsys.readouterr().err.splitlines() == [
        "epoch 5/10   error 1.50e-03   dt 2.50e-01   retrained 17 x   pass rate 75 %   36 s left",
        "epoch 8/10   error 1.50e-03   dt 2.50e-01   retrained 17 x   pass rate 75 %   14 s left",
    ]


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(45.2, "45 s"), (720, "12 min"), (12_600, "3.5 h"), (1e6, "12 days"), (1e300, "more than a year")],
)
def test_the_time_that_is_left_is_short_to_read(monkeypatch, capsys, seconds, said):
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.simulation_progress() as show:
        show(0.0)
        now[0] = 1000.0  # what is compiled before the first part of a run is no part of it
        show(0.2)
        now[0] += seconds
        show(0.6)
    assert capsys.readouterr().err == f"simulated 60 %   {said} left\n"


def test_compiling_is_said_where_progress_is_shown(capsys):
    tell("compiling")
    with progress.simulation_progress():
        tell("compiling")
    assert capsys.readouterr().err == "compiling\n"


def test_a_long_retraining_is_watched_and_warned_of_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", 0.0)
    with progress.training_progress(None) as watch:
        watch.step(step_of(1, retrain_iterations=999))
        progress.warnings.warn("1000 retrain iterations on one state", RetrainWarning, stacklevel=1)
    assert capsys.readouterr().err.splitlines() == [
        "epoch 1   error 1.50e-03   dt 2.50e-01   retrained 999 x",
        "aitimestepper: warning: 1000 retrain iterations on one state",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_in_the_middle_write_a_checkpoint_and_the_run_goes_on(call, start, number):
    words = ["--epochs", "100000", "--steps-per-epoch", "1", "--hidden-dims", "8", "--output-scale", "physical"]
    process = start("train", *words, "--no-tensorboard")
    metrics = Path("runs/run/metrics.jsonl")
    deadline = time.monotonic() + 60
    while not (metrics.exists() and metrics.read_text().count("\n") >= 3) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert "Traceback" not in err
    where, how = err.splitlines()[-2:]
    done = int(re.fullmatch(r"interrupted after (\d+) of 100000 epochs; the checkpoint is in runs/run", where)[1])
    assert how == "go on with:     aitimestepper train --resume runs/run"
    assert call("train", "--resume", "runs/run", "--epochs", done + 2).code == 0
    epochs = [json.loads(line)["epoch"] for line in metrics.read_text().splitlines()]
    assert epochs == list(range(1, done + 3))
