"""What a run really did: energies and orbits from its states alone, and REBOUND's IAS15 as the judge of positions."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.rebound_bodies import add_bodies, set_state, state_of

UNIT_ROUNDING = 2.0**-53
_MOST_PAIRS = 2e7
"""Pairs of bodies, over all states, of which energies are taken: more states are thinned out, but not the last."""


class EnergyErrors(NamedTuple):
    """Relative energy errors over the states of a run; what rounding them to doubles explains is taken off two.

    Attributes:
        largest: over all states.
        last: of the last state.
        raw: the largest with nothing taken off.
    """

    largest: float
    last: float
    raw: float


def energy(mass: Floats, position: Floats, velocity: Floats) -> tuple[np.longdouble, float]:
    """Energy of one state (N, D) in extended precision, G = 1, and how far rounding the state can have moved it.

    A run may know positions better than one double does, and in a deep encounter the last bit of a position is worth
    more energy than the tolerance: to first order sum m_i m_j / r^2 u (|x_i| + |x_j|) + sum m v^2 u.
    """
    heavy = mass > 0
    m, x, v = (array[heavy].astype(np.longdouble) for array in (mass, position, velocity))
    kinetic = 0.5 * np.sum(m * np.sum(v * v, axis=1))
    i, j = np.triu_indices(len(m), 1)
    r = np.sqrt(np.sum((x[i] - x[j]) ** 2, axis=1))
    potential = m[i] * m[j] / r
    size = np.sqrt(np.sum(x * x, axis=1))
    moved = UNIT_ROUNDING * (np.sum(potential / r * (size[i] + size[j])) + 2.0 * kinetic)
    return kinetic - np.sum(potential), float(moved)


def energy_errors(mass: Floats, position: Floats, velocity: Floats, scale: float) -> EnergyErrors:
    """Of states (S, N, D), over a scale."""
    n_pairs = max(int(np.count_nonzero(mass)) ** 2 // 2, 1)
    stride = max(math.ceil(len(position) * n_pairs / _MOST_PAIRS), 1)
    chosen = sorted({*range(0, len(position), stride), len(position) - 1})
    first, moved_first = energy(mass, position[0], velocity[0])
    errors = np.zeros((len(chosen), 2))
    for row, state in enumerate(chosen):
        now, moved = energy(mass, position[state], velocity[state])
        raw = abs(float(now - first))
        errors[row] = max(raw - moved - moved_first, 0.0), raw
    errors /= scale
    return EnergyErrors(float(errors[:, 0].max()), float(errors[-1, 0]), float(errors[:, 1].max()))


def semi_major_axis(mass: float, position: Floats, velocity: Floats) -> float:
    """Of the orbit with this relative state (D,), below 0 if it is not bound (Murray & Dermott 1999, 2.134)."""
    return 1.0 / (2.0 / math.sqrt(position @ position) - float(velocity @ velocity) / mass)


class Judge(NamedTuple):
    """Where IAS15 ends, (N, D) each, and what it cost."""

    position: Floats
    velocity: Floats
    evaluations: int


def ias15(system: InitialConditions, duration: float) -> Judge:
    """A run at its default, full, precision; every force evaluation counted."""
    import rebound

    simulation = rebound.Simulation()
    simulation.integrator = "ias15"
    add_bodies(simulation, system.mass, ())
    set_state(simulation, system.position, system.velocity)
    simulation.dt = 1e-4 * duration
    evaluations = 0

    def count(_: Any) -> None:
        nonlocal evaluations
        evaluations += 1

    simulation.additional_forces = count
    simulation.integrate(duration)
    _, position, velocity = state_of(simulation)
    return Judge(position[:, : system.n_dims], velocity[:, : system.n_dims], evaluations)


def over_nearest(mass: Floats, position: Floats, right: Floats) -> float:
    """Largest distance of a body from where it should be, over that to the body that it would fall to fastest."""
    apart = np.linalg.norm(right[:, None] - right[None], axis=-1)
    np.fill_diagonal(apart, math.inf)
    fastest = ((mass[:, None] + mass[None]) / apart**3).argmax(axis=1)
    off = np.linalg.norm(position - right, axis=1)
    return float((off / apart[np.arange(len(mass)), fastest]).max())


def circle(system: InitialConditions, duration: float) -> Floats:
    """Where massless bodies end that go round a lone star on circles in a plane: (N, 2), exact."""
    start, star = system.position[1:] - system.position[0], float(system.mass[0])
    radius = np.linalg.norm(start, axis=1)
    angle = duration * np.sqrt(star / radius**3)
    cosine, sine = np.cos(angle)[:, None], np.sin(angle)[:, None]
    return np.vstack([0.0 * start[:1], cosine * start + sine * np.stack([-start[:, 1], start[:, 0]], axis=1)])
