"""`aitimestepper ic`: bodies on standard output or in a file, what is known of them on standard error."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aitimestepper.recordings.recording import Recording
from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.systems.sources import SOURCES


def rows(text: str) -> np.ndarray:
    return np.array([[float(cell) for cell in line.split(",")] for line in text.splitlines()[1:]])


def test_what_is_printed_is_the_system_to_the_last_bit(call):
    answer = call("ic", "kepler:e=0.9,m2=0.3")
    system = initial_conditions("kepler:e=0.9,m2=0.3")
    assert answer.code == 0
    assert np.array_equal(rows(answer.out), np.column_stack([system.mass, system.position, system.velocity]))
    assert "period 5.51071" in answer.err


@pytest.mark.parametrize(
    ("flags", "spec"),
    [
        (["kepler", "--e", "0.9", "--m2=0.3"], "kepler:e=0.9,m2=0.3"),
        (["kepler:e=0.9", "--m2", "0.3", "--argp", "-90"], "kepler:e=0.9,m2=0.3,argp=-90"),
        (["--e_in", "0.1", "hierarchical-triple", "--M-out", "0"], "hierarchical-triple:e_in=0.1,M_out=0"),
        (["plummer", "--n", "5", "--seed", "3"], "plummer:n=5,seed=3"),
    ],
)
def test_options_are_flags_too(call, flags, spec):
    assert call("ic", *flags).out == call("ic", spec).out


def test_gravity_scales_the_velocities(call):
    unit, scaled = (rows(call("ic", "kepler", "--G", G).out) for G in (1, 4))
    assert np.allclose(scaled[:, 3:], 2 * unit[:, 3:], rtol=1e-15)


@pytest.mark.parametrize("suffix", [".csv", ".txt", ".npy", ".h5"])
def test_a_file_holds_the_system_and_is_not_overwritten(call, suffix):
    answer = call("ic", "figure-eight", "--output", f"eight{suffix}")
    assert (answer.code, answer.out) == (0, "")
    assert f"wrote eight{suffix}" in answer.err
    assert np.array_equal(initial_conditions(f"eight{suffix}").velocity, initial_conditions("figure-eight").velocity)
    call("ic", "kepler", "--output", f"eight{suffix}").refuses(f"eight{suffix} exists already", "--overwrite")
    assert len(initial_conditions(f"eight{suffix}").mass) == 3
    assert call("ic", "kepler", "--output", f"eight{suffix}", "--overwrite").code == 0
    assert len(initial_conditions(f"eight{suffix}").mass) == 2


def test_a_file_is_converted(call):
    call("ic", "pythagorean", "--output", "bodies.h5")
    assert call("ic", "bodies.h5").out == call("ic", "pythagorean").out


@pytest.mark.parametrize("words", [["--list"], ["--help"]])
def test_every_named_system_is_listed(call, words):
    answer = call("ic", *words)
    assert (answer.code, answer.err) == (0, "")
    assert set(SOURCES) <= set(answer.out.split())
    assert "e=0.6" in answer.out


@pytest.mark.parametrize(
    ("words", "fragment"),
    [
        ([], "'aitimestepper ic --list' lists the names"),
        (["keplr"], "did you mean kepler?"),
        (["kepler:ecc=0.5"], "unknown option 'ecc'"),
        (["kepler", "--e", "1.5"], "e = 1.5 is not allowed: it must be >= 0 and < 1"),
        (["figure-eight", "--e", "0.5"], "figure-eight: unknown option 'e'"),
        (["bodies.csv", "--e", "0.5"], "e=0.5 is an option of systems that have a name"),
        (["kepler", "--lr", "1"], "--lr is a flag of 'train', 'sweep' and 'both', not of 'ic'"),
        (["kepler", "halley"], "unexpected argument 'halley'"),
        (["kepler", "--softening", "-1"], "softening = -1 is not allowed"),
        (["kepler", "--output", "kepler.doc"], "its suffix must be one of"),
        (["kepler", "--output", "missing/kepler.csv"], "missing/kepler.csv"),
        (["none.csv"], "cannot read the initial conditions none.csv: No such file or directory"),
    ],
)
def test_a_mistake_is_explained_in_one_line(call, words, fragment):
    call("ic", *words).refuses(fragment)


def test_a_place_below_a_file_cannot_be_written_to(call):
    Path("file").touch()
    call("ic", "kepler", "--output", "file/kepler.csv").refuses("cannot write file/kepler.csv")


def test_names_of_a_table_go_all_the_way(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dat.10").write_text("Sun 1.0D+00 0 0 0 0\nEarth 3.0D-06 1 0 0 1.0\n")
    shown = call("ic", "dat.10")
    assert "no header: columns read as name, m, x, y, vx, vy" in shown.err
    assert "Sun, Earth" in shown.err
    assert [line.split(",")[0] for line in shown.out.splitlines()] == ["name", "Sun", "Earth"]
    (tmp_path / "again.csv").write_text(shown.out)
    assert call("simulate", "--ic", "again.csv", "--duration", 1, "--tolerance", 1e-4, "--output", "run.h5").code == 0
    assert Recording.load("run.h5").names == ("Sun", "Earth")
    assert call("ic", "run.h5").out.splitlines()[1].startswith("Sun,")


def test_not_all_names_of_a_cluster_are_shown(call, tmp_path):
    rows = "".join(f"{body} 1 {body} 0 0 0 0 0\n" for body in range(100))
    (tmp_path / "cluster").write_text(rows)
    assert call("ic", tmp_path / "cluster").err.strip().endswith("18, 19, ...")
