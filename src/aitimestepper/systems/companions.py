"""Light bodies beside heavy ones, drawn at random: moons, rings and belts, crowded planets. G = 1, star of mass 1."""

from __future__ import annotations

import math

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.orbits import Elements, relative_state

ISOLATED = 0.4
"""Part of the Hill radius of their planet that moons and rings stay within."""

_State = tuple[Floats, Floats]


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))


def hill_radius(mass: float, pericentre: float, others: float) -> float:
    """Hill radius of a mass about `others`, at the pericentre of its orbit (Hamilton & Burns 1992, Icarus 96, 43)."""
    return pericentre * (mass / (3.0 * others)) ** (1.0 / 3.0)


def moons(rng: np.random.Generator) -> InitialConditions:
    """A planet, or a star, that circles a star of mass 1, and one to five moons about it.

    Hosts of 1e-6 to 1e-2, and of 0.1 to 1; moons of none to 1e-2 of their host, e up to 0.95, the apocentres within 0.4
    Hill radii. In a fifth a second star of like mass circles all of them; it comes last.
    """
    host = log_uniform(rng, 1e-6, 1e-2) if rng.uniform() < 0.75 else rng.uniform(0.1, 1.0)
    e = rng.uniform(0.0, 0.5) if rng.uniform() < 0.5 else 0.0
    state = relative_state(_orbit(rng, 1.0, e, tilt=180.0), 1.0 + host)
    reach = ISOLATED * hill_radius(host, 1.0 - e, 1.0)
    mass, states = [host], [state]
    for elements in _moon_orbits(rng, reach):
        own = 0.0 if rng.uniform() < 0.4 else host * log_uniform(rng, 1e-10, 1e-2)
        apart, motion = relative_state(elements, host + own)
        states.append((state[0] + apart, state[1] + motion))
        mass.append(own)
    if rng.uniform() < 0.2:
        mass.append(rng.uniform(0.1, 1.0))
        e = rng.uniform(0.0, 0.6)
        axis = log_uniform(rng, 6.0, 60.0) / (1.0 - e)
        states.append(relative_state(_orbit(rng, axis, e, tilt=60.0), 1.0 + sum(mass)))
    return _with_star(mass, states)


def ring(rng: np.random.Generator) -> InitialConditions:
    """A ring or belt of 4 to 100 bodies about a star, with a planet or without, or about a planet of a star.

    Without mass in most, else with up to 1e-4 of the body in the centre together. A planet comes before them.
    """
    planet, e = log_uniform(rng, 1e-6, 1e-2), rng.uniform(0.0, 0.1)
    state = relative_state(_orbit(rng, 1.0, e, tilt=2.0), 1.0 + planet)
    width, e_max = log_uniform(rng, 1.02, 2.0), float(rng.choice([0.0, 0.01, 0.1]))
    kind = rng.choice(["star", "inner belt", "outer belt", "planet"], p=[0.25, 0.15, 0.2, 0.4])
    if kind == "planet":
        reach = ISOLATED * hill_radius(planet, 1.0 - e, 1.0) * log_uniform(rng, 0.05, 1.0)
        mass, apart, motion = _light_bodies(rng, planet, reach / (width * (1.0 + e_max)), width, e_max)
        return _with_star([planet, *mass], [state, *zip(state[0] + apart, state[1] + motion, strict=True)])
    gap = rng.uniform(1.2, 3.0)
    inner = {"star": 1.0, "inner belt": 1.0 / (gap * width), "outer belt": gap}[str(kind)]
    mass, apart, motion = _light_bodies(rng, 1.0, inner, width, e_max)
    states = list(zip(apart, motion, strict=True))
    return _with_star(mass, states) if kind == "star" else _with_star([planet, *mass], [state, *states])


def _light_bodies(
    rng: np.random.Generator, centre: float, inner: float, width: float, e_max: float
) -> tuple[list[float], Floats, Floats]:
    """Masses, positions and velocities of the bodies of a ring about a mass, axes from `inner` to `width` times it."""
    n = int(log_uniform(rng, 4.0, 101.0))
    share = 0.0 if rng.uniform() < 0.6 else log_uniform(rng, 1e-10, 1e-4)
    parts, tilt = rng.uniform(0.1, 1.0, n), rng.choice([0.0, 0.5, 5.0])
    mass = share * centre * parts / parts.sum()
    states = [
        relative_state(_orbit(rng, inner * rng.uniform(1.0, width), e_max * rng.uniform(), tilt=tilt), centre + own)
        for own in mass
    ]
    apart, motion = (np.array(vectors) for vectors in zip(*states, strict=True))
    return mass.tolist(), apart, motion


def crowded_planets(rng: np.random.Generator) -> InitialConditions:
    """Two to five planets of 1e-6 to 3e-3, 2 to 8 mutual Hill radii apart; in half of them neighbouring orbits cross.

    In half they are in conjunction, so that what a window sees is an encounter.
    """
    n = int(rng.integers(2, 6))
    largest = log_uniform(rng, 1e-6, 3e-3)
    mass = np.maximum(largest * 10.0 ** rng.uniform(-1.0, 0.0, n), 1e-6)
    spacing = rng.uniform(2.0, 8.0)
    crossing, together = rng.uniform(size=2) < 0.5
    axes, gaps = np.ones(n), np.zeros(n)
    for k in range(1, n):
        half = 0.5 * spacing * ((mass[k - 1] + mass[k]) / 3.0) ** (1.0 / 3.0)
        axes[k] = axes[k - 1] * (1.0 + half) / (1.0 - half)
        gaps[k - 1 : k + 1] = np.maximum(gaps[k - 1 : k + 1], half)  # (a' - a) / (a' + a): e of both at which they meet
    tilt = math.degrees(float(gaps.max())) * rng.choice([0.0, 0.1, 0.5])
    longitude = rng.uniform(0.0, 360.0)
    states = []
    for own, axis, gap in zip(mass, axes, gaps, strict=True):
        e = min(gap * (rng.uniform(1.0, 3.0) if crossing else rng.uniform(0.0, 0.5)), 0.9)
        orbit = _orbit(rng, axis, e, tilt=tilt)
        if together:
            there = longitude + math.degrees(rng.uniform(-gap, gap))
            orbit = orbit._replace(mean_anomaly=there - orbit.node - orbit.pericentre)
        states.append(relative_state(orbit, 1.0 + own))
    return _with_star(list(mass), states)


def _orbit(rng: np.random.Generator, axis: float, e: float, *, tilt: float) -> Elements:
    """At any phase, inclined by up to `tilt` degrees."""
    phase, node, pericentre = rng.uniform(0.0, 360.0, 3)
    return Elements(e, axis, phase, tilt * rng.uniform(), node, pericentre)


def _moon_orbits(rng: np.random.Generator, reach: float) -> list[Elements]:
    """One moon, or several whose orbits do not cross, the outermost apocentre within `reach`."""
    several = rng.uniform() < 0.35
    tilt = rng.choice([5.0, 40.0, 180.0])
    e_max = 0.4 if several else 0.95
    apocentre = reach * log_uniform(rng, 0.05, 1.0)
    orbits = []
    for _ in range(int(rng.integers(2, 6)) if several else 1):
        e = e_max * math.sqrt(rng.uniform())
        orbits.append(_orbit(rng, apocentre / (1.0 + e), e, tilt=tilt))
        apocentre *= (1.0 - e) / (1.0 + e) / rng.uniform(1.2, 2.5)
    return orbits


def _with_star(mass: list[float], states: list[_State]) -> InitialConditions:
    """A star of mass 1, and bodies at states relative to it."""
    position, velocity = (np.vstack([np.zeros(3), *vectors]) for vectors in zip(*states, strict=True))
    return InitialConditions(np.array([1.0, *mass]), position, velocity)
