"""The last K states, as the network sees them."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from itertools import dropwhile
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from aitimestepper.errors import InputError
from aitimestepper.features.build import history_features
from aitimestepper.features.scales import NormScales
from aitimestepper.features.snapshot import Snapshot

if TYPE_CHECKING:
    from aitimestepper.model.particle import ParticleTorch


class HistoryBuffer:
    """The last `history_len` states, strictly before the current one, cut from the graph.

    While fewer states are known, zero states (everything zero but the masses) stand for the missing ones.

    Args:
        history_len: states that are kept, >= 1.
        feature_type: what `features_for` builds of each state (or interval, for delta_mag).
        norm_scales: scales of the features; None for none.
    """

    def __init__(self, history_len: int, feature_type: str, norm_scales: NormScales | None = None) -> None:
        if history_len < 1:
            raise InputError(f"history_len must be >= 1 for a history, got {history_len}")
        self.history_len = history_len
        self.feature_type = feature_type
        self.norm_scales = norm_scales
        self._past: deque[Snapshot] = deque(maxlen=history_len)

    def __len__(self) -> int:
        return len(self._past)

    def push(self, state: ParticleTorch) -> None:
        """Append a state; the oldest leaves when the history is full."""
        self._past.append(state.snapshot().detached())

    def reset(self) -> None:
        """Forget every state."""
        self._past.clear()

    def clone(self) -> HistoryBuffer:
        """An independent history with the same states."""
        return self.holding(self._past)  # snapshots are never changed, so sharing them is safe

    def features_for(self, state: ParticleTorch) -> Tensor:
        """Features of [past ..., `state`], (F,) for one system and (B, F) for a batch."""
        current = state.snapshot()
        return history_features(
            [*self.padded(current), current],
            self.feature_type,
            scales=self.norm_scales or NormScales(),
            softening=state.softening,
            G=state.G,
        )

    def padded(self, current: Snapshot) -> list[Snapshot]:
        """The states with zero ones, of the shape of `current`, for the missing ones; oldest first."""
        zeros = [current.zeroed()] * (self.history_len - len(self._past))
        return [*zeros, *self._past]

    def select(self, index: Tensor | int) -> HistoryBuffer:
        """The histories of the systems of a batch at `index`: (S,) gives a batch of S, an int that of one system."""
        return self.holding([state.at(index) for state in self._past])

    def holding(self, states: Iterable[Snapshot]) -> HistoryBuffer:
        """A history of the same kind with these states, oldest first."""
        twin = HistoryBuffer(self.history_len, self.feature_type, self.norm_scales)
        twin._past.extend(states)
        return twin

    def replaced(self, index: Tensor, by: HistoryBuffer, current: Snapshot) -> HistoryBuffer:
        """This batched history, at the states `current`, with the systems at `index` (S,) as in the batch `by`."""
        rows = zip(self.padded(current), by.padded(current.at(index)), strict=True)
        return self.holding(
            Snapshot(*(old.index_copy(0, index, new) for old, new in zip(mine, other, strict=True)))
            for mine, other in rows
        )

    def missing(self) -> Tensor:
        """How many states of each system are not known yet, (B,) or ()."""
        missing = torch.tensor(self.history_len - len(self._past))
        for state in self._past:
            missing = missing + state.is_zero()
        return missing

    def as_batch(self) -> HistoryBuffer:
        """The history of a single system as that of a batch of one; a batch stays as it is."""
        if not self._past or self._past[0].dt.ndim:
            return self
        return self.holding([Snapshot(*(tensor[None] for tensor in state)) for state in self._past])

    def restore(self, states: Iterable[Snapshot]) -> None:
        """Replace the history by `states`, oldest first; what is not known of any system is left out."""
        self._past = deque(dropwhile(lambda state: bool(state.is_zero().all()), states), maxlen=self.history_len)

    def snapshots(self) -> list[Snapshot]:
        """The states that are known, oldest first."""
        return list(self._past)


def concatenate_histories(histories: Sequence[HistoryBuffer], current: Sequence[Snapshot]) -> HistoryBuffer:
    """One batched history of several, each padded with zero states like its batch of current states."""
    rows = [history.padded(state) for history, state in zip(histories, current, strict=True)]
    return histories[0].holding(
        [Snapshot(*(torch.cat(tensors) for tensors in zip(*step, strict=True))) for step in zip(*rows, strict=True)]
    )
