"""The adapter to AMUSE, with a stand-in that has only the interface that it uses."""

from __future__ import annotations

import numpy as np
import pytest
from tests.bridges.amuse_stand_in import AU, MSun, Particles, Unit, kg, kms, m, s, yr
from tests.bridges.amuse_stand_in import G as NEWTON

from aitimestepper import CalibratedStepper, Config, InputError, simulate
from aitimestepper.bridges.amuse import Gravity, timestep
from aitimestepper.systems.initial import InitialConditions

MASS = np.array([1.0, 9.5e-4, 2.9e-4])
"""About the Sun, Jupiter and Saturn, in solar masses."""
POSITION = np.array([[0.0, 0.0, 0.0], [5.2, 0.1, 0.05], [-1.0, 9.4, 0.2]])
"""In au."""
VELOCITY = np.array([[0.0, 0.0, 0.0], [-0.2, 13.0, 0.1], [-9.6, -0.9, 0.3]])
"""In km/s."""


def planets(drift: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> Particles:
    return Particles(MASS | MSun, POSITION | AU, VELOCITY + np.array(drift) | kms)


def in_si(particles: Particles) -> Particles:
    quantities = (particles.mass, kg), (particles.position, m), (particles.velocity, m / s)
    return Particles(*(quantity.value_in(unit) | unit for quantity, unit in quantities))


def test_the_step_is_the_stepper_s_whatever_the_units():
    step = timestep(planets(), 1e-6, G=NEWTON)
    # In solar masses, au and the unit of time that makes G one.
    speed = np.sqrt(NEWTON.number * MSun.factor / AU.factor)
    own = CalibratedStepper.load_default().step(MASS, POSITION, VELOCITY * 1000 / speed, 1e-6)
    assert step.value_in(s) == pytest.approx(own * AU.factor / speed, rel=1e-9)
    assert timestep(in_si(planets()), 1e-6, G=NEWTON).value_in(yr) == pytest.approx(float(step.value_in(yr)), rel=1e-9)
    assert 0.001 < step.value_in(yr) < 2


def test_scheme_softening_and_tolerance_reach_the_stepper():
    plain, *others = (
        float(timestep(planets(), **{"tolerance": 1e-6, **more}, G=NEWTON).value_in(yr))
        for more in ({}, {"order": 6}, {"integrator": "ttl"}, {"tolerance": 1e-9}, {"softening": 3.0 | AU})
    )
    assert len({plain, *others}) == 5


def test_a_solver_goes_to_a_time_and_writes_back():
    particles = planets()
    solver = Gravity(particles, G=NEWTON, tolerance=1e-8)
    for end in (4.0, 11.9):
        solver.evolve_model(end | yr)
        assert solver.model_time.value_in(yr) == end
        assert solver.summary is not None
        assert solver.summary.energy_error_max <= 1e-8
    to_numbers = NEWTON.value_in(kms**2 * AU / MSun)
    system = InitialConditions(MASS, POSITION, VELOCITY)
    run = simulate(
        config=Config(duration=11.9 * yr.factor / (AU.factor / 1000), tolerance=1e-10, G=float(to_numbers)),
        system=system,
    )
    weight = MASS / MASS.sum()
    centre = weight @ POSITION + (weight @ VELOCITY) * run.time[-1]
    assert np.abs(particles.position.value_in(AU) - centre - run.position[-1]).max() < 1e-4
    assert particles.position.unit == AU
    assert particles.velocity.unit == kms
    solver.stop()


def test_a_system_that_moves_as_a_whole_moves_on():
    still, moving = planets(), planets(drift=(30.0, -40.0, 5.0))
    for particles in (still, moving):
        Gravity(particles, G=NEWTON).evolve_model(2.0 | yr)
    way = np.array([30.0, -40.0, 5.0]) * 1000 * 2 * yr.factor / AU.factor
    assert np.allclose(moving.position.value_in(AU) - still.position.value_in(AU), way, rtol=0, atol=1e-6)
    assert np.allclose(moving.velocity.value_in(kms) - still.velocity.value_in(kms), [30.0, -40.0, 5.0], atol=1e-6)


def test_kicks_between_two_calls_are_seen():
    particles = planets()
    solver = Gravity(particles, G=NEWTON, begin_time=7.0 | yr)
    solver.evolve_model(7.0 | yr)  # nothing to do
    assert solver.summary is None
    particles.velocity = -particles.velocity.value_in(kms) | kms
    backwards = particles.velocity.value_in(kms)
    solver.evolve_model(7.001 | yr)
    assert np.allclose(particles.velocity.value_in(kms), backwards, atol=0.1)


def test_what_cannot_be_done_is_said():
    solver = Gravity(planets(), G=NEWTON, begin_time=7.0 | yr)
    with pytest.raises(InputError, match="can only go on"):
        solver.evolve_model(6.0 | yr)
    with pytest.raises(TypeError, match="cannot express"):  # AMUSE's own words about units that do not fit
        timestep(planets(), 1e-6, G=1.0 | Unit(1.0, (0.0, 0.0, 0.0)))
    with pytest.raises(InputError, match="tolerance"):
        timestep(planets(), 1.0, G=NEWTON)
