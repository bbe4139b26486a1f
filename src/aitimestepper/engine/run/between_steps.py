"""The relative position of two bodies between the ends of a step, as a cubic, and where it is nearest to the origin."""

from __future__ import annotations

import math

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled
from aitimestepper.engine.layout import LOW, VX, X, n_bodies

PARTS = 16
"""Of a step, at whose ends the distance of two bodies is looked at to begin with. Chosen."""

NARROWINGS = 12
"""By the golden section, of two such parts: 3e-3 of them are left. The distance is off by the square of that."""

GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)
"""The golden section."""


@compiled
def draw(points: Floats, before: Floats, after: Floats, i: int, j: int, elapsed: float) -> None:
    """The relative position of two bodies over a step as a cubic with both positions and velocities of its ends.

    Args:
        points: (4, 3), takes its Bezier points, in whose convex hull it lies (Farin, Curves and Surfaces for CAGD).
        before, after: (ROWS x N,), the ends.
        i, j: the bodies.
        elapsed: time between the ends.
    """
    n = n_bodies(before)
    for axis in range(3):
        x, v = (X + axis) * n, (VX + axis) * n
        low = (X + axis + LOW) * n
        begin = (before[x + i] - before[x + j]) + (before[low + i] - before[low + j])
        end = (after[x + i] - after[x + j]) + (after[low + i] - after[low + j])
        points[0, axis] = begin
        points[1, axis] = begin + elapsed / 3.0 * (before[v + i] - before[v + j])
        points[2, axis] = end - elapsed / 3.0 * (after[v + i] - after[v + j])
        points[3, axis] = end


@compiled
def least_possible(points: Floats) -> float:
    """What no point of a cubic can be nearer to the origin than; 0 where that is not seen at once."""
    x, y, z = points[:, 0].sum(), points[:, 1].sum(), points[:, 2].sum()
    size = math.sqrt(x * x + y * y + z * z)
    if size == 0.0:
        return 0.0
    least = math.inf
    for k in range(4):
        least = min(least, (points[k, 0] * x + points[k, 1] * y + points[k, 2] * z) / size)
    return max(least, 0.0)


@compiled
def nearest_point(points: Floats) -> tuple[float, float]:
    """Where a cubic is nearest to the origin, as a part of it, and how near."""
    best, least = 0.0, math.inf
    for k in range(PARTS + 1):
        distance = _distance_on(points, k / PARTS)
        if distance < least:
            best, least = k / PARTS, distance
    low, high = max(best - 1.0 / PARTS, 0.0), min(best + 1.0 / PARTS, 1.0)
    for _ in range(NARROWINGS):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        if _distance_on(points, left) < _distance_on(points, right):
            high = right
        else:
            low = left
    middle = 0.5 * (low + high)
    distance = _distance_on(points, middle)
    return (middle, distance) if distance < least else (best, least)


@compiled
def _distance_on(points: Floats, part: float) -> float:
    """Of a point of a cubic from the origin."""
    rest, squared = 1.0 - part, 0.0
    for axis in range(3):
        coordinate = rest * rest * (rest * points[0, axis] + 3.0 * part * points[1, axis]) + part * part * (
            3.0 * rest * points[2, axis] + part * points[3, axis]
        )
        squared += coordinate * coordinate
    return math.sqrt(squared)
