"""The compiled step behind a torch function: what a network of any kind is trained through on the CPU."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from aitimestepper.config import Config
from aitimestepper.engine.gate import (
    ERROR,
    HEAD_SLOPE,
    LOSS,
    PASSED,
    SLOPE,
    VERDICT,
    Gate,
    judge_all,
    largest_steps,
)
from aitimestepper.engine.kernels import Law
from aitimestepper.particle import ParticleTorch
from aitimestepper.training.rows import Array, gate_of, law_of, particle_of, rows_of, why_not_compiled


class Judged(NamedTuple):
    """What the engine says of S steps.

    Attributes:
        error: (S,), relative energy error; 1 where it is not finite.
        passed: (S,), whether the gate lets each through.
        rows: (S, STATE x N), the states reached.
    """

    error: Tensor
    passed: Tensor
    rows: Array


class Stock(NamedTuple):
    """States from which steps are tried, as the engine takes them.

    Attributes:
        rows: (S, STATE x N).
        energy, free_fall: (S,), of each state: its energy and the square of its fastest free-fall rate.
        law: what moves the bodies.
        gate: what steps are held to.
    """

    rows: Array
    energy: Array
    free_fall: Array
    law: Law
    gate: Gate

    @classmethod
    def of(cls, state: ParticleTorch, energy: Tensor, config: Config) -> Stock | None:
        """A detached batch; None where the engine does not know what moves it, or what is asked."""
        if why_not_compiled(state, config) is not None:
            return None
        free_fall = (state.shortest_pair_time(config.G) ** -2.0).numpy()
        return cls(rows_of(state.snapshot()), energy.numpy(), free_fall, law_of(state, config), gate_of(config))

    def select(self, index: Tensor) -> Stock:
        """The states at `index` (S,)."""
        chosen = index.numpy()
        return Stock(self.rows[chosen], self.energy[chosen], self.free_fall[chosen], self.law, self.gate)

    def replaced(self, index: Tensor, by: Stock) -> Stock:
        """These states with those at `index` (S,) as in `by`."""
        rows, energy, free_fall = self.rows.copy(), self.energy.copy(), self.free_fall.copy()
        at = index.numpy()
        rows[at], energy[at], free_fall[at] = by.rows, by.energy, by.free_fall
        return Stock(rows, energy, free_fall, self.law, self.gate)

    def then(self, later: Stock) -> Stock:
        """These states followed by those of `later`."""
        return Stock(
            np.concatenate([self.rows, later.rows]),
            np.concatenate([self.energy, later.energy]),
            np.concatenate([self.free_fall, later.free_fall]),
            self.law,
            self.gate,
        )

    def reached(self, judged: Judged, start: ParticleTorch, dt: Tensor) -> ParticleTorch:
        """The states that the steps dt (S,) led to."""
        return particle_of(judged.rows, dt, start.current_time + dt, start.period, start)

    def largest_steps(self, limits: Tensor, grid: Tensor) -> Tensor:
        """(S,): the largest of `limits` (S,) x `grid`, ascending, before the energy error reaches the threshold."""
        largest = np.empty(len(self.energy))
        largest_steps(largest, self.rows, self.energy, limits.numpy(), grid.numpy(), self.law, self.gate)
        return torch.from_numpy(largest)


def judge_steps(dt: Tensor, foreseen: Tensor, stock: Stock) -> tuple[Tensor, Judged]:
    """Losses (S,) of steps dt (S,) from the states of a stock, and what became of them.

    Args:
        dt: the steps; the losses carry their derivative.
        foreseen: (S,) predicted energy errors, for the loss of the prediction.
        stock: the states.
    """
    losses, error, passed, rows = _Judge.apply(dt, foreseen, stock)
    return losses, Judged(error, passed, rows.numpy())


class _Judge(torch.autograd.Function):
    """The engine's verdict, whose derivatives come with it."""

    @staticmethod
    def forward(ctx: Any, dt: Tensor, foreseen: Tensor, stock: Stock) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Losses, errors, verdicts and states reached."""
        verdicts, rows = np.empty((len(stock.energy), VERDICT)), np.empty_like(stock.rows)
        steps, predicted = (np.ascontiguousarray(x.detach().numpy()) for x in (dt, foreseen))
        judge_all(verdicts, rows, stock.rows, stock.energy, stock.free_fall, steps, predicted, stock.law, stock.gate)
        found = torch.from_numpy(verdicts)
        ctx.save_for_backward(found)
        passed = found[:, PASSED] > 0
        error = torch.where(torch.isfinite(found[:, ERROR]), found[:, ERROR], 1.0)
        reached = torch.from_numpy(rows)
        ctx.mark_non_differentiable(error, passed, reached)
        return found[:, LOSS].clone(), error, passed, reached

    @staticmethod
    def backward(ctx: Any, *weights: Tensor) -> tuple[Tensor, Tensor, None]:
        """The weight of each loss times its slopes."""
        (found,) = ctx.saved_tensors
        return weights[0] * found[:, SLOPE], weights[0] * found[:, HEAD_SLOPE], None
