"""Conserved quantities of recorded states, NumPy only."""

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
