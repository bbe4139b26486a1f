"""The look at an installation: a sound one, and several broken ones."""

from __future__ import annotations

import importlib
import importlib.metadata
import json

import pytest

from aitimestepper.cli import installation as doctor
from aitimestepper.cli.installation import CORE, Finding, examine, optional_packages


def finding(what: str) -> Finding:
    return next(each for each in examine() if each.what == what)


@pytest.fixture
def no_run(monkeypatch):
    """Without the trial run, which takes a while."""
    monkeypatch.setattr(doctor, "_run", lambda: Finding("run", "ok", "left out"))


def test_a_sound_installation(call):
    answer = call("doctor", "--json")
    assert (answer.code, answer.err) == (0, "")
    found = {each["what"]: each for each in json.loads(answer.out)}
    assert {"aitimestepper", "Python", *CORE, "threads", "cache", "GPU", "weights", "run"} <= set(found)
    assert not [each for each in found.values() if each["verdict"] == "problem"]
    assert "asked for 1e-06" in found["run"]["text"]
    assert found["numpy"]["text"] == importlib.metadata.version("numpy")


def test_every_extra_of_the_package_is_looked_at():
    extras = optional_packages()
    assert extras["rebound"] == ("rebound",)
    assert "matplotlib" in extras["plot"]
    assert not {"all", "dev", "docs"} & set(extras)
    assert all(name.replace("-", "").isalnum() for names in extras.values() for name in names)


@pytest.mark.usefixtures("no_run")
def test_what_is_missing_is_named_with_the_way_to_get_it(monkeypatch, call):
    def version(name: str) -> str:
        if name == "rebound":
            raise importlib.metadata.PackageNotFoundError
        return "1.0"

    usual = importlib.import_module

    def load(name: str) -> object:
        if name == "h5py":
            raise ImportError("libhdf5.so: no such file")
        return usual(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(importlib, "import_module", load)
    assert finding("[rebound]") == ("[rebound]", "note", "rebound not installed: pip install 'aitimestepper[rebound]'")
    answer = call("doctor")
    assert answer.code == 3
    lines = [line for line in answer.out.splitlines() if line.startswith("PROBLEM")]
    assert len(lines) == 1
    assert "h5py" in lines[0]
    assert "libhdf5.so: no such file; install it again" in lines[0]


@pytest.mark.usefixtures("no_run")
def test_a_cache_that_cannot_be_written_is_a_problem(monkeypatch, tmp_path):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "new"))
    assert finding("cache").verdict == "note"  # empty
    blocked = tmp_path / "file"
    blocked.touch()
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(blocked))
    assert finding("cache").verdict == "problem"
    assert "set NUMBA_CACHE_DIR" in finding("cache").text


@pytest.mark.usefixtures("no_run")
def test_whatever_breaks_the_rest_is_still_looked_at(monkeypatch):
    def broken() -> Finding:
        raise RuntimeError("two\nlines")

    monkeypatch.setattr(doctor, "_weights", broken)
    assert finding("weights") == ("weights", "problem", "RuntimeError: two lines")
    assert finding("run").verdict == "ok"
