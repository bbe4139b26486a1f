"""Ctrl-C and SIGTERM, which batch systems send: heard from the first line on, and kept until stopping is safe.

Loaded before anything else: until a command runs, and while anything is imported, a signal ends the program at once. An
exception would leave a traceback there, or be swallowed by what is being imported.
"""

from __future__ import annotations

import contextlib
import os
import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType, TracebackType
    from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Heard:
    """A context in which Ctrl-C and SIGTERM raise a KeyboardInterrupt; the last of them is remembered.

    Attributes:
        number: of the last signal, 0 for none.
        running: whether this is within the context.
    """

    number = 0
    running = False

    def __enter__(self) -> Self:
        self.number, self.running = 0, True
        self._before = _answer_by(self.answer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.running = False
        _restore(self._before)

    def listen(self) -> None:
        """Answer from here on to the end of the program."""
        _answer_by(self.answer)

    def exit_code(self) -> int:
        """128 and the number of the signal, as shells have it."""
        return 128 + (self.number or signal.SIGINT)

    def answer(self, number: int, frame: FrameType | None) -> None:
        """What a signal does outside of an `Interrupt`."""
        self.number = number
        if self.running and not _is_importing(frame):
            raise KeyboardInterrupt
        with contextlib.suppress(OSError):  # standard error may be closed
            os.write(2, b"aitimestepper: error: interrupted\n")
        os._exit(self.exit_code())


heard = Heard()
"""Of this process."""


class Interrupt:
    """A context in which the first Ctrl-C or SIGTERM waits for `check`, and a second one is raised at once.

    Raised anywhere, a KeyboardInterrupt could come between two lines that belong together: an epoch that is counted
    and its line in the metrics file. Where a signal is ignored (in the background of a shell script), it stays so.
    """

    def __init__(self) -> None:
        # One that was raised and swallowed, by a callback of a library, is not forgotten.
        self.asked = heard.running and heard.number > 0

    def __enter__(self) -> Self:
        self._before = _answer_by(self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        _restore(self._before)

    def check(self) -> None:
        """Stop here if a signal came.

        Raises:
            KeyboardInterrupt: one did.
        """
        if self.asked:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        heard.number = number
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


def _answer_by(handler: Any) -> dict[signal.Signals, Any]:
    """Let a handler answer the signals that are not ignored, nor answered by a program around this one.

    Returns:
        The handlers before, of the signals that have another one now; nothing in a thread that gets no signals.
    """
    usual = (signal.default_int_handler, signal.SIG_DFL, heard.answer)
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    before = {number: known for number, known in before.items() if known in usual}
    try:
        for number in before:
            signal.signal(number, handler)
    except ValueError:  # not in the main thread
        return {}
    return before


def _restore(before: dict[signal.Signals, Any]) -> None:
    for number, known in before.items():
        signal.signal(number, known)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            return True
        frame = frame.f_back
    return False
