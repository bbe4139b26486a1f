"""What drives a simulation of REBOUND: the side of Python, which compiled code asks now and then."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import rebound

from aitimestepper.arrays import Floats
from aitimestepper.bridges.rebound.callbacks import keep, set_action
from aitimestepper.bridges.rebound.drive_vector import drive_in, system_in, vector_size
from aitimestepper.bridges.rebound.heartbeat import beat_callback, begin_drive
from aitimestepper.bridges.rebound.plan_vector import flat
from aitimestepper.engine.layout import MASS, Books
from aitimestepper.errors import InputError
from aitimestepper.simulation.planning import new_run
from aitimestepper.simulation.stepper import CalibratedStepper
from aitimestepper.systems.initial import InitialConditions, check_apart
from aitimestepper.systems.rebound_bodies import check_plain, state_of

Stepper = Callable[[Any], float]

_UNITS = {2: 1.0, 4: 0.65, 6: 0.85, 8: 0.8}
"""How long a step of REBOUND's leapfrog of each order may be, against what the weights want for the engine's own: its
compositions are others (that of order 4 is Yoshida's, with three stages), and what cannot go back keeps a margin."""

_IAS15_ORDER = 8

_drivers: dict[int, Driver] = {}
"""By the address of their simulation, until that is freed or the drive is stopped."""


def _forget(simulation: Any, drop: Callable[..., Any] = _drivers.pop) -> None:
    drop(ctypes.addressof(simulation.contents), None)


_cleanup = dict(rebound.Simulation._fields_)["_extras_cleanup"](_forget)
"""What REBOUND calls before it frees a simulation."""

keep(_cleanup)


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
        books = self._known_books()
        return float(books.max_energy_error / books.energy_scale)

    @property
    def steps(self) -> int:
        """Steps since then."""
        self._check_driven()
        return int(drive_in(self._vector).books.steps)

    @property
    def outside_training(self) -> float:
        """Part of the states that the network was asked about which are unlike any in its training."""
        books = self._known_books()
        return float(books.states_outside_training / books.states_asked)

    def _check_driven(self) -> None:
        if not len(self._vector):
            raise InputError(
                "IAS15 chooses its own steps, got its first one alone, and is not watched: sim.energy() and "
                "sim.steps_done are what is known of its run"
            )

    def _known_books(self) -> Books:
        self._check_driven()
        if self._function is not None:
            raise InputError(
                "energies are not measured where a function of your own chooses the steps: see sim.energy()"
            )
        if not self._governed:
            raise InputError("energies are not measured with governed = False: see sim.energy()")
        return drive_in(self._vector).books

    def stop(self) -> None:
        """End the drive: the simulation has no heartbeat then, and keeps the step that it has."""
        self._view.heartbeat = 0
        self._view.extras = None
        _drivers.pop(ctypes.addressof(self._view), None)

    def take_over(self, simulation: Any, heartbeat: Callable[[Any], None] | None) -> None:
        """Drive the simulation from here on.

        Args:
            simulation: the one that the driver was made for.
            heartbeat: the user's own function, if there is one.

        Raises:
            InputError: the simulation is not one that can be driven.
        """
        _order_of(simulation)
        address = ctypes.addressof(simulation)
        known = _drivers.get(address)
        if simulation.extras and not (known is not None and known.is_of(simulation)):
            raise InputError("sim.extras is in use (by REBOUNDx, perhaps): such a simulation cannot be driven")
        if simulation._heartbeat and not simulation.extras:
            raise InputError("the simulation has a heartbeat already: give it to drive as heartbeat = your_function")
        self.start(address)
        self.attach(heartbeat)
        _drivers[address] = self
        self._view._extras_cleanup = _cleanup

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
        if system.is_free:
            return abs(float(self._view.dt))
        arrays = (system.mass, system.position, system.velocity)
        G, softening = self._view.G, self._view.softening
        return self._stepper.step(*arrays, self._tolerance, order=_IAS15_ORDER, G=G, softening=softening)

    def _system(self) -> InitialConditions:
        system = InitialConditions(*state_of(self._view))
        check_apart(system, self._view.softening)
        return system

    def attach(self, heartbeat: Callable[[Any], None] | None) -> None:
        """Become the simulation's heartbeat."""
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
        view, n = self._view, self._view.N
        vector = np.zeros(vector_size(n))
        drive, system = drive_in(vector), system_in(vector)
        drive.integrator_step, drive.integrator_state = view.integrator.callbacks.step, view.integrator.state
        drive.order = _order_of(view)
        drive.N, drive.G, drive.softening = n, view.G, view.softening
        drive.N_active = np.array([view.N_active], dtype=np.uint64).view(np.int64)[0]
        drive.direction = math.copysign(1.0, view.dt)
        drive.reversible, drive.governed = self._reversible, self._governed
        drive.by_function, drive.unit = self._function is not None, _UNITS[int(drive.order)]
        system[MASS * n : (MASS + 1) * n] = state_of(view)[0]
        plan: Floats = np.zeros(0)
        if self._function is None:
            plan = self._open(drive)
        self._vector, self._plan = vector, plan
        view.extras = vector.ctypes.data
        if self._function is not None:
            self.ask()
        begin_drive(address, vector, plan)

    def _open(self, drive: Any) -> Floats:
        """Enter the plan and the scale of energy; returns the plan."""
        assert self._stepper is not None
        if self._governed and self._view._additional_forces:
            raise InputError(
                "additional forces are not known here, and neither is their energy: drive with governed = False, which "
                "takes the network's steps as they are"
            )
        if self._governed:
            check_plain(self._view)
        G, softening = self._view.G, self._view.softening
        plan = self._stepper.plan(self._tolerance, "leapfrog", int(drive.order), G=G, softening=softening)
        run = new_run(self._system(), plan)
        flat_plan = flat(plan)
        drive.books.energy_scale, drive.books.wanted_factor = run.books[0].energy_scale, 1.0
        drive.plan, drive.plan_size = flat_plan.ctypes.data, len(flat_plan)
        return flat_plan

    def ask(self) -> None:
        """Enter what the function wants."""
        assert self._function is not None
        drive_in(self._vector).wanted_rate = 1.0 / _checked(self._function(self._view))


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


set_action("prepare_heartbeat", _start_again)
set_action("ask_function", _ask)


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
