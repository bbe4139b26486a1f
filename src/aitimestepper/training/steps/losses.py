"""Losses, pure functions of errors, and one step of learning from them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from aitimestepper.constants import SMALLEST_ERROR
from aitimestepper.errors import NoGradientError
from aitimestepper.training.steps import ranks


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


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Dropout off: the prediction that is judged is the one that is used."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def learn(model: nn.Module, optimizer: torch.optim.Optimizer, total: Tensor, count: int, *, refused: bool) -> None:
    """One step of the optimiser down a mean loss.

    Args:
        model, optimizer: what learns.
        total: sum of the losses, in this process.
        count: how many losses the mean is over, in all processes.
        refused: whether there must be something to learn.

    Raises:
        NoGradientError: a refused step gives no gradient, or one that is not finite; the weights stay as they were.
    """
    optimizer.zero_grad()
    loss = total / count
    if loss.requires_grad:
        loss.backward()
    ranks.sum_gradients(model)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    size = float(torch.linalg.vector_norm(torch.cat([g.reshape(-1) for g in gradients]))) if gradients else 0.0
    if not size < float("inf"):
        optimizer.zero_grad()
        raise NoGradientError(loss.item(), finite=False)
    if size == 0.0 and refused:
        raise NoGradientError(loss.item(), finite=True)
    if size > 0.0:
        optimizer.step()
