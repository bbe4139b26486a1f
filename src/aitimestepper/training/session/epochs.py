"""An epoch is Part 1 and Part 2; a training is a stream of epochs."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aitimestepper.arrays import Floats
from aitimestepper.config.schema import Config
from aitimestepper.engine.training.progress import SPENT
from aitimestepper.model.adapter import ModelAdapter
from aitimestepper.model.history_buffer import HistoryBuffer
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.training.part_one.collect import collect_epoch, warn_of_an_empty_trajectory
from aitimestepper.training.part_one.torch_loop import OnAttempt
from aitimestepper.training.part_two.generalize import SKIPPED, generalize
from aitimestepper.training.session.unseen import Unseen
from aitimestepper.training.steps import ranks
from aitimestepper.training.steps.learned import Learned
from aitimestepper.training.steps.records import EpochRecord, StepRecord
from aitimestepper.training.steps.single_step import SingleSteps
from aitimestepper.training.steps.trajectory import ReplayMemory


@contextmanager
def one_thread() -> Iterator[None]:
    """Let torch work in this thread alone; bits must not depend on how many share an array.

    Networks are small: on two cores one thread was as fast or faster.
    """
    usual = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(usual)


def train_epoch_two_phase(
    model: nn.Module,
    particle: ParticleTorch,
    optimizer: torch.optim.Optimizer,
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None = None,
    *,
    replay: ReplayMemory | None = None,
    generator: torch.Generator | None = None,
    warmup_steps: int | Tensor | None = None,
    spent: Floats | None = None,
    resting: Tensor | None = None,
    on_attempt: OnAttempt | None = None,
) -> dict[str, Any]:
    """Collect accepted steps from `particle` on, then train on them until all pass.

    Args:
        replay: the memory over epochs, which is extended; None trains on this epoch's trajectory alone.
        generator: source of the minibatches.
        warmup_steps, spent, resting, on_attempt: as for `collect_trajectory`.

    Returns:
        `trajectory_metrics`, `generalization_metrics`, `converged`, `part2_iterations`, `epoch_time` (seconds) and
        `final_particle`, where the next epoch begins.
    """
    generator = torch.Generator().manual_seed(config.seed) if generator is None else generator
    replay = ReplayMemory(sys.maxsize) if replay is None else replay
    if warmup_steps is None:
        warmup_steps = config.history_len if history_buffer is not None else 0
    learned = SingleSteps(config, adapter)
    state = TrainingState(
        model, optimizer, particle, particle, learned, generator, replay, adapter.history(history_buffer)
    )
    state.spent = state.spent if spent is None else spent
    with one_thread():
        result = _train_epoch(state, warmup_steps, resting, on_attempt)
    warn_of_an_empty_trajectory(result["trajectory_metrics"])
    return result


@dataclass
class TrainingState:
    """All that changes while a training runs: what a resumed run must find as it was left.

    Attributes:
        model, optimizer: the weights and what Adam remembers of them.
        initial: where the systems began.
        particle: where they are now.
        learned: single steps or windows; holds the scales of the features.
        generator: source of minibatches and dropout masks.
        replay: accepted states of all epochs.
        history: the running history; None without one.
        spent: (B, `engine.training.progress.SPENT`) on the states so far, whose steps have not been accepted yet; empty
            for nothing.
        systems: the same as they were drawn or read, for the run directory; none where the caller built `initial`.
        unseen: states that are never trained on, looked at every `check_every` epochs; None for none.
        redraw: new systems for an epoch, every `redraw_every` epochs; None if the first ones stay.
        epoch: epochs that are complete.
        converged_epochs, part2_epochs: epochs at whose end all states passed, of those with a Part 2.
        wall_seconds: spent in complete epochs.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    initial: ParticleTorch
    particle: ParticleTorch
    learned: Learned[Any]
    generator: torch.Generator
    replay: ReplayMemory
    history: HistoryBuffer | None = None
    spent: Floats = field(default_factory=lambda: np.zeros((0, SPENT)))
    systems: Sequence[InitialConditions] = ()
    unseen: Unseen | None = None
    redraw: Callable[[int], ParticleTorch] | None = None
    epoch: int = 0
    converged_epochs: int = 0
    part2_epochs: int = 0
    wall_seconds: float = 0.0


def _train_epoch(
    state: TrainingState, warmup_steps: int | Tensor, resting: Tensor | None, on_attempt: OnAttempt | None
) -> dict[str, Any]:
    """One epoch; result as of `train_epoch_two_phase`. Particle and counters of the state are left to the caller."""
    began = time.perf_counter()
    model, optimizer, learned, history = state.model, state.optimizer, state.learned, state.history
    trajectory, collected = collect_epoch(
        model, optimizer, learned, state.particle, history, warmup_steps,
        spent=state.spent if len(state.spent) else None, resting=resting, on_attempt=on_attempt,
    )  # fmt: skip
    final, records = collected.pop("final_particle"), collected.pop("records")
    state.replay.extend(trajectory)
    converged, iterations, generalised = False, 0, dict(SKIPPED)
    if learned.config.replay_steps > 0:
        converged, iterations, generalised = generalize(
            model, state.replay, optimizer, learned, history, generator=state.generator
        )
    return {
        "trajectory_metrics": collected,
        "generalization_metrics": generalised,
        "converged": converged,
        "part2_iterations": iterations,
        "epoch_time": time.perf_counter() - began,
        "final_particle": final,
        "records": records,
    }


def epochs(
    state: TrainingState, config: Config, *, on_step: Callable[[StepRecord], None] | None = None
) -> Iterator[EpochRecord]:
    """Train epoch after epoch, `state` being up to date whenever a record is yielded.

    Raises:
        InputError: a system's energy is so near zero that the gate could not see an error, or `stop_at_period` is
            asked of a system without a period.
    """
    state.learned.check(state.particle)
    postponed = _Postponed()
    if not len(state.spent):
        state.spent = np.zeros((state.particle.as_batch().batch_shape[0], SPENT))
    while state.epoch < config.epochs and not (config.stop_at_period and _all_covered(state)):
        epoch = state.epoch + 1
        if not ranks.everywhere(not postponed.asked):
            raise KeyboardInterrupt
        if state.redraw is not None and config.redraw_every and state.epoch and state.epoch % config.redraw_every == 0:
            state.particle = state.redraw(epoch)
        _set_rate(state.optimizer, config, state.epoch)
        lacking = 0 if state.history is None else state.history.missing()
        watcher = None if on_step is None else _StepWatcher(epoch, postponed(on_step))
        result = _train_epoch(state, lacking, _covered(state) if config.stop_at_period else None, watcher)
        state.particle = result["final_particle"]
        state.epoch = epoch
        state.wall_seconds += result["epoch_time"]
        skipped = bool(result["generalization_metrics"].get("skipped", False))
        state.part2_epochs += not skipped
        state.converged_epochs += bool(result["converged"])
        yield _record(state, config, result, skipped)


def _set_rate(optimizer: torch.optim.Optimizer, config: Config, done: int) -> None:
    """The learning rate of an epoch: half a cosine from `lr` to `lr_final`, if there is one."""
    if config.lr_final is None:
        return
    wave = 0.5 * (1.0 + math.cos(math.pi * done / config.epochs))
    for group in optimizer.param_groups:
        group["lr"] = config.lr_final + (config.lr - config.lr_final) * wave


class _StepWatcher:
    """Turns attempts into records, counting the steps of an epoch."""

    def __init__(self, epoch: int, on_step: Callable[[StepRecord], None]) -> None:
        self.epoch, self.on_step, self.number = epoch, on_step, 1

    def __call__(self, error: float, dt: float, retrain_iterations: int, accepted: int) -> None:
        self.on_step(StepRecord(self.epoch, self.number, accepted > 0, error, dt, retrain_iterations))
        self.number += accepted


class _Postponed:
    """Where several processes train together, Ctrl-C waits for the end of the epoch, where all can stop."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, on_step: Callable[[StepRecord], None]) -> Callable[[StepRecord], None]:
        if ranks.count() == 1:
            return on_step

        def patient(record: StepRecord) -> None:
            try:
                on_step(record)
            except KeyboardInterrupt:
                self.asked = True

        return patient


def _covered(state: TrainingState) -> Tensor:
    """(B,): systems that have covered their period."""
    covered = state.particle.current_time - state.initial.current_time >= state.particle.period
    return covered.reshape(-1)


def _all_covered(state: TrainingState) -> bool:
    return ranks.everywhere(bool(_covered(state).all()))


def _record(state: TrainingState, config: Config, result: dict[str, Any], skipped: bool) -> EpochRecord:
    collected, generalised = result["trajectory_metrics"], result["generalization_metrics"]
    numbers = {key: float(value) for part in (collected, generalised) for key, value in part.items()}
    numbers["epoch_time"] = result["epoch_time"]
    numbers = ranks.combined({**numbers, "min_time": float(state.particle.current_time.min())})
    time = numbers.pop("min_time")
    if state.unseen is not None and config.check_every and state.epoch % config.check_every == 0:
        numbers |= state.unseen.look(state.model)
    return EpochRecord(
        epoch=state.epoch,
        n_epochs=config.epochs,
        wall_seconds=state.wall_seconds,
        energy_error=numbers["mean_energy_error"],
        accepted_dt=numbers["mean_accepted_dt"],
        retrain_iterations=numbers["mean_retrain_iterations"],
        acceptance_rate=numbers["acceptance_rate"],
        pass_rate=numbers["final_pass_rate"],
        part2_iterations=result["part2_iterations"],
        skipped=skipped,
        converged=result["converged"],
        mean_step_fraction=numbers["mean_step_fraction"],
        time=time,
        metrics=numbers,
        steps=result["records"],
    )
