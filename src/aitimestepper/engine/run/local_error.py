"""The local position error of a step, measured by two halves of it."""

from __future__ import annotations

import math

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import apart, compiled, inlined
from aitimestepper.engine.layout import AX, LAG, LOW, MASS, VX, X, n_attracting, n_bodies, row_of
from aitimestepper.engine.physics.integrators import LEAPFROG, Method, leapfrog_step, ttl_step
from aitimestepper.engine.physics.law import Law

_NOT_FINITE_ERROR = 1e30
"""Stands for an error that is no number: above anything that is allowed, and finite in sums."""

_EPSILON = 2.0**-52
_POSITION_ROUNDING = 8.0 * _EPSILON
"""Rounding of a position over the way that it moves, in one step: chosen, not measured. A step adds to a position 1 to
18 times."""


_ALIKE = 6.0
"""Factor between the largest and the least M / r^3 of three bodies that counts as equal: distances within 1.8. Chosen;
a moon has 14 and more, the Pythagorean problem 5.9 at its start."""


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

    Args:
        system: the state after the step.
        halves: that after two halves of it; its row LAG becomes the error of each body about its host, over their
            relative speed.
        ahead: time by which the step is ahead of the halves.
        elapsed: time of the step.
        law: softening and G.
    """
    n = n_bodies(system)
    worst = fastest = 0.0
    for i in range(n):
        rate, distance = closest(system, i, law)
        host = host_of(system, i, law)[1]
        error = speed = relative = relative_speed = 0.0
        for k in range(3):
            off = _off(system, halves, ahead, k * n + i)
            error += off**2
            speed += system[(VX + k) * n + i] ** 2
            relative += (off - _off(system, halves, ahead, k * n + host)) ** 2
            relative_speed += (system[(VX + k) * n + i] - system[(VX + k) * n + host]) ** 2
        halves[LAG * n + i] = math.sqrt(relative / relative_speed) if relative_speed > 0.0 else 0.0
        phase = math.sqrt(law.G * rate) * elapsed
        if phase > 0.0:
            rate = (math.sqrt(error) - _POSITION_ROUNDING * math.sqrt(speed) * elapsed) / (distance * phase)
            worst = worst if rate <= worst else rate  # also where it is no number
            fastest = max(fastest, phase)
    return worst if worst < math.inf else _NOT_FINITE_ERROR, fastest


@inlined
def _off(system: Floats, halves: Floats, ahead: float, k: int) -> float:
    """A component of the position of a body from where two halves of the step lead it."""
    n = n_bodies(system)
    at = X * n + k
    off = apart(system[at], halves[at], system[at + LOW * n], halves[at + LOW * n])
    return off - halves[VX * n + k] * ahead


@compiled
def closest(system: Floats, i: int, law: Law) -> tuple[float, float]:
    """M / r^3 and distance of the pair in which a body would fall fastest; 0 and 1 for none."""
    n, attracting = n_bodies(system), n_attracting(system)
    rate, distance = 0.0, 1.0
    for j in range(n if i < attracting else attracting):
        both = system[MASS * n + i] + system[MASS * n + j]
        if j != i and both > 0.0:
            away = _distance(system, i, j, law)
            if both > rate * away**3:
                rate, distance = both / away**3, away
    return rate, distance


@compiled
def host_of(system: Floats, i: int, law: Law) -> tuple[float, int]:
    """M / r^3 with the body, heavier than this one, to which it would fall fastest, and that body; 0, itself for none.

    Of bodies of the same mass the first counts as heavier.
    """
    mass = row_of(system, MASS)
    rate, host = 0.0, i
    for j in range(n_attracting(system)):
        if mass[j] > mass[i] or (mass[j] == mass[i] > 0.0 and j < i):
            found = (mass[i] + mass[j]) / _distance(system, i, j, law) ** 3
            if found > rate:
                rate, host = found, j
    return rate, host


@compiled
def is_democratic(system: Floats, law: Law) -> bool:
    """Whether three bodies fall to each other about equally fast, each two of them.

    Then no two of them are a pair that the third does not disturb, and errors do not add up but grow.
    """
    n = n_bodies(system)
    for i in range(n_attracting(system)):
        _, j = host_of(system, i, law)
        rate = _rate(system, i, j, law)
        for k in range(n):
            if j != i and k not in (i, j):
                others = _rate(system, i, k, law), _rate(system, j, k, law)
                if max(rate, *others) < _ALIKE * min(rate, *others):
                    return True
    return False


@compiled
def _rate(system: Floats, i: int, j: int, law: Law) -> float:
    """M / r^3 of a pair; 0 of a body with itself."""
    mass = row_of(system, MASS)
    return (mass[i] + mass[j]) / _distance(system, i, j, law) ** 3 if i != j else 0.0


@compiled
def _distance(system: Floats, i: int, j: int, law: Law) -> float:
    n = n_bodies(system)
    squared = law.squared_softening
    for k in range(3):
        squared += (system[(X + k) * n + j] - system[(X + k) * n + i]) ** 2
    return math.sqrt(squared)


@compiled
def run_position_error(system: Floats, law: Law) -> float:
    """What the lags of the bodies make of their positions now.

    Errors of single steps are mostly along the orbit, and a body that is late stays late: they add up as a time. How
    far that puts a body from its position depends on its speed now, and on the error of the body that it moves about,
    its host. The largest of all bodies, over the distance of the pair in which each would fall fastest.
    """
    worst = 0.0
    for i in range(n_bodies(system)):
        _, distance = closest(system, i, law)
        host = host_of(system, i, law)[1]
        if host != i:
            moved = _displaced(system, i, host)
            third = host_of(system, host, law)[1]
            if third not in (host, i):
                moved += _displaced(system, host, third)
            worst = max(worst, moved / distance)
    return worst if worst < math.inf else _NOT_FINITE_ERROR


@compiled
def _displaced(system: Floats, i: int, host: int) -> float:
    """How far its lag puts a body from its position about the centre of mass of a pair."""
    n = n_bodies(system)
    squared = 0.0
    for k in range(VX, AX):
        squared += (system[k * n + i] - system[k * n + host]) ** 2
    share = system[MASS * n + host] / (system[MASS * n + i] + system[MASS * n + host])
    return share * system[LAG * n + i] * math.sqrt(squared)
