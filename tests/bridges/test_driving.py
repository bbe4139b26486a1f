"""REBOUND's own integrators with steps that are chosen here."""

from __future__ import annotations

import ctypes
import gc
import math
import subprocess
import sys
import weakref

import numpy as np
import pytest
from tests.builders import untrained

from aitimestepper import CalibratedStepper, CheckpointError, InputError
from aitimestepper.bridges.rebound import drive
from aitimestepper.bridges.rebound.path import MOST_BENDS
from aitimestepper.engine.run.governor import consult

rebound = pytest.importorskip("rebound")

from aitimestepper.bridges.rebound import structures  # noqa: E402
from aitimestepper.bridges.rebound.drive_vector import drive_in  # noqa: E402
from aitimestepper.bridges.rebound.driver import _drivers  # noqa: E402
from aitimestepper.bridges.rebound.heartbeat import beat, beat_callback  # noqa: E402
from aitimestepper.bridges.rebound.integrator import step  # noqa: E402


def triple(order: int = 2, e: float = 0.5, G: float = 1.0, softening: float = 0.0) -> rebound.Simulation:
    simulation = rebound.Simulation()
    simulation.G, simulation.softening = G, softening
    simulation.integrator = "leapfrog"
    simulation.integrator.order = order
    simulation.add(m=1.0)
    simulation.add(m=1e-3, a=1.0, e=e)
    simulation.add(m=2e-3, a=3.3, e=0.1, f=2.0)
    simulation.move_to_com()
    return simulation


def state(simulation) -> np.ndarray:
    return np.array([[*body.xyz, *body.vxyz] for body in simulation.particles])


def books(driver):
    return drive_in(driver._vector).books


def steps_of(simulation, n: int) -> list[float]:
    """The steps that are made."""
    times = [simulation.t]
    for _ in range(n):
        simulation.steps(1)
        times.append(simulation.t)
    return list(np.diff(times))


@pytest.mark.parametrize(("order", "tolerance"), [(2, 1e-3), (4, 1e-5), (6, 1e-6), (8, 1e-8)])
def test_the_energy_error_asked_for_is_kept_and_is_the_one_that_rebound_sees(order, tolerance):
    simulation = triple(order)
    before, worst = simulation.energy(), 0.0
    driver = drive(simulation, tolerance)
    for time in np.linspace(0.5, 60.0, 120):
        simulation.integrate(time)
        worst = max(worst, abs(simulation.energy() / before - 1.0))
    assert simulation.t == pytest.approx(60.0, rel=1e-12)
    assert 0.001 * tolerance < worst <= driver.energy_error * (1 + 1e-9) <= tolerance
    assert driver.outside_training == 0.0


def test_steps_are_those_of_the_engine_and_its_recursion():
    simulation, stepper = triple(), CalibratedStepper.load_default()
    mass = [body.m for body in simulation.particles]

    def unit() -> float:
        """The fly-by time scale, from its definition."""
        x, v = np.hsplit(state(simulation), 2)
        rates = [
            np.sum((v[i] - v[j]) ** 2) / np.sum((x[i] - x[j]) ** 2)
            + (mass[i] + mass[j]) / np.linalg.norm(x[i] - x[j]) ** 3
            for i in range(3)
            for j in range(i)
        ]
        return 1.0 / math.sqrt(max(rates))

    x, v = np.hsplit(state(simulation), 2)
    parameter = 0.7 * stepper.step(mass, x, v, 1e-3) / unit()
    wanted, expected = [], []
    drive(simulation, 1e-3)
    made = []
    for _ in range(30):
        wanted.append(1.0 / (parameter * unit()))
        rate = 2.0 * wanted[-1] - expected[-1] if expected else wanted[-1]
        expected.append(rate)
        made += steps_of(simulation, 1)
    np.testing.assert_allclose(made, 1.0 / np.array(expected), rtol=1e-12)


@pytest.mark.parametrize(("order", "tolerance"), [(2, 1e-4), (4, 1e-6), (6, 1e-7), (8, 1e-8)])
@pytest.mark.parametrize("turn", ["velocities", "time"])
def test_a_run_goes_back_the_way_it_came(order, tolerance, turn):
    simulation = triple(order)
    start = state(simulation)
    drive(simulation, tolerance)
    there = steps_of(simulation, 25)
    moved = np.abs(state(simulation) - start).max()
    if turn == "velocities":
        for body in simulation.particles:
            body.vxyz = [-speed for speed in body.vxyz]
    else:
        simulation.dt = -simulation.dt
    back = steps_of(simulation, 25)
    sign = 1.0 if turn == "velocities" else -1.0
    np.testing.assert_allclose(sign * np.array(back)[::-1], there, rtol=1e-9)
    end = state(simulation)
    end[:, 3:] *= -sign
    assert np.abs(end - start).max() < 1e-11 < moved


@pytest.mark.parametrize("outputs", [0, 7])
def test_a_run_goes_back_through_changes_of_its_scale_and_through_shortened_steps(outputs):
    simulation = triple(e=0.9)
    start = state(simulation)
    driver = drive(simulation, 1e-4)
    scales = {books(driver).network_step * books(driver).correction}
    for time in np.linspace(0.0, 15.0, outputs + 1)[1:]:
        simulation.integrate(time)
    there = steps_of(simulation, 2000 if not outputs else 10)
    scales.add(books(driver).network_step * books(driver).correction)
    n = simulation.steps_done
    assert n > 1000
    assert len(scales) == 2
    simulation.dt = -simulation.dt
    back = steps_of(simulation, n)
    np.testing.assert_allclose(-np.array(back)[: len(there)][::-1], there, rtol=1e-9)
    assert simulation.t == pytest.approx(0.0, abs=1e-10)
    assert np.abs(state(simulation) - start).max() < 1e-9


def test_the_same_output_times_are_met_on_the_way_back():
    simulation = triple(e=0.7)
    drive(simulation, 1e-4)
    times, seen = np.linspace(0.0, 20.0, 9), []
    for time in times:
        simulation.integrate(time)
        seen.append(state(simulation))
    for time, before in zip(times[::-1], seen[::-1], strict=True):
        simulation.integrate(time)
        assert np.abs(state(simulation) - before).max() < 1e-9


def test_a_path_with_too_many_bends_is_forgotten_and_the_run_goes_on():
    simulation = triple()
    driver = drive(simulation, 1e-3)
    for time in np.linspace(0.0, 40.0, MOST_BENDS + 50)[1:]:
        simulation.integrate(time)
    simulation.integrate(0.0)
    assert driver.energy_error < 1e-3


def test_steps_that_are_not_reversible_are_those_that_each_state_wants():
    simulation = triple()
    drive(simulation, 1e-3, reversible=False)
    steps_of(simulation, 3)
    one, other = simulation.dt, None
    again = triple()
    for mine, theirs in zip(again.particles, simulation.particles, strict=True):
        mine.xyz, mine.vxyz = theirs.xyz, theirs.vxyz
    drive(again, 1e-3)
    other = again.dt
    assert one == pytest.approx(other, rel=0.2)
    assert one != triple().dt


@pytest.mark.parametrize(("G", "length"), [(4 * np.pi**2, 1.0), (6.674e-8, 1.5e13)])
def test_steps_do_not_depend_on_units(G, length):
    plain, scaled = triple(), triple(G=G)
    for body in scaled.particles:
        body.xyz = [length * x for x in body.xyz]
        # In a triple made by REBOUND velocities hold sqrt(G) already.
        body.vxyz = [v / math.sqrt(length) for v in body.vxyz]
    drive(plain, 1e-3)
    drive(scaled, 1e-3)
    unit = math.sqrt(length**3 / G)
    np.testing.assert_allclose(np.array(steps_of(scaled, 20)) / unit, steps_of(plain, 20), rtol=1e-6)


def test_softening_is_part_of_the_energy_that_is_measured():
    simulation = triple(softening=0.3, e=0.8)
    driver = drive(simulation, 1e-3)
    simulation.integrate(20.0)
    assert driver.energy_error < 1e-3


def test_a_massless_body_goes_along():
    simulation = triple()
    simulation.add(m=0.0, a=0.2, e=0.2)
    driver = drive(simulation, 1e-3)
    short = simulation.dt
    simulation.integrate(5.0)
    assert driver.energy_error < 1e-3
    other = triple()
    drive(other, 1e-3)
    assert short < 0.5 * other.dt


def test_bodies_may_come_go_and_change_between_two_calls():
    simulation = triple()
    driver = drive(simulation, 1e-3)
    simulation.integrate(3.0)
    assert driver.steps > 20
    simulation.add(m=1e-3, a=0.1)
    simulation.integrate(3.1)
    assert simulation.dt < 0.01
    assert driver.energy_error < 1e-3
    simulation.remove(3)
    simulation.integrate(4.0)
    simulation.particles[1].m = 0.5
    simulation.integrate(5.0)
    assert driver.energy_error < 1e-3
    while simulation.N > 1:
        simulation.remove(1)
    place, velocity = np.array(simulation.particles[0].xyz), np.array(simulation.particles[0].vxyz)
    simulation.integrate(6.0)
    np.testing.assert_allclose(simulation.particles[0].xyz, place + velocity, rtol=0, atol=1e-12)
    simulation.add(m=1e-3, a=1.0)
    simulation.integrate(7.0)
    assert driver.energy_error < 1e-3


def test_a_function_chooses_steps_and_its_errors_are_told():
    simulation, seen = triple(), []

    def tenth(view) -> float:
        seen.append(view.t)
        return 0.01 if len(seen) < 30 else "long"

    drive(simulation, tenth)
    np.testing.assert_allclose(steps_of(simulation, 10), 0.01, rtol=1e-12)
    with pytest.raises(RuntimeError, match="the stepper must give a step > 0, got nan"):
        simulation.integrate(1.0)
    with pytest.raises(InputError, match=r"a step > 0, got -1\.0"):
        drive(triple(), lambda view: -1.0)
    broken = triple()
    drive(broken, lambda view: 0.01 if view.t == 0.0 else 1 / 0)
    with pytest.raises(RuntimeError, match="ZeroDivisionError: division by zero"):
        broken.integrate(1.0)


def test_a_heartbeat_of_the_user_is_called_too():
    simulation, times = triple(), []
    drive(simulation, 1e-3, heartbeat=lambda pointer: times.append(pointer.contents.t))
    simulation.steps(5)
    assert len(times) == 6
    other = triple()
    other.heartbeat = lambda pointer: None
    with pytest.raises(InputError, match="give it to drive as heartbeat = your_function"):
        drive(other, 1e-3)


def test_ias15_gets_its_first_step_and_keeps_the_rest():
    simulation = triple()
    simulation.integrator = "ias15"
    driver = drive(simulation, 1e-8)
    assert 0.02 < simulation.dt < 1.0
    before = simulation.energy()
    simulation.integrate(10.0)
    assert abs(simulation.energy() / before - 1.0) < 1e-14
    for what in ("energy_error", "steps", "outside_training"):
        with pytest.raises(InputError, match=r"^IAS15 chooses its own steps, .*sim\.energy\(\) and sim\.steps_done"):
            getattr(driver, what)


def test_what_a_function_drives_says_why_it_knows_no_error():
    simulation = triple()
    driver = drive(simulation, lambda sim: 0.01)
    simulation.integrate(0.1)
    assert driver.steps > 0
    with pytest.raises(InputError, match="where a function of your own chooses the steps"):
        _ = driver.energy_error


def test_several_simulations_are_driven_at_once_and_may_vanish():
    pairs = [(triple(e=e), tolerance) for e, tolerance in ((0.1, 1e-2), (0.5, 1e-3), (0.7, 1e-4))]
    drivers = [drive(simulation, tolerance) for simulation, tolerance in pairs]
    for time in (2.0, 4.0):
        for simulation, _ in pairs:
            simulation.integrate(time)
    assert all(driver.energy_error <= tolerance for driver, (_, tolerance) in zip(drivers, pairs, strict=True))
    assert drivers[0].steps < drivers[1].steps < drivers[2].steps
    del pairs, simulation
    for _ in range(20):
        simulation = triple()
        drive(simulation, 1e-3)
        simulation.integrate(1.0)


def test_another_integrator_after_the_fact_is_noticed_and_a_drive_can_be_ended():
    simulation = triple()
    driver = drive(simulation, 1e-3)
    simulation.integrate(1.0)
    simulation.integrator.order = 4
    simulation.integrate(2.0)
    fourth = triple(4)
    for mine, theirs in zip(fourth.particles, simulation.particles, strict=True):
        mine.xyz, mine.vxyz = theirs.xyz, theirs.vxyz
    drive(fourth, 1e-3)
    assert simulation.dt == pytest.approx(fourth.dt, rel=0.5)
    simulation.integrator = "whfast"
    with pytest.raises(RuntimeError, match="integrator = whfast cannot be driven"):
        simulation.integrate(3.0)
    driver.stop()
    simulation.dt = 0.05
    simulation.integrate(3.0)
    assert simulation.dt == 0.05
    simulation.heartbeat = lambda pointer: None


def test_other_weights_need_to_be_calibrated_and_a_tolerance(tmp_path):
    with pytest.raises(CheckpointError, match="not calibrated"):
        CalibratedStepper.load(untrained(tmp_path / "m.safetensors"))
    stepper = CalibratedStepper.load_default()
    one, other = triple(), triple()
    drive(one, stepper, tolerance=1e-3)
    drive(other, 1e-3)
    assert one.dt == other.dt
    with pytest.raises(InputError, match="a CalibratedStepper needs a tolerance"):
        drive(triple(), stepper)
    with pytest.raises(InputError, match="drive\\(sim, 1e-5\\) needs no other"):
        drive(triple(), 1e-3, tolerance=1e-3)
    with pytest.raises(InputError, match="tolerance must be between"):
        drive(triple(), 2.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: setattr(s, "integrator", "whfast"), "integrator = whfast cannot be driven"),
        (lambda s: setattr(s.integrator, "order", 3), "order must be 2, 4, 6 or 8, got 3"),
        (lambda s: setattr(s, "additional_forces", lambda p: None), "drive with governed = False"),
        (lambda s: setattr(s, "extras", 1), r"sim\.extras is in use"),
        (lambda s: s.add_variation(), "variational particles"),
    ],
)
def test_what_cannot_be_driven_is_refused(change, message):
    simulation = triple()
    change(simulation)
    with pytest.raises(InputError, match=message):
        drive(simulation, 1e-3)
    simulation.extras = None


def test_additional_forces_may_be_there_when_nothing_is_measured():
    simulation = triple()
    simulation.additional_forces = lambda pointer: None
    driver = drive(simulation, 1e-3, governed=False)
    simulation.integrate(1.0)
    with pytest.raises(InputError, match="governed = False"):
        _ = driver.energy_error


def test_a_step_that_does_not_advance_the_time_is_an_error():
    simulation = rebound.Simulation()
    simulation.integrator = "leapfrog"
    simulation.add(m=1.0, x=-1.0)
    simulation.add(m=1.0, x=1.0)
    drive(simulation, 1e-3)
    with pytest.raises(RuntimeError, match=r"the run stopped at t = .*the step wanted is"):
        simulation.integrate(10.0)


def test_a_driver_lives_until_its_simulation_is_freed_or_the_drive_is_stopped():
    before = set(_drivers)
    pairs = [triple(e=e) for e in (0.1, 0.2)]
    drivers = [drive(simulation, 1e-3, heartbeat=beat) for simulation, beat in zip(pairs, (None, print), strict=True)]
    new = set(_drivers) - before
    assert len(new) == 2
    drivers[0].stop()
    assert len(new & set(_drivers)) == 1
    gone = weakref.ref(drivers.pop())
    assert gone() is not None
    del pairs[1]
    gc.collect()
    assert not new & set(_drivers)
    assert gone() is None
    pairs[0].steps(1)


class Moved(ctypes.Structure):
    _fields_ = (("m", ctypes.c_double), ("flag", ctypes.c_int), ("x", ctypes.c_float), ("inner", rebound.Particle))


def test_fields_of_rebound_are_found_where_they_are_and_missed_where_they_are_not():
    record = structures.record_of(Moved, {"mass": "m", "flag": "flag", "velocity": "inner.vx"})
    places = {name: (str(kind), offset) for name, (kind, offset) in record.fields.items()}
    assert places == {"mass": ("float64", 0), "flag": ("int32", 8), "velocity": ("float64", 16 + 3 * 8)}
    assert record.itemsize == ctypes.sizeof(Moved)
    with pytest.raises(
        InputError, match=r"has no gone, x of the kind that 5\.2\.2 has, .*pip install 'rebound==5\.2\.2'"
    ):
        structures.record_of(Moved, {"mass": "m", "gone": "gone", "x": "x"})


def test_what_looks_into_rebound_is_compiled_anew_for_another_version():
    stamps = {function._cache._cache_file._source_stamp for function in (beat, step, beat_callback)}
    assert len(stamps) == 1
    assert rebound.__version__ in stamps.pop()
    assert rebound.__version__ not in consult._cache._cache_file._source_stamp


@pytest.mark.parametrize("call", ["drive(sim, 1e-3)", "register(sim)"])
def test_a_rebound_that_lacks_a_field_is_refused(call):
    code = (
        "import ctypes, rebound\n"
        "sim = rebound.Simulation(); sim.integrator = 'leapfrog'\n"
        "class Particle(ctypes.Structure):\n"
        "    _fields_ = [field for field in rebound.Particle._fields_ if field[0] != 'm']\n"
        "rebound.Particle = Particle\n"
        "from aitimestepper.bridges.rebound import drive, register\n"
        f"try:\n    {call}\nexcept ValueError as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=True)
    assert done.stdout.startswith("InputError rebound 5.2.2 has no m of the kind that 5.2.2 has"), done.stdout
