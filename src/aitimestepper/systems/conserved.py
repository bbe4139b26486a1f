"""Conserved quantities of recorded states (S, N, D), in NumPy alone."""

from __future__ import annotations

import numpy as np

from aitimestepper.arrays import Floats


def angular_momentum(mass: Floats, position: Floats, velocity: Floats) -> Floats:
    """sum m x cross v of the frames (S, N, D), about the origin: (S, 3) in 3-D, otherwise (S,), zero in 1-D."""
    n_dims = position.shape[-1]
    if n_dims == 3:
        return np.einsum("n,snd->sd", mass, np.cross(position, velocity))
    if n_dims == 2:
        return (position[..., 0] * velocity[..., 1] - position[..., 1] * velocity[..., 0]) @ mass
    return np.zeros(len(position))


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
