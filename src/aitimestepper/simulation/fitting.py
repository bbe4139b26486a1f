"""What a configuration takes from the bodies, and the law that both make."""

from __future__ import annotations

from aitimestepper.config.schema import Config
from aitimestepper.engine.physics.law import Law, law_of
from aitimestepper.errors import InputError
from aitimestepper.systems.initial import InitialConditions, agreed_gravity, agreed_softening, units_of


def fitted_to(config: Config, system: InitialConditions) -> Config:
    """The configuration with the softening of the bodies, if they have one, and the G and light speed of their units.

    Raises:
        InitialConditionsError: another softening or G is set.
        InputError: relativity is asked for, and nothing says how fast light is.
    """
    softening, G = agreed_softening(system, config.given("softening")), agreed_gravity(system, config.given("G"))
    changes = {"softening": softening} if softening != config.softening else {}
    if G is not None and G != config.G:
        changes["G"] = G
    if config.relativity and config.light_speed is None:
        units = units_of(system)
        if units is None:
            raise InputError("relativity needs light_speed, or bodies with units")
        changes["light_speed"] = units.light_speed
    return config.replace(**changes) if changes else config


def check_field(config: Config, system: InitialConditions) -> None:
    """Refuse an external field of other dimensions than the bodies'.

    Raises:
        InputError: says so.
    """
    position = config.external_field_position
    if position is not None and len(position) != system.n_dims:
        raise InputError(f"external_field_position needs {system.n_dims} numbers for this system, got {len(position)}")


def check_collisions(config: Config, system: InitialConditions) -> None:
    """Refuse collisions of points.

    Raises:
        InputError: no body has a radius.
    """
    if config.collisions != "ignore" and not system.radius.any():
        raise InputError(
            f"collisions = {config.collisions} needs radii, and these bodies have none: InitialConditions(..., "
            "radius=...), or a column radius in a table"
        )


def law_for(config: Config) -> Law:
    """The law of a run whose configuration has been fitted to its bodies."""
    return law_of(
        config.G,
        config.softening,
        config.external_field_mass,
        config.external_field_position or (),
        light_speed=config.light_speed if config.relativity else None,
        J2=config.J2 or 0.0,
        J2_radius=config.J2_radius or 0.0,
        J2_pole=config.J2_pole,
    )
