"""Radii of bodies: in, out, and back, with the units of the others."""

from __future__ import annotations

import numpy as np
import pytest

from aitimestepper import InitialConditions, InitialConditionsError, simulate
from aitimestepper.systems.catalogue import initial_conditions, seeded
from aitimestepper.systems.files import read_initial_conditions
from aitimestepper.systems.files_out import write_initial_conditions
from aitimestepper.systems.mergers import holders, joint_radius, masses_after, radii_after
from aitimestepper.systems.tables import bodies_from_text


def pair(**more) -> InitialConditions:
    return InitialConditions([0.6, 0.4], [[0.4, 0.0], [-0.6, 0.0]], [[0.0, 0.4], [0.0, -0.6]], **more)


def test_bodies_are_points_unless_they_have_radii():
    np.testing.assert_array_equal(pair().radius, [0.0, 0.0])
    np.testing.assert_array_equal(pair(radius=0.1).radius, [0.1, 0.1])
    np.testing.assert_array_equal(pair(radius=[0.1, 0.0]).turned.radius, [0.1, 0.0])
    with pytest.raises(ValueError, match="read-only"):
        pair(radius=0.1).radius[0] = 1.0


@pytest.mark.parametrize(
    ("radius", "message"),
    [
        ([0.1], r"one radius for each body: \(1,\) for 2"),
        ([0.1, -0.2], "radius of body 1 .* must be >= 0, got -0.2"),
        ([np.inf, 0.0], "radius of body 0 .* must be finite"),
        ("large", "radius must be a rectangular array of real numbers"),
    ],
)
def test_radii_that_are_none_are_refused(radius, message):
    with pytest.raises(InitialConditionsError, match=message):
        pair(radius=radius)


@pytest.mark.parametrize("suffix", [".csv", ".txt", ".h5"])
@pytest.mark.parametrize("units", [None, ("au", "au/yr", "Msun")])
def test_files_bring_radii_back_bit_for_bit(tmp_path, suffix, units):
    system = pair(radius=[1e-3, 1 / 3], names=("a", "b c"), units=units)
    write_initial_conditions(tmp_path / f"pair{suffix}", system)
    read = read_initial_conditions(tmp_path / f"pair{suffix}")
    np.testing.assert_array_equal(read.radius, system.radius)
    assert (read.names, read.units) == (system.names, system.units)


def test_radii_of_a_table_may_have_a_unit_of_their_own():
    text = (
        "radius [km], m [Msun], x [au], y[au], vx [au/yr], vy [au/yr]\n149597870.7, 1, 0, 0, 0, 0\n0, 0, 1, 0, 0, 1\n"
    )
    np.testing.assert_allclose(bodies_from_text(text).radius, [1.0, 0.0], rtol=1e-15)


def test_quantities_are_converted():
    u = pytest.importorskip("astropy.units")
    system = InitialConditions(
        [1.0, 0.5] * u.solMass, [[0.0], [1.0]] * u.au, [[0.0], [1.0]] * u.au / u.yr, radius=[1.0, 2.0] * u.km
    )
    np.testing.assert_allclose(system.radius * 149597870.7, [1.0, 2.0], rtol=1e-14)
    with pytest.raises(InitialConditionsError, match="radius has a unit, and mass is a bare number"):
        pair(radius=[1.0, 2.0] * u.km)


def test_recordings_have_them(tmp_path):
    run = simulate(pair(radius=[0.1, 0.2]), duration=0.1, tolerance=1e-6, output=str(tmp_path / "run.h5"))
    np.testing.assert_array_equal(run.radius, [0.1, 0.2])
    np.testing.assert_array_equal(read_initial_conditions(tmp_path / "run.h5").radius, [0.1, 0.2])


def test_rebound_has_them_both_ways(tmp_path):
    pytest.importorskip("rebound")
    from aitimestepper.bridges.rebound import from_simulation, to_simulation

    simulation = to_simulation(pair(radius=[0.1, 0.2]))
    assert [particle.r for particle in simulation.particles] == [0.1, 0.2]
    np.testing.assert_array_equal(from_simulation(simulation)[0].radius, [0.1, 0.2])
    simulate(pair(radius=[0.1, 0.2]), duration=0.1, tolerance=1e-6, output=str(tmp_path / "run.bin"))
    np.testing.assert_array_equal(read_initial_conditions(tmp_path / "run.bin").radius, [0.1, 0.2])


def test_what_mergers_leave():
    mergers = ([0, 3, 3], [1, 2, 0])
    np.testing.assert_array_equal(holders(5, *mergers), [3, 3, 3, 3, 4])
    np.testing.assert_array_equal(masses_after(np.arange(1.0, 6.0), *mergers), [0.0, 0.0, 0.0, 10.0, 5.0])
    radii = radii_after(np.ones(5), *mergers)
    np.testing.assert_allclose(radii, [0.0, 0.0, 0.0, 4 ** (1 / 3), 1.0], rtol=1e-15)
    assert joint_radius(0.0, 0.5) == pytest.approx(0.5, rel=1e-15)


def test_named_systems_take_one_radius_for_all():
    np.testing.assert_array_equal(initial_conditions("plummer:n=5,radius=0.01").radius, np.full(5, 0.01))
    assert seeded("plummer:n=5,radius=0.01,seed=3", 0) == ("plummer:n=5,radius=0.01", 3)
    with pytest.raises(InitialConditionsError, match="radius = -1 is not allowed: it must be between 0 and 1e30"):
        initial_conditions("kepler:radius=-1")


def test_the_solar_system_has_its_radii():
    pytest.importorskip("astropy")
    system = initial_conditions("solar-system")
    radii = dict(zip(system.names, system.radius * 149597870.7, strict=True))
    assert radii["Sun"] == pytest.approx(695700.0, rel=1e-14)
    assert radii["Jupiter"] / radii["Earth-Moon barycentre"] == pytest.approx(10.97, rel=1e-3)
    assert not initial_conditions("figure-eight").radius.any()
