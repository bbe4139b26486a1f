"""Conserved quantities of recorded states (S, N, D), in NumPy alone."""

from __future__ import annotations

import numpy as np

from aitimestepper.arrays import Floats


def angular_momentum(mass: Floats, position: Floats, velocity: Floats) -> Floats:
    """sum m x cross v of the frames (S, N, D), about the origin: (S, 3) in 3-D, otherwise (S,), zero in 1-D.

    A frame has the same bits whichever others it is computed with: products of matrices do not give that.
    """
    x, v = np.moveaxis(position, -1, 0), np.moveaxis(velocity, -1, 0)  # (D, S, N)
    planes = {1: (), 2: ((0, 1),), 3: ((1, 2), (2, 0), (0, 1))}[len(x)]
    terms = [mass * (x[i] * v[j] - x[j] * v[i]) for i, j in planes]
    sums = [np.ascontiguousarray(term).sum(-1) for term in terms]
    return np.stack(sums, axis=-1) if len(sums) > 1 else sums[0] if sums else np.zeros(len(position))


def angular_momentum_scale(mass: Floats, position: Floats, velocity: Floats) -> Floats:
    """(S,): sum m |x| |v| of the frames (S, N, D), the size that errors of the angular momentum are relative to."""
    size = np.linalg.norm(position, axis=-1) * np.linalg.norm(velocity, axis=-1)
    return np.asarray(size @ mass)


def energies(mass: Floats, position: Floats, velocity: Floats, *, G: float, softening: float) -> tuple[Floats, Floats]:
    """Total and kinetic energy, each (S,), of the frames (S, N, D); all pairs of all frames at once in memory."""
    first, second = np.triu_indices(len(mass), 1)
    attract = mass[first] * mass[second] > 0
    first, second = first[attract], second[attract]
    squared = ((position[:, first] - position[:, second]) ** 2).sum(-1) + softening**2
    kinetic = 0.5 * (velocity**2).sum(-1) @ mass
    return kinetic - G * (mass[first] * mass[second] / np.sqrt(squared)).sum(-1), kinetic
