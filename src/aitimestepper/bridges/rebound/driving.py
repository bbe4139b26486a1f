"""`drive`: one of REBOUND's own integrators, with steps that are chosen here."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.bridges.rebound.callbacks import set_action
from aitimestepper.bridges.rebound.plan_vector import flat
from aitimestepper.bridges.rebound.structures import check_layout
from aitimestepper.engine.layout import BOOKS, CHECKS, ENERGY_SCALE, ERROR_MAX, MASS, OUTSIDE, STEPS, WISH
from aitimestepper.errors import InputError
from aitimestepper.simulation.planning import new_run
from aitimestepper.simulation.stepper import CalibratedStepper
from aitimestepper.systems.initial import InitialConditions, check_apart
from aitimestepper.systems.rebound_bodies import check_plain, require_rebound, state_of

Stepper = Callable[[Any], float]

_UNITS = {2: 1.0, 4: 0.65, 6: 0.85, 8: 0.8}
"""How long a step of REBOUND's leapfrog of each order may be, against what the weights want for the engine's own: its
compositions are others (that of order 4 is Yoshida's, with three stages), and what cannot go back keeps a margin."""

_IAS15_ORDER = 8
_drivers: dict[int, Driver] = {}
"""By the address of their simulation, which may be that of one that is gone: the next one there takes its place."""


def drive(
    simulation: Any,
    stepper: float | CalibratedStepper | Stepper,
    *,
    tolerance: float | None = None,
    reversible: bool = True,
    governed: bool = True,
    heartbeat: Callable[[Any], None] | None = None,
) -> Driver:
    """Let a stepper choose the steps of a REBOUND simulation, which keeps its own integrator.

        from aitimestepper.bridges.rebound import drive
        drive(sim, 1e-5)
        sim.integrate(100.0)

    For the leapfrog of any order, before each step. IAS15 chooses its own steps: it gets its first one. The simulation
    may go on to be used as ever: bodies may change between two calls of `sim.integrate`, and time may turn round.
    Energy errors are measured on the way and steps shortened where they grow, but nothing is taken back, and errors of
    position are not seen: `register` does more. The first call in a fresh installation compiles for a minute or so.

    Args:
        simulation: a `rebound.Simulation` with its bodies, and `sim.integrator` (and `sim.integrator.order`) set.
        stepper: the relative energy error that the run may have, for the weights that come with the package; or a
            `CalibratedStepper` with others, and `tolerance`; or any function from the simulation to the step that its
            state wants, > 0. A function is called by Python at each step, which is slow: see docs/rebound.md.
        tolerance: of a `CalibratedStepper`.
        reversible: whether steps follow the reversible recursion, 1/dt' = 2/dt(state) - 1/dt.
        governed: whether energy errors act on the steps; they cannot where there are additional forces.
        heartbeat: a function of your own to be called after each step: the simulation has room for one alone.

    Returns:
        What is known of the run: `energy_error`, `steps`, `outside_training`. It need not be kept.

    Raises:
        InputError: rebound is not installed or of another version; the integrator is not one that can be driven; the
            simulation holds what the stepper does not know; an argument is out of range.
    """
    rebound = require_rebound()
    if not isinstance(simulation, rebound.Simulation):
        raise InputError(f"a rebound.Simulation is needed, got {type(simulation).__name__}")
    check_layout(rebound)
    driver = Driver(simulation, stepper, tolerance, reversible=reversible, governed=governed)
    if str(simulation.integrator) == "ias15":
        driver.set_first_step()
        return driver
    _order_of(simulation)
    address = ctypes.addressof(simulation)
    known = _drivers.get(address)
    if simulation.extras and not (known is not None and known.is_of(simulation)):
        raise InputError("sim.extras is in use (by REBOUNDx, perhaps): such a simulation cannot be driven")
    if simulation._heartbeat and not simulation.extras:
        raise InputError("the simulation has a heartbeat already: give it to drive as heartbeat = your_function")
    _drivers[address] = driver
    driver.start(address)
    driver.attach(heartbeat)
    return driver


class Driver:
    """What a driven simulation is driven by."""

    def __init__(
        self,
        simulation: Any,
        stepper: float | CalibratedStepper | Stepper,
        tolerance: float | None,
        *,
        reversible: bool,
        governed: bool,
    ) -> None:
        self._view = type(simulation).from_address(ctypes.addressof(simulation))
        self._reversible, self._governed = reversible, governed
        self._function: Stepper | None = None
        self._stepper: CalibratedStepper | None = None
        if isinstance(stepper, CalibratedStepper):
            if tolerance is None:
                raise InputError("a CalibratedStepper needs a tolerance: drive(sim, stepper, tolerance=1e-5)")
            self._stepper, self._tolerance = stepper, tolerance
        elif tolerance is not None:
            raise InputError("tolerance goes with a CalibratedStepper alone: drive(sim, 1e-5) needs no other")
        elif callable(stepper):
            self._function = stepper
        elif isinstance(stepper, (int, float)):
            self._stepper, self._tolerance = CalibratedStepper.load_default(), float(stepper)
        else:
            raise InputError(f"stepper must be a tolerance, a CalibratedStepper or a function, got {stepper!r}")
        self._vector: Floats = np.zeros(0)

    @property
    def energy_error(self) -> float:
        """Largest relative energy error after any step since the run began or bodies were changed."""
        from aitimestepper.bridges.rebound.heartbeat import HEAD

        self._check_known()
        return float(self._vector[HEAD + ERROR_MAX] / self._vector[HEAD + ENERGY_SCALE])

    @property
    def steps(self) -> int:
        """Steps since then."""
        from aitimestepper.bridges.rebound.heartbeat import HEAD

        return int(self._vector[HEAD + STEPS]) if len(self._vector) else 0

    @property
    def outside_training(self) -> float:
        """Part of the states that the network was asked about which are unlike any in its training."""
        from aitimestepper.bridges.rebound.heartbeat import HEAD

        self._check_known()
        return float(self._vector[HEAD + OUTSIDE] / self._vector[HEAD + CHECKS])

    def _check_known(self) -> None:
        if self._function is not None or not len(self._vector) or not self._governed:
            raise InputError("the run's errors are measured with a calibrated stepper that is governed, and not IAS15")

    def stop(self) -> None:
        """End the drive: the simulation has no heartbeat then, and keeps the step that it has."""
        self._view.heartbeat = 0
        self._view.extras = None

    def is_of(self, simulation: Any) -> bool:
        """Whether this is what drives the simulation."""
        return bool(simulation.extras == self._vector.ctypes.data)

    def set_first_step(self) -> None:
        """The first step of an integrator that chooses the others itself."""
        step = self._function(self._view) if self._function is not None else self._calibrated_step()
        self._view.dt = math.copysign(_checked(step), self._view.dt)

    def _calibrated_step(self) -> float:
        assert self._stepper is not None
        check_plain(self._view)
        system = self._system()
        arrays = (system.mass, system.position, system.velocity)
        G, softening = self._view.G, self._view.softening
        return self._stepper.step(*arrays, self._tolerance, order=_IAS15_ORDER, G=G, softening=softening)

    def _system(self) -> InitialConditions:
        system = InitialConditions(*state_of(self._view))
        check_apart(system, self._view.softening)
        if system.n_bodies < 2:
            raise InputError("a step needs two bodies that attract each other")
        return system

    def attach(self, heartbeat: Callable[[Any], None] | None) -> None:
        """Become the simulation's heartbeat."""
        from aitimestepper.bridges.rebound.heartbeat import beat_callback

        address: Any = beat_callback.address
        if heartbeat is None:
            self._view.heartbeat = address
            self._kept = self._view._hb
            return
        compiled_beat = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)

        def both(pointer: Any) -> None:
            compiled_beat(ctypes.cast(pointer, ctypes.c_void_p))
            heartbeat(pointer)

        self._view.heartbeat = both
        self._kept = self._view._hb

    def start(self, address: int) -> None:
        """Set up everything for the bodies as they are, and choose the first step.

        Raises:
            InputError: the simulation is not one that can be driven.
        """
        from aitimestepper.bridges.rebound import heartbeat

        set_action("prepare_heartbeat", _start_again)
        set_action("ask_function", _ask)
        view, n = self._view, self._view.N
        vector = np.zeros(heartbeat.vector_size(n))
        self._order = _order_of(view)
        made_for = vector.view(np.int64)
        made_for[heartbeat.STEP], made_for[heartbeat.ORDER_AT] = view.integrator.callbacks.step, view.integrator.state
        made_for[heartbeat.ORDER] = self._order
        vector[heartbeat.BODIES] = n
        vector[heartbeat.OWN_GRAVITY], vector[heartbeat.OWN_SOFTENING] = view.G, view.softening
        vector[heartbeat.OWN_ACTIVE] = np.array([view.N_active], dtype=np.uint64).view(np.int64)[0]
        vector[heartbeat.DIRECTION] = math.copysign(1.0, view.dt)
        vector[heartbeat.REVERSIBLE], vector[heartbeat.GOVERNED] = self._reversible, self._governed
        vector[heartbeat.BY_FUNCTION], vector[heartbeat.UNIT] = self._function is not None, _UNITS[self._order]
        mass = state_of(view)[0]
        system = vector[heartbeat.HEAD + BOOKS :]
        system[MASS * n : (MASS + 1) * n] = mass
        plan: Floats = np.zeros(0)
        if self._function is None:
            plan = self._open(vector)
        self._vector, self._plan = vector, plan
        view.extras = vector.ctypes.data
        if self._function is not None:
            self.ask()
        heartbeat.open_books(address, vector, plan)

    def _open(self, vector: Floats) -> Floats:
        """Enter the plan and the scale of energy; returns the plan."""
        from aitimestepper.bridges.rebound import heartbeat

        assert self._stepper is not None
        if self._governed and self._view._additional_forces:
            raise InputError(
                "additional forces are not known here, and neither is their energy: drive with governed = False, which "
                "takes the network's steps as they are"
            )
        if self._governed:
            check_plain(self._view)
        G, softening = self._view.G, self._view.softening
        plan = self._stepper.plan(self._tolerance, "leapfrog", self._order, G=G, softening=softening)
        run = new_run(self._system(), plan)
        flat_plan = flat(plan)
        books = vector[heartbeat.HEAD :]
        books[ENERGY_SCALE], books[WISH] = run.books[ENERGY_SCALE], 1.0
        addresses = vector.view(np.int64)
        addresses[heartbeat.PLAN], addresses[heartbeat.PLAN_SIZE] = flat_plan.ctypes.data, len(flat_plan)
        return flat_plan

    def ask(self) -> None:
        """Enter what the function wants."""
        from aitimestepper.bridges.rebound import heartbeat

        assert self._function is not None
        self._vector[heartbeat.WANTED] = 1.0 / _checked(self._function(self._view))


def _checked(step: Any) -> float:
    try:
        step = float(step)
    except (TypeError, ValueError):
        step = math.nan
    if not 0.0 < step < math.inf:
        raise InputError(f"the stepper must give a step > 0, got {step}")
    return float(step)


def _start_again(address: int, _: int) -> None:
    _drivers[address].start(address)


def _ask(address: int, _: int) -> None:
    _drivers[address].ask()


def _order_of(simulation: Any) -> int:
    """The order of the integrator.

    Raises:
        InputError: it is not one whose steps may change, or none of ours.
    """
    name = str(simulation.integrator)
    if name != "leapfrog":
        raise InputError(
            f"integrator = {name} cannot be driven: its steps must stay as they are, or are its own: set "
            "sim.integrator = 'leapfrog' (of order 2, 4, 6 or 8) or 'ias15'; or end "
            "a drive that is on with its stop()"
        )
    order = int(simulation.integrator.order)
    if order not in _UNITS:
        raise InputError(f"sim.integrator.order must be 2, 4, 6 or 8, got {order}")
    return order
