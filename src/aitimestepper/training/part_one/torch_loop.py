"""Systems that advance at their own pace: what Part 1 is given, what it gives back, and its loop in torch."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aitimestepper.config.schema import Config
from aitimestepper.engine.training.collecting import (
    ACCEPTED_ERROR,
    DT,
    ERROR_LAST,
    ERROR_MAX,
    ERROR_SUM,
    ITERATIONS,
    LOSS_LAST,
    LOSS_MAX,
    LOSS_SUM,
    ORBIT,
    RECORD,
    SPENT,
    STEP_LAST,
    TIME,
)
from aitimestepper.errors import RetrainLimitError, RetrainWarning
from aitimestepper.model.adapter import ModelAdapter
from aitimestepper.model.history_buffer import HistoryBuffer, concatenate_windows
from aitimestepper.model.particle import ParticleTorch, concatenate_particles
from aitimestepper.training.steps import ranks
from aitimestepper.training.steps.attempt import Attempt, Start, attempt, evaluation_mode, learn
from aitimestepper.training.steps.rows import Array
from aitimestepper.training.steps.trajectory import Samples

WARN_EVERY = 1000

OnAttempt = Callable[[float, float, int, int], None]
"""Called with relative energy error, dt, retrain iterations on the state (the most of a batch), and how many steps have
been accepted since the last call. The compiled loop calls it every now and then, the torch loop after each attempt."""


class Flock(NamedTuple):
    """Systems on their way.

    Attributes:
        state: a batch of B systems, detached.
        window: their history; None without one.
        spent: (B, SPENT) on each state so far, see `engine.training.collecting`; changed in place.
        active: (B,) systems that advance; the others rest.
    """

    state: ParticleTorch
    window: HistoryBuffer | None
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
        window: their history there.
        samples: every accepted state, in the order of acceptance.
        sizes: how many of them each round had.
        records: (n, RECORD), a row for each accepted step, see `engine.training.collecting`.
    """

    state: ParticleTorch
    window: HistoryBuffer | None
    samples: Samples | None
    sizes: list[int]
    records: Array


def collect_by_torch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    flock: Flock,
    config: Config,
    adapter: ModelAdapter,
    task: Task,
    on_attempt: OnAttempt | None = None,
) -> Collected:
    """Attempt, check, learn - on the same states until their steps pass the gate.

    Raises:
        RetrainLimitError: `max_retrain_iterations` were not enough for one state.
        NoGradientError: there is nothing to learn from the refused steps.
    """
    start = Start.of(flock.state, config, adapter, flock.window)
    state, active = start.state.clone_detached(), flock.active.copy()
    rounds: list[_Round] = []
    quota, n_accepted = ranks.total(np.array([float(task.quota)]))[0], 0.0
    with evaluation_mode(model):
        while n_accepted < quota:
            rows = torch.from_numpy(np.flatnonzero(active))
            tried = attempt(model, start if active.all() else start.select(rows), config, adapter)
            passed, failed = tried.passed.nonzero()[:, 0], (~tried.passed).nonzero()[:, 0]
            if len(passed):
                made = _accepted(tried, passed, rows[passed], start, flock.spent)
                rounds.append(made)
                state.assign_at(made.systems, made.state)
                if task.once:
                    active[made.systems.numpy()] = False
                else:
                    now = Start.of(made.state, config, adapter, made.window)
                    start = start.replaced(made.systems, now)
            if start.request is not None and _are_hopeless(tried, failed, flock.spent[rows[failed].numpy()], config):
                _replace_failed(state, rows[failed])
                break
            n_accepted += _learned(model, optimizer, tried, failed, rows[failed], flock.spent, config)
            if on_attempt is not None:
                spent = int(flock.spent[:, ITERATIONS].max())
                on_attempt(float(tried.error.max()), float(tried.dt.detach().mean()), spent, len(passed))
    return _collected(state, start.window, rounds)


class _Round(NamedTuple):
    """The steps that one attempt got accepted: whose, the states reached, their history, and the records."""

    systems: Tensor
    state: ParticleTorch
    window: HistoryBuffer | None
    records: Array


def _accepted(tried: Attempt, passed: Tensor, systems: Tensor, start: Start, spent: Array) -> _Round:
    state = tried.advanced.select(passed).clone_detached()
    window = None
    if start.window is not None:
        window = start.window.select(systems)
        window.push(start.state.select(systems))
    records = np.empty((len(passed), RECORD))
    records[:, :SPENT] = spent[systems.numpy()]
    records[:, DT], records[:, TIME] = state.dt.cpu(), state.current_time.cpu()
    records[:, ORBIT], records[:, ACCEPTED_ERROR] = systems, tried.error.detach()[passed].cpu()
    spent[systems.numpy()] = 0.0
    return _Round(systems, state, window, records)


def _are_hopeless(tried: Attempt, failed: Tensor, account: Array, config: Config) -> bool:
    """Whether windows that are still refused are given up: no step can pass, or `max_retrain_iterations` are over."""
    limit = config.max_retrain_iterations
    if not len(failed):
        return False
    return bool((tried.losses[failed] == 0).all()) or (limit is not None and account[:, ITERATIONS].max() >= limit)


def _learned(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    tried: Attempt,
    failed: Tensor,
    systems: Tensor,
    spent: Array,
    config: Config,
) -> float:
    """One iteration on the refused steps, if there are any; how many steps were accepted, in all processes."""
    account = spent[systems.numpy()]
    losses, errors = tried.losses[failed], tried.error.detach()[failed].cpu().numpy()
    iterations, worst = (account[:, ITERATIONS].max(), errors.max()) if len(failed) else (0.0, 0.0)
    limit = math.inf if config.max_retrain_iterations is None else config.max_retrain_iterations
    counts = np.array([len(tried.error) - len(failed), len(failed), float(iterations >= limit)], dtype=np.float64)
    n_passed, n_failed, over = ranks.total(counts)
    if over:
        raise RetrainLimitError(int(limit), float(worst), config.energy_threshold)
    if iterations % WARN_EVERY == 0 < iterations:
        warn_of_patience(int(iterations), float(worst), config)
    if n_failed:
        learn(model, optimizer, losses.sum(), int(n_failed), refused=True)
    costs = losses.detach().cpu().numpy()
    account[:, ITERATIONS] += 1.0
    account[:, LOSS_SUM] += costs
    account[:, LOSS_LAST] = costs
    account[:, LOSS_MAX] = np.maximum(account[:, LOSS_MAX], costs)
    account[:, ERROR_SUM] += errors
    account[:, ERROR_MAX] = np.maximum(account[:, ERROR_MAX], errors)
    account[:, ERROR_LAST], account[:, STEP_LAST] = errors, tried.dt.detach()[failed].cpu()
    spent[systems.numpy()] = account
    return float(n_passed)


def warn_of_patience(iterations: int, error: float, config: Config) -> None:
    """Warn of a state that takes long; due at every thousandth retrain iteration."""
    warnings.warn(
        f"{iterations} retrain iterations on one state: the relative energy error is {error:.3g}, "
        f"allowed is {config.energy_threshold:.3g}",
        RetrainWarning,
        stacklevel=4,
    )


def _replace_failed(state: ParticleTorch, failed: Tensor) -> None:
    """Put systems that passed in the places of those that did not, in order: only accepted states are trained on."""
    passed = torch.ones(state.batch_shape[0], dtype=torch.bool)
    passed[failed] = False
    others = passed.nonzero()[:, 0]
    if len(others):
        with torch.no_grad():
            state.assign_at(failed, state.select(others[torch.arange(len(failed)) % len(others)]))


def _collected(state: ParticleTorch, window: HistoryBuffer | None, rounds: list[_Round]) -> Collected:
    samples = None
    if rounds:
        states = [made.state for made in rounds]
        windows = [made.window for made in rounds if made.window is not None]
        joined = concatenate_windows(windows, [s.snapshot() for s in states]) if windows else None
        whole = concatenate_particles(states)
        samples = Samples(whole, whole.dt, joined)
    records = np.concatenate([made.records for made in rounds]) if rounds else np.empty((0, RECORD))
    return Collected(state, window, samples, [len(made.records) for made in rounds], records)
