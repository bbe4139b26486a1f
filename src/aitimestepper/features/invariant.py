"""`invariant`: pure ratios, for any number of bodies and any units, the same forwards and backwards in time.

| symbol | here | meaning |
|---|---|---|
| E | `energy` | kinetic + |potential| energy: it cannot vanish where the total energy does |
| q_ij | `rate` | energy-weighted rate, squared, of a pair: G m_i m_j / (r E) (v^2 + G M / r) / r^2, M = m_i + m_j |
| W | `total` | sqrt(sum q_ij^2), the rate of the system, squared |
| c_ij | `curvature` | G m_i m_j / (r^3 E) (v^2 - 3 v_r^2) / 12: with sum m a^2 / 24 E it is the leading energy error |
|   |   | of the leapfrog (Hairer, Lubich & Wanner 2006, section IX.3) |

Sums over pairs make them independent of the order of the bodies; even powers of the velocities make a step that
depends on them alone time-symmetric.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from aitimestepper.constants import ECCENTRICITY_FLOOR, RADIAL_FLOOR, VIRIAL_FLOOR
from aitimestepper.features.snapshot import Snapshot, in_centre_of_mass_frame
from aitimestepper.physics.bodies import Bodies
from aitimestepper.physics.gravity import pair_terms

INVARIANT_LENGTH = 10


class _Pairs(NamedTuple):
    """Squares and ratios of each pair, (..., P); a pair at one point without softening counts with zero weight."""

    met: Tensor  # 0 where the two coincide or none of them has a mass, else 1
    squared: Tensor  # r^2 + eps^2
    free_fall: Tensor  # G M / r^3
    potential: Tensor  # G m_i m_j / r
    speed: Tensor  # v^2
    radial: Tensor  # v_r^2
    transverse: Tensor  # v^2 - v_r^2


def invariant_features(state: Snapshot, *, softening: float, G: float) -> Tensor:
    """(..., 10) dimensionless numbers of one state; see the module's table and the comments for each.

    Args:
        state: any leading batch dimensions, N >= 1; states with coincident bodies give finite numbers.
        softening: Plummer length; r^2 stands for r^2 + eps^2 throughout.
        G: gravitational constant.
    """
    if state.position.shape[-2] < 2:
        return torch.zeros(*state.mass.shape[:-1], INVARIANT_LENGTH).to(state.mass)
    pairs = _pairs(state, softening, G)
    _, velocity = in_centre_of_mass_frame(state)
    kinetic = 0.5 * (state.mass * (velocity**2).sum(-1)).sum(-1)
    energy = _nonzero(kinetic + (pairs.met * pairs.potential).sum(-1))[..., None]
    rate = pairs.met * pairs.potential / energy * (pairs.speed / pairs.squared + pairs.free_fall)
    largest = _nonzero(rate.amax(-1))[..., None]  # scaled by it, fourth powers neither overflow nor underflow
    square = (rate / largest) ** 2
    total = largest[..., 0] * _nonzero(square.sum(-1)).sqrt()
    curvature = pairs.met * pairs.potential / (pairs.squared * energy) * (pairs.speed - 3.0 * pairs.radial) / 12.0
    kick = (state.mass * (state.acceleration**2).sum(-1)).sum(-1) / (24.0 * energy[..., 0])
    error_terms = (curvature.sum(-1) / total, kick / total)
    weight = square / _nonzero(square.sum(-1))[..., None]
    return torch.stack(
        [
            *error_terms,
            error_terms[0] - error_terms[1],
            *_orbit_shape(pairs, weight),
            (weight**2).sum(-1),  # concentration: 1 for one pair, 1/P for P equal ones
            *_rates(pairs, total),
        ],
        dim=-1,
    )


def _orbit_shape(pairs: _Pairs, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Eccentricity, speed against the circular one, and radial part of the motion, weighted over the pairs."""
    virial = pairs.speed / (pairs.squared * pairs.free_fall)  # v^2 r / G M
    # e^2 = 1 + (v_t^2 r / G M) (v^2 r / G M - 2), from energy and angular momentum of the pair
    eccentricity = 1.0 + pairs.transverse / (pairs.squared * pairs.free_fall) * (virial - 2.0)
    moving = pairs.speed > 0
    radial = torch.where(moving, pairs.radial / torch.where(moving, pairs.speed, 1.0), 0.0)
    return (
        torch.log((weight * eccentricity).sum(-1).clamp(min=0.0) + ECCENTRICITY_FLOOR),
        torch.log((weight * virial).sum(-1) + VIRIAL_FLOOR),
        (weight * radial).sum(-1),
    )


def _rates(pairs: _Pairs, total: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Logarithms of the fastest free fall, fly-by and radial approach (power sums, p = 4) over the system's rate."""
    fall = _power_sum(pairs.met * pairs.free_fall / total[..., None])
    fly = _power_sum(pairs.met * pairs.speed / pairs.squared / total[..., None])
    radial = _power_sum(pairs.met * pairs.radial / pairs.squared / total[..., None])
    floor = RADIAL_FLOOR * fall
    return (
        0.5 * torch.log(_nonzero(fall)),
        0.5 * torch.log(_nonzero(fly + floor)),
        0.5 * torch.log(_nonzero(radial + floor)),
    )


def _power_sum(values: Tensor) -> Tensor:
    """(sum x^4)^(1/4) over the last dimension, of x >= 0."""
    largest = _nonzero(values.amax(-1))
    total = ((values / largest[..., None]) ** 4).sum(-1)
    # Zero has no fourth root with a gradient.
    return torch.where(total > 0, largest * _nonzero(total) ** 0.25, 0.0)


def _nonzero(values: Tensor) -> Tensor:
    """The values, with 1 for zero: a system without what is divided by has a numerator of zero."""
    return torch.where(values > 0, values, 1.0)


def _pairs(state: Snapshot, softening: float, G: float) -> _Pairs:
    first, second, separation, relative = pair_terms(Bodies(state.mass, state.position, state.velocity))
    distance = (separation**2).sum(-1)
    softened = distance + softening**2
    apart = (softened > 0) & (first + second > 0)
    squared = torch.where(apart, softened, 1.0)
    root = squared.sqrt()
    speed = (relative**2).sum(-1)
    along = (separation * relative).sum(-1)
    radial = along**2 / squared
    return _Pairs(
        met=apart.to(squared.dtype),
        squared=squared,
        free_fall=torch.where(apart, G * (first + second), 1.0) / (squared * root),
        potential=G * first * second / root,
        speed=speed,
        radial=radial,
        transverse=(speed - radial).clamp(min=0.0),
    )
