"""The loop of Part 1 in torch: systems that advance at their own pace."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from aitimestepper.arrays import Floats
from aitimestepper.engine.training import progress
from aitimestepper.errors import RetrainLimitError, RetrainWarning
from aitimestepper.model.batches import concatenate_particles
from aitimestepper.model.history_buffer import HistoryBuffer, concatenate_histories
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.training.steps import ranks
from aitimestepper.training.steps.learned import Attempt, Batch, Collected, K, Learned, Start, Task
from aitimestepper.training.steps.losses import evaluation_mode, learn
from aitimestepper.training.steps.trajectory import Samples

WARN_EVERY = 1000
"""Retrain iterations on one state between two warnings (specification, section 4)."""

OnAttempt = Callable[[float, float, int, int], None]
"""Called with relative energy error, dt, retrain iterations on the state (the most of a batch), and how many steps have
been accepted since the last call. The compiled loop calls it every now and then, the torch loop after each attempt."""


def collect_by_torch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    learned: Learned[K],
    batch: Batch,
    task: Task,
    on_attempt: OnAttempt | None = None,
) -> Collected:
    """Attempt, check, learn - on the same states until their steps pass the gate.

    Raises:
        RetrainLimitError: `max_retrain_iterations` were not enough for one state.
        NoGradientError: there is nothing to learn from the refused steps.
    """
    start = learned.start(batch.state, batch.history)
    state, active, spent = start.state.clone_detached(), batch.active.copy(), batch.spent
    rounds: list[_Round] = []
    quota, n_accepted = ranks.total(np.array([float(task.quota)]))[0], 0.0
    with evaluation_mode(model):
        while n_accepted < quota:
            rows = torch.from_numpy(np.flatnonzero(active))
            tried = learned.attempt(model, start, None if active.all() else rows)
            passed, failed = tried.passed.nonzero()[:, 0], (~tried.passed).nonzero()[:, 0]
            if len(passed):
                made = _accepted(tried, passed, rows[passed], start, spent)
                rounds.append(made)
                state.assign_at(made.systems, made.state)
                if task.once:
                    active[made.systems.numpy()] = False
                else:
                    start = start.replaced(made.systems, learned.start(made.state, made.history))
            if learned.is_hopeless(tried, failed, spent[rows[failed].numpy()]):
                _replace_failed(state, rows[failed])
                break
            n_accepted += _learn(model, optimizer, tried, failed, rows[failed], spent, learned)
            if on_attempt is not None:
                most = int(spent[:, progress.ITERATIONS].max())
                on_attempt(float(tried.error.detach().max()), float(tried.dt.detach().mean()), most, len(passed))
    return _collected(state, start.history, rounds)


class _Round(NamedTuple):
    """The steps that one attempt got accepted: whose, the states reached, their history, and the records."""

    systems: Tensor
    state: ParticleTorch
    history: HistoryBuffer | None
    records: Floats


def _accepted(tried: Attempt, passed: Tensor, systems: Tensor, start: Start[Any], spent: Floats) -> _Round:
    state = tried.reached().select(passed).clone_detached()
    history = None
    if start.history is not None:
        history = start.history.select(systems)
        history.push(start.state.select(systems))
    records = np.empty((len(passed), progress.RECORD))
    records[:, : progress.SPENT] = spent[systems.numpy()]
    records[:, progress.DT], records[:, progress.TIME] = state.dt.cpu(), state.current_time.cpu()
    records[:, progress.ORBIT], records[:, progress.ACCEPTED_ERROR] = systems, tried.error.detach()[passed].cpu()
    spent[systems.numpy()] = 0.0
    return _Round(systems, state, history, records)


def _learn(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    tried: Attempt,
    failed: Tensor,
    systems: Tensor,
    spent: Floats,
    learned: Learned[Any],
) -> float:
    """One iteration on the refused steps, if there are any; how many steps were accepted, in all processes."""
    account, config = spent[systems.numpy()], learned.config
    losses, errors = tried.losses[failed], tried.error.detach()[failed].cpu().numpy()
    iterations, worst = (account[:, progress.ITERATIONS].max(), errors.max()) if len(failed) else (0.0, 0.0)
    limit = learned.most_iterations
    counts = np.array([len(tried.error) - len(failed), len(failed), float(iterations >= limit)], dtype=np.float64)
    n_passed, n_failed, over = ranks.total(counts)
    if over:
        at = account[:, progress.ITERATIONS].argmax() if len(failed) else None
        least = np.inf if at is None else min(account[at, progress.ERROR_LEAST], errors[at])
        raise RetrainLimitError(int(limit), float(worst), config.energy_threshold, best_error=float(least))
    if iterations % WARN_EVERY == 0 < iterations:
        warn_of_patience(int(iterations), float(worst), config.energy_threshold)
    if n_failed:
        learn(model, optimizer, losses.sum(), int(n_failed), refused=True)
    costs = losses.detach().cpu().numpy()
    least = np.where(account[:, progress.ITERATIONS] == 0.0, errors, account[:, progress.ERROR_LEAST])
    account[:, progress.ERROR_LEAST] = np.minimum(least, errors)
    account[:, progress.ITERATIONS] += 1.0
    account[:, progress.LOSS_SUM] += costs
    account[:, progress.LOSS_LAST] = costs
    account[:, progress.LOSS_MAX] = np.maximum(account[:, progress.LOSS_MAX], costs)
    account[:, progress.ERROR_SUM] += errors
    account[:, progress.ERROR_MAX] = np.maximum(account[:, progress.ERROR_MAX], errors)
    account[:, progress.ERROR_LAST], account[:, progress.STEP_LAST] = errors, tried.dt.detach()[failed].cpu()
    spent[systems.numpy()] = account
    return float(n_passed)


def warn_of_patience(iterations: int, error: float, threshold: float) -> None:
    """Warn of a state that takes long; due at every thousandth retrain iteration."""
    warnings.warn(
        f"{iterations} retrain iterations on one state: the relative energy error is {error:.3g}, "
        f"allowed is {threshold:.3g}",
        RetrainWarning,
        stacklevel=4,
    )


def _replace_failed(state: ParticleTorch, failed: Tensor) -> None:
    """Put systems that passed in place of those that did not, in order: only accepted states are trained on."""
    passed = torch.ones(state.batch_shape[0], dtype=torch.bool)
    passed[failed] = False
    others = passed.nonzero()[:, 0]
    if len(others):
        with torch.no_grad():
            state.assign_at(failed, state.select(others[torch.arange(len(failed)) % len(others)]))


def _collected(state: ParticleTorch, history: HistoryBuffer | None, rounds: list[_Round]) -> Collected:
    samples = None
    if rounds:
        states = [made.state for made in rounds]
        histories = [made.history for made in rounds if made.history is not None]
        joined = concatenate_histories(histories, [s.snapshot() for s in states]) if histories else None
        whole = concatenate_particles(states)
        samples = Samples(whole, whole.dt, joined)
    records = np.concatenate([made.records for made in rounds]) if rounds else np.empty((0, progress.RECORD))
    return Collected(state, history, samples, [len(made.records) for made in rounds], records)
