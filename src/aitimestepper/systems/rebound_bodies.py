"""Bodies in a REBOUND simulation, in memory or from an archive: the package itself, and how bodies get in and out."""

from __future__ import annotations

import importlib.util
import math
import re
from typing import Any, NamedTuple, Self

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.errors import InitialConditionsError, InputError
from aitimestepper.systems.units import Units

_KNOWN = (5, 2), (6, 0)
"""The first version that is known, and the first one that is not."""

_LIKE_THEIRS = 1e-3
"""A G that differs by more from that of REBOUND's units was set by hand, and their names mean nothing."""

_ALL_ACTIVE = 2**64 - 1
"""What REBOUND has for N_active where all are."""


def rebound_installed() -> bool:
    """Whether it is there, in whatever version."""
    return importlib.util.find_spec("rebound") is not None


def require_rebound() -> Any:
    """The module.

    Raises:
        InputError: it is not installed, or of a version that nothing is known of.
    """
    if not rebound_installed():
        raise InputError("this needs the package rebound: pip install 'aitimestepper[rebound]'")
    import rebound

    found = tuple(int(number) for number in re.findall(r"\d+", rebound.__version__)[:2])
    if not _KNOWN[0] <= found < _KNOWN[1]:
        raise InputError(
            f"rebound {rebound.__version__} is not a version that this package can work with (5.2 or newer, before 6): "
            "pip install 'rebound>=5.2,<6'"
        )
    return rebound


def add_bodies(simulation: Any, mass: Floats, names: tuple[str, ...], radius: Floats | None = None) -> None:
    """Add bodies of masses and radii (N,), at rest at the origin."""
    radii = np.zeros(len(mass)) if radius is None else radius
    for body, (own, size) in enumerate(zip(mass, radii, strict=True)):
        simulation.add(m=float(own), r=float(size), **({"name": names[body]} if names else {}))


def set_state(simulation: Any, position: Floats, velocity: Floats) -> None:
    """Positions and velocities (N, D) of the bodies of a simulation."""
    positions, velocities = np.zeros((2, len(position), 3))
    positions[:, : position.shape[1]], velocities[:, : velocity.shape[1]] = position, velocity
    simulation.set_serialized_particle_data(xyz=positions, vxvyvz=velocities)


class SimulationBodies(NamedTuple):
    """What a simulation says of its bodies and their physics.

    Attributes:
        mass: (N,), zero for test particles, whose masses no other body feels.
        position, velocity: (N, 3).
        time: of this state.
        names: one for each body, or none.
        radius: (N,).
        G, softening: the simulation's.
        remarks: what a reader has to know.
    """

    mass: Floats
    position: Floats
    velocity: Floats
    time: float
    names: tuple[str, ...]
    radius: Floats
    G: float
    softening: float
    remarks: tuple[str, ...]

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """From what JSON made of them."""
        arrays = {name: np.array(values[name]) for name in ("mass", "position", "velocity", "radius")}
        texts = {name: tuple(values[name]) for name in ("names", "remarks")}
        return cls(**values | arrays | texts)


def bodies_in(simulation: Any, collisions: tuple[str, ...] = ("none",)) -> SimulationBodies:
    """The bodies of a simulation as they are now, without variational particles, which act on nothing.

    Args:
        simulation: the simulation.
        collisions: REBOUND's searches for collisions that it may have.

    Raises:
        InputError: its physics is more than that of point masses which attract each other.
    """
    check_physics(simulation, collisions)
    if not simulation.is_synchronized:
        simulation.synchronize()
    names = [particle.name for particle in simulation.particles]
    named = all(names) and len(set(names)) == len(names)
    weightless = simulation.particles[active_bodies(simulation) : simulation.N]
    return SimulationBodies(
        *state_of(simulation),
        time=float(simulation.t),
        names=tuple(names) if named else (),
        radius=np.array([particle.r for particle in simulation.particles[: simulation.N]]),
        G=float(simulation.G),
        softening=float(simulation.softening),
        remarks=("masses of test particles are left out",) if any(body.m for body in weightless) else (),
    )


def check_plain(simulation: Any, collisions: tuple[str, ...] = ("none",)) -> None:
    """Refuse a simulation that is more than point masses which attract each other, or has variational particles.

    Args:
        simulation: the simulation.
        collisions: REBOUND's searches for collisions that it may have.

    Raises:
        InputError: says what is too much, and what to do.
    """
    check_physics(simulation, collisions)
    if simulation.N_var_config:
        raise InputError("variational particles cannot be followed: take a simulation without them")


def check_physics(simulation: Any, collisions: tuple[str, ...] = ("none",)) -> None:
    """Refuse a simulation whose particles are more than point masses which attract each other.

    Args:
        simulation: the simulation.
        collisions: REBOUND's searches for collisions that it may have.

    Raises:
        InputError: says what is too much, and what to do.
    """
    if simulation.N == 0:
        raise InputError("the simulation has no particles")
    if simulation.gravity not in ("basic", "compensated", "tree"):
        raise InputError(f"gravity = {simulation.gravity} is not the bodies' own gravity: set sim.gravity = 'basic'")
    if simulation.boundary != "none":
        raise InputError(f"boundary = {simulation.boundary} cannot be followed: set sim.boundary = 'none'")
    if simulation.collision not in collisions:
        allowed = " or ".join(repr(name) for name in collisions)
        raise InputError(f"collision = {simulation.collision} cannot be followed: set sim.collision = {allowed}")
    if simulation._additional_forces:
        raise InputError("additional forces are not known here: take a simulation without them")
    if simulation.testparticle_type and any(body.m for body in simulation.particles[active_bodies(simulation) :]):
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


def units_named_in(simulation: Any) -> Units | None:
    """The units of a simulation, if it has all three, their names are known here, and its G is theirs."""
    names = [simulation.units[what] for what in ("length", "time", "mass")]
    if not all(names):
        return None
    try:
        units = Units.of([str(name) for name in names])
    except InitialConditionsError:
        return None
    return units if math.isclose(units.G, simulation.G, rel_tol=_LIKE_THEIRS) else None
