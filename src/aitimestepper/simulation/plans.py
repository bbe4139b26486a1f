"""From settings to the plan that the compiled loop takes: integrator, law of motion, and what chooses the steps."""

from __future__ import annotations

import math

import numpy as np

from aitimestepper.config.schema import Config
from aitimestepper.engine.layout import n_bodies
from aitimestepper.engine.physics import criteria, integrators
from aitimestepper.engine.physics.coordinates import COORDINATES
from aitimestepper.engine.physics.criteria import Rule
from aitimestepper.engine.physics.extrapolation import SUBSTEPS
from aitimestepper.engine.physics.integrators import STAGES, Method
from aitimestepper.engine.physics.omega import Weights
from aitimestepper.engine.physics.splittings import splitting_of
from aitimestepper.engine.run.plan import Control, Plan, plan_of, promise_of
from aitimestepper.engine.run.state import Run
from aitimestepper.errors import InputError
from aitimestepper.names import TIMESTEPS
from aitimestepper.simulation.fitting import law_for
from aitimestepper.simulation.request import Settings
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.weights.compiled import control_of, learner_of

_LEAST_BODIES = 3
"""Of a run that is handed over."""


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
    if config.timestep == "estimate":
        return plan_of(_method(config), law, _rule(settings), control=_promise_of(config))
    learner = None if model is None else learner_of(model, system, law, config.tolerance)
    splitting = splitting_of(config.wh_kind, COORDINATES[config.wh_coordinates])
    return plan_of(_method(config), law, _rule(settings), learner=learner, splitting=splitting)


def alone_plan(settings: Settings, n_dims: int, end_time: float) -> Plan | None:
    """The plan of a single body; None where no step is known for it, or its one step has no time to go to."""
    try:
        plan = plan_for(settings, InitialConditions(np.ones(1), np.zeros((1, n_dims)), np.zeros((1, n_dims))))
    except InputError:
        return None
    return None if math.isinf(end_time) and plan.rule.per_step == 0.0 else plan


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
    control = _promise_of(config) if config.timestep == "estimate" else None
    if settings.calibrated and model is not None:
        control = control_of(model, config)
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
    if config.integrator == "gbs":
        return Method(integrators.GBS, SUBSTEPS, weights)
    assert config.order is not None
    kind = integrators.TTL if config.integrator == "auto" else integrators.CODES[str(config.integrator)]
    return Method(kind, STAGES[config.order], weights)


def in_force(plan: Plan, run: Run) -> Plan:
    """The plan by which a run goes on: `gbs` once three bodies have met, where that was left to the program."""
    if not plan.control.hands_over or run.books[0].democratic == 0.0:
        return plan
    if plan.method.kind != integrators.TTL or n_bodies(run.system) < _LEAST_BODIES:
        return plan  # what mergers have left
    method = Method(integrators.GBS, SUBSTEPS, plan.method.weights)
    return plan._replace(method=method, rule=plan.rule._replace(criterion=criteria.ESTIMATE, reversible=False))


def _promise_of(config: Config) -> Control:
    """What was asked of a run whose steps no network chooses."""
    assert config.tolerance is not None
    return promise_of(config.tolerance)


def _rule(settings: Settings) -> Rule:
    config = settings.config
    assert config.timestep is not None
    criterion = criteria.CODES.get(config.timestep, criteria.OWN)
    if criterion == criteria.FIXED:
        step = config.dt if config.h is None else config.h
    elif criterion in (criteria.LEARNED, criteria.ESTIMATE):
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
    if settings.config.timestep == "estimate":
        return False
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
