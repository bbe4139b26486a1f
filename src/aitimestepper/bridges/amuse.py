"""AMUSE: steps for particle sets, and a gravity solver with the methods that AMUSE's own solvers have.

Nothing of AMUSE is imported. What is used of it is the particle set - `mass`, `position` and `velocity`, as quantities
that know their units - and the arithmetic of units, so SI, astronomical and N-body units all work.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.config.schema import Config
from aitimestepper.errors import InputError
from aitimestepper.names import Integrator
from aitimestepper.recordings.parts import Summary
from aitimestepper.simulation.run import simulate
from aitimestepper.simulation.stepper import CalibratedStepper
from aitimestepper.systems.initial import InitialConditions


class _Numbers(NamedTuple):
    """A particle set in its own units, and what turns numbers back into quantities."""

    mass: Floats
    position: Floats
    velocity: Floats
    G: float
    softening: float
    length_unit: Any
    speed_unit: Any

    @property
    def time_unit(self) -> Any:
        return self.length_unit / self.speed_unit


def timestep(
    particles: Any,
    tolerance: float,
    *,
    G: Any,
    softening: Any = None,
    integrator: Integrator = "leapfrog",
    order: int = 2,
    stepper: CalibratedStepper | None = None,
) -> Any:
    """The step that the calibrated weights choose for a particle set.

    Args:
        particles: a set of N >= 2 particles with `mass`, `position` and `velocity`.
        tolerance: relative energy error that a run with such steps may have, 1e-12 to 0.1.
        G: the gravitational constant as a quantity: `constants.G`, or `nbody_system.G` for N-body units.
        softening: Plummer length as a quantity; None for none.
        integrator, order: of the scheme that will take the step, as for `CalibratedStepper.step`.
        stepper: other weights than those of the package.

    Returns:
        A time as a quantity, in the unit of length over that of velocity. For `ttl` it is the fictitious time.

    Raises:
        InputError: a shape does not fit, or an argument is out of range.
    """
    numbers = _numbers_of(particles, G, softening)
    step = (stepper or CalibratedStepper.load_default()).step(
        *numbers[:3], tolerance, integrator=integrator, order=order, G=numbers.G, softening=numbers.softening
    )
    return step | numbers.time_unit


class Gravity:
    """A gravity solver for a particle set: calibrated steps, errors measured and kept to what is asked.

    It has the methods by which AMUSE drives its own solvers. State is read from the particles at the start of each
    `evolve_model` and written back at its end, so other programs may kick, move, add or remove particles between.

    Attributes:
        particles: the set that it moves.
        tolerance: relative energy error asked of each call of `evolve_model`.
        model_time: simulated time, a quantity.
        summary: what the last call asked, achieved and cost; None before the first.
    """

    def __init__(
        self, particles: Any, *, G: Any, tolerance: float = 1e-6, softening: Any = None, begin_time: Any = None
    ) -> None:
        """Take over a particle set.

        Args:
            particles, G, softening: as for `timestep`.
            tolerance: 1e-12 to 0.1.
            begin_time: the first `model_time`; None for 0.
        """
        self.particles, self.tolerance = particles, tolerance
        self._gravity, self._softening = G, softening
        self.model_time = 0.0 | _numbers_of(particles, G, softening).time_unit if begin_time is None else begin_time
        self.summary: Summary | None = None

    def evolve_model(self, end_time: Any, progress: Callable[[float], None] | None = None) -> None:
        """Advance all particles to a time.

        Args:
            end_time: a quantity, at least `model_time`.
            progress: called several times a second with the part that is done, 0 to 1.

        Raises:
            InputError: the time lies before `model_time`, or the particles are no system that can be run.
            SimulationError: the run could not go on; the particles stay as they were.
        """
        numbers = _numbers_of(self.particles, self._gravity, self._softening)
        duration = float((end_time - self.model_time).value_in(numbers.time_unit))
        if duration < 0:
            raise InputError(f"evolve_model can only go on: {end_time} lies before {self.model_time}")
        if duration > 0:
            self._advance(numbers, duration, progress)
        self.model_time = end_time

    def _advance(self, numbers: _Numbers, duration: float, progress: Callable[[float], None] | None) -> None:
        weight = numbers.mass / (numbers.mass.sum() or 1.0)  # without mass, the run is about the origin
        centre, drift = weight @ numbers.position, weight @ numbers.velocity
        config = Config(duration=duration, tolerance=self.tolerance, G=numbers.G, softening=numbers.softening)
        system = InitialConditions(numbers.mass, numbers.position, numbers.velocity)
        recording = simulate(system, config, progress=progress or False)
        # The run is one about the centre of mass, which moves on uniformly.
        self.particles.position = (recording.position[-1] + centre + drift * duration) | numbers.length_unit
        self.particles.velocity = (recording.velocity[-1] + drift) | numbers.speed_unit
        self.summary = recording.summary

    def stop(self) -> None:
        """There is no worker process to end; here for programs that end all their solvers."""


def _numbers_of(particles: Any, G: Any, softening: Any) -> _Numbers:
    mass, position, velocity = particles.mass, particles.position, particles.velocity
    length, speed = position.unit, velocity.unit
    return _Numbers(
        mass=_floats(mass.value_in(mass.unit)),
        position=_floats(position.value_in(length)),
        velocity=_floats(velocity.value_in(speed)),
        G=float(G.value_in(speed**2 * length / mass.unit)),
        softening=0.0 if softening is None else float(softening.value_in(length)),
        length_unit=length,
        speed_unit=speed,
    )


def _floats(values: Any) -> Floats:
    return np.asarray(values, dtype=np.float64)
