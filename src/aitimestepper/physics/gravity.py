"""Newtonian gravity with Plummer softening: the only place in the torch path that divides by a distance."""

from __future__ import annotations

import torch
from torch import Tensor

from aitimestepper.physics.bodies import Bodies


def _separations(position: Tensor) -> Tensor:
    """(..., N, N, D): vector from body i to body j at [..., i, j, :]."""
    return position[..., None, :, :] - position[..., :, None, :]


def _squared_distance(separation: Tensor, softening: float) -> Tensor:
    """(..., N, N): r^2 + eps^2, and 1 for a body with itself.

    The self-pair gets a harmless number before any root or division is taken, so that neither a value nor a
    gradient ever meets inf * 0.
    """
    unit = torch.eye(separation.shape[-2], dtype=separation.dtype, device=separation.device)
    return (separation * separation).sum(-1) + (softening**2) * (1.0 - unit) + unit


def _other(position: Tensor) -> Tensor:
    """(N, N): 1 for two different bodies, 0 for a body with itself."""
    n_bodies = position.shape[-2]
    ones = torch.ones(n_bodies, n_bodies, dtype=position.dtype, device=position.device)
    return ones - torch.eye(n_bodies, dtype=position.dtype, device=position.device)


def acceleration(mass: Tensor, position: Tensor, *, softening: float = 0.0, G: float = 1.0) -> Tensor:
    """Acceleration of each body by all others, a_i = G sum_j m_j r_ij / (r_ij^2 + eps^2)^(3/2).

    Args:
        mass: (..., N).
        position: (..., N, D).
        softening: Plummer length eps >= 0.
        G: gravitational constant.

    Returns:
        (..., N, D).

    Source: Aarseth, Gravitational N-Body Simulations (2003), eq. 1.1 with the softening of section 2.2.
    """
    separation = _separations(position)
    squared = _squared_distance(separation, softening)
    # Two bodies at one point pull in no direction; their energy is infinite, which the gate refuses.
    apart = squared > 0
    weight = mass[..., None, :] * torch.where(apart, torch.where(apart, squared, 1.0) ** -1.5, 0.0)
    return G * (weight[..., None] * separation).sum(-2)


def potential_energy(mass: Tensor, position: Tensor, *, softening: float = 0.0, G: float = 1.0) -> Tensor:
    """Potential energy of the pairs, U = -G sum_{i<j} m_i m_j / sqrt(r_ij^2 + eps^2), the potential of `acceleration`.

    Args: as for `acceleration`. Returns: (...).
    """
    squared = _squared_distance(_separations(position), softening)
    pairs = mass[..., None, :] * mass[..., :, None] * squared**-0.5 * _other(position)
    return -0.5 * G * pairs.sum((-2, -1))


def pair_distances(position: Tensor) -> Tensor:
    """Unsoftened distance of every pair i < j, (..., N (N-1) / 2); zero, with zero gradient, where two coincide."""
    first, second = torch.triu_indices(position.shape[-2], position.shape[-2], 1, device=position.device)
    separation = position[..., second, :] - position[..., first, :]
    return safe_norm(separation)


def shortest_pair_time(mass: Tensor, position: Tensor, *, softening: float = 0.0, G: float = 1.0) -> Tensor:
    """Free-fall time of the tightest pair, min sqrt(r^3 / G (m_i + m_j)) with r^2 + eps^2 for r^2.

    Pairs of two massless bodies do not attract and do not count; a system without any pair has infinity.

    Args: as for `acceleration`. Returns: (...), >= 0.
    """
    n_bodies = position.shape[-2]
    if n_bodies < 2:
        return torch.full_like(mass[..., 0], torch.inf)
    first, second = torch.triu_indices(n_bodies, n_bodies, 1, device=position.device)
    separation = position[..., second, :] - position[..., first, :]
    squared = (separation * separation).sum(-1) + softening**2
    pair_mass = mass[..., first] + mass[..., second]
    attracting = pair_mass > 0
    ratio = squared**1.5 / (G * torch.where(attracting, pair_mass, 1.0))
    # The root of the smallest ratio, not the smallest root: only one pair can carry a gradient of 1/0.
    return torch.where(attracting, ratio, torch.inf).amin(-1).sqrt()


def safe_norm(vector: Tensor) -> Tensor:
    """Euclidean length over the last dimension, with gradient zero (not NaN) for the zero vector."""
    squared = (vector * vector).sum(-1)
    positive = squared > 0
    return torch.where(positive, torch.where(positive, squared, 1.0).sqrt(), 0.0)


def pair_terms(bodies: Bodies) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Masses m_i, m_j (..., P), separations and relative velocities (..., P, D) of the pairs i < j."""
    n_bodies = bodies.position.shape[-2]
    first, second = torch.triu_indices(n_bodies, n_bodies, 1, device=bodies.position.device)
    return (
        bodies.mass[..., first],
        bodies.mass[..., second],
        bodies.position[..., second, :] - bodies.position[..., first, :],
        bodies.velocity[..., second, :] - bodies.velocity[..., first, :],
    )
