"""From a checked request to what the compiled loop takes: a plan, a goal, and a run at its start."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba.core.errors import NumbaError

from aitimestepper.config.own_criteria import criterion_named
from aitimestepper.config.schema import Config
from aitimestepper.engine.physics import criteria, integrators
from aitimestepper.engine.physics.conserved import energy_scale
from aitimestepper.engine.physics.coordinates import COORDINATES
from aitimestepper.engine.physics.criteria import Rule
from aitimestepper.engine.physics.integrators import STAGES, Method
from aitimestepper.engine.physics.omega import Weights
from aitimestepper.engine.physics.splittings import splitting_of
from aitimestepper.engine.run.own_criterion import OwnCriterion
from aitimestepper.engine.run.plan import Plan, plan_of
from aitimestepper.engine.run.state import Run, opened
from aitimestepper.errors import InputError
from aitimestepper.names import TIMESTEPS
from aitimestepper.recordings.parts import RunInfo
from aitimestepper.simulation.compiling import tell_of_compiling
from aitimestepper.simulation.fitting import law_for
from aitimestepper.simulation.goal import Goal
from aitimestepper.simulation.request import Request, Settings
from aitimestepper.simulation.stopping import check_start
from aitimestepper.systems.initial import InitialConditions, text_of_units
from aitimestepper.weights.compiled import control_of, learner_of

DEFAULT_FRAMES = 1000
"""States that are kept, about, unless it is said which."""


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


def plan_for(settings: Settings, system: InitialConditions) -> Plan:
    """How these bodies are to be integrated.

    Args:
        settings: how.
        system: its number of dimensions, and the scales of features that have none yet, are those of the plan.

    Raises:
        CheckpointError: the weights do not fit the network that the model file describes.
        InputError: no steps are known for this system.
    """
    config, model = settings
    by_hand = config.timestep not in TIMESTEPS or config.dt is not None
    if system.is_free and not by_hand:
        return _free_plan(settings)
    if settings.calibrated:
        return calibrated_plan(settings)
    law = law_for(config)
    learner = None if model is None else learner_of(model, system, law, config.tolerance)
    splitting = splitting_of(config.wh_kind, COORDINATES[config.wh_coordinates])
    return plan_of(_method(config), law, _rule(settings), learner=learner, splitting=splitting)


def _free_plan(settings: Settings) -> Plan:
    """The plan of bodies that move uniformly: the leapfrog goes to any time in one step, whatever was to choose steps.

    Raises:
        CheckpointError: the weights do not fit the network that the model file describes.
        InputError: the external field acts on them, and no step is known for it.
    """
    config, model = settings
    if config.external_field_mass is not None:
        raise InputError(
            "no two of these bodies attract each other, so nothing says which steps their external field needs: set "
            "timestep = fixed and dt, with integrator = leapfrog"
        )
    promised = settings.promised_step_error or 0.0
    rule = Rule(criteria.FIXED, 1.0 / (config.dt_max or math.inf), 0.0, math.inf, False, math.inf, promised)
    method = Method(integrators.LEAPFROG, STAGES[2], _method(config).weights)
    control = control_of(model, config) if settings.calibrated and model is not None else None
    return plan_of(method, law_for(config), rule, control=control)


def calibrated_plan(settings: Settings) -> Plan:
    """The plan of calibrated steps, which is the same for all bodies.

    Raises:
        CheckpointError: the weights do not fit the network that the model file describes.
    """
    config, model = settings
    assert model is not None
    return plan_of(_method(config), law_for(config), _rule(settings), control=control_of(model, config))


def _method(config: Config) -> Method:
    if config.omega == "log-h":
        weights = Weights(1.0, 0.0, 0.0, config.G)
    else:
        by_sum = float(config.omega_weight == "mass-sum")
        weights = Weights(1.0 if config.omega == "sum" else config.omega_q, 1.0 - by_sum, by_sum, 0.0)
    assert config.order is not None
    return Method(integrators.CODES[str(config.integrator)], STAGES[config.order], weights)


def _rule(settings: Settings) -> Rule:
    config = settings.config
    assert config.timestep is not None
    criterion = criteria.CODES.get(config.timestep, criteria.OWN)
    if criterion == criteria.FIXED:
        step = config.dt if config.h is None else config.h
    elif criterion == criteria.LEARNED:
        step = 1.0
    else:
        assert config.order is not None
        step = config.eta if config.eta is not None else (config.tolerance or 0.0) ** (1.0 / config.order)
    assert step is not None
    return Rule(
        criteria.CALIBRATED if settings.calibrated else criterion,
        1.0 / step,
        config.dt_min or 0.0,
        config.dt_max or math.inf,
        _is_reversible(settings) if config.reversible is None else config.reversible,
        _guard(settings),
        settings.promised_step_error or 0.0,
    )


def _is_reversible(settings: Settings) -> bool:
    """Unless it is said: by what was measured (docs/training.md), and where steps follow from the state alone."""
    if settings.model is None or settings.calibrated:
        return True
    return settings.model.config.history_len == 0 and settings.model.config.feature_type != "invariant"


def _guard(settings: Settings) -> float:
    """The energy error above which a step is undone: as asked, or what each step has been promised to stay below."""
    config = settings.config
    if config.guard == "off":
        return math.inf
    if settings.calibrated:
        of_steps = config.tolerance if config.tolerance_kind == "step" else None
        return min(config.guard or math.inf, of_steps or math.inf)
    return config.guard or settings.promised_step_error or math.inf


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


def goal_of(request: Request, direction: float | None = None) -> Goal:
    """Where a run ends and which of its states are kept; `direction` if the request does not say it."""
    config, direction = request.settings.config, direction or request.direction
    end_time = math.inf if math.isinf(request.end_time) else direction * request.end_time
    duration = end_time - direction * request.system.time
    every, interval, samples, times = config.every or 0, math.inf, math.inf, request.times
    if times is not None:
        times = direction * times
    elif config.samples is not None:
        samples = duration / config.samples
    elif not every and config.steps is not None:
        every = math.ceil(config.steps / DEFAULT_FRAMES)
    elif not every:
        interval = duration / DEFAULT_FRAMES
    last_step = math.inf if config.steps is None else float(config.steps)
    goal = Goal(end_time, last_step, every, interval, samples, config.step_history, times, direction)
    return goal._replace(stop_distance=config.stop_distance or math.inf, stop_approach=config.stop_approach or 0.0)


def _finite(number: float) -> float | None:
    return None if math.isinf(number) else number
