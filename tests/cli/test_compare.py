"""`aitimestepper compare`: table, JSON, files, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

ORBIT = ["compare", "--ic", "kepler:e=0.5,m2=0.3", "--periods", 2]
SMALL = [*ORBIT, "--methods", "leapfrog:free-fall", "ttl:fixed", "--evaluations", 300, 600]
ROW_KEYS = [
    "system", "method", "budget", "force_evaluations", "met", "parameter", "value", "steps", "rejected_steps",
    "energy_error_max", "energy_error_final", "angular_momentum_error", "position_error", "wall_seconds", "trials",
    "note",
]  # fmt: skip


def test_json_is_one_object_with_every_number_of_every_row(call):
    answer = call(*SMALL, "--json")
    assert answer.code == 0
    assert answer.out.count("\n") == 1
    (system,) = json.loads(answer.out)["systems"]
    assert list(system) == ["system", "n_bodies", "duration", "reference", "rows"]
    assert list(system["reference"]) == [
        "method", "force_evaluations", "energy_error_max", "doubled_step_distance", "ias15_distance", "note",
        "uncertainty",
    ]  # fmt: skip
    assert [(row["method"], row["budget"]) for row in system["rows"]] == [
        ("leapfrog:free-fall", 300), ("leapfrog:free-fall", 600), ("ttl:fixed", 300), ("ttl:fixed", 600),
    ]  # fmt: skip
    for row in system["rows"]:
        assert list(row) == ROW_KEYS
        assert row["met"]


def test_the_table_names_methods_numbers_and_the_reference(call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    answer = call(*SMALL)
    assert answer.code == 0
    title, header, *lines = answer.out.splitlines()
    assert title.startswith("kepler:e=0.5,m2=0.3: 2 bodies, duration ")
    assert header.split() == [
        "method",
        "parameter",
        "evaluations",
        "max",
        "|dE/E|",
        "final",
        "dL/L",
        "position",
        "seconds",
    ]
    assert [line.split()[0] for line in lines[:4]] == ["leapfrog:free-fall", "ttl:fixed"] * 2
    assert "…" not in answer.out
    assert lines[4].startswith("reference: ttl8:fixed")
    assert "mean nothing" in lines[4]


def test_what_could_not_be_met_is_a_remark_below_the_table(call):
    pytest.importorskip("rebound")
    answer = call(*ORBIT, "--methods", "rebound:ias15", "--evaluations", 150)
    assert answer.code == 0
    assert "rebound:ias15 [1]" in answer.out
    assert "\n[1] cannot be met: the cheapest of" in answer.out


def test_the_files_are_written_and_not_overwritten_unasked(call):
    pytest.importorskip("matplotlib")
    files = ["--output", "c.json", "--figure", "c.svg"]
    answer = call(*SMALL, *files)
    assert (answer.code, answer.err) == (0, "comparison in c.json\nfigure in c.svg\n")
    assert len(json.loads(Path("c.json").read_text())["systems"][0]["rows"]) == 4
    assert "ttl:fixed" in Path("c.svg").read_text()
    call(*SMALL, *files).refuses("c.svg exists already")
    call(*SMALL, *files[:2]).refuses("c.json exists already")
    assert call(*SMALL, *files, "--overwrite").code == 0


def test_settings_may_stand_in_a_file_and_systems_have_commas(call):
    Path("c.toml").write_text(
        '[compare]\nsystems = ["kepler:e=0.2,m2=0.5", "figure-eight"]\nmethods = ["ttl:fixed"]\nevaluations = [300]\n'
    )
    answer = call("compare", "--config", "c.toml", "--duration", 1, "--json")
    assert [s["system"] for s in json.loads(answer.out)["systems"]] == ["kepler:e=0.2,m2=0.5", "figure-eight"]
    words = ["--systems", "kepler:e=0.2,m2=0.5", "figure-eight", "--methods", "ttl:fixed", "--evaluations", "3e2,600"]
    answer = call("compare", *words, "--duration", 1, "--json")
    assert [s["system"] for s in json.loads(answer.out)["systems"]] == ["kepler:e=0.2,m2=0.5", "figure-eight"]


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        (["--methods", "leapfrog:freefall"], "did you mean leapfrog:free-fall"),
        (["--methods", "leapfrog:fixed/plain"], "method 'leapfrog:fixed/plain': reversible = False does nothing"),
        (["--output", "c.h5"], "suffix .json"),
        (["--figure", "c.gif"], "suffix must be one of"),
        (["--output", "nowhere/c.json"], "there is no directory nowhere"),
        (["--evaluations", "7"], "evaluations must be numbers >= 100"),
        (["--timestep", "fixed"], "--timestep is a flag of 'simulate'"),
        (["--metods", "ttl:fixed"], "did you mean --methods"),
    ],
)
def test_bad_requests_are_one_line(call, words, fragment):
    call(*ORBIT, *words).refuses(fragment)


def test_a_plugin_brings_its_criterion(call):
    Path("p.py").write_text(
        "from aitimestepper import register_criterion\n"
        "register_criterion('by-plugin', lambda m, x, v, a, softening, G: 0.2)\n"
    )
    answer = call(*ORBIT, "--plugin", "p.py", "--methods", "leapfrog:by-plugin", "--evaluations", 300, "--json")
    assert json.loads(answer.out)["systems"][0]["rows"][0]["met"]


def test_a_learned_step_is_tuned_through_its_tolerance(call):
    tiny = ["--hidden-dims", 8, "--epochs", 2, "--output-scale", "physical", "--no-tensorboard", "--replay-steps", 4]
    assert call("train", *tiny, "--num-orbits", 3, "--save-name", "first").code == 0
    methods = ["leapfrog:learned=runs/first", "leapfrog:learned=runs/first/reversible"]
    answer = call(*ORBIT, "--methods", *methods, "--evaluations", 800, "--json")
    for row in json.loads(answer.out)["systems"][0]["rows"]:
        assert row["met"]
        assert row["parameter"] == "tolerance"


def test_the_help_shows_examples(call):
    answer = call("compare", "--help")
    assert answer.code == 0
    assert "rebound:ias15" in answer.out
    assert "aitimestepper compare --systems" in answer.out


def test_in_a_narrow_window_a_row_is_a_line(call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, header, *lines = call(*SMALL).out.splitlines()
    assert header.split() == ["method", "parameter", "evals", "|dE/E|", "position", "s"]
    assert all(len(line) <= 80 for line in (header, *lines[:4]))
    assert [line.split()[0] for line in lines[:4]] == ["leapfrog:free-fall", "ttl:fixed"] * 2
