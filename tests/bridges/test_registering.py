"""The calibrated run as an integrator of REBOUND."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from aitimestepper import Config, InputError, simulate
from aitimestepper.bridges.rebound import from_simulation, register, to_simulation
from aitimestepper.bridges.rebound.run_vector import HEAD, RUN_LAYOUT, run_size
from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.systems.files import read_initial_conditions

rebound = pytest.importorskip("rebound")


def pythagorean(tolerance: float = 1e-6, **constants) -> rebound.Simulation:
    simulation = to_simulation(initial_conditions("pythagorean", G=constants.get("G", 1.0)), **constants)
    register(simulation, tolerance)
    return simulation


def places(simulation) -> np.ndarray:
    return np.array([body.xyz for body in simulation.particles])


@pytest.mark.parametrize("tolerance", [1e-2, 1e-4, 1e-6, 1e-10])
def test_it_is_the_run_that_simulate_makes_bit_by_bit(tolerance):
    system = initial_conditions("random:n=4,dim=3", seed=2)
    simulation = to_simulation(system)
    register(simulation, tolerance)
    simulation.integrate(7.0)
    run = simulate(config=Config(tolerance=tolerance, duration=7.0, integrator="ttl"), system=system)
    np.testing.assert_array_equal(places(simulation), run.position[-1])
    assert simulation.t == 7.0
    assert simulation.integrator.energy_error == run.summary.energy_error_max
    assert simulation.integrator.position_error == run.summary.position_error_max
    assert simulation.integrator.force_evaluations <= run.summary.force_evaluations


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-9])
def test_the_energy_that_rebound_sees_is_kept_as_was_asked(tolerance):
    simulation = pythagorean(tolerance)
    before, worst = simulation.energy(), 0.0
    for time in np.linspace(0.5, 40.0, 80):
        simulation.integrate(time)
        worst = max(worst, abs(simulation.energy() / before - 1.0))
    assert 1e-3 * tolerance < worst <= tolerance
    assert worst <= simulation.integrator.energy_error * (1 + 1e-3)


def test_times_are_met_exactly_as_samples_of_simulate_are():
    system = initial_conditions("pythagorean")
    run = simulate(config=Config(tolerance=1e-6, duration=12.0, samples=36), system=system)
    simulation = pythagorean()
    for time, position in zip(run.time, run.position, strict=True):
        simulation.integrate(time)
        assert simulation.t == pytest.approx(time, rel=1e-15)
        np.testing.assert_allclose(places(simulation)[:, :2], position, rtol=0, atol=1e-12)
    assert simulation.integrator.energy_error == pytest.approx(run.summary.energy_error_max)


def test_a_run_may_pass_the_time_asked_for():
    simulation = pythagorean()
    simulation.integrate(12.0, exact_finish_time=0)
    assert 12.0 < simulation.t < 15.0


def test_a_run_may_end_at_time_zero_and_go_backwards():
    simulation = pythagorean()
    simulation.t = -5.0
    simulation.integrate(0.0)
    assert simulation.t == 0.0
    end = places(simulation)
    other = pythagorean()
    other.integrate(5.0)
    np.testing.assert_allclose(end, places(other), atol=1e-9)
    start = places(pythagorean())
    simulation.integrate(-5.0)
    assert simulation.t == -5.0
    np.testing.assert_allclose(places(simulation), start, atol=1e-4)


@pytest.mark.parametrize("constants", [{"G": 4 * np.pi**2}, {"G": 6.674e-8, "softening": 0.05}])
def test_G_and_softening_are_those_of_the_simulation(constants):
    system = initial_conditions("pythagorean", G=constants["G"])
    simulation = pythagorean(1e-6, **constants)
    duration = 4.0 / np.sqrt(constants["G"])
    simulation.integrate(duration)
    run = simulate(config=Config(**constants, tolerance=1e-6, duration=duration, integrator="ttl"), system=system)
    np.testing.assert_array_equal(places(simulation)[:, :2], run.position[-1])


def test_a_moving_frame_stays_what_it_is():
    moving, resting = pythagorean(), pythagorean()
    for body in moving.particles:
        body.vx += 7.0
        body.y += 100.0
    for time in (3.0, 6.0):
        moving.integrate(time)
        resting.integrate(time)
        speeds = [np.array([body.vxyz for body in one.particles]) for one in (moving, resting)]
        np.testing.assert_allclose(speeds[0] - [7.0, 0.0, 0.0], speeds[1], atol=1e-5)
    np.testing.assert_allclose(places(moving) - [42.0, 100.0, 0.0], places(resting), atol=1e-6)
    assert moving.integrator.energy_error < 1e-6


def test_massless_bodies_and_test_particles_feel_and_are_not_felt():
    simulation = rebound.Simulation()
    simulation.add(m=1.0)
    simulation.add(m=1e-3, a=1.0)
    simulation.add(m=0.0, a=2.0, e=0.3)
    simulation.add(m=0.1, a=4.0)
    simulation.N_active = 2
    simulation.move_to_com()
    twin = simulation.copy()
    register(simulation, 1e-9)
    twin.integrator = "ias15"
    simulation.integrate(20.0)
    twin.integrate(20.0)
    np.testing.assert_allclose(places(simulation), places(twin), atol=1e-6)
    assert simulation.particles[3].m == 0.1


def test_an_archive_goes_on_bit_by_bit_and_so_does_a_copy(tmp_path):
    simulation = pythagorean()
    simulation.integrate(10.0)
    simulation.save_to_file("run.bin")
    copy = simulation.copy()
    back = rebound.Simulation("run.bin")
    assert back.integrator.tolerance == 1e-6
    for one in (simulation, copy, back):
        one.integrate(25.0)
    np.testing.assert_array_equal(places(back), places(simulation))
    np.testing.assert_array_equal(places(copy), places(simulation))
    assert back.integrator.energy_error == simulation.integrator.energy_error


def test_an_archive_is_read_as_initial_conditions_by_a_process_that_has_not_registered():
    simulation = pythagorean()
    simulation.integrate(10.0)
    simulation.save_to_file("run.bin")
    system = read_initial_conditions("run.bin")
    expected = from_simulation(simulation)[0]
    np.testing.assert_array_equal(system.position, expected.position)
    np.testing.assert_array_equal(system.velocity, expected.velocity)
    assert system.time == 10.0


def test_archives_are_written_on_the_way():
    simulation = pythagorean()
    simulation.save_to_file("run.bin", interval=2.0)
    simulation.integrate(20.0)
    assert len(rebound.Simulationarchive("run.bin")) > 2


def test_bodies_may_come_go_and_change_between_two_calls():
    simulation = pythagorean()
    simulation.integrate(2.0)
    simulation.add(m=0.1, x=10.0, vy=0.8)
    simulation.integrate(3.0)
    assert simulation.integrator.energy_error < 1e-6
    simulation.particles[0].vx += 0.1
    simulation.integrate(4.0)
    simulation.remove(3)
    before = simulation.energy()
    simulation.integrate(6.0)
    assert abs(simulation.energy() / before - 1.0) < 1e-6
    while simulation.N > 1:
        simulation.remove(1)
    place, velocity = np.array(simulation.particles[0].xyz), np.array(simulation.particles[0].vxyz)
    simulation.integrate(7.0)
    np.testing.assert_allclose(simulation.particles[0].xyz, place + velocity, rtol=0, atol=1e-14)


@pytest.mark.parametrize("exact", [0, 1])
@pytest.mark.parametrize("masses", [(1.0,), (0.0, 0.0, 0.0), (1e-3,)])
def test_bodies_that_attract_no_other_move_uniformly(masses, exact):
    simulation = rebound.Simulation()
    for body, mass in enumerate(masses):
        simulation.add(m=mass, x=body, vy=0.5 - body)
    register(simulation, 1e-8)
    simulation.dt = 0.01
    simulation.integrate(5.0, exact_finish_time=exact)
    assert simulation.t == 5.0 if exact else 5.0 <= simulation.t < 5.02
    simulation.integrate(-5.0)
    for body, particle in enumerate(simulation.particles):
        np.testing.assert_allclose(particle.xyz, [body, -5.0 * (0.5 - body), 0.0], rtol=0, atol=1e-13)


def test_the_last_of_two_bodies_moves_on_uniformly_and_may_get_company_again():
    simulation = rebound.Simulation()
    simulation.add(m=1.0)
    simulation.add(m=1e-3, a=1.0)
    register(simulation, 1e-8)
    simulation.integrate(5.0)
    simulation.remove(1)
    place, velocity = np.array(simulation.particles[0].xyz), np.array(simulation.particles[0].vxyz)
    assert np.abs(velocity).max() > 1e-5
    simulation.integrate(10.0)
    assert simulation.t == 10.0
    np.testing.assert_allclose(simulation.particles[0].xyz, place + 5.0 * velocity, rtol=0, atol=1e-14)
    simulation.add(m=1e-3, a=1.0)
    simulation.integrate(20.0)
    assert simulation.integrator.energy_error < 1e-8


def test_one_body_under_forces_of_ones_own_is_refused():
    simulation = rebound.Simulation()
    simulation.add(m=1.0)
    register(simulation)
    simulation.additional_forces = lambda pointer: None
    with pytest.raises(RuntimeError, match="additional forces"):
        simulation.integrate(1.0)


def test_the_tolerance_may_change_and_is_checked():
    simulation = pythagorean(1e-3)
    simulation.integrate(5.0)
    loose = simulation.integrator.energy_error
    simulation.integrator.tolerance = 1e-9
    simulation.integrate(10.0)
    assert simulation.integrator.energy_error <= 1e-9 < loose
    simulation.integrator.tolerance = 5.0
    with pytest.raises(RuntimeError, match="tolerance must be between"):
        simulation.integrate(11.0)
    with pytest.raises(InputError, match=r"tolerance must be between 1e-12 and 0\.1, got 0"):
        register(simulation, 0.0)


def test_the_name_alone_is_enough_once_it_is_registered():
    register()
    simulation = to_simulation(initial_conditions("kepler:e=0.5"))
    simulation.integrator = "aits"
    simulation.integrate(20.0)
    assert simulation.integrator.tolerance == 1e-8
    assert "keep the relative energy error" in simulation.integrator.__doc__


def test_several_simulations_run_at_once():
    several = [(pythagorean(tolerance), tolerance) for tolerance in (1e-3, 1e-6, 1e-9)]
    for time in (4.0, 8.0):
        for simulation, _ in several:
            simulation.integrate(time)
    for simulation, tolerance in several:
        alone = pythagorean(tolerance)
        alone.integrate(4.0)
        alone.integrate(8.0)
        np.testing.assert_array_equal(places(simulation), places(alone))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: setattr(s, "additional_forces", lambda p: None), "additional forces"),
        (lambda s: setattr(s, "collision", "line"), "collision = line cannot be followed: set .* = 'none' or 'direct'"),
        (lambda s: s.add_variation(), "variational particles"),
        (lambda s: setattr(s, "dt", 0.0), r"sim\.dt = 0\.0 does not say which way time goes"),
        (lambda s: setattr(s.particles[0], "x", float("nan")), "position of body 0"),
        (lambda s: setattr(s.particles[0], "xyz", s.particles[1].xyz), "at one point"),
    ],
)
def test_what_it_cannot_follow_is_refused_in_words(change, message):
    simulation = pythagorean()
    change(simulation)
    with pytest.raises(RuntimeError, match=message):
        simulation.integrate(1.0)


def test_a_head_on_collision_ends_with_a_sentence_or_with_the_energy_kept():
    simulation = rebound.Simulation()
    simulation.add(m=1.0, x=-1.0)
    simulation.add(m=1.0, x=1.0)
    register(simulation, 1e-6)
    try:
        simulation.integrate(10.0)
    except RuntimeError as error:
        assert "the run stopped at t = " in str(error)  # noqa: PT017
    else:
        assert simulation.integrator.energy_error < 1e-6


def archived(path, layout: float) -> rebound.Simulation:
    """A run half-way, as it comes from an archive that has this digest of its layout."""
    simulation = pythagorean()
    simulation.integrate(6.0)
    assert simulation.integrator.layout == RUN_LAYOUT != 0.0
    simulation.integrator.layout = layout
    simulation.save_to_file(str(path))
    return rebound.Simulation(str(path))


@pytest.mark.parametrize("layout", [0.0, RUN_LAYOUT])
def test_an_archive_of_this_layout_or_of_before_there_was_a_digest_goes_on_bit_by_bit(tmp_path, layout):
    whole, read = pythagorean(), archived(tmp_path / "a.bin", layout)
    for simulation in (whole, read):
        simulation.integrate(6.0)
        simulation.integrate(12.0)
    np.testing.assert_array_equal(places(read), places(whole))
    assert read.integrator.layout == RUN_LAYOUT
    assert read.integrator.steps == whole.integrator.steps


def test_an_archive_of_another_layout_is_refused_in_one_line(tmp_path):
    read = archived(tmp_path / "a.bin", 12345.0)
    with pytest.raises(RuntimeError, match=r"^the run in this archive has the layout of another version") as error:
        read.integrate(12.0)
    assert "\n" not in str(error.value)


def test_what_archives_hold_of_a_run_stands_where_they_have_it():
    head = ["N", "direction", "shown_time", "G", "softening", "tolerance", "N_active", "frame_time"]
    places = {**{name: 8 * k for k, name in enumerate(head)}, "frame_position": 64, "frame_velocity": 88}
    assert {name: offset for name, (_, offset) in HEAD.fields.items()} == places
    assert run_size(3) == 14 + 2 * (86 + 48 * 3) + 7 * 3


def test_a_second_integrator_in_a_process_is_an_error_and_no_hang():
    code = (
        "import ctypes, rebound\n"
        "from aitimestepper.bridges.rebound import register\n"
        "kind = dict(dict(rebound.Simulation._fields_)['integrator']._fields_)['callbacks']\n"
        "function = rebound.clibrebound.reb_integrator_register\n"
        "function.argtypes = [kind, ctypes.c_char_p]\n"
        "function(kind(), b'another')\n"
        "try:\n    register()\nexcept ValueError as error:\n    print(error, flush=True)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert "REBOUND takes one integrator of users in a process, and has 'another' already" in done.stdout, done.stderr
    assert done.returncode == 0


def test_a_process_ends_well_with_simulations_that_still_run():
    code = (
        "import rebound\n"
        "from aitimestepper.bridges.rebound import drive, register\n"
        "def pair():\n"
        "    sim = rebound.Simulation(); sim.add(m=1); sim.add(m=1, x=1, vy=1); return sim\n"
        "one, other = pair(), pair()\n"
        "register(one, 1e-6); other.integrator = 'leapfrog'; drive(other, 1e-3)\n"
        "one.integrate(3); other.integrate(3); print(one.t, other.t)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert os.path.basename(sys.executable)
    assert done.stdout.split()[0] == "3.0"
