"""`basic` and `rich`: statistics over the bodies of one state."""

from __future__ import annotations

import torch
from torch import Tensor

from aitimestepper.features.scales import NormScales
from aitimestepper.features.snapshot import Snapshot, in_centre_of_mass_frame
from aitimestepper.physics.gravity import pair_distances, safe_norm

BASIC_LENGTH = 11
RICH_LENGTH = 23


def basic_features(state: Snapshot, scales: NormScales) -> Tensor:
    """(..., 11): N, D, total mass, then mean and max of radius, speed and |acceleration|, pair distance min, mean."""
    radius, speed, accel, distance = _magnitudes(state, scales)
    return torch.stack(
        [
            *_counts(state),
            *(_ for x in (radius, speed, accel) for _ in (x.mean(-1), x.amax(-1))),
            distance.amin(-1),
            distance.mean(-1),
        ],
        dim=-1,
    )


def rich_features(state: Snapshot, scales: NormScales, softening: float) -> Tensor:
    """(..., 23): N, D, total mass, mean/min/max/rms of mass, radius, speed and |acceleration|, distances, softening."""
    radius, speed, accel, distance = _magnitudes(state, scales)
    return torch.stack(
        [
            *_counts(state),
            *(_ for x in (state.mass, radius, speed, accel) for _ in _statistics(x)),
            distance.amin(-1),
            distance.mean(-1),
            distance.amax(-1),
            torch.full_like(state.mass[..., 0], softening / scales.L0),
        ],
        dim=-1,
    )


def _magnitudes(state: Snapshot, scales: NormScales) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Radius, speed, |acceleration| (..., N) and pair distances (..., P); a lone body has one pair distance, zero."""
    position, velocity = in_centre_of_mass_frame(state)
    lone = state.position.shape[-2] < 2
    distance = torch.zeros_like(state.mass) if lone else pair_distances(state.position)
    return (
        safe_norm(position) / scales.L0,
        safe_norm(velocity) / scales.V0,
        safe_norm(state.acceleration) / scales.A0,
        distance / scales.L0,
    )


def _counts(state: Snapshot) -> tuple[Tensor, Tensor, Tensor]:
    total = state.mass.sum(-1)
    n_bodies, n_dims = state.position.shape[-2:]
    return torch.full_like(total, n_bodies), torch.full_like(total, n_dims), total


def _statistics(values: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    # The norm of the vector, whose gradient at zero is zero, instead of the root of a mean, whose is not.
    rms = safe_norm(values) / values.shape[-1] ** 0.5
    return values.mean(-1), values.amin(-1), values.amax(-1), rms
