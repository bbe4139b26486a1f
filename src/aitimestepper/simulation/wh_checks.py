"""What Wisdom and Holman's split needs of a configuration and of bodies."""

from __future__ import annotations

import numpy as np

from aitimestepper.config.schema import Config
from aitimestepper.errors import InputError
from aitimestepper.systems.initial import InitialConditions

MOST_BESIDE = 0.1
"""Mass of all other bodies over that of the heaviest, above which the split is refused: what it treats as small is not
small there. Chosen."""


def check_wh_keys(config: Config) -> None:
    """Refuse keys that do nothing with the integrator.

    Raises:
        InputError: says which.
    """
    if config.integrator != "wh":
        unused = {"wh_kind", "wh_coordinates"} & config.model_fields_set
        if unused:
            raise InputError(f"{', '.join(sorted(unused))} does nothing with integrator = {config.integrator}")
        return
    if config.timestep != "fixed":
        raise InputError(
            f"integrator = wh takes timestep = fixed and dt, not timestep = {config.timestep}: its steps must all "
            "be alike"
        )
    if config.guard is not None:
        raise InputError("guard does nothing with integrator = wh, which looks at no energy after a step: leave it out")
    if config.order != 2:
        raise InputError(f"order = {config.order} does nothing with integrator = wh, which takes wh_kind: leave it out")


def check_wh_system(config: Config, system: InitialConditions) -> None:
    """Refuse bodies and forces that the split is not for.

    Raises:
        InputError: says why.
    """
    if config.integrator != "wh":
        return
    if config.softening > 0.0:
        raise InputError(f"integrator = wh takes no softening, and it is {config.softening:g}: Kepler orbits have none")
    if config.external_field_mass is not None:
        raise InputError("integrator = wh takes no external field: set integrator = leapfrog or ttl")
    heaviest = float(np.max(system.mass))
    beside = float(np.sum(system.mass)) - heaviest
    if len(system.mass) < 2 or not heaviest > 0.0:
        raise InputError("integrator = wh is for light bodies about a heavy one, and here are none")
    if beside > MOST_BESIDE * heaviest:
        raise InputError(
            f"integrator = wh is for light bodies about a heavy one: all others together have {beside / heaviest:.3g} "
            f"of the mass of the heaviest, and at most {MOST_BESIDE:g} is allowed: set integrator = leapfrog or ttl"
        )
