"""The state of N bodies as a value, and the one place where shapes are agreed."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from aitimestepper.errors import InputError


class Bodies(NamedTuple):
    """N bodies in D dimensions, with any leading batch dimensions.

    Attributes:
        mass: (..., N), >= 0.
        position: (..., N, D).
        velocity: (..., N, D).
    """

    mass: Tensor
    position: Tensor
    velocity: Tensor


def agreed_bodies(mass: Tensor, position: Tensor, velocity: Tensor) -> Bodies:
    """Bring mass to (..., N) and check it against position and velocity (..., N, D).

    Raises:
        InputError: the shapes do not fit, a value is not finite, a mass is negative or a system has no mass at all.
    """
    if position.ndim < 2 or position.shape[-1] not in (1, 2, 3):
        raise InputError(f"position must have shape (..., N, D) with D = 1, 2 or 3, got {tuple(position.shape)}")
    if velocity.shape != position.shape:
        raise InputError(
            f"velocity must have the shape of position {tuple(position.shape)}, got {tuple(velocity.shape)}"
        )
    try:
        mass = mass.expand(position.shape[:-1])
    except RuntimeError:
        raise InputError(
            f"mass must be a scalar, ({position.shape[-2]},) or {tuple(position.shape[:-1])}, got {tuple(mass.shape)}"
        ) from None
    for name, tensor in (("mass", mass), ("position", position), ("velocity", velocity)):
        if not torch.isfinite(tensor).all():
            raise InputError(f"{name} must be finite, got NaN or infinity")
    if (mass < 0).any():
        raise InputError(f"mass must be >= 0, got {mass.min().item():.3g}")
    if not (mass > 0).any(dim=-1).all():
        raise InputError("at least one body of each system must have a mass > 0")
    return Bodies(mass, position, velocity)


def per_system(value: Any, batch_shape: torch.Size, like: Tensor, name: str) -> Tensor:
    """A scalar or (...) quantity as a tensor of the batch shape; keeps the graph of a tensor.

    One value is allowed for all systems, and a shape of (1,) for a single system.

    Raises:
        InputError: the shape fits neither.
    """
    tensor = torch.as_tensor(value, dtype=like.dtype, device=like.device)
    if tensor.numel() == 1:
        return tensor.reshape(()).expand(batch_shape)
    if tensor.shape != batch_shape:
        raise InputError(f"{name} must be a scalar or of shape {tuple(batch_shape)}, got {tuple(tensor.shape)}")
    return tensor
