"""Losses: pure functions of errors."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from aitimestepper.config.schema import Config
from aitimestepper.physics.conserved import relative_energy_error
from aitimestepper.physics.leapfrog import ENERGY_ERROR_ORDER

ROUNDING = 1e-14
"""Relative energy errors below this are rounding, whose derivative says nothing."""

NEAR_LIMIT = 0.8
"""From this part of the longest allowed step on, an energy error below the band is no reason to lengthen the step.

Where many bodies share the energy, the limit of the tightest pair is reached before the band is.
"""

STEEPEST = 2.0 * ENERGY_ERROR_ORDER
"""Largest |d log(error) / d log(dt)| that a loss may use: twice the order.

Where the energy error happens to cross zero its logarithm is infinitely steep, and one such state would outweigh a
whole minibatch.
"""

_SMALLEST_ERROR = 1e-17
"""Errors below this are rounding: their logarithm says nothing, so they count as this much."""


def band_loss_zero_inside_where(x: Tensor, lower: float | Tensor, upper: float | Tensor) -> Tensor:
    """Zero for lower <= x <= upper, the squared distance to the nearer edge outside; elementwise."""
    below = torch.where(x < lower, lower - x, 0.0)
    above = torch.where(x > upper, x - upper, 0.0)
    return below**2 + above**2


def log_band_loss(error: Tensor, lower: float, upper: float) -> Tensor:
    """Band loss of log(error) with edges log(lower) and log(upper); elementwise."""
    return band_loss_zero_inside_where(torch.log(error.clamp(min=_SMALLEST_ERROR)), math.log(lower), math.log(upper))


def compute_single_step_loss(E0: Tensor, E1: Tensor, config: Config) -> Tensor:
    """Mean over systems of the band loss of log(relative energy error) between E_lower and E_upper; a scalar.

    Systems whose energy is not finite count with an error of 1 and send no gradient back.

    Args:
        E0: (B,) or (), energy before the step.
        E1: the same, after it.
    """
    finite = torch.isfinite(E0) & torch.isfinite(E1)
    # Selected, not masked by a product: the derivative of a masked NaN would still be NaN.
    errors = relative_energy_error(E0[finite], E1[finite])
    losses = log_band_loss(errors, config.E_lower, config.E_upper)
    lost = log_band_loss(torch.ones_like(E0[~finite]), config.E_lower, config.E_upper).detach()
    return (losses.sum() + lost.sum()) / max(finite.numel(), 1)


def step_limit_loss(fraction: Tensor) -> Tensor:
    """log(dt / limit)^2, the loss of a step that is too long for the tightest pair; elementwise.

    Args:
        fraction: dt over its limit; 1 has no loss.
    """
    return torch.log(fraction) ** 2
