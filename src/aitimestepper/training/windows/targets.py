"""What is asked of windows: integrator, order and tolerance of each."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aitimestepper.engine.run.governor import HIGHEST_DEMAND, LOWEST_DEMAND
from aitimestepper.weights.calibrated import HEADS

_SMALLEST_TOLERANCE = 1e-10
"""Below, the rounding of close encounters is no small part of what is allowed."""


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
