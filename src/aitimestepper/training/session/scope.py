"""What a training takes place on, and so what its weights are fit for, in a sentence."""

from __future__ import annotations

from collections.abc import Sequence

from aitimestepper.config.schema import Config
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.orbits import eccentricity

_NO_FARTHER = "on other systems steps are guesses"


def scope_of(systems: Sequence[InitialConditions], config: Config) -> str:
    """Which systems the training is on, and where a single one does not carry over to.

    Args:
        systems: those that it begins with.
        config: of the training.
    """
    if config.output_scale == "calibrated":
        return "training on systems of every kind"
    orbits = [eccentricity(system, config.G) for system in systems if system.n_bodies == 2]
    bodies = f"{systems[0].n_bodies} bodies"
    units = "any units" if _is_free_of_units(config) else "units of this size"
    if config.systems:
        which = f"e = {min(orbits):.3g} to {max(orbits):.3g}" if orbits else bodies
        return f"training on {systems_in_words(config, len(systems))}, {which}: the weights are for such, in {units}"
    if len(systems) > 1:
        which = f"e = {min(orbits):.3g} to {max(orbits):.3g}" if orbits else bodies
        return f"training on {len(systems)} systems that were drawn, {which}: the weights are for such, in {units}"
    name = config.ic if config.ic is not None else f"one system that was drawn (seed {config.seed})"
    which = f"e = {orbits[0]:.3g}: {_NO_FARTHER}" if orbits else f"{bodies}: {_NO_FARTHER}"
    return f"training on {name}, {which}; in {units}"


def systems_in_words(config: Config, count: int) -> str:
    """Where the systems come from, of which there are `count`."""
    if config.systems:
        kept = int(config.held_out * count)
        return (
            "one system of one's own"
            if count == 1
            else f"{count} systems of one's own" + (f", of which {kept} are held out for the check" if kept else "")
        )
    return config.ic or f"{config.num_orbits} drawn systems"


def _is_free_of_units(config: Config) -> bool:
    return config.output_scale == "physical" and config.feature_type == "invariant"
