"""`register`: the calibrated run as an integrator of REBOUND, "aits"."""

from __future__ import annotations

from typing import Any

from aitimestepper.errors import InputError
from aitimestepper.systems.rebound_bodies import require_rebound
from aitimestepper.weights.calibrated import DEFAULT_TOLERANCE, check_tolerance


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
    from aitimestepper.bridges.rebound.integrator_setup import NAME, register_once

    register_once()
    if simulation is not None:
        simulation.integrator = NAME
        simulation.integrator.tolerance = tolerance
