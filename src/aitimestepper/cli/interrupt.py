"""Ctrl-C, kept until the program is where it can stop cleanly."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Self


class Interrupt:
    """A context in which the first Ctrl-C waits for `check`, and a second one is raised at once.

    Raised anywhere, a KeyboardInterrupt could come between two lines that belong together: an epoch that is counted
    and its line in the metrics file. Where Ctrl-C is ignored (in the background of a shell script), it stays so.
    """

    def __init__(self) -> None:
        self.asked = False
        self._usual = signal.getsignal(signal.SIGINT)

    def __enter__(self) -> Self:
        in_main_thread = threading.current_thread() is threading.main_thread()
        if in_main_thread and self._usual is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if signal.getsignal(signal.SIGINT) == self._handle:
            signal.signal(signal.SIGINT, self._usual)

    def check(self) -> None:
        """Stop here if Ctrl-C was pressed.

        Raises:
            KeyboardInterrupt: it was.
        """
        if self.asked:
            raise KeyboardInterrupt

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
