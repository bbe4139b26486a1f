"""Part 1: collecting trajectories whose every step conserves energy."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from aitimestepper.config.schema import Config
from aitimestepper.engine.training.collecting import (
    ACCEPTED_ERROR,
    DT,
    ERROR_MAX,
    ERROR_SUM,
    ITERATIONS,
    LOSS_LAST,
    LOSS_MAX,
    LOSS_SUM,
    ORBIT,
    SPENT,
)
from aitimestepper.errors import InputError
from aitimestepper.model.adapter import ModelAdapter
from aitimestepper.model.history_buffer import HistoryBuffer
from aitimestepper.model.networks import FullyConnectedNN
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.training.part_one.compiled_loop import collect_compiled, why_not_loop
from aitimestepper.training.part_one.torch_loop import Collected, Flock, OnAttempt, Task, collect_by_torch
from aitimestepper.training.steps.rows import Array
from aitimestepper.training.steps.trajectory import Trajectory
from aitimestepper.training.steps.windows import CalibratedAdapter


def collect_trajectory_step(
    model: nn.Module,
    particle: ParticleTorch,
    optimizer: torch.optim.Optimizer,
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None = None,
    *,
    on_attempt: OnAttempt | None = None,
) -> tuple[ParticleTorch, float | Tensor, dict[str, float]]:
    """Attempt, check, learn - on the same state until the step passes the gate.

    In a batch every system is judged on its own: one that passed is frozen with its step, only the rest are
    attempted again.

    Returns:
        The accepted, detached system; its step, a float (for a batch the tensor (B,)); the metrics.

    Raises:
        RetrainLimitError: `max_retrain_iterations` were not enough.
        NoGradientError: there is nothing to learn from a refused step.
    """
    flock = _flock(particle, adapter, history_buffer)
    task = Task(quota=len(flock.spent), once=True)
    found = _collect(model, optimizer, flock, config, adapter, task, on_attempt)
    state = found.state if particle.batch_shape else found.state.select(0)
    dt = state.dt if particle.batch_shape else state.dt.item()
    return state, dt, _step_metrics(found.records, flock.spent, state.dt)


def why_torch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    particle: ParticleTorch,
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None = None,
) -> str | None:
    """Why Part 1 runs in torch; None where its loop runs compiled. Both do the same, to rounding."""
    return why_not_loop(model, optimizer, _flock(particle, adapter, history_buffer), config, adapter)


def collect_trajectory(
    model: nn.Module,
    particle: ParticleTorch,
    optimizer: torch.optim.Optimizer,
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None = None,
    warmup_steps: int | Tensor | None = None,
    *,
    spent: Array | None = None,
    resting: Tensor | None = None,
    on_attempt: OnAttempt | None = None,
) -> tuple[Trajectory, dict[str, Any]]:
    """Take `steps_per_epoch` accepted steps; every one pushes the state that it started from to the history.

    The systems of a batch advance at their own pace: one whose step passed goes on to its next state while the network
    is retrained on the others, until there are `steps_per_epoch` steps for each of them on average.

    Args:
        warmup_steps: accepted steps at the beginning that are left out of the trajectory (of each system of a batch;
            (B,) for a number of its own); None for `history_len` where a history buffer is given, else 0.
        history_buffer: the history, which runs on; None for the adapter's own.
        spent: (B, SPENT) what has been spent on the states so far, updated; None for nothing.
        resting: (B,) systems that do not advance; None for none.
        on_attempt: told of the attempts.

    Returns:
        The trajectory with the history in force at each entry, and the metrics of the epoch. The state after the
        last step is `metrics["final_particle"]`, also where the warm-up left the trajectory empty.
    """
    if warmup_steps is None:
        warmup_steps = config.history_len if history_buffer is not None else 0
    if isinstance(adapter, CalibratedAdapter):
        return _collect_windows(model, particle, optimizer, config, adapter, on_attempt)
    flock = _flock(particle, adapter, history_buffer, spent, resting)
    task = Task(quota=config.steps_per_epoch * int(flock.active.sum()), once=False)
    found = _collect(model, optimizer, flock, config, adapter, task, on_attempt)
    single = not particle.batch_shape
    if found.window is not None:
        window = adapter.window(history_buffer)
        assert window is not None
        window.restore((found.window.select(0) if single else found.window).snapshots())
    trajectory = _without_warmup(found, warmup_steps, single)
    final = found.state.select(0) if single else found.state
    return trajectory, _epoch_metrics(found.records, trajectory, final)


def _flock(
    particle: ParticleTorch,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None,
    spent: Array | None = None,
    resting: Tensor | None = None,
) -> Flock:
    if len(particle.batch_shape) > 1:
        raise InputError(f"training takes one batch dimension, got {tuple(particle.batch_shape)}")
    with torch.no_grad():
        state = particle.clone_detached().as_batch()
        state.G = adapter.config.G
        window = adapter.window(history_buffer)
        n_systems = state.batch_shape[0]
        return Flock(
            state,
            None if window is None else window.as_batch(),
            np.zeros((n_systems, SPENT)) if spent is None else spent,
            np.ones(n_systems, dtype=bool) if resting is None else ~resting.numpy(),
        )


def _collect(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    flock: Flock,
    config: Config,
    adapter: ModelAdapter,
    task: Task,
    on_attempt: OnAttempt | None,
) -> Collected:
    if isinstance(model, FullyConnectedNN) and why_not_loop(model, optimizer, flock, config, adapter) is None:
        return collect_compiled(model, optimizer, flock, config, adapter, task, on_attempt)
    return collect_by_torch(model, optimizer, flock, config, adapter, task, on_attempt)


def _collect_windows(
    model: nn.Module,
    particle: ParticleTorch,
    optimizer: torch.optim.Optimizer,
    config: Config,
    adapter: CalibratedAdapter,
    on_attempt: OnAttempt | None,
) -> tuple[Trajectory, dict[str, Any]]:
    """As `collect_trajectory` for windows in place of steps: all of a batch are accepted, or given up, together."""
    pairs, records = [], []
    for _ in range(config.steps_per_epoch):
        flock = _flock(particle, adapter, None)
        task = Task(quota=len(flock.spent), once=True)
        found = collect_by_torch(model, optimizer, flock, config, adapter, task, on_attempt)
        particle = found.state
        pairs.append((particle, particle.dt))
        records.append(found.records)
    trajectory = Trajectory.from_pairs(pairs)
    return trajectory, _epoch_metrics(np.concatenate(records), trajectory, particle)


def _without_warmup(found: Collected, warmup_steps: int | Tensor, single: bool) -> Trajectory:
    """The accepted states, less the first few of each system."""
    whose = found.records[:, ORBIT].astype(np.int64)
    skipped = np.broadcast_to(np.asarray(warmup_steps), int(found.state.batch_shape[0]))[whose]
    kept = _rank(whose) >= skipped
    if found.samples is None or not kept.any():
        return Trajectory()
    rounds = np.repeat(np.arange(len(found.sizes)), found.sizes)[kept]
    sizes = np.unique(rounds, return_counts=True)[1].tolist()
    samples = found.samples if kept.all() else found.samples.select(torch.from_numpy(np.flatnonzero(kept)))
    return Trajectory(samples, sizes, single=single)


def _rank(whose: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many entries of the same system stand before each."""
    order = np.argsort(whose, kind="stable")
    counts = np.bincount(whose)
    rank = np.empty(len(whose), dtype=np.int64)
    rank[order] = np.arange(len(whose)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rank


def _step_metrics(records: Array, spent: Array, dt: Tensor) -> dict[str, float]:
    """Of one accepted step, or of one for each system of a batch; `spent` is what windows cost that were given up."""
    costs = np.concatenate([records[:, :SPENT], spent])
    iterations = costs[:, ITERATIONS].sum()
    errors = records[:, ACCEPTED_ERROR] if len(records) else np.zeros(1)
    longest = costs[costs[:, ITERATIONS].argmax()]
    return {
        "retrain_iterations": int(longest[ITERATIONS]),
        "reject_count": int(iterations),
        "final_energy_error": float(errors.max()),
        "retrain_loss_mean": float(costs[:, LOSS_SUM].sum() / max(iterations, 1)),
        "retrain_loss_max": float(costs[:, LOSS_MAX].max()),
        "retrain_rel_dE_mean": float(costs[:, ERROR_SUM].sum() / max(iterations, 1)),
        "retrain_rel_dE_max": float(costs[:, ERROR_MAX].max()),
        "last_retrain_loss": float(longest[LOSS_LAST]),
        "accepted_dt": float(dt.mean()),
    }


def _epoch_metrics(records: Array, trajectory: Trajectory, final: ParticleTorch) -> dict[str, Any]:
    """Of accepted steps, each of which counts once, whichever system it belongs to."""
    n_steps = len(records)
    if not n_steps:
        records = np.zeros((1, records.shape[1]))  # every window was given up, or other processes were faster
    iterations, errors = records[:, ITERATIONS], records[:, ACCEPTED_ERROR]
    retrained = records[iterations > 0]
    kept = 0 if trajectory.samples is None else len(trajectory.samples)
    return {
        "total_steps": n_steps,
        "warmup_discarded": n_steps - kept,
        "trajectory_length": kept,
        "mean_retrain_iterations": float(iterations.mean()),
        "max_retrain_iterations": int(iterations.max()),
        "mean_energy_error": float(errors.mean()),
        "min_energy_error": float(errors.min()),
        "max_energy_error": float(errors.max()),
        "acceptance_rate": len(records) / (len(records) + float(iterations.sum())),
        "mean_retrain_loss": (
            float((retrained[:, LOSS_SUM] / retrained[:, ITERATIONS]).mean()) if len(retrained) else 0.0
        ),
        "max_retrain_loss": float(records[:, LOSS_MAX].max()),
        "mean_accepted_dt": float(records[:, DT].mean()),
        "final_particle": final,
    }
