"""The local position error of a step, measured by two halves of it."""

from __future__ import annotations

import math

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import apart, compiled
from aitimestepper.engine.layout import LOW, MASS, VX, X, n_attracting, n_bodies, row_of
from aitimestepper.engine.physics.gravity import Law
from aitimestepper.engine.physics.integrators import LEAPFROG, Method, leapfrog_step, ttl_step

_NOT_FINITE_ERROR = 1e30
"""Stands for an error that is no number: above anything that is allowed, and finite in sums."""

_EPSILON = 2.0**-52
_POSITION_ROUNDING = 8.0 * _EPSILON
"""Rounding of a position over the way that it moves, in one step: chosen, not measured. A step adds to a position 1 to
18 times."""


@compiled
def richardson(order: float) -> float:
    """Error of a step over its difference from two halves."""
    return 2.0**order / (2.0**order - 1.0)


@compiled
def halved(
    before: Floats, omega: float, system: Floats, step: float, elapsed: float, method: Method, law: Law
) -> tuple[float, float]:
    """Make a step again in two halves, and measure it by them; see `local_error`.

    Compared at equal times: what the halves are ahead in time is taken out along their velocity.

    Args:
        before: the state that the step started from; becomes that after two halves.
        omega: auxiliary Omega there.
        system: the state after it.
        step: in the integrator's own variable.
        elapsed: the time that it took.
        method, law: how it was made.
    """
    passed = elapsed
    if method.kind == LEAPFROG:
        for _ in range(2):
            leapfrog_step(before, 0.5 * step, method.stages, law)
    else:
        passed = omega_low = 0.0
        for _ in range(2):
            omega, omega_low, part = ttl_step(before, omega, omega_low, 0.5 * step, method, law)
            passed += part
    return local_error(system, before, elapsed - passed, elapsed, law)


@compiled
def local_error(system: Floats, halves: Floats, ahead: float, elapsed: float, law: Law) -> tuple[float, float]:
    """Position error of one step for each dynamical time, and the dynamical times that the step took.

    Each body is measured by the pair in which it would fall fastest: its error over that distance, its time by that
    pair's sqrt(r^3 / G M). The largest of all bodies counts. What rounding does to a position is no error of the step.
    """
    n, attracting = n_bodies(system), n_attracting(system)
    mass = row_of(system, MASS)
    worst = fastest = 0.0
    for i in range(n):
        rate, distance = 0.0, 1.0
        for j in range(n if i < attracting else attracting):
            both = mass[i] + mass[j]
            if j != i and both > 0.0:
                squared = law.squared_softening
                for k in range(3):
                    squared += (system[(X + k) * n + j] - system[(X + k) * n + i]) ** 2
                distance_to = math.sqrt(squared)
                if both > rate * squared * distance_to:
                    rate, distance = both / (squared * distance_to), distance_to
        error = speed = 0.0
        for k in range(3):
            at = (X + k) * n + i
            speed += system[(VX + k) * n + i] ** 2
            off = apart(system[at], halves[at], system[at + LOW * n], halves[at + LOW * n])
            error += (off - halves[(VX + k) * n + i] * ahead) ** 2
        phase = math.sqrt(law.G * rate) * elapsed
        if phase > 0.0:
            rate = (math.sqrt(error) - _POSITION_ROUNDING * math.sqrt(speed) * elapsed) / (distance * phase)
            worst = worst if rate <= worst else rate  # also where it is no number
            fastest = max(fastest, phase)
    return worst if worst < math.inf else _NOT_FINITE_ERROR, fastest
