"""Twin of `physics`: forces, potentials and conserved quantities of one system, flat as `layout` describes it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from aitimestepper.engine.compilation import compiled, compiled_sums, inlined
from aitimestepper.engine.layout import (
    AX,
    AY,
    AZ,
    GX,
    GY,
    GZ,
    KINETIC,
    LEVERS,
    MASS,
    MOMENTUM,
    REACH,
    SPEEDS,
    SPIN,
    VX,
    VY,
    VZ,
    Floats,
    X,
    Y,
    Z,
    n_bodies,
    row_of,
)


class Law(NamedTuple):
    """What moves the bodies: their own gravity and, perhaps, the tide of a distant point mass.

    Attributes:
        G: gravitational constant.
        squared_softening: Plummer length, squared.
        tide_mass: mass of the distant body; 0 for none.
        tide_x, tide_y, tide_z: its place.
    """

    G: float
    squared_softening: float
    tide_mass: float
    tide_x: float
    tide_y: float
    tide_z: float


class Weights(NamedTuple):
    """Omega = (sum over pairs (w / r)^q)^(1/q), with w = unit + by_sum (m_i + m_j) + by_product m_i m_j.

    Pairs of two massless bodies do not count. q = 1 with by_product = G is minus the potential energy.
    """

    q: float
    unit: float
    by_sum: float
    by_product: float


@compiled_sums
def _pull(system: Floats, law: Law) -> tuple[float, float]:
    """Own gravity for G = 1 into the acceleration; returns sum m_i m_j / r and max (m_i + m_j) / r^3."""
    n = n_bodies(system)
    mass, x, y, z = row_of(system, MASS), row_of(system, X), row_of(system, Y), row_of(system, Z)
    ax, ay, az, reach = row_of(system, AX), row_of(system, AY), row_of(system, AZ), row_of(system, REACH)
    for i in range(n):
        ax[i] = ay[i] = az[i] = reach[i] = 0.0
    total = 0.0
    for i in range(1, n):
        xi, yi, zi, mi = x[i], y[i], z[i], mass[i]
        sum_x = sum_y = sum_z = depth = 0.0
        for j in range(i):
            dx, dy, dz = x[j] - xi, y[j] - yi, z[j] - zi
            mj = mass[j]
            both = mi + mj
            squared = dx * dx + dy * dy + dz * dz + law.squared_softening
            # Where two massless bodies meet, nothing happens; where others do, infinity betrays them.
            inverse = 1.0 / math.sqrt(squared) if both > 0.0 else 0.0
            cubed = inverse * inverse * inverse
            by_j, by_i = mj * cubed, mi * cubed
            sum_x += by_j * dx
            sum_y += by_j * dy
            sum_z += by_j * dz
            ax[j] -= by_i * dx
            ay[j] -= by_i * dy
            az[j] -= by_i * dz
            depth += mj * inverse
            # The largest for each body: one for all would keep the loop from being vectorised.
            rate = both * cubed
            reach[j] = rate if rate > reach[j] else reach[j]
        ax[i] += sum_x
        ay[i] += sum_y
        az[i] += sum_z
        total += mi * depth
    fastest = 0.0
    for i in range(n):
        if reach[i] > fastest:
            fastest = reach[i]
    return total, fastest


@inlined
def forces(system: Floats, law: Law) -> tuple[float, float]:
    """Total acceleration into its rows of `system`.

    Returns:
        The potential energy, the external field included, and the square of the fastest free-fall rate,
        max G (m_i + m_j) / r^3.
    """
    depth, fastest = _pull(system, law)
    potential = -law.G * depth
    if law.G != 1.0:
        _scale_acceleration(system, law.G)
    if law.tide_mass > 0.0:
        potential += _tide(system, law, True)
    return potential, law.G * fastest


@compiled
def _scale_acceleration(system: Floats, factor: float) -> None:
    n = n_bodies(system)
    for k in range(AX * n, (AZ + 1) * n):
        system[k] *= factor


@compiled
def _tide(system: Floats, law: Law, with_force: bool) -> float:
    """Energy in the tide of the distant body; with `with_force` its pull is added to the acceleration."""
    scale = law.G * law.tide_mass
    squared = law.tide_x**2 + law.tide_y**2 + law.tide_z**2
    far = 1.0 / math.sqrt(squared)
    far_cubed = far / squared
    n = n_bodies(system)
    energy = 0.0
    for i in range(n):
        x, y, z = system[X * n + i], system[Y * n + i], system[Z * n + i]
        dx, dy, dz = law.tide_x - x, law.tide_y - y, law.tide_z - z
        squared = dx * dx + dy * dy + dz * dz
        near = 1.0 / math.sqrt(squared)
        along = x * law.tide_x + y * law.tide_y + z * law.tide_z
        energy -= scale * system[MASS * n + i] * (near - far - along * far_cubed)
        if with_force:
            near_cubed = near / squared
            system[AX * n + i] += scale * (dx * near_cubed - law.tide_x * far_cubed)
            system[AY * n + i] += scale * (dy * near_cubed - law.tide_y * far_cubed)
            system[AZ * n + i] += scale * (dz * near_cubed - law.tide_z * far_cubed)
    return energy


@compiled_sums
def _depth(system: Floats, squared_softening: float) -> float:
    """sum m_i m_j / r."""
    mass, x, y, z = row_of(system, MASS), row_of(system, X), row_of(system, Y), row_of(system, Z)
    total = 0.0
    for i in range(1, n_bodies(system)):
        xi, yi, zi, mi = x[i], y[i], z[i], mass[i]
        depth = 0.0
        for j in range(i):
            dx, dy, dz = x[j] - xi, y[j] - yi, z[j] - zi
            mj = mass[j]
            squared = dx * dx + dy * dy + dz * dz + squared_softening
            depth += mj / math.sqrt(squared) if mi + mj > 0.0 else 0.0
        total += mi * depth
    return total


@compiled
def potential_energy(system: Floats, law: Law) -> float:
    """Potential energy of the pairs and of the external field."""
    potential = -law.G * _depth(system, law.squared_softening)
    if law.tide_mass > 0.0:
        potential += _tide(system, law, False)
    return potential


@compiled
def fastest_free_fall(system: Floats, law: Law) -> float:
    """max G (m_i + m_j) / r^3 over the pairs: the square of a rate."""
    mass, x, y, z = row_of(system, MASS), row_of(system, X), row_of(system, Y), row_of(system, Z)
    fastest = 0.0
    for i in range(1, n_bodies(system)):
        for j in range(i):
            both = mass[i] + mass[j]
            if both > 0.0:
                dx, dy, dz = x[j] - x[i], y[j] - y[i], z[j] - z[i]
                squared = dx * dx + dy * dy + dz * dz + law.squared_softening
                fastest = max(fastest, both / (squared * math.sqrt(squared)))
    return law.G * fastest


@compiled
def _fourth(ratio: float, q: float) -> float:
    return ratio * ratio * ratio * ratio


@compiled
def _first(ratio: float, q: float) -> float:
    return ratio


@compiled
def _any(ratio: float, q: float) -> float:
    return ratio**q


def _pull_with_omega(power_of: Any) -> Any:
    """A kernel for one way to take a power: chosen inside the loop, it would keep the loop from being vectorised."""

    @compiled_sums
    def pull(system: Floats, law: Law, weights: Weights) -> float:
        """Own gravity for G = 1 and sum p d / r^2 into their rows; returns sum p, with p = (w / r)^q of a pair."""
        n = n_bodies(system)
        mass, x, y, z = row_of(system, MASS), row_of(system, X), row_of(system, Y), row_of(system, Z)
        ax, ay, az = row_of(system, AX), row_of(system, AY), row_of(system, AZ)
        gx, gy, gz = row_of(system, GX), row_of(system, GY), row_of(system, GZ)
        system[AX * n : REACH * n] = 0.0
        total = 0.0
        for i in range(1, n):
            xi, yi, zi, mi = x[i], y[i], z[i], mass[i]
            sum_x = sum_y = sum_z = omega_x = omega_y = omega_z = powers = 0.0
            for j in range(i):
                dx, dy, dz = x[j] - xi, y[j] - yi, z[j] - zi
                mj = mass[j]
                both = mi + mj
                squared = dx * dx + dy * dy + dz * dz + law.squared_softening
                inverse = 1.0 / math.sqrt(squared) if both > 0.0 else 0.0
                inverse_squared, cubed = inverse * inverse, inverse * inverse * inverse
                weight = weights.unit + weights.by_sum * both + weights.by_product * mi * mj
                power = power_of(weight * inverse, weights.q)
                along = power * inverse_squared
                powers += power
                by_j, by_i = mj * cubed, mi * cubed
                sum_x += by_j * dx
                sum_y += by_j * dy
                sum_z += by_j * dz
                ax[j] -= by_i * dx
                ay[j] -= by_i * dy
                az[j] -= by_i * dz
                omega_x += along * dx
                omega_y += along * dy
                omega_z += along * dz
                gx[j] -= along * dx
                gy[j] -= along * dy
                gz[j] -= along * dz
            ax[i] += sum_x
            ay[i] += sum_y
            az[i] += sum_z
            gx[i] += omega_x
            gy[i] += omega_y
            gz[i] += omega_z
            total += powers
        return total

    return pull


_pull_fourth, _pull_first, _pull_any = map(_pull_with_omega, (_fourth, _first, _any))


@compiled
def forces_with_omega(system: Floats, law: Law, weights: Weights) -> tuple[float, float]:
    """Total acceleration, Omega and its gradient in one pass over the pairs.

    The gradient's rows are overwritten by grad Omega over a factor.

    Returns:
        Omega and that factor, which is Omega / sum (w / r)^q.

    Source: Mikkola & Aarseth 2002, Celest. Mech. 84, 343; the power sum is this project's own.
    """
    if weights.q == 4.0:
        total = _pull_fourth(system, law, weights)
    elif weights.q == 1.0:
        total = _pull_first(system, law, weights)
    else:
        total = _pull_any(system, law, weights)
    if law.G != 1.0:
        _scale_acceleration(system, law.G)
    if law.tide_mass > 0.0:
        _tide(system, law, True)
    omega = _root(total, weights.q)
    return omega, omega / total


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
    mass, x, y, z = row_of(system, MASS), row_of(system, X), row_of(system, Y), row_of(system, Z)
    total = 0.0
    for i in range(1, n_bodies(system)):
        for j in range(i):
            both = mass[i] + mass[j]
            if both > 0.0:
                dx, dy, dz = x[j] - x[i], y[j] - y[i], z[j] - z[i]
                distance = math.sqrt(dx * dx + dy * dy + dz * dz + law.squared_softening)
                weight = weights.unit + weights.by_sum * both + weights.by_product * mass[i] * mass[j]
                total += (weight / distance) ** weights.q
    return _root(total, weights.q)


@compiled_sums
def motion(system: Floats, books: Floats) -> None:
    """Kinetic energy, momentum, angular momentum about the origin, sum m |v| and sum m |x| |v|, into the books."""
    n = n_bodies(system)
    kinetic = px = py = pz = lx = ly = lz = speeds = levers = 0.0
    for i in range(n):
        m, x, y, z = system[i], system[X * n + i], system[Y * n + i], system[Z * n + i]
        u, v, w = system[VX * n + i], system[VY * n + i], system[VZ * n + i]
        squared = u * u + v * v + w * w
        kinetic += m * squared
        px += m * u
        py += m * v
        pz += m * w
        lx += m * (y * w - z * v)
        ly += m * (z * u - x * w)
        lz += m * (x * v - y * u)
        speed = m * math.sqrt(squared)
        speeds += speed
        levers += speed * math.sqrt(x * x + y * y + z * z)
    books[KINETIC] = 0.5 * kinetic
    books[MOMENTUM], books[MOMENTUM + 1], books[MOMENTUM + 2] = px, py, pz
    books[SPIN], books[SPIN + 1], books[SPIN + 2] = lx, ly, lz
    books[SPEEDS], books[LEVERS] = speeds, levers
