"""What is learned: single steps, or windows of many. A training is built with one of the two, and never asks which."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from aitimestepper.arrays import Floats
from aitimestepper.config.schema import Config
from aitimestepper.engine.features.summary import Sight
from aitimestepper.errors import InputError
from aitimestepper.model.history_buffer import HistoryBuffer
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.training.steps.trajectory import ReplayMemory, Samples


class Known(Protocol):
    """What is known of S starts beside their features; never changed in place."""

    def select(self, index: Tensor) -> Self:
        """Those at `index`."""

    def replaced(self, index: Tensor, by: Self) -> Self:
        """All, with those at `index` as in `by`."""


K = TypeVar("K", bound=Known)


class Start(NamedTuple, Generic[K]):
    """Where attempts begin: all that does not change while the network is retrained on them.

    Attributes:
        state: a batch of S systems, detached.
        history: of each; None where nothing looks back.
        features: (S, F).
        known: what else the attempts need.
    """

    state: ParticleTorch
    history: HistoryBuffer | None
    features: Tensor
    known: K

    def select(self, index: Tensor) -> Start[K]:
        """The systems at `index` (S,)."""
        history = None if self.history is None else self.history.select(index)
        return Start(self.state.select(index), history, self.features[index], self.known.select(index))

    def replaced(self, index: Tensor, by: Start[K]) -> Start[K]:
        """This batch with the systems at `index` (S,) as in the batch `by`."""
        if len(index) == len(self.features):
            return by
        state = self.state.clone_detached()
        state.assign_at(index, by.state)
        history = None
        if self.history is not None and by.history is not None:
            history = self.history.replaced(index, by.history, self.state.snapshot())
        features = self.features.index_copy(0, index, by.features)
        return Start(state, history, features, self.known.replaced(index, by.known))


class Attempt(NamedTuple):
    """What became of a rollout of one or more steps (or of a window) from each of S starts.

    Attributes:
        dt: (S,), the first step of each; of windows the factor that sets their step.
        error: (S,), the largest relative energy error of the rollout, 1 where it is not finite; of windows the larger
            of their two errors, over what is allowed.
        passed: (S,), whether the gate lets it through.
        losses: (S,), zero inside the band.
        reached: makes the states at the end.
    """

    dt: Tensor
    error: Tensor
    passed: Tensor
    losses: Tensor
    reached: Callable[[], ParticleTorch]


class Batch(NamedTuple):
    """Systems on their way through Part 1.

    Attributes:
        state: a batch of B systems, detached.
        history: of each; None without one.
        spent: (B, SPENT) on each state so far, see `engine.training.progress`; changed in place.
        active: (B,) systems that advance; the others rest.
    """

    state: ParticleTorch
    history: HistoryBuffer | None
    spent: Floats
    active: NDArray[np.bool_]


class Task(NamedTuple):
    """How far to go.

    Attributes:
        quota: accepted steps after which the round is the last.
        once: whether a system rests as soon as its step has passed.
    """

    quota: int
    once: bool


class Collected(NamedTuple):
    """What came of it.

    Attributes:
        state: where the systems are now.
        history: of each, there.
        samples: accepted states, in the order of acceptance; None for none.
        sizes: how many of them each round had.
        records: (n, RECORD), a row for each accepted step, see `engine.training.progress`.
    """

    state: ParticleTorch
    history: HistoryBuffer | None
    samples: Samples | None
    sizes: list[int]
    records: Floats


Loop = Callable[[Batch, Task], Collected]
"""Attempts, accepts and learns until the task is done."""


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


class Learned(ABC, Generic[K]):
    """What is learned, and how it is tried, judged and told of.

    Attributes:
        config: all settings.
        scales: what a model file must hold to build the same features; None while it is not fixed.
    """

    config: Config
    scales: tuple[float, ...] | None

    @property
    def most_iterations(self) -> float:
        """Retrain iterations on one state after which it is given up; infinite for no limit."""
        return float(self.config.max_retrain_iterations or math.inf)

    def check(self, particle: ParticleTorch) -> None:
        """Refuse systems that cannot be judged with an `InputError`."""

    def sight(self, state: ParticleTorch, history: HistoryBuffer | None) -> Sight | None:
        """What the engine has to look at to see the same features; None where it cannot."""
        return None

    def own_parts(self, model: nn.Module) -> str | None:
        """Network and adapter in words, where the package cannot build them from a configuration; else None."""
        return None

    @abstractmethod
    def start(self, state: ParticleTorch, history: HistoryBuffer | None = None) -> Start[K]:
        """Prepare one system or a batch for attempts."""

    @abstractmethod
    def replayed(self, memory: ReplayMemory) -> Start[K]:
        """Every state of a memory as a start for Part 2."""

    def packed(self, memory: ReplayMemory) -> dict[str, Tensor]:
        """What has been computed of the states of a memory and is not to be computed anew: (S, ...) each."""
        return {}

    def unpack(self, memory: ReplayMemory, numbers: Mapping[str, Tensor]) -> None:
        """Give a memory what `packed` gave for the same states.

        Raises:
            KeyError, ValueError: it is not of these states.
        """

    @abstractmethod
    def attempt(self, model: nn.Module, start: Start[K], chosen: Tensor | None = None, *, n_steps: int = 1) -> Attempt:
        """Try what the network chooses from the starts at `chosen`, or from all, in the mode that the model is in."""

    @abstractmethod
    def collect(self, batch: Batch, warmup_steps: int | Tensor, loop: Loop) -> Collected:
        """Part 1 of an epoch; samples of the first `warmup_steps` of each system are left out."""

    def is_hopeless(self, tried: Attempt, failed: Tensor, spent: Floats) -> bool:
        """Whether the attempts at `failed`, on which `spent` (len(failed), SPENT) has been spent, are given up."""
        return False

    @abstractmethod
    def shares(self, start: Start[K], dt: Tensor, error: Tensor, passed: Tensor) -> tuple[Tensor, Tensor]:
        """Steps over the largest that pass, and whether they passed, of some or all states."""

    @abstractmethod
    def about(self, weights: Mapping[str, Tensor], seen: Samples, *, final: bool) -> dict[str, Any]:
        """What a model file says of its weights beside where they come from; `seen` are states of the training."""
