"""Motion of one body about another over any time, in universal variables: one formula for every kind of orbit.

With r the distance, eta = x . v, mu = G M and beta = 2 mu / r - v^2 at the start, the universal anomaly X solves

    r G1 + eta G2 + mu G3 = dt,    G_k = X^k c_k(beta X^2),

c_k being Stumpff's functions. The state reached is x + (f-1) x + g v, v + f' x + (g'-1) v with

    f-1 = -mu G2 / r,  g = dt - mu G3,  f' = -mu G1 / (r r1),  g'-1 = -mu G2 / r1,  r1 = r G0 + eta G1 + mu G2.

Source: Stumpff 1959, Himmelsmechanik I; Danby 1988, Fundamentals of Celestial Mechanics, section 6.9; Wisdom &
Hernandez 2015, MNRAS 453, 3015.
"""

from __future__ import annotations

import math

from aitimestepper.engine.compilation import compiled_fused, inlined

NARROW = 1.0
"""Largest |beta X^2| at which the series below are exact to rounding: what they leave out is below 1e-18."""

_MOST_ROUNDS = 200
"""Of the search for X: it halves its bracket at worst."""

_NEARLY = 1e-8
"""A relative change of X behind which the next would be below rounding: convergence is of third order. Chosen."""


@inlined
def series(z: float) -> tuple[float, float]:
    """Stumpff's c2 and c3 for |z| <= NARROW: sum (-z)^k / (2k+2)! and sum (-z)^k / (2k+3)!."""
    c2 = 1.0 / 6402373705728000.0
    c2 = 1.0 / 20922789888000.0 - z * c2
    c2 = 1.0 / 87178291200.0 - z * c2
    c2 = 1.0 / 479001600.0 - z * c2
    c2 = 1.0 / 3628800.0 - z * c2
    c2 = 1.0 / 40320.0 - z * c2
    c2 = 1.0 / 720.0 - z * c2
    c2 = 1.0 / 24.0 - z * c2
    c2 = 0.5 - z * c2
    c3 = 1.0 / 121645100408832000.0
    c3 = 1.0 / 355687428096000.0 - z * c3
    c3 = 1.0 / 1307674368000.0 - z * c3
    c3 = 1.0 / 6227020800.0 - z * c3
    c3 = 1.0 / 39916800.0 - z * c3
    c3 = 1.0 / 362880.0 - z * c3
    c3 = 1.0 / 5040.0 - z * c3
    c3 = 1.0 / 120.0 - z * c3
    c3 = 1.0 / 6.0 - z * c3
    return c2, c3


@compiled_fused
def stumpff(z: float) -> tuple[float, float, float, float]:
    """Stumpff's c0, c1, c2 and c3 for any z; infinite where the hyperbolic functions are."""
    if abs(z) <= NARROW:
        c2, c3 = series(z)
        return 1.0 - z * c2, 1.0 - z * c3, c2, c3
    root = math.sqrt(abs(z))
    if z > 0.0:
        sine, cosine = math.sin(0.5 * root), math.cos(0.5 * root)
        c1 = 2.0 * sine * cosine / root
        return 1.0 - 2.0 * sine * sine, c1, 2.0 * sine * sine / z, (1.0 - c1) / z
    sine, cosine = math.sinh(0.5 * root), math.cosh(0.5 * root)
    c1 = 2.0 * sine * cosine / root
    return 1.0 + 2.0 * sine * sine, c1, -2.0 * sine * sine / z, (1.0 - c1) / z


@compiled_fused
def kepler_factors(distance: float, eta: float, beta: float, mu: float, dt: float) -> tuple[float, float, float, float]:
    """f-1, g, f' and g'-1 of the motion over a time, which may be below 0 and may be many periods.

    Args:
        distance: from the centre, > 0.
        eta: position times velocity.
        beta: 2 mu / distance - v^2: above 0 on an ellipse, below on a hyperbola.
        mu: G times the mass of both, >= 0.
        dt: the time.
    """
    if mu == 0.0 or dt == 0.0:
        return 0.0, dt, 0.0, 0.0
    if beta > 0.0:
        period = 2.0 * math.pi * mu / (beta * math.sqrt(beta))
        if abs(dt) > 0.5 * period:
            dt -= period * math.floor(dt / period + 0.5)
    # Back in time is forth with the velocity turned round.
    sign = 1.0 if dt > 0.0 else -1.0
    eta, dt = sign * eta, abs(dt)
    x = _universal_anomaly(distance, eta, beta, mu, dt)
    c0, c1, c2, c3 = stumpff(beta * x * x)
    g1, g2 = x * c1, x * x * c2
    reached = distance * c0 + eta * g1 + mu * g2
    g = dt - mu * (x * x * x * c3)
    return -mu * g2 / distance, sign * g, -sign * mu * g1 / (distance * reached), -mu * g2 / reached


@compiled_fused
def _universal_anomaly(distance: float, eta: float, beta: float, mu: float, dt: float) -> float:
    """X for a time dt >= 0, by Laguerre's iteration for degree 5 within a bracket that is halved where it fails.

    Source: Conway 1986, Celest. Mech. 39, 199.
    """
    low, high = 0.0, _anomaly_above(distance, eta, beta, mu, dt)
    zeta = mu - beta * distance
    x = _first_guess(distance, eta, zeta, dt)
    if not low < x < high:
        x = 0.5 * high
    for _ in range(_MOST_ROUNDS):
        c0, c1, c2, c3 = stumpff(beta * x * x)
        g1, g2 = x * c1, x * x * c2
        over = distance * g1 + eta * g2 + mu * (x * x * x * c3) - dt
        slope = distance * c0 + eta * g1 + mu * g2
        if over < 0.0:
            low = x
        elif over > 0.0:
            high = x
        else:
            return x
        bent = eta * c0 + zeta * g1
        wanted = -5.0 * over / (slope + math.sqrt(abs(16.0 * slope * slope - 20.0 * over * bent)))
        next_x = x + wanted
        if abs(wanted) <= _NEARLY * x:
            return next_x
        if not low < next_x < high:
            next_x = 0.5 * (low + high)
            if not low < next_x < high:
                return x
        x = next_x
    return x


@compiled_fused
def _first_guess(distance: float, eta: float, zeta: float, dt: float) -> float:
    """X to third order in time."""
    tau = dt / distance
    a, b = 0.5 * eta / distance, zeta / (6.0 * distance)
    return tau * (1.0 - tau * (a - tau * (2.0 * a * a - b)))


@compiled_fused
def _anomaly_above(distance: float, eta: float, beta: float, mu: float, dt: float) -> float:
    """An X that is too large."""
    if beta > 0.0:
        return 2.0 * math.pi / math.sqrt(beta)  # dt is at most half a period
    high = (6.0 * dt / mu) ** (1.0 / 3.0)
    for _ in range(_MOST_ROUNDS):
        _, c1, c2, c3 = stumpff(beta * high * high)
        # Beyond all numbers it is not a number, and too large.
        if distance * (high * c1) + eta * (high * high * c2) + mu * (high * high * high * c3) < dt:
            high *= 2.0
        else:
            return high
    return high
