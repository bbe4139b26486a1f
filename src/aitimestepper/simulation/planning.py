"""From a checked request to what the compiled loop takes: a plan, a goal, and a run at its start."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba.core.errors import NumbaError

from aitimestepper.config.own_criteria import criterion_named
from aitimestepper.config.schema import Config
from aitimestepper.engine.physics import criteria
from aitimestepper.engine.physics.conserved import energy_scale
from aitimestepper.engine.run.own_criterion import OwnCriterion
from aitimestepper.engine.run.plan import Plan
from aitimestepper.engine.run.state import Run, opened
from aitimestepper.errors import InputError
from aitimestepper.recordings.mergers import Mergers
from aitimestepper.recordings.parts import RunInfo
from aitimestepper.simulation.compiling import tell_of_compiling
from aitimestepper.simulation.goal import Goal, goal_of
from aitimestepper.simulation.merging import Merging
from aitimestepper.simulation.plans import alone_plan, plan_for
from aitimestepper.simulation.request import Request
from aitimestepper.simulation.stopping import check_start
from aitimestepper.systems.initial import InitialConditions, text_of_units


class PlannedRun(NamedTuple):
    """All that a run needs before its first step.

    Attributes:
        request: what was asked for.
        plan: how it is to be integrated.
        own: the user's criterion, or a stand-in that is never called.
        goal: where it ends, and which states are kept.
    """

    request: Request
    plan: Plan
    own: OwnCriterion
    goal: Goal

    def new_run(self) -> Run:
        """The run at its start.

        Raises:
            InputError: the initial energy is not finite, or what is to end the run is there already.
        """
        tell_of_compiling()
        system = self.request.system
        run = new_run(system if self.goal.direction > 0 else system.turned, self.plan)
        check_start(run, self.plan, self.goal, system)
        return run

    def merging(self, mergers: Mergers | None = None) -> Merging | None:
        """What bodies that merge need, after mergers if there were any; None where bodies do not merge."""
        if not self.goal.merges:
            return None
        mass, settings = self.request.system.mass, self.request.settings
        alone = alone_plan(settings, self.request.system.n_dims, self.goal.end_time)
        return Merging(mass, self.goal.radii, mergers or Mergers.none(), self.plan, alone)

    def fraction(self, run: Run) -> float:
        """The part of the run that is done, 0 to 1."""
        begin = float(run.books[0].start_time)
        by_time = (float(run.books[0].time) - begin) / (self.goal.end_time - begin)
        return min(max(by_time, float(run.books[0].steps) / self.goal.last_step), 1.0)

    @property
    def info(self) -> RunInfo:
        """What is known of the run before its first step, the energy scale apart."""
        system, config = self.request.system, self.request.settings.config
        return RunInfo(
            mass=system.mass,
            names=system.names,
            period=system.period,
            G=config.G,
            softening=config.softening,
            note=system.note,
            units=text_of_units(system),
            settings=config.explicit(),
            radius=system.radius,
        )

    @property
    def origin(self) -> dict[str, Any]:
        """What a run that goes on must find again, as JSON has it but for the array of times."""
        model = self.request.settings.model
        return {
            "model": "" if model is None else model.digest,
            "every": self.goal.every,
            "interval": _finite(self.goal.interval),
            "sample_interval": _finite(self.goal.sample_interval),
            "direction": self.goal.direction,
            "times": self.request.times,
        }


def planned(request: Request, *, own: OwnCriterion | None = None, goal: Goal | None = None) -> PlannedRun:
    """Plan a run.

    Args:
        request: what was asked for.
        own: the user's criterion, if it has been compiled already.
        goal: where the run ends and what is kept, if that is not for the configuration to say.

    Raises:
        CheckpointError: the weights do not fit the network that the model file describes.
        InputError: no steps are known for these bodies, or the user's criterion cannot be compiled.
    """
    plan = plan_for(request.settings, request.system)
    return PlannedRun(request, plan, own or own_criterion(request.settings.config), goal or goal_of(request))


def taken_up(request: Request, origin: dict[str, Any]) -> PlannedRun:
    """Plan to go on with a run.

    Args:
        request: what was asked for, perhaps with another end.
        origin: of the run, which keeps what it kept.

    Raises:
        InputError: the weights are not those that the run began with; it goes the other way in time; or as for
            `planned`.
    """
    config, direction = request.settings.config, origin["direction"]
    if config.steps is None and request.direction != direction:
        where = "forwards" if direction > 0 else "back"
        raise InputError(f"the run goes {where} in time: ask for a duration {'>' if direction > 0 else '<'} 0")
    interval, samples = (origin[key] or math.inf for key in ("interval", "sample_interval"))
    goal = goal_of(request, direction)._replace(every=origin["every"], interval=interval, sample_interval=samples)
    run = planned(request, goal=goal)
    if origin["model"] != run.origin["model"]:
        raise InputError(f"the weights in {config.model} are not those that the run began with")
    return run


def new_run(system: InitialConditions, plan: Plan) -> Run:
    """A run at its start: the first force is evaluated.

    Raises:
        InputError: a force, an energy or the square of a momentum is not finite.
    """
    run = opened(system.mass, system.position, system.velocity, system.time, plan)
    total = float(run.books[0].initial_energy)
    sizes = [run.books[0].momentum_scale, run.books[0].angular_momentum_scale]
    with np.errstate(over="ignore"):
        if not all(
            np.isfinite(numbers).all() for numbers in (run.system, run.books.view(np.float64), np.square(sizes))
        ):
            raise InputError(
                f"the initial energy is {total:.6g}, and it, a force or a momentum is beyond all numbers: masses, "
                "positions or velocities are too large, too small or too close"
            )
    run.books[0].energy_scale = energy_scale(float(run.books[0].kinetic_energy), total)
    return run


def own_criterion(config: Config) -> OwnCriterion:
    """The user's criterion that a configuration names, compiled, or a stand-in that is never called.

    Raises:
        InputError: numba cannot compile it.
    """
    if config.timestep in criteria.CODES:
        return OwnCriterion()
    try:
        return OwnCriterion(criterion_named(str(config.timestep)))
    except (NumbaError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"the criterion {config.timestep!r} cannot be compiled by numba: {reason[:500]}") from None


def _finite(number: float) -> float | None:
    return None if math.isinf(number) else number
