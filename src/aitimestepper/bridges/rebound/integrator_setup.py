"""What Python does for the integrator "aits": it makes it known to REBOUND, and sets up plans and runs."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any

import numpy as np
import rebound

from aitimestepper.arrays import Floats
from aitimestepper.bridges.rebound.callbacks import keep, set_action
from aitimestepper.bridges.rebound.integrator import (
    create_callback,
    free_callback,
    is_current,
    is_same,
    note_shown,
    step_callback,
)
from aitimestepper.bridges.rebound.plan_vector import flat
from aitimestepper.bridges.rebound.run_vector import RUN_LAYOUT, STATE, head_of, room_for_run, run_in, take_plan
from aitimestepper.engine.run.plan import Plan
from aitimestepper.errors import InputError
from aitimestepper.simulation.planning import new_run
from aitimestepper.simulation.stepper import CalibratedStepper
from aitimestepper.systems.initial import InitialConditions, check_apart
from aitimestepper.systems.rebound_bodies import check_plain, state_of
from aitimestepper.weights.calibrated import DEFAULT_TOLERANCE, check_tolerance, order_for

NAME = "aits"

_DOCUMENTATION = (
    "AITimeStepper: the time-transformed leapfrog of order 2 to 8, with steps from a network that was calibrated to "
    "keep the relative energy error of a run below the tolerance. The run measures its own errors, and takes back what "
    "exceeds it. Point masses that attract each other, nothing else. A call makes a block of 32 steps or more."
)
_FIELDS = {
    "tolerance": "Relative energy error that the run may have, 1e-12 to 0.1. Default: 1e-8.",
    "energy_error": "Largest relative energy error over every step since the run began or bodies were changed.",
    "position_error": "Largest local position error for each dynamical time, estimated.",
    "steps": "Steps made.",
    "force_evaluations": "Force evaluations made.",
    "rejected_steps": "Steps taken back.",
    "outside_training": "Part of the states that the network was asked about which are unlike any in its training.",
    "layout": "Digest of what the numbers of the run mean: archives keep it.",
}
_DOUBLE, _POINTER = 1, 10
"""REBOUND's kinds of fields."""


@lru_cache(maxsize=1)
def register_once() -> None:
    """Register the compiled functions: REBOUND takes one integrator of users in a process, once."""
    _check_room()
    configuration = dict(rebound.Simulation._fields_)["integrator"]
    callbacks = dict(configuration._fields_)["callbacks"]
    descriptors = _descriptors(dict(callbacks._fields_)["field_descriptor_list"])
    entry = callbacks(
        documentation=_DOCUMENTATION.encode(),
        step=step_callback.address,
        create=create_callback.address,
        free=free_callback.address,
        field_descriptor_list=descriptors,
    )
    name = ctypes.c_char_p(NAME.encode())
    function = rebound.clibrebound.reb_integrator_register
    function.argtypes, function.restype = [callbacks, ctypes.c_char_p], None
    for thing in (entry, name, descriptors):
        keep(thing)
    function(entry, name)


def _check_room() -> None:
    """Refuse a second registration, from which REBOUND 5.2.2 never comes back.

    Raises:
        InputError: names the integrator that is there; or this REBOUND does not say which are.
    """
    try:
        known = ctypes.c_void_p.in_dll(rebound.clibrebound, "reb_integrator_configurations_custom").value
    except ValueError:
        raise InputError(
            f"REBOUND {rebound.__version__} keeps integrators of users in another way than 5.2.2: install that one"
        ) from None
    if known:
        name = (ctypes.c_char_p.from_address(known).value or b"").decode("utf-8", "replace")
        raise InputError(
            f"REBOUND takes one integrator of users in a process, and has {name!r} already: register this one in "
            "another process"
        )


def _descriptors(kind: Any) -> Any:
    """What archives keep of a state, and users read of it."""
    descriptor, places = kind._type_, STATE.fields
    assert places is not None
    entries = [
        descriptor(documentation=text.encode(), dtype=_DOUBLE, name=name.encode(), offset=places[name][1])
        for name, text in _FIELDS.items()
    ]
    run, size = places["run"][1], places["run_size"][1]
    entries.append(
        descriptor(documentation=b"", dtype=_POINTER, name=b"run", offset=run, offset_N=size, element_size=8)
    )
    table = (descriptor * (len(entries) + 1))(*entries)
    return ctypes.cast(table, kind)


def _prepare(simulation: int, address: int) -> None:
    """Give a state its plan and, unless the one it has is current (it came from an archive or a copy), a run.

    Raises:
        InputError: the simulation is not one that the run could follow; the run is of another version.
    """
    view, state = rebound.Simulation.from_address(simulation), _state(address)
    if state.tolerance == 0.0:  # as C made it: sim.integrator = "aits" alone
        state.tolerance = DEFAULT_TOLERANCE
    check_tolerance(state.tolerance)
    check_plain(view, ("none", "direct"))
    if not view.dt > 0.0 and not view.dt < 0.0:
        raise InputError(f"sim.dt = {view.dt} does not say which way time goes: set it to 1 or -1")
    if state.run != 0 and state.layout not in (0.0, RUN_LAYOUT):
        raise InputError(
            "the run in this archive has the layout of another version of aitimestepper: go on with the one that "
            "wrote it"
        )
    if view.N < 2 or not state_of(view)[0].any():
        return  # no body attracts another: there is nothing to plan
    plan, vector = _plan(state.tolerance, view.G, view.softening)
    if not take_plan(address, vector):
        raise InputError("there is no memory for the weights")
    if not is_current(simulation, address):
        _begin(view, simulation, address, plan)
    state.layout = RUN_LAYOUT


def _state(address: int) -> Any:
    """The integrator's state, not a copy."""
    content: Any = (ctypes.c_char * STATE.itemsize).from_address(address)
    return np.frombuffer(content, STATE)[0]


@lru_cache(maxsize=8)
def _plan(tolerance: float, G: float, softening: float) -> tuple[Plan, Floats]:
    """The plan of a tolerance, and the vector that it is for compiled code."""
    stepper = CalibratedStepper.load_default()
    plan = stepper.plan(tolerance, "ttl", order_for(tolerance), G=G, softening=softening)
    return plan, flat(plan)


def _begin(view: Any, simulation: int, address: int, plan: Plan) -> None:
    """A run from the bodies as they are, in the frame of their centre of mass."""
    direction = -1.0 if view.dt < 0.0 else 1.0
    mass, position, velocity = state_of(view)
    system = InitialConditions(mass, position, direction * velocity, time=direction * view.t)
    check_apart(system, view.softening)
    run = new_run(system, plan)
    if is_same(simulation, address):
        # It turns round: its energy is still to be what it was at the start.
        before = run_in(_run_vector(address)).books[0]
        for name in ("initial_energy", "energy_scale", "max_energy_error"):
            run.books[0][name] = before[name]
    if not room_for_run(address, len(mass)):
        raise InputError(f"there is no memory for {len(mass)} bodies")
    vector = _run_vector(address)
    head = head_of(vector)
    head.N, head.direction = len(mass), direction
    head.G, head.softening, head.tolerance = view.G, view.softening, plan.control.tolerance
    head.N_active = np.array([view.N_active], dtype=np.uint64).view(np.int64)[0]
    head.frame_time = view.t
    head.frame_position[:] = _centre(mass, position, system.position)
    head.frame_velocity[:] = _centre(mass, velocity, direction * system.velocity)
    own = run_in(vector)
    own.system[:], own.books[:], own.anchor[:] = run.system, run.books, run.anchor
    note_shown(simulation, vector)


def _run_vector(address: int) -> Floats:
    """The vector of a state's run, where it is."""
    state = _state(address)
    return np.ctypeslib.as_array((ctypes.c_double * int(state.run_size)).from_address(int(state.run)))


def _centre(mass: Floats, before: Floats, after: Floats) -> Floats:
    """What was taken off vectors to bring them to the centre of mass: zero where nothing was."""
    return np.zeros(3) if np.array_equal(before, after) else (mass @ (before - after)) / mass.sum()


set_action("prepare_integrator", _prepare)
