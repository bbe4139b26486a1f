"""Says that numba compiles, which happens once on a machine and takes longer than most runs."""

from __future__ import annotations

from functools import cache
from typing import Any

from numba.core import event

from aitimestepper.simulation.progress import tell

TEXT = "compiling for this machine, once: one to two minutes"
"""Measured on two cores on 2026-11-29: 115 s for a run with calibrated steps."""


class _Teller(event.Listener):
    """Tells of the first function of this process that has to be compiled."""

    def __init__(self) -> None:
        self._told = False

    def on_start(self, event: Any) -> None:
        """Tell, unless that was done."""
        if not self._told:
            self._told = True
            tell(TEXT)

    def on_end(self, event: Any) -> None:
        """Nothing: others follow."""


_TELLER = _Teller()


@cache
def tell_of_compiling() -> None:
    """From here on, say it once where something has to be compiled."""
    event.register("numba:compile", _TELLER)
