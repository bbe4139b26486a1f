"""Sums and extremes over the bodies and the pairs of a state, for functions that are compiled with `compiled_sums`."""

from __future__ import annotations

import math

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import bits_of, float_of, inlined
from aitimestepper.engine.layout import MASS, X, Y, Z, n_bodies, row_of


@inlined
def centre(system: Floats, row: int) -> tuple[float, float, float]:
    """Mean of three rows, weighted by mass."""
    mass, x, y, z = row_of(system, MASS), row_of(system, row), row_of(system, row + 1), row_of(system, row + 2)
    total = sum_x = sum_y = sum_z = 0.0
    for i in range(n_bodies(system)):
        total += mass[i]
        sum_x += mass[i] * x[i]
        sum_y += mass[i] * y[i]
        sum_z += mass[i] * z[i]
    per_mass = 1.0 / total
    return sum_x * per_mass, sum_y * per_mass, sum_z * per_mass


@inlined
def lengths(system: Floats, row: int, x: float, y: float, z: float) -> tuple[float, float, float, float]:
    """Sum of the lengths of the vectors in three rows, of their squares, and the least and largest square.

    Numbers that are not negative are ordered as their bits are: so the compiler finds least and largest in vectors.
    """
    row_x, row_y, row_z = row_of(system, row), row_of(system, row + 1), row_of(system, row + 2)
    total = squares = 0.0
    least, largest = bits_of(math.inf), bits_of(0.0)
    for i in range(n_bodies(system)):
        a, b, c = row_x[i] - x, row_y[i] - y, row_z[i] - z
        squared = a * a + b * b + c * c
        total += math.sqrt(squared)
        squares += squared
        bits = bits_of(squared)
        least = bits if bits < least else least
        largest = bits if bits > largest else largest
    return total, squares, float_of(least), float_of(largest)


@inlined
def pair_distances(system: Floats) -> tuple[float, float, float]:
    """Sum of the distances, and the least and largest squared one, of the pairs; of a lone body 0."""
    n = n_bodies(system)
    x, y, z = row_of(system, X), row_of(system, Y), row_of(system, Z)
    total = 0.0
    least, largest = bits_of(math.inf if n > 1 else 0.0), bits_of(0.0)
    for i in range(1, n):
        xi, yi, zi = x[i], y[i], z[i]
        for j in range(i):
            dx, dy, dz = x[j] - xi, y[j] - yi, z[j] - zi
            squared = dx * dx + dy * dy + dz * dz
            total += math.sqrt(squared)
            bits = bits_of(squared)
            least = bits if bits < least else least
            largest = bits if bits > largest else largest
    return total, float_of(least), float_of(largest)
