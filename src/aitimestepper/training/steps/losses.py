"""Losses: pure functions of errors."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from aitimestepper.constants import SMALLEST_ERROR


def band_loss_zero_inside_where(x: Tensor, lower: float | Tensor, upper: float | Tensor) -> Tensor:
    """Zero for lower <= x <= upper, the squared distance to the nearer edge outside; elementwise."""
    below = torch.where(x < lower, lower - x, 0.0)
    above = torch.where(x > upper, x - upper, 0.0)
    return below**2 + above**2


def log_band_loss(error: Tensor, lower: float, upper: float) -> Tensor:
    """Band loss of log(error) with edges log(lower) and log(upper); elementwise."""
    return band_loss_zero_inside_where(torch.log(error.clamp(min=SMALLEST_ERROR)), math.log(lower), math.log(upper))


def step_limit_loss(fraction: Tensor) -> Tensor:
    """log(dt / limit)^2, the loss of a step that is too long for the tightest pair; elementwise.

    Args:
        fraction: dt over its limit; 1 has no loss.
    """
    return torch.log(fraction) ** 2
