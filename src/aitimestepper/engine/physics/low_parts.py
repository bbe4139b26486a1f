"""What the low parts of positions add where two bodies are close to each other and far from the origin.

A position is the sum of two numbers (see `layout`). The loops over all pairs see the first ones, and note of
each body how near the nearest is; a body that has another one near by is looked at again here, and what its low parts
add is entered to first order: they are below 1e-16 of a position. With both numbers in those loops they took 1.2 to 1.5
times as long.
"""

from __future__ import annotations

import math

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import apart, compiled, inlined
from aitimestepper.engine.layout import AX, AY, AZ, LOW, MASS, NEAREST, X_LOW, X, Y, Z, n_attracting, n_bodies

_NEAR = 1.0 / 64.0
"""A distance whose square is below this part of that from the origin needs low parts: above it three bits are lost at
most. Chosen."""


FARTHEST = 1e300
"""Square of a distance that stands for none: all numbers of a run are finite."""


@inlined
def is_close(nearest: float, x: float, y: float, z: float) -> bool:
    """Whether a body at a position, the nearest at the root of `nearest`, needs low parts."""
    return nearest < _NEAR * (x * x + y * y + z * z)


@inlined
def close_to(system: Floats, i: int) -> float:
    """Square of the distance from a body within which low parts count; 0 where no body before it is so near."""
    n = n_bodies(system)
    x, y, z = system[X * n + i], system[Y * n + i], system[Z * n + i]
    close = _NEAR * (x * x + y * y + z * z)
    return close if system[NEAREST * n + i] < close else 0.0


@inlined
def separation(system: Floats, i: int, j: int) -> tuple[float, float, float]:
    """Position of body j from body i, with all digits that both have."""
    n = n_bodies(system)
    a, b, low = X * n + j, X * n + i, LOW * n
    return (
        apart(system[a], system[b], system[a + low], system[b + low]),
        apart(system[a + n], system[b + n], system[a + n + low], system[b + n + low]),
        apart(system[a + 2 * n], system[b + 2 * n], system[a + 2 * n + low], system[b + 2 * n + low]),
    )


@inlined
def separations(system: Floats, i: int, j: int) -> tuple[float, float, float, float, float, float]:
    """Position of body j from body i without low parts, and what they add."""
    n = n_bodies(system)
    a, b, c, d = X * n + j, X * n + i, X_LOW * n + j, X_LOW * n + i
    return (
        system[a] - system[b], system[a + n] - system[b + n], system[a + 2 * n] - system[b + 2 * n],
        system[c] - system[d], system[c + n] - system[d + n], system[c + 2 * n] - system[d + 2 * n],
    )  # fmt: skip


@compiled
def add_to_pull(system: Floats, squared_softening: float) -> float:
    """Enter the low parts into the acceleration, as it is for G = 1.

    Args:
        system: whose acceleration is changed; its row NEAREST is filled.
        squared_softening: Plummer length, squared.

    Returns:
        What they add to sum m_i m_j / r.
    """
    n, attracting = n_bodies(system), n_attracting(system)
    depth = 0.0
    for i in range(1, n):
        close = close_to(system, i)
        for j in range(min(i, attracting) if close > 0.0 else 0):
            dx, dy, dz, ex, ey, ez = separations(system, i, j)
            squared = dx * dx + dy * dy + dz * dz + squared_softening
            by_i, by_j = system[MASS * n + i], system[MASS * n + j]
            if squared < close and by_i + by_j > 0.0:
                cubed = 1.0 / (squared * math.sqrt(squared))
                along = dx * ex + dy * ey + dz * ez
                turn = 3.0 * along / squared
                depth -= by_i * by_j * cubed * along
                for k, change in ((AX, ex - turn * dx), (AY, ey - turn * dy), (AZ, ez - turn * dz)):
                    system[k * n + i] += by_j * cubed * change
                    system[k * n + j] -= by_i * cubed * change
    return depth


@compiled
def add_to_depth(system: Floats, squared_softening: float) -> float:
    """What `add_to_pull` returns, alone."""
    n = n_attracting(system)
    depth = 0.0
    for i in range(1, n):
        close = close_to(system, i)
        for j in range(i if close > 0.0 else 0):
            dx, dy, dz, ex, ey, ez = separations(system, i, j)
            squared = dx * dx + dy * dy + dz * dz + squared_softening
            if squared < close and system[i] + system[j] > 0.0:
                depth -= system[i] * system[j] * (dx * ex + dy * ey + dz * ez) / (squared * math.sqrt(squared))
    return depth
