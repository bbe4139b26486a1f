"""What a person sees while a training or a simulation runs, all of it on standard error."""

from __future__ import annotations

import contextlib
import sys
import time
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from aitimestepper.cli.interrupt import Interrupt
from aitimestepper.cli.output import is_first_process, note
from aitimestepper.errors import TrainingWarning
from aitimestepper.simulation.progress import Progress, fraction_bar, listening, new_bar

if TYPE_CHECKING:
    from rich.console import RenderableType

    from aitimestepper.training.steps.records import EpochRecord, StepRecord

SECONDS_BETWEEN_LINES = 10.0
"""Where standard error is no terminal, a plain line appears this often instead of a bar."""


@contextlib.contextmanager
def _one_line_warnings() -> Iterator[None]:
    """Show the warnings of a training as one line, every time; others as they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", TrainingWarning)
        usual = warnings.showwarning

        def show(message: Any, category: Any, *rest: Any, **more: Any) -> None:
            if issubclass(category, TrainingWarning):
                note(f"aitimestepper: warning: {message}")
            else:
                usual(message, category, *rest, **more)

        warnings.showwarning = show
        yield


class TrainingWatch:
    """Knows where a training stands, in words, and stops it on Ctrl-C; a base of the observers that show it."""

    def __init__(self, n_epochs: int | None, interrupt: Interrupt) -> None:
        self.n_epochs = n_epochs
        self.interrupt = interrupt
        self.last_step: StepRecord | None = None
        self.last_epoch: EpochRecord | None = None

    def begin(self, message: str) -> None:
        """Say how the training runs."""
        note(message)

    def step(self, record: StepRecord) -> None:
        """Remember the latest attempt; between two attempts nothing is half done."""
        self.last_step = record
        self.interrupt.check()

    def epoch(self, record: EpochRecord) -> None:
        """Remember the latest epoch."""
        self.last_epoch = record
        self.n_epochs = record.n_epochs

    def close(self) -> None:
        """Nothing to close."""

    def where(self) -> str:
        """`epoch 3, step 1`, or nothing before the first attempt."""
        return "" if self.last_step is None else f"epoch {self.last_step.epoch}, step {self.last_step.step}"

    def status(self) -> str:
        """Error, step, retrain iterations on the current state, and the pass rate of the latest epoch."""
        words = []
        if self.last_step is not None:
            words += [f"error {self.last_step.error:.2e}", f"dt {self.last_step.dt:.2e}"]
            words.append(f"retrained {self.last_step.retrain_iterations} x")
        if self.last_epoch is not None and not self.last_epoch.skipped:
            words.append(f"pass rate {100 * self.last_epoch.pass_rate:.0f} %")
        if self.interrupt.asked:
            words.append("stopping")
        return "   ".join(words)


class TrainingLines(TrainingWatch):
    """For log files: a plain line every ten seconds, and one for the last epoch."""

    def __init__(self, n_epochs: int | None, interrupt: Interrupt) -> None:
        super().__init__(n_epochs, interrupt)
        self._began = self._shown = time.monotonic()
        self._done_before: int | None = None

    def step(self, record: StepRecord) -> None:
        """Show where the training stands, if it is time to."""
        super().step(record)
        if self._done_before is None:
            self._done_before = record.epoch - 1
        if time.monotonic() - self._shown >= SECONDS_BETWEEN_LINES:
            self._show(record.epoch)

    def epoch(self, record: EpochRecord) -> None:
        """Show the last epoch."""
        super().epoch(record)
        if record.epoch == record.n_epochs:
            self._show(record.epoch)

    def _show(self, epoch: int) -> None:
        self._shown = time.monotonic()
        total = "" if self.n_epochs is None else f"/{self.n_epochs}"
        self.say(f"epoch {epoch}{total}   {self.status()}   {self._left()}".rstrip())

    def say(self, text: str) -> None:
        """Show a line."""
        note(text)

    def _left(self) -> str:
        if self.last_epoch is None or self.n_epochs is None:
            return ""
        done = self.last_epoch.epoch - (self._done_before or 0)
        seconds = (self._shown - self._began) / max(done, 1) * (self.n_epochs - self.last_epoch.epoch)
        return f"{_duration(seconds)} left" if seconds else ""


class TrainingBar(TrainingWatch):
    """For a terminal: a bar over the epochs, and below it the numbers of the step that is being tried."""

    def __init__(self, n_epochs: int | None, interrupt: Interrupt) -> None:
        super().__init__(n_epochs, interrupt)
        from rich.live import Live

        self._bar = new_bar("epoch {task.completed}/{task.total}")
        self._task = self._bar.add_task("", total=n_epochs)
        self._live = Live(get_renderable=self._render, console=self._bar.console, refresh_per_second=5)

    def step(self, record: StepRecord) -> None:
        """Begin to show; what fails before the first step leaves no empty bar behind."""
        if self.last_step is None:
            self._live.start()
        super().step(record)

    def epoch(self, record: EpochRecord) -> None:
        """Move the bar."""
        super().epoch(record)
        self._bar.update(self._task, total=record.n_epochs, completed=record.epoch)

    def close(self) -> None:
        """Leave the last state on the screen."""
        self._live.stop()

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.text import Text

        return Group(self._bar.get_renderable(), Text(self.status(), overflow="ellipsis", no_wrap=True))


@contextlib.contextmanager
def training_progress(n_epochs: int | None) -> Iterator[TrainingWatch]:
    """An observer that shows a training, fit for where standard error goes; closed at the end, whatever happens."""
    with Interrupt() as interrupt, _one_line_warnings():
        watch: TrainingWatch
        if is_first_process():
            watch = (TrainingBar if sys.stderr.isatty() else TrainingLines)(n_epochs, interrupt)
        else:
            watch = TrainingWatch(n_epochs, interrupt)
        try:
            yield watch
        finally:
            watch.close()


@contextlib.contextmanager
def simulation_progress(doing: str = "simulating", done: str = "simulated") -> Iterator[Progress]:
    """A function that takes the fraction that is done, shows it, and stops the simulation on Ctrl-C."""
    with Interrupt() as interrupt, fraction_bar(doing) if sys.stderr.isatty() else _fraction_lines(done) as show:

        def progress(fraction: float) -> None:
            show(fraction)
            interrupt.check()

        yield progress


@contextlib.contextmanager
def _fraction_lines(done: str) -> Iterator[Progress]:
    shown = time.monotonic()
    began = None

    def show(fraction: float) -> None:
        nonlocal shown, began
        now = time.monotonic()
        if began is None and fraction > 0:  # what was done before, compiling mostly, is not part of the run
            began, shown = (now, fraction), now
        elif began is not None and now - shown >= SECONDS_BETWEEN_LINES and fraction > began[1]:
            shown = now
            left = (now - began[0]) * (1.0 - fraction) / (fraction - began[1])
            note(f"{done} {100 * fraction:.0f} %   {_duration(left)} left")

    with listening(note):
        yield show


def _duration(seconds: float) -> str:
    """`45 s`, `12 min`, `3.5 h`, `12 days`, `more than a year`."""
    if seconds > 365 * 86400:
        return "more than a year"
    for unit, name, digits in ((1, "s", 0), (60, "min", 0), (3600, "h", 1)):
        if seconds < 100 * unit:
            return f"{seconds / unit:.{digits}f} {name}"
    return f"{seconds / 86400:.0f} days"
