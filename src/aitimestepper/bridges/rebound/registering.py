"""`register`: the calibrated run as an integrator of REBOUND, "aits"."""

from __future__ import annotations

import ctypes
from functools import cache, lru_cache
from typing import Any

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.bridges.rebound.structures import check_layout
from aitimestepper.errors import InputError
from aitimestepper.systems.initial import InitialConditions, check_apart
from aitimestepper.systems.rebound_bodies import check_plain, require_rebound, state_of
from aitimestepper.weights.calibrated import check_tolerance

NAME = "aits"
DEFAULT_TOLERANCE = 1e-8

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
}
_DOUBLE, _POINTER = 1, 10
"""REBOUND's kinds of fields."""


def register(simulation: Any = None, tolerance: float = DEFAULT_TOLERANCE) -> None:
    """Make the calibrated run an integrator of this process' REBOUND, and of a simulation.

        from aitimestepper.bridges.rebound import register
        register(sim, tolerance=1e-8)
        sim.integrate(100.0)

    `sim.integrator.tolerance` may be changed later; `sim.integrator.energy_error` and the other fields of
    `help(sim.integrator)` say what was achieved. The first call in a fresh installation compiles for a minute or so.

    Args:
        simulation: the `rebound.Simulation`; None to register only, as archives of such simulations need before they
            are read.
        tolerance: relative energy error that the run may have, 1e-12 to 0.1.

    Raises:
        InputError: rebound is not installed or of another version; it has an integrator of somebody else's already;
            the tolerance is out of range; it is no simulation.
    """
    rebound = require_rebound()
    check_tolerance(tolerance)
    if simulation is not None and not isinstance(simulation, rebound.Simulation):
        raise InputError(f"a rebound.Simulation is needed, got {type(simulation).__name__}")
    check_layout(rebound)
    _register_once()
    if simulation is not None:
        simulation.integrator = NAME
        simulation.integrator.tolerance = tolerance


@lru_cache(maxsize=1)
def _register_once() -> None:
    """Register the compiled functions: REBOUND takes one integrator of users in a process, once."""
    import rebound

    _check_room(rebound)
    from aitimestepper.bridges.rebound import integrator
    from aitimestepper.bridges.rebound.callbacks import keep, set_action

    set_action("prepare_integrator", _prepare)
    configuration = dict(rebound.Simulation._fields_)["integrator"]
    callbacks = dict(configuration._fields_)["callbacks"]
    descriptors = _descriptors(dict(callbacks._fields_)["field_descriptor_list"])
    entry = callbacks(
        documentation=_DOCUMENTATION.encode(),
        step=integrator.step_callback.address,
        create=integrator.create_callback.address,
        free=integrator.free_callback.address,
        field_descriptor_list=descriptors,
    )
    name = ctypes.c_char_p(NAME.encode())
    function = rebound.clibrebound.reb_integrator_register
    function.argtypes, function.restype = [callbacks, ctypes.c_char_p], None
    for thing in (entry, name, descriptors):
        keep(thing)
    function(entry, name)


def _check_room(rebound: Any) -> None:
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
    from aitimestepper.bridges.rebound import integrator

    descriptor = kind._type_
    entries = [
        descriptor(documentation=text.encode(), dtype=_DOUBLE, name=name.encode(), offset=8 * word)
        for word, (name, text) in enumerate(_FIELDS.items())
    ]
    entries.append(
        descriptor(
            documentation=b"",
            dtype=_POINTER,
            name=b"run",
            offset=8 * integrator.RUN,
            offset_N=8 * integrator.RUN_SIZE,
            element_size=8,
        )
    )
    table = (descriptor * (len(entries) + 1))(*entries)
    return ctypes.cast(table, kind)


def _prepare(simulation: int, state: int) -> None:
    """Give a state its plan and, unless the one it has is current (it came from an archive or a copy), a run.

    Raises:
        InputError: the simulation is not one that the run could follow.
    """
    import rebound

    from aitimestepper.bridges.rebound import integrator

    view = rebound.Simulation.from_address(simulation)
    floats = (ctypes.c_double * integrator.STATE_WORDS).from_address(state)
    integers = (ctypes.c_int64 * integrator.STATE_WORDS).from_address(state)
    if floats[integrator.TOLERANCE] == 0.0:  # as C made it: sim.integrator = "aits" alone
        floats[integrator.TOLERANCE] = DEFAULT_TOLERANCE
    tolerance = floats[integrator.TOLERANCE]
    check_tolerance(tolerance)
    check_plain(view)
    if not view.dt > 0.0 and not view.dt < 0.0:
        raise InputError(f"sim.dt = {view.dt} does not say which way time goes: set it to 1 or -1")
    plan, vector = _plan(tolerance, view.G, view.softening)
    integers[integrator.PLAN], integers[integrator.PLAN_SIZE] = vector.ctypes.data, len(vector)
    if not integrator.is_current(simulation, state):
        _begin(view, simulation, state, plan)


@cache
def _plan(tolerance: float, G: float, softening: float) -> tuple[Any, Floats]:
    """The plan of a tolerance, and the vector that it is for compiled code; it lives as long as the process."""
    from aitimestepper.bridges.rebound.callbacks import keep
    from aitimestepper.bridges.rebound.plan_vector import flat
    from aitimestepper.simulation.stepper import CalibratedStepper
    from aitimestepper.weights.calibrated import order_for

    stepper = CalibratedStepper.load_default()
    plan = stepper.plan(tolerance, "ttl", order_for(tolerance), G=G, softening=softening)
    vector = flat(plan)
    keep(vector)
    return plan, vector


def _begin(view: Any, simulation: int, state: int, plan: Any) -> None:
    """A run from the bodies as they are, in the frame of their centre of mass."""
    from aitimestepper.bridges.rebound import integrator
    from aitimestepper.engine.layout import ENERGY_0, ENERGY_SCALE, ERROR_MAX
    from aitimestepper.simulation.planning import new_run

    direction = -1.0 if view.dt < 0.0 else 1.0
    mass, position, velocity = state_of(view)
    if len(mass) < 2:
        raise InputError(f"{NAME} needs two bodies that attract each other")
    system = InitialConditions(mass, position, direction * velocity, time=direction * view.t)
    check_apart(system, view.softening)
    run = new_run(system, plan)
    if integrator.is_same(simulation, state):
        # It turns round: its energy is still to be what it was at the start.
        before = integrator.run_in(_vector_of(state, integrator)).books
        for entry in (ENERGY_0, ENERGY_SCALE, ERROR_MAX):
            run.books[entry] = before[entry]
    if not integrator.room_for_run(state, len(mass)):
        raise InputError(f"there is no memory for {len(mass)} bodies")
    vector = _vector_of(state, integrator)
    vector[integrator.BODIES], vector[integrator.DIRECTION] = len(mass), direction
    vector[integrator.OWN_GRAVITY], vector[integrator.OWN_SOFTENING] = view.G, view.softening
    vector[integrator.OWN_TOLERANCE] = plan.control.tolerance
    vector[integrator.OWN_ACTIVE] = np.array([view.N_active], dtype=np.uint64).view(np.int64)[0]
    vector[integrator.FRAME_TIME] = view.t
    place, speed = _centre(mass, position, system.position), _centre(mass, velocity, direction * system.velocity)
    vector[integrator.FRAME_PLACE : integrator.FRAME_PLACE + 3] = place
    vector[integrator.FRAME_VELOCITY : integrator.FRAME_VELOCITY + 3] = speed
    parts = np.concatenate([run.books, run.system, run.anchor])
    vector[integrator.HEAD : integrator.HEAD + len(parts)] = parts
    integrator.note_shown(simulation, vector)


def _vector_of(state: int, integrator: Any) -> Floats:
    """The vector of a state's run, where it is."""
    own = (ctypes.c_int64 * integrator.STATE_WORDS).from_address(state)
    return np.ctypeslib.as_array((ctypes.c_double * own[integrator.RUN_SIZE]).from_address(own[integrator.RUN]))


def _centre(mass: Floats, before: Floats, after: Floats) -> Floats:
    """What was taken off vectors to bring them to the centre of mass: zero where nothing was."""
    return np.zeros(3) if np.array_equal(before, after) else (mass @ (before - after)) / mass.sum()
