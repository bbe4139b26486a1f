"""Windows from states: what is asked of them, what the network is told, what they do, and their losses.

What a window does to a state, and how far it is from what was asked, is measured by the compiled engine
(`engine.training.windows`). The gradient is that of the law error ~ step^order, rather than that of the one window,
whose errors cross zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from aitimestepper.config.schema import Config
from aitimestepper.constants import TRAITS
from aitimestepper.engine.run.governor import HIGHEST_DEMAND, LOWEST_DEMAND
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.training.steps.gate import passes
from aitimestepper.training.steps.learned import Attempt
from aitimestepper.training.steps.losses import log_band_loss
from aitimestepper.training.windows.measuring import arrays_of, measure_windows, particle_of, traits_of
from aitimestepper.weights.calibrated import HEADS

_SMALLEST_TOLERANCE = 1e-10
"""Below, the rounding of close encounters is no small part of what is allowed."""

_LARGEST_RATIO = 1e6
"""Errors over what is allowed end here, so that losses stay finite; far above, they are linear in the logarithm."""

_LINEAR_FROM = 2.0
"""Distance from the band, in logarithms, from which on a loss grows linearly: a window that explodes says no more."""

_HOPELESS = 0.05
"""Factor below which a window that still fails is not a matter of the step: rounding, in a close encounter."""


class Targets(NamedTuple):
    """What is asked of each of S windows.

    Attributes:
        head: (S,), index of integrator and order in `HEADS`.
        tolerance: (S,).
    """

    head: Tensor
    tolerance: Tensor

    def select(self, index: Tensor) -> Targets:
        """Those at `index`."""
        return Targets(self.head[index], self.tolerance[index])

    def replaced(self, index: Tensor, by: Targets) -> Targets:
        """All, with those at `index` as in `by`."""
        head, tolerance = (old.index_copy(0, index, new) for old, new in zip(self, by, strict=True))
        return Targets(head, tolerance)


def orders(head: Tensor) -> Tensor:
    """(S,): the order of each window's integrator."""
    return torch.tensor([order for _, order in HEADS], dtype=torch.float64)[head]


def targets_of(head: Tensor, demand: Tensor) -> Targets:
    """From log10(tolerance^(1/order)) (S,) of each window, as far as rounding allows."""
    return Targets(head, (10.0 ** (demand * orders(head))).clamp(min=_SMALLEST_TOLERANCE))


def drawn_targets(count: int, generator: torch.Generator) -> Targets:
    """Integrators, orders and tolerances at random."""
    head = torch.randint(len(HEADS), (count,), generator=generator)
    demand = torch.rand(count, dtype=torch.float64, generator=generator)
    return targets_of(head, LOWEST_DEMAND + (HIGHEST_DEMAND - LOWEST_DEMAND) * demand)


def features_of(state: ParticleTorch, targets: Targets, scales: Sequence[float], config: Config) -> Tensor:
    """(S, TRAITS + 1): the description within its ranges, from -1 to 1, and what is asked for."""
    low, high = np.array(scales).reshape(2, TRAITS)
    traits = traits_of(arrays_of(state), targets.head.numpy(), config)
    within = torch.from_numpy((traits - 0.5 * (low + high)) / (0.5 * (high - low)))
    demand = (torch.log10(targets.tolerance) / orders(targets.head)).clamp(LOWEST_DEMAND, HIGHEST_DEMAND)
    return torch.cat([within, demand[:, None]], dim=1)


def attempt_windows(
    model: nn.Module, state: ParticleTorch, features: Tensor, targets: Targets, config: Config
) -> Attempt:
    """Roll a window out from each state with the step that the network chooses.

    The losses are zero where the larger error over what is allowed is between `E_lower` and `E_upper`.
    """
    head, tolerance = targets
    factor = model(features).gather(1, head[:, None])[:, 0]
    mass, position, velocity = (array.copy() for array in arrays_of(state))
    states = mass, position, velocity
    measured = measure_windows(states, factor.detach().numpy(), head.numpy(), tolerance.numpy(), config)
    ratio = torch.from_numpy(measured).clamp(max=_LARGEST_RATIO)
    order = orders(head)
    # error ~ step^order: the value of the window, the slope of the law
    lawful = ratio * torch.exp(order * (torch.log(factor) - torch.log(factor.detach())))
    # Per order, so that an order weighs as much as another: what is learned is the step.
    losses = _linear_far_out(log_band_loss(lawful, config.E_lower, config.E_upper) / order**2)
    losses = torch.where((ratio > config.E_upper) & (factor < _HOPELESS), 0.0, losses)
    passed = passes(ratio, config.energy_threshold)
    return Attempt(factor, ratio, passed, losses, lambda: particle_of(states, state))


def _linear_far_out(losses: Tensor) -> Tensor:
    """Squares up to `_LINEAR_FROM`^2, from there on their tangent in the distance."""
    distance = torch.sqrt(losses + 1e-30)
    return torch.where(distance < _LINEAR_FROM, losses, _LINEAR_FROM * (2.0 * distance - _LINEAR_FROM))
