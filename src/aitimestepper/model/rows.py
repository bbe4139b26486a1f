"""Bodies as rows of numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from aitimestepper.errors import InputError
from aitimestepper.model.particle import ParticleTorch


def make_particle(
    array: Any, device: torch.device | str | None = None, dtype: torch.dtype = torch.float64, *, G: float = 1.0
) -> ParticleTorch:
    """A system from rows [m, x..., v...], (N, 1 + 2 D), under the gravitational constant `G`; leading dimensions make a
    batch.

    Raises:
        InputError: the rows do not have 3, 5 or 7 columns, or a value is not allowed.
    """
    rows = array if isinstance(array, Tensor) else torch.as_tensor(np.asarray(array, dtype=np.float64))
    if rows.ndim < 2 or rows.shape[-1] not in (3, 5, 7):
        raise InputError(f"rows must be [m, x..., v...] with 3, 5 or 7 columns, got shape {tuple(rows.shape)}")
    n_dims = (rows.shape[-1] - 1) // 2
    mass, position, velocity = rows[..., 0], rows[..., 1 : 1 + n_dims], rows[..., 1 + n_dims :]
    return ParticleTorch(mass, position, velocity, G=G, dtype=dtype, device=device)
