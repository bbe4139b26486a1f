"""Do runs with relativity or an oblate body keep what was asked? Systems of the training's mixture, drawn with a seed.

python benchmarks/further_forces.py      # a minute; prints a table for docs/howto/forces.md
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from aitimestepper import InitialConditions, simulate
from aitimestepper.systems.mixture import mixed_system

SEED, SYSTEMS, MOST_BODIES, ORBITS = 777, 16, 12, 5.0
TOLERANCES = (1e-3, 1e-6, 1e-9)
SPEED_OF_LIGHT, OBLATENESS, RADIUS = 30.0, 0.01, 0.3
"""Over the largest speed about the heaviest body; J2; its radius over the distance of the nearest body."""


def main() -> None:
    """Print the table."""
    print(
        "| force | asked | energy kept | local positions kept | evaluations, median | worst energy error over asked |"
    )
    print("|---|---|---|---|---|---|")
    systems = drawn(np.random.default_rng(SEED))
    for name in ("none", "relativity", "J2"):
        for tolerance in TOLERANCES:
            runs = [
                simulate(s, duration=length(s), tolerance=tolerance, progress=False, **forces(name, s)).summary
                for s in systems
            ]
            energy, position = (
                100.0 * np.mean([getattr(run, f"{what}_verdict") == "kept" for run in runs])
                for what in ("energy", "position")
            )
            cost = np.median([run.force_evaluations for run in runs])
            worst = max(run.energy_error_max for run in runs) / tolerance
            print(f"| {name} | {tolerance:g} | {energy:.0f} % | {position:.0f} % | {cost:,.0f} | {worst:.2g} |")


def drawn(rng: np.random.Generator) -> list[InitialConditions]:
    """Systems in three dimensions with a few bodies."""
    found: list[InitialConditions] = []
    while len(found) < SYSTEMS:
        system = mixed_system(rng)
        if system.n_bodies <= MOST_BODIES and system.n_dims == 3:
            found.append(system)
    return found


def nearest(system: InitialConditions) -> float:
    """Distance from the heaviest body to the body nearest to it."""
    centre = int(np.argmax(system.mass))
    return float(np.sort(np.linalg.norm(system.position - system.position[centre], axis=1))[1])


def length(system: InitialConditions) -> float:
    """A few orbits of that body."""
    return ORBITS * 2.0 * math.pi * math.sqrt(nearest(system) ** 3 / system.mass.sum())


def forces(name: str, system: InitialConditions) -> dict[str, Any]:
    """Settings of a force that is strong for its kind."""
    if name == "relativity":
        speed = np.linalg.norm(system.velocity - system.velocity[int(np.argmax(system.mass))], axis=1).max()
        return {"relativity": True, "light_speed": SPEED_OF_LIGHT * float(speed)}
    if name == "J2":
        return {"J2": OBLATENESS, "J2_radius": RADIUS * nearest(system), "J2_pole": (0.3, 0.1, 1.0)}
    return {}


if __name__ == "__main__":
    main()
