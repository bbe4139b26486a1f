"""Omega, the function that transforms the time of `ttl`: its value and its gradient."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import bits_of, compiled, compiled_sums, float_of, inlined
from aitimestepper.engine.layout import (
    AX,
    AY,
    AZ,
    GX,
    GY,
    GZ,
    HOST,
    LIGHT,
    MASS,
    NEAREST,
    REACH,
    X_LOW,
    X,
    Y,
    Z,
    n_attracting,
    n_bodies,
    row_of,
)
from aitimestepper.engine.physics.central_forces import central_forces
from aitimestepper.engine.physics.gravity import scale_acceleration, tide
from aitimestepper.engine.physics.law import Law
from aitimestepper.engine.physics.low_parts import FARTHEST, close_to, is_close, separation, separations


class Weights(NamedTuple):
    """Omega = (sum over pairs (w / r)^q)^(1/q), with w = unit + by_sum (m_i + m_j) + by_product m_i m_j.

    With q = 4 light pairs add a term with a weight of their own, see `light_pairs`. Pairs of two massless bodies do not
    count. q = 1 with by_product = G is minus the potential energy.
    """

    q: float
    unit: float
    by_sum: float
    by_product: float


PAIR_NORM = Weights(4.0, 0.0, 1.0, 0.0)
"""Omega as it is by default, and as calibrated weights know it."""


@compiled
def _fourth(ratio: float, q: float) -> float:
    return ratio * ratio * ratio * ratio


@compiled
def _first(ratio: float, q: float) -> float:
    return ratio


@compiled
def _any(ratio: float, q: float) -> float:
    return ratio**q


@inlined
def _add(x: Floats, y: Floats, z: Floats, i: int, dx: float, dy: float, dz: float) -> None:
    """Add a vector to that of a body."""
    x[i] += dx
    y[i] += dy
    z[i] += dz


def _pull_with_omega(power_of: Any, *, attracting: bool) -> Any:
    """A kernel for one way to take a power: chosen inside the loop, it would keep the loop from being vectorised."""

    @compiled_sums
    def pull(system: Floats, law: Law, weights: Weights, begin: int, end: int) -> tuple[float, bool]:
        """Own gravity for G = 1 and sum p d / r^2 onto their rows; returns sum p, with p = (w / r)^q of a pair,
        and whether a body needs the low parts of positions.

        Of the bodies from `begin` to before `end` with those before each, or with those before `begin`.
        """
        mass, x, y, z = row_of(system, MASS), row_of(system, X), row_of(system, Y), row_of(system, Z)
        ax, ay, az = row_of(system, AX), row_of(system, AY), row_of(system, AZ)
        gx, gy, gz = row_of(system, GX), row_of(system, GY), row_of(system, GZ)
        near = row_of(system, NEAREST)
        total, found = 0.0, False
        for i in range(begin, end):
            xi, yi, zi, mi = x[i], y[i], z[i], mass[i]
            sum_x = sum_y = sum_z = omega_x = omega_y = omega_z = powers = 0.0
            nearest = bits_of(FARTHEST)
            for j in range(i if attracting else begin):
                dx, dy, dz = x[j] - xi, y[j] - yi, z[j] - zi
                mj, both = mass[j], mi + mass[j]
                squared = dx * dx + dy * dy + dz * dz + law.squared_softening
                bits = bits_of(squared)
                nearest = bits if bits < nearest else nearest
                inverse = 1.0 / math.sqrt(squared) if both > 0.0 else 0.0
                inverse_squared, cubed = inverse * inverse, inverse * inverse * inverse
                weight = weights.unit + weights.by_sum * both + weights.by_product * mi * mj
                power = power_of(weight * inverse, weights.q)
                powers += power
                along, by_j, by_i = power * inverse_squared, mj * cubed, mi * cubed
                sum_x += by_j * dx
                sum_y += by_j * dy
                sum_z += by_j * dz
                _add(ax, ay, az, j, -by_i * dx, -by_i * dy, -by_i * dz)
                omega_x += along * dx
                omega_y += along * dy
                omega_z += along * dz
                _add(gx, gy, gz, j, -along * dx, -along * dy, -along * dz)
            _add(ax, ay, az, i, sum_x, sum_y, sum_z)
            _add(gx, gy, gz, i, omega_x, omega_y, omega_z)
            near[i] = float_of(nearest)
            found |= is_close(float_of(nearest), xi, yi, zi)
            total += powers
        return total, found

    return pull


# Within the bodies up to the last with mass, and of each behind it with those: the least of two numbers as the end of
# one loop for both doubled the time of three bodies.
_pull_fourth, _pull_first, _pull_any = (_pull_with_omega(way, attracting=True) for way in (_fourth, _first, _any))
_drag_fourth, _drag_first, _drag_any = (_pull_with_omega(way, attracting=False) for way in (_fourth, _first, _any))


@compiled
def forces_with_omega(system: Floats, law: Law, weights: Weights) -> tuple[float, float]:
    """Total acceleration, Omega and its gradient in one pass over the pairs.

    The gradient's rows are overwritten by grad Omega over a factor.

    Returns:
        Omega and that factor, which is Omega / sum (w / r)^q.

    Source: Mikkola & Aarseth 2002, Celest. Mech. 84, 343; the power sum is this project's own.
    """
    n, attracting = n_bodies(system), n_attracting(system)
    system[AX * n : X_LOW * n] = 0.0
    system[GX * n : REACH * n] = 0.0
    if weights.q == 4.0:
        total, close = _pull_fourth(system, law, weights, 1, attracting)
        dragged, close_too = _drag_fourth(system, law, weights, attracting, n)
        for i in range(n):
            if system[LIGHT * n + i] > 0.0:
                dragged += _pull_of_light_pair(system, law, i)
    elif weights.q == 1.0:
        total, close = _pull_first(system, law, weights, 1, attracting)
        dragged, close_too = _drag_first(system, law, weights, attracting, n)
    else:
        total, close = _pull_any(system, law, weights, 1, attracting)
        dragged, close_too = _drag_any(system, law, weights, attracting, n)
    total += dragged
    if close or close_too:
        total += _add_low_parts(system, law.squared_softening, weights)
    if law.G != 1.0:
        scale_acceleration(system, law.G)
    if law.tide_mass > 0.0:
        tide(system, law, True)
    if law.has_central_forces > 0.0:
        central_forces(system, law, True)
    omega = _root(total, weights.q)
    return omega, omega / total


@compiled
def _add_low_parts(system: Floats, squared_softening: float, weights: Weights) -> float:
    """Enter the low parts of positions into acceleration (as it is for G = 1) and gradient, to first order.

    Returns:
        What they add to sum p.
    """
    n, attracting, q = n_bodies(system), n_attracting(system), weights.q
    total = 0.0
    for i in range(1, n):
        close = close_to(system, i)
        for j in range(min(i, attracting) if close > 0.0 else 0):
            dx, dy, dz, ex, ey, ez = separations(system, i, j)
            squared = dx * dx + dy * dy + dz * dz + squared_softening
            both = system[i] + system[j]
            if squared < close and both > 0.0:
                weight = weights.unit + weights.by_sum * both + weights.by_product * system[i] * system[j]
                inverse = 1.0 / math.sqrt(squared)
                inverse_squared = inverse * inverse
                power = (weight * weight * inverse_squared) ** 2 if q == 4.0 else (weight * inverse) ** q
                turn = (dx * ex + dy * ey + dz * ez) * inverse_squared
                total -= q * power * turn
                along, by_j, by_i = power * inverse_squared, system[j] * inverse**3, system[i] * inverse**3
                for k, d, e in ((0, dx, ex), (1, dy, ey), (2, dz, ez)):
                    change = along * (e - (q + 2.0) * turn * d)
                    system[(GX + k) * n + i] += change
                    system[(GX + k) * n + j] -= change
                    change = e - 3.0 * turn * d
                    system[(AX + k) * n + i] += by_j * change
                    system[(AX + k) * n + j] -= by_i * change
    return total


@compiled
def _pull_of_light_pair(system: Floats, law: Law, i: int) -> float:
    """What the weight of a body's light pair adds to the sum of fourth powers, and to its gradient."""
    n = n_bodies(system)
    j = int(system[HOST * n + i])
    dx, dy, dz = separation(system, i, j)
    inverse_squared = 1.0 / (dx * dx + dy * dy + dz * dz + law.squared_softening)
    power = (system[LIGHT * n + i] ** 2 * inverse_squared) ** 2
    along = power * inverse_squared
    for k, d in ((GX, dx), (GY, dy), (GZ, dz)):
        system[k * n + i] += along * d
        system[k * n + j] -= along * d
    return power


@compiled
def _root(power_sum: float, q: float) -> float:
    if q == 4.0:
        return math.sqrt(math.sqrt(power_sum))
    if q == 1.0:
        return power_sum
    return power_sum ** (1.0 / q)


@compiled
def omega_of(system: Floats, law: Law, weights: Weights) -> float:
    """Omega alone, at the start of a run."""
    mass, light = row_of(system, MASS), row_of(system, LIGHT)
    total, attracting = 0.0, n_attracting(system)
    for i in range(1, n_bodies(system)):
        for j in range(min(i, attracting)):
            both = mass[i] + mass[j]
            if both > 0.0:
                dx, dy, dz = separation(system, i, j)
                distance = math.sqrt(dx * dx + dy * dy + dz * dz + law.squared_softening)
                weight = weights.unit + weights.by_sum * both + weights.by_product * mass[i] * mass[j]
                total += (weight / distance) ** weights.q
    if weights.q == 4.0:
        for i in range(n_bodies(system)):
            if light[i] > 0.0:
                dx, dy, dz = separation(system, i, int(row_of(system, HOST)[i]))
                squared = dx * dx + dy * dy + dz * dz + law.squared_softening
                total += (light[i] * light[i] / squared) ** 2
    return _root(total, weights.q)
