"""Light pairs beside heavy bodies: which of them get a weight of their own in Omega.

Omega = (sum ((m_i + m_j) / r)^4)^(1/4) is made by the deepest pair. A moon's pair adds next to nothing to it, although
it is the fastest: a pair is as fast as sqrt(M / r^3). Time is then not transformed where it is needed. With the weight
c sqrt(2 |k|) in place of M, k being the energy of a pair per reduced mass, a step of h has h / c radians of eccentric
anomaly, whatever the mass and the size of the pair; c = M / sqrt(2 |k|) of the pairs that make Omega now, which keep
their weight M. Where all masses are alike M cannot miss anything, and no pair gets another weight.

A body has one light pair at most, the one with the heavier body that it circles fastest. Weights are constants between
the looks of a run (`weigh`); a change of them changes the length of steps.
"""

from __future__ import annotations

import math

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled, inlined
from aitimestepper.engine.layout import HOST, LIGHT, MASS, VX, VY, VZ, X, Y, Z, n_attracting, n_bodies, row_of
from aitimestepper.engine.physics.law import Law

_LIGHT = 0.25
"""Part of the mass of the pairs that make Omega up to which a pair is light. Chosen: pairs of like mass show by M."""

_ISOLATED, _DISTURBED = 0.3, 0.6
"""Pull of the others at the apocentre of a pair, over its own: below the first it may get a weight, above the second it
loses it. Chosen; 0.3 is reached at 0.77 of the Hill radius."""

_HIDDEN = 1.25
"""A pair gets a weight where that makes its steps at pericentre shorter by this factor. Chosen."""

_SOFT = 0.3
"""Part of G M / R, R = G m^2 / |U|, that softens the energy of a pair: as in `features.description`."""

_SHOWN = 0.5
"""Part of Omega from which M / r of a pair counts as shown by it. Chosen."""

_CHANGED = 0.2
"""Part by which a weight must have become another to be changed. Chosen."""


@inlined
def _pair(system: Floats, i: int, j: int, law: Law) -> tuple[float, float, float, float]:
    """Of a pair: M / r, v^2/2 - G M / r, the distance, and the squared angular momentum per reduced mass."""
    mass, x, y, z = row_of(system, MASS), row_of(system, X), row_of(system, Y), row_of(system, Z)
    u, v, w = row_of(system, VX), row_of(system, VY), row_of(system, VZ)
    dx, dy, dz = x[j] - x[i], y[j] - y[i], z[j] - z[i]
    du, dv, dw = u[j] - u[i], v[j] - v[i], w[j] - w[i]
    squared = dx * dx + dy * dy + dz * dz + law.squared_softening
    distance = math.sqrt(squared)
    speed = du * du + dv * dv + dw * dw
    along = dx * du + dy * dv + dz * dw
    depth = (mass[i] + mass[j]) / distance
    return depth, 0.5 * speed - law.G * depth, distance, max(speed * squared - along * along, 0.0)


@compiled
def _unit(system: Floats, law: Law) -> tuple[float, float, float]:
    """c, the mean of M, and the sum of (M / r)^4; c is the mean of M / sqrt(2 |k|), both weighed as Omega weighs.

    |k| is softened as in `features.description`, so that a pair on a parabola does not make c large.
    """
    fourth = units = heavy = total = whole = 0.0
    mass, attracting = row_of(system, MASS), n_attracting(system)
    for i in range(attracting):
        whole += mass[i]
        for j in range(i):
            total += mass[i] * mass[j] * _pair(system, i, j, law)[0] / (mass[i] + mass[j]) if mass[j] > 0.0 else 0.0
    soft = _SOFT * law.G * total / (whole * whole)  # times M: G M / R
    for i in range(1, n_bodies(system)):
        for j in range(min(i, attracting)):
            both = mass[i] + mass[j]
            if both > 0.0:
                depth, energy, _, _ = _pair(system, i, j, law)
                power = depth * depth * depth * depth
                fourth += power
                heavy += power * both
                units += power * both / math.sqrt(2.0 * math.sqrt(energy * energy + (soft * both) ** 2))
    return (units / fourth, heavy / fourth, fourth) if fourth > 0.0 else (0.0, 0.0, 0.0)


@compiled
def _host(system: Floats, i: int, law: Law) -> int:
    """The heavier body that a body circles fastest, of two alike the first; -1 if it circles none."""
    mass = row_of(system, MASS)
    host, fastest = -1, 0.0
    for j in range(n_attracting(system)):
        if mass[j] > mass[i] or (mass[j] == mass[i] > 0.0 and j < i):
            _, energy, _, _ = _pair(system, i, j, law)
            if energy < 0.0:
                squared = (2.0 * -energy) ** 3 / (mass[i] + mass[j]) ** 2
                if squared > fastest:
                    host, fastest = j, squared
    return host


@compiled
def _tide(system: Floats, i: int, host: int, apocentre: float, law: Law) -> float:
    """Pull of all others on a pair at its apocentre, over its own."""
    mass, x, y, z = row_of(system, MASS), row_of(system, X), row_of(system, Y), row_of(system, Z)
    total = 0.0
    for k in range(n_attracting(system)):
        if k not in (i, host):
            dx, dy, dz = x[k] - x[host], y[k] - y[host], z[k] - z[host]
            squared = dx * dx + dy * dy + dz * dz + law.squared_softening
            total += mass[k] / (squared * math.sqrt(squared))
    return 2.0 * total * apocentre**3 / (mass[i] + mass[host])


@compiled
def _weight(system: Floats, i: int, host: int, unit: float, fourth: float, law: Law) -> tuple[float, float]:
    """The weight that a pair should have, 0 for none of its own, and its distance over its semi-major axis."""
    mass, light = row_of(system, MASS), row_of(system, LIGHT)
    both = mass[i] + mass[host]
    depth, energy, distance, momentum = _pair(system, i, host, law)
    if not energy < 0.0:
        return 0.0, math.inf
    axis = law.G * both / (2.0 * -energy)
    eccentricity = math.sqrt(max(1.0 - momentum / (law.G * both * axis), 0.0))
    most = _DISTURBED if light[i] > 0.0 else _ISOLATED
    if _tide(system, i, host, axis * (1.0 + eccentricity), law) > most:
        return 0.0, distance / axis
    weight = unit * math.sqrt(2.0 * -energy)
    near = math.sqrt((axis * (1.0 - eccentricity)) ** 2 + law.squared_softening)
    others = max(fourth - depth * depth * depth * depth, 0.0)
    shown = math.sqrt(math.sqrt(others + (both / near) ** 4)) if near > 0.0 else math.inf
    needed = 1.0 if light[i] > 0.0 else _HIDDEN
    return weight if weight > needed * near * shown else 0.0, distance / axis


@compiled
def hidden_rate(system: Floats, law: Law, omega: float) -> float:
    """Square of the fastest free-fall rate, max G M / r^3, of the pairs that Omega does not show.

    Time is not transformed for them, so that a step must be short against their time.
    """
    mass, x, y, z = row_of(system, MASS), row_of(system, X), row_of(system, Y), row_of(system, Z)
    host, light = row_of(system, HOST), row_of(system, LIGHT)
    attracting, fastest = n_attracting(system), 0.0
    for i in range(1, n_bodies(system)):
        own = int(host[i]) if light[i] > 0.0 else -1
        for j in range(min(i, attracting)):
            dx, dy, dz = x[j] - x[i], y[j] - y[i], z[j] - z[i]
            inverse = 1.0 / math.sqrt(dx * dx + dy * dy + dz * dz + law.squared_softening)
            depth = (mass[i] + mass[j]) * inverse
            shown = depth >= _SHOWN * omega or j == own or (light[j] > 0.0 and int(host[j]) == i)
            if not shown:
                fastest = max(fastest, depth * inverse * inverse)
    return law.G * fastest


@compiled
def weigh(system: Floats, law: Law, *, first: bool) -> bool:
    """Give light pairs their weights, or take them away; whether one has changed.

    A weight changes where its pair is farther apart than its semi-major axis, so that Omega changes little; at the
    first look of a run anywhere.

    Args:
        system: the state; its rows HOST and LIGHT are changed.
        law: softening and G.
        first: whether nothing depends on the weights yet.
    """
    n = n_bodies(system)
    if n < 3:
        return False
    unit, heavy, fourth = _unit(system, law)
    host, light = row_of(system, HOST), row_of(system, LIGHT)
    changed = False
    for i in range(n):
        found = int(host[i]) if light[i] > 0.0 else _host(system, i, law)
        if found < 0 or row_of(system, MASS)[i] + row_of(system, MASS)[found] > _LIGHT * heavy:
            continue
        weight, distance = _weight(system, i, found, unit, fourth, law)
        if abs(weight - light[i]) > _CHANGED * light[i] and (first or distance > 1.0):
            host[i], light[i] = found, weight
            changed = True
    return changed
