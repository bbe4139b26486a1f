"""Part 2: training on minibatches of the accepted states until all of them pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from aitimestepper.config.schema import Config
from aitimestepper.model.adapter import ModelAdapter
from aitimestepper.model.history_buffer import HistoryBuffer
from aitimestepper.training.steps import ranks
from aitimestepper.training.steps.learned import Attempt, K, Learned, Start
from aitimestepper.training.steps.losses import evaluation_mode, learn
from aitimestepper.training.steps.single_step import SingleSteps
from aitimestepper.training.steps.trajectory import Pair, ReplayMemory, Samples, Trajectory

IMPROVEMENT = 0.99
"""What a loss must fall to, in terms of the lowest before, to count as lower: chosen."""


class Evaluation(NamedTuple):
    """One batched look at accepted states with the network as it is.

    Attributes:
        all_pass: whether the gate lets every one through.
        losses: (S,), zero inside the band, with their graph.
        error: (S,), relative energy errors, the largest of each rollout.
        passed: (S,), whether the gate lets each through.
        dt: (S,), the predicted steps.
    """

    all_pass: bool
    losses: Tensor
    error: Tensor
    passed: Tensor
    dt: Tensor


def sample_minibatch(
    trajectory: Sequence[Pair] | ReplayMemory, batch_size: int, *, generator: torch.Generator | None = None
) -> Samples:
    """At most `batch_size` accepted states at random, none twice; a sequence of (state, dt) of single systems.

    Args:
        trajectory: a trajectory (each system of a batch counts by itself), samples, or a replay memory.
        batch_size: states wanted.
        generator: source of the choice; None takes torch's own.
    """
    samples = _samples(trajectory)
    chosen = torch.randperm(len(samples), generator=generator)[:batch_size]
    return samples.select(chosen)


def evaluate_minibatch(
    model: nn.Module,
    minibatch: Sequence[Pair],
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None = None,
) -> Evaluation:
    """Predict and roll out `n_steps` steps from every state in one batch; the states stay as they are.

    Each state is seen with the history that is stored with it. `history_buffer` serves only pairs that come without:
    it is the history in force at the first of them.
    """
    learned = SingleSteps(config, adapter)
    start = _start(learned, minibatch, adapter.history(history_buffer))
    return _evaluation(learned.attempt(model, start, n_steps=config.n_steps))


def generalize_on_trajectory(
    model: nn.Module,
    trajectory: Sequence[Pair] | ReplayMemory,
    optimizer: torch.optim.Optimizer,
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None = None,
    *,
    generator: torch.Generator | None = None,
) -> tuple[bool, int, dict[str, float]]:
    """Train on random minibatches until a pass over ALL accepted states is within the threshold.

    The loss counts every state outside the band on both sides, so that steps also grow; `min_replay_steps`
    iterations are made even where everything passes already. It ends early where the loss has not fallen for
    `replay_patience` iterations: what is left over is in the memory of the next epoch too.

    Args:
        trajectory: accepted states: a trajectory, samples, pairs in the order of time, or a replay memory.
        history_buffer: as for `evaluate_minibatch`.
        generator: source of the minibatches; None for one seeded with `config.seed`.

    Returns:
        Whether all states pass, the number of iterations, and the metrics. Below `min_replay_size` states nothing is
        done, which `skipped` says; that is no convergence.
    """
    learned = SingleSteps(config, adapter)
    history = adapter.history(history_buffer)
    return generalize(model, trajectory, optimizer, learned, history, generator=generator)


def generalize(
    model: nn.Module,
    states: Sequence[Pair] | ReplayMemory,
    optimizer: torch.optim.Optimizer,
    learned: Learned[Any],
    history: HistoryBuffer | None,
    *,
    generator: torch.Generator | None,
) -> tuple[bool, int, dict[str, float]]:
    """Part 2, whatever is learned; arguments and result as for `generalize_on_trajectory`, `history` in force."""
    config = learned.config
    if ranks.least(_count_systems(states)) < config.min_replay_size:
        return False, 0, dict(SKIPPED)
    generator = generator or torch.Generator().manual_seed(config.seed)
    start = _start(learned, states, history)
    final: Evaluation | None = None  # of all states, with the weights as they are
    failed = torch.empty(0, dtype=torch.int64)  # states that the last look at all of them found
    iterations, patience = 0, _Patience(config.replay_patience)
    model.train()
    while iterations < config.replay_steps and not (final is not None and final.all_pass):
        if patience.is_over and iterations >= config.min_replay_steps:
            break
        iterations += 1
        final = None
        chosen = torch.randperm(len(start.features), generator=generator)[: config.replay_batch_size]
        passed, loss = learn_from(model, optimizer, learned, start, torch.cat([chosen, failed]).unique())
        patience.watch(loss)
        if passed and iterations >= config.min_replay_steps:
            final = _evaluate(model, learned, start)
            failed = torch.nonzero(~final.passed).reshape(-1)[: config.replay_batch_size]
    final = final or _evaluate(model, learned, start)
    return final.all_pass, iterations, _metrics(final, *learned.shares(start, final.dt, final.error, final.passed))


class _Patience:
    """Whether the loss has still fallen within the last `most` iterations; None or 0 waits for ever."""

    def __init__(self, most: int | None) -> None:
        self._most, self._waited, self._best = most or math.inf, 0, math.inf

    def watch(self, loss: float) -> None:
        """Note the loss of one more iteration, the mean of its minibatch in all processes."""
        self._waited += 1
        if loss < IMPROVEMENT * self._best:
            self._waited, self._best = 0, loss

    @property
    def is_over(self) -> bool:
        """Whether it has not."""
        return self._waited >= self._most


SKIPPED = {
    "mean_rel_dE": 0.0,
    "max_rel_dE": 0.0,
    "final_pass_rate": 0.0,
    "in_band_rate": 0.0,
    "mean_step_fraction": 0.0,
    "progress": 0.0,
    "skipped": True,
}
"""Metrics of a Part 2 that does not take place."""


def _samples(states: Sequence[Pair] | ReplayMemory, history: HistoryBuffer | None = None) -> Samples:
    if isinstance(states, Samples):
        return states
    if not isinstance(states, Trajectory | ReplayMemory):
        states = Trajectory.from_pairs(states, history)
    assert states.samples is not None
    return states.samples


def _start(learned: Learned[K], states: Sequence[Pair] | ReplayMemory, history: HistoryBuffer | None) -> Start[K]:
    if isinstance(states, ReplayMemory):
        return learned.replayed(states)
    samples = _samples(states, history)
    return learned.start(samples.state, samples.history)


def _count_systems(states: Sequence[Pair] | ReplayMemory) -> int:
    if isinstance(states, ReplayMemory | Samples):
        return len(states)
    if isinstance(states, Trajectory):
        return 0 if states.samples is None else len(states.samples)
    return sum(state.batch_shape.numel() for state, _ in states)


def learn_from(
    model: nn.Module, optimizer: torch.optim.Optimizer, learned: Learned[K], start: Start[K], chosen: Tensor
) -> tuple[bool, float]:
    """One iteration on a minibatch; whether the gate let all of it through before, and the mean of its losses."""
    tried = learned.attempt(model, start, chosen, n_steps=learned.config.n_steps)
    outside = tried.losses.detach() > 0
    failed = ~tried.passed
    here = [outside.numel(), *(int(which.sum()) for which in (outside, failed & outside, failed))]
    loss = tried.losses.sum()
    n_samples, n_outside, n_refused, n_failed, total = ranks.total(np.array([*here, loss.item()], dtype=np.float64))
    if n_outside:
        learn(model, optimizer, loss, int(n_samples), refused=n_refused > 0)
    return n_failed == 0, float(total / n_samples)


def _evaluate(model: nn.Module, learned: Learned[K], start: Start[K]) -> Evaluation:
    with torch.no_grad(), evaluation_mode(model):
        found = _evaluation(learned.attempt(model, start, n_steps=learned.config.n_steps))
    return found._replace(all_pass=ranks.everywhere(found.all_pass))


def _evaluation(tried: Attempt) -> Evaluation:
    return Evaluation(bool(tried.passed.all()), tried.losses, tried.error.detach(), tried.passed, tried.dt.detach())


def _metrics(final: Evaluation, fraction: Tensor, passed: Tensor) -> dict[str, float]:
    return {
        "loss": float(final.losses.mean()),
        "mean_rel_dE": float(final.error.mean()),
        "max_rel_dE": float(final.error.max()),
        "final_pass_rate": float(final.passed.double().mean()),
        "in_band_rate": float((final.losses == 0).double().mean()),
        "mean_step_fraction": float(fraction.mean()),
        # A step that is refused gains nothing, and one that passes beyond the largest has been lucky.
        "progress": float(torch.where(passed, fraction.clamp(max=1.0), 0.0).mean()),
    }
