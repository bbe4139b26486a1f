"""The systems on which the promise of `tolerance` is tested: kinds that users have, drawn by their number alone.

System k of a class is the same whatever else is measured, so a small count is the beginning of a large one. G = 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.systems.clusters import plummer, random_system
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.orbits import Elements, orbital_period, relative_state, two_body

CROSSING = 2.0 * math.sqrt(2.0)
"""Crossing time in N-body units (Heggie & Mathieu 1986)."""


@dataclass(frozen=True)
class Drawn:
    """One system of a class.

    Attributes:
        kind: its row in the tables.
        system: the bodies.
        duration: of its runs.
        axis: semi-major axis of the orbit in question (of the moon, of the deep orbit); 0 where there is none.
        n_light: massless bodies of a ring or belt.
    """

    kind: str
    system: InitialConditions
    duration: float
    axis: float = 0.0
    n_light: int = 0


MOON_ECCENTRICITIES = (0.3, 0.5, 0.6, 0.7, 0.8, 0.9)


def moon(rng: np.random.Generator, number: int) -> Drawn:
    """A massless moon of a planet of a star, ten of its orbits; it need not be stable.

    Star 1, planet 1e-6 to 3e-3 at 1 with e = 0.05; the moon at 0.15 to 0.45 of the Hill radius, 0.6 of that from
    e = 0.6 on, inclined by up to 0.5 rad, at any phase.
    """
    e = MOON_ECCENTRICITIES[number % len(MOON_ECCENTRICITIES)]
    planet = 10.0 ** rng.uniform(-6.0, math.log10(3e-3))
    axis = (planet / 3.0) ** (1.0 / 3.0) * rng.uniform(0.15, 0.45) * (0.6 if e >= 0.6 else 1.0)
    phase, node, pericentre, phase_of_planet = rng.uniform(0.0, 360.0, 4)
    orbit = Elements(e, axis, phase, math.degrees(rng.uniform(0.0, 0.5)), node, pericentre)
    x, v = relative_state(Elements(0.05, 1.0, phase_of_planet), 1.0 + planet)
    apart, motion = relative_state(orbit, planet)
    system = InitialConditions(
        np.array([1.0, planet, 0.0]), np.array([0.0 * x, x, x + apart]), np.array([0.0 * v, v, v + motion])
    )
    return Drawn(f"e = {e:g}", system, 10.0 * orbital_period(axis, planet), axis)


_FORTY = ("from rest",) * 10 + ("warm",) * 8 + ("binary-single",) * 12 + ("binary-binary",) * 5 + ("group of 5-8",) * 5
_STRIDE = 13
"""Prime to 40: any few systems in a row are of several kinds."""


def scattering(rng: np.random.Generator, number: int) -> Drawn:
    """Of every 40 systems, 10 triples from rest, 8 with virial ratio 0.1, 17 binaries that meet something, 5 groups."""
    kind = _FORTY[number * _STRIDE % len(_FORTY)]
    dim = int(rng.integers(2, 4))
    if kind in ("from rest", "warm"):
        virial = 0.0 if kind == "from rest" else 0.1
        return Drawn(kind, random_system(rng, n_bodies=3, dim=dim, virial_ratio=virial), 20.0 * CROSSING)
    if kind == "group of 5-8":
        n = int(rng.integers(5, 9))
        return Drawn(kind, random_system(rng, n_bodies=n, dim=dim, virial_ratio=0.0), 8.0 * CROSSING)
    binary = _binary(rng, 1.0)
    other = _binary(rng, rng.uniform(0.3, 1.0)) if kind == "binary-binary" else _single(rng)
    return Drawn(kind, _meeting(rng, binary, other), 100.0)


def _binary(rng: np.random.Generator, axis: float) -> InitialConditions:
    """Any orientation and phase, thermal eccentricity."""
    phase, node, pericentre = rng.uniform(0.0, 360.0, 3)
    inclination = math.degrees(math.acos(rng.uniform(-1.0, 1.0)))
    e = min(math.sqrt(rng.uniform()), 0.99)
    masses = (1.0, rng.uniform(0.3, 1.0))
    return two_body(masses, Elements(e, axis, phase, inclination, node, pericentre), dim=3)


def _single(rng: np.random.Generator) -> InitialConditions:
    return InitialConditions(np.array([rng.uniform(0.3, 1.5)]), np.zeros((1, 3)), np.zeros((1, 3)))


def _meeting(rng: np.random.Generator, first: InitialConditions, second: InitialConditions) -> InitialConditions:
    """From a distance of 10, unbound, on a conic with its pericentre below 2."""
    distance, pericentre, at_infinity = 10.0, rng.uniform(0.0, 2.0), rng.uniform(0.0, 0.5)
    mass = float(first.mass.sum() + second.mass.sum())
    speed, fastest = (math.sqrt(2.0 * mass / r + at_infinity**2) for r in (distance, max(pericentre, 1e-3)))
    across = fastest * pericentre / distance
    apart, motion = np.array([distance, 0.0, 0.0]), np.array([-math.sqrt(speed**2 - across**2), across, 0.0])
    return InitialConditions(
        np.concatenate([first.mass, second.mass]),
        np.concatenate([first.position, second.position + apart]),
        np.concatenate([first.velocity, second.velocity + motion]),
    )


def planets(rng: np.random.Generator, number: int) -> Drawn:
    """Three planets of 3e-4 to 2e-3 that meet, for 100 orbits of the innermost."""
    mass = np.exp(rng.uniform(math.log(3e-4), math.log(2e-3), 3))
    states = [
        relative_state(
            Elements(rng.uniform(0.0, 0.05), axis, rng.uniform(0.0, 360.0), rng.uniform(0.0, 1.0), *_angles(rng)), 1 + m
        )
        for axis, m in zip((1.0, 1.25, 1.55), mass, strict=True)
    ]
    return Drawn("three planets", _about_a_star(mass, states), 100.0 * math.tau)


def _angles(rng: np.random.Generator) -> tuple[float, float]:
    node, pericentre = rng.uniform(0.0, 360.0, 2)
    return float(node), float(pericentre)


def _about_a_star(mass: Floats, states: list[tuple[Floats, Floats]]) -> InitialConditions:
    """Bodies at states relative to a star of mass 1."""
    positions, motions = (np.vstack([np.zeros(3), *vectors]) for vectors in zip(*states, strict=True))
    return InitialConditions(np.append(1.0, mass), positions, motions)


RING_SIZES = ((50, 100.0), (80, 100.0), (200, 100.0), (50, 20.0), (1000, 20.0))
"""Massless bodies and duration; those with more are compared to those with 50 of the same duration."""


def ring(rng: np.random.Generator, number: int) -> Drawn:
    """Massless bodies on circles about a star alone, then drawn ones outside the orbit of a planet."""
    n, duration = RING_SIZES[number % len(RING_SIZES)]
    kind = ("ring", "belt and planet")[number // len(RING_SIZES) % 2]
    if kind == "ring":
        k = np.arange(n)
        radius, angle = 2.0 + k / n, 2.399963 * k
        along = np.stack([np.cos(angle), np.sin(angle)], axis=1)
        ahead = np.stack([-along[:, 1], along[:, 0]], axis=1)
        position = np.vstack([np.zeros(2), radius[:, None] * along])
        velocity = np.vstack([np.zeros(2), radius[:, None] ** -0.5 * ahead])
        return Drawn(kind, InitialConditions(np.append(1.0, np.zeros(n)), position, velocity), duration, n_light=n)
    states = [relative_state(Elements(0.05, 1.0, rng.uniform(0.0, 360.0)), 1.001)]
    for _ in range(n):
        e, axis = rng.uniform(0.0, 0.1), rng.uniform(2.0, 3.0)
        orbit = Elements(e, axis, rng.uniform(0.0, 360.0), rng.uniform(0.0, 5.0), *_angles(rng))
        states.append(relative_state(orbit, 1.0))
    return Drawn(kind, _about_a_star(np.append(1e-3, np.zeros(n)), states), duration, n_light=n)


CLUSTER_SIZES = ((128, 1.0), (256, 1.0), (512, 0.25), (1024, 0.0625))
"""Bodies and duration: a run at 1e-6 should take seconds."""


def cluster(rng: np.random.Generator, number: int, sizes: int = 3) -> Drawn:
    """Plummer spheres in equilibrium, of the first `sizes` of the sizes in turn."""
    n, duration = CLUSTER_SIZES[number % sizes]
    return Drawn(f"N = {n}", plummer(rng, n_bodies=n), duration)


def large_cluster(rng: np.random.Generator, number: int) -> Drawn:
    """As `cluster`, up to the largest size."""
    return cluster(rng, number, len(CLUSTER_SIZES))


def deep_orbit(rng: np.random.Generator, number: int) -> Drawn:
    """Two bodies with e = 0.9999 from apocentre to apocentre, 100 periods."""
    mass = float(np.exp(rng.uniform(math.log(1e-3), 0.0)))
    orbit = Elements(0.9999, 1.0, 180.0, pericentre=rng.uniform(0.0, 360.0))
    system = two_body((1.0, mass), orbit, dim=3)
    return Drawn("e = 0.9999", system, 100.0 * system.period, axis=1.0)


def regular(rng: np.random.Generator, number: int) -> Drawn:
    """Orbits that do not diverge fast: pairs, spaced planets, hierarchical triples and moons, in turn."""
    builder = (_lone_pair, _spaced_planets, _wide_triple, moon)[number % 4]
    found = builder(rng, number // 4)
    return found if builder is not moon else Drawn("moon", found.system, found.duration, found.axis)


def _lone_pair(rng: np.random.Generator, number: int) -> Drawn:
    """Mass ratio 1e-3 to 1, 5 to 300 periods."""
    orbit = Elements((0.0, 0.3, 0.6, 0.9, 0.99)[number % 5], 1.0, rng.uniform(0.0, 360.0))
    system = two_body((1.0, 10.0 ** rng.uniform(-3.0, 0.0)), orbit, dim=3)
    return Drawn("pair", system, system.period * rng.uniform(5.0, 300.0))


def _spaced_planets(rng: np.random.Generator, number: int) -> Drawn:
    """Two to five of 1e-6 to 5e-4, axes in ratios of 1.5 to 2.2, e below 0.15, 20 to 200 periods of the first."""
    mass, x, v, axis = [1.0], [np.zeros(3)], [np.zeros(3)], 1.0
    for _ in range(2 + number % 4):
        mass.append(10.0 ** rng.uniform(-6.0, -3.3))
        angles = rng.uniform(0.0, 360.0, 3)
        orbit = Elements(rng.uniform(0.0, 0.15), axis, angles[0], rng.uniform(0.0, 5.0), angles[1], angles[2])
        there, motion = relative_state(orbit, 1.0 + mass[-1])
        x.append(there)
        v.append(motion)
        axis *= rng.uniform(1.5, 2.2)
    system = InitialConditions(np.array(mass), np.array(x), np.array(v))
    return Drawn("planets", system, 2.0 * math.pi * rng.uniform(20.0, 200.0))


def _wide_triple(rng: np.random.Generator, number: int) -> Drawn:
    """A binary of e = 0 to 0.8 and a third body at 8 to 30 times its size, one to five of its periods."""
    angles = rng.uniform(0.0, 360.0, 4)
    inner = Elements(0.2 * (number % 5), 1.0, angles[0], rng.uniform(0.0, 60.0), angles[1], angles[2])
    binary = two_body((1.0, 10.0 ** rng.uniform(-1.0, 0.0)), inner, dim=3)
    total, third = float(binary.mass.sum()), 10.0 ** rng.uniform(-1.0, 0.3)
    axis = rng.uniform(8.0, 30.0)
    outer = two_body((total, third), Elements(rng.uniform(0.0, 0.4), axis, angles[3]), dim=3)
    system = InitialConditions(
        np.append(binary.mass, third),
        np.vstack([binary.position + outer.position[0], outer.position[1:]]),
        np.vstack([binary.velocity + outer.velocity[0], outer.velocity[1:]]),
    )
    return Drawn("triple", system, orbital_period(axis, total + third) * rng.uniform(1.0, 5.0))


BUILDERS: dict[str, Callable[[np.random.Generator, int], Drawn]] = {
    "moons": moon,
    "scattering": scattering,
    "planets": planets,
    "rings": ring,
    "clusters": cluster,
    "deep": deep_orbit,
    "regular": regular,
}


def draw(name: str, seed: int, number: int, attempt: int = 0, *, large: bool = False) -> Drawn:
    """System `number` of a class; another `attempt` is another system of the same kind."""
    rng = np.random.default_rng([seed, list(BUILDERS).index(name), number, attempt])
    builder = large_cluster if large and name == "clusters" else BUILDERS[name]
    return builder(rng, number)
