"""Two-body orbits from Kepler elements, and the systems that are made of them. G = 1 unless said."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.errors import InitialConditionsError
from aitimestepper.systems.initial import InitialConditions

APOCENTRE = 180.0
"""Mean anomaly in degrees. Orbits start there unless told: no step criterion meets its hardest moment first."""


class Elements(NamedTuple):
    """A bound Kepler orbit of a second body about a first; angles in degrees, as elements are published.

    With all angles zero the second body stands at its pericentre, on the positive x axis, and moves towards positive y.
    """

    eccentricity: float
    """0 <= e < 1"""
    semi_major_axis: float
    """> 0"""
    mean_anomaly: float = APOCENTRE
    inclination: float = 0.0
    node: float = 0.0
    pericentre: float = 0.0
    """argument of the pericentre, from the node"""


def eccentric_anomaly(mean_anomaly: float, eccentricity: float) -> float:
    """Solve Kepler's equation M = E - e sin E for E; radians, 0 <= e < 1, E in [-pi, pi].

    Newton's method from the right. On [0, pi] the function E - e sin E - M is convex and rises, and min(M + e, pi) is
    not left of its root; from there every step falls towards the root and none crosses it, for any e < 1.
    """
    reduced = math.remainder(mean_anomaly, math.tau)
    target = abs(reduced)
    anomaly = min(target + eccentricity, math.pi)
    # About 20 steps for e = 0.9999 next to the pericentre, 5 elsewhere; the bound only guards against rounding.
    for _ in range(100):
        slope = 1.0 - eccentricity * math.cos(anomaly)
        lower = anomaly - (anomaly - eccentricity * math.sin(anomaly) - target) / slope
        if lower >= anomaly:
            break
        anomaly = lower
    return math.copysign(anomaly, reduced)


def orbital_period(semi_major_axis: float, mass: float) -> float:
    """Period of a Kepler orbit with total `mass`, G = 1: Kepler's third law."""
    return math.tau * math.sqrt(semi_major_axis**3 / mass)


def relative_state(elements: Elements, mass: float) -> tuple[Floats, Floats]:
    """Position and velocity, each (3,), of the second body relative to the first; `mass` is that of both.

    Source: Murray & Dermott 1999, Solar System Dynamics, sections 2.4 and 2.8.
    """
    e, a = elements.eccentricity, elements.semi_major_axis
    anomaly = eccentric_anomaly(math.radians(math.remainder(elements.mean_anomaly, 360.0)), e)
    cosine, sine = math.cos(anomaly), math.sin(anomaly)
    # 2 sin^2(E/2) = 1 - cos E without its cancellation: next to the pericentre of e = 0.9999 that costs four digits.
    versine = 2.0 * math.sin(0.5 * anomaly) ** 2
    minor = math.sqrt((1.0 - e) * (1.0 + e))
    speed = math.sqrt(mass / a) / ((1.0 - e) + e * versine)
    axis_p, axis_q = _orbital_axes(elements)
    position = a * ((1.0 - e) - versine) * axis_p + a * minor * sine * axis_q
    velocity = -speed * sine * axis_p + speed * minor * cosine * axis_q
    return position, velocity


def _orbital_axes(elements: Elements) -> tuple[Floats, Floats]:
    """Unit vectors to the pericentre and, in the orbit, 90 degrees ahead of it (Murray & Dermott 1999, section 2.8)."""
    angles = np.radians([elements.node, elements.pericentre, elements.inclination])
    (node_c, peri_c, incl_c), (node_s, peri_s, incl_s) = np.cos(angles), np.sin(angles)
    to_pericentre = [
        node_c * peri_c - node_s * peri_s * incl_c,
        node_s * peri_c + node_c * peri_s * incl_c,
        peri_s * incl_s,
    ]
    ahead = [
        -node_c * peri_s - node_s * peri_c * incl_c,
        -node_s * peri_s + node_c * peri_c * incl_c,
        peri_c * incl_s,
    ]
    return np.array(to_pericentre), np.array(ahead)


def two_body(
    masses: tuple[float, float], elements: Elements, *, dim: int = 2, names: tuple[str, ...] = (), note: str = ""
) -> InitialConditions:
    """Two bodies on a Kepler orbit about their centre of mass; `dim` = 2 needs an orbit in the x-y plane."""
    total = sum(masses)
    position, velocity = relative_state(elements, total)
    shares = np.array([[-masses[1] / total], [masses[0] / total]])
    return InitialConditions(
        mass=np.array(masses),
        position=shares * position[:dim],
        velocity=shares * velocity[:dim],
        period=orbital_period(elements.semi_major_axis, total),
        names=names,
        note=note,
    )


def sample_orbits(
    rng: np.random.Generator,
    *,
    count: int,
    e_range: tuple[float, float],
    a_range: tuple[float, float],
    dim: int = 2,
    G: float = 1.0,
    mass_ratio_range: tuple[float, float] = (1.0, 1.0),
) -> list[InitialConditions]:
    """Training orbits: e uniform, a and m2 / m1 uniform in their logarithms, any phase in time, any orientation.

    The first mass is 1. Orientations are isotropic for `dim` = 3, and turn in the plane for 2.
    """
    orbits = []
    for _ in range(count):
        eccentricity = rng.uniform(*e_range)
        semi_major_axis, ratio = (math.exp(rng.uniform(*np.log(limits))) for limits in (a_range, mass_ratio_range))
        phase, node, pericentre = rng.uniform(0.0, 360.0, 3)
        inclination = math.degrees(math.acos(rng.uniform(-1.0, 1.0)))
        if dim == 2:
            inclination = node = 0.0
        elements = Elements(eccentricity, semi_major_axis, phase, inclination, node, pericentre)
        orbits.append(two_body((1.0, ratio), elements, dim=dim).with_gravity(G))
    return orbits


def eccentricity(system: InitialConditions, G: float) -> float:
    """Of the orbit of two bodies, from their energy and angular momentum about each other."""
    separation, speed = (vectors[1] - vectors[0] for vectors in (system.position, system.velocity))
    gravity = G * float(system.mass.sum())
    distance, squared, along = (float(np.dot(*pair)) for pair in ((separation,) * 2, (speed,) * 2, (separation, speed)))
    distance = math.sqrt(distance)
    vector = ((squared - gravity / distance) * separation - along * speed) / gravity
    return float(np.linalg.norm(vector))


COMET_MASS = 2.2e14 / 1.98841e30
"""Comet 1P/Halley in solar masses (2.2e14 kg: Cevolani, Bortolotti & Hajduk 1987)."""


def halley(mean_anomaly: float = APOCENTRE) -> InitialConditions:
    """The Sun and Comet 1P/Halley on its orbit of 1986, from its published elements; the other bodies left out.

    Lengths in au, masses in solar masses, times in yr/2pi; axes of the ecliptic of J2000.
    """
    elements = Elements(0.96714, 17.834, mean_anomaly, inclination=162.26, node=58.42, pericentre=111.33)
    system = two_body(
        (1.0, COMET_MASS),
        elements,
        dim=3,
        names=("Sun", "1P/Halley"),
        note="au, solar masses, yr/2pi; elements of the 1986 return, ecliptic J2000, no planets",
    )
    return replace(system, units=("au", "yr/2pi", "Msun"))


def hierarchical_triple(masses: tuple[float, float, float], inner: Elements, outer: Elements) -> InitialConditions:
    """A third body on a Kepler orbit about the centre of mass of two others; 3-D, the period is the inner one.

    Raises:
        InitialConditionsError: the two orbits cross.
    """
    reach = inner.semi_major_axis * (1.0 + inner.eccentricity)
    approach = outer.semi_major_axis * (1.0 - outer.eccentricity)
    if approach <= reach:
        raise InitialConditionsError(
            f"the outer orbit must stay outside the inner one: its pericentre a_out (1 - e_out) = {approach:g} must "
            f"be > a_in (1 + e_in) = {reach:g}"
        )
    binary = two_body(masses[:2], inner, dim=3)
    position, velocity = relative_state(outer, sum(masses))
    return InitialConditions(
        mass=np.array(masses),
        position=np.vstack([binary.position, position]),
        velocity=np.vstack([binary.velocity, velocity]),
        period=binary.period,
    )


def osculating_period(mass: Floats, position: Floats, velocity: Floats, G: float) -> float:
    """Period of the Kepler orbit that two bodies, (2,) and (2, D), are on at this moment; 0 if they are not bound."""
    r = float(np.linalg.norm(position[1] - position[0]))
    v = velocity[1] - velocity[0]
    gm = G * float(mass.sum())
    binding = 2.0 * gm - r * float(v @ v) if r > 0 else 0.0  # r GM / a, from the vis-viva equation
    if not binding > 0:
        return 0.0
    a = r * (gm / binding)
    return math.tau * a * math.sqrt(a / gm)  # a^3 alone may overflow
