"""Which bodies are one after mergers, and what mass is where."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aitimestepper.arrays import Floats


def holders(n_bodies: int, survivor: Sequence[int], other: Sequence[int]) -> NDArray[np.int64]:
    """For each of N bodies the one that it is part of, (N,): itself, unless it has gone into another one.

    Args:
        n_bodies: N.
        survivor, other: (K,), of mergers in their order, numbers of the body that goes on and of the other one.
    """
    found = np.arange(n_bodies)
    for into, gone in zip(survivor, other, strict=True):
        found[found == gone] = into
    return found


def masses_after(mass: Floats, survivor: Sequence[int], other: Sequence[int]) -> Floats:
    """Masses (N,) after mergers, 0 of what has gone into another body; arguments as for `holders`."""
    masses = mass.copy()
    for into, gone in zip(survivor, other, strict=True):
        masses[into], masses[gone] = masses[into] + masses[gone], 0.0
    return masses


def radii_after(radius: Floats, survivor: Sequence[int], other: Sequence[int]) -> Floats:
    """Radii (N,) after mergers at constant density, 0 of what has gone into another body; as `masses_after`."""
    radii = radius.copy()
    for into, gone in zip(survivor, other, strict=True):
        radii[into], radii[gone] = joint_radius(float(radii[into]), float(radii[gone])), 0.0
    return radii


def joint_radius(first: float, second: float) -> float:
    """Radius of a body with the volume of two."""
    return float(np.cbrt(first**3 + second**3))
