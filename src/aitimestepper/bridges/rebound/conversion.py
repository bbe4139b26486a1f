"""From bodies to a REBOUND simulation and back. Both have their units, G and softening; neither is converted."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from aitimestepper.bridges.rebound.package import require_rebound
from aitimestepper.errors import InputError
from aitimestepper.recording import Recording
from aitimestepper.systems.initial import InitialConditions

Floats = NDArray[np.float64]

_ALL_ACTIVE = 2**64 - 1
_SAME_G = 1e-6
"""Units give REBOUND's G in the seven digits of a measurement."""


def to_simulation(
    bodies: InitialConditions | Recording,
    *,
    frame: int = -1,
    G: float | None = None,
    softening: float | None = None,
    units: tuple[str, str, str] | None = None,
) -> Any:
    """A `rebound.Simulation` with these bodies, at their time, with their names.

    Args:
        bodies: initial conditions, or a recording; in one or two dimensions the others are zero.
        frame: which state of a recording.
        G: gravitational constant; left out, 1 for initial conditions, that of a recording, or that of `units`.
        softening: Plummer length; left out, 0 or that of a recording.
        units: names of the units of the numbers as REBOUND knows them, ('yr', 'au', 'msun') for instance. They set G,
            and nothing is converted.

    Raises:
        InputError: rebound is not installed; the units are not known to it or contradict G; there is no such frame.
    """
    rebound = require_rebound()
    if isinstance(bodies, Recording):
        if not -len(bodies.time) <= frame < len(bodies.time):
            raise InputError(f"there is no frame {frame}: the recording has {len(bodies.time)}")
        position, velocity, time = bodies.position[frame], bodies.velocity[frame], bodies.time[frame]
        G = bodies.G if G is None else G
        softening = bodies.softening if softening is None else softening
    else:
        position, velocity, time = bodies.position, bodies.velocity, bodies.time
    simulation = rebound.Simulation()
    _set_constants(simulation, G, softening, units)
    simulation.t = float(time)
    add_bodies(simulation, bodies.mass, bodies.names)
    set_state(simulation, position, velocity)
    return simulation


def _set_constants(
    simulation: Any, G: float | None, softening: float | None, units: tuple[str, str, str] | None
) -> None:
    if units is not None:
        try:
            simulation.units = units
        except Exception as error:  # noqa: BLE001  (REBOUND raises the bare class)
            raise InputError(f"REBOUND does not know the units {units}: {error}") from None
        if G is not None and abs(simulation.G / G - 1.0) > _SAME_G:
            raise InputError(f"in the units {units} G is {simulation.G:.9g}, not {G:.9g}: leave one of the two out")
    simulation.G = G if G is not None else simulation.G
    simulation.softening = softening or 0.0


def add_bodies(simulation: Any, mass: Floats, names: tuple[str, ...]) -> None:
    """Add bodies that are at rest at the origin."""
    for body, own in enumerate(mass):
        simulation.add(m=float(own), **({"name": names[body]} if names else {}))


def set_state(simulation: Any, position: Floats, velocity: Floats) -> None:
    """Places and velocities (N, D) of the bodies of a simulation."""
    places, velocities = np.zeros((2, len(position), 3))
    places[:, : position.shape[1]], velocities[:, : velocity.shape[1]] = position, velocity
    simulation.set_serialized_particle_data(xyz=places, vxvyvz=velocities)


def from_simulation(simulation: Any) -> tuple[InitialConditions, dict[str, float]]:
    """The bodies of a REBOUND simulation as they are now, and the settings that belong to them.

    After `system, settings = from_simulation(sim)` a run is
    `simulate(Config(**settings, tolerance=1e-6, duration=10.0), system=system)`.

    Bodies are brought to the centre-of-mass frame, like all initial conditions. Test particles that the others do not
    feel lose what mass they have.

    Args:
        simulation: the simulation.

    Returns:
        The bodies, and `G` and `softening`.

    Raises:
        InputError: it is no simulation, is empty, or holds what a run of point masses could not follow.
        InitialConditionsError: a number in it is not finite, or no body has mass.
    """
    rebound = require_rebound()
    if not isinstance(simulation, rebound.Simulation):
        raise InputError(f"a rebound.Simulation is needed, got {type(simulation).__name__}")
    check_plain(simulation)
    if not simulation.is_synchronized:
        simulation.synchronize()
    mass, position, velocity = state_of(simulation)
    names = [particle.name for particle in simulation.particles]
    named = all(names) and len(set(names)) == len(names)
    units = ", ".join(f"{what} in {unit}" for what, unit in simulation.units.items() if unit)
    system = InitialConditions(
        mass,
        position,
        velocity,
        time=simulation.t,
        names=tuple(names) if named else (),
        note="; ".join(["from a REBOUND simulation", *filter(None, [units])]),
    )
    return system, {"G": float(simulation.G), "softening": float(simulation.softening)}


def check_plain(simulation: Any) -> None:
    """Refuse a simulation that is more than point masses which attract each other.

    Raises:
        InputError: says what is too much, and what to do.
    """
    if simulation.N == 0:
        raise InputError("the simulation has no particles")
    if simulation.N_var_config:
        raise InputError("variational particles cannot be followed: take a simulation without them")
    if simulation.gravity not in ("basic", "compensated", "tree"):
        raise InputError(f"gravity = {simulation.gravity} is not the bodies' own gravity: set sim.gravity = 'basic'")
    if simulation.boundary != "none":
        raise InputError(f"boundary = {simulation.boundary} cannot be followed: set sim.boundary = 'none'")
    if simulation.collision != "none":
        raise InputError("collisions cannot be followed: set sim.collision = 'none'")
    if simulation._additional_forces:
        raise InputError("additional forces are not known here: take a simulation without them")
    if simulation.testparticle_type and active_bodies(simulation) < simulation.N:
        raise InputError(
            "test particles that act on the others but not on each other (testparticle_type = 1) cannot be followed: "
            "set it to 0, or N_active to the number of all"
        )


def active_bodies(simulation: Any) -> int:
    """How many of the bodies, from the first, attract others."""
    n: int = simulation.N
    return n if simulation.N_active == _ALL_ACTIVE else min(int(simulation.N_active), n)


def state_of(simulation: Any) -> tuple[Floats, Floats, Floats]:
    """Mass (N,), that of test particles being zero, positions and velocities (N, 3)."""
    n = simulation.N
    mass, position, velocity = np.zeros(n), np.zeros((n, 3)), np.zeros((n, 3))
    simulation.serialize_particle_data(m=mass, xyz=position, vxvyvz=velocity)
    mass[active_bodies(simulation) :] = 0.0
    return mass, position, velocity
