"""What REBOUND does by itself after its steps, with the calibrated run as its integrator: at the time it is due."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aitimestepper.bridges.rebound import register, to_simulation
from aitimestepper.systems.catalogue import initial_conditions

rebound = pytest.importorskip("rebound")


def leaving(tolerance: float | None = None) -> rebound.Simulation:
    """A star, a planet, and a body that leaves; with IAS15 where no tolerance is asked."""
    simulation = rebound.Simulation()
    simulation.add(m=1.0)
    simulation.add(m=1e-3, a=1.0)
    simulation.add(m=1e-6, x=3.0, vy=2.0)
    simulation.move_to_com()
    if tolerance is not None:
        register(simulation, tolerance)
    return simulation


def pythagorean(tolerance: float | None = None) -> rebound.Simulation:
    simulation = to_simulation(initial_conditions("pythagorean"))
    if tolerance is not None:
        register(simulation, tolerance)
    return simulation


def farthest(simulation) -> float:
    return max(math.hypot(*body.xyz) for body in simulation.particles)


def closest(simulation) -> float:
    places = np.array([body.xyz for body in simulation.particles])
    return min(np.linalg.norm(places[i] - places[j]) for i in range(len(places)) for j in range(i))


@pytest.mark.parametrize("tolerance", [1e-3, 1e-6, 1e-10])
def test_a_body_that_leaves_ends_the_run_at_the_step_in_which_ias15_ends_it(tolerance):
    times = []
    for simulation in (leaving(), leaving(tolerance)):
        simulation.exit_max_distance = 10.0
        with pytest.raises(rebound.Escape):
            simulation.integrate(1000.0)
        assert 10.0 < farthest(simulation) < 11.0
        times.append(simulation.t)
    assert times[1] == pytest.approx(times[0], abs=0.5)


def test_a_body_that_leaves_is_found_where_the_simulation_drifts_and_time_runs_back():
    simulation = leaving(1e-6)
    for body in simulation.particles:
        body.vx += 1.0
        body.vxyz = [-component for component in body.vxyz]
    simulation.exit_max_distance = 10.0
    with pytest.raises(rebound.Escape):
        simulation.integrate(-1000.0)
    assert 10.0 < farthest(simulation) < 11.0
    assert -6.0 < simulation.t < -2.0


def test_two_bodies_that_come_close_end_the_run_at_the_step_in_which_ias15_ends_it():
    times = []
    for simulation in (pythagorean(), pythagorean(1e-8)):
        simulation.exit_min_distance = 0.02
        with pytest.raises(rebound.Encounter):
            simulation.integrate(20.0)
        assert closest(simulation) < 0.02
        times.append(simulation.t)
    assert times[1] == pytest.approx(times[0], abs=2e-3)


def test_after_an_exit_the_run_goes_on_with_its_errors():
    simulation = leaving(1e-6)
    simulation.exit_max_distance = 10.0
    with pytest.raises(rebound.Escape):
        simulation.integrate(1000.0)
    steps, energy = simulation.integrator.steps, simulation.energy()
    simulation.exit_max_distance = 50.0
    with pytest.raises(rebound.Escape):
        simulation.integrate(1000.0)
    assert 50.0 < farthest(simulation) < 54.0
    assert simulation.integrator.steps > steps
    assert abs(simulation.energy() / energy - 1.0) < 1e-6


def test_exits_that_are_never_met_change_no_bit():
    ends = []
    for distance in (0.0, 1e6):
        simulation = pythagorean(1e-6)
        simulation.exit_max_distance, simulation.exit_min_distance = distance, 1e-9 if distance else 0.0
        simulation.integrate(30.0)
        ends.append([body.xyz for body in simulation.particles])
    assert ends[0] == ends[1]


@pytest.mark.parametrize("direction", [1.0, -1.0])
def test_snapshots_at_an_interval_are_of_exactly_those_times(direction):
    simulation = leaving(1e-6)
    simulation.dt *= direction
    simulation.save_to_file("run.bin", interval=1.0)
    simulation.integrate(direction * 100.0)
    archive = rebound.Simulationarchive("run.bin")
    assert [snapshot.t for snapshot in archive] == [direction * k for k in range(101)]
    alone = leaving(1e-6)
    alone.integrate(direction * 37.0)
    for body, expected in zip(archive[37].particles, alone.particles, strict=True):
        assert body.xyz == pytest.approx(expected.xyz, abs=1e-6)


def test_a_body_that_leaves_is_found_between_two_snapshots():
    simulation = leaving(1e-6)
    simulation.exit_max_distance = 10.0
    simulation.save_to_file("run.bin", interval=0.25)
    with pytest.raises(rebound.Escape):
        simulation.integrate(1000.0)
    assert 10.0 < farthest(simulation) < 11.0
    assert len(rebound.Simulationarchive("run.bin")) > 4 * 4.5


def test_bodies_that_touch_are_found_when_ias15_finds_them_and_may_merge():
    times, left = [], []
    for simulation in (pythagorean(), pythagorean(1e-8)):
        for body in simulation.particles:
            body.r = 0.01
        simulation.collision, simulation.collision_resolve = "direct", "halt"
        with pytest.raises(rebound.Collision):
            simulation.integrate(20.0)
        times.append(simulation.t)
        simulation.collision_resolve = "merge"
        simulation.integrate(20.0)
        assert simulation.t == 20.0
        left.append(simulation.N)
        assert sum(body.m for body in simulation.particles) == 12.0
        for component in zip(*(body.m * np.array(body.vxyz) for body in simulation.particles), strict=True):
            assert abs(sum(component)) < 1e-9
    assert times[1] == pytest.approx(times[0], abs=2e-3)
    assert left[0] == left[1] < 3
