"""Scales that make features dimensionless."""

from __future__ import annotations

from typing import NamedTuple

import torch

from aitimestepper.features.snapshot import Snapshot, in_centre_of_mass_frame
from aitimestepper.physics.gravity import pair_distances


class NormScales(NamedTuple):
    """Length, velocity, acceleration and time that features are divided by."""

    L0: float = 1.0
    V0: float = 1.0
    A0: float = 1.0
    T0: float = 1.0


def scales_of(state: Snapshot) -> NormScales:
    """Mean pair distance, rms speed and rms acceleration of a state, and T0 = L0 / V0; means over a batch.

    A system at rest has no rms speed: sqrt(L0 A0), its speed after falling for about a crossing time, stands in.
    """
    position, velocity = in_centre_of_mass_frame(state)
    lengths = pair_distances(position) if position.shape[-2] > 1 else torch.linalg.vector_norm(position, dim=-1)
    length = lengths.mean().item() or 1.0
    accel = (state.acceleration**2).sum(-1).mean().sqrt().item()
    speed = (velocity**2).sum(-1).mean().sqrt().item() or (length * accel) ** 0.5 or 1.0
    return NormScales(L0=length, V0=speed, A0=accel or speed**2 / length, T0=length / speed)
