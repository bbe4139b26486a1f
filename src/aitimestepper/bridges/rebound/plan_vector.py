"""A plan as one vector of numbers, for compiled code that is called from C and gets addresses alone.

Plans of calibrated runs only: they have no learner.
"""

from __future__ import annotations

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled, inlined
from aitimestepper.engine.features.summary import Sight
from aitimestepper.engine.networks import Network
from aitimestepper.engine.physics.criteria import Rule
from aitimestepper.engine.physics.gravity import Law
from aitimestepper.engine.physics.integrators import Method
from aitimestepper.engine.physics.omega import Weights
from aitimestepper.engine.run.governor import Control
from aitimestepper.engine.run.state import Plan
from aitimestepper.engine.run.step import Learner

_SIZES = 6
"""First come the integrator's kind, the activation, and the numbers of stages, traits, widths and weights."""

_SCALARS = _SIZES + 4 + 6 + 6 + 7
"""Then Omega's weights, the law, the rule, and the scalars of the control, in the order of their fields."""


def flat(plan: Plan) -> Floats:
    """The plan of a calibrated run as a vector."""
    method, control = plan.method, plan.control
    network = control.network
    sizes = [len(method.stages), len(control.low), len(network.widths), len(network.weights)]
    scalars = [method.kind, network.activation, *sizes, *method.weights, *plan.law, *plan.rule, *control[3:]]
    # Whole numbers keep their bits, so that they can be looked at where they are.
    arrays = [method.stages, control.low, control.high, network.widths.view(np.float64), network.weights]
    return np.concatenate([np.array(scalars, dtype=np.float64), *arrays])


@inlined
def law_from(vector: Floats) -> Law:
    """The law alone: what is looked at after every step, where a whole plan takes longer to unfold than it is used."""
    return Law(vector[10], vector[11], vector[12], vector[13], vector[14], vector[15])


@inlined
def tolerance_from(vector: Floats) -> float:
    """The tolerance alone."""
    return vector[23]


@compiled
def plan_from(vector: Floats) -> Plan:
    """The plan that `flat` made a vector of; its arrays are parts of that, so that this costs next to nothing."""
    kind, activation = int(vector[0]), int(vector[1])
    n_stages, n_traits, n_widths, n_weights = int(vector[2]), int(vector[3]), int(vector[4]), int(vector[5])
    w, r, c = vector[6:10], vector[16:22], vector[22:29]
    low = _SCALARS + n_stages
    high = low + n_traits
    shape = high + n_traits
    start = shape + n_widths
    widths = vector[shape:start].view(np.int64)
    network = Network(widths, vector[start : start + n_weights], activation)
    nothing = Network(widths[:0], vector[:0], 0)
    return Plan(
        Method(kind, vector[_SCALARS:low], Weights(w[0], w[1], w[2], w[3])),
        law_from(vector),
        Rule(int(r[0]), r[1], r[2], r[3], r[4] != 0.0, r[5]),
        Learner(Sight(0, 0, 3, 1.0, 1.0, 1.0, 1.0), nothing, False, 1.0),
        Control(
            network, vector[low:high], vector[high:shape],
            c[0], c[1], c[2], c[3], c[4] != 0.0, c[5] != 0.0, c[6],
        ),
    )  # fmt: skip
