"""The compiled step behind a torch function: what a network of any kind is trained through on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from aitimestepper.arrays import Floats
from aitimestepper.config.schema import Config
from aitimestepper.engine.physics.law import Law
from aitimestepper.engine.training import gate
from aitimestepper.engine.training.gate import Gate, judge_all, largest_steps
from aitimestepper.model.adapter import ModelAdapter
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.training.steps.learned import Attempt
from aitimestepper.training.steps.rows import gate_of, law_of, particle_of, rows_of, why_not_compiled


class CompiledStates(NamedTuple):
    """States from which steps are tried, as the engine takes them.

    Attributes:
        rows: (S, STATE x N).
        energy, free_fall: (S,), of each state: its energy and the square of its fastest free-fall rate.
        unit: (S,), what the network's output counts: shortest pair times, or ones.
        law: what moves the bodies.
        gate: what steps are held to.
    """

    rows: Floats
    energy: Floats
    free_fall: Floats
    unit: Floats
    law: Law
    gate: Gate

    @classmethod
    def of(cls, state: ParticleTorch, energy: Tensor, pair_time: Tensor, config: Config) -> CompiledStates | None:
        """A detached batch; None where the engine does not know what moves it, or what is asked."""
        if why_not_compiled(state, config) is not None:
            return None
        unit = pair_time if config.output_scale == "physical" else torch.ones_like(pair_time)
        return cls(
            rows_of(state.snapshot()),
            energy.numpy(),
            (1.0 / (pair_time * pair_time)).numpy(),
            unit.numpy(),
            law_of(state, config),
            gate_of(config),
        )

    @property
    def arrays(self) -> tuple[Floats, Floats, Floats, Floats]:
        """What there is of each state."""
        return self.rows, self.energy, self.free_fall, self.unit

    def _with(self, arrays: Iterable[Floats]) -> CompiledStates:
        rows, energy, free_fall, unit = arrays
        return CompiledStates(rows, energy, free_fall, unit, self.law, self.gate)

    def select(self, index: Tensor) -> CompiledStates:
        """The states at `index` (S,)."""
        chosen = index.numpy()
        return self._with(array[chosen] for array in self.arrays)

    def since(self, first: int) -> CompiledStates:
        """The states from the one at `first` on."""
        return self._with(array[first:] for array in self.arrays)

    def then(self, later: CompiledStates) -> CompiledStates:
        """These states followed by those of `later`."""
        return self._with(np.concatenate(pair) for pair in zip(self.arrays, later.arrays, strict=True))

    def replaced(self, index: Tensor, by: CompiledStates) -> CompiledStates:
        """These states with those at `index` (S,) as in `by`."""
        changed = [array.copy() for array in self.arrays]
        for old, new in zip(changed, by.arrays, strict=True):
            old[index.numpy()] = new
        return self._with(changed)

    def largest_steps(self, limits: Tensor, grid: Tensor) -> Tensor:
        """(S,): the largest of `limits` (S,) x `grid`, ascending, before the energy error reaches the threshold."""
        largest = np.empty(len(self.energy))
        largest_steps(largest, self.rows, self.energy, limits.numpy(), grid.numpy(), self.law, self.gate)
        return torch.from_numpy(largest)


class Before(NamedTuple):
    """What is known of S states from which single steps are tried.

    Attributes:
        energy: (S,).
        pair_time: (S,), the shortest of each.
        compiled: the states as the engine takes them; None where only the torch step can.
    """

    energy: Tensor
    pair_time: Tensor
    compiled: CompiledStates | None

    @classmethod
    def of(cls, state: ParticleTorch, energy: Tensor, pair_time: Tensor, config: Config) -> Before:
        """What is known of a detached batch."""
        return cls(energy, pair_time, CompiledStates.of(state, energy, pair_time, config))

    def select(self, index: Tensor) -> Before:
        """The states at `index` (S,)."""
        known = None if self.compiled is None else self.compiled.select(index)
        return Before(self.energy[index], self.pair_time[index], known)

    def since(self, first: int) -> Before:
        """The states from the one at `first` on."""
        known = None if self.compiled is None else self.compiled.since(first)
        return Before(self.energy[first:], self.pair_time[first:], known)

    def then(self, later: Before) -> Before:
        """These states followed by those of `later`."""
        both = None if self.compiled is None or later.compiled is None else self.compiled.then(later.compiled)
        energy, pair_time = (torch.cat(pair) for pair in zip(self[:2], later[:2], strict=True))
        return Before(energy, pair_time, both)

    def replaced(self, index: Tensor, by: Before) -> Before:
        """These states with those at `index` (S,) as in `by`."""
        known = None if self.compiled is None or by.compiled is None else self.compiled.replaced(index, by.compiled)
        energy, pair_time = (old.index_copy(0, index, new) for old, new in zip(self[:2], by[:2], strict=True))
        return Before(energy, pair_time, known)


def attempt_compiled(
    output: Tensor, states: CompiledStates, like: Callable[[], ParticleTorch], adapter: ModelAdapter
) -> Attempt:
    """What becomes of the steps that a network's output (S, n) means for these states, which `like` makes.

    The losses carry their derivative by the output.
    """
    dt = adapter.step_over(output, torch.from_numpy(states.unit))
    foreseen = output[..., min(1, output.shape[-1] - 1)]
    losses, error, passed, rows = _Judge.apply(dt, foreseen.expand(dt.shape), states)

    def reached() -> ParticleTorch:
        state, taken = like(), dt.detach()
        return particle_of(rows.numpy(), taken, state.current_time + taken, state.period, state)

    return Attempt(dt, error, passed, losses, reached)


class _Judge(torch.autograd.Function):
    """The engine's verdict, whose derivatives come with it."""

    @staticmethod
    def forward(
        ctx: Any, dt: Tensor, foreseen: Tensor, states: CompiledStates
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Losses, errors, verdicts and states reached."""
        verdicts, rows = np.empty((len(states.energy), gate.VERDICT)), np.empty_like(states.rows)
        steps, predicted = (np.ascontiguousarray(x.detach().numpy()) for x in (dt, foreseen))
        judge_all(
            verdicts, rows, states.rows, states.energy, states.free_fall, steps, predicted, states.law, states.gate
        )
        found = torch.from_numpy(verdicts)
        ctx.save_for_backward(found)
        passed = found[:, gate.PASSED] > 0
        error = torch.where(torch.isfinite(found[:, gate.ERROR]), found[:, gate.ERROR], 1.0)
        reached = torch.from_numpy(rows)
        ctx.mark_non_differentiable(error, passed, reached)
        return found[:, gate.LOSS].clone(), error, passed, reached

    @staticmethod
    def backward(ctx: Any, *weights: Tensor) -> tuple[Tensor, Tensor, None]:
        """The weight of each loss times its slopes."""
        (found,) = ctx.saved_tensors
        return weights[0] * found[:, gate.SLOPE], weights[0] * found[:, gate.HEAD_SLOPE], None
