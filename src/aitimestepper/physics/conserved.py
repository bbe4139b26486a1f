"""Conserved quantities and their relative errors."""

from __future__ import annotations

import torch
from torch import Tensor

from aitimestepper.constants import ENERGY_FLOOR
from aitimestepper.physics.bodies import Bodies


def kinetic_energy(bodies: Bodies) -> Tensor:
    """Kinetic energy sum m v^2 / 2, (...)."""
    return 0.5 * (bodies.mass * (bodies.velocity * bodies.velocity).sum(-1)).sum(-1)


def momentum(bodies: Bodies) -> Tensor:
    """Total momentum sum m v, (..., D)."""
    return (bodies.mass[..., None] * bodies.velocity).sum(-2)


def angular_momentum(bodies: Bodies) -> Tensor:
    """Total angular momentum sum m x cross v about the origin: (..., 3) in 3-D, (...) in 2-D, zero in 1-D."""
    position, velocity = bodies.position, bodies.velocity
    n_dims = position.shape[-1]
    if n_dims == 3:
        return (bodies.mass[..., None] * torch.linalg.cross(position, velocity)).sum(-2)
    if n_dims == 2:
        cross = position[..., 0] * velocity[..., 1] - position[..., 1] * velocity[..., 0]
        return (bodies.mass * cross).sum(-1)
    return torch.zeros_like(bodies.mass[..., 0])


def relative_energy_error(initial: Tensor, final: Tensor) -> Tensor:
    """|(E1 - E0) / E0_safe| with E0 pushed away from zero by 1e-12 in the direction of its sign, (...).

    The push is absolute: energies are expected in units in which they are well above it (the training checks that).
    A difference that is not finite gives 1, without a gradient.
    """
    safe = initial + torch.where(initial < 0, -ENERGY_FLOOR, ENERGY_FLOOR)
    error = ((final - initial) / safe).abs()
    return torch.where(torch.isfinite(error), error, 1.0)


def relative_angular_momentum_error(initial: Tensor, final: Tensor, scale: Tensor) -> Tensor:
    """|L1 - L0| over `scale`, (...); vectors carry their components in a last dimension more than `scale`.

    The scale is sum m |x| |v| of the first state, because a system's total angular momentum may vanish.
    """
    difference = final - initial
    if difference.ndim > scale.ndim:
        difference = torch.linalg.vector_norm(difference, dim=-1)
    error = difference.abs() / torch.where(scale > 0, scale, 1.0)
    return torch.where(torch.isfinite(error), error, 1.0)


def angular_momentum_scale(bodies: Bodies) -> Tensor:
    """sum m |x| |v|, (...): what the angular momentum would be if every body moved at right angles, one way round."""
    lever = torch.linalg.vector_norm(bodies.position, dim=-1) * torch.linalg.vector_norm(bodies.velocity, dim=-1)
    return (bodies.mass * lever).sum(-1)
