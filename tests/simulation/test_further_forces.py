"""Relativity and oblateness of the heaviest body: precession by the formulas, energy kept, forces from potentials."""

import math

import numpy as np
import pytest

from aitimestepper import Config, ConfigError, InitialConditions, InputError, simulate
from aitimestepper.engine.layout import AX
from aitimestepper.engine.physics.gravity import forces, potential_energy
from aitimestepper.engine.physics.law import law_of
from aitimestepper.engine.run.state import flat_system
from aitimestepper.systems.orbits import Elements, two_body


def orbit(eccentricity=0.3, inclination=40.0, mass=(1.0, 0.0)):
    elements = Elements(eccentricity, 1.0, 0.0, inclination=inclination, node=20.0, pericentre=50.0)
    return two_body(mass, elements, dim=3)


def turned(run, name):
    """Degrees by which an angle has turned over a run."""
    angle = np.unwrap(np.radians(getattr(run.elements(0), name)[:, 1]))
    return math.degrees(angle[-1] - angle[0])


def radial_period(axis, eccentricity, light_speed):
    """From pericentre to pericentre: with -k / r^2 the distance moves as on a Kepler orbit of the whole energy."""
    inverse = 1.0 / axis + 2.0 * 3.0 / light_speed**2 / (axis * (1.0 - eccentricity)) ** 2
    return 2.0 * math.pi * inverse**-1.5


def turn_of_an_orbit(axis, eccentricity, light_speed):
    """Degrees between two pericentres; to first order 360 x 3 G M / (c^2 a (1 - e^2))."""
    squared = axis * (1.0 - eccentricity**2)
    return 360.0 * (math.sqrt(squared / (squared - 6.0 / light_speed**2)) - 1.0)


@pytest.mark.parametrize("integrator", ["ttl", "leapfrog"])
def test_relativity_turns_the_pericentre(integrator):
    c, orbits, eccentricity = 300.0, 50, 0.3
    duration = orbits * radial_period(1.0, eccentricity, c)
    keys = {"tolerance": 1e-10, "integrator": integrator, "relativity": True, "light_speed": c}
    run = simulate(orbit(eccentricity), duration=duration, samples=orbits, **keys)
    assert turned(run, "pericentre") == pytest.approx(orbits * turn_of_an_orbit(1.0, eccentricity, c), rel=1e-5)
    assert turned(run, "node") == pytest.approx(0.0, abs=1e-8)
    assert run.summary.energy_verdict == run.summary.position_verdict == "kept"


def test_mercury_turns_by_43_arcseconds_a_century():
    axis, eccentricity, c = 0.38709927, 0.205630, 10065.32
    pair = two_body((1.0, 0.0), Elements(eccentricity, axis, 0.0, 7.0, 48.3, 29.1), dim=3)
    system = InitialConditions(pair.mass, pair.position, pair.velocity, units=("au", "yr/2pi", "Msun"))
    period = radial_period(axis, eccentricity, c)
    run = simulate(system, duration=100 * period, tolerance=1e-11, relativity=True, samples=20)
    assert run.settings["light_speed"] == pytest.approx(c, rel=1e-6)
    century = 36525.0 / 58.13244
    assert 36.0 * turned(run, "pericentre") * century / period == pytest.approx(42.98, abs=0.01)


def test_oblateness_turns_the_node_and_the_pericentre():
    J2, radius, periods, eccentricity, inclination = 1e-3, 0.1, 50, 0.2, 50.0
    run = simulate(
        orbit(eccentricity, inclination), periods=periods, tolerance=1e-10, J2=J2, J2_radius=radius, samples=periods
    )
    size = J2 * radius**2 / (1.0 - eccentricity**2) ** 2
    cosine, phase = math.cos(math.radians(inclination)), 360.0 * periods
    assert turned(run, "node") == pytest.approx(-1.5 * size * cosine * phase, rel=5e-3)
    assert turned(run, "pericentre") == pytest.approx(0.75 * size * (5.0 * cosine**2 - 1.0) * phase, rel=2e-2)
    assert run.summary.energy_verdict == "kept"


def test_the_pole_may_point_anywhere():
    tilted = simulate(
        orbit(inclination=0.0), periods=20, tolerance=1e-9, J2=1e-2, J2_radius=0.1, J2_pole=(0.0, 1.0, 1.0)
    )
    upright = simulate(orbit(inclination=0.0), periods=20, tolerance=1e-9, J2=1e-2, J2_radius=0.1)
    assert np.ptp(tilted.elements(0).inclination[:, 1]) > 0.01
    assert np.ptp(upright.elements(0).inclination[:, 1]) < 1e-6


@pytest.mark.parametrize("seed", [1, 2])
def test_forces_are_slopes_of_the_potential(seed):
    rng = np.random.default_rng(seed)
    law = law_of(1.3, 0.0, light_speed=8.0, J2=0.3, J2_radius=0.4, J2_pole=(1.0, 2.0, -1.0))
    mass, position = np.array([0.2, 3.0, 0.5, 0.0]), rng.normal(size=(4, 3))

    def state(moved):
        return flat_system(mass, moved, np.zeros((4, 3)))

    system = state(position)
    potential, _ = forces(system, law)
    assert potential == pytest.approx(potential_energy(state(position), law), rel=1e-14)
    pull = system.reshape(-1, 4)[AX : AX + 3].T
    np.testing.assert_allclose((mass[:, None] * pull).sum(0), 0.0, atol=1e-13 * np.abs(pull).max())
    for body, axis in np.ndindex(3, 3):
        step = np.zeros((4, 3))
        step[body, axis] = 1e-5
        slope = (potential_energy(state(position + step), law) - potential_energy(state(position - step), law)) / 2e-5
        assert -slope == pytest.approx(mass[body] * pull[body, axis], rel=1e-6, abs=1e-7)


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"J2": 0.1}, "J2 and J2_radius must be set together"),
        ({"J2": 0.1, "J2_radius": 1.0, "J2_pole": (0, 0, 0)}, "J2_pole must be three numbers"),
        ({"J2_pole": (0, 1, 0)}, "J2_pole does nothing without J2"),
        ({"light_speed": 100.0}, "light_speed does nothing without relativity"),
    ],
)
def test_half_a_force_is_refused(keys, said):
    with pytest.raises(ConfigError, match=said):
        Config(**keys)


def test_relativity_needs_the_speed_of_light():
    with pytest.raises(InputError, match="relativity needs light_speed, or bodies with units"):
        simulate("figure-eight", duration=1.0, tolerance=1e-3, relativity=True)


def test_a_body_without_mass_pulls_nobody():
    bodies = InitialConditions([0.0, 0.0], [[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]])
    run = simulate(bodies, duration=2.0, tolerance=1e-3, relativity=True, light_speed=100.0, J2=0.1, J2_radius=0.1)
    np.testing.assert_array_equal(run.position[-1], [[0.0, 0.0], [1.0, 2.0]])


def test_a_weak_force_changes_little():
    plain = simulate(orbit(), periods=2, tolerance=1e-8)
    weak = simulate(orbit(), periods=2, tolerance=1e-8, relativity=True, light_speed=1e200)
    np.testing.assert_allclose(plain.position[-1], weak.position[-1], atol=1e-7)


def test_a_run_with_them_goes_on_with_them(tmp_path):
    from aitimestepper import resume

    keys = {"tolerance": 1e-8, "relativity": True, "light_speed": 50.0, "J2": 1e-3, "J2_radius": 0.1}
    path = str(tmp_path / "run.h5")
    simulate(orbit(), duration=5.0, output=path, **keys)
    whole = simulate(orbit(), duration=10.0, **keys)
    assert resume(path, duration=10.0).summary.energy_final == whole.summary.energy_final
