"""A whole two-phase training of a given network on given systems."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from numpy.typing import NDArray
from torch import nn

from aitimestepper.config.schema import Config
from aitimestepper.errors import InputError, RunError
from aitimestepper.model.adapter import ModelAdapter
from aitimestepper.model.history_buffer import HistoryBuffer
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.names import MODEL_FILE, RESUME_FILE
from aitimestepper.training.part_one.collect import warn_of_an_empty_trajectory, why_torch
from aitimestepper.training.session.directory import keep_checkpoint
from aitimestepper.training.session.epochs import TrainingState, epochs, one_thread
from aitimestepper.training.session.observers import Checkpoints, Observer
from aitimestepper.training.session.resume import Contents, snapshot, with_all_parts, write_resume
from aitimestepper.training.steps import ranks
from aitimestepper.training.steps.losses import evaluation_mode
from aitimestepper.training.steps.records import EpochRecord, StepRecord
from aitimestepper.training.steps.single_step import SingleSteps
from aitimestepper.training.steps.trajectory import ReplayMemory, Samples
from aitimestepper.weights.file import OWN, ModelFile, write_model


def run_two_phase_training(
    model: nn.Module,
    particle: ParticleTorch,
    optimizer: torch.optim.Optimizer,
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None = None,
    save_dir: Path | str | None = None,
    *,
    generator: torch.Generator | None = None,
    observers: Sequence[Observer] = (),
) -> dict[str, Any]:
    """Train for `epochs` epochs; the systems and their history run on from one to the next.

    The network may be any module that makes (B, n) of features (B, F), the first column being a step > 0, and the
    adapter may build features of one's own; Part 1 then runs in torch.

    Args:
        save_dir: where checkpoints go (every `checkpoint_every` epochs, at the end and on Ctrl-C); None for none.
        generator: source of minibatches; None for one seeded with `config.seed`.
        observers: told of steps and epochs.

    Raises:
        InputError: network, features and systems do not go together.

    Returns:
        `epochs_completed`, `total_time` (seconds), `final_metrics`, `convergence_rate` (converged epochs over those
        with a Part 2; 0 without any), `part2_epochs`, `interrupted` (by Ctrl-C) and `final_particle`.
    """
    learned = SingleSteps(config, adapter)
    check_network(model, particle, learned)
    state = TrainingState(
        model=model,
        optimizer=optimizer,
        initial=particle.clone_detached(),
        particle=particle,
        learned=learned,
        generator=generator or torch.Generator().manual_seed(config.seed),
        replay=ReplayMemory(config.replay_capacity),
        history=adapter.history(history_buffer),
    )
    return run_training(state, config, save_dir=None if save_dir is None else Path(save_dir), observers=observers)


@one_thread()
def run_training(
    state: TrainingState,
    config: Config,
    *,
    save_dir: Path | None = None,
    observers: Sequence[Observer] = (),
    about: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Train on from a state; result and arguments as for `run_two_phase_training`.

    Ctrl-C ends the training, and so does a `RunError`, which is raised again. The checkpoint is then that of the last
    complete epoch: from there a resumed training takes the very steps that an uninterrupted one would have taken.
    """
    reason = why_torch(state.model, state.optimizer, state.learned, state.particle, state.history)
    loop = "compiled" if reason is None else "in torch"
    keeper = _Keeper(state, config, save_dir, {**(about or {}), "part_one": loop})
    for observer in observers:
        observer.begin(f"Part 1 runs {loop}" + ("" if reason is None else f": {reason}"))
    watching = [*observers]
    if save_dir is not None:
        watching.append(Checkpoints(keeper.write, config.checkpoint_every))
    record: EpochRecord | None = None
    interrupted = False
    with ExitStack() as stack:
        for observer in watching:
            stack.callback(observer.close)
        try:
            for record in epochs(state, config, on_step=_broadcast(observers)):
                keeper.keep()
                for observer in watching:
                    observer.epoch(record)
            keeper.write()
            if record is not None and not len(state.replay):
                warn_of_an_empty_trajectory(record.metrics)
        except KeyboardInterrupt:
            interrupted = True
            keeper.write()
        except RunError:
            keeper.write()
            raise
    return {
        "epochs_completed": keeper.contents["counters"]["epoch"],
        "total_time": state.wall_seconds,
        "final_metrics": {} if record is None else record.metrics,
        "convergence_rate": state.converged_epochs / state.part2_epochs if state.part2_epochs else 0.0,
        "part2_epochs": state.part2_epochs,
        "interrupted": interrupted,
        "final_particle": state.particle,
    }


def _broadcast(observers: Sequence[Observer]) -> Callable[[StepRecord], None] | None:
    if not observers:
        return None

    def on_step(record: StepRecord) -> None:
        for observer in observers:
            observer.step(record)

    return on_step


def _as_array(tensor: torch.Tensor) -> NDArray[Any]:
    """A tensor in single or double precision, which are what a model file holds; counters of one's own networks too."""
    exact = tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.double()
    return exact.cpu().numpy()


def check_network(model: nn.Module, particle: ParticleTorch, learned: SingleSteps) -> None:
    """Refuse a network that does not go with the features of some systems, in a sentence.

    Args:
        model: any network.
        particle: one system or a batch.
        learned: its adapter builds the features.

    Raises:
        InputError: width or precision do not fit, or what the network gives is no column of steps.
    """
    with torch.no_grad(), evaluation_mode(model):
        features = learned.start(particle).features
        own = next((tensor.dtype for tensor in model.parameters() if tensor.is_floating_point()), features.dtype)
        if own != features.dtype:
            raise InputError(
                f"the weights of the network are {_name(own)} and its features {_name(features.dtype)}: build it in "
                f"{_name(features.dtype)}, or pass dtype = torch.{_name(own)} to ModelAdapter"
            )
        try:
            output = model(features)
        except RuntimeError as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"the network does not take {features.shape[1]} features, which these systems have "
                f"(adapter.input_dim_from_state): {reason}"
            ) from None
    if output.shape[:-1] != features.shape[:-1] or output.ndim != features.ndim:
        raise InputError(
            f"the network makes {tuple(output.shape)} of features {tuple(features.shape)}: it must give (B, n) for "
            "(B, F), and the first column is the step"
        )
    step = learned.adapter.step_from_output(output, particle.as_batch())
    if not bool((step > 0).all()):
        raise InputError(
            f"the first column of the network gives the step {float(step.min()):.3g}: steps must be > 0, end for "
            "instance in a softplus"
        )


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


class _Keeper:
    """Holds the training as it was after the last complete epoch, and writes it."""

    def __init__(self, state: TrainingState, config: Config, save_dir: Path | None, about: dict[str, Any]) -> None:
        self._state, self._config, self._save_dir, self._about = state, config, save_dir, about
        self.contents: Contents = snapshot(state, config)
        self._written: Contents | None = None

    def keep(self) -> None:
        """Note the training as it is now."""
        self.contents = snapshot(self._state, self._config)

    def write(self) -> None:
        """Write what was noted: first what a resume needs, then the model to use."""
        if self._save_dir is None or self._written is self.contents:
            return
        whole = with_all_parts(self.contents)
        if ranks.rank() == 0:
            self._write(self._save_dir, whole)
        self._written = self.contents

    def _write(self, save_dir: Path, whole: Contents) -> None:
        save_dir.mkdir(parents=True, exist_ok=True)
        write_resume(save_dir / RESUME_FILE, whole)
        scales = self.contents["scales"]
        weights = {name: _as_array(tensor) for name, tensor in self.contents["model"].items()}
        epoch = self.contents["counters"]["epoch"]
        seen = self._state.replay.samples or Samples(self._state.particle.as_batch(), torch.zeros(1), None)
        own = self._state.learned.about(self.contents["model"], seen, final=epoch == self._config.epochs)
        about = {"epoch": epoch, **self._about, **own}
        parts = self._state.learned.own_parts(self._state.model)
        about |= {} if parts is None else {OWN: parts}
        write_model(
            save_dir / MODEL_FILE,
            ModelFile(weights, self._config, None if scales is None else tuple(scales), about),
        )
        keep_checkpoint(save_dir, epoch, self._config.keep_checkpoints)
