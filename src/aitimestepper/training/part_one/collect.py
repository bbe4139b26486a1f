"""Part 1: collecting trajectories whose every step conserves energy."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aitimestepper.arrays import Floats
from aitimestepper.config.schema import Config
from aitimestepper.engine.training import progress
from aitimestepper.errors import EmptyTrajectoryWarning
from aitimestepper.model.adapter import ModelAdapter
from aitimestepper.model.history_buffer import HistoryBuffer
from aitimestepper.model.networks import FullyConnectedNN
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.training.part_one.compiled_loop import collect_compiled, why_not_loop
from aitimestepper.training.part_one.torch_loop import OnAttempt, collect_by_torch
from aitimestepper.training.steps.learned import Batch, Collected, Learned, Loop, Task, detached_batch
from aitimestepper.training.steps.single_step import SingleSteps
from aitimestepper.training.steps.trajectory import Trajectory


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
    learned = SingleSteps(config, adapter)
    batch = batch_of(learned, particle, adapter.history(history_buffer))
    task = Task(quota=len(batch.spent), once=True)
    found = _loop(model, optimizer, learned, on_attempt)(batch, task)
    state = found.state if particle.batch_shape else found.state.select(0)
    dt = state.dt if particle.batch_shape else state.dt.item()
    return state, dt, _step_metrics(found.records, batch.spent, state.dt)


def collect_trajectory(
    model: nn.Module,
    particle: ParticleTorch,
    optimizer: torch.optim.Optimizer,
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None = None,
    warmup_steps: int | Tensor | None = None,
    *,
    spent: Floats | None = None,
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
    learned = SingleSteps(config, adapter)
    given = particle, adapter.history(history_buffer), warmup_steps
    found = collect_epoch(model, optimizer, learned, *given, spent=spent, resting=resting, on_attempt=on_attempt)
    warn_of_an_empty_trajectory(found[1])
    del found[1]["records"]
    return found


def warn_of_an_empty_trajectory(metrics: dict[str, Any]) -> None:
    """Warn of an epoch, whose metrics are given, that leaves nothing to learn from."""
    if metrics["total_steps"] and not metrics["trajectory_length"]:
        warnings.warn(
            f"the trajectory is empty: all {metrics['total_steps']:.0f} accepted steps went into the warm-up of the "
            "history; raise steps_per_epoch above history_len",
            EmptyTrajectoryWarning,
            stacklevel=3,
        )


def collect_epoch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    learned: Learned[Any],
    particle: ParticleTorch,
    history: HistoryBuffer | None,
    warmup_steps: int | Tensor,
    *,
    spent: Floats | None,
    resting: Tensor | None,
    on_attempt: OnAttempt | None,
) -> tuple[Trajectory, dict[str, Any]]:
    """Part 1 of an epoch, whatever is learned; arguments and result as for `collect_trajectory`, `history` in force."""
    batch = batch_of(learned, particle, history, spent, resting)
    found = learned.collect(batch, warmup_steps, _loop(model, optimizer, learned, on_attempt))
    single = not particle.batch_shape
    if history is not None and found.history is not None:
        history.restore((found.history.select(0) if single else found.history).snapshots())
    final = found.state.select(0) if single else found.state
    trajectory = Trajectory(found.samples, found.sizes, single=single)
    return trajectory, _epoch_metrics(found.records, trajectory, final)


def why_torch(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    learned: Learned[Any],
    particle: ParticleTorch,
    history: HistoryBuffer | None = None,
) -> str | None:
    """Why Part 1 runs in torch; None where its loop runs compiled. Both do the same, to rounding."""
    return why_not_loop(model, optimizer, learned, batch_of(learned, particle, history))


def batch_of(
    learned: Learned[Any],
    particle: ParticleTorch,
    history: HistoryBuffer | None,
    spent: Floats | None = None,
    resting: Tensor | None = None,
) -> Batch:
    """A detached batch for Part 1; arguments as for `collect_trajectory`."""
    with torch.no_grad():
        state = detached_batch(particle, learned.config.G)
        n_systems = state.batch_shape[0]
        return Batch(
            state,
            None if history is None else history.as_batch(),
            np.zeros((n_systems, progress.SPENT)) if spent is None else spent,
            np.ones(n_systems, dtype=bool) if resting is None else ~resting.numpy(),
        )


def _loop(
    model: nn.Module, optimizer: torch.optim.Optimizer, learned: Learned[Any], on_attempt: OnAttempt | None
) -> Loop:
    """The compiled loop where it can be taken, else the one in torch."""

    def loop(batch: Batch, task: Task) -> Collected:
        if isinstance(model, FullyConnectedNN) and why_not_loop(model, optimizer, learned, batch) is None:
            return collect_compiled(model, optimizer, learned, batch, task, on_attempt)
        return collect_by_torch(model, optimizer, learned, batch, task, on_attempt)

    return loop


def _step_metrics(records: Floats, spent: Floats, dt: Tensor) -> dict[str, float]:
    """Of one accepted step, or of one for each system of a batch; `spent` is what windows cost that were given up."""
    costs = np.concatenate([records[:, : progress.SPENT], spent])
    iterations = costs[:, progress.ITERATIONS].sum()
    errors = records[:, progress.ACCEPTED_ERROR] if len(records) else np.zeros(1)
    longest = costs[costs[:, progress.ITERATIONS].argmax()]
    return {
        "retrain_iterations": int(longest[progress.ITERATIONS]),
        "reject_count": int(iterations),
        "final_energy_error": float(errors.max()),
        "retrain_loss_mean": float(costs[:, progress.LOSS_SUM].sum() / max(iterations, 1)),
        "retrain_loss_max": float(costs[:, progress.LOSS_MAX].max()),
        "retrain_rel_dE_mean": float(costs[:, progress.ERROR_SUM].sum() / max(iterations, 1)),
        "retrain_rel_dE_max": float(costs[:, progress.ERROR_MAX].max()),
        "last_retrain_loss": float(longest[progress.LOSS_LAST]),
        "accepted_dt": float(dt.mean()),
    }


def _epoch_metrics(records: Floats, trajectory: Trajectory, final: ParticleTorch) -> dict[str, Any]:
    """Of accepted steps, each of which counts once, whichever system it belongs to."""
    n_steps = len(records)
    if not n_steps:
        records = np.zeros((1, records.shape[1]))  # every window was given up, or other processes were faster
    iterations, errors = records[:, progress.ITERATIONS], records[:, progress.ACCEPTED_ERROR]
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
            float((retrained[:, progress.LOSS_SUM] / retrained[:, progress.ITERATIONS]).mean())
            if len(retrained)
            else 0.0
        ),
        "max_retrain_loss": float(records[:, progress.LOSS_MAX].max()),
        "mean_accepted_dt": float(records[:, progress.DT].mean()),
        "final_particle": final,
        "records": records[:n_steps],
    }
