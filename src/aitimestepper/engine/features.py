"""Twin of `features`: what the network sees of a state."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from aitimestepper.engine.compilation import compiled, compiled_sums
from aitimestepper.engine.kernels import Law
from aitimestepper.engine.layout import AX, AY, AZ, EARLIER, MASS, ROWS, VX, VY, VZ, Floats, X, Y, Z, n_bodies

BASIC, RICH, DELTA_MAG, INVARIANT = range(4)

WIDTHS = (11, 23, 10, 10)
"""Numbers of each type for one state, or one interval of `DELTA_MAG`."""

_ECCENTRICITY_FLOOR, _VIRIAL_FLOOR, _RADIAL_FLOOR = 1e-4, 1e-2, 1e-6
_SAFE_LOW, _SAFE_HIGH = 1e-60, 1e60


class Sight(NamedTuple):
    """What a network was trained to look at.

    Attributes:
        kind: BASIC, RICH, DELTA_MAG or INVARIANT.
        history: past states beside the current one.
        n_dims: D, a feature of BASIC and RICH.
        length, speed, acceleration, time: scales of the features.
    """

    kind: int
    history: int
    n_dims: int
    length: float
    speed: float
    acceleration: float
    time: float


@compiled
def fill_features(out: Floats, system: Floats, free_fall: float, dt: float, law: Law, sight: Sight) -> None:
    """The features of one state into `out`, or of the interval between two.

    Args:
        out: (WIDTHS[kind],).
        system: the state with its acceleration and, for DELTA_MAG, the state before in its rows EARLIER.
        free_fall: square of its fastest free-fall rate, the unit of the rates of INVARIANT.
        dt: the step that led to the state.
        law: softening and G.
        sight: which features.
    """
    rows = system.reshape(ROWS, n_bodies(system))
    if sight.kind == DELTA_MAG:
        _delta_mag(out, rows, dt, sight)
    elif sight.kind == INVARIANT:
        _invariant(out, rows, free_fall, law)
    else:
        _summary(out, rows, law, sight)


@compiled_sums
def _centre(rows: Floats, row: int) -> tuple[float, float, float]:
    """Mean of three rows, weighted by mass."""
    total = x = y = z = 0.0
    for i in range(rows.shape[1]):
        m = rows[MASS, i]
        total += m
        x += m * rows[row, i]
        y += m * rows[row + 1, i]
        z += m * rows[row + 2, i]
    return x / total, y / total, z / total


@compiled
def _spread(rows: Floats, row: int, about_centre: bool, scale: float) -> tuple[float, float, float, float]:
    """Mean, least, largest and rms length of the vectors in three rows, over `scale`."""
    n = rows.shape[1]
    x = y = z = 0.0
    if about_centre:
        x, y, z = _centre(rows, row)
    total = squares = largest = 0.0
    least = math.inf
    for i in range(n):
        a, b, c = rows[row, i] - x, rows[row + 1, i] - y, rows[row + 2, i] - z
        squared = a * a + b * b + c * c
        length = math.sqrt(squared)
        total += length
        squares += squared
        least = min(least, length)
        largest = max(largest, length)
    return total / n / scale, least / scale, largest / scale, math.sqrt(squares / n) / scale


@compiled
def _distances(rows: Floats) -> tuple[float, float, float]:
    """Least, mean and largest distance of the pairs; of a lone body 0."""
    n = rows.shape[1]
    if n < 2:
        return 0.0, 0.0, 0.0
    total, least, largest = _pair_distances(rows)
    return math.sqrt(least), total / (0.5 * n * (n - 1)), math.sqrt(largest)


@compiled_sums
def _pair_distances(rows: Floats) -> tuple[float, float, float]:
    """Sum of the distances, and the least and largest squared one, of the pairs."""
    n = rows.shape[1]
    x, y, z = rows[X], rows[Y], rows[Z]
    low, high = np.full(n, np.inf), np.zeros(n)
    total = 0.0
    for i in range(1, n):
        xi, yi, zi = x[i], y[i], z[i]
        part = 0.0
        for j in range(i):
            dx, dy, dz = x[j] - xi, y[j] - yi, z[j] - zi
            squared = dx * dx + dy * dy + dz * dz
            part += math.sqrt(squared)
            low[j] = squared if squared < low[j] else low[j]
            high[j] = squared if squared > high[j] else high[j]
        total += part
    return total, low.min(), high.max()


@compiled
def _summary(out: Floats, rows: Floats, law: Law, sight: Sight) -> None:
    n = rows.shape[1]
    mean, least, largest, squares = 0.0, math.inf, 0.0, 0.0
    for i in range(n):
        m = rows[MASS, i]
        mean += m
        squares += m * m
        least = min(least, m)
        largest = max(largest, m)
    out[0], out[1], out[2] = n, sight.n_dims, mean
    radius = _spread(rows, X, True, sight.length)
    speed = _spread(rows, VX, True, sight.speed)
    pull = _spread(rows, AX, False, sight.acceleration)
    near, middle, far = _distances(rows)
    if sight.kind == BASIC:
        out[3], out[4] = radius[0], radius[2]
        out[5], out[6] = speed[0], speed[2]
        out[7], out[8] = pull[0], pull[2]
        out[9], out[10] = near / sight.length, middle / sight.length
        return
    out[3], out[4], out[5], out[6] = mean / n, least, largest, math.sqrt(squares / n)
    out[7], out[8], out[9], out[10] = radius
    out[11], out[12], out[13], out[14] = speed
    out[15], out[16], out[17], out[18] = pull
    out[19], out[20], out[21] = near / sight.length, middle / sight.length, far / sight.length
    out[22] = math.sqrt(law.squared_softening) / sight.length


@compiled
def _delta_mag(out: Floats, rows: Floats, dt: float, sight: Sight) -> None:
    """Mean, largest and rms change of position, velocity and acceleration, and the step.

    An earlier state that is not known lies at the centre of mass of the later one.
    """
    n = rows.shape[1]
    unknown = True
    for row in range(EARLIER, EARLIER + VZ):
        for i in range(n):
            unknown &= rows[row, i] == 0.0
    scales = (sight.length, sight.speed, sight.acceleration)
    for kind in range(3):
        x = y = z = 0.0
        if unknown and kind == 0:
            x, y, z = _centre(rows, X)
        total = squares = largest = 0.0
        now, then = X + 3 * kind, EARLIER + 3 * kind
        for i in range(n):
            a = rows[now, i] - rows[then, i] - x
            b = rows[now + 1, i] - rows[then + 1, i] - y
            c = rows[now + 2, i] - rows[then + 2, i] - z
            squared = a * a + b * b + c * c
            length = math.sqrt(squared)
            total += length
            squares += squared
            largest = max(largest, length)
        out[3 * kind] = total / n / scales[kind]
        out[3 * kind + 1] = largest / scales[kind]
        out[3 * kind + 2] = math.sqrt(squares / n) / scales[kind]
    out[9] = dt / sight.time


@compiled
def _nonzero(value: float) -> float:
    return value if value > 0.0 else 1.0


@compiled
def _invariant(out: Floats, rows: Floats, free_fall: float, law: Law) -> None:
    """Ten pure ratios; formulas and symbols as in `features.invariant`."""
    n = rows.shape[1]
    out[:] = 0.0
    if n < 2:
        return
    u, v, w = _centre(rows, VX)
    kinetic = kick = mass = 0.0
    for i in range(n):
        a, b, c = rows[VX, i] - u, rows[VY, i] - v, rows[VZ, i] - w
        kinetic += 0.5 * rows[MASS, i] * (a * a + b * b + c * c)
        a, b, c = rows[AX, i], rows[AY, i], rows[AZ, i]
        kick += rows[MASS, i] * (a * a + b * b + c * c)
        mass += rows[MASS, i]
    # Infinite where two bodies that attract each other coincide; that pair does not count.
    fastest = free_fall if 0.0 < free_fall < math.inf else 1.0
    depth = mass * mass * (fastest / (law.G * mass)) ** (1.0 / 3.0)
    sums = _pair_sums(rows, law, fastest, depth)
    if not _SAFE_LOW < sums[1] < _SAFE_HIGH:
        # Its fourth powers leave the range of numbers: the largest itself is a better unit.
        depth = _nonzero(_largest_rate(rows, law, fastest))
        sums = _pair_sums(rows, law, fastest, depth)
    potential, square, fourth, curvature, eccentricity, virial, radial_part, fall, fly, radial = sums
    energy = _nonzero(kinetic + law.G * potential)
    total = law.G * depth * fastest * math.sqrt(square) / energy if square > 0.0 else 1.0
    weight = _nonzero(square)
    out[0] = law.G * curvature / (12.0 * energy * total)
    out[1] = kick / (24.0 * energy * total)
    out[2] = out[0] - out[1]
    out[3] = math.log(max(eccentricity / weight, 0.0) + _ECCENTRICITY_FLOOR)
    out[4] = math.log(virial / weight + _VIRIAL_FLOOR)
    out[5] = radial_part / weight
    out[6] = fourth / (weight * weight)
    scale = fastest / total
    fall, fly, radial = _fourth_root(fall, scale), _fourth_root(fly, scale), _fourth_root(radial, scale)
    floor = _RADIAL_FLOOR * fall
    out[7] = 0.5 * math.log(_nonzero(fall))
    out[8] = 0.5 * math.log(_nonzero(fly + floor))
    out[9] = 0.5 * math.log(_nonzero(radial + floor))


@compiled
def _fourth_root(value: float, scale: float) -> float:
    """scale value^(1/4)."""
    return scale * math.sqrt(math.sqrt(value))


@compiled
def _largest_rate(rows: Floats, law: Law, fastest: float) -> float:
    """Largest m_i m_j / r (v^2 / r^2 + G M / r^3) of a pair, over `fastest`."""
    largest = 0.0
    for i in range(1, rows.shape[1]):
        for j in range(i):
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
    rows: Floats, law: Law, fastest: float, depth: float
) -> tuple[float, float, float, float, float, float, float, float, float, float]:
    """Sums over the pairs, in one pass.

    Args:
        rows: the state.
        law: softening and G.
        fastest: unit of squared rates.
        depth: unit of m_i m_j / r.

    Returns:
        sum m m / r; sum q^2 and q^4; sum of m m / r^3 (v^2 - 3 v_r^2); sums of eccentricity squared, v^2 r / G M and
        (v_r / v)^2, each weighted by q^2; sums of the fourth powers of G M / r^3, v^2 / r^2 and v_r^2 / r^2.
    """
    mass, x, y, z = rows[MASS], rows[X], rows[Y], rows[Z]
    u, v, w = rows[VX], rows[VY], rows[VZ]
    per_fastest, per_depth = 1.0 / fastest, 1.0 / depth
    potential = square = fourth = curvature = eccentricity = virial = radial_part = 0.0
    falls = flies = radials = 0.0
    for i in range(1, rows.shape[1]):
        xi, yi, zi, ui, vi, wi, mi = x[i], y[i], z[i], u[i], v[i], w[i], mass[i]
        for j in range(i):
            dx, dy, dz = x[j] - xi, y[j] - yi, z[j] - zi
            du, dv, dw = u[j] - ui, v[j] - vi, w[j] - wi
            both = mi + mass[j]
            distance = dx * dx + dy * dy + dz * dz + law.squared_softening
            apart = (distance > 0.0) & (both > 0.0)
            squared = distance if apart else 1.0
            met = 1.0 if apart else 0.0
            inverse = 1.0 / math.sqrt(squared)
            inverse_squared = inverse * inverse
            speed = du * du + dv * dv + dw * dw
            along = dx * du + dy * dv + dz * dw
            radial = along * along * inverse_squared
            transverse = speed - radial if speed > radial else 0.0
            energy = met * mi * mass[j] * inverse
            # All of these in units of G M / r.
            unit = inverse * law.G * (both if apart else 1.0)
            bound = 1.0 / unit
            ratio = speed * bound
            fall = unit * inverse_squared * per_fastest * met
            fly = speed * inverse_squared * per_fastest * met
            plunge = radial * inverse_squared * per_fastest * met
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
