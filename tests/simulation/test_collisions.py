"""Bodies with radii that touch: the run stops there, or they become one, at that time and nowhere else."""

from __future__ import annotations

import json
import math
from pathlib import Path

import h5py
import numpy as np
import pytest
from tests.engine.run.test_rollout import model_file
from tests.simulation.test_resume import assert_same
from tests.simulation.test_whole_summaries import KINDS

from aitimestepper import (
    Config,
    EnsembleResult,
    InitialConditions,
    InitialConditionsError,
    InputError,
    Recording,
    resume,
    simulate,
    simulate_ensemble,
)
from aitimestepper.cli.main import main
from aitimestepper.ensembles.members import NO_SEED
from aitimestepper.ensembles.request import EnsembleRequest, Member, origin_of
from aitimestepper.recordings.mergers import Mergers
from aitimestepper.simulation.request import settings_of
from aitimestepper.systems.files import read_initial_conditions
from aitimestepper.systems.files_out import write_initial_conditions
from aitimestepper.views.plots import plot_run
from aitimestepper.views.report import report


@pytest.fixture(autouse=True)
def working_directory(tmp_path, monkeypatch):
    """Files lie there."""
    monkeypatch.chdir(tmp_path)


def falling(radii=(0.02, 0.03)) -> InitialConditions:
    """Two bodies at rest at a distance of 1."""
    position = [[0.4, 0.0, 0.0], [-0.6, 0.0, 0.0]]
    return InitialConditions([0.6, 0.4], position, np.zeros((2, 3)), radius=radii, names=("heavy", "light"))


def fall_time(distance: float) -> float:
    """Of these two from rest to a distance: a Kepler orbit with a = 1/2 and e = 1."""
    return math.sqrt(0.5) * (math.acos(math.sqrt(distance)) + math.sqrt(distance * (1.0 - distance)))


def triple() -> InitialConditions:
    """Two bodies that meet at t = 1.1, and a third that goes round them."""
    return InitialConditions(
        [0.6, 0.4, 0.1],
        [[0.4, 0.0, 0.0], [-0.6, 0.0, 0.0], [0.0, 3.0, 0.1]],
        [[0.0, 0.005, 0.0], [0.0, -0.005, 0.0], [0.6, 0.0, 0.1]],
        radius=[0.02, 0.03, 0.01],
        names=("heavy", "light", "far"),
    )


def cluster(n: int = 8, seed: int = 1, radius: float = 0.05) -> InitialConditions:
    """Bodies at rest, which fall together."""
    rng = np.random.default_rng(seed)
    return InitialConditions(
        rng.uniform(0.05, 0.2, n), rng.normal(size=(n, 3)), np.zeros((n, 3)), radius=rng.uniform(0.5, 1.0, n) * radius
    )


def assert_alike(first: Recording, second: Recording, **more) -> None:
    assert_same(first, second, **more)
    for mine, theirs in zip(first.mergers, second.mergers, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_array_equal(first.radius, second.radius)


@pytest.mark.parametrize("direction", [1, -1])
def test_two_bodies_touch_at_the_time_of_a_radial_orbit(direction):
    keys = {"duration": direction * 2.0, "tolerance": 1e-9}
    stopped = simulate(falling(), **keys, collisions="stop")
    assert stopped.time[-1] == pytest.approx(direction * fall_time(0.05), rel=1e-7)
    distance = stopped.position[-1, 0, 0] - stopped.position[-1, 1, 0]
    assert distance == pytest.approx(0.05, rel=1e-12)
    speed = math.sqrt(2.0 * (1.0 / 0.05 - 1.0))
    assert stopped.summary.outcome == (
        f"stopped by a collision of heavy and light at t = {stopped.time[-1]:.9g} after {stopped.summary.steps} "
        f"steps: they touch at a relative speed of {speed:.6g}"
    )
    merged = simulate(falling(), **keys, collisions="merge")
    assert merged.mergers.time.tolist() == [stopped.time[-1]]
    assert merged.mergers.speed == pytest.approx(speed, rel=1e-6)
    assert merged.mergers.pairs == ([0], [1])
    assert merged.summary.outcome == "finished"
    assert not merged.summary.falls_short
    assert merged.time[-1] == direction * 2.0


def test_what_does_not_touch_is_bit_by_bit_the_same():
    keys = {"duration": 1.1, "tolerance": 1e-8}
    whole = simulate(falling(), **keys)
    assert simulate(falling(), **keys, collisions="ignore").summary.steps == whole.summary.steps
    for collisions in ("stop", "merge"):
        assert_same(
            simulate(falling(), **keys, collisions=collisions), whole, but=("wall_seconds", "force_evaluations")
        )


def test_mass_momentum_and_centre_of_mass_are_kept():
    keys = {"duration": 2.0, "tolerance": 1e-8, "every": 1}
    before = simulate(triple(), **keys, collisions="stop")
    run = simulate(triple(), **keys, collisions="merge")
    row = int(np.flatnonzero(run.mergers.done_at(run.time))[0])
    assert run.time[row] == run.mergers.time[0] == before.time[-1]
    np.testing.assert_array_equal(run.position[:row], before.position[:-1])
    share = np.array([0.6, 0.4])
    for name in ("position", "velocity"):
        mine, theirs = getattr(run, name)[row], getattr(before, name)[-1]
        np.testing.assert_allclose(mine[0], share @ theirs[:2], rtol=0.0, atol=1e-15)
        np.testing.assert_array_equal(mine[1], mine[0])
        np.testing.assert_array_equal(mine[2], theirs[2])
        both = [run.mass @ getattr(r, name)[k] for r, k in ((run, row), (before, -1))]
        np.testing.assert_allclose(*both, rtol=0.0, atol=1e-15)
    assert run.masses.sum(axis=1) == pytest.approx(1.1, rel=1e-15)
    np.testing.assert_array_equal(run.masses[row - 1], [0.6, 0.4, 0.1])
    np.testing.assert_array_equal(run.masses[row], [1.0, 0.0, 0.1])
    assert run.mergers.radius[0] == pytest.approx((0.02**3 + 0.03**3) ** (1 / 3), rel=1e-15)
    assert run.mergers.energy_before[0] == before.energy[-1]
    assert run.mergers.energy_after[0] == run.energy[row]
    apart = before.velocity[-1, 0] - before.velocity[-1, 1]
    lost = 0.5 * 0.24 * apart @ apart - 0.24 / 0.05
    assert run.mergers.energy_before[0] - run.mergers.energy_after[0] == pytest.approx(lost, rel=1e-4)
    assert run.summary.mergers == 1
    assert run.summary.merger_energy == run.mergers.energy_before[0] - run.mergers.energy_after[0]


def test_energies_of_a_recording_are_those_of_the_bodies_that_are_left():
    run = simulate(triple(), duration=3.0, tolerance=1e-8, collisions="merge")
    row = len(run.time) - 1
    there = run.masses[row] > 0.0
    mass, x, v = run.masses[row][there], run.position[row][there], run.velocity[row][there]
    energy = 0.5 * mass @ (v * v).sum(-1) - mass.prod() / np.linalg.norm(x[0] - x[1])
    assert run.energy[row] == pytest.approx(energy, rel=1e-12)
    assert run.energy_error.max() <= run.summary.energy_error_max <= 1e-8
    assert run.summary.energy_verdict == "kept"
    assert run.summary.energy_initial == run.energy[0]


def test_two_mergers_down_to_one_body():
    line = InitialConditions(
        [1.0, 0.5, 0.25], [[0.0, 0.0], [1.0, 0.0], [-3.0, 0.0]], np.zeros((3, 2)), radius=[0.1, 0.05, 0.05]
    )
    run = simulate(line, duration=20.0, tolerance=1e-8, collisions="merge")
    assert run.mergers.pairs == ([0, 0], [1, 2])
    assert run.summary.mergers == 2
    np.testing.assert_array_equal(run.masses[-1], [1.75, 0.0, 0.0])
    np.testing.assert_allclose(run.position[-1], 0.0, atol=1e-14)
    assert run.time[-1] == 20.0
    assert run.summary.outcome == "finished"
    assert run.summary.energy_verdict == "kept"
    assert run.mergers.radius[-1] == pytest.approx((0.1**3 + 2 * 0.05**3) ** (1 / 3), rel=1e-15)


def test_a_run_of_steps_ends_with_its_last_merger():
    run = simulate(falling(), steps=10_000, tolerance=1e-8, collisions="merge")
    assert run.summary.outcome.startswith(f"stopped by the last merger at t = {run.mergers.time[0]:.9g}")
    assert run.time[-1] == run.mergers.time[0]
    assert (np.diff(run.time) > 0.0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_is_taken_up_has_the_bits_of_one_that_was_not_stopped(kind):
    plan = dict(KINDS[kind])
    if kind.startswith("learned"):
        own = {key: plan.pop(key) for key in ("feature_type", "history_len") if key in plan}
        plan["model"] = model_file(Path.cwd(), **own)
    keys = {**plan, "collisions": "merge", "every": 7, "step_history": True}
    whole = simulate(triple(), **keys, duration=2.5)
    assert whole.mergers.pairs == ([0], [1])
    contact = float(whole.mergers.time[0])
    for end in (0.5 * contact, contact * (1.0 + 1e-9), 1.5 * contact):
        path = f"run-{end}.h5"
        first = simulate(triple(), **keys, duration=end, output=path)
        if abs(end - contact) > 1e-3:  # a step that is shortened to the end has a smaller error
            assert len(first.mergers.time) == (end > contact)
        assert_alike(resume(path), first)
        assert_alike(resume(path, duration=2.5), whole)
        assert_alike(Recording.load(path), whole)


def test_an_interrupted_run_goes_on_behind_its_mergers(monkeypatch):
    from aitimestepper.simulation import driver, recorder

    monkeypatch.setattr(driver, "_next_budget", lambda budget, seconds: 1)
    monkeypatch.setattr(recorder, "_SECONDS_OF_A_BLOCK", 0.0)
    keys = {"duration": 6.0, "tolerance": 1e-6, "collisions": "merge"}
    whole = simulate(cluster(), **keys)
    assert whole.summary.mergers >= 3

    def ending_at(part: float):
        def stop(done: float) -> None:
            if done > part:
                raise KeyboardInterrupt

        return stop

    simulate(cluster(), **{**keys, "duration": 1e-3}, output="run.h5")
    for part in (0.3, 0.4, 0.5, 0.7):
        with pytest.raises(KeyboardInterrupt):
            resume("run.h5", duration=6.0, progress=ending_at(part))
    assert_alike(resume("run.h5"), whole)


def test_a_calibrated_run_keeps_its_promise_between_mergers():
    run = simulate(cluster(12, 3), duration=8.0, tolerance=1e-7, collisions="merge")
    assert run.summary.mergers > 4
    assert run.summary.energy_verdict == "kept"
    assert run.energy_error.max() <= run.summary.energy_error_max <= 1e-7
    assert run.error_max.max() == pytest.approx(run.summary.energy_error_max, rel=1e-12)
    took = (run.mergers.energy_before - run.mergers.energy_after).sum()
    assert run.summary.merger_energy == pytest.approx(took, rel=1e-12)
    at_end = run.masses[-1]
    assert at_end.sum() == pytest.approx(run.mass.sum(), rel=1e-14)
    assert (at_end > 0).sum() == 12 - run.summary.mergers


def test_exact_times_are_those_that_were_asked_for():
    run = simulate(triple(), samples=20, duration=2.0, tolerance=1e-8, collisions="merge")
    np.testing.assert_allclose(run.time, np.linspace(0.0, 2.0, 21), rtol=1e-14)
    assert run.summary.mergers == 1
    assert run.summary.mergers == (run.masses[-1] == 0.0).sum()


def test_a_callback_may_end_a_run_behind_a_merger():
    keys = {"duration": 2.5, "tolerance": 1e-8, "collisions": "merge", "every": 1}
    whole = simulate(triple(), **keys)

    def one(state):
        return bool((state.position[0] == state.position[1]).all())

    run = simulate(triple(), **keys, callback=one, output="run.h5")
    assert run.time[-1] == run.mergers.time[0]
    assert run.summary.outcome.startswith("stopped by the callback")
    assert run.summary.mergers == 1
    assert_alike(resume("run.h5"), whole)
    early = simulate(triple(), **keys, callback=lambda state: state.time > 0.5, output="early.h5")
    assert early.summary.mergers is None
    assert not len(early.mergers.time)
    last_step = simulate(triple(), **{**keys, "duration": whole.mergers.time[0] * (1 + 1e-9)}, callback=one)
    assert last_step.time[-1] == whole.mergers.time[0]
    assert last_step.summary.mergers == 1


def test_massless_bodies_go_into_what_they_hit():
    dust = InitialConditions(
        [1.0, 0.0, 0.0],
        [[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]],
        [[0.0, 0.0], [0.0, 0.1], [0.7, 0.0]],
        radius=[0.1, 0.0, 0.0],
    )
    run = simulate(dust, duration=3.0, tolerance=1e-8, collisions="merge")
    assert run.mergers.pairs == ([0], [1])
    assert run.summary.energy_verdict == "kept"
    np.testing.assert_allclose(run.position[-1, 0], 0.0, atol=1e-14)
    assert np.isnan(run.elements(primary=0).semi_major_axis[-1, 1])
    assert run.elements(primary=0).semi_major_axis[-1, 2] == pytest.approx(1.0 / (1.0 - 0.49), rel=1e-6)


def test_elements_count_what_a_body_has_swallowed():
    run = simulate(triple(), duration=2.0, tolerance=1e-9, collisions="merge")
    jacobi, about = run.elements(), run.elements(primary="heavy")
    x, v = run.position[-1, 2] - run.position[-1, 0], run.velocity[-1, 2] - run.velocity[-1, 0]
    axis = 1.0 / (2.0 / np.linalg.norm(x) - v @ v / 1.1)
    assert jacobi.semi_major_axis[-1, 2] == pytest.approx(axis, rel=1e-12)
    assert about.semi_major_axis[-1, 2] == pytest.approx(axis, rel=1e-12)
    assert np.isnan(jacobi.semi_major_axis[-1, 1])


def test_a_recording_with_mergers_is_saved_loaded_shown_and_drawn():
    run = simulate(cluster(), duration=4.0, tolerance=1e-6, collisions="merge", output="run.h5")
    assert run.summary.mergers
    run.save("copy.h5")
    assert_alike(Recording.load("copy.h5"), run)
    assert f"mergers {run.summary.mergers}" in " ".join(repr(run).split())
    plot_run(run, "run.png")
    report(["run.h5"], "run.html")
    assert Path("run.html").stat().st_size > 10_000
    assert main(["movie", "run.h5", "--output", "run.gif", "--seconds", "1", "--fps", "5"]) == 0


def test_tables_have_the_masses_of_every_state():
    pandas = pytest.importorskip("pandas")
    run = simulate(triple(), duration=2.0, tolerance=1e-8, collisions="merge")
    table = run.to_pandas()
    assert isinstance(table, pandas.DataFrame)
    assert table["mass"].xs("light", level="body").to_numpy()[[0, -1]].tolist() == [0.4, 0.0]
    pytest.importorskip("xarray")
    assert run.to_xarray()["mass"].dims == ("time", "body")


def test_a_recording_with_mergers_as_initial_conditions():
    run = simulate(triple(), duration=2.0, tolerance=1e-8, collisions="merge", output="run.h5")
    system = read_initial_conditions("run.h5")
    assert system.names == ("heavy", "far")
    np.testing.assert_array_equal(system.mass, [1.0, 0.1])
    np.testing.assert_array_equal(system.radius, [run.mergers.radius[0], 0.01])
    np.testing.assert_array_equal(system.position, run.position[-1, [0, 2]])


def test_members_of_an_ensemble_merge_when_they_do():
    members = [triple(), cluster(4, 7), falling()]
    keys = {"duration": 3.0, "tolerance": 1e-6, "collisions": "merge"}
    result = simulate_ensemble(members, **keys, threads=2, output="many.h5")
    for number, system in enumerate(members):
        run = simulate(system, **keys)
        there = run.masses[-1] > 0.0
        np.testing.assert_array_equal(result.mass[number], run.masses[-1][there])
        np.testing.assert_array_equal(result.position[number], run.position[-1][there])
        assert result.energy_error_max[number] == run.summary.energy_error_max
    assert result.finished.all()
    assert result.mergers.tolist() == [1, 1, 1]
    read = EnsembleResult.load("many.h5")
    np.testing.assert_array_equal(read.merger_energy, result.merger_energy)
    assert [len(mass) for mass in result.mass] == [2, 3, 1]
    np.testing.assert_array_equal(EnsembleResult.load("many.h5").mass[2], [1.0])
    drawn = simulate_ensemble("random:n=3,radius=0.05", count=3, **keys, threads=1)
    assert min(len(mass) for mass in drawn.mass) < 3


def test_other_radii_are_another_ensemble():
    request = EnsembleRequest(settings_of(Config(duration=1.0, tolerance=1e-6)), None)
    points, small, large = (
        origin_of(request, [Member(0, NO_SEED, falling(radii=radius))])["bodies"] for radius in (0.0, 0.01, 0.02)
    )
    assert len({points, small, large}) == 3


def test_the_command_line(capsys):
    write_initial_conditions("bodies.csv", falling())
    words = ["simulate", "--ic", "bodies.csv", "--duration", "2", "--tolerance", "1e-8"]
    assert main([*words, "--collisions", "merge", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["mergers"] == 1
    assert main([*words, "--collisions", "stop"]) == 0
    assert "stopped by a collision of heavy and light" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("system", "keys", "message"),
    [
        (falling(radii=0.0), {"collisions": "merge"}, "collisions = merge needs radii, and these bodies have none"),
        (falling(radii=0.6), {"collisions": "stop"}, "bodies heavy and light overlap where the run begins"),
        (falling(radii=0.6), {"collisions": "merge"}, "bodies heavy and light overlap where the run begins"),
        (falling(), {"collisions": "merge", "confirm": True}, "confirm compares the bodies of two runs"),
        (falling(), {"collisions": "merge", "output": "run.bin"}, "a REBOUND archive .* write run.bin as .h5"),
    ],
)
def test_what_cannot_be_done_is_refused(system, keys, message):
    with pytest.raises(InputError, match=message):
        simulate(system, duration=1.0, tolerance=1e-6, **keys)
    assert not Path("run.bin").exists()


def test_mergers_count_from_the_start_of_a_run():
    some = Mergers.joined([Mergers.of(**{**dict.fromkeys(Mergers._fields, 1.0), "time": t}) for t in (-1.0, -2.0)])
    np.testing.assert_array_equal(some.done_at(np.array([0.0, -0.5, -1.0, -2.5])), [0, 0, 1, 2])


@pytest.mark.parametrize(
    ("name", "value"), [("survivor", 3), ("other", 0), ("other", -1), ("energy_scale", 0.0), ("time", np.nan)]
)
def test_damaged_mergers_are_refused(name, value):
    simulate(triple(), duration=2.0, tolerance=1e-6, collisions="merge", output="run.h5")
    with h5py.File("run.h5", "r+") as file:
        file[f"mergers/{name}"][0] = value
    with pytest.raises(InputError, match="damaged"):
        Recording.load("run.h5")
    with pytest.raises(InputError, match="damaged"):
        resume("run.h5", duration=3.0)
    if name in ("survivor", "other") and value != 0:
        with pytest.raises(InitialConditionsError, match="mergers are of bodies that are not there"):
            read_initial_conditions("run.h5")
