"""`aitimestepper simulate` and `both`: the whole path, and what is refused before a step is made."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from tests.builders import untrained

from aitimestepper import Recording
from aitimestepper.cli.interrupt import Interrupt
from aitimestepper.cli.output import print_json, print_table
from aitimestepper.recordings.parts import Summary
from aitimestepper.weights.file import read_model

SUMMARY_KEYS = [
    "steps", "force_evaluations", "rejected_steps", "time", "energy_initial", "energy_final", "energy_error_max",
    "energy_error_final", "momentum_residual", "angular_momentum_residual", "wall_seconds", "outcome",
]  # fmt: skip
PROMISE_KEYS = [
    "energy_error_asked", "position_error_asked", "position_error_max", "outside_training",
    "step_error_asked", "step_error_max", "steps_above",
    "confirm_tolerance", "confirm_position_difference", "confirm_position_difference_relative",
    "confirm_force_evaluations", "confirm_outcome", "position_error_run", "longest_step", "energy_error_max_time",
    "mergers", "merger_energy", "handed_over_at_step", "handed_over_at_time",
    "energy_verdict", "position_verdict", "step_verdict",
]  # fmt: skip
TINY = ["--hidden-dims", 8, "--epochs", 2, "--output-scale", "physical", "--no-tensorboard", "--replay-steps", 4]
FIXED = ["--timestep", "fixed", "--dt", 0.01, "--steps", 20]


def without_compiling(text):
    """Lines of standard error but for the one that the first run on a machine has."""
    return [line for line in text.splitlines() if not line.startswith("compiling")]


def test_from_training_over_simulation_to_the_trajectory(call):
    assert call("train", *TINY, "--num-orbits", 3, "--save-name", "first").code == 0
    answer = call(
        "simulate", "--ic", "kepler:e=0.3,m2=0.3", "--periods", 0.5, "--timestep=learned", "--model=runs/first",
        "--output", "run.h5", "--json",
    )  # fmt: skip
    where, warning = without_compiling(answer.err)
    assert (answer.code, where) == (0, "trajectory in run.h5")
    assert re.search(r"\d+ % of the states have a feature outside the range of the training", warning)
    summary = json.loads(answer.out)
    recording = Recording.load("run.h5")
    assert recording.summary.as_dict() == summary
    assert len(recording.time) == summary["steps"] + 1
    assert recording.time[-1] == pytest.approx(recording.period / 2, rel=1e-12)
    energy = 0.5 * np.einsum("n,snd,snd->s", recording.mass, recording.velocity, recording.velocity)
    energy -= 0.3 / np.linalg.norm(recording.position[:, 0] - recording.position[:, 1], axis=-1)
    assert np.abs(energy / energy[0] - 1).max() == pytest.approx(summary["energy_error_max"], rel=1e-6)


def test_json_is_exactly_one_object_on_standard_output(call):
    answer = call("simulate", "--ic", "figure-eight", *FIXED, "--json")
    assert answer.code == 0
    assert answer.out.count("\n") == 1
    summary = json.loads(answer.out)
    assert list(summary) == [*SUMMARY_KEYS, *PROMISE_KEYS]
    assert [key for key in PROMISE_KEYS if summary[key] is not None] == ["energy_error_max_time"]
    assert (summary["steps"], summary["force_evaluations"], summary["outcome"]) == (20, 21, "finished")
    assert summary["time"] == pytest.approx(0.2)
    assert summary["energy_initial"] == pytest.approx(-1.287141995633, rel=1e-9)


def test_a_number_that_is_not_finite_is_null_in_json(capsys):
    numbers = dict.fromkeys(SUMMARY_KEYS, float("nan")) | {"steps": 1, "energy_final": float("-inf"), "outcome": "x"}
    print_json(Summary(**numbers).as_dict())  # type: ignore[arg-type]
    answer = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert (answer["steps"], answer["time"], answer["energy_final"]) == (1, None, None)


def test_without_json_the_same_numbers_are_a_table(call):
    answer = call("simulate", "--ic", "figure-eight", *FIXED)
    assert answer.code == 0
    title, *rows = answer.out.splitlines()
    assert title == "figure-eight: 3 bodies, leapfrog of order 2, fixed steps (dt = 0.01)"
    assert [row.strip().split("  ")[0].replace(" ", "_") for row in rows] == [
        *SUMMARY_KEYS, "energy_error_max_time"
    ]  # fmt: skip
    assert rows[0].split() == ["steps", "20"]


def test_verdicts_stand_first_and_errors_of_positions_are_called_local(call):
    _, *rows = call("simulate", "--ic", "kepler", "--periods", 1, "--tolerance", 1e-6).out.splitlines()
    names = [row.strip().split("  ")[0] for row in rows]
    assert names[:3] == ["energy verdict", "local position verdict", "steps"]
    assert {"local position error asked", "local position error max"} <= set(names)
    assert not any(name.startswith("position error max") for name in names)


def test_what_was_not_kept_is_coloured_in_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.delenv("NO_COLOR", raising=False)
    print_table("a run", [("energy verdict", "exceeded"), ("steps", "7")])
    assert "\x1b[1;31mexceeded" in capsys.readouterr().out
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("FORCE_COLOR")
    print_table("a run", [("energy verdict", "exceeded")])
    assert "\x1b[1;31m" not in capsys.readouterr().out


def test_settings_may_all_stand_in_the_file_and_flags_go_over_them(call):
    Path("c.toml").write_text(
        'ic = "figure-eight"\nepochs = 3\n[simulate]\ntimestep = "fixed"\ndt = 0.1\nsteps = 3\n[train]\nlr = 1.0\n'
    )
    answer = call("simulate", "--config", "c.toml", "--dt", "0.2", "--json")
    assert json.loads(answer.out)["time"] == pytest.approx(0.6)


def test_a_run_that_cannot_go_on_is_3_and_keeps_what_was_reached(call):
    Path("fall.csv").write_text("1,0,0,0,0\n1,1,0,0,0\n")
    words = ["--ic", "fall.csv", "--duration", 60, "--timestep", "free-fall", "--eta", 0.02, "--output", "fall.h5"]
    answer = call("simulate", *words, "--json")
    assert answer.code == 3
    summary = json.loads(answer.out)
    where, error = answer.err.splitlines()
    assert where == "trajectory in fall.h5"
    assert error == f"aitimestepper: error: {summary['outcome']}"
    assert "the run stopped at t = 0.785" in error
    assert Recording.load("fall.h5").summary.as_dict() == summary


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--ic", "kepler", "--steps", "3"], "a simulation needs a tolerance"),
        (["--ic", "kepler", "--timestep", "fixed", "--steps", "3"], "timestep = fixed needs dt"),
        (["--ic", "kepler", "--timestep", "fixed", "--dt", "0.1"], "exactly one of duration, periods, steps"),
        (["--ic", "kepler", *FIXED, "--duration", "3"], "exactly one of duration, periods, steps"),
        (["--ic", "kepler", *FIXED, "--eta", "0.1"], "eta = 0.1 does nothing with timestep = fixed"),
        (FIXED, "a simulation needs initial conditions"),
        (["--ic", "kepler", "--timestep", "fixd"], "none of fixed, free-fall"),
        (["--ic", "kepler", "--timestep", "learned", "--model", "none", "--steps", "3"], "needs tolerance"),
        (["--ic", "kepler", "--timestep", "learned", "--model", "nowhere", "--steps", "3"], "no model file at nowhere"),
        (["--ic", "kepler", *FIXED, "--output", "missing/run.h5"], "cannot write missing/run.h5"),
        (["--ic", "kepler", *FIXED, "--learning-rate", "1"], "unknown flag --learning-rate"),
        (["--ic", "kepler", *FIXED, "--epochs", "1"], "--epochs is a flag of 'train', 'sweep' and 'both'"),
        (["--ic", "random:n=3", "--timestep=fixed", "--dt=1", "--periods=2"], "needs a system with an orbital period"),
        (["--ic", "kepler", *FIXED, "--external-field-mass", "1"], "must be set together"),
    ],
)
def test_bad_input_gives_one_line(call, words, fragment):
    call("simulate", *words).refuses(fragment)


def test_a_checkpoint_that_does_not_fit_gives_one_line(call):
    from safetensors.numpy import save_file

    Path("other.safetensors").write_bytes(b"#!/bin/sh\n")
    learned = ["--ic", "kepler", "--steps", 3, "--timestep", "learned", "--model"]
    call("simulate", *learned, "other.safetensors").refuses("other.safetensors is damaged or no safetensors file")
    save_file({"w": np.zeros(3)}, "other.safetensors")
    call("simulate", *learned, "other.safetensors").refuses("not a model of this package")


def test_an_existing_trajectory_is_kept_unless_told_otherwise(call):
    assert call("simulate", "--ic", "kepler", *FIXED, "--output", "run.h5").code == 0
    before = Path("run.h5").read_bytes()
    call("simulate", "--ic", "halley", *FIXED, "--output", "run.h5").refuses("run.h5 exists already", "--overwrite")
    assert Path("run.h5").read_bytes() == before
    assert call("simulate", "--ic", "halley", *FIXED, "--output", "run.h5", "--overwrite").code == 0


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="no /proc here")
@pytest.mark.parametrize("path", ["/proc/run.h5", "file/run.h5"])
def test_a_path_that_cannot_be_written_to_gives_one_line(call, path):
    Path("file").touch()
    call("simulate", "--ic", "kepler", *FIXED, "--output", path).refuses(f"cannot write {path}")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_keep_the_trajectory_up_to_there(start, number):
    words = ["--ic", "plummer:n=16", "--duration", "1e6", "--timestep", "free-fall", "--eta", "0.01", "--every", "20"]
    start("simulate", *words[:2], "--duration", "0.01", *words[4:]).communicate()  # compiles, where nothing has yet
    process = start("simulate", *words, "--output", "run.h5")
    deadline = time.monotonic() + 60
    while not Path("run.h5").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    size = Path("run.h5").stat().st_size
    while Path("run.h5").stat().st_size == size and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + number, "")
    # A machine that needs more than ten seconds shows the progress, too.
    assert [line for line in without_compiling(err) if not line.startswith("simulated")] == [
        "trajectory in run.h5",
        "go on with:     aitimestepper simulate --resume run.h5",
        "aitimestepper: error: interrupted",
    ]
    recording = Recording.load("run.h5")
    assert recording.summary.outcome.startswith("interrupted at t = ")
    assert recording.time[-1] == recording.summary.time > 0


def test_both_trains_on_a_system_and_simulates_it_with_that_model(call):
    answer = call("both", *TINY, "--ic", "kepler:e=0.5", "--softening", "0.01", "--steps", 5, "--json")
    assert answer.code == 0
    assert json.loads(answer.out)["steps"] == 5
    assert "trained 2 epochs" in answer.err
    assert "simulate with" not in answer.err
    assert (read_model("runs/run").config.ic, read_model("runs/run").config.softening) == ("kepler:e=0.5", 0.01)


def test_both_takes_a_table_of_the_file_for_each(call):
    Path("c.toml").write_text(
        "softening = 0.01\n[train]\ne_min = 0.2\nnum_orbits = 2\n"
        '[simulate]\nic = "kepler:e=0.5"\nsteps = 3\noutput = "run.h5"\ntimestep = "learned"\n'
    )
    assert call("both", "--config", "c.toml", *TINY).code == 0
    recording = Recording.load("run.h5")
    assert (recording.softening, recording.summary.steps) == (0.01, 3)
    assert read_model("runs/run").config.ic is None
    assert read_model("runs/run").config.num_orbits == 2


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--steps", 3], "both needs a system to simulate: set ic"),
        (["--ic", "kepler"], "exactly one of duration, periods, steps"),
        (["--ic", "kepler", "--steps", 3, "--timestep", "fixed"], "timestep = fixed is not for `both`"),
        (["--ic", "kepler", "--steps", 3, "--dt", "0.1"], "--dt is a flag of 'simulate' and 'ensemble', not of 'both'"),
        (["--ic", "kepler", "--steps", 3, "--output", "c.toml"], "c.toml exists already"),
        (["--config", "c.toml", "--ic", "kepler", "--steps", 3], "dt = 0.1 is not for `both`"),
        (["--ic", "random:n=3", "--periods", 3], "needs a system with an orbital period"),
        (
            ["--ic", "kepler", "--steps", 3, "--resume", "runs/a"],
            "--resume is a flag of 'train', 'simulate' and 'ensemble', not of 'both'",
        ),
    ],
)
def test_both_refuses_before_it_trains(call, words, fragment):
    Path("c.toml").write_text("[simulate]\ndt = 0.1\n")
    call("both", *words).refuses(fragment)
    assert not Path("runs").exists()


_PLUGIN = """
import numpy as np
from aitimestepper import register_criterion

def crossing(mass, position, velocity, acceleration, softening, G):
    return 1.0 / max(np.abs(velocity).max(), 0.1)

register_criterion("crossing", crossing)
"""


def test_a_plugin_brings_a_criterion(call):
    Path("mine.py").write_text(_PLUGIN)
    words = ["--ic", "figure-eight", "--steps", 9, "--timestep", "crossing", "--eta", 0.01, "--json"]
    answer = call("simulate", "--plugin", "mine.py", *words)
    assert answer.code == 0
    assert json.loads(answer.out)["steps"] == 9


def test_a_plugin_that_fails_or_is_missing_gives_one_line(call):
    Path("broken.py").write_text("1 / 0")
    words = ["--ic", "figure-eight", "--steps", 9, "--timestep", "free-fall", "--eta", 0.01]
    call("simulate", "--plugin", "broken.py", *words).refuses("the plugin broken.py failed: ZeroDivisionError")
    call("simulate", "--plugin", "nowhere.py", *words).refuses("there is no such file")


def test_steps_above_the_threshold_of_own_weights_are_in_the_exit_code(call):
    model = untrained(Path("own.safetensors"), feature_type="invariant", energy_threshold=1e-6)
    words = ["--ic", "kepler:e=0.9", "--periods", 1, "--timestep", "learned", "--model", model]
    assert call("simulate", *words).code == 0
    answer = call("simulate", *words, "--guard", "off")
    assert answer.code == 4
    assert re.search(r"outcome +finished; \d+ of \d+ steps had an energy error above the 1e-06 of one step", answer.out)
    assert re.search(r"step verdict +exceeded", answer.out)


CONFIRMED = ["--ic", "figure-eight", "--periods", 3, "--tolerance", 1e-5, "--confirm"]


def test_a_second_run_is_compared_in_json_in_words_and_on_file(call):
    answer = call("simulate", *CONFIRMED, "--json", "--output", "run.h5")
    assert (answer.code, answer.err) == (0, "trajectory in run.h5\n")
    summary = json.loads(answer.out)
    assert Recording.load("run.h5").summary.as_dict() == summary
    assert (summary["confirm_tolerance"], summary["confirm_outcome"]) == (1e-6, "confirmed")
    assert summary["confirm_force_evaluations"] > summary["force_evaluations"]
    answer = call("simulate", *CONFIRMED)
    part = f"{summary['confirm_position_difference_relative']:.2g} of the distance to the nearest neighbour"
    assert answer.out.splitlines()[-1] == f"positions differ by up to {part} from a run at tolerance 1e-06"
    assert re.search(rf"confirm force evaluations +{summary['confirm_force_evaluations']} ", answer.out)
    plain = json.loads(call("simulate", *CONFIRMED[:-1], "--json").out)
    assert plain["force_evaluations"] == summary["force_evaluations"]
    assert {plain[key] for key in PROMISE_KEYS if key.startswith("confirm")} == {None}


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--ic", "kepler", "--confirm", *FIXED], "confirm needs a tolerance of the whole run"),
        ([*CONFIRMED, "--tolerance-kind", "step"], "confirm needs a tolerance of the whole run"),
        ([*CONFIRMED, "--tolerance", "1e-12"], "confirm needs a tolerance above 1e-12"),
        (["--resume", "run.h5", "--confirm"], "--confirm cannot stand beside --resume"),
    ],
)
def test_what_cannot_be_confirmed_is_refused(call, words, fragment):
    call("simulate", *words).refuses(fragment)


def test_a_run_that_fails_is_not_confirmed(call):
    Path("fall.csv").write_text("1,0,0,0,0\n1,1,0,0,0\n")
    words = ["--ic", "fall.csv", "--duration", 60, "--tolerance", 1e-4, "--integrator", "leapfrog", "--confirm"]
    answer = call("simulate", *words)
    assert answer.code == 3
    assert re.search(r"confirm outcome +not confirmed: the run did not come to its end", answer.out)
    assert "positions differ" not in answer.out


def test_a_run_that_is_interrupted_is_not_confirmed(call, monkeypatch):
    monkeypatch.setattr(Interrupt, "check", _raise_interrupt)
    answer = call("simulate", *CONFIRMED)
    assert (answer.code, answer.out) == (130, "")
    assert answer.err.splitlines()[0].startswith("not confirmed:")


def _raise_interrupt(_: Interrupt) -> None:
    raise KeyboardInterrupt
