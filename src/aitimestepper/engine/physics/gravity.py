"""Twin of `physics.gravity` and `physics.tides`: forces and potentials of one system, flat as `layout` has it."""

from __future__ import annotations

import math

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import bits_of, compiled, compiled_sums, float_of, inlined
from aitimestepper.engine.layout import AX, AY, AZ, MASS, NEAREST, REACH, X, Y, Z, n_attracting, n_bodies, row_of
from aitimestepper.engine.physics.central_forces import central_forces
from aitimestepper.engine.physics.law import Law
from aitimestepper.engine.physics.low_parts import FARTHEST, add_to_depth, add_to_pull, is_close


@compiled_sums
def _pull(system: Floats, law: Law) -> tuple[float, float, bool]:
    """Own gravity for G = 1 into the acceleration; returns sum m_i m_j / r and max (m_i + m_j) / r^3."""
    n = n_bodies(system)
    mass, x, y, z = row_of(system, MASS), row_of(system, X), row_of(system, Y), row_of(system, Z)
    ax, ay, az, reach = row_of(system, AX), row_of(system, AY), row_of(system, AZ), row_of(system, REACH)
    near = row_of(system, NEAREST)
    for i in range(n):
        ax[i] = ay[i] = az[i] = reach[i] = 0.0
    total, attracting, found = 0.0, n_attracting(system), False
    for i in range(1, n):
        xi, yi, zi, mi = x[i], y[i], z[i], mass[i]
        sum_x = sum_y = sum_z = depth = 0.0
        nearest = bits_of(FARTHEST)
        for j in range(min(i, attracting)):
            dx, dy, dz = x[j] - xi, y[j] - yi, z[j] - zi
            mj = mass[j]
            both = mi + mj
            squared = dx * dx + dy * dy + dz * dz + law.squared_softening
            bits = bits_of(squared)
            nearest = bits if bits < nearest else nearest
            # Two massless bodies at one point do nothing; of two others there the potential is infinite.
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
        near[i] = float_of(nearest)
        found |= is_close(float_of(nearest), xi, yi, zi)
        total += mi * depth
    fastest = 0.0
    for i in range(n):
        if reach[i] > fastest:
            fastest = reach[i]
    return total, fastest, found


@inlined
def forces(system: Floats, law: Law) -> tuple[float, float]:
    """Total acceleration into its rows of `system`.

    Returns:
        The potential energy, the external field included, and the square of the fastest free-fall rate,
        max G (m_i + m_j) / r^3.
    """
    depth, fastest, close = _pull(system, law)
    if close:
        depth += add_to_pull(system, law.squared_softening)
    potential = -law.G * depth
    if law.G != 1.0:
        scale_acceleration(system, law.G)
    if law.tide_mass > 0.0:
        potential += tide(system, law, True)
    if law.has_central_forces > 0.0:
        potential += central_forces(system, law, True)
    return potential, law.G * fastest


@compiled
def scale_acceleration(system: Floats, factor: float) -> None:
    """Multiply the acceleration, as it is for G = 1, by G."""
    n = n_bodies(system)
    for k in range(AX * n, (AZ + 1) * n):
        system[k] *= factor


@compiled
def tide(system: Floats, law: Law, with_force: bool) -> float:
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
def _depth(system: Floats, squared_softening: float) -> tuple[float, bool]:
    """sum m_i m_j / r."""
    mass, x, y, z = row_of(system, MASS), row_of(system, X), row_of(system, Y), row_of(system, Z)
    near = row_of(system, NEAREST)
    total, attracting, found = 0.0, n_attracting(system), False
    for i in range(1, n_bodies(system)):
        xi, yi, zi, mi = x[i], y[i], z[i], mass[i]
        depth = 0.0
        nearest = bits_of(FARTHEST)
        for j in range(min(i, attracting)):
            dx, dy, dz = x[j] - xi, y[j] - yi, z[j] - zi
            mj = mass[j]
            squared = dx * dx + dy * dy + dz * dz + squared_softening
            bits = bits_of(squared)
            nearest = bits if bits < nearest else nearest
            depth += mj / math.sqrt(squared) if mi + mj > 0.0 else 0.0
        near[i] = float_of(nearest)
        found |= is_close(float_of(nearest), xi, yi, zi)
        total += mi * depth
    return total, found


@compiled
def potential_energy(system: Floats, law: Law) -> float:
    """Potential energy of the pairs and of the external field."""
    depth, close = _depth(system, law.squared_softening)
    if close:
        depth += add_to_depth(system, law.squared_softening)
    potential = -law.G * depth
    if law.tide_mass > 0.0:
        potential += tide(system, law, False)
    if law.has_central_forces > 0.0:
        potential += central_forces(system, law, False)
    return potential


@compiled
def fastest_free_fall(system: Floats, law: Law) -> float:
    """max G (m_i + m_j) / r^3 over the pairs: the square of a rate."""
    mass, x, y, z = row_of(system, MASS), row_of(system, X), row_of(system, Y), row_of(system, Z)
    fastest, attracting = 0.0, n_attracting(system)
    for i in range(1, n_bodies(system)):
        for j in range(min(i, attracting)):
            both = mass[i] + mass[j]
            if both > 0.0:
                dx, dy, dz = x[j] - x[i], y[j] - y[i], z[j] - z[i]
                squared = dx * dx + dy * dy + dz * dz + law.squared_softening
                fastest = max(fastest, both / (squared * math.sqrt(squared)))
    return law.G * fastest
