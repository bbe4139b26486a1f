"""REBOUND archives as recordings, which figures, movies and reports are made of."""

from __future__ import annotations

import numpy as np
import pytest

from aitimestepper import InputError, simulate
from aitimestepper.bridges.rebound import write_archive
from aitimestepper.cli.main import main
from aitimestepper.recordings.snapshots import recording_of_archive
from aitimestepper.views.sources import read_source

rebound = pytest.importorskip("rebound")


@pytest.fixture
def planets(tmp_path):
    """An archive that REBOUND has written: a planetary system that drifts, in years."""
    simulation = rebound.Simulation()
    simulation.units = ("yr", "AU", "Msun")
    simulation.add(m=1.0, name="Sun")
    simulation.add(m=1e-3, a=5.2, e=0.05, inc=0.02, name="Jupiter")
    for body in simulation.particles:
        body.vx += 1.0
    path = tmp_path / "planets.bin"
    simulation.save_to_file(str(path), interval=0.5)
    simulation.integrate(20.0)
    return path


def test_every_snapshot_is_a_state_in_the_frame_of_the_centre_of_mass(planets):
    run = recording_of_archive(planets)
    archive = rebound.Simulationarchive(str(planets))
    assert (run.names, run.units, run.G) == (("Sun", "Jupiter"), "au, yr, Msun", archive[0].G)
    np.testing.assert_array_equal(run.time, [snapshot.t for snapshot in archive])
    for frame, snapshot in zip((0, 20, -1), (archive[0], archive[20], archive[len(archive) - 1]), strict=True):
        apart = np.subtract(snapshot.particles[1].xyz, snapshot.particles[0].xyz)
        np.testing.assert_allclose(run.position[frame, 1] - run.position[frame, 0], apart, rtol=0, atol=1e-13)
        assert np.abs(run.mass @ run.position[frame]).max() < 1e-12
    assert 0.0 < run.summary.energy_error_max < 1e-13
    assert run.summary.energy_error_max == run.error_max.max()
    assert run.summary.steps == archive[-1].steps_done


def test_energies_and_angular_momenta_are_those_of_the_run_that_wrote_it(tmp_path):
    run = simulate("pythagorean", tolerance=1e-3, duration=5.0, softening=0.01)
    write_archive(run, tmp_path / "run.bin")
    read = recording_of_archive(tmp_path / "run.bin")
    np.testing.assert_array_equal(read.position, run.position)
    np.testing.assert_allclose(read.energy, run.energy, rtol=1e-12)
    np.testing.assert_allclose(read.angular_momentum, run.angular_momentum, atol=1e-12)
    assert (read.softening, read.energy_scale) == (run.softening, pytest.approx(run.energy_scale))


@pytest.mark.parametrize("words", [["plot"], ["report"], ["movie", "--output", "planets.gif", "--seconds", "0.2"]])
def test_it_is_shown_by_every_command_that_shows_a_run(planets, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([words[0], str(planets), *words[1:]]) == 0
    assert {file.suffix for file in tmp_path.iterdir()} & {".png", ".html", ".gif"}


def test_bodies_that_come_or_go_are_refused_with_the_reason(tmp_path):
    simulation = rebound.Simulation()
    path = tmp_path / "merged.bin"
    simulation.add(m=1.0)
    simulation.add(m=0.1, a=1.0)
    simulation.save_to_file(str(path))
    simulation.add(m=0.1, a=2.0)
    simulation.save_to_file(str(path))
    with pytest.raises(InputError, match=r"cannot show .*: snapshot 2 of 2 has 3 bodies and the first has 2: a figure"):
        read_source(path)


def test_a_damaged_archive_is_refused_in_a_line(planets):
    planets.write_bytes(planets.read_bytes()[:100])
    with pytest.raises(InputError, match=r"^cannot show .*planets\.bin: it is ") as error:
        read_source(planets)
    assert "\n" not in str(error.value)
