"""`CalibratedStepper`: the calibrated weights for a program of one's own, a step for a state and a tolerance."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from aitimestepper.config.schema import Config
from aitimestepper.constants import TRAITS
from aitimestepper.engine.physics.criteria import fly_by_rate
from aitimestepper.engine.physics.integrators import TTL
from aitimestepper.engine.run.governed_rollout import scratch
from aitimestepper.engine.run.governor import consult, parameter
from aitimestepper.engine.run.plan import Plan
from aitimestepper.errors import CheckpointError, InputError
from aitimestepper.names import Integrator
from aitimestepper.simulation.planning import new_run
from aitimestepper.simulation.plans import calibrated_plan
from aitimestepper.simulation.request import Settings
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.quantities import is_quantity
from aitimestepper.weights.calibrated import HEADS, check_tolerance
from aitimestepper.weights.file import ModelFile, read_model


class CalibratedStepper:
    """A step for any bodies, in any units, from the error that is wanted.

    It is the network alone: `simulate` also measures the errors of the run and takes steps back. A program that does
    without that should ask every few dozen steps, keep the step between, and take the smaller of two answers.

    Attributes:
        about: where the weights come from: configuration, seed, commit and scores.
    """

    def __init__(self, model: ModelFile) -> None:
        """Use the weights of a model file.

        Raises:
            CheckpointError: they are not calibrated ones.
        """
        if not model.calibrated or model.scales is None or len(model.scales) != 2 * TRAITS:
            raise CheckpointError("these weights are not calibrated: they choose single steps, see load_stepper")
        self._model = model
        self.about: dict[str, Any] = {**model.about, "config": model.config.explicit()}

    def __repr__(self) -> str:
        return f"<CalibratedStepper of commit {str(self.about.get('commit', 'unknown'))[:12]}>"

    @classmethod
    def load_default(cls) -> Self:
        """The weights that come with the package."""
        return cls(read_model(None))

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Those of a model file, or of a run directory.

        Raises:
            CheckpointError: it is missing, damaged or not calibrated.
        """
        return cls(read_model(path))

    def step(
        self,
        mass: ArrayLike,
        position: ArrayLike,
        velocity: ArrayLike,
        tolerance: float,
        *,
        integrator: Integrator = "leapfrog",
        order: int = 2,
        G: float = 1.0,
        softening: float = 0.0,
    ) -> float:
        """The step for a state: of time for the leapfrog, of fictitious time for `ttl`.

        Args:
            mass: (N,), at least two bodies, one of them with mass.
            position, velocity: (N, D), D = 1, 2 or 3; in any frame.
            tolerance: relative energy error that a run with such steps may have, 1e-12 to 0.1; the local position
                error for each dynamical time may be ten times that.
            integrator: leapfrog, or ttl with Omega = (sum ((m_i + m_j) / r)^4)^(1/4), which does not show a light pair
                beside a heavy body, a moon for instance.
            order: 2, 4, 6 or 8.
            G: gravitational constant.
            softening: Plummer length.

        Raises:
            InputError: a shape does not fit, or an argument is out of range.
        """
        return self._asked(mass, position, velocity, tolerance, integrator, order, G, softening)[0]

    def is_familiar(
        self, mass: ArrayLike, position: ArrayLike, velocity: ArrayLike, *, G: float = 1.0, softening: float = 0.0
    ) -> bool:
        """Whether the state is like those in training; otherwise `step` is that of the nearest such.

        Arguments and errors as for `step`.
        """
        return self._asked(mass, position, velocity, 1e-3, "leapfrog", 2, G, softening)[1]

    def plan(self, tolerance: float, integrator: str, order: int, *, G: float = 1.0, softening: float = 0.0) -> Plan:
        """What the engine needs for a run with such steps, in three dimensions and without an external field.

        Arguments as for `step`.

        Raises:
            InputError: one is out of range.
        """
        if (integrator, order) not in HEADS:
            known = ", ".join(sorted({name for name, _ in HEADS}))
            raise InputError(f"integrator must be one of {known} of order 2, 4, 6 or 8")
        check_tolerance(tolerance)
        config = Config(
            timestep="learned", tolerance=tolerance, integrator=integrator, order=order, G=G, softening=softening
        )
        return calibrated_plan(Settings(config, self._model))

    def _asked(
        self,
        mass: ArrayLike,
        position: ArrayLike,
        velocity: ArrayLike,
        tolerance: float,
        integrator: str,
        order: int,
        G: float,
        softening: float,
    ) -> tuple[float, bool]:
        plan = self.plan(tolerance, integrator, order, G=G, softening=softening)
        for name, value in (("mass", mass), ("position", position), ("velocity", velocity)):
            if is_quantity(value):
                raise InputError(f"{name} has a unit: pass bare numbers, and the G of their units")
        system = InitialConditions(np.asarray(mass), np.asarray(position), np.asarray(velocity))
        if system.is_free:
            raise InputError("a step needs two bodies that attract each other")
        run = new_run(system, plan)
        traits, layers, _ = scratch(run, plan.control)
        books = run.books[0]
        consult(run.system, books, plan, traits, layers)
        step = float(parameter(books))
        if plan.method.kind != TTL:
            step /= math.sqrt(fly_by_rate(run.system, plan.law))
        return step, books.states_outside_training == 0.0
