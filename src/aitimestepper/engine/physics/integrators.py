"""Steps that return the same way: the leapfrog, the time-transformed leapfrog, and their compositions."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled, compiled_sums, inlined, lost, plus
from aitimestepper.engine.layout import AX, GX, LOW, VX, X, n_bodies
from aitimestepper.engine.physics.gravity import forces
from aitimestepper.engine.physics.law import Law
from aitimestepper.engine.physics.omega import Weights, forces_with_omega

LEAPFROG, TTL, GBS, WH = range(4)
CODES = {"leapfrog": LEAPFROG, "ttl": TTL, "gbs": GBS, "wh": WH}
"""Of integrators, by the name that a user types; GBS is in `extrapolation`, WH in `wisdom_holman`."""


class Method(NamedTuple):
    """An integrator.

    Attributes:
        kind: LEAPFROG, TTL, GBS or WH.
        stages: (s,) fractions of the step, a palindrome; of GBS the numbers of steps in the rows of its table.
        weights: Omega of the time-transformed leapfrog.
    """

    kind: int
    stages: Floats
    weights: Weights


def _palindrome(half: tuple[float, ...]) -> Floats:
    """Fractions from their first half; the middle one makes the sum 1."""
    middle = 1.0 - 2.0 * math.fsum(half)
    return np.array([*half, middle, *reversed(half)])


_SUZUKI = 1.0 / (4.0 - 4.0 ** (1.0 / 3.0))

STAGES = {
    2: np.array([1.0]),
    4: _palindrome((_SUZUKI, _SUZUKI)),
    6: _palindrome((0.39216144400731413928, 0.33259913678935943860, -0.70624617255763935981, 0.082213596293550800230)),
    8: _palindrome(
        (
            *(0.13020248308889008088, 0.56116298177510838456, -0.38947496264484728641, 0.15884190655515560090),
            *(-0.39590389413323757734, 0.18453964097831570709, 0.25837438768632204729, 0.29501172360931029887),
        )
    ),
}
"""Fractions of the step for each order: 1, 5, 9 and 17 stages of one force evaluation each.

Source: order 4 Suzuki 1990, Phys. Lett. A 146, 319; orders 6 and 8 Kahan & Li 1997, Math. Comp. 66, 1089 (as printed in
Hairer, Lubich & Wanner 2006, section V.3.2, eqs. 3.11 and 3.12 ff).
"""


@inlined
def _kick(system: Floats, step: float) -> None:
    n = n_bodies(system)
    for k in range(VX * n, AX * n):
        _add(system, k, step * system[k + (AX - VX) * n], n)


@inlined
def _drift(system: Floats, step: float) -> None:
    n = n_bodies(system)
    for k in range(X * n, VX * n):
        _add(system, k, step * system[k + (VX - X) * n], n)


@inlined
def _add(system: Floats, k: int, change: float, n: int) -> None:
    """Add to a number that has a low part, which takes what rounding swallows (Kahan 1965, CACM 8, 40)."""
    before = system[k]
    change += system[k + LOW * n]
    after = plus(before, change)
    system[k], system[k + LOW * n] = after, lost(before, change, after)


@inlined
def leapfrog_step(system: Floats, dt: float, stages: Floats, law: Law) -> tuple[float, float]:
    """Advance by one step of kick-drift-kick stages, one force evaluation each: the closing one opens the next.

    Args:
        system: the state with its acceleration, advanced in place.
        dt: the step.
        stages: its fractions.
        law: what moves the bodies.

    Returns:
        Potential energy and squared free-fall rate of the state reached.

    Source: Hairer, Lubich & Wanner, Geometric Numerical Integration (2006), sections I.1.4 and II.4.
    """
    potential = free_fall = half = 0.0
    for fraction in stages:
        step = fraction * dt
        _kick(system, half + 0.5 * step)
        _drift(system, step)
        potential, free_fall = forces(system, law)
        half = 0.5 * step
    _kick(system, half)
    return potential, free_fall


@compiled
def ttl_step(
    system: Floats, omega: float, omega_low: float, step: float, method: Method, law: Law
) -> tuple[float, float, float]:
    """Advance by one step of fictitious time with the time-transformed leapfrog, drift-kick-drift.

    Drift first: the other way round two bodies would not keep to their orbit.

    Args:
        system: the state, advanced in place; its acceleration is that of the last kick, not of the state reached.
        omega, omega_low: auxiliary Omega, which runs beside the state, and its low part.
        step: of fictitious time, in the unit of Omega times time.
        method: fractions of the step, one force evaluation each, and which Omega.
        law: what moves the bodies.

    Returns:
        The new auxiliary Omega, its low part, and the time that has passed.

    Source: Mikkola & Aarseth 2002, Celest. Mech. 84, 343.
    """
    elapsed = dt = 0.0
    for fraction in method.stages:
        half = 0.5 * fraction * step
        dt += half / omega
        _drift(system, dt)
        elapsed += dt
        true_omega, factor = forces_with_omega(system, law, method.weights)
        kick = fraction * step / true_omega
        change = kick * factor * _kick_and_climb(system, kick) + omega_low
        before, omega = omega, plus(omega, change)
        omega_low = lost(before, change, omega)
        dt = half / omega  # the drift that ends a stage and the one that opens the next are one
    _drift(system, dt)
    return omega, omega_low, elapsed + dt


@compiled_sums
def _kick_and_climb(system: Floats, step: float) -> float:
    """Kick by `step`; returns the mean velocity during it times the gradient of Omega."""
    n = n_bodies(system)
    climb = 0.0
    for k in range(VX * n, AX * n):
        before = system[k]
        _add(system, k, step * system[k + (AX - VX) * n], n)
        climb += 0.5 * (before + system[k]) * system[k + (GX - VX) * n]
    return climb
