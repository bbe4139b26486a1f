"""`drive`: one of REBOUND's own integrators, with steps that are chosen here."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from aitimestepper.errors import InputError
from aitimestepper.simulation.stepper import CalibratedStepper
from aitimestepper.systems.rebound_bodies import require_rebound

if TYPE_CHECKING:
    from aitimestepper.bridges.rebound.driver import Driver


def drive(
    simulation: Any,
    stepper: float | CalibratedStepper | Callable[[Any], float],
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
    from aitimestepper.bridges.rebound.driver import Driver

    driver = Driver(simulation, stepper, tolerance, reversible=reversible, governed=governed)
    if str(simulation.integrator) == "ias15":
        driver.set_first_step()
    else:
        driver.take_over(simulation, heartbeat)
    return driver
