"""`delta_mag`: how much the bodies changed from one state to the next."""

from __future__ import annotations

import torch
from torch import Tensor

from aitimestepper.features.scales import NormScales
from aitimestepper.features.snapshot import Snapshot
from aitimestepper.physics.gravity import safe_norm

DELTA_MAG_LENGTH = 10


def delta_mag_features(earlier: Snapshot, later: Snapshot, scales: NormScales) -> Tensor:
    """(..., 10): mean, max and rms over bodies of |dx|, |dv| and |da| between two states, and the step between them.

    A zero state stands for one that is not known. It lies at the centre of mass of the state after it, so that the
    features do not depend on the origin.
    """
    weight = (later.mass / later.mass.sum(-1, keepdim=True))[..., None]
    centre = (weight * later.position).sum(-2, keepdim=True)
    unknown = earlier.is_zero()
    start = torch.where(
        unknown[..., None, None] & later.position.flatten(-2).any(-1)[..., None, None], centre, earlier.position
    )
    changes = (
        safe_norm(later.position - start) / scales.L0,
        safe_norm(later.velocity - earlier.velocity) / scales.V0,
        safe_norm(later.acceleration - earlier.acceleration) / scales.A0,
    )
    rows = [_ for x in changes for _ in (x.mean(-1), x.amax(-1), safe_norm(x) / x.shape[-1] ** 0.5)]
    return torch.stack([*rows, later.dt / scales.T0], dim=-1)
