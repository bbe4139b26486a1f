"""Recordings as REBOUND archives, and archives as initial conditions."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from tests.builders import head_on

from aitimestepper import (
    Config,
    InitialConditionsError,
    InputError,
    OutputError,
    OutputExistsError,
    SimulationError,
    compare,
    resume,
    simulate,
    simulate_ensemble,
)
from aitimestepper.bridges.rebound import from_simulation, to_simulation, write_archive
from aitimestepper.cli.main import main
from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.systems.files import read_initial_conditions
from aitimestepper.systems.initial import InitialConditions

rebound = pytest.importorskip("rebound")


def states(path) -> np.ndarray:
    """(S, 1 + 6 N) time, places and velocities of every snapshot."""
    rows = []
    for simulation in rebound.Simulationarchive(str(path)):
        bodies = [[*body.xyz, *body.vxyz] for body in simulation.particles]
        rows.append([simulation.t, *np.ravel(bodies)])
    return np.array(rows)


def assert_same_frames(path, run) -> None:
    read = states(path)
    assert len(read) == len(run.time)
    np.testing.assert_array_equal(read[:, 0], run.time)
    bodies = read[:, 1:].reshape(len(read), len(run.mass), 2, 3)[..., : run.position.shape[-1]]
    np.testing.assert_array_equal(bodies[:, :, 0], run.position)
    np.testing.assert_array_equal(bodies[:, :, 1], run.velocity)


@pytest.mark.parametrize("suffix", [".bin", ".rebound", ".archive"])
def test_an_output_of_that_suffix_holds_every_frame(tmp_path, suffix):
    path = tmp_path / f"run{suffix}"
    run = simulate(
        config=Config(ic="pythagorean", tolerance=1e-4, duration=3.0, every=7, output=str(path), G=2.0, softening=0.02)
    )
    assert_same_frames(path, run)
    first = rebound.Simulationarchive(str(path))[0]
    assert (first.G, first.softening) == (2.0, 0.02)


def test_a_recording_is_written_later_too_and_read_as_initial_conditions(tmp_path):
    system = InitialConditions([1, 0.5], [[-1, 0], [2, 0]], [[0, 0.2], [0, -0.4]], names=("a", "b"))
    run = simulate(config=Config(tolerance=1e-4, duration=1.0), system=system)
    path = tmp_path / "run.bin"
    write_archive(run, path)
    assert_same_frames(path, run)
    read = read_initial_conditions(path)
    assert (read.names, read.time) == (("a", "b"), 1.0)
    np.testing.assert_allclose(read.position[:, :2], run.position[-1], rtol=0, atol=1e-15)
    with pytest.raises(OutputExistsError, match="exists already"):
        write_archive(run, path)
    write_archive(run, path, overwrite=True)
    assert_same_frames(path, run)


def test_a_simulation_saved_by_rebound_starts_a_run_in_its_own_units(tmp_path, capsys):
    G = 4 * np.pi**2
    simulation = to_simulation(initial_conditions("kepler:e=0.3", G=G), G=G)
    simulation.save_to_file(str(tmp_path / "ic.bin"))
    assert main(["simulate", "--ic", "ic.bin", "--duration", "1", "--tolerance", "1e-5", "--G", repr(G)]) == 0
    assert main(["simulate", "--ic", "ic.bin", "--duration", "1", "--tolerance", "1e-5"]) == 2
    assert f"pass --G {G!r}" in capsys.readouterr().err


def test_a_run_that_fails_leaves_what_was_reached(tmp_path):
    config = Config(timestep="fixed", dt=1e-2, duration=1.0, guard=1e-9, samples=100, output=str(tmp_path / "run.bin"))
    with pytest.raises(SimulationError) as caught:
        simulate(config=config, system=head_on())
    assert_same_frames(tmp_path / "run.bin", caught.value.recording)


def test_an_interrupted_run_leaves_an_archive_and_no_promise_to_resume(tmp_path):
    words = ["--ic", "plummer:n=64", "--duration", "1e6", "--tolerance", "1e-4", "--every", "1", "--output", "run.bin"]
    child = subprocess.Popen(
        [sys.executable, "-m", "aitimestepper", "simulate", *words], stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    path = tmp_path / "run.bin"
    deadline = time.monotonic() + 120
    while not (path.exists() and len(rebound.Simulationarchive(str(path))) > 3) and time.monotonic() < deadline:
        time.sleep(0.2)
    child.send_signal(signal.SIGINT)
    errors = child.communicate(timeout=60)[1]
    assert child.returncode == 130
    assert "trajectory in run.bin" in errors
    assert "--resume" not in errors
    assert len(states(path)) > 3


def test_what_cannot_be_written_is_refused_before_the_run(tmp_path, monkeypatch):
    keys = {"ic": "kepler", "tolerance": 1e-4, "duration": 1.0}
    with pytest.raises(InputError, match="plain ASCII names only"):
        simulate(config=Config(**keys, output=str(tmp_path / "Jägers.bin")))
    with pytest.raises(InputError, match="step_history has no place in a REBOUND archive"):
        simulate(config=Config(**keys, output=str(tmp_path / "a.bin"), step_history=True))
    with pytest.raises(OutputError, match="there is no directory"):
        simulate(config=Config(**keys, output=str(tmp_path / "no" / "a.bin")))
    monkeypatch.setitem(sys.modules, "rebound", None)
    with pytest.raises(InputError, match=r"pip install 'aitimestepper\[rebound\]'"):
        simulate(config=Config(**keys, output=str(tmp_path / "b.bin")))
    assert os.listdir(tmp_path) == []


def test_a_disk_that_takes_nothing_more_is_noticed(tmp_path, monkeypatch):
    run = simulate(config=Config(ic="kepler", tolerance=1e-4, duration=1.0))
    monkeypatch.setattr(rebound.Simulation, "save_to_file", lambda simulation, name: None)
    with pytest.raises(OutputError, match=r"cannot go on writing .*a\.bin: the disk is full or read-only"):
        write_archive(run, tmp_path / "a.bin")
    assert os.listdir(tmp_path) == []


def test_resuming_an_archive_is_refused(tmp_path, capsys):
    write_archive(simulate(config=Config(ic="kepler", tolerance=1e-4, duration=1.0)), tmp_path / "a.bin")
    assert main(["simulate", "--resume", "a.bin"]) == 2
    assert "cannot read the recording a.bin" in capsys.readouterr().err


# --- what an archive says of its physics ------------------------------------------------------------------------


def archived(path, bodies, **settings):
    """An archive of a simulation with these bodies and settings."""
    simulation = rebound.Simulation()
    for body in bodies:
        simulation.add(**body)
    for name, value in settings.items():
        setattr(simulation, name, value)
    simulation.save_to_file(str(path))
    return simulation


def end_of(path, duration, **keys):
    """Place of the second body relative to the first at the end, in the plane."""
    run = simulate(config=Config(ic=str(path), duration=duration, **{"tolerance": 1e-9} | keys))
    return (run.position[-1, 1] - run.position[-1, 0])[:2], run


def test_test_particles_of_an_archive_act_on_no_body(tmp_path):
    simulation = archived(tmp_path / "tp.bin", [{"m": 1.0}, {"m": 0.1, "a": 10.0}], N_active=1)
    place, run = end_of(tmp_path / "tp.bin", 100.0)
    np.testing.assert_allclose(place, [-11.3346, 4.3299], atol=1e-4)
    np.testing.assert_array_equal(run.mass, [1.0, 0.0])
    assert "masses of test particles are left out" in run.note
    system, settings = from_simulation(simulation)
    both = simulate(config=Config(**settings, tolerance=1e-9, duration=100.0), system=system)
    np.testing.assert_array_equal(both.position, run.position)


SOFT = [{"m": 1.0}, {"m": 1e-3, "x": 1.0, "vy": 0.7}]


def test_a_run_takes_the_softening_of_its_archive(tmp_path, capsys):
    archived(tmp_path / "soft.bin", SOFT, softening=0.5)
    place, run = end_of(tmp_path / "soft.bin", 10.0, tolerance=1e-8)
    # The second body alone, from the origin: the first is a thousand times as heavy.
    np.testing.assert_allclose(run.position[-1, 1], [-0.74097, -0.50205, 0.0], atol=2e-5)
    assert run.softening == 0.5
    np.testing.assert_array_equal(end_of(tmp_path / "soft.bin", 10.0, tolerance=1e-8, softening=0.5)[0], place)
    words = ["simulate", "--ic", "soft.bin", "--duration", "10", "--tolerance", "1e-8", "--softening", "0.3"]
    assert main(words) == 2
    assert "soft.bin: it was made with softening = 0.5, not 0.3: leave softening out" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", [".bin", ".h5"])
def test_a_run_takes_the_softening_of_a_recording(tmp_path, suffix):
    path = tmp_path / f"own{suffix}"
    simulate(config=Config(ic="kepler:e=0.5", softening=0.3, duration=1.0, tolerance=1e-8, output=str(path)))
    run = simulate(config=Config(ic=str(path), duration=1.0, tolerance=1e-8))
    assert run.summary.energy_initial == pytest.approx(-0.48705, abs=1e-5)
    with pytest.raises(InitialConditionsError, match=r"made with softening = 0\.3, not 0\.0"):
        simulate(config=Config(ic=str(path), duration=1.0, tolerance=1e-8, softening=0.0))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gravity": "none"}, "gravity = none"),
        ({"collision": "direct"}, "collision = direct cannot be followed"),
        ({"boundary": "open", "root_size": 10.0}, "boundary = open"),
        ({"N_active": 1, "testparticle_type": 1}, "testparticle_type = 1"),
    ],
)
def test_an_archive_of_more_than_point_masses_is_refused(tmp_path, settings, message):
    archived(tmp_path / "more.bin", SOFT, **settings)
    with pytest.raises(InitialConditionsError, match=message) as caught:
        read_initial_conditions(tmp_path / "more.bin")
    assert "more.bin" in str(caught.value)


def test_test_particles_of_type_1_without_mass_are_as_those_of_type_0(tmp_path):
    archived(tmp_path / "light.bin", [{"m": 1.0}, {"m": 0.0, "a": 10.0}], N_active=1, testparticle_type=1)
    assert read_initial_conditions(tmp_path / "light.bin").n_bodies == 2


def test_all_who_read_a_file_take_its_softening(tmp_path, capsys):
    path = str(tmp_path / "soft.bin")
    archived(path, SOFT, softening=0.5)
    ensemble = simulate_ensemble(config=Config(ic=path, count=1, duration=10.0, tolerance=1e-8))
    assert ensemble.softening == 0.5
    np.testing.assert_allclose(ensemble.position[0][1], [-0.74097, -0.50205, 0.0], atol=2e-5)
    methods = ("leapfrog:fixed", "rebound:leapfrog")
    result = compare(config=Config(ic=path, duration=1.0, evaluations=(200,), methods=methods))
    assert [row.position_error < 1e-4 for row in result.systems[0].rows] == [True, True]
    assert main(["ic", path, "--output", "soft.h5"]) == 0
    assert "softening 0.5" in capsys.readouterr().err
    assert read_initial_conditions("soft.h5").softening == 0.5
    systems = [read_initial_conditions(path), initial_conditions("kepler")]
    with pytest.raises(InputError, match="different softenings"):
        simulate_ensemble(config=Config(duration=1.0, tolerance=1e-4), systems=systems)


def test_a_resumed_run_keeps_the_softening_of_its_file(tmp_path):
    archived(tmp_path / "soft.bin", SOFT, softening=0.5)
    keys = {"ic": str(tmp_path / "soft.bin"), "timestep": "free-fall", "eta": 0.01}
    whole = simulate(config=Config(**keys, duration=4.0, output=str(tmp_path / "whole.h5")))
    simulate(config=Config(**keys, duration=2.0, output=str(tmp_path / "part.h5")))
    np.testing.assert_array_equal(resume(tmp_path / "part.h5", duration=4.0).position[-1], whole.position[-1])
