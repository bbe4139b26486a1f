"""`plot`, `movie` and `report`: what they take, where they write, what they say."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from tests.views.recordings import circling
from tests.views.test_step_control import controlled

from aitimestepper import EnsembleResult
from aitimestepper.ensembles.result import MemberResult
from aitimestepper.views import encoding

for package in ("matplotlib", "plotly", "imageio_ffmpeg"):
    pytest.importorskip(package)

SMALL = ("--size", 160, 120, "--fps", 5, "--seconds", 0.4)


@pytest.fixture
def run(tmp_path):
    circling(np.linspace(0.0, 6.0, 60)).save(tmp_path / "run.h5")
    return tmp_path / "run.h5"


@pytest.fixture
def training(tmp_path):
    directory = tmp_path / "first"
    directory.mkdir()
    (directory / "metrics.jsonl").write_text(json.dumps({"epoch": 1, "accepted_dt": 0.1}) + "\n")
    return directory


@pytest.fixture
def comparison(tmp_path):
    row = {
        "system": "a",
        "method": "ttl:fixed",
        "budget": 1000,
        "force_evaluations": 1000,
        "met": True,
        "parameter": "h",
        "value": 0.1,
        "steps": 10,
        "rejected_steps": 0,
        "energy_error_max": 1e-5,
        "energy_error_final": 0.0,
        "angular_momentum_error": 0.0,
        "position_error": 1e-3,
        "wall_seconds": 1.0,
        "trials": 3,
        "note": "",
    }
    system = {"system": "a", "n_bodies": 2, "duration": 1.0, "reference": None, "rows": [row]}
    (tmp_path / "work.json").write_text(json.dumps({"systems": [system]}))
    return tmp_path / "work.json"


@pytest.mark.parametrize(
    ("words", "suffix", "first"),
    [
        (("plot",), ".png", b"\x89PNG"),
        (("movie", *SMALL), ".mp4", b"\x00\x00\x00 ftyp"),
        (("report",), ".html", b"<!DOCTYPE html>"),
    ],
)
def test_the_result_lies_beside_the_run_and_its_path_is_printed(call, run, words, suffix, first):
    result = run.with_suffix(suffix)
    assert call(words[0], run, *words[1:]) == (0, f"{result}\n", "")
    assert result.read_bytes().startswith(first)
    call(words[0], run, *words[1:]).refuses(f"{result} exists already", "--overwrite")
    assert call(words[0], run, *words[1:], "--overwrite").code == 0


def test_what_is_no_run_is_drawn_too(call, training, comparison, run):
    assert call("plot", training).out == f"{training / 'plot.png'}\n"
    assert call("plot", comparison, "--title", "Equal cost").out == f"{comparison.with_suffix('.png')}\n"
    (run.parent / "other.h5").write_bytes(run.read_bytes())
    figure = run.parent / "both.svg"
    assert call("plot", run, run.parent / "other.h5", "--output", figure, "--length-label", "pc").code == 0
    assert all(text in figure.read_text() for text in ("run", "other", "x [pc]"))
    assert call("report", training, comparison).out == f"{training / 'report.html'}\n"


def test_the_control_of_steps_is_another_figure_of_a_run(call, run, training, tmp_path):
    controlled().save(tmp_path / "control.h5")
    answer = call("plot", tmp_path / "control.h5", "--step-control", "--time-label", "yr")
    assert answer.out == f"{tmp_path / 'control.png'}\n"
    call("plot", run, "--step-control").refuses("does not say how its steps were controlled", "--step-history")
    for paths in ((run, tmp_path / "control.h5"), (training,)):
        call("plot", *paths, "--step-control").refuses("--step-control shows one recording")
    call("plot", tmp_path / "control.h5", "--step-control", "--length-unit", "pc").refuses("the figure has no orbits")


def test_a_time_unit_converts_and_is_refused_where_there_is_nothing_to_convert(call, run, tmp_path):
    call("plot", run, "--time-unit", "yr").refuses("does not know its unit of time", "--time-label")
    assert not run.with_suffix(".png").exists()
    circling(np.linspace(0.0, 6.0, 60), units="au, yr/2pi, Msun").save(tmp_path / "years.h5")
    assert call("plot", tmp_path / "years.h5", "--time-unit", "yr", "--output", tmp_path / "y.svg").code == 0
    assert "time [yr]" in (tmp_path / "y.svg").read_text()


def test_bodies_and_dimensions_are_chosen(call, tmp_path):
    circling(np.linspace(0.0, 6.0, 60), 3, 3, names=("Sun", "Io", "Eos")).save(tmp_path / "three.h5")
    words = ["plot", tmp_path / "three.h5", "--overwrite", "--output", tmp_path / "f.svg"]
    assert call(*words, "--bodies", "Sun,2", "--dim", 2).code == 0
    text = (tmp_path / "f.svg").read_text()
    assert "Eos" in text
    assert "Io" not in text
    call(*words, "--bodies", "Sun,Moon").refuses("no body is called 'Moon'")
    call("plot", tmp_path / "three.h5", tmp_path / "f.h5", "--dim", 2).refuses("no such file")
    small = ["movie", tmp_path / "three.h5", *SMALL, "--output", tmp_path / "f.gif"]
    assert call(*small, "--bodies", "Io").code == 0


def test_runs_are_named_by_what_was_asked_of_them(call, tmp_path):
    for k, tolerance in enumerate((1e-4, 1e-6)):
        about = {"settings": {"ic": "kepler", "tolerance": tolerance}}
        circling(np.linspace(0.0, 6.0, 60), **about).save(tmp_path / f"{k}.h5")
    assert call("plot", tmp_path / "0.h5", tmp_path / "1.h5", "--output", tmp_path / "both.svg").code == 0
    text = (tmp_path / "both.svg").read_text()
    assert all(name in text for name in ("tolerance 0.0001", "tolerance 1e-06", "start", "end"))


def test_requests_that_cannot_be_carried_out(call, run, training, comparison, tmp_path):
    last = (np.ones(1), np.zeros((1, 2)), np.zeros((1, 2)))
    EnsembleResult.of([MemberResult(0, 0, "no", None, *last)]).save(tmp_path / "many.h5")
    call("plot", tmp_path / "many.h5").refuses("is an ensemble", f"aitimestepper report {tmp_path / 'many.h5'}")
    call("plot", run, training).refuses("several recordings, or one training, or one comparison")
    call("plot", run, run).refuses("a recording is named twice")
    call("plot", comparison, "--time-unit", "yr").refuses("--time-unit can stand beside recordings only")
    call("plot", tmp_path / "nope.h5").refuses("no such file or directory")
    call("plot").refuses("PATH", "see 'aitimestepper plot --help'")
    call("plot", run, "--fps", 3).refuses("unknown flag --fps")
    call("movie", training).refuses("cannot read the steps of a training", "steps.jsonl: No such file")
    call("movie", training, "--dim", 2, "--trail", 1).refuses("--trail, --dim can stand beside a recording only")
    call("movie", comparison).refuses("is no recording of a run, which simulate --output writes")
    call("movie", run, "--dim", 3).refuses("the run has 2 dimensions")
    call("movie", run, "--fps", "fast").refuses("--fps: invalid float value: 'fast'")
    call("movie", run, "--output", "f.avi").refuses("suffix must be one of .mp4, .gif")
    call("report", run, "--output", "f.pdf").refuses("suffix must be .html")
    assert not any(tmp_path.glob("*.png"))


def test_without_ffmpeg_a_movie_is_a_gif(call, run, monkeypatch):
    monkeypatch.setattr(encoding, "_candidates", lambda: iter(()))
    assert call("movie", run, *SMALL).out == f"{run.with_suffix('.gif')}\n"
    call("movie", run, *SMALL, "--output", run.with_suffix(".mp4")).refuses("pip install 'aitimestepper[plot]'")


def test_a_movie_of_too_few_states_says_so(call, tmp_path):
    circling(np.arange(0.0, 60.0, 6.0)).save(tmp_path / "run.h5")
    answer = call("movie", tmp_path / "run.h5", *SMALL)
    assert answer.code == 0
    assert answer.err.startswith("in 100 % of the intervals between recorded states a body turns too far")


@pytest.mark.parametrize(
    ("command", "package"), [("plot", "matplotlib"), ("movie", "matplotlib"), ("report", "plotly")]
)
def test_a_missing_package_is_named_with_its_extra(call, run, monkeypatch, command, package):
    monkeypatch.setitem(sys.modules, package, None)
    call(command, run).refuses(f"need the package {package}", "pip install 'aitimestepper[plot]'")
