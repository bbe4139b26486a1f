"""Sweeps: many trainings with settings from a search space, in one study that processes and machines share."""

from __future__ import annotations

from aitimestepper.sweeping.session import SweepOutcome, sweep
from aitimestepper.sweeping.settings import SweepSettings, read_sweep
from aitimestepper.sweeping.trials import BEST_FILE, TABLE_FILE, TrialResult, ranked

__all__ = [
    "BEST_FILE",
    "TABLE_FILE",
    "SweepOutcome",
    "SweepSettings",
    "TrialResult",
    "ranked",
    "read_sweep",
    "sweep",
]
