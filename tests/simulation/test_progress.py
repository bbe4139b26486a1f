"""A bar where somebody looks, and what a run has reached when Ctrl-C comes."""

import sys

import numpy as np
import pytest

from aitimestepper import Interrupted, Recording, simulate
from aitimestepper.simulation import progress


def test_nothing_is_shown_to_nobody(capsys):
    simulate("figure-eight", periods=1, tolerance=1e-6)
    assert capsys.readouterr() == ("", "")


def test_a_bar_in_a_terminal_that_goes_away(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(progress, "_SECONDS_UNSEEN", -1.0)
    simulate("figure-eight", periods=1, tolerance=1e-6)
    assert "simulating" in capsys.readouterr().err
    simulate("figure-eight", periods=1, tolerance=1e-6, progress=False)
    assert capsys.readouterr().err == ""


def test_what_takes_no_time_shows_no_bar(capsys):
    simulate("figure-eight", periods=1, tolerance=1e-6, progress=True)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("output", [None, "run.h5"])
def test_an_interrupted_run_keeps_what_it_reached(tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)

    def stop(fraction: float) -> None:
        if fraction > 0.2:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match=r"interrupted at t = \d") as caught:
        simulate("figure-eight", periods=3000, tolerance=1e-6, progress=stop, output=output)
    run = caught.value.recording
    assert run.time[-1] == caught.value.time == run.summary.time > 0.0
    assert np.isfinite(run.position).all()
    if output is not None:
        np.testing.assert_array_equal(Recording.load(output).position, run.position)
