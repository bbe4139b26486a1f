"""Bodies to REBOUND and back."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from aitimestepper import Config, InitialConditionsError, InputError, simulate
from aitimestepper.bridges.rebound import from_simulation, to_simulation
from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.systems.initial import InitialConditions

rebound = pytest.importorskip("rebound")


def pair(**keys) -> rebound.Simulation:
    simulation = rebound.Simulation()
    for key, value in keys.items():
        setattr(simulation, key, value)
    simulation.add(m=1.0)
    simulation.add(m=0.5, x=1.0, vy=1.2)
    simulation.move_to_com()
    return simulation


@pytest.mark.parametrize("G", [1.0, 4.0 * np.pi**2, 6.674e-8])
@pytest.mark.parametrize("spec", ["kepler:e=0.6,m2=0.3", "random:n=7,dim=3", "pythagorean", "kepler:m2=0,e=0.2"])
def test_what_goes_to_rebound_comes_back_to_the_last_bit(spec, G):
    system = initial_conditions(spec, G=G, seed=4)
    simulation = to_simulation(system, G=G, softening=0.01)
    back, settings = from_simulation(simulation)
    assert settings == {"G": G, "softening": 0.01}
    assert back.time == system.time == simulation.t
    np.testing.assert_array_equal(back.mass, system.mass)
    for one, other in ((back.position, system.position), (back.velocity, system.velocity)):
        np.testing.assert_array_equal(one[:, : system.n_dims], other)
        assert not one[:, system.n_dims :].any()


def test_the_orbit_is_the_same_in_astronomical_units_and_in_grams():
    au, sun = 1.495978707e13, 1.98847e33
    errors = []
    for units, mass, axis in ((("yr", "au", "msun"), 1.0, 5.2), (("s", "cm", "g"), sun, 5.2 * au)):
        simulation = rebound.Simulation()
        simulation.units = units
        simulation.add(m=mass)
        simulation.add(m=1e-3 * mass, a=axis, e=0.05)
        system, settings = from_simulation(simulation)
        assert f"length in {units[1]}" in system.note
        period = simulation.particles[1].P
        run = simulate(config=Config(**settings, tolerance=1e-7, duration=period), system=system)
        errors.append(np.linalg.norm(run.position[-1] - run.position[0]) / axis)
    assert max(errors) < 1e-4
    assert errors[0] == pytest.approx(errors[1], rel=0.1)


def test_units_set_G_and_contradictions_are_refused():
    system = initial_conditions("kepler")
    simulation = to_simulation(system, units=("yr", "au", "msun"))
    assert pytest.approx(4 * np.pi**2, rel=1e-4) == simulation.G
    assert from_simulation(simulation)[1]["G"] == simulation.G
    with pytest.raises(InputError, match=r"in the units .* G is 39\.47.*, not 1: leave one of the two out"):
        to_simulation(system, units=("yr", "au", "msun"), G=1.0)
    with pytest.raises(InputError, match="REBOUND does not know the units"):
        to_simulation(system, units=("yr", "ell", "msun"))


def test_names_and_time_go_along():
    system = InitialConditions([1, 1], [[-1, 0], [1, 0]], [[0, 0.3], [0, -0.3]], time=2.5, names=("Castor", "Pollux"))
    simulation = to_simulation(system)
    assert simulation.particles["Pollux"].x == 1.0
    back = from_simulation(simulation)[0]
    assert (back.names, back.time) == (("Castor", "Pollux"), 2.5)


def test_a_frame_of_a_recording_becomes_a_simulation():
    run = simulate(config=Config(ic="figure-eight", tolerance=1e-4, duration=2.0, softening=0.01))
    last, first = to_simulation(run), to_simulation(run, frame=0)
    assert (first.t, last.t, last.softening) == (0.0, 2.0, 0.01)
    np.testing.assert_array_equal([p.xyz[:2] for p in last.particles], run.position[-1])
    with pytest.raises(InputError, match="there is no frame 9999"):
        to_simulation(run, frame=9999)


def test_bodies_that_have_merged_are_one_particle():
    three = InitialConditions(
        [0.6, 0.4, 0.1], [[0.4, 0], [-0.6, 0], [0, 3]], [[0, 0], [0, 0], [0.6, 0]], radius=0.03, names=("a", "b", "c")
    )
    run = simulate(three, duration=2.0, tolerance=1e-6, collisions="merge")
    first, last = to_simulation(run, frame=0), to_simulation(run)
    assert [(p.name, p.m, p.r) for p in first.particles] == [("a", 0.6, 0.03), ("b", 0.4, 0.03), ("c", 0.1, 0.03)]
    assert [(p.name, p.m, p.r) for p in last.particles] == [("a", 1.0, run.mergers.radius[0]), ("c", 0.1, 0.03)]
    np.testing.assert_array_equal([p.xyz[:2] for p in last.particles], run.position[-1, [0, 2]])


def test_bodies_are_brought_to_the_centre_of_mass_frame():
    simulation = pair()
    for body in simulation.particles:
        body.vx += 3.0
    system = from_simulation(simulation)[0]
    assert np.abs(system.mass @ system.velocity).max() < 1e-15


def test_test_particles_lose_the_mass_that_nobody_feels():
    simulation = pair()
    simulation.N_active = 1
    system = from_simulation(simulation)[0]
    np.testing.assert_array_equal(system.mass, [1.0, 0.0])
    simulation.testparticle_type = 1
    with pytest.raises(InputError, match="testparticle_type = 1"):
        from_simulation(simulation)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.add_variation(), "variational particles"),
        (lambda s: setattr(s, "gravity", "none"), "gravity = none"),
        (lambda s: setattr(s, "collision", "direct"), "collision = direct cannot be followed"),
        (lambda s: setattr(s, "boundary", "open"), "boundary = open"),
        (lambda s: setattr(s, "additional_forces", lambda p: None), "additional forces"),
        (lambda s: [s.remove(0), s.remove(0)], "no particles"),
    ],
)
def test_more_than_point_masses_is_refused(change, message):
    simulation = pair()
    change(simulation)
    with pytest.raises(InputError, match=message):
        from_simulation(simulation)


def test_other_things_than_simulations_and_bad_numbers_are_refused():
    with pytest.raises(InputError, match=r"a rebound\.Simulation is needed, got dict"):
        from_simulation({})
    simulation = pair()
    simulation.particles[1].x = float("nan")
    with pytest.raises(InitialConditionsError, match="position of body 1"):
        from_simulation(simulation)


def test_without_rebound_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "rebound", None)
    with pytest.raises(InputError, match=r"pip install 'aitimestepper\[rebound\]'"):
        to_simulation(initial_conditions("kepler"))


def test_another_version_of_rebound_is_refused(monkeypatch):
    monkeypatch.setattr(rebound, "__version__", "4.4.3")
    with pytest.raises(InputError, match=r"rebound 4\.4\.3 is not a version"):
        to_simulation(initial_conditions("kepler"))


def test_units_go_along_both_ways():
    simulation = rebound.Simulation()
    simulation.units = ("yr", "au", "msun")
    simulation.add(m=1.0)
    simulation.add(m=1e-3, a=5.2)
    system, settings = from_simulation(simulation)
    assert system.units.names == ("au", "yr", "Msun")
    run = simulate(system, **settings, duration=1.0, tolerance=1e-6)
    assert run.G == simulation.G
    back = to_simulation(run)
    assert back.units == simulation.units
    assert back.G == simulation.G
    other = InitialConditions(system.mass, system.position, system.velocity, units=("pc", "km/s", "Msun"))
    assert to_simulation(other).G == other.units.G  # REBOUND has no name for such a unit of time
    simulation.G = 1.0
    assert from_simulation(simulation)[0].units is None


def test_a_recording_gives_its_units_and_its_G():
    system = InitialConditions([1.0, 1e-3], [[0, 0], [1, 0]], [[0, 0], [0, 6.28]], units=("au", "yr", "Msun"))
    run = simulate(system, tolerance=1e-6, duration=0.1)
    simulation = to_simulation(run)
    assert simulation.units == {"length": "au", "mass": "msun", "time": "yr"}
    assert simulation.G == run.G == system.units.G
