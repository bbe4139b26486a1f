"""One step of learning, and the mode in which what is used is judged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from aitimestepper.errors import NoGradientError
from aitimestepper.training.steps import ranks


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
    size = float(torch.nn.utils.get_total_norm(gradients)) if gradients else 0.0
    if not size < float("inf"):
        optimizer.zero_grad()
        raise NoGradientError(loss.item(), finite=False)
    if size == 0.0 and refused:
        raise NoGradientError(loss.item(), finite=True)
    if size > 0.0:
        optimizer.step()
