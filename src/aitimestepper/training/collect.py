"""Part 1: collecting a trajectory whose every step conserves energy."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from aitimestepper.config import Config
from aitimestepper.errors import RetrainLimitError, RetrainWarning
from aitimestepper.history_buffer import HistoryBuffer
from aitimestepper.model_adapter import ModelAdapter
from aitimestepper.particle import ParticleTorch
from aitimestepper.training.results import Running
from aitimestepper.training.step import Attempt, Start, attempt, evaluation_mode, learn
from aitimestepper.training.trajectory import Trajectory

WARN_EVERY = 1000

OnAttempt = Callable[[float, float, int, bool], None]
"""Called with relative energy error, dt, retrain iterations and whether the whole batch has been accepted."""


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
    start = Start.of(particle, config, adapter, history_buffer)
    tally = _Tally()
    active = torch.arange(start.energy.shape[0])
    accepted = start.state.clone_detached()
    with evaluation_mode(model):
        while True:
            tried = attempt(model, start, config, adapter)
            tally.attempted(tried)
            _freeze(accepted, active, tried)
            if on_attempt is not None:
                on_attempt(
                    tally.error.last, float(tried.dt.detach().mean()), tally.iterations, bool(tried.passed.all())
                )
            if tried.passed.all():
                break
            failed = ~tried.passed
            if start.request is not None and _is_given_up(tried, config, tally):
                _replace_failed(accepted, active[failed])
                break
            _check_limit(config, tally)
            loss = tried.losses[failed].mean()
            learn(model, optimizer, loss, refused=True)
            tally.learned(float(loss.detach()))
            rest = failed.nonzero()[:, 0]
            active, start = active[rest], start.select(rest)
    if not particle.batch_shape:
        accepted = accepted.select(0)
    dt = accepted.dt if particle.batch_shape else accepted.dt.item()
    return accepted, dt, tally.metrics(accepted.dt)


def _freeze(accepted: ParticleTorch, active: Tensor, tried: Attempt) -> None:
    passed = tried.passed.nonzero()[:, 0]
    if len(passed):
        with torch.no_grad():
            accepted.assign_at(active[passed], tried.advanced.select(passed))


def _is_given_up(tried: Attempt, config: Config, tally: _Tally) -> bool:
    """Whether windows that are still refused are given up: no step can pass, or `max_retrain_iterations` are over."""
    limit = config.max_retrain_iterations
    return bool((tried.losses[~tried.passed] == 0).all()) or (limit is not None and tally.iterations >= limit)


def _replace_failed(accepted: ParticleTorch, failed: Tensor) -> None:
    """Put systems that passed in the places of those that did not, in order: only accepted states are trained on."""
    passed = torch.ones(accepted.batch_shape[0], dtype=torch.bool)
    passed[failed] = False
    others = passed.nonzero()[:, 0]
    if len(others):
        with torch.no_grad():
            accepted.assign_at(failed, accepted.select(others[torch.arange(len(failed)) % len(others)]))


def _check_limit(config: Config, tally: _Tally) -> None:
    limit = config.max_retrain_iterations
    if limit is not None and tally.iterations >= limit:
        raise RetrainLimitError(tally.iterations, tally.error.last, config.energy_threshold)
    if tally.iterations and tally.iterations % WARN_EVERY == 0:
        warnings.warn(
            f"{tally.iterations} retrain iterations on one state: the relative energy error is {tally.error.last:.3g}, "
            f"allowed is {config.energy_threshold:.3g}",
            RetrainWarning,
            stacklevel=3,
        )


class _Tally:
    """Counts over the attempts at one step; its memory does not grow with them."""

    def __init__(self) -> None:
        self.iterations = 0
        self.attempts = 0
        self.rejected = 0
        self.error = Running()  # the largest of the batch in each attempt
        self.refused_error = Running()
        self.accepted_error = Running()
        self.loss = Running()

    def attempted(self, tried: Attempt) -> None:
        errors = tried.error.detach()
        self.error.add(float(errors.max()))
        self.attempts += errors.numel()
        for error in errors[tried.passed].tolist():
            self.accepted_error.add(error)
        refused = errors[~tried.passed]
        self.rejected += refused.numel()
        if refused.numel():
            self.refused_error.add(float(refused.mean()))

    def learned(self, loss: float) -> None:
        self.iterations += 1
        self.loss.add(loss)

    def metrics(self, dt: Tensor) -> dict[str, float]:
        return {
            "retrain_iterations": self.iterations,
            "reject_count": self.rejected,
            "attempts": self.attempts,
            "final_energy_error": self.accepted_error.largest,
            "mean_energy_error": self.accepted_error.mean,
            "min_energy_error": self.accepted_error.smallest,
            "retrain_loss_mean": self.loss.mean,
            "retrain_loss_max": self.loss.largest,
            "retrain_rel_dE_mean": self.refused_error.mean,
            "retrain_rel_dE_max": self.refused_error.largest,
            "last_retrain_loss": self.loss.last,
            "accepted_dt": float(dt.mean()),
        }


def collect_trajectory(
    model: nn.Module,
    particle: ParticleTorch,
    optimizer: torch.optim.Optimizer,
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None = None,
    warmup_steps: int | None = None,
    *,
    on_attempt: OnAttempt | None = None,
) -> tuple[Trajectory, dict[str, Any]]:
    """Take `steps_per_epoch` accepted steps; every one pushes the state that it started from to the history.

    Args:
        warmup_steps: accepted steps at the beginning that are left out of the trajectory; None for `history_len`
            where a history buffer is given, else 0.
        history_buffer: the history, which runs on; None for the adapter's own.
        on_attempt: told of every attempt.

    Returns:
        The trajectory with the history in force at each entry, and the metrics of the epoch. The state after the
        last step is `metrics["final_particle"]`, also where the warm-up left the trajectory empty.
    """
    if warmup_steps is None:
        warmup_steps = config.history_len if history_buffer is not None else 0
    trajectory, steps = Trajectory(), []
    for number in range(config.steps_per_epoch):
        accepted, dt, metrics = collect_trajectory_step(
            model, particle, optimizer, config, adapter, history_buffer, on_attempt=on_attempt
        )
        adapter.update_history(particle, history_buffer)
        if number >= warmup_steps:
            trajectory.append(accepted, torch.as_tensor(dt), adapter.window(history_buffer))
        steps.append(metrics)
        particle = accepted
    return trajectory, _epoch_metrics(steps, trajectory, particle)


def _epoch_metrics(steps: list[dict[str, float]], trajectory: Trajectory, final: ParticleTorch) -> dict[str, Any]:
    def mean(key: str) -> float:
        return sum(step[key] for step in steps) / len(steps)

    attempts = sum(step["attempts"] for step in steps)
    retrained = [step for step in steps if step["retrain_iterations"]]
    return {
        "total_steps": len(steps),
        "warmup_discarded": len(steps) - len(trajectory),
        "trajectory_length": len(trajectory),
        "mean_retrain_iterations": mean("retrain_iterations"),
        "max_retrain_iterations": max(step["retrain_iterations"] for step in steps),
        "mean_energy_error": mean("mean_energy_error"),
        "min_energy_error": min(step["min_energy_error"] for step in steps),
        "max_energy_error": max(step["final_energy_error"] for step in steps),
        "acceptance_rate": 1.0 - sum(step["reject_count"] for step in steps) / attempts,
        "mean_retrain_loss": (
            sum(step["retrain_loss_mean"] for step in retrained) / len(retrained) if retrained else 0.0
        ),
        "max_retrain_loss": max(step["retrain_loss_max"] for step in steps),
        "mean_accepted_dt": mean("accepted_dt"),
        "final_particle": final,
    }
