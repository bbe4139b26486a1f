import numpy as np
import pytest

from aitimestepper.systems.clusters import kinetic_energy, potential_energy
from aitimestepper.systems.three_body import PERIODIC_ORBITS, periodic_orbit, pythagorean


def energy(system):
    return kinetic_energy(system.mass, system.velocity) + potential_energy(system.mass, system.position)


def test_figure_eight_has_its_published_energy_and_no_angular_momentum():
    system = periodic_orbit("figure-eight")
    assert energy(system) == pytest.approx(-1.287141995633, abs=1e-12)
    x, v = system.position.T, system.velocity.T
    assert system.mass @ (x[0] * v[1] - x[1] * v[0]) == pytest.approx(0.0, abs=1e-15)
    assert system.period == 6.3259139829


@pytest.mark.parametrize("name", PERIODIC_ORBITS)
def test_periodic_orbits_rest_in_the_centre_of_mass_frame(name):
    system = periodic_orbit(name)
    np.testing.assert_allclose(system.mass @ system.velocity, 0.0, atol=1e-16)
    np.testing.assert_array_equal(system.position[:2], [[-1.0, 0.0], [1.0, 0.0]])
    assert energy(system) < 0 < system.period


@pytest.mark.validation
@pytest.mark.parametrize("name", PERIODIC_ORBITS)
def test_periodic_orbits_close(name):
    """REBOUND's IAS15 returns to the start as nearly as the published digits allow."""
    rebound = pytest.importorskip("rebound")
    system = periodic_orbit(name)
    simulation = rebound.Simulation()
    # The default criterion of IAS15 looks at each body alone, and its step falls to 1e-46 where the force on the
    # middle one of three bodies in a line vanishes. Mode 1 looks at all bodies together.
    simulation.integrator.adaptive_mode = 1
    for m, (x, y), (vx, vy) in zip(system.mass, system.position, system.velocity, strict=True):
        simulation.add(m=m, x=x, y=y, vx=vx, vy=vy)
    simulation.integrate(system.period)
    end = np.array([particle.xyz[:2] for particle in simulation.particles])
    assert np.abs(end - system.position).max() < (1e-7 if "Liao" in PERIODIC_ORBITS[name].source else 2e-3)


def test_pythagorean_triangle_has_sides_3_4_5_opposite_their_masses():
    system = pythagorean()
    sides = [np.linalg.norm(system.position[i] - system.position[j]) for i, j in ((1, 2), (0, 2), (0, 1))]
    np.testing.assert_array_equal(sides, [3.0, 4.0, 5.0])
    np.testing.assert_array_equal(system.mass, [3.0, 4.0, 5.0])
    assert not system.velocity.any()
    assert energy(system) == pytest.approx(-(12 / 5 + 15 / 4 + 20 / 3), rel=1e-15)
