"""`aitimestepper ensemble`: what is printed, the exit codes, Ctrl-C."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.builders import untrained

from aitimestepper import Config, EnsembleResult, simulate_ensemble

WORDS = ["--ic", "random:n=3", "--count", 5, "--duration", 1.0, "--timestep", "free-fall", "--eta", 0.02]
FALLING = ["--ic", "fall.csv", "--count", 1, "--duration", 60, "--timestep", "free-fall", "--eta", 0.02]

INTERRUPTING_PLUGIN = """
import os, signal, threading, time

def interrupt():
    while not any(thread.name.startswith("ensemble") for thread in threading.enumerate()):
        time.sleep(0.05)
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGINT)

threading.Thread(target=interrupt, daemon=True).start()
"""


def test_json_is_exactly_one_object_on_standard_output(call):
    answer = call("ensemble", *WORDS, "--json")
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.count("\n") == 1
    summary = json.loads(answer.out)
    result = simulate_ensemble(config=Config(ic="random:n=3", count=5, duration=1.0, timestep="free-fall", eta=0.02))
    assert (summary["count"], summary["finished"], summary["failed"], summary["failures"]) == (5, 5, 0, [])
    assert summary["total_steps"] == result.steps.sum()
    assert summary["total_force_evaluations"] == result.force_evaluations.sum()
    assert list(summary["steps"]) == ["min", "median", "p90", "max"]
    assert summary["energy_error_max"]["max"] == result.energy_error_max.max()
    assert summary["energy_error_final"]["min"] == result.energy_error_final.min()


def test_without_json_there_is_a_table(call):
    answer = call("ensemble", *WORDS, "--output", "e.h5")
    assert (answer.code, answer.err) == (0, "ensemble in e.h5\n")
    title, heads, *rows = answer.out.splitlines()
    assert title.startswith("random:n=3: 5 members, leapfrog of order 2, free-fall steps, ")
    assert heads.split() == ["min", "median", "p90", "max"]
    names = ["steps", "force evaluations", "energy error max", "energy error final"]
    assert [row.strip().split("  ")[0] for row in rows] == names
    assert len(EnsembleResult.load("e.h5")) == 5


def test_a_failed_member_is_3_and_the_rest_is_printed_and_kept(call):
    guarded = ["--guard", 1e-3, "--duration", 50, "--timestep", "fixed", "--dt", 0.01]
    answer = call("ensemble", "--ic", "random:n=2,virial=0", "--count", 7, *guarded, "--output", "e.h5")
    assert answer.code == 3
    lines = answer.out.splitlines()
    assert "7 of 7 members failed:" in lines
    assert sum(line.startswith("  member ") for line in lines) == 5
    assert lines[-1] == "  and 2 more"
    assert answer.err.splitlines()[-1] == "aitimestepper: error: 7 of 7 members failed"
    assert sum(line.startswith("  member 0 (seed 0): the run stopped at t = ") for line in lines) == 1
    assert not EnsembleResult.load("e.h5").finished.any()


def test_failures_are_in_the_json(call):
    Path("fall.csv").write_text("1,0,0,0,0\n1,1,0,0,0\n")
    answer = call("ensemble", *FALLING, "--json")
    assert answer.code == 3
    summary = json.loads(answer.out)
    (failure,) = summary["failures"]
    assert (failure["index"], failure["seed"]) == (0, -1)
    assert failure["outcome"].startswith("the run stopped at t = ")
    assert summary["steps"] == dict.fromkeys(["min", "median", "p90", "max"])


def test_bad_input_is_2(call):
    call("ensemble", "--ic", "kepler", *WORDS[2:]).refuses("draws nothing")
    call("ensemble", *WORDS, "--samples", 3).refuses("--samples is a flag of 'simulate'")
    call("ensemble", *WORDS, "--scheduler", "nonsense").refuses("cannot reach a Dask scheduler")
    Path("e.h5").write_text("precious")
    call("ensemble", *WORDS, "--output", "e.h5").refuses("e.h5 exists already")


@pytest.mark.parametrize("table", ["simulate", "ensemble"])
def test_keys_may_stand_in_a_table_of_the_file(call, table):
    Path("c.toml").write_text(f'ic = "random"\neta = 0.02\nduration = 1.0\n[{table}]\ntimestep = "free-fall"\n')
    answer = call("ensemble", "--config", "c.toml", "--count", 2, "--json")
    assert answer.code == (0 if table == "ensemble" else 2)


def test_ctrl_c_is_130_and_keeps_what_was_done(call):
    Path("interrupt.py").write_text(INTERRUPTING_PLUGIN)
    words = ["--ic", "random:n=3", "--count", 3, "--steps", 10**9, "--timestep", "fixed", "--dt", 1e-9]
    answer = call("ensemble", *words, "--threads", 2, "--plugin", "interrupt.py", "--output", "e.h5")
    assert (answer.code, answer.out) == (130, "")
    assert answer.err.splitlines()[-3:] == [
        "what was done is in e.h5",
        "go on with:     aitimestepper ensemble --resume e.h5",
        "aitimestepper: error: interrupted",
    ]
    result = EnsembleResult.load("e.h5")
    assert [outcome.startswith("interrupted at t = ") for outcome in result.outcome] == [True, True, False]
    assert (result.steps[:2] > 0).all()


def test_members_with_steps_above_the_threshold_have_finished_and_are_in_the_exit_code(call):
    model = untrained(Path("own.safetensors"), feature_type="invariant", energy_threshold=1e-6)
    words = ["--ic", "kepler:e=0.9", "--count", 1, "--periods", 1, "--timestep", "learned", "--model", model]
    assert call("ensemble", *words).code == 0
    answer = call("ensemble", *words, "--guard", "off", "--output", "e.h5")
    assert (answer.code, answer.err.splitlines()[-1]) == (
        4, "1 of 1 members did not keep what was asked, or cannot be known to have kept it"
    )  # fmt: skip
    result = EnsembleResult.load("e.h5")
    assert (result.finished.tolist(), result.failures, result.step_verdict.tolist()) == ([True], [], ["exceeded"])


def test_members_that_do_not_keep_what_was_asked_are_counted_and_in_the_exit_code(call):
    words = ["--ic", "random:n=3,virial=0", "--count", 4, "--duration", 10, "--tolerance", 1e-12]  # below rounding
    answer = call("ensemble", *words, "--output", "e.h5")
    result = EnsembleResult.load("e.h5")
    kept = int((result.energy_verdict == "kept").sum())
    assert (answer.code, kept) == (4, 4 - result.falls_short.sum())
    (line,) = (line for line in answer.out.splitlines() if line.startswith("energy error: "))
    assert line.startswith(f"energy error: {kept} of 4 kept 1e-12; worst ")
    assert answer.err.splitlines()[-1] == (
        f"{4 - kept} of 4 members did not keep what was asked, or cannot be known to have kept it"
    )
    told = json.loads(call("ensemble", *words, "--json").out)
    assert told["falling_short"] == 4 - kept
    assert [promise["name"] for promise in told["promises"]] == ["energy error", "local position error"]
    assert told["promises"][0]["verdict"] == "exceeded"
