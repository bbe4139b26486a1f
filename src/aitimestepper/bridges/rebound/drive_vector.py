"""What is kept of a driven simulation: one vector, whose address the simulation carries."""

from __future__ import annotations

from typing import Any

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.bridges.rebound.path import PATH
from aitimestepper.engine.compilation import compiled, plain
from aitimestepper.engine.layout import BOOKS, ROWS, record

DRIVE = record(
    [
        # What the drive was made for; it is set up anew where one of these is another.
        ("integrator_step", np.int64),  # address of REBOUND's function that makes a step
        ("integrator_state", np.int64),
        ("order", np.int64),  # of the integrator: the first number of its state
        ("N", np.int64),
        ("N_active", np.int64),
        ("G", np.float64),
        ("softening", np.float64),
        # How steps are chosen.
        ("reversible", np.int64),
        ("governed", np.int64),
        ("by_function", np.int64),  # a function of Python gives the steps
        ("unit", np.float64),  # how long a step of REBOUND's integrator may be, against one of the engine's
        ("plan", np.int64),  # address and length of the plan
        ("plan_size", np.int64),
        # Where the simulation stands.
        ("steps_done", np.int64),  # REBOUND's number of steps at the last beat
        ("direction", np.float64),  # of time: 1 or -1
        ("chosen_step", np.float64),
        ("wanted_rate", np.float64),  # one over the step that the state wants
        ("step_before", np.float64),  # that led to the state; 0 at the start
        # Since the last change of the steps' length.
        ("error_then", np.float64),  # the energy error at that change, over what is allowed
        ("energy_then", np.float64),
        ("fastest_rate", np.float64),  # one over the shortest fly-by time
        # Since the start.
        ("widest_step", np.float64),  # the longest that the network has wanted
        ("too_long_step", np.float64),  # the last one whose error came too far; infinite for none
        ("path", PATH),
        ("books", BOOKS),
    ]
)
_N_DRIVE = DRIVE.itemsize // 8


@compiled
def vector_size(n: int) -> int:
    """Length of the vector for n bodies."""
    return _N_DRIVE + ROWS * n


@plain
def drive_in(vector: Floats) -> Any:
    """The record at the beginning of the vector."""
    return vector[:_N_DRIVE].view(DRIVE)[0]


@plain
def system_in(vector: Floats) -> Floats:
    """(ROWS x N,), the bodies as they were last looked at."""
    return vector[_N_DRIVE:]
