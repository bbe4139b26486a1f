"""The benchmark of the promise: it draws what it says, and judges runs by themselves and not by their verdicts."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.systems.orbits import Elements, relative_state

PROMISE = Path(__file__).parents[2] / "benchmarks" / "promise"


@pytest.fixture
def parts(monkeypatch):
    monkeypatch.syspath_prepend(str(PROMISE))
    import drawn
    import tables
    import truth

    return drawn, truth, tables


def test_a_system_depends_on_its_number_alone(parts):
    drawn, _, _ = parts
    for name in drawn.BUILDERS:
        first, again, other = (drawn.draw(name, 1, k) for k in (3, 3, 4))
        assert np.array_equal(first.system.position, again.system.position)
        assert first.system.position.shape != other.system.position.shape or not np.array_equal(
            first.system.position, other.system.position
        )


def test_moons_are_on_the_orbits_that_they_are_said_to_be_on(parts):
    drawn, truth, _ = parts
    for number in range(12):
        moon = drawn.draw("moons", 1, number)
        mass, x, v = moon.system.mass, moon.system.position, moon.system.velocity
        assert truth.semi_major_axis(mass[1], x[2] - x[1], v[2] - v[1]) == pytest.approx(moon.axis, rel=1e-9)
        hill = (mass[1] / 3.0) ** (1.0 / 3.0)
        assert 0.09 < moon.axis / hill < 0.45
        assert moon.duration == pytest.approx(20.0 * math.pi * math.sqrt(moon.axis**3 / mass[1]))


def test_forty_scattering_systems_are_of_every_kind(parts):
    drawn, _, _ = parts
    kinds = [drawn.draw("scattering", 1, number).kind for number in range(40)]
    assert sorted(map(kinds.count, set(kinds))) == [5, 5, 8, 10, 12]
    assert len({*kinds[:10]}) >= 4


def test_bodies_that_meet_do_so_within_two_of_each_other(parts):
    drawn, _, _ = parts
    for number in range(40):
        found = drawn.draw("scattering", 1, number)
        if found.kind == "binary-single":
            mass, x, v = found.system.mass, found.system.position, found.system.velocity
            binary_x, binary_v = (np.average(vectors[:2], axis=0, weights=mass[:2]) for vectors in (x, v))
            apart, motion = x[2] - binary_x, v[2] - binary_v
            energy = motion @ motion / 2.0 - mass.sum() / np.linalg.norm(apart)
            spin = np.linalg.norm(np.cross(apart, motion))
            assert energy > -1e-12
            assert spin**2 <= 2.0 * 2.0**2 * energy + 2.0 * mass.sum() * 2.0 + 1e-12  # L^2 at a pericentre of 2
            assert apart @ motion < 0


def test_a_changed_energy_is_seen_and_a_rounded_one_is_not(parts):
    _, truth, _ = parts
    system = initial_conditions("kepler:e=0.9999")
    near = relative_state(Elements(0.9999, 1.0, 0.0), float(system.mass.sum()))
    share = np.array([[-system.mass[1]], [system.mass[0]]]) / system.mass.sum()
    # Both bodies far from the origin: at the pericentre, 1e-4 apart, each position is known to 1e-16 x 100.
    offset = 100.0
    position = np.array([system.position + offset, share * near[0][:2] + offset])
    velocity = np.array([system.velocity, share * near[1][:2]])
    scale = 0.5 * system.mass.prod()
    found = truth.energy_errors(system.mass, position, velocity, scale)
    assert found.raw > 1e-12
    assert found.largest < 1e-12
    velocity[1] *= 1.0 + 1e-9
    found = truth.energy_errors(system.mass, position, velocity, scale)
    assert found.largest == found.last == pytest.approx(2e-9 * 1e4 * 2.0 * 0.99995, rel=0.2)


def test_ias15_and_the_circle_agree(parts):
    drawn, truth, _ = parts
    ring = drawn.draw("rings", 1, 0)
    judge = truth.ias15(ring.system, 5.0)
    assert judge.evaluations > 20
    assert np.abs(judge.position - truth.circle(ring.system, 5.0)).max() < 1e-12


def test_verdicts_are_not_believed(parts):
    _, _, tables = parts
    kept = {"tolerance": 1e-3, "energy_verdict": "kept", "position_verdict": "kept", "evaluations": 100}
    lost = kept | {"energy": 5e-3, "energy_last": 1e-4, "axis_error": 0.3, "position": 1.0, "leapfrog": 50}
    right = lost | {"energy": 5e-4, "axis_error": 0.1}
    told = lost | {"position_verdict": "unknown"}
    unended = {"tolerance": 1e-3, "failure": "given up", "leapfrog": 50}
    assert [tables.falsely_kept(run) for run in (lost, right, told, unended)] == [True, False, False, False]
    assert [tables.keeps_energy(run) for run in (lost, right, unended)] == [False, True, False]
    assert tables.excess(lost) == pytest.approx(5.0)
    line = tables.table("moons", [lost, right, told, unended]).splitlines()[2]
    assert line.startswith("| 1e-03 | 4 | 1 | 25.0 % | 100, inf | 2, inf |")
    assert line.endswith("| 1 |")


def test_a_few_runs_fill_a_table(tmp_path):
    output = tmp_path / "few.json"
    words = [sys.executable, str(PROMISE / "promise.py"), "--classes", "deep", "--count", "1", "--jobs", "1"]
    words += ["--tolerances", "1e-3,1e-6", "--output", str(output)]
    answer = subprocess.run(words, capture_output=True, text=True, timeout=300)
    assert answer.returncode == 0, answer.stderr
    assert "| 1e-06 | 1 |" in answer.stdout
    again = subprocess.run([*words, "--render"], capture_output=True, text=True, timeout=300)
    assert again.stdout == answer.stdout


def test_an_estimate_is_compared_where_there_is_an_orbit_left_to_compare(parts):
    _, truth, tables = parts
    runs = [
        {"kind": "pair", "position": 1e-3, "position_error_run": 2e-3},
        {"kind": "pair", "position": 1e-3, "position_error_run": 2e-2},
        {"kind": "moon", "position": 3.0, "position_error_run": 70.0},
    ]
    assert [tables.estimate(run) for run in runs] == pytest.approx([2.0, 20.0, 1.0])
    assert tables._estimates_by_kind(runs) == "moon 100, pair 50"
    mass, right = np.array([1.0, 1e-4, 0.0]), np.array([[0.0, 0.0], [1.0, 0.0], [1.1, 0.0]])
    moved = right + np.array([[0.0, 0.0], [0.0, 0.01], [0.0, 0.02]])
    assert truth.over_nearest(mass, moved, right) == pytest.approx(
        0.02 / 1.1
    )  # the star pulls harder than the planet here
    mass[1] = 0.01
    assert truth.over_nearest(mass, moved, right) == pytest.approx(0.2)


def test_regular_systems_are_of_four_kinds_and_bound(parts):
    drawn, truth, _ = parts
    for number in range(16):
        found = drawn.draw("regular", 1, number)
        assert found.kind == ("pair", "planets", "triple", "moon")[number % 4]
        error = truth.energy(found.system.mass, found.system.position, found.system.velocity)[0]
        assert float(error) < 0.0
