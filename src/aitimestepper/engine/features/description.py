"""What the calibrated stepper looks at: the step that a state sets by itself, and pure ratios that describe it.

| symbol | meaning |
|---|---|
| M, r, v | of a pair: sum of masses, distance (softened), relative speed |
| k | sqrt((v^2/2 - G M / r)^2 + (0.3 G M / R)^2), R = G m^2 / |U|: size of the pair's energy per reduced mass |
| w | M; of a light pair (M^4 + l^4)^(1/4), l being its own weight, see `physics.light_pairs` |
| Omega | (sum (w / r)^4)^(1/4) |
| p | (w / r)^4 / Omega^4, the pair's share |
| s | m_i m_j / r over its sum: the pair's share of the potential energy |

k and Omega r (of the pair that dominates Omega) do not change along an unperturbed orbit, and neither does what is made
of them. All is even in the velocities.
"""

from __future__ import annotations

import math

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled, compiled_sums, inlined
from aitimestepper.engine.features.invariant import invariant
from aitimestepper.engine.layout import HOST, LIGHT, MASS, REACH, VX, VY, VZ, X, Y, Z, n_attracting, n_bodies, row_of
from aitimestepper.engine.physics.law import Law

INVARIANTS = 10
"""The first numbers of a description are those of `features.invariant`; twelve more are this module's."""

ROUNDING = 1e-14
"""What is left of two sums after their common term, if it is below this, is rounding: no pull of others."""

CONCENTRATION = INVARIANTS + 1
"""Place of the logarithm of the sum of p^2: minus that of the number of pairs that make Omega, where they are alike."""

_SOFT, _FLOOR, _ECCENTRICITY_FLOOR = 0.3, 1e-12, 1e-3
"""The 0.3 of k above, without which a pair on a parabola would have no size; what logarithms of ratios and of squared
eccentricities end at. Chosen, not measured; the weights of the package were trained with them."""


@inlined
def _log(value: float) -> float:
    return math.log(value + _FLOOR)


@compiled
def describe(out: Floats, system: Floats, free_fall: float, law: Law) -> float:
    """Pure ratios of a state into `out`, and the fictitious step that it sets by itself.

    Args:
        out: (TRAITS,).
        system: the state with its acceleration; its row REACH is overwritten.
        free_fall: square of its fastest free-fall rate.
        law: softening and G.

    Returns:
        h_ref = (sum (min(1, G M / r k) 2 k / (Omega r)^2)^2)^(-1/4): M / sqrt(2 k) for a pair by itself, whose period
        takes 2 pi h_ref of fictitious time; Omega times the free-fall time for one that passes fast.
    """
    invariant(out[:INVARIANTS], system, free_fall, law)
    omega4, depth, mass = _first_pass(system, law)
    if not omega4 > 0.0:
        out[INVARIANTS:] = 0.0
        return 0.0
    omega = math.sqrt(math.sqrt(omega4))
    size = mass * mass / depth if depth > 0.0 else mass / omega
    reference, sharing, ratio, shape, energy_sharing, overlap, tide, radial, light, wide = _second_pass(
        system, law, omega, depth, size
    )
    step = 1.0 / math.sqrt(math.sqrt(reference))
    k = INVARIANTS
    out[k] = _log(step * ratio)  # M / sqrt(2 k) over h_ref, inverse, as Omega shares it
    out[k + 1] = _log(sharing)  # concentration of Omega
    out[k + 2] = _log(overlap)  # energy of the pairs that make Omega
    out[k + 3] = math.log(max(shape, 0.0) + _ECCENTRICITY_FLOOR)  # their eccentricity squared
    out[k + 4] = _log(energy_sharing)  # concentration of the potential energy
    out[k + 5] = _log(tide)  # pull of the others on them, over their own
    out[k + 6] = math.log(mass / (omega * size))  # distance of the tightest pair over R
    out[k + 7] = _log(radial)  # r over semi-major axis
    out[k + 8] = _log(light)  # reduced mass over mass of the pairs that make Omega
    out[k + 9] = _log(wide)  # second moment of h over the pairs
    out[k + 10] = math.log(float(n_bodies(system)))
    out[k + 11] = math.log(step * math.sqrt(law.G) / math.sqrt(mass * size))  # h_ref over that of the whole
    return step


@compiled_sums
def _first_pass(system: Floats, law: Law) -> tuple[float, float, float]:
    """sum (M / r)^4, sum m_i m_j / r and the mass; sum m_j / r^3 of each body into its row REACH."""
    n = n_bodies(system)
    mass, x, y, z = row_of(system, MASS), row_of(system, X), row_of(system, Y), row_of(system, Z)
    reach, host, light = row_of(system, REACH), row_of(system, HOST), row_of(system, LIGHT)
    attracting = n_attracting(system)
    omega4 = depth = whole = 0.0
    for i in range(n):
        reach[i] = 0.0
        whole += mass[i]
    for i in range(1, n):
        xi, yi, zi, mi, hi, li = x[i], y[i], z[i], mass[i], host[i], light[i]
        pull = powers = energy = 0.0
        for j in range(min(i, attracting)):
            dx, dy, dz = x[j] - xi, y[j] - yi, z[j] - zi
            mj = mass[j]
            both = mi + mj
            squared = dx * dx + dy * dy + dz * dz + law.squared_softening
            inverse = 1.0 / math.sqrt(squared) if both > 0.0 else 0.0
            cubed = inverse * inverse * inverse
            pull += mj * cubed
            reach[j] += mi * cubed
            power = both * inverse
            power = power * power
            own = _own_weight(hi, li, j, host[j], light[j], i) * inverse
            own = own * own
            powers += power * power + own * own
            energy += mj * inverse
        reach[i] += pull
        omega4 += powers
        depth += mi * energy
    return omega4, depth, whole


@inlined
def _own_weight(host_i: float, light_i: float, j: int, host_j: float, light_j: float, i: int) -> float:
    """The weight that two bodies have as a light pair; 0 for none."""
    weight = light_i if host_i == j else 0.0
    return light_j if host_j == i and light_j > 0.0 else weight


@inlined
def _share(both: float, own: float, per_omega_r: float) -> float:
    """(w / r)^4 / Omega^4 of a pair."""
    share, more = (both * per_omega_r) ** 2, (own * per_omega_r) ** 2
    return share * share + more * more


@inlined
def _together(both: float, own: float) -> float:
    """w of a pair."""
    return math.sqrt(math.sqrt(both**4 + own**4)) if own > 0.0 else both


@compiled_sums
def _second_pass(
    system: Floats, law: Law, omega: float, depth: float, size: float
) -> tuple[float, float, float, float, float, float, float, float, float, float]:
    """The sums of `describe`."""
    mass, x, y, z = row_of(system, MASS), row_of(system, X), row_of(system, Y), row_of(system, Z)
    u, v, w, reach = row_of(system, VX), row_of(system, VY), row_of(system, VZ), row_of(system, REACH)
    host, weights, attracting = row_of(system, HOST), row_of(system, LIGHT), n_attracting(system)
    per_omega, per_depth, per_size = 1.0 / omega, 1.0 / depth if depth > 0.0 else 0.0, _SOFT / size
    reference = sharing = ratio = shape = energy_sharing = overlap = tide = radial = light = wide = 0.0
    for i in range(1, n_bodies(system)):
        xi, yi, zi, ui, vi, wi, mi, ti = x[i], y[i], z[i], u[i], v[i], w[i], mass[i], reach[i]
        for j in range(min(i, attracting)):
            dx, dy, dz = x[j] - xi, y[j] - yi, z[j] - zi
            du, dv, dw = u[j] - ui, v[j] - vi, w[j] - wi
            mj = mass[j]
            squared = dx * dx + dy * dy + dz * dz + law.squared_softening
            both = mi + mj
            there = both > 0.0
            both, squared = both if there else 1.0, squared if there else 1.0
            inverse = 1.0 / math.sqrt(squared)
            attraction = law.G * both * inverse
            speed = du * du + dv * dv + dw * dw
            along = dx * du + dy * dv + dz * dw
            excess = 0.5 * speed - attraction
            soft = law.G * both * per_size
            energy = math.sqrt(excess * excess + soft * soft)
            bound = attraction / energy
            bound = bound if bound < 1.0 else 1.0
            rate = 2.0 * energy * inverse * inverse * per_omega * per_omega
            strength = bound * rate if there else 0.0
            own = _own_weight(host[i], weights[i], j, host[j], weights[j], i)
            share = _share(both, own, inverse * per_omega) if there else 0.0
            part = mi * mj * inverse * per_depth
            reference += strength * strength
            wide += strength
            sharing += share * share
            ratio += share * math.sqrt(2.0 * energy) / _together(both, own)
            shape += share * (1.0 + 2.0 * excess * (speed * squared - along * along) / (law.G * both * law.G * both))
            energy_sharing += part * part
            overlap += share * part
            others = (ti + reach[j]) * squared / (both * inverse) - 1.0
            tide += share * (others if others > ROUNDING else 0.0)
            radial += share * energy / attraction
            light += share * mi * mj / (both * both)
    return (
        reference, sharing, ratio, shape, energy_sharing, overlap, tide, radial, light,
        wide * wide / reference if reference > 0.0 else 1.0,
    )  # fmt: skip
