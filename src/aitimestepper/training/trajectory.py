"""Accepted states: as a trajectory in the order of time, and as samples to draw from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import overload

import torch
from torch import Tensor

from aitimestepper.errors import InputError
from aitimestepper.history_buffer import HistoryBuffer, concatenate_windows
from aitimestepper.particle import ParticleTorch, concatenate_particles

Pair = tuple[ParticleTorch, Tensor]


class Trajectory(Sequence[Pair]):
    """(state, dt) pairs in the order of time: the accepted, detached state after each step, and its step.

    `windows` holds, for each entry, the history that was in force at that state (None without a history), so that
    each sample is later seen with its own history and not with the latest one.
    """

    def __init__(self) -> None:
        self._pairs: list[Pair] = []
        self.windows: list[HistoryBuffer | None] = []

    def append(self, state: ParticleTorch, dt: Tensor, window: HistoryBuffer | None) -> None:
        """Add the next accepted state; `window` is copied."""
        self._pairs.append((state, dt))
        self.windows.append(None if window is None else window.clone())

    @classmethod
    def from_pairs(cls, pairs: Iterable[Pair], window: HistoryBuffer | None = None) -> Trajectory:
        """A trajectory from bare pairs: each entry's history is what stands before it, after that of `window`.

        Args:
            pairs: consecutive accepted states with their steps.
            window: an empty history, or the one in force at the first entry; None without a history.
        """
        trajectory = cls()
        past = None if window is None else window.clone()
        for state, dt in pairs:
            trajectory.append(state, torch.as_tensor(dt), past)
            if past is not None:
                past.push(state)
        return trajectory

    def __len__(self) -> int:
        return len(self._pairs)

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> list[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | list[Pair]:
        return self._pairs[index]


class Samples(Sequence[Pair]):
    """Accepted states of single systems, stacked: one row each, drawn by index.

    Attributes:
        state: a batch of S systems.
        dt: (S,), the accepted steps that led to them.
        window: the history of each, batched; None without a history.
    """

    def __init__(self, state: ParticleTorch, dt: Tensor, window: HistoryBuffer | None) -> None:
        self.state, self.dt, self.window = state, dt, window

    @classmethod
    def of(cls, trajectory: Trajectory) -> Samples:
        """Every system of every entry, in the order of time."""
        states = [state.as_batch() for state, _ in trajectory]
        steps = [
            torch.as_tensor(dt).reshape(-1).expand(state.batch_shape)
            for state, (_, dt) in zip(states, trajectory, strict=True)
        ]
        windows = [window.as_batch() for window in trajectory.windows if window is not None]
        if windows and len(windows) != len(states):
            raise InputError("either every entry of a trajectory has its history, or none has")
        window = concatenate_windows(windows, [s.snapshot() for s in states]) if windows else None
        return cls(concatenate_particles(states), torch.cat(steps), window)

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
        return self.state.select(index), self.dt[index]

    def select(self, index: Tensor) -> Samples:
        """The rows at `index` (S,), each with its own history."""
        window = None if self.window is None else self.window.select(index)
        return Samples(self.state.select(index), self.dt[index], window)

    def then(self, later: Samples) -> Samples:
        """These rows followed by those of `later`."""
        window = None
        if self.window is not None and later.window is not None:
            current = [self.state.snapshot(), later.state.snapshot()]
            window = concatenate_windows([self.window, later.window], current)
        return Samples(concatenate_particles([self.state, later.state]), torch.cat([self.dt, later.dt]), window)


class ReplayMemory:
    """The last `capacity` accepted states over all epochs; the oldest leave first."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.samples: Samples | None = None

    def __len__(self) -> int:
        return 0 if self.samples is None else len(self.samples)

    def extend(self, trajectory: Trajectory) -> None:
        """Add the entries of a trajectory."""
        if not len(trajectory):
            return
        new = Samples.of(trajectory)
        joined = new if self.samples is None else self.samples.then(new)
        self.samples = joined[-self.capacity :] if len(joined) > self.capacity else joined
