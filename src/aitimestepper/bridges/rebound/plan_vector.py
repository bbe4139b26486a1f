"""A plan as one vector of numbers, for compiled code that is called from C and gets addresses alone.

Plans of calibrated runs only: they have no learner.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled, plain
from aitimestepper.engine.features.summary import Sight
from aitimestepper.engine.layout import record
from aitimestepper.engine.networks import Network
from aitimestepper.engine.physics.criteria import Rule
from aitimestepper.engine.physics.integrators import Method
from aitimestepper.engine.physics.law import Law
from aitimestepper.engine.physics.omega import Weights
from aitimestepper.engine.physics.splittings import Splitting
from aitimestepper.engine.run.plan import Control, Learner, Plan

_ARRAYS = ("network", "low", "high")
_SIZES = ("n_stages", "n_traits", "n_widths", "n_weights")
_WHOLE = ("kind", "activation", *_SIZES, "criterion", "reversible", "governed", "promises")
_CONTROL = tuple(name for name in Control._fields if name not in _ARRAYS)
_NAMES = ("kind", "activation", *_SIZES, *Weights._fields, *Law._fields, *Rule._fields, *_CONTROL)
_SCALARS = record([(name, np.int64 if name in _WHOLE else np.float64) for name in _NAMES])
"""The numbers of a plan by the names that they have there. The arrays stand behind them, one after the other."""

_N_SCALARS = _SCALARS.itemsize // 8


def flat(plan: Plan) -> Floats:
    """The plan of a calibrated run as a vector."""
    method, control = plan.method, plan.control
    network = control.network
    sizes = (len(method.stages), len(control.low), len(network.widths), len(network.weights))
    scalars = np.zeros(1, _SCALARS)
    for part in (method, network, method.weights, plan.law, plan.rule, control, dict(zip(_SIZES, sizes, strict=True))):
        values = part if isinstance(part, dict) else part._asdict()
        for name in set(values) & set(_NAMES):
            scalars[0][name] = values[name]
    # Whole numbers keep their bits, so that they can be looked at where they are.
    arrays = [method.stages, control.low, control.high, network.widths.view(np.float64), network.weights]
    return np.concatenate([scalars.view(np.float64), *arrays])


@plain
def scalars_of(vector: Floats) -> Any:
    """The numbers of a plan by name: `tolerance` alone, for instance."""
    return vector[:_N_SCALARS].view(_SCALARS)[0]


@compiled
def law_from(vector: Floats) -> Law:
    """The law alone: what is looked at after every step, where a whole plan takes longer to unfold than it is used."""
    p = scalars_of(vector)
    tide = (p.tide_mass, p.tide_x, p.tide_y, p.tide_z)
    more = (p.has_central_forces, p.relativity, p.oblateness, p.pole_x, p.pole_y, p.pole_z)
    return Law(p.G, p.squared_softening, *tide, *more)


@compiled
def plan_from(vector: Floats) -> Plan:
    """The plan that `flat` made a vector of; its arrays are parts of that, so that this costs next to nothing."""
    p = scalars_of(vector)
    low = _N_SCALARS + p.n_stages
    high = low + p.n_traits
    shape = high + p.n_traits
    start = shape + p.n_widths
    widths = vector[shape:start].view(np.int64)
    network = Network(widths, vector[start : start + p.n_weights], p.activation)
    nothing = Network(widths[:0], vector[:0], 0)
    return Plan(
        Method(p.kind, vector[_N_SCALARS:low], Weights(p.q, p.unit, p.by_sum, p.by_product)),
        law_from(vector),
        Rule(p.criterion, p.per_step, p.shortest, p.longest, p.reversible != 0, p.guard, p.promise),
        Learner(Sight(0, 0, 3, 1.0, 1.0, 1.0, 1.0), nothing, False, 1.0, vector[:0], vector[:0]),
        Control(
            network, vector[low:high], vector[high:shape],
            p.tolerance, p.order, p.scale, p.governed != 0, p.promises != 0, p.least_correction, False,
        ),
        Splitting(0, vector[:0], vector[:0], 0.0, vector[:0]),
    )  # fmt: skip
