"""The Kepler step of many bodies, four at a time: the processor computes four orbits for little more than one.

What is done is the same for all: a first guess of the universal anomaly to third order in time and two corrections of
fourth order. That is exact to rounding for the steps of planets; where it is not, for long steps and eccentric orbits,
`kepler.kepler_factors` takes the body over.
"""

from __future__ import annotations

import math

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled_fused, inlined, lost, plus
from aitimestepper.engine.physics.kepler import NARROW, kepler_factors, series

LANES = 4

POSITION, VELOCITY, HELD = 0, 3, 6
"""First rows of positions and velocities of the bodies that are moved, and the row of what holds each: G times mass."""
LOW_PARTS = 9
"""Rows from a position or velocity to its low part."""

_ROWS = 15
_PLACES = 23
"""Of each lane in the scratch: the rows, four factors, distance, eta, beta, and whether the factors are right."""
_FACTORS, _DISTANCE, _ETA, _BETA, _SURE = 15 * LANES, 19 * LANES, 20 * LANES, 21 * LANES, 22 * LANES

_SURE_CHANGE = 3e-5
"""A relative second correction behind which a third would be below rounding: it is of fourth order. Chosen."""


@inlined
def room_for_lanes() -> Floats:
    """Scratch of `kepler_steps`."""
    return np.empty(_PLACES * LANES)


@compiled_fused
def kepler_steps(flat: Floats, base: int, n: int, first: int, dt: float, work: Floats) -> None:
    """Move bodies along their Kepler orbits about the origin.

    Args:
        flat: has fifteen rows of length n in it, one behind the other: position, velocity, G times the mass that holds
            each body, two that are not looked at, and the low parts of positions and velocities.
        base: where they begin.
        n: number of bodies.
        first: the first one that is moved.
        dt: the time, perhaps below 0.
        work: as `room_for_lanes` gives it.
    """
    for begin in range(first, n, LANES):
        count = min(LANES, n - begin)
        # A loop over a number that is known is one instruction.
        if count == LANES:
            for place in range(_ROWS):
                _copy_all(work, place * LANES, flat, base + place * n + begin)
        else:
            for place in range(_ROWS):
                for lane in range(LANES):  # the first one again, in vain
                    k = lane if lane < count else 0
                    work[place * LANES + lane] = flat[base + place * n + begin + k]
        _factors(work, dt)
        for lane in range(count):
            if not work[_SURE + lane] > 0.0:
                _factors_again(work, lane, dt)
        _apply(work)
        if count == LANES:
            for place in range(6):
                _copy_all(flat, base + place * n + begin, work, place * LANES)
                _copy_all(flat, base + (LOW_PARTS + place) * n + begin, work, (LOW_PARTS + place) * LANES)
        else:
            for place in range(6):
                for lane in range(count):
                    flat[base + place * n + begin + lane] = work[place * LANES + lane]
                    low = LOW_PARTS + place
                    flat[base + low * n + begin + lane] = work[low * LANES + lane]


@inlined
def _copy_all(to: Floats, at: int, of: Floats, begin: int) -> None:
    """Copy four numbers at once, which a loop would not do: an index without a sign needs no look at its sign."""
    i, j = np.uintp(at), np.uintp(begin)
    a, b, c, d = of[j], of[j + np.uintp(1)], of[j + np.uintp(2)], of[j + np.uintp(3)]
    to[i], to[i + np.uintp(1)], to[i + np.uintp(2)], to[i + np.uintp(3)] = a, b, c, d


@inlined
def _corrected(x: float, distance: float, eta: float, beta: float, mu: float, zeta: float, dt: float) -> float:
    """What a correction of fourth order adds to the universal anomaly: the reversed series of Kepler's equation."""
    c2, c3 = series(beta * x * x)
    g2 = x * x * c2
    g3 = x * x * x * c3
    g1 = x - beta * g3
    slope = distance + eta * g1 + zeta * g2
    inverse = 1.0 / slope
    over = (distance * x + eta * g2 + zeta * g3 - dt) * inverse
    half_bent = 0.5 * (eta * (1.0 - beta * g2) + zeta * g1) * inverse
    third = (mu * inverse - beta) * (1.0 / 6.0)
    return -over * (1.0 + over * (half_bent + over * (2.0 * half_bent * half_bent - third)))


@compiled_fused
def _factors(work: Floats, dt: float) -> None:
    """f-1, g, f' and g'-1 of each lane, and whether they are right to rounding."""
    for k in range(LANES):
        px, py, pz = work[k], work[LANES + k], work[2 * LANES + k]
        vx, vy, vz = work[3 * LANES + k], work[4 * LANES + k], work[5 * LANES + k]
        mu = work[HELD * LANES + k]
        distance = math.sqrt(px * px + py * py + pz * pz)
        inverse = 1.0 / distance
        eta = px * vx + py * vy + pz * vz
        beta = 2.0 * mu * inverse - (vx * vx + vy * vy + vz * vz)
        zeta = mu - beta * distance
        tau = dt * inverse
        a = 0.5 * eta * inverse
        x = tau * (1.0 - tau * (a - tau * (2.0 * a * a - zeta * inverse * (1.0 / 6.0))))
        x += _corrected(x, distance, eta, beta, mu, zeta, dt)
        last = _corrected(x, distance, eta, beta, mu, zeta, dt)
        x += last
        z = beta * x * x
        c2, c3 = series(z)
        g2 = x * x * c2
        g1 = x - z * x * c3
        reached = distance + eta * g1 + zeta * g2
        held = mu / reached
        work[_FACTORS + k] = -mu * g2 * inverse
        work[_FACTORS + LANES + k] = dt - mu * (x * x * x * c3)
        work[_FACTORS + 2 * LANES + k] = -held * g1 * inverse
        work[_FACTORS + 3 * LANES + k] = -held * g2
        work[_DISTANCE + k] = distance
        work[_ETA + k] = eta
        work[_BETA + k] = beta
        near = abs(last) <= _SURE_CHANGE * abs(x)
        work[_SURE + k] = 1.0 if near and abs(z) <= NARROW else 0.0


@compiled_fused
def _factors_again(work: Floats, k: int, dt: float) -> None:
    """The same of one lane by what is always right."""
    distance, eta, beta = work[_DISTANCE + k], work[_ETA + k], work[_BETA + k]
    f, g, f_dot, g_dot = kepler_factors(distance, eta, beta, work[HELD * LANES + k], dt)
    work[_FACTORS + k], work[_FACTORS + LANES + k] = f, g
    work[_FACTORS + 2 * LANES + k], work[_FACTORS + 3 * LANES + k] = f_dot, g_dot


@compiled_fused
def _apply(work: Floats) -> None:
    """Add what the factors say to positions and velocities, whose low parts take what rounding swallows."""
    for k in range(LANES):
        f, g = work[_FACTORS + k], work[_FACTORS + LANES + k]
        f_dot, g_dot = work[_FACTORS + 2 * LANES + k], work[_FACTORS + 3 * LANES + k]
        _move(work, k, f, g, f_dot, g_dot)
        _move(work, LANES + k, f, g, f_dot, g_dot)
        _move(work, 2 * LANES + k, f, g, f_dot, g_dot)


@inlined
def _move(work: Floats, k: int, f: float, g: float, f_dot: float, g_dot: float) -> None:
    """One component of position and velocity, the former at place k."""
    x, v = work[k], work[VELOCITY * LANES + k]
    by_x = f * x + g * v + work[LOW_PARTS * LANES + k]
    by_v = f_dot * x + g_dot * v + work[(LOW_PARTS + VELOCITY) * LANES + k]
    new_x, new_v = plus(x, by_x), plus(v, by_v)
    work[k], work[LOW_PARTS * LANES + k] = new_x, lost(x, by_x, new_x)
    work[VELOCITY * LANES + k] = new_v
    work[(LOW_PARTS + VELOCITY) * LANES + k] = lost(v, by_v, new_v)
