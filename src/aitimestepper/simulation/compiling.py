"""Says that numba compiles, which happens once on a machine and takes longer than most runs."""

from __future__ import annotations

import time
from functools import cache
from typing import Any

from numba.core import event

from aitimestepper.simulation.progress import tell

TEXT = "compiling for this machine, once: three to five minutes"
"""Measured on one core on 2026-11-29: 250 s for a run that begins with calibrated steps and hands over to gbs."""


class _Teller(event.Listener):
    """Tells of the first function of this process that has to be compiled, and adds up how long all of them take."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._told, self._depth, self._began = False, 0, 0.0

    def on_start(self, event: Any) -> None:
        """Tell, unless that was done."""
        if not self._told:
            self._told = True
            tell(TEXT)
        if self._depth == 0:
            self._began = time.perf_counter()
        self._depth += 1

    def on_end(self, event: Any) -> None:
        """Add the time, unless this function was compiled for another one."""
        self._depth -= 1
        if self._depth == 0:
            self.seconds += time.perf_counter() - self._began


_TELLER = _Teller()


def seconds_of_compiling() -> float:
    """Of this process so far: no part of what a run takes."""
    return _TELLER.seconds


@cache
def tell_of_compiling() -> None:
    """From here on, say it once where something has to be compiled."""
    event.register("numba:compile", _TELLER)
