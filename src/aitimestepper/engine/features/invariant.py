"""Twin of `features.invariant`: pure ratios, the same in all units; formulas and symbols as there."""

from __future__ import annotations

import math

from aitimestepper.arrays import Floats
from aitimestepper.constants import ECCENTRICITY_FLOOR, RADIAL_FLOOR, VIRIAL_FLOOR
from aitimestepper.engine.compilation import bits_of, compiled, compiled_sums, float_of, inlined
from aitimestepper.engine.features.averages import centre
from aitimestepper.engine.layout import AX, AY, AZ, MASS, ROWS, VX, VY, VZ, X, Y, Z, n_attracting, n_bodies, row_of
from aitimestepper.engine.physics.law import Law

_SAFE_LOW, _SAFE_HIGH = 1e-60, 1e60
"""Range of sums of q^2 whose squares, with some room, are numbers still."""

_TWO_THIRDS_OF_ONE = (1023 << 52) * 2 // 3


@inlined
def _nonzero(value: float) -> float:
    return value if value > 0.0 else 1.0


@compiled_sums
def invariant(out: Floats, system: Floats, free_fall: float, law: Law) -> None:
    """Ten pure ratios; formulas and symbols as in `features.invariant`."""
    out[:] = 0.0
    n = n_bodies(system)
    if n < 2:
        return
    u, v, w = centre(system, VX)
    kinetic = kick = mass = 0.0
    for i in range(n):
        m = system[i]
        a, b, c = system[VX * n + i] - u, system[VY * n + i] - v, system[VZ * n + i] - w
        kinetic += m * (a * a + b * b + c * c)
        a, b, c = system[AX * n + i], system[AY * n + i], system[AZ * n + i]
        kick += m * (a * a + b * b + c * c)
        mass += m
    # Infinite where two bodies that attract each other coincide; that pair does not count.
    fastest = free_fall if 0.0 < free_fall < math.inf else 1.0
    depth = mass * mass * _about_cube_root(fastest / (law.G * mass))
    sums = _pair_sums(system, law, fastest, depth)
    if not _SAFE_LOW < sums[1] < _SAFE_HIGH:
        # Its fourth powers leave the range of numbers: the largest itself is a better unit.
        depth = _nonzero(_largest_rate(system, law, fastest))
        sums = _pair_sums(system, law, fastest, depth)
    potential, square, fourth, curvature, eccentricity, virial, radial_part, fall, fly, radial = sums
    energy = _nonzero(0.5 * kinetic + law.G * potential)
    total = law.G * depth * fastest * math.sqrt(square) / energy if square > 0.0 else 1.0
    weight = _nonzero(square)
    out[0] = law.G * curvature / (12.0 * energy * total)
    out[1] = kick / (24.0 * energy * total)
    out[2] = out[0] - out[1]
    out[3] = math.log(max(eccentricity / weight, 0.0) + ECCENTRICITY_FLOOR)
    out[4] = math.log(virial / weight + VIRIAL_FLOOR)
    out[5] = radial_part / weight
    out[6] = fourth / (weight * weight)
    scale = fastest / total
    fall, fly, radial = _fourth_root(fall, scale), _fourth_root(fly, scale), _fourth_root(radial, scale)
    floor = RADIAL_FLOOR * fall
    out[7] = 0.5 * math.log(_nonzero(fall))
    out[8] = 0.5 * math.log(_nonzero(fly + floor))
    out[9] = 0.5 * math.log(_nonzero(radial + floor))


@inlined
def _fourth_root(value: float, scale: float) -> float:
    """scale value^(1/4)."""
    return scale * math.sqrt(math.sqrt(value))


@inlined
def _about_cube_root(value: float) -> float:
    """value^(1/3) within six percent, by dividing the exponent: enough for a unit, at a tenth of the price."""
    return float_of(bits_of(value) // 3 + _TWO_THIRDS_OF_ONE)


@compiled
def _largest_rate(system: Floats, law: Law, fastest: float) -> float:
    """Largest m_i m_j / r (v^2 / r^2 + G M / r^3) of a pair, over `fastest`."""
    rows = system.reshape(ROWS, n_bodies(system))
    attracting, largest = n_attracting(system), 0.0
    for i in range(1, rows.shape[1]):
        for j in range(min(i, attracting)):
            squared, speed = law.squared_softening, 0.0
            for k in range(3):
                squared += (rows[X + k, j] - rows[X + k, i]) ** 2
                speed += (rows[VX + k, j] - rows[VX + k, i]) ** 2
            both = rows[MASS, i] + rows[MASS, j]
            if squared > 0.0 and both > 0.0:
                distance = math.sqrt(squared)
                rate = (speed + law.G * both / distance) / squared / fastest
                largest = max(largest, rows[MASS, i] * rows[MASS, j] / distance * rate)
    return largest


@compiled_sums
def _pair_sums(
    system: Floats, law: Law, fastest: float, depth: float
) -> tuple[float, float, float, float, float, float, float, float, float, float]:
    """Sums over the pairs, in one pass.

    Args:
        system: the state.
        law: softening and G.
        fastest: unit of squared rates.
        depth: unit of m_i m_j / r.

    Returns:
        sum m m / r; sum q^2 and q^4; sum of m m / r^3 (v^2 - 3 v_r^2); sums of eccentricity squared, v^2 r / G M and
        (v_r / v)^2, each weighted by q^2; sums of the fourth powers of G M / r^3, v^2 / r^2 and v_r^2 / r^2.
    """
    mass, x, y, z = row_of(system, MASS), row_of(system, X), row_of(system, Y), row_of(system, Z)
    u, v, w, attracting = row_of(system, VX), row_of(system, VY), row_of(system, VZ), n_attracting(system)
    per_fastest, per_depth, per_G = 1.0 / fastest, 1.0 / depth, 1.0 / law.G
    potential = square = fourth = curvature = eccentricity = virial = radial_part = falls = flies = radials = 0.0
    for i in range(1, n_bodies(system)):
        xi, yi, zi, ui, vi, wi, mi = x[i], y[i], z[i], u[i], v[i], w[i], mass[i]
        for j in range(min(i, attracting)):
            dx, dy, dz = x[j] - xi, y[j] - yi, z[j] - zi
            du, dv, dw = u[j] - ui, v[j] - vi, w[j] - wi
            both = mi + mass[j]
            squared = dx * dx + dy * dy + dz * dz + law.squared_softening
            # A pair at one point, or one that does not attract, counts with zero weight.
            apart = (squared > 0.0) & (both > 0.0)
            squared, both = squared if apart else 1.0, both if apart else 1.0
            # One division for two: they are what this loop waits for.
            distance, quotient = math.sqrt(squared), 1.0 / (squared * both)
            inverse_squared = quotient * both if apart else 0.0
            inverse = inverse_squared * distance
            speed = du * du + dv * dv + dw * dw
            along = dx * du + dy * dv + dz * dw
            radial = along * along * inverse_squared
            transverse = speed - radial if speed > radial else 0.0
            energy = mi * mass[j] * inverse
            # All of these in units of G M / r.
            unit = law.G * both * inverse
            bound = quotient * squared * distance * per_G
            ratio = speed * bound
            fall = unit * inverse_squared * per_fastest
            fly, plunge = speed * inverse_squared * per_fastest, radial * inverse_squared * per_fastest
            rate = energy * per_depth * (fly + fall)
            weight = rate * rate
            potential += energy
            square += weight
            fourth += weight * weight
            curvature += energy * inverse_squared * (speed - 3.0 * radial)
            eccentricity += weight * (1.0 + transverse * bound * (ratio - 2.0))
            virial += weight * ratio
            radial_part += weight * (radial / speed if speed > 0.0 else 0.0)
            fall, fly, plunge = fall * fall, fly * fly, plunge * plunge
            falls += fall * fall
            flies += fly * fly
            radials += plunge * plunge
    return (
        potential, square, fourth, curvature, eccentricity, virial, radial_part, falls, flies, radials,
    )  # fmt: skip
