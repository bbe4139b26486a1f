"""The systems of the held-out suite: none of them, and no seed of them, is met in any training."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aitimestepper.systems.catalogue import initial_conditions
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.orbits import Elements, relative_state, two_body
from aitimestepper.systems.solar_system import GAUSS
from aitimestepper.systems.three_body import PERIODIC_ORBITS

GROUPS = {"two": "two bodies", "three": "three", "many": "5 to 128", "planets": "planets", "units": "other units"}
"""Groups of systems, and what tables call them."""

SEED = 9001
"""Of the first drawn system; the others follow. Training draws from far below."""

OUTER_PLANETS = str(Path(__file__).parents[1] / "outer-planets.csv")


@dataclass(frozen=True)
class Case:
    """One system and the length of its runs.

    Attributes:
        name: for people and `--only`.
        group: one of `GROUPS`.
        build: makes the bodies.
        periods: length in periods of the system (the innermost one of a hierarchy); 0 if `duration` gives it.
        duration: length in time units; 0 if `periods` gives it.
        chaotic: whether neighbouring orbits part so fast that positions at the end are not compared.
        G: gravitational constant.
        quick: whether it is in the small selection.
        drift: whether a run of 10,000 periods is made of it.
    """

    name: str
    group: str
    build: Callable[[], InitialConditions]
    periods: float = 0.0
    duration: float = 0.0
    chaotic: bool = False
    G: float = 1.0
    quick: bool = False
    drift: bool = False

    def length(self, system: InitialConditions) -> float:
        """Duration of a run."""
        return self.periods * system.period if self.periods else self.duration


def cases() -> list[Case]:
    """All systems."""
    found = [case for group in (_pairs, _triples, _many, _planets, _other_units) for case in group()]
    assert len({case.name for case in found}) == len(found)
    assert {case.group for case in found} == set(GROUPS)
    return found


def named(spec: str) -> Callable[[], InitialConditions]:
    """A builder of what `--ic` names."""
    return lambda: initial_conditions(spec)


def _pairs() -> Iterator[Case]:
    orbits = (
        *((0.0, 1.0, 30), (0.0, 1e-3, 30), (0.3, 0.3, 100), (0.3, 1e-6, 30), (0.6, 1.0, 100), (0.6, 1e-3, 30)),
        *((0.9, 1.0, 100), (0.9, 0.3, 30), (0.99, 1.0, 10), (0.99, 1e-6, 10)),
    )
    for e, ratio, periods in orbits:
        equal_06 = (e, ratio) == (0.6, 1.0)
        spec = f"kepler:e={e:g},m2={ratio:g}"
        yield Case(spec, "two", named(spec), periods, quick=equal_06, drift=equal_06)
    for name, e in (("parabolic fly-by", 1.0), ("near-parabolic fly-by", 1.01), ("hyperbolic fly-by", 2.0)):
        yield Case(name, "two", _flyby(e), duration=2.0 * _time_of_flight(e), quick=e == 1.0)


_FAR = 30.0
"""Where a fly-by begins and about where it ends, in pericentre distances."""


def _flyby(e: float, masses: tuple[float, float] = (1.0, 0.5)) -> Callable[[], InitialConditions]:
    """Two bodies that come in on a conic of e >= 1 with pericentre distance 1."""

    def build() -> InitialConditions:
        total = sum(masses)
        position, velocity = conic_state(e, 1.0, _FAR, total)
        shares = np.array([[-masses[1] / total], [masses[0] / total]])
        return InitialConditions(np.array(masses), shares * position, shares * velocity)

    return build


def conic_state(e: float, pericentre: float, distance: float, mass: float) -> tuple[np.ndarray, np.ndarray]:
    """Relative position and velocity, each (2,), at a distance before the pericentre of a conic, e > 0.

    Source: Murray & Dermott 1999, Solar System Dynamics, equations 2.20 and 2.36.
    """
    parameter = pericentre * (1.0 + e)
    cosine = (parameter / distance - 1.0) / e
    sine = -math.sqrt(1.0 - cosine**2)
    speed = math.sqrt(mass / parameter)
    return distance * np.array([cosine, sine]), speed * np.array([-sine, e + cosine])


def _time_of_flight(e: float, mass: float = 1.5) -> float:
    """Time from `_FAR` to the pericentre: integral of dr / r', by the midpoint rule in sqrt(r - 1)."""
    root = np.linspace(0.0, math.sqrt(_FAR - 1.0), 4001)
    root = 0.5 * (root[1:] + root[:-1])
    r = 1.0 + root**2
    squared = 2.0 * mass / r + mass * (e - 1.0) - mass * (1.0 + e) / r**2
    return float(np.mean(2.0 * root / np.sqrt(squared)) * math.sqrt(_FAR - 1.0))


def _triples() -> Iterator[Case]:
    left_out = "yin-yang-IIb"  # next to its sister IIa in all numbers
    lengths = {"figure-eight": 100.0, "moth-I": 3.0, "figure-eight-light": 10.0}
    for name in PERIODIC_ORBITS:
        if name != left_out:
            eight = name == "figure-eight"
            spec = f"three-body:name={name}"
            yield Case(name, "three", named(spec), lengths.get(name, 1.0), quick=eight, drift=eight)
    yield Case("pythagorean to 10", "three", named("pythagorean"), duration=10.0)
    yield Case("pythagorean to 60", "three", named("pythagorean"), duration=60.0, chaotic=True, quick=True)
    for seed, options, duration in ((SEED, "virial=0", 5), (SEED + 1, "dim=3", 20), (SEED + 2, "virial=1.5", 20)):
        spec = f"random:n=3,{options},seed={seed}"
        yield Case(spec, "three", named(spec), duration=duration, chaotic="virial=0" in spec)
    triples = (
        *(("e_in=0,a_out=5,e_out=0", 30), ("e_in=0.3,a_out=10", 100), ("e_in=0.8,a_out=30,m3=0.3", 100)),
        *(("e_in=0.8,a_out=100", 100), ("e_in=0.6,a_out=20,inc=80,m2=0.1", 300)),
    )
    for options, periods in triples:
        spec = f"hierarchical-triple:{options}"
        usual = options == "e_in=0.3,a_out=10"
        yield Case(spec, "three", named(spec), periods, quick=usual, drift=usual)
    yield Case("binary meets single", "three", _scattering, duration=120.0, chaotic=True)


def _scattering() -> InitialConditions:
    """A third body that falls, parabolic, on a binary of semi-major axis 1; they meet half-way through."""
    binary = two_body((1.0, 0.6), Elements(0.2, 1.0, 40.0))
    apart, motion = conic_state(1.0, 1.0, _FAR, 2.1)
    return InitialConditions(
        np.append(binary.mass, 0.5), np.vstack([binary.position, apart]), np.vstack([binary.velocity, motion])
    )


def _many() -> Iterator[Case]:
    drawn = (
        *(("random:n=5,virial=0", 3, True), ("random:n=5,dim=3", 10, True), ("random:n=8", 2, True)),
        *(("random:n=8,dim=3,virial=1.5", 5, False), ("random:n=16,dim=3,virial=0", 2, True)),
        *(("plummer:n=16", 3, False), ("random:n=32,dim=3,virial=1", 2, False), ("plummer:n=32,virial=0.1", 2, True)),
        *(("plummer:n=64,virial=0.1", 1, False), ("plummer:n=128", 1, False)),
    )
    for number, (start, duration, chaotic) in enumerate(drawn):
        spec = f"{start},seed={SEED + 10 + number}"
        yield Case(spec, "many", named(spec), duration=duration, chaotic=chaotic, quick=start == "plummer:n=16")


def _planets() -> Iterator[Case]:
    yield Case("four planets of 1e-3", "planets", _four(1e-3, 1.8), 100, quick=True)
    yield Case("four planets of 1e-6", "planets", _four(1e-6, 1.3), 100)
    yield Case("solar-system", "planets", named("solar-system:date=2026-01-01"), 100)
    yield Case("outer planets", "planets", named(OUTER_PLANETS), duration=3726.0)
    yield Case("Halley with the planets", "planets", _halley_with_planets, duration=25.0)
    yield Case("massless Halley with the giants", "planets", _halley_with_giants, duration=475.0)


def _four(mass: float, spacing: float) -> Callable[[], InitialConditions]:
    """Four planets of one mass about a star of mass 1, each `spacing` times as far as the one before."""

    def build() -> InitialConditions:
        states = [
            relative_state(
                Elements(0.01 * (k + 1), spacing**k, 100.0 * k, inclination=float(k), pericentre=70.0 * k), 1.0 + mass
            )
            for k in range(4)
        ]
        positions, motions = (np.vstack([np.zeros(3), *vectors]) for vectors in zip(*states, strict=True))
        return InitialConditions(np.array([1.0, *[mass] * 4]), positions, motions, period=math.tau)

    return build


def _halley_with_planets() -> InitialConditions:
    """Two years before the perihelion of 1986-02-09, the comet with its mass; periods of 75.3 years."""
    return _with_comet(initial_conditions("solar-system:date=1984-02-09"), -2.0 * 360.0 / 75.3)


def _halley_with_giants() -> InitialConditions:
    """A whole orbit from aphelion, the comet without mass; the giants stand where they do on 2023-12-09."""
    system = initial_conditions("solar-system:date=2023-12-09")
    giants = [0, 5, 6, 7, 8]
    rest = InitialConditions(system.mass[giants], system.position[giants], system.velocity[giants])
    comet = _with_comet(rest, 180.0)
    return replace(comet, mass=comet.mass * (np.arange(6) < 5))


def _with_comet(system: InitialConditions, mean_anomaly: float) -> InitialConditions:
    """Halley's Comet beside bodies of which the first is the Sun; both catalogues use the ecliptic of J2000."""
    comet = initial_conditions(f"halley:M={mean_anomaly!r}")
    positions, motions = (
        np.vstack([of_system, of_system[0] + of_comet[1] - of_comet[0]])
        for of_system, of_comet in ((system.position, comet.position), (system.velocity, comet.velocity))
    )
    return InitialConditions(np.append(system.mass, comet.mass[1]), positions, motions)


def _other_units() -> Iterator[Case]:
    scaled = (
        *(("figure-eight", 1e3, 1e-3, 10), ("kepler:e=0.9", 1e-3, 1e3, 30), ("hierarchical-triple", 1e3, 1e3, 30)),
        ("kepler:e=0.3,m2=0.1", 1e-3, 1e-3, 30),
    )
    for spec, length, mass, periods in scaled:
        name = f"{spec}, lengths x {length:g}, masses x {mass:g}"
        yield Case(name, "units", _scaled(spec, length, mass), periods, quick=spec == "figure-eight")
    spec = f"random:n=5,dim=3,seed={SEED + 30}"
    duration = 3.0 * math.sqrt(1e-3**3 / 1e3)
    yield Case(f"{spec}, lengths x 0.001, masses x 1000", "units", _scaled(spec, 1e-3, 1e3), duration=duration)
    days = "outer planets in days, G = k^2"
    yield Case(days, "units", lambda: initial_conditions(OUTER_PLANETS).with_gravity(GAUSS**2), 0, 60_000.0, G=GAUSS**2)


def _scaled(spec: str, length: float, mass: float) -> Callable[[], InitialConditions]:
    """The same orbits with other units of length and mass, G = 1: times grow by sqrt(length^3 / mass)."""

    def build() -> InitialConditions:
        system = initial_conditions(spec)
        return replace(
            system,
            mass=system.mass * mass,
            position=system.position * length,
            velocity=system.velocity * math.sqrt(mass / length),
            period=system.period * math.sqrt(length**3 / mass),
        )

    return build
