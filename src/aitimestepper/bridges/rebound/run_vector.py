"""What the integrator "aits" keeps of a simulation: its state, and the vector of its run, which archives hold."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from numba import carray

from aitimestepper.arrays import Floats
from aitimestepper.bridges.rebound.memory import allocated, floats_at, pointer_to, released
from aitimestepper.engine.compilation import compiled, inlined, plain
from aitimestepper.engine.layout import BOOKS, LAYOUT, N_BOOKS, ROWS, record
from aitimestepper.engine.run.state import Run

_READ = (
    *("tolerance", "energy_error", "position_error", "steps", "force_evaluations", "rejected_steps"),
    "outside_training",
)
STATE = record(
    [
        *((name, np.float64) for name in _READ),  # what users read, and archives keep
        ("layout", np.float64),  # digest of what the numbers of the run mean; 0 before there was one
        ("run", np.int64),  # addresses and lengths of two vectors
        ("run_size", np.int64),
        ("plan", np.int64),
        ("plan_size", np.int64),
    ]
)

_HEAD = (
    ("N", ()),
    ("direction", ()),  # of time: 1 or -1
    ("shown_time", ()),  # REBOUND's time when it was last given the particles
    ("G", ()),  # what the run was made for, as the next two
    ("softening", ()),
    ("tolerance", ()),
    ("N_active", ()),
    ("frame_time", ()),  # when the centre of mass was at `frame_position`
    ("frame_position", (3,)),
    ("frame_velocity", (3,)),
)
HEAD = record([(name, np.float64, shape) for name, shape in _HEAD])
"""A run's vector begins with this; then its books, its system and its anchor, then the particles as REBOUND was last
given them, seven rows: masses, positions, velocities."""

_N_HEAD, _STATE_BYTES = HEAD.itemsize // 8, STATE.itemsize

RUN_LAYOUT = float(int(hashlib.sha256(repr((_HEAD, LAYOUT)).encode()).hexdigest()[:13], 16))
"""Digest of what the numbers of a run's vector mean: so many of its bits as a float holds."""

_state = pointer_to(STATE)


@inlined
def state_at(address: int) -> Any:
    """The integrator's state, not a copy."""
    return carray(_state(address), (1,))[0]


@compiled
def new_state() -> int:
    """The address of a state with nothing in it."""
    return allocated(_STATE_BYTES, 1)


@compiled
def free_state(address: int) -> None:
    """Free a state, its run and its plan."""
    state = state_at(address)
    released(state.run)
    released(state.plan)
    released(address)


@compiled
def room_for_run(address: int, n: int) -> int:
    """Give a state a new run's vector; returns its address, or 0 if there is no room."""
    state = state_at(address)
    released(state.run)
    state.run, state.run_size = allocated(run_size(n), 8), run_size(n)
    return state.run


@compiled
def take_plan(address: int, plan: Floats) -> int:
    """Give a state a copy of a plan; returns its address, or 0 if there is no room."""
    state = state_at(address)
    released(state.plan)
    state.plan, state.plan_size = allocated(plan.shape[0], 8), plan.shape[0]
    if state.plan != 0:
        floats_at(state.plan, state.plan_size)[:] = plan
    return state.plan


@inlined
def run_vector_of(state: Any) -> Floats:
    """The vector of a state's run."""
    return floats_at(state.run, state.run_size)


@compiled
def run_size(n: int) -> int:
    """Length of a run's vector."""
    return _N_HEAD + 2 * (N_BOOKS + ROWS * n) + 7 * n


@plain
def head_of(vector: Floats) -> Any:
    """The record at the beginning of a run's vector."""
    return vector[:_N_HEAD].view(HEAD)[0]


@plain
def run_in(vector: Floats) -> Run:
    """The run in its vector, not a copy."""
    n = int(vector[:_N_HEAD].view(HEAD)[0].N)
    system = _N_HEAD + N_BOOKS
    anchor = system + ROWS * n
    return Run(
        vector[system:anchor],
        vector[_N_HEAD:system].view(BOOKS),
        np.zeros((0, 1)),
        vector[anchor : anchor + N_BOOKS + ROWS * n],
    )


@plain
def shown_in(vector: Floats) -> Floats:
    """(7, N), the particles as they were last shown: mass, position, velocity."""
    n = int(vector[:_N_HEAD].view(HEAD)[0].N)
    return vector[_N_HEAD + 2 * (N_BOOKS + ROWS * n) :].reshape((7, n))
