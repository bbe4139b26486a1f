"""Accepted states: as a trajectory in the order of time, and as samples to draw from."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from typing import Any, overload

import torch
from torch import Tensor

from aitimestepper.model.batches import concatenate_particles
from aitimestepper.model.history_buffer import HistoryBuffer, concatenate_histories
from aitimestepper.model.particle import ParticleTorch

Pair = tuple[ParticleTorch, float | Tensor]
"""A state and the step that led to it: of a single system a float, of a batch (B,)."""


class Samples(Sequence[Pair]):
    """Accepted states of single systems, stacked: one row each, drawn by index.

    Attributes:
        state: a batch of S systems.
        dt: (S,), the accepted steps that led to them.
        history: the history of each, batched; None without a history.
    """

    def __init__(self, state: ParticleTorch, dt: Tensor, history: HistoryBuffer | None) -> None:
        self.state, self.dt, self.history = state, dt, history

    def __len__(self) -> int:
        return self.dt.shape[0]

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> Samples: ...
    def __getitem__(self, index: int | slice) -> Pair | Samples:
        if isinstance(index, slice):
            return self.select(torch.arange(len(self))[index])
        if not -len(self) <= index < len(self):
            raise IndexError(f"sample {index} of {len(self)}")
        return self.state.select(index), self.dt[index].item()

    def select(self, index: Tensor) -> Samples:
        """The rows at `index` (S,), each with its own history."""
        history = None if self.history is None else self.history.select(index)
        return Samples(self.state.select(index), self.dt[index], history)

    def then(self, later: Samples) -> Samples:
        """These rows followed by those of `later`."""
        history = None
        if self.history is not None and later.history is not None:
            current = [self.state.snapshot(), later.state.snapshot()]
            history = concatenate_histories([self.history, later.history], current)
        return Samples(concatenate_particles([self.state, later.state]), torch.cat([self.dt, later.dt]), history)


class Trajectory(Sequence[Pair]):
    """(state, dt) pairs in the order of time: the accepted, detached state after each step, and its step.

    Of one system the states are single ones. Of a batch, whose systems advance at their own pace, an entry is a batch
    of those whose steps were accepted together.

    Args:
        samples: every accepted state, one row each; None for none.
        sizes: rows of each entry.
        single: whether the entries are single systems.
    """

    def __init__(self, samples: Samples | None = None, sizes: Sequence[int] = (), *, single: bool = False) -> None:
        self.samples = samples
        self._ends = list(accumulate(sizes))
        self._single = single

    @classmethod
    def from_pairs(cls, pairs: Iterable[Pair], history: HistoryBuffer | None = None) -> Trajectory:
        """A trajectory from bare pairs: each entry's history is what stands before it, after that of `history`.

        Args:
            pairs: consecutive accepted states with their steps.
            history: an empty history, or the one in force at the first entry; None without a history.
        """
        states, steps, histories = [], [], []
        past = None if history is None else history.clone()
        single = False
        for state, dt in pairs:
            single = not state.batch_shape
            batch = state.as_batch()
            states.append(batch)
            steps.append(torch.as_tensor(dt, dtype=batch.position.dtype).reshape(-1).expand(batch.batch_shape))
            if past is not None:
                histories.append(past.clone().as_batch())
                past.push(state)
        if not states:
            return cls()
        joined = concatenate_histories(histories, [s.snapshot() for s in states]) if histories else None
        samples = Samples(concatenate_particles(states), torch.cat(steps), joined)
        return cls(samples, [len(dt) for dt in steps], single=single)

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> list[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | list[Pair]:
        if isinstance(index, slice):
            return [self[i] for i in range(len(self))[index]]
        assert self.samples is not None
        rows = self._rows(index)
        return self.samples[rows] if isinstance(rows, int) else (self.samples.state.select(rows), self.samples.dt[rows])

    @property
    def histories(self) -> list[HistoryBuffer | None]:
        """The history that was in force at each entry, so that each is later seen with its own; None without one."""
        history = None if self.samples is None else self.samples.history
        return [None if history is None else history.select(self._rows(i)) for i in range(len(self))]

    def _rows(self, index: int) -> Tensor | int:
        end = self._ends[index]
        begin = self._ends[range(len(self))[index] - 1] if range(len(self))[index] else 0
        return begin if self._single else torch.arange(begin, end)


class ReplayMemory:
    """The last `capacity` accepted states over all epochs; the oldest leave first.

    Attributes:
        samples: the states; None while there are none.
        prepared: features of the first rows, and what else is known of them; None while nothing is. Computed anew, they
            could differ in the last bit: torch rounds some functions of a number by where it stands in its array.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.samples: Samples | None = None
        self.prepared: tuple[Tensor, Any] | None = None

    def __len__(self) -> int:
        return 0 if self.samples is None else len(self.samples)

    def extend(self, trajectory: Trajectory) -> None:
        """Add the entries of a trajectory."""
        new = trajectory.samples
        if new is None:
            return
        joined = new if self.samples is None else self.samples.then(new)
        lost = max(len(joined) - self.capacity, 0)
        self.samples = joined[lost:] if lost else joined
        if lost and self.prepared is not None:
            features, known = self.prepared
            self.prepared = features[lost:], known.since(lost)

    def prepare(self, prepare: Callable[[ParticleTorch, HistoryBuffer | None], Any]) -> tuple[Tensor, Any]:
        """Features of every state, and what else is known of them; what has been prepared once is kept.

        Args:
            prepare: gives a `Start` whose `known` can be cut and joined.
        """
        assert self.samples is not None
        done = 0 if self.prepared is None else len(self.prepared[0])
        if done < len(self.samples):
            new = self.samples[done:]
            *_, features, known = prepare(new.state, new.history)
            if self.prepared is not None:
                features, known = torch.cat([self.prepared[0], features]), self.prepared[1].then(known)
            self.prepared = features, known
        assert self.prepared is not None
        return self.prepared
