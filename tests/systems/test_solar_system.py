import datetime
import math
import socket
import sys

import numpy as np
import pytest

from aitimestepper import InitialConditionsError
from aitimestepper.systems.solar_system import GAUSS, INVERSE_MASSES, NAMES, solar_system

pytest.importorskip("astropy")

NEW_YEAR = datetime.date(2026, 1, 1)


@pytest.fixture(scope="module")
def planets():
    return solar_system(NEW_YEAR)


def heliocentric(system):
    return system.position[1:] - system.position[0], system.velocity[1:] - system.velocity[0]


def semi_major_axes(system):
    r, v = heliocentric(system)
    gm = system.mass[0] + system.mass[1:]
    return 1.0 / (2.0 / np.linalg.norm(r, axis=1) - np.sum(v**2, axis=1) / gm)


def test_the_planets_come_without_a_network(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert solar_system(datetime.date(2031, 5, 17)).names == NAMES


def test_semi_major_axes_are_those_of_the_textbooks(planets):
    """Mean elements of J2000 (Murray & Dermott 1999, table A.2); osculating ones waver by 1 % for the outer planets."""
    expected = [0.38710, 0.72333, 1.00000, 1.52366, 5.20336, 9.53707, 19.1913, 30.0690]
    np.testing.assert_allclose(semi_major_axes(planets)[:4], expected[:4], rtol=3e-4)
    np.testing.assert_allclose(semi_major_axes(planets)[4:], expected[4:], rtol=1.2e-2)


def test_the_earth_takes_a_year_and_mercury_gives_the_period(planets):
    a = semi_major_axes(planets)
    gaussian_year = math.tau / GAUSS
    assert a[2] ** 1.5 * gaussian_year == pytest.approx(365.25, abs=0.1)
    assert planets.period == pytest.approx(math.tau * a[0] ** 1.5, rel=1e-6)
    assert planets.period / math.tau * gaussian_year == pytest.approx(87.97, abs=0.01)


def test_axes_are_those_of_the_ecliptic(planets):
    r, v = heliocentric(planets)
    normal = np.cross(r[2], v[2])
    assert math.degrees(math.acos(normal[2] / np.linalg.norm(normal))) < 0.01
    # On 1 January the Earth is seen from the Sun at an ecliptic longitude of about 100 degrees.
    assert math.degrees(math.atan2(r[2, 1], r[2, 0])) == pytest.approx(100.5, abs=1.0)


def test_velocities_are_the_derivative_of_the_positions():
    """A day between three dates: the central difference misses the velocity by a sixth of the third derivative."""
    before, now, after = (solar_system(NEW_YEAR + datetime.timedelta(days)) for days in (-1, 0, 1))
    difference = (heliocentric(after)[0] - heliocentric(before)[0]) / (2.0 * GAUSS)
    r, v = heliocentric(now)
    allowed = np.linalg.norm(v, axis=1) * GAUSS**2 / np.linalg.norm(r, axis=1) ** 3
    assert (np.linalg.norm(difference - v, axis=1) < allowed).all()


def test_the_system_rests_and_says_that_it_is_approximate(planets):
    assert np.abs(planets.mass @ planets.velocity).max() < 1e-17
    assert (planets.n_bodies, planets.n_dims) == (9, 3)
    assert len(INVERSE_MASSES) == len(NAMES)
    assert "approximate" in planets.note


def test_without_astropy_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "astropy.coordinates", None)
    with pytest.raises(InitialConditionsError, match=r"pip install 'aitimestepper\[solar\]'"):
        solar_system(NEW_YEAR)


@pytest.mark.validation
@pytest.mark.parametrize(
    ("start", "end", "saturn"),
    [
        (datetime.date(2000, 1, 1), datetime.date(2010, 1, 1), 0.012),
        (NEW_YEAR, datetime.date(2036, 1, 1), 0.022),
    ],
)
def test_ten_years_of_integration_stay_near_the_ephemeris(start, end, saturn):
    rebound = pytest.importorskip("rebound")
    system = solar_system(start)
    simulation = rebound.Simulation()
    for m, (x, y, z), (vx, vy, vz) in zip(system.mass, system.position, system.velocity, strict=True):
        simulation.add(m=m, x=x, y=y, z=z, vx=vx, vy=vy, vz=vz)
    simulation.integrate((end - start).days * GAUSS)
    positions = np.array([particle.xyz for particle in simulation.particles])
    offset = np.linalg.norm((positions - positions[0])[1:] - heliocentric(solar_system(end))[0], axis=1)
    earth_moon, ringed = offset[2], offset[5]
    assert earth_moon < 0.005
    assert ringed < saturn
    assert offset.max() < 0.025
