"""What a recording gives out: bodies by name, orbital elements, tables of pandas and xarray, and a short text."""

import math

import numpy as np
import pytest

from aitimestepper import InitialConditions, InputError, Recording, simulate
from aitimestepper.systems.orbits import Elements, two_body


@pytest.fixture(scope="module")
def orbit() -> Recording:
    """An inclined orbit over a whole period."""
    elements = Elements(0.6, 2.0, 40.0, inclination=30.0, node=70.0, pericentre=110.0)
    system = two_body((1.0, 0.25), elements, dim=3, names=("star", "planet"))
    return simulate(system, periods=1, tolerance=1e-10, samples=8)


def test_bodies_by_name_and_number(orbit):
    assert len(orbit.bodies) == 2
    planet = orbit.bodies["planet"]
    assert (planet.index, planet.name, planet.mass) == (1, "planet", 0.25)
    np.testing.assert_array_equal(planet.position, orbit.position[:, 1])
    np.testing.assert_array_equal(orbit.bodies[-1].velocity, orbit.velocity[:, 1])
    assert [body.name for body in orbit.bodies] == ["star", "planet"]
    assert repr(orbit.bodies) == "<2 bodies: star, planet>"
    with pytest.raises(InputError, match="no body is called 'planett'; did you mean planet"):
        orbit.bodies["planett"]
    with pytest.raises(InputError, match="there is no body 2: the run has 2"):
        orbit.elements(2)
    with pytest.raises(InputError, match="the bodies have no names"):
        simulate("figure-eight", duration=0.1, tolerance=1e-3).bodies["a"]


@pytest.mark.parametrize("primary", [None, "star", 0])
def test_elements_are_those_that_the_orbit_was_made_of(orbit, primary):
    found = orbit.elements(primary)
    assert np.isnan(found.semi_major_axis[:, 0]).all()
    for name, value, error in (
        ("semi_major_axis", 2.0, 1e-8),
        ("eccentricity", 0.6, 1e-8),
        ("inclination", 30.0, 1e-6),
        ("node", 70.0, 1e-6),
        ("pericentre", 110.0, 1e-6),
        ("period", math.tau * math.sqrt(8.0 / 1.25), 1e-7),
    ):
        np.testing.assert_allclose(getattr(found, name)[:, 1], value, atol=error, err_msg=name)
    expected = (40.0 + 45.0 * np.arange(9) + 180.0) % 360.0 - 180.0
    np.testing.assert_allclose(found.mean_anomaly[:, 1], expected, atol=1e-5)


def test_elements_in_the_plane_and_on_a_hyperbola():
    run = simulate("kepler:e=0.3", periods=0.25, tolerance=1e-8)
    found = run.elements()
    np.testing.assert_allclose(found.eccentricity[:, 1], 0.3, atol=1e-6)
    assert found.inclination[0, 1] == found.node[0, 1] == 0.0
    mass, position, velocity = [1.0, 0.0], [[0.0, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 2.0]]
    fast = simulate(InitialConditions(mass, position, velocity), duration=3.0, tolerance=1e-8).elements(0)
    assert fast.semi_major_axis[-1, 1] == pytest.approx(-0.5)
    assert fast.eccentricity[-1, 1] == pytest.approx(3.0)
    assert np.isnan(fast.period[:, 1]).all()
    # M = e sinh F - F grows with the mean motion, sqrt(G M / |a|^3).
    rate = np.diff(np.radians(fast.mean_anomaly[:, 1])) / np.diff(simulate_times(fast, mass, position, velocity))
    np.testing.assert_allclose(rate, math.sqrt(1.0 / 0.125), rtol=1e-5)


def simulate_times(found, mass, position, velocity):
    run = simulate(InitialConditions(mass, position, velocity), duration=3.0, tolerance=1e-8)
    assert len(run.time) == len(found.period)
    return run.time


def test_elements_are_those_of_rebound():
    pytest.importorskip("rebound")
    from aitimestepper.bridges.rebound import to_simulation

    run = simulate("hierarchical-triple:inc=40,e_in=0.5", duration=5.0, tolerance=1e-8)
    found = run.elements()
    for k, orbit in enumerate(to_simulation(run).orbits(), start=1):
        assert found.semi_major_axis[-1, k] == pytest.approx(orbit.a, rel=1e-10)
        assert found.eccentricity[-1, k] == pytest.approx(orbit.e, rel=1e-10)
        assert found.inclination[-1, k] == pytest.approx(math.degrees(orbit.inc), abs=1e-6)
        assert math.remainder(found.mean_anomaly[-1, k] - math.degrees(orbit.M), 360.0) == pytest.approx(0, abs=1e-8)


def test_tables_of_pandas_and_xarray(orbit):
    pytest.importorskip("pandas")
    frame = orbit.to_pandas()
    assert list(frame.columns) == ["mass", "x", "y", "z", "vx", "vy", "vz"]
    np.testing.assert_array_equal(frame.xs("planet", level="body")["vz"], orbit.velocity[:, 1, 2])
    pytest.importorskip("xarray")
    data = orbit.to_xarray()
    assert dict(data.sizes) == {"time": 9, "body": 2, "axis": 3}
    np.testing.assert_array_equal(data.position.sel(body="star", axis="y"), orbit.position[:, 0, 1])
    assert data.attrs["G"] == 1.0


def test_a_run_shows_its_verdicts_and_no_arrays(orbit):
    text = repr(orbit)
    assert len(text.splitlines()) <= 10
    assert "asked 1e-10: kept" in text
    assert "local position error" in text
    assert "array" not in text
    assert repr(orbit.frames) == "<Frames: 9 states of 2 bodies>"
    assert "<td" in orbit._repr_html_()
    assert "energy verdict" in repr(orbit.summary)
