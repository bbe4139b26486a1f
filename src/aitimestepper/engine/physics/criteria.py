"""What chooses a step from a state: each criterion as a rate, one over the step that it wants.

Rates rather than steps, because the reversible recursion, the shortest of several steps and an unbounded step (rate 0)
are all simpler in them. Every criterion is even in the velocities: the same forwards and backwards in time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled, inlined
from aitimestepper.engine.layout import AX, AY, AZ, MASS, ROWS, VX, VY, VZ, X_LOW, X, Y, Z, n_attracting, n_bodies
from aitimestepper.engine.physics.law import Law

FIXED, FREE_FALL, FLY_BY, ACCELERATION, AARSETH, PRS23, LEARNED, OWN, CALIBRATED, ESTIMATE = range(10)
CODES = {
    "fixed": FIXED,
    "free-fall": FREE_FALL,
    "fly-by": FLY_BY,
    "acceleration": ACCELERATION,
    "aarseth": AARSETH,
    "prs23": PRS23,
    "learned": LEARNED,
    "estimate": ESTIMATE,
}
"""Of criteria, by the name that a user types as `timestep`."""


class Rule(NamedTuple):
    """How steps are chosen and judged.

    Attributes:
        criterion: one of the codes above.
        per_step: of `FIXED` one over the step in the integrator's own variable, else one over eta, the factor of the
            time scale.
        shortest, longest: bounds of the step in time.
        reversible: whether steps follow the reversible recursion.
        guard: largest relative energy error of one step, above which it is undone; infinite for no guard.
        promise: relative energy error that no step is to exceed, guarded or not; 0 if that is not counted.
    """

    criterion: int
    per_step: float
    shortest: float
    longest: float
    reversible: bool
    guard: float
    promise: float = 0.0


@compiled
def fly_by_rate(system: Floats, law: Law) -> float:
    """Square of the fastest rate of a pair, free fall and passing by together: max (v^2 / r^2 + G M / r^3)."""
    rows = system.reshape(ROWS, n_bodies(system))
    n, attracting, fastest = n_bodies(system), n_attracting(system), 0.0
    for i in range(1, n):
        for j in range(min(i, attracting)):
            both = rows[MASS, i] + rows[MASS, j]
            if both > 0.0:
                dx, dy, dz = rows[X, j] - rows[X, i], rows[Y, j] - rows[Y, i], rows[Z, j] - rows[Z, i]
                du, dv, dw = rows[VX, j] - rows[VX, i], rows[VY, j] - rows[VY, i], rows[VZ, j] - rows[VZ, i]
                squared = dx * dx + dy * dy + dz * dz + law.squared_softening
                speed = du * du + dv * dv + dw * dw
                fastest = max(fastest, (speed + law.G * both / math.sqrt(squared)) / squared)
    return fastest


@compiled
def acceleration_rate(system: Floats, law: Law) -> float:
    """Square of the fastest rate max |a_i - a_j| / r over the pairs: r changes by half of itself in one time scale."""
    rows = system.reshape(ROWS, n_bodies(system))
    n, attracting, fastest = n_bodies(system), n_attracting(system), 0.0
    for i in range(1, n):
        for j in range(min(i, attracting)):
            if rows[MASS, i] + rows[MASS, j] > 0.0:
                dx, dy, dz = rows[X, j] - rows[X, i], rows[Y, j] - rows[Y, i], rows[Z, j] - rows[Z, i]
                du, dv, dw = rows[AX, j] - rows[AX, i], rows[AY, j] - rows[AY, i], rows[AZ, j] - rows[AZ, i]
                squared = dx * dx + dy * dy + dz * dz + law.squared_softening
                fastest = max(fastest, (du * du + dv * dv + dw * dw) / squared)
    return math.sqrt(fastest)


@compiled
def force_derivatives(rows: Floats, law: Law, crackle: bool) -> Floats:
    """First to third derivative of each body's acceleration by the others, in time.

    Args:
        rows: (ROWS, N), the state with its acceleration.
        law: G and softening; the tide's derivatives are left out.
        crackle: whether the third is wanted.

    Returns:
        (9, N): jerk, snap and crackle, three rows each.

    Source: Nitadori & Makino 2008, New Astronomy 13, 498, section 2, with r^2 + eps^2 for r^2.
    """
    n = rows.shape[1]
    higher = np.zeros((9, n))
    for order in range(2 if crackle else 1):
        for i in range(n):
            for j in range(n):
                if i != j and rows[MASS, j] > 0.0:
                    _add_derivatives(rows, law, higher, i, j, order)
    return higher


@compiled
def _add_derivatives(rows: Floats, law: Law, higher: Floats, i: int, j: int, order: int) -> None:
    """Add what body j contributes to jerk and snap (order 0), or to the crackle (order 1), of body i."""
    squared, rv, vv, ra, va, rj = law.squared_softening, 0.0, 0.0, 0.0, 0.0, 0.0
    for k in range(3):
        r, v = rows[X + k, j] - rows[X + k, i], rows[VX + k, j] - rows[VX + k, i]
        a = rows[AX + k, j] - rows[AX + k, i]
        squared += r * r
        rv += r * v
        vv += v * v
        ra += r * a
        va += v * a
        rj += r * (higher[k, j] - higher[k, i])
    weight = law.G * rows[MASS, j] / (squared * math.sqrt(squared))
    alpha = rv / squared
    beta = (vv + ra) / squared + alpha * alpha
    gamma = (3.0 * va + rj) / squared + alpha * (3.0 * beta - 4.0 * alpha * alpha)
    for k in range(3):
        pull = weight * (rows[X + k, j] - rows[X + k, i])
        jerk = weight * (rows[VX + k, j] - rows[VX + k, i]) - 3.0 * alpha * pull
        snap = weight * (rows[AX + k, j] - rows[AX + k, i]) - 6.0 * alpha * jerk - 3.0 * beta * pull
        if order == 0:
            higher[k, i] += jerk
            higher[3 + k, i] += snap
        else:
            change = weight * (higher[k, j] - higher[k, i])
            higher[6 + k, i] += change - 9.0 * alpha * snap - 9.0 * beta * jerk - 3.0 * gamma * pull


@compiled
def _length(rows: Floats, first: int, i: int) -> float:
    return math.sqrt(rows[first, i] ** 2 + rows[first + 1, i] ** 2 + rows[first + 2, i] ** 2)


@compiled
def aarseth_rate(system: Floats, law: Law) -> float:
    """Square of the fastest rate max (|j| |c| + |s|^2) / (|a| |s| + |j|^2) over the bodies; j, s, c derivatives of a.

    Source: Aarseth 1985, in Multiple Time Scales, p. 377 (there with eta under the root).
    """
    rows = system.reshape(ROWS, n_bodies(system))
    higher = force_derivatives(rows, law, True)
    fastest = 0.0
    for i in range(rows.shape[1]):
        a, j, s, c = _length(rows, AX, i), _length(higher, 0, i), _length(higher, 3, i), _length(higher, 6, i)
        slow = a * s + j * j
        if slow > 0.0:
            fastest = max(fastest, (j * c + s * s) / slow)
    return fastest


@compiled
def prs23_rate(system: Floats, law: Law) -> float:
    """Square of the fastest rate max (|j|^2 + |a| |s|) / (2 |a|^2) over the bodies.

    Source: Pham, Rein & Spiegel 2024, Open J. Astrophys. 7 (arXiv 2401.02849), the criterion of IAS15 since 2024.
    """
    rows = system.reshape(ROWS, n_bodies(system))
    higher = force_derivatives(rows, law, False)
    fastest = 0.0
    for i in range(rows.shape[1]):
        a, j, s = _length(rows, AX, i), _length(higher, 0, i), _length(higher, 3, i)
        if a > 0.0:
            fastest = max(fastest, (j * j + a * s) / (2.0 * a * a))
    return fastest


@inlined
def classical_rate(system: Floats, free_fall: float, law: Law, rule: Rule) -> float:
    """One over the step that a classical criterion wants; 0 where nothing bounds it.

    Args:
        system: the state, with its acceleration for all but `FREE_FALL` and `FLY_BY`.
        free_fall: square of the fastest free-fall rate of the state.
        law: what moves the bodies.
        rule: which criterion.
    """
    if rule.criterion == FREE_FALL:
        squared = free_fall
    elif rule.criterion == FLY_BY:
        squared = fly_by_rate(system, law)
    elif rule.criterion == ACCELERATION:
        squared = acceleration_rate(system, law)
    elif rule.criterion == AARSETH:
        squared = aarseth_rate(system, law)
    else:
        squared = prs23_rate(system, law)
    return math.sqrt(squared) * rule.per_step


@compiled
def own_rate(own: object, system: Floats, law: Law, rule: Rule) -> float:
    """One over the step that a user's own criterion wants: eta times the time scale that it returns."""
    n = n_bodies(system)
    scale = own(  # type: ignore[operator]
        system[:n],
        system[X * n : VX * n].reshape(3, n).T,
        system[VX * n : AX * n].reshape(3, n).T,
        system[AX * n : X_LOW * n].reshape(3, n).T,
        math.sqrt(law.squared_softening),
        law.G,
    )
    return rule.per_step / scale
