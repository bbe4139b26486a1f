"""What came of one member of an ensemble."""

from __future__ import annotations

from dataclasses import dataclass

from aitimestepper.arrays import Floats
from aitimestepper.recordings.parts import Summary

NO_SEED = -1
"""The seed of a member that was not drawn."""

COUNTS = ("steps", "force_evaluations", "rejected_steps")
NUMBERS = (
    *("time", "energy_initial", "energy_final", "energy_error_max", "energy_error_final"),
    *("momentum_residual", "angular_momentum_residual"),
)
PROMISES = (
    *("energy_error_asked", "position_error_asked", "position_error_max", "longest_step"),
    *("step_error_asked", "step_error_max"),
    *("mergers", "merger_energy"),
)
"""Numbers of a summary that not every run has: NaN where there are none."""


@dataclass(frozen=True, eq=False)
class MemberResult:
    """What came of one member.

    Attributes:
        index: which one.
        seed: that it was drawn with; NO_SEED if it was not drawn.
        outcome: 'finished', or a sentence that says why not.
        summary: None if it never began.
        mass: (N,), without bodies if there were none.
        position, velocity: (N, D), of the last state.
    """

    index: int
    seed: int
    outcome: str
    summary: Summary | None
    mass: Floats
    position: Floats
    velocity: Floats
