"""Where single steps begin, and what becomes of them."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from aitimestepper.errors import InputError
from aitimestepper.model.history_buffer import HistoryBuffer
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.training.steps.compiled import CompiledStates


def detached_batch(state: ParticleTorch, G: float) -> ParticleTorch:
    """An independent copy of one system or of a batch, as a batch.

    Raises:
        InputError: there is more than one batch dimension.
    """
    if len(state.batch_shape) > 1:
        raise InputError(f"training takes one batch dimension, got {tuple(state.batch_shape)}")
    state = state.clone_detached().as_batch()
    state.G = G
    return state


class Start(NamedTuple):
    """Where steps begin: all that does not change while the network is retrained on them.

    Attributes:
        state: a batch of S systems, detached.
        history: of each; None without one.
        features: (S, F).
        energy: (S,).
        compiled: the states for the compiled step; None where only the torch step can take them.
    """

    state: ParticleTorch
    history: HistoryBuffer | None
    features: Tensor
    energy: Tensor
    compiled: CompiledStates | None

    def select(self, index: Tensor) -> Start:
        """The systems at `index` (S,)."""
        history = None if self.history is None else self.history.select(index)
        compiled = None if self.compiled is None else self.compiled.select(index)
        return Start(self.state.select(index), history, self.features[index], self.energy[index], compiled)

    def replaced(self, index: Tensor, by: Start) -> Start:
        """This batch with the systems at `index` (S,) as in the batch `by`."""
        if len(index) == len(self.energy):
            return by
        state = self.state.clone_detached()
        state.assign_at(index, by.state)
        history = None
        if self.history is not None and by.history is not None:
            history = self.history.replaced(index, by.history, self.state.snapshot())
        compiled = None
        if self.compiled is not None and by.compiled is not None:
            compiled = self.compiled.replaced(index, by.compiled)
        features, energy = (
            old.index_copy(0, index, new) for old, new in ((self.features, by.features), (self.energy, by.energy))
        )
        return Start(state, history, features, energy, compiled)


class Attempt(NamedTuple):
    """What became of a rollout of one or more steps (or of a window) from each of S starts.

    Attributes:
        advanced: the states at the end, with their graph.
        dt: (S,), the first step of each; of windows the factor that sets their step.
        error: (S,), the largest relative energy error of the rollout, 1 where it is not finite; of windows the larger
            of their two errors, over what is allowed.
        passed: (S,), whether the gate lets it through.
        losses: (S,), zero inside the band.
    """

    advanced: ParticleTorch
    dt: Tensor
    error: Tensor
    passed: Tensor
    losses: Tensor
