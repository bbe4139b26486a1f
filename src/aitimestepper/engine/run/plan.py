"""How a run is to be integrated: integrator, law of motion, and what chooses its steps."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.features.summary import BASIC, Sight
from aitimestepper.engine.networks import TANH, Network
from aitimestepper.engine.physics.criteria import Rule
from aitimestepper.engine.physics.integrators import Method
from aitimestepper.engine.physics.law import Law
from aitimestepper.engine.physics.splittings import NO_SPLITTING, Splitting


class Learner(NamedTuple):
    """What a learned criterion needs.

    Attributes:
        sight: which features.
        network: the weights.
        physical: whether the output counts shortest pair times.
        factor: scales every step, to the tolerance that is asked for.
        low, high: (F,), range of each feature in the training; (0,) where that is not known.
    """

    sight: Sight
    network: Network
    physical: bool
    factor: float
    low: Floats
    high: Floats


class Control(NamedTuple):
    """What was asked of a calibrated run, and the network that chooses its step.

    Attributes:
        network: from the description of a state and the tolerance to a factor.
        low, high: (TRAITS,) range of the descriptions that it was trained on.
        tolerance: largest relative energy error of the run.
        order: of the integrator.
        scale: tolerance^(1/order).
        governed: whether the run's own errors change the step.
        promises: whether the tolerance is meant for the whole run.
        least_correction: the smallest factor that they may put on it.
        hands_over: whether `gbs` goes on with the run once three bodies were seen about equally near to each other.
    """

    network: Network
    low: Floats
    high: Floats
    tolerance: float
    order: float
    scale: float
    governed: bool
    promises: bool
    least_correction: float
    hands_over: bool


class Plan(NamedTuple):
    """How a run is to be integrated: integrator, law of motion, choice of the step, and its network if it has one.

    `splitting` says how the steps of Wisdom and Holman's split are made.
    """

    method: Method
    law: Law
    rule: Rule
    learner: Learner
    control: Control
    splitting: Splitting


def plan_of(
    method: Method,
    law: Law,
    rule: Rule,
    *,
    learner: Learner | None = None,
    control: Control | None = None,
    splitting: Splitting = NO_SPLITTING,
) -> Plan:
    """A plan, whose network is empty where none chooses the step: compiled code takes plans of one kind only."""
    empty, nothing = _no_network(), np.zeros(0)
    return Plan(
        method,
        law,
        rule,
        learner or Learner(Sight(BASIC, 0, 3, 1.0, 1.0, 1.0, 1.0), empty, False, 1.0, nothing, nothing),
        control or Control(empty, nothing, nothing, 1.0, 2.0, 1.0, False, False, 0.0, False),
        splitting,
    )


def promise_of(tolerance: float) -> Control:
    """A tolerance of the whole run that needs no network: steps follow from their own errors."""
    nothing = np.zeros(0)
    return Control(_no_network(), nothing, nothing, tolerance, 2.0, 1.0, False, True, 0.0, False)


def _no_network() -> Network:
    return Network(np.zeros(2, np.int64), np.zeros(0), TANH)
