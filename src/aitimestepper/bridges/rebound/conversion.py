"""From bodies to a REBOUND simulation and back. Both have their units, G and softening; neither is converted."""

from __future__ import annotations

import contextlib
from typing import Any

from aitimestepper.errors import InputError
from aitimestepper.recordings.mergers import Mergers
from aitimestepper.recordings.recording import Recording
from aitimestepper.simulation.remaining import Remaining
from aitimestepper.systems.initial import InitialConditions, units_of
from aitimestepper.systems.rebound_bodies import (
    add_bodies,
    bodies_in,
    check_plain,
    require_rebound,
    set_state,
    units_named_in,
)
from aitimestepper.systems.units import Units

_SAME_G = 1e-6
"""Units give REBOUND's G in the seven digits of a measurement."""

_NAMES_THERE = {
    "yr/2pi": "yr2pi", "Msun": "msun", "Mearth": "mearth", "Mjup": "mjupiter", "Myr": "myr", "Gyr": "gyr", "d": "day",
    "h": "hr",
}  # fmt: skip
"""Units that REBOUND calls otherwise."""


def to_simulation(
    bodies: InitialConditions | Recording,
    *,
    frame: int = -1,
    G: float | None = None,
    softening: float | None = None,
    units: tuple[str, str, str] | None = None,
) -> Any:
    """A `rebound.Simulation` with these bodies, at their time, with their names and radii.

    Bodies of a recording that have gone into others by then are not in it.

    Args:
        bodies: initial conditions, or a recording; in one or two dimensions the others are zero.
        frame: which state of a recording.
        G: gravitational constant; left out, 1 for initial conditions, that of a recording, or that of `units`.
        softening: Plummer length; left out, that of the bodies.
        units: names of the units of the numbers as REBOUND knows them, ('yr', 'au', 'msun') for instance. They set G,
            and nothing is converted; left out, those of the bodies are named, where REBOUND knows them.

    Raises:
        InputError: rebound is not installed; the units are not known to it or contradict G; there is no such frame.
    """
    rebound = require_rebound()
    if isinstance(bodies, Recording):
        if not -len(bodies.time) <= frame < len(bodies.time):
            raise InputError(f"there is no frame {frame}: the recording has {len(bodies.time)}")
        position, velocity, time = bodies.position[frame], bodies.velocity[frame], bodies.time[frame]
        mergers = bodies.mergers.part(slice(int(bodies.mergers.done_at(bodies.time)[frame])))
        G = bodies.G if G is None else G
    else:
        position, velocity, time = bodies.position, bodies.velocity, bodies.time
        mergers = Mergers.none()
    there = Remaining.after(bodies.mass, bodies.radius, mergers)
    simulation = rebound.Simulation()
    softening = bodies.softening if softening is None else softening
    own = Units.from_text(bodies.units) if isinstance(bodies, Recording) else units_of(bodies)
    if units is None and own is not None:
        G = own.G if G is None else G
        _name_units(simulation, own)
    _set_constants(simulation, G, softening, units)
    simulation.t = float(time)
    names = tuple(bodies.names[body] for body in there.kept) if bodies.names else ()
    add_bodies(simulation, there.mass, names, there.radii)
    set_state(simulation, position[there.kept], velocity[there.kept])
    return simulation


def _name_units(simulation: Any, own: Units) -> None:
    """Tell REBOUND what the numbers are in, if it has names for that."""
    names = [_NAMES_THERE.get(name, name) for name in (own.pace, own.length, own.mass)]
    with contextlib.suppress(Exception):  # REBOUND raises the bare class for a name that it does not know
        simulation.units = names


def _set_constants(simulation: Any, G: float | None, softening: float, units: tuple[str, str, str] | None) -> None:
    if units is not None:
        try:
            simulation.units = units
        except Exception as error:  # noqa: BLE001  (REBOUND raises the bare class)
            raise InputError(f"REBOUND does not know the units {units}: {error}") from None
        if G is not None and abs(simulation.G / G - 1.0) > _SAME_G:
            raise InputError(f"in the units {units} G is {simulation.G:.9g}, not {G:.9g}: leave one of the two out")
    simulation.G = G if G is not None else simulation.G
    simulation.softening = softening


def from_simulation(simulation: Any) -> tuple[InitialConditions, dict[str, float]]:
    """The bodies of a REBOUND simulation as they are now, and the settings that belong to them.

    After `system, settings = from_simulation(sim)` a run is
    `simulate(system, **settings, tolerance=1e-6, duration=10.0)`.

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
    bodies = bodies_in(simulation)
    units = ", ".join(f"{what} in {unit}" for what, unit in simulation.units.items() if unit)
    system = InitialConditions(
        bodies.mass,
        bodies.position,
        bodies.velocity,
        time=bodies.time,
        names=bodies.names,
        note="; ".join(["from a REBOUND simulation", *bodies.remarks, *filter(None, [units])]),
        softening=bodies.softening,
        units=units_named_in(simulation),
        radius=bodies.radius,
    )
    return system, {"G": bodies.G, "softening": bodies.softening}
