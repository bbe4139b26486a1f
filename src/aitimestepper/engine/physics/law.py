"""The law that bodies move by: numbers that every force of a run takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple


class Law(NamedTuple):
    """What moves the bodies: their own gravity and, perhaps, a distant point mass and forces of the heaviest body.

    Attributes:
        G: gravitational constant.
        squared_softening: Plummer length, squared.
        tide_mass: mass of the distant body; 0 for none.
        tide_x, tide_y, tide_z: its position.
        has_central_forces: 1 where one of the next two is not 0.
        relativity: 3 / c^2, c being the speed of light; 0 without relativity.
        oblateness: J2 R^2 of the heaviest body; 0 for a sphere.
        pole_x, pole_y, pole_z: direction of its pole, of length 1.
    """

    G: float
    squared_softening: float
    tide_mass: float
    tide_x: float
    tide_y: float
    tide_z: float
    has_central_forces: float
    relativity: float
    oblateness: float
    pole_x: float
    pole_y: float
    pole_z: float


def law_of(
    G: float,
    softening: float,
    tide_mass: float | None = None,
    tide_position: Sequence[float] = (),
    *,
    light_speed: float | None = None,
    J2: float = 0.0,
    J2_radius: float = 0.0,
    J2_pole: Sequence[float] = (0.0, 0.0, 1.0),
) -> Law:
    """The law with a Plummer length and, perhaps, the tide of a mass at a position (D,), D <= 3, and more."""
    x, y, z = ([float(part) for part in tide_position] + [0.0] * 3)[:3]
    relativity = 0.0 if light_speed is None else 3.0 / light_speed / light_speed
    oblateness = J2 * J2_radius**2
    length = math.hypot(*J2_pole)
    pole_x, pole_y, pole_z = (part / length for part in J2_pole)
    more = float(relativity != 0.0 or oblateness != 0.0)
    tide = (float(tide_mass or 0.0), x, y, z)
    return Law(G, softening**2, *tide, more, relativity, oblateness, pole_x, pole_y, pole_z)
