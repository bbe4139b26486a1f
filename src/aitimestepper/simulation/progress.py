"""How far a run has come, shown where somebody looks: in a terminal, or in a notebook."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

Progress = Callable[[float], None]
"""Takes the part that is done, 0 to 1; called several times a second."""

_LISTENING: list[Callable[[str], None]] = []

_SECONDS_UNSEEN = 1.0
"""What takes less shows nothing."""


@contextlib.contextmanager
def shown(progress: Progress | bool | None, doing: str) -> Iterator[Progress]:
    """What is to be called with the part that is done.

    Args:
        progress: a function, which is taken; None for a bar where somebody looks, True for a bar, False for nothing.
        doing: what is done, as `simulating`.
    """
    if progress is not None and not isinstance(progress, bool):
        yield progress
    elif progress or (progress is None and _is_watched()):
        with fraction_bar(doing) as show:
            yield show
    else:
        yield lambda fraction: None


def _is_watched() -> bool:
    """Whether standard error is a terminal, or this is a notebook."""
    if sys.stderr.isatty():
        return True
    shell = sys.modules.get("IPython")
    return shell is not None and hasattr(shell.get_ipython(), "kernel")


@contextlib.contextmanager
def listening(hear: Callable[[str], None]) -> Iterator[None]:
    """While this lasts, what `tell` says goes to a function."""
    _LISTENING.append(hear)
    try:
        yield
    finally:
        _LISTENING.remove(hear)


def tell(text: str) -> None:
    """Say something that takes long to whoever shows progress now, if anybody does."""
    for hear in _LISTENING[-1:]:
        hear(text)


@contextlib.contextmanager
def fraction_bar(doing: str) -> Iterator[Progress]:
    """A bar that goes away at its end; of what is over at once nothing is seen.

    What is done before the first part of the run, compiling mostly, does not count for the time that is left.
    """
    bar = new_bar("{task.description}", transient=True)
    task = bar.add_task(doing, total=1.0, start=False)
    began, started = time.monotonic(), False

    def hear(text: str) -> None:
        nonlocal started
        bar.update(task, description=text)
        if not started:
            bar.start()
            started = True

    def show(fraction: float) -> None:
        nonlocal started
        if not started and time.monotonic() - began > _SECONDS_UNSEEN:
            bar.start()
            started = True
        if fraction > 0.0 and bar.tasks[0].start_time is None:
            bar.start_task(task)
        if fraction > 0.0:
            bar.update(task, completed=fraction, description=f"{doing} {100 * fraction:.0f} %")

    try:
        with listening(hear):
            yield show
    finally:
        if started:
            bar.stop()


def new_bar(text: str, *, transient: bool = False) -> Bar:
    """A bar as wide as the terminal, on standard error, with the time that is left."""
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    return Bar(
        TextColumn(text),
        BarColumn(bar_width=None),
        TimeRemainingColumn(),
        TextColumn("left"),
        console=Console(stderr=True, highlight=False),
        expand=True,
        transient=transient,
    )
