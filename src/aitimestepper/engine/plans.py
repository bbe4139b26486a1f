"""From what a user asked for to what the compiled loop takes: plans, runs, and criteria of the user's own."""

from __future__ import annotations

import ctypes
import math
from typing import Any

import numpy as np
from numba import cfunc, float64
from numba.core.types import WrapperAddressProtocol

from aitimestepper.checkpoint import HEADS, TRAITS, ModelFile
from aitimestepper.config import Config
from aitimestepper.engine import criteria, features, network
from aitimestepper.engine.control import Control
from aitimestepper.engine.criteria import Rule
from aitimestepper.engine.features import WIDTHS, Sight
from aitimestepper.engine.integrators import LEAPFROG, STAGES, TTL, Method
from aitimestepper.engine.kernels import Law, Weights
from aitimestepper.engine.layout import (
    ASKED,
    BOOKS,
    ENERGY_0,
    ENERGY_SCALE,
    KINETIC,
    MASS,
    ROWS,
    TIME,
    VX,
    Floats,
    X,
    rows_of,
)
from aitimestepper.engine.network import Network
from aitimestepper.engine.rollout import Plan, Run, start
from aitimestepper.engine.stepping import Learner
from aitimestepper.errors import CheckpointError, InputError
from aitimestepper.own_criteria import criterion_named
from aitimestepper.recording import energy_scale
from aitimestepper.systems.initial import InitialConditions

_CRITERIA = {
    "fixed": criteria.FIXED,
    "free-fall": criteria.FREE_FALL,
    "fly-by": criteria.FLY_BY,
    "acceleration": criteria.ACCELERATION,
    "aarseth": criteria.AARSETH,
    "prs23": criteria.PRS23,
    "learned": criteria.LEARNED,
}
_FEATURES = {
    "basic": features.BASIC,
    "rich": features.RICH,
    "delta_mag": features.DELTA_MAG,
    "invariant": features.INVARIANT,
}
_ACTIVATIONS = {"tanh": network.TANH, "relu": network.RELU, "silu": network.SILU, "sigmoid": network.SIGMOID}

PAIR_NORM = Weights(4.0, 0.0, 1.0, 0.0)
"""Omega as it is by default, and as calibrated weights know it."""

ENERGY_ERROR_ORDER = 3
"""The energy error of one step of the leapfrog, on which networks are trained, grows with dt^3."""

_NO_NETWORK = Network(np.zeros(2, np.int64), np.zeros(0), network.TANH)
NO_LEARNER = Learner(Sight(features.BASIC, 0, 3, 1.0, 1.0, 1.0, 1.0), _NO_NETWORK, False, 1.0)
_LEAST_CORRECTION = 0.01
NO_CONTROL = Control(_NO_NETWORK, np.zeros(0), np.zeros(0), 1.0, 1.0, 2.0, 1.0, False, False, 0.0)


def plan_for(config: Config, system: InitialConditions, model: ModelFile | None = None) -> Plan:
    """The plan of a simulation.

    Args:
        config: checked by `simulate.check_request`, and completed.
        system: its number of dimensions, and the scales of features that have none yet.
        model: weights of `timestep` learned.

    Raises:
        CheckpointError: the weights do not fit the network that the model file describes.
        InputError: the integrator cannot be used for this system.
    """
    law = law_of(config)
    if config.integrator == "ttl" and not (system.n_bodies > 1 and np.count_nonzero(system.mass)):
        raise InputError("integrator = ttl needs two bodies that attract each other: use leapfrog")
    if model is not None and model.config.output_scale == "calibrated":
        return Plan(_method(config), law, _rule(config, model), NO_LEARNER, control_of(model, config))
    learner = NO_LEARNER if model is None else learner_of(model, system, law, config.tolerance)
    return Plan(_method(config), law, _rule(config, model), learner, NO_CONTROL)


def law_of(config: Config) -> Law:
    """What moves the bodies of a simulation."""
    place = [*(config.external_field_position or ()), 0.0, 0.0, 0.0]
    return Law(config.G, config.softening**2, config.external_field_mass or 0.0, *(float(x) for x in place[:3]))


def _method(config: Config) -> Method:
    kind = TTL if config.integrator == "ttl" else LEAPFROG
    if config.omega == "log-h":
        weights = Weights(1.0, 0.0, 0.0, config.G)
    else:
        by_sum = float(config.omega_weight == "mass-sum")
        weights = Weights(1.0 if config.omega == "sum" else config.omega_q, 1.0 - by_sum, by_sum, 0.0)
    assert config.order is not None
    return Method(kind, STAGES[config.order], weights)


def _rule(config: Config, model: ModelFile | None) -> Rule:
    assert config.timestep is not None
    criterion = _CRITERIA.get(config.timestep, criteria.OWN)
    if criterion == criteria.FIXED:
        step = config.dt if config.h is None else config.h
    elif criterion == criteria.LEARNED:
        step = 1.0
    else:
        assert config.order is not None
        step = config.eta if config.eta is not None else (config.tolerance or 0.0) ** (1.0 / config.order)
    assert step is not None
    calibrated = model is not None and model.config.output_scale == "calibrated"
    guard = config.tolerance if calibrated and config.tolerance_kind == "step" else None
    return Rule(
        criteria.CALIBRATED if calibrated else criterion,
        1.0 / step,
        config.dt_min or 0.0,
        config.dt_max or math.inf,
        (model is None or calibrated) if config.reversible is None else config.reversible,
        min(config.guard or math.inf, guard or math.inf),
    )


def control_of(model: ModelFile, config: Config) -> Control:
    """What a calibrated run is held to, and the network that chooses its step.

    Raises:
        CheckpointError: the weights do not fit the network that the file describes.
    """
    assert model.scales is not None
    assert config.tolerance is not None
    assert config.order is not None
    low, high = np.array(model.scales).reshape(2, TRAITS)
    head = HEADS.index((config.integrator, config.order))
    power = 1.0 / config.order
    return Control(
        with_ranges(network_of(model, head), low, high),
        low,
        high,
        float(model.about["fallback"][head]),
        config.tolerance,
        float(config.order),
        config.tolerance**power,
        config.tolerance_kind == "run",
        config.tolerance_kind != "step",
        _LEAST_CORRECTION,
    )


def with_ranges(network: Network, low: Floats, high: Floats) -> Network:
    """A network that takes descriptions of states as they are, in place of their place within [low, high]."""
    n_in, n_out = network.widths[2], network.widths[3]
    first = network.weights[: (n_in + 1) * n_out].reshape(n_in + 1, n_out).copy()
    half = 0.5 * (high - low)
    first[n_in] -= (0.5 * (low + high) / half) @ first[:TRAITS]
    first[:TRAITS] /= half[:, None]
    rest = network.weights[(n_in + 1) * n_out :]
    return network._replace(weights=np.concatenate([first.reshape(-1), rest]))


def learner_of(model: ModelFile, system: InitialConditions, law: Law, tolerance: float | None) -> Learner:
    """The network of a model file, and what it looks at, as arrays.

    A tolerance scales the steps, which were trained to stay below the energy threshold, by the cube root of the ratio.

    Raises:
        CheckpointError: the weights do not fit the network that the file describes.
    """
    config = model.config
    kind = _FEATURES[config.feature_type]
    scales = model.scales
    if not config.normalize_inputs or config.feature_type == "invariant":
        scales = (1.0, 1.0, 1.0, 1.0)
    elif scales is None:
        scales = _scales_of(system, law)
    sight = Sight(kind, config.history_len, system.n_dims, *(float(scale) for scale in scales))
    ratio = 1.0 if tolerance is None else tolerance / config.energy_threshold
    return Learner(
        sight, network_of(model), config.output_scale == "physical", float(ratio ** (1.0 / ENERGY_ERROR_ORDER))
    )


def past_rows(sight: Sight) -> int:
    """Feature rows of the past that a network sees: states, or the intervals between them."""
    return max(sight.history - 1, 0) if sight.kind == features.DELTA_MAG else sight.history


def network_of(model: ModelFile, head: int = 0) -> Network:
    """The network as arrays, with the output `head` in column 0."""
    config = model.config
    if config.output_scale == "calibrated":
        n_features = TRAITS + 1
    else:
        n_features = WIDTHS[_FEATURES[config.feature_type]] * (
            config.history_len if config.feature_type == "delta_mag" else config.history_len + 1
        )
    arrays = {name: np.asarray(array, dtype=np.float64) for name, array in model.weights.items()}
    frequencies = arrays.pop("layers.0.frequencies", np.zeros((n_features, 0)))
    numbers = sorted({int(name.split(".")[1]) for name in arrays})
    widths = [n_features + 2 * frequencies.shape[1], *config.hidden_dims]
    parts = [frequencies.reshape(-1)]
    if config.fourier_dim != frequencies.shape[1] or len(numbers) != len(widths):
        raise _other_size(len(numbers), len(widths))
    for number, n_in in zip(numbers, widths, strict=True):
        weight, bias = arrays[f"layers.{number}.weight"], arrays[f"layers.{number}.bias"]
        n_out = widths[len(parts)] if len(parts) < len(widths) else len(bias)
        if weight.shape != (n_out, n_in) or bias.shape != (n_out,):
            raise _other_size(weight.shape, (n_out, n_in))
        if number == numbers[-1]:
            weight, bias = np.roll(weight, -head, axis=0), np.roll(bias, -head)
        parts += [np.concatenate([weight.T.reshape(-1), bias])]
    units = [*widths, len(bias)]
    return Network(
        np.array([n_features, frequencies.shape[1], *units]), np.concatenate(parts), _ACTIVATIONS[config.activation]
    )


def _other_size(found: object, expected: object) -> CheckpointError:
    return CheckpointError(
        f"the model file holds a network of another size than its configuration asks for: found {found}, "
        f"expected {expected}"
    )


def _scales_of(system: InitialConditions, law: Law) -> tuple[float, float, float, float]:
    """Twin of `features.scales`: mean pair distance, rms speed and acceleration, and the time that follows."""
    run = new_run(
        system, Plan(Method(LEAPFROG, STAGES[2], Weights(1.0, 0.0, 0.0, 0.0)), law, _NO_RULE, NO_LEARNER, NO_CONTROL)
    )
    rows = run.system.reshape(ROWS, -1)
    n = system.n_bodies
    apart = system.position[:, None] - system.position[None]
    length = float(np.linalg.norm(apart, axis=-1).sum() / (n * (n - 1))) if n > 1 else 0.0
    length = length or 1.0
    pull = float(np.sqrt((rows[7:10] ** 2).sum(0).mean()))
    speed = float(np.sqrt((system.velocity**2).sum(-1).mean())) or math.sqrt(length * pull) or 1.0
    return length, speed, pull or speed**2 / length, length / speed


_NO_RULE = Rule(criteria.FIXED, 1.0, 0.0, math.inf, False, math.inf)


def new_run(system: InitialConditions, plan: Plan) -> Run:
    """A run at its start: the first force is evaluated.

    Raises:
        InputError: the initial energy is not finite.
    """
    rows = np.zeros((ROWS, system.n_bodies))
    rows[MASS] = system.mass
    rows[X : X + 3] = rows_of(system.position)
    rows[VX : VX + 3] = rows_of(system.velocity)
    books = np.zeros(BOOKS)
    books[TIME] = system.time
    past = np.zeros((past_rows(plan.learner.sight), WIDTHS[plan.learner.sight.kind]))
    anchor = np.zeros(rows.size + BOOKS if plan.rule.criterion == criteria.CALIBRATED else 0)
    run = Run(rows.reshape(-1), books, past, anchor)
    start(run, plan)
    total = float(books[ENERGY_0])
    if not math.isfinite(total):
        raise InputError(f"the initial energy is {total}: masses, places or velocities are too large or too close")
    books[ENERGY_SCALE] = energy_scale(float(books[KINETIC]), total)
    if plan.rule.criterion == criteria.CALIBRATED and plan.control.promises:
        books[ASKED] = plan.control.tolerance
    return run


def copy_of(run: Run) -> Run:
    """An independent run that would go on in the same way."""
    return Run(*(array.copy() for array in run))


def packed(run: Run) -> np.ndarray[Any, Any]:
    """All that a run is, as one vector."""
    return np.concatenate([array.reshape(-1) for array in run])


def unpack(vector: np.ndarray[Any, Any], run: Run) -> None:
    """Set a run of the same shapes to what `packed` gave."""
    position = 0
    for array in run:
        array.reshape(-1)[:] = vector[position : position + array.size]
        position += array.size


_SIGNATURE = float64(float64[::1], float64[::1, :], float64[::1, :], float64[::1, :], float64, float64)


class OwnCriterion(WrapperAddressProtocol):
    """A user's criterion as the address of a compiled function: any of them fits the same compiled loop."""

    def __init__(self, function: Any = None) -> None:
        if function is None:  # any address that is not null; it is never called
            self._address = ctypes.cast(ctypes.pythonapi.Py_IsInitialized, ctypes.c_void_p).value
        else:
            self._compiled = cfunc(_SIGNATURE)(getattr(function, "py_func", function))
            self._address = self._compiled.address

    def __wrapper_address__(self) -> Any:
        """Where the code is."""
        return self._address

    def signature(self) -> Any:
        """What it takes and returns."""
        return _SIGNATURE


def own_criterion(config: Config) -> OwnCriterion:
    """The user's criterion that a configuration names, compiled, or the stand-in.

    Raises:
        InputError: numba cannot compile it.
    """
    from numba.core.errors import NumbaError

    if config.timestep in _CRITERIA:
        return OwnCriterion()
    try:
        return OwnCriterion(criterion_named(str(config.timestep)))
    except (NumbaError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"the criterion {config.timestep!r} cannot be compiled by numba: {reason[:500]}") from None
