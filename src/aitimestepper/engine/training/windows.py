"""Windows: what a step does to a system over some dynamical times. What calibrated weights are trained on.

A window of a system with a given step is what `controlled` makes of it between two changes: one step in fictitious
time, or one factor of the fly-by time scale, for all of it.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aitimestepper.arrays import Floats
from aitimestepper.constants import TRAITS
from aitimestepper.engine.compilation import compiled
from aitimestepper.engine.features.description import describe
from aitimestepper.engine.layout import BOOKS, MASS, ROWS, VX, X, n_bodies
from aitimestepper.engine.physics.conserved import energy_scale, motion
from aitimestepper.engine.physics.criteria import CALIBRATED, fly_by_rate
from aitimestepper.engine.physics.gravity import forces
from aitimestepper.engine.physics.integrators import LEAPFROG, TTL, Method
from aitimestepper.engine.physics.law import Law
from aitimestepper.engine.physics.light_pairs import weigh
from aitimestepper.engine.physics.omega import PAIR_NORM, omega_of
from aitimestepper.engine.run.governor import POSITION_SHARE
from aitimestepper.engine.run.local_error import halved, richardson
from aitimestepper.engine.run.step import mirrored, move

LEAST_STEPS = 8
_SAMPLES = 8
"""Steps of a window whose local position error is measured."""


class Window(NamedTuple):
    """How long windows are.

    Attributes:
        phase: length in units of the dynamical time, 2 pi for a period.
        most_steps: they end after so many steps at the latest.
    """

    phase: float
    most_steps: int


@compiled
def opened(
    mass: Floats, position: Floats, velocity: Floats, law: Law, light_pairs: bool
) -> tuple[Floats, NDArray[Any]]:
    """System and books of a state; bodies that are absent, farther away than any can be, are left out.

    Args:
        mass: (N,).
        position, velocity: (N, 3).
        law: what moves the bodies.
        light_pairs: whether light pairs get their weights in Omega, as at the start of a run.
    """
    present = np.flatnonzero(np.abs(position[:, 0]) < ABSENT)
    n = present.shape[0]
    system, record = np.zeros(ROWS * n), np.zeros(1, BOOKS)
    books = record[0]
    for i in range(n):
        system[MASS * n + i] = mass[present[i]]
        for k in range(3):
            system[(X + k) * n + i] = position[present[i], k]
            system[(VX + k) * n + i] = velocity[present[i], k]
    books.potential_energy, books.free_fall_rate_squared = forces(system, law)
    motion(system, books)
    if light_pairs:
        weigh(system, law, True)
    return system, record


ABSENT = 1e90
"""Systems of a batch have the same number of bodies: those that are too many are massless, and this far away."""


@compiled
def describe_all(
    out: Floats, mass: Floats, position: Floats, velocity: Floats, law: Law, light_pairs: NDArray[np.bool_]
) -> None:
    """Descriptions (S, TRAITS) of a batch of states (S, N), (S, N, 3).

    Args:
        out: is filled.
        mass: (S, N).
        position, velocity: (S, N, 3).
        law: what moves the bodies.
        light_pairs: (S,), whether a state is that of an integrator whose Omega has the weights of light pairs.
    """
    for s in range(mass.shape[0]):
        system, books = opened(mass[s], position[s], velocity[s], law, light_pairs[s])
        describe(out[s], system, books[0].free_fall_rate_squared, law)


@compiled
def roll_out(
    mass: Floats, position: Floats, velocity: Floats, factor: Floats, tolerance: Floats,
    method: Method, law: Law, window: Window, errors: Floats,
) -> None:  # fmt: skip
    """Windows of a batch, in place.

    Args:
        mass: (S, N).
        position, velocity: (S, N, 3); become those at the end of the windows.
        factor: (S,), of the step that each state sets by itself, for a tolerance of 1.
        tolerance: (S,).
        method: integrator.
        law: what moves the bodies.
        window: how long.
        errors: (S, 2) is filled with the largest energy error and the mean local position error for each dynamical
            time, both over what is allowed; infinite where a state is not finite.
    """
    order = _order_of(method)
    traits = np.empty(TRAITS)
    for s in range(mass.shape[0]):
        system, books = opened(mass[s], position[s], velocity[s], law, _knows_light_pairs(method))
        reference = describe(traits, system, books[0].free_fall_rate_squared, law)
        relative = factor[s] * tolerance[s] ** (1.0 / order)
        step = relative * (reference if method.kind == TTL else 1.0)
        n_steps = int(min(max(window.phase / relative, LEAST_STEPS), window.most_steps))
        energy, rate = _one_window(system, books, step, n_steps, method, law)
        errors[s, 0] = energy / tolerance[s]
        errors[s, 1] = rate * richardson(order) / (POSITION_SHARE * tolerance[s])
        if not errors[s, 0] + errors[s, 1] < math.inf:
            errors[s] = math.inf
            continue
        _close(system, position[s], velocity[s])


@compiled
def _knows_light_pairs(method: Method) -> bool:
    """Whether a run with this integrator gives light pairs their weights."""
    return method.kind == TTL and method.weights == PAIR_NORM


@compiled
def _order_of(method: Method) -> float:
    stages = method.stages.shape[0]
    if stages == 1:
        return 2.0
    return 4.0 if stages == 5 else 6.0 if stages == 9 else 8.0


@compiled
def _close(system: Floats, position: Floats, velocity: Floats) -> None:
    """Positions and velocities of those present back into their rows."""
    n, i = n_bodies(system), 0
    for body in range(position.shape[0]):
        if abs(position[body, 0]) < ABSENT:
            for k in range(3):
                position[body, k] = system[(X + k) * n + i]
                velocity[body, k] = system[(VX + k) * n + i]
            i += 1


@compiled
def _one_window(
    system: Floats, record: NDArray[Any], step: float, n_steps: int, method: Method, law: Law
) -> tuple[float, float]:
    """Largest relative energy error, and mean local position error for each dynamical time."""
    books = record[0]
    start = books.kinetic_energy + books.potential_energy
    scale = energy_scale(books.kinetic_energy, start)
    if method.kind == TTL:
        books.omega = omega_of(system, law, method.weights)
    stride = max(n_steps // _SAMPLES, 1)
    worst = sampled = phases = last = 0.0
    before = np.empty_like(system)
    for number in range(n_steps):
        due = number % stride == stride // 2
        omega = books.omega
        if due:
            before[:] = system
        own = step
        if method.kind == LEAPFROG:
            wanted = math.sqrt(fly_by_rate(system, law)) / step
            last = mirrored(wanted, last) if number > 0 else wanted
            own = 1.0 / last
        elapsed = move(system, books, own, method, law, CALIBRATED)
        error = abs(books.kinetic_energy + books.potential_energy - start) / scale
        if not error < math.inf:
            return math.inf, math.inf
        worst = max(worst, error)
        if due:
            rate, phase = halved(before, omega, system, own, elapsed, method, law)
            sampled += rate * phase
            phases += phase
    return worst, sampled / phases if phases > 0.0 else 0.0
