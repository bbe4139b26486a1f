"""Runs that end where a body leaves, or where two bodies come close: at that time, and nowhere else."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from tests.engine.run.builders import constant_model
from tests.simulation.test_resume import assert_same
from tests.simulation.test_whole_summaries import KINDS, config_of

from aitimestepper import Config, InitialConditions, InputError, Recording, resume, simulate, simulate_ensemble
from aitimestepper.cli.main import main
from aitimestepper.recordings.parts import Frames, has_finished


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    """Files lie there."""
    monkeypatch.chdir(tmp_path)


def nearest(position: np.ndarray) -> np.ndarray:
    """Distances (S,) of the two nearest bodies in states (S, N, D)."""
    i, j = np.triu_indices(position.shape[1], 1)
    return np.linalg.norm(position[:, i] - position[:, j], axis=-1).min(-1)


def at_apocentre(e: float) -> InitialConditions:
    """Two bodies with a = 1 and a period of 2 pi."""
    x, v = 0.5 * (1.0 + e), 0.5 * math.sqrt((1.0 - e) / (1.0 + e))
    return InitialConditions([0.5, 0.5], [[x, 0], [-x, 0]], [[0, v], [0, -v]], names=("left", "right"))


@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize("approach", [1.5, 0.5, 0.11])
def test_two_bodies_meet_at_the_time_of_keplers_equation(approach, direction):
    e = 0.9
    anomaly = 2.0 * math.pi - math.acos((1.0 - approach) / e)
    expected = anomaly - e * math.sin(anomaly) - math.pi
    run = simulate(at_apocentre(e), duration=direction * 100.0, tolerance=1e-10, stop_approach=approach)
    assert run.time[-1] == pytest.approx(direction * expected, rel=1e-7)
    assert nearest(run.position[-1:]) == pytest.approx(approach, rel=1e-13)
    assert run.summary.time == run.time[-1]
    assert run.summary.outcome == (
        f"stopped by a close encounter at t = {run.time[-1]:.9g} after {run.summary.steps} steps: "
        f"bodies left and right are {approach:g} apart"
    )
    assert has_finished(run.summary.outcome)
    assert not run.summary.falls_short


def test_what_does_not_come_close_enough_goes_on():
    keys = {"duration": 20.0, "tolerance": 1e-8}
    run, other = (simulate(at_apocentre(0.9), **keys, **more) for more in ({"stop_approach": 0.0999}, {}))
    assert_same(run, other, but=("wall_seconds", "force_evaluations"))


def passing(offset: float, impact: float = 0.01) -> InitialConditions:
    """A light body that passes another one in a straight line, nearly: nearest at t = 2 + offset."""
    return InitialConditions(
        [1e-9, 1e-9], [[-2.0 - offset, impact, 0.0], [0.0, 0.0, 0.0]], [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]
    )


@pytest.mark.parametrize("integrator", ["leapfrog", "ttl"])
@pytest.mark.parametrize("offset", [0.0, 0.07, 0.1, 0.15, 0.21])
def test_an_encounter_between_two_steps_is_not_missed(offset, integrator):
    system = passing(offset)
    keys = {"duration": 4.0, "timestep": "fixed", "integrator": integrator, "every": 1}
    step = {"dt": 0.3} if integrator == "leapfrog" else {"h": 1e-9}
    whole = simulate(system, **keys, **step)
    if integrator == "leapfrog" and offset != 0.1:
        assert nearest(whole.position).min() > 0.02
    run = simulate(system, **keys, **step, stop_approach=0.02)
    assert run.time[-1] == pytest.approx(2.0 + offset - math.sqrt(0.02**2 - 0.01**2), abs=1e-6)
    assert nearest(run.position[-1:]) == pytest.approx(0.02, rel=1e-9)
    assert simulate(system, **keys, **step, stop_approach=0.00999).summary.outcome == "finished"


@pytest.mark.parametrize("kept", [{"every": 50}, {"every": None, "samples": 40}, {"every": None}])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_is_the_same_up_to_there_and_can_be_taken_up(kind, kept):
    asked = config_of(kind, duration=3.0, **kept)
    whole = simulate(config=asked)
    run = simulate(config=asked.replace(output="run.h5", stop_approach=0.5))
    end = run.time[-1]
    assert 1.0 < end < 2.0
    assert nearest(run.position[-1:]) == pytest.approx(0.5, rel=1e-12)
    assert (nearest(run.position[:-1]) > 0.5).all()
    before, made = len(run.time) - 1, len(run.step_history.time)
    if kind != "calibrated, leapfrog":  # which goes back to before the event from what comes behind it
        for name in Frames._fields:
            mine, theirs = getattr(run, name), getattr(whole, name)
            np.testing.assert_array_equal(mine[:before], theirs[:before], err_msg=name)
        assert whole.time[before] >= end
        np.testing.assert_array_equal(run.step_history.time, whole.step_history.time[:made])
    assert run.summary.steps == made + 1
    assert run.error_max.max() == run.summary.energy_error_max
    assert_same(Recording.load("run.h5"), run)
    assert_same(resume("run.h5"), run)
    assert_same(resume("run.h5", duration=4.0), run)


def test_of_a_run_that_goes_back_to_anchors(tmp_path):
    keys = {
        "ic": "hierarchical-triple:e_in=0.6", "tolerance": 1e-5, "order": 4, "duration": 3000.0, "every": 70,
        "model": constant_model(tmp_path, 20.0), "step_history": True,
    }  # fmt: skip
    whole = simulate(config=Config(**keys))
    assert whole.summary.rejected_steps > 0
    least = nearest(whole.position)
    row = len(least) // 2 + int(np.argmin(least[len(least) // 2 :]))
    run = simulate(config=Config(**keys, output="run.h5", stop_approach=float(np.nextafter(least[:row].min(), 0.0))))
    assert run.summary.rejected_steps > 0
    assert run.time[-1] <= whole.time[row]
    assert run.error_max.max() == run.summary.energy_error_max
    assert_same(resume("run.h5"), run)


def energy_of(run: Recording, body: int) -> float:
    """Of a body of the last state, relative to the rest."""
    rest = np.arange(len(run.mass)) != body
    mass, x, v = run.mass[rest], run.position[-1], run.velocity[-1]
    speed = v[body] - mass @ v[rest] / mass.sum()
    return 0.5 * speed @ speed - (mass / np.linalg.norm(x[rest] - x[body], axis=-1)).sum()


def test_a_body_that_leaves_ends_the_run_where_it_does():
    keys = {"duration": 200.0, "tolerance": 1e-9}
    run = simulate("pythagorean", **keys, stop_distance=12.0)
    centre = run.mass @ run.position[-1] / run.mass.sum()
    distance = np.linalg.norm(run.position[-1] - centre, axis=-1)
    body = int(distance.argmax())
    assert distance[body] == pytest.approx(12.0, rel=1e-12)
    assert energy_of(run, body) > 0.0
    assert 60.0 < run.time[-1] < 200.0
    assert run.summary.outcome == (
        f"stopped by an ejection at t = {run.time[-1]:.9g} after {run.summary.steps} steps: "
        f"body {body} (counting from 0) is unbound, 12 from the centre of mass"
    )
    assert run.summary.energy_verdict == "kept"


def test_a_body_that_is_far_and_bound_stays():
    run = simulate(at_apocentre(0.9), duration=20.0, tolerance=1e-6, stop_distance=0.5)
    assert run.summary.outcome == "finished"


def test_a_body_without_mass_may_leave():
    system = InitialConditions([1.0, 0.0], [[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [2.0, 0.0]])
    run = simulate(system, duration=20.0, tolerance=1e-6, stop_distance=5.0)
    assert run.position[-1, 1, 0] == pytest.approx(5.0, rel=1e-12)


def test_the_first_of_two_ends_the_run():
    keys = {"duration": 4.0, "timestep": "fixed", "dt": 0.3}
    run = simulate(passing(0.0), **keys, stop_approach=0.02, stop_distance=1.5)
    assert run.summary.outcome.startswith("stopped by a close encounter")
    run = simulate(passing(0.0), **keys, stop_approach=0.02, stop_distance=2.0)
    assert run.time[-1] == pytest.approx(1.98, abs=0.01)


@pytest.mark.parametrize(
    ("system", "keys", "reason"),
    [
        ("pythagorean", {"stop_approach": 3.5}, "stop_approach would end the run where it begins: bodies .* 3 apart"),
        (passing(0.0), {"stop_distance": 0.5}, "stop_distance would end the run where it begins: body 0"),
        (
            InitialConditions([1.0], [[0.0, 0.0]], [[1.0, 0.0]]),
            {"stop_distance": 5.0},
            "no two of these bodies",
        ),
    ],
)
def test_what_would_end_where_it_begins_is_refused(system, keys, reason):
    with pytest.raises(InputError, match=reason):
        simulate(system, duration=1.0, timestep="fixed", dt=0.01, **keys)


def test_times_behind_the_end_are_not_kept():
    run = simulate(at_apocentre(0.9), times=[1.0, 2.0, 3.0, 4.0], tolerance=1e-8, stop_approach=0.5)
    assert list(run.time[:-1]) == [0.0, 1.0, 2.0]
    assert 2.0 < run.time[-1] < 3.0


def test_an_event_in_the_last_step_to_a_time_is_found():
    whole = simulate(at_apocentre(0.9), duration=10.0, tolerance=1e-8, stop_approach=0.5)
    end = float(whole.time[-1])
    later = simulate(at_apocentre(0.9), duration=end * (1.0 + 1e-6), tolerance=1e-8, stop_approach=0.5)
    assert later.time[-1] == end
    sooner = simulate(at_apocentre(0.9), duration=end * (1.0 - 1e-6), tolerance=1e-8, stop_approach=0.5)
    assert sooner.summary.outcome == "finished"


def test_a_second_run_confirms_the_first_up_to_there():
    run = simulate(at_apocentre(0.9), duration=50.0, tolerance=1e-6, stop_approach=0.2, confirm=True)
    assert run.summary.confirm_outcome == "confirmed"
    assert run.summary.outcome.startswith("stopped by")


def test_the_command_line_ends_with_success(capsys):
    words = ["simulate", "--ic", "pythagorean", "--duration", "3", "--tolerance", "1e-8", "--json"]
    assert main([*words, "--stop-approach", "0.5"]) == 0
    assert json.loads(capsys.readouterr().out)["outcome"].startswith("stopped by a close encounter at t = 1.")


def test_members_of_an_ensemble_end_so_too():
    result = simulate_ensemble("random:n=3", count=3, duration=300.0, tolerance=1e-6, stop_distance=30.0, threads=1)
    ends = [outcome.split(" at t")[0] for outcome in result.outcome]
    assert "stopped by an ejection" in ends
    assert result.finished.all()
