"""Those who watch a training: metrics files, TensorBoard, W&B, checkpoints. The training knows only the protocol."""

from __future__ import annotations

import importlib.util
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from aitimestepper.engine.training import progress
from aitimestepper.errors import InputError, OutputError, RunError
from aitimestepper.training.steps.records import EpochRecord, StepRecord


class Observer(Protocol):
    """Told how a training begins and gets on, of every epoch, and of the end."""

    def begin(self, message: str) -> None:
        """The training begins; the message says how it runs."""

    def step(self, record: StepRecord) -> None:
        """Steps were tried; see `StepRecord`."""

    def epoch(self, record: EpochRecord) -> None:
        """An epoch is complete."""

    def close(self) -> None:
        """The training has ended, in whatever way."""


class EpochObserver:
    """Base of observers that look at every n-th epoch and at the last."""

    def __init__(self, every: int = 1) -> None:
        self.every = every

    def begin(self, message: str) -> None:
        """The beginning is of no interest here."""

    def step(self, record: StepRecord) -> None:
        """Steps are of no interest here."""

    def epoch(self, record: EpochRecord) -> None:
        """Note the epoch, if it is one of those asked for."""
        if record.epoch % self.every == 0 or record.epoch == record.n_epochs:
            self.note(record)

    def note(self, record: EpochRecord) -> None:
        """Write one epoch down."""
        raise NotImplementedError

    def close(self) -> None:
        """Nothing to close."""


def scalars_of(record: EpochRecord) -> dict[str, float | int | bool]:
    """All numbers of a record, flat."""
    flat = {key: value for key, value in vars(record).items() if key not in ("metrics", "steps")}
    return {**record.metrics, **flat}


_SAME_AS_ANOTHER = {"n_epochs", "epoch", "energy_error", "accepted_dt", "retrain_iterations", "pass_rate"}
"""Numbers of a record that stand among its metrics under another name, or say which epoch it is."""

_OF_PART_TWO = {
    *("loss", "mean_rel_dE", "max_rel_dE", "final_pass_rate", "in_band_rate", "mean_step_fraction", "progress"),
    *("skipped", "part2_iterations", "converged"),
}
_OF_THE_RUN = {"wall_seconds", "epoch_time", "time"}


def grouped_scalars(record: EpochRecord) -> dict[str, float]:
    """The numbers of a record in the groups part1/, part2/, check/ and run/, each once."""
    return {_tag(name): float(x) for name, x in scalars_of(record).items() if name not in _SAME_AS_ANOTHER}


def _tag(name: str) -> str:
    if name.startswith("check_"):
        return "check/" + name.removeprefix("check_")
    group = "part2" if name in _OF_PART_TWO else "run" if name in _OF_THE_RUN else "part1"
    return f"{group}/{name}"


class Lines:
    """A file of JSON objects, one a line, flushed line by line.

    Args:
        path: the file; lines of epochs after `resumed_at` are dropped, they belong to a run that was cut off.
        resumed_at: epochs that are complete.

    Attributes:
        resumed: whether there were lines before.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, path: Path, *, resumed_at: int = 0) -> None:
        kept = [line for line in _complete_lines(path) if json.loads(line).get("epoch", 0) <= resumed_at]
        self.resumed = bool(kept)
        try:
            self._stream = path.open("w", encoding="utf-8")
            self._stream.writelines(line + "\n" for line in kept)
            self._stream.flush()
        except OSError as error:
            raise OutputError(f"cannot write {path}: {error.strerror}") from None

    def write(self, *rows: dict[str, Any]) -> None:
        """Append a line for each."""
        self._stream.writelines(json.dumps(numbers, allow_nan=False) + "\n" for numbers in rows)
        self._stream.flush()

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


class AcceptedSteps(EpochObserver):
    """A line for each accepted step: epoch, number in it, system, time reached, dt, error and retrain iterations.

    Args:
        path, resumed_at: as for `Lines`.
    """

    def __init__(self, path: Path, *, resumed_at: int = 0) -> None:
        super().__init__()
        self._lines = Lines(path, resumed_at=resumed_at)

    def note(self, record: EpochRecord) -> None:
        """Append the steps of an epoch."""
        steps = np.empty((0, progress.RECORD)) if record.steps is None else record.steps
        self._lines.write(
            *(
                {
                    "epoch": record.epoch,
                    "step": number,
                    "system": int(step[progress.ORBIT]),
                    "time": float(step[progress.TIME]),
                    "dt": float(step[progress.DT]),
                    "error": float(step[progress.ACCEPTED_ERROR]),
                    "retrain_iterations": int(step[progress.ITERATIONS]),
                }
                for number, step in enumerate(steps, start=1)
            )
        )

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


class JsonLines(EpochObserver):
    """One JSON object a line, in full double precision, flushed line by line.

    Args:
        path: the file; lines of epochs after `resumed_at` are dropped, they belong to a run that was cut off.
        every: epochs between two lines.
        resumed_at: epochs that are complete.
    """

    def __init__(self, path: Path, every: int = 1, *, resumed_at: int = 0) -> None:
        super().__init__(every)
        self._lines = Lines(path, resumed_at=resumed_at)

    def note(self, record: EpochRecord) -> None:
        """Append a line.

        Raises:
            RunError: a number of this epoch is not finite.
        """
        numbers = scalars_of(record)
        wrong = sorted(name for name, value in numbers.items() if not math.isfinite(value))
        if wrong:
            raise RunError(f"the training has diverged: not finite in epoch {record.epoch}: {', '.join(wrong)}")
        self._lines.write(numbers)

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


def _complete_lines(path: Path) -> list[str]:
    """Lines that were written to their end; a kill may have cut the last one."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [line for line in lines if line.startswith("{") and line.endswith("}")]


class TensorBoard(EpochObserver):
    """TensorBoard events; mind that TensorBoard keeps single precision.

    Args:
        directory: where.
        every: epochs between two.
        resumed_at: epochs that are complete.
        settings: text of the configuration, shown among the texts.
    """

    def __init__(self, directory: Path, every: int = 1, *, resumed_at: int = 0, settings: str = "") -> None:
        super().__init__(every)
        from tensorboard.compat.proto.summary_pb2 import Summary
        from torch.utils.tensorboard import SummaryWriter

        self._summary, self._value = Summary, Summary.Value
        self._writer = SummaryWriter(str(directory), purge_step=resumed_at + 1 if resumed_at else None)
        if not resumed_at:
            self._writer.add_text("configuration", "    " + settings.replace("\n", "\n    "), 0)  # Markdown, as code

    def note(self, record: EpochRecord) -> None:
        """Write every number in its group, all in one event."""
        values = [self._value(tag=name, simple_value=x) for name, x in grouped_scalars(record).items()]
        self._writer._get_file_writer().add_summary(self._summary(value=values), record.epoch)

    def close(self) -> None:
        """Flush and close."""
        self._writer.close()


def require_wandb() -> None:
    """Refuse to log to Weights & Biases where its package is missing.

    Raises:
        InputError: it is, and how to install it.
    """
    if importlib.util.find_spec("wandb") is None:
        raise InputError("wandb = true needs W&B: pip install 'aitimestepper[wandb]'")


class WeightsAndBiases(EpochObserver):
    """A Weights & Biases run, offline unless asked otherwise.

    Raises:
        InputError: the package wandb is missing.
    """

    def __init__(
        self, directory: Path, settings: dict[str, Any], *, project: str, mode: str, name: str, every: int = 1
    ) -> None:
        super().__init__(every)
        require_wandb()
        import wandb

        os.makedirs(directory, exist_ok=True)
        self._run = wandb.init(
            project=project,
            name=name,
            dir=str(directory),
            mode=mode,  # type: ignore[arg-type]
            config=settings,
            settings=wandb.Settings(silent=True),
        )

    def note(self, record: EpochRecord) -> None:
        """Log every number in its group."""
        self._run.log(grouped_scalars(record), step=record.epoch)

    def close(self) -> None:
        """Finish the run."""
        self._run.finish()


class Checkpoints(EpochObserver):
    """Writes a checkpoint every n-th epoch and after the last.

    Args:
        write: writes the training as it is now.
    """

    def __init__(self, write: Callable[[], None], every: int) -> None:
        super().__init__(every)
        self._write = write

    def note(self, record: EpochRecord) -> None:
        """Write the checkpoint."""
        self._write()
