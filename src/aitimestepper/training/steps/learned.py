"""What is learned: single steps, or windows of many. A training is built with one of the two, and never asks which."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from aitimestepper.config.schema import Config
from aitimestepper.engine.features.summary import Sight
from aitimestepper.model.history_buffer import HistoryBuffer
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.training.steps.compiled import Judged
from aitimestepper.training.steps.rows import Array
from aitimestepper.training.steps.start import Attempt
from aitimestepper.training.steps.trajectory import ReplayMemory, Samples


class Batch(NamedTuple):
    """Systems on their way through Part 1.

    Attributes:
        state: a batch of B systems, detached.
        history: of each; None without one.
        spent: (B, SPENT) on each state so far, see `engine.training.orbits`; changed in place.
        active: (B,) systems that advance; the others rest.
    """

    state: ParticleTorch
    history: HistoryBuffer | None
    spent: Array
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
        records: (n, RECORD), a row for each accepted step, see `engine.training.orbits`.
    """

    state: ParticleTorch
    history: HistoryBuffer | None
    samples: Samples | None
    sizes: list[int]
    records: Array


Loop = Callable[[Batch, Task], Collected]
"""Attempts, accepts and learns until the task is done."""


class Verdict(Protocol):
    """What was found of S attempts."""

    @property
    def dt(self) -> Tensor:
        """(S,), what the network chose."""

    @property
    def error(self) -> Tensor:
        """(S,), see `Attempt`."""

    @property
    def passed(self) -> Tensor:
        """(S,), whether the gate lets each through."""


class Beginning(Protocol):
    """Where S attempts begin: all that does not change while the network is retrained on them."""

    @property
    def state(self) -> ParticleTorch:
        """The states, detached."""

    @property
    def history(self) -> HistoryBuffer | None:
        """Their history; None where nothing looks back."""

    @property
    def features(self) -> Tensor:
        """(S, F)."""

    def select(self, index: Tensor) -> Self:
        """Those at `index`."""

    def replaced(self, index: Tensor, by: Self) -> Self:
        """All, with those at `index` as in `by`."""


S = TypeVar("S", bound=Beginning)


class Learned(ABC, Generic[S]):
    """What is learned, and how it is tried, judged and told of.

    Attributes:
        config: all settings.
    """

    def __init__(self, config: Config) -> None:
        self.config = config

    @property
    @abstractmethod
    def scales(self) -> tuple[float, ...] | None:
        """What a model file must hold to build the same features; None while it is not fixed."""

    @abstractmethod
    def set_scales(self, scales: Sequence[float]) -> None:
        """Take the scales of a model file."""

    @abstractmethod
    def check(self, particle: ParticleTorch) -> None:
        """Refuse systems that cannot be judged.

        Raises:
            InputError: says which, and what to do.
        """

    @abstractmethod
    def history(self, given: HistoryBuffer | None) -> HistoryBuffer | None:
        """The history in force where `given` is what the caller has; None where nothing looks back."""

    @abstractmethod
    def start(self, state: ParticleTorch, history: HistoryBuffer | None = None) -> S:
        """Prepare one system or a batch for attempts."""

    @abstractmethod
    def attempt(self, model: nn.Module, start: S) -> Attempt:
        """Try what the network chooses once from each start, in the mode that the model is in."""

    @abstractmethod
    def sight(self, state: ParticleTorch, history: HistoryBuffer | None) -> Sight | None:
        """What the engine has to look at to see the same features; None where it cannot."""

    @abstractmethod
    def collect(self, batch: Batch, warmup_steps: int | Tensor, loop: Loop) -> Collected:
        """Part 1 of an epoch; samples of the first `warmup_steps` of each system are left out."""

    @abstractmethod
    def is_hopeless(self, tried: Attempt, failed: Tensor, spent: Array) -> bool:
        """Whether the attempts at `failed`, on which `spent` (len(failed), SPENT) has been spent, are given up."""

    @abstractmethod
    def replayed(self, memory: ReplayMemory) -> S:
        """Every state of a memory as a start for Part 2."""

    @abstractmethod
    def judge(self, model: nn.Module, start: S, chosen: Tensor | None = None) -> Attempt | Judged:
        """A rollout of Part 2 from the starts at `chosen`, or from all."""

    @abstractmethod
    def shares(self, start: S, found: Verdict) -> tuple[Tensor, Tensor]:
        """Steps over the largest that pass, and whether they passed, of some or all states."""

    @abstractmethod
    def about(self, weights: Mapping[str, Tensor], seen: ParticleTorch, *, final: bool) -> dict[str, Any]:
        """What a model file says of its weights beside where they come from; `seen` are states of the training."""
