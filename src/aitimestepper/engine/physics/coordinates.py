"""Coordinates in which planets move along Kepler orbits but for small pulls: Jacobi's and democratic heliocentric ones.

The heaviest body is the centre. The others follow by the size of their orbits, massless ones behind all that have mass,
so that users may list them as they like. What a split run is stands in rows of its system that other integrators use as
scratch; the rows of positions and velocities hold its last synchronised state.

Source: Jacobi coordinates Wisdom & Holman 1991, AJ 102, 1528; Rein & Tamayo 2015, MNRAS 452, 376; democratic
heliocentric ones Duncan, Levison & Lee 1998, AJ 116, 2067.
"""

from __future__ import annotations

import math

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled, inlined
from aitimestepper.engine.layout import EARLIER, GX, HOST, LIGHT, LOW, SAVED, VX, X, n_bodies, row_of
from aitimestepper.engine.physics.central_forces import heaviest

JACOBI, HELIOCENTRIC = 0, 1
COORDINATES = {"jacobi": JACOBI, "heliocentric": HELIOCENTRIC}
"""By the name that a user types."""

Q, V = SAVED, SAVED + 3
"""Positions and velocities in these coordinates, three rows each, bodies in the order of `ORDER`; the first of them is
the centre of mass. Heliocentric velocities are from the centre of mass. Low parts are LOW rows behind, as usual."""
HELD, INNER, SHARE = SAVED + 6, SAVED + 7, SAVED + 8
"""G times the mass that a body orbits; number of bodies with mass inside its orbit; its part of the mass of those and
itself (heliocentric: its mass over that of the centre)."""
ORDER, WEIGHT = HOST, LIGHT
"""Which body stands at a place, and its mass."""
AT, PULL, MIDDLE = EARLIER, EARLIER + 3, EARLIER + 6
"""Scratch: positions of the bodies in their order, accelerations, and the centres of mass of the first c bodies, or
their accelerations, at place c - 1."""


@compiled
def n_massive(system: Floats) -> int:
    """Number of places whose bodies have mass."""
    n, count = n_bodies(system), 0
    while count < n and system[WEIGHT * n + count] > 0.0:
        count += 1
    return count


@compiled
def is_ordered(system: Floats) -> bool:
    """Whether these coordinates have been made: before, all places are of the first body."""
    n = n_bodies(system)
    return n > 1 and system[ORDER * n] != system[ORDER * n + 1]


@compiled
def put_in_order(system: Floats, G: float, kind: int) -> None:
    """Find the order of the bodies, and what each of them orbits; the rows of both are filled."""
    n = n_bodies(system)
    sizes = _sizes(system, G)
    place = 0
    for light in range(2):
        for i in np.argsort(sizes, kind="mergesort"):
            if (system[i] > 0.0) != (light == 1):
                system[ORDER * n + place], system[WEIGHT * n + place] = i, system[i]
                place += 1
    massive = n_massive(system)
    mass, share = row_of(system, WEIGHT), row_of(system, SHARE)
    held, inner = row_of(system, HELD), row_of(system, INNER)
    inside = np.zeros(n + 1)
    for i in range(massive):
        inside[i + 1] = inside[i] + mass[i]
    held[0] = inner[0] = share[0] = 0.0
    for i in range(1, n):
        count = i
        if i >= massive:
            count = 1
            own = sizes[int(system[ORDER * n + i])]
            while count < massive and sizes[int(system[ORDER * n + count])] < own:
                count += 1
        inner[i] = count
        if kind == JACOBI:
            share[i] = mass[i] / (inside[count] + mass[i])
            held[i] = G * (inside[count] + mass[i])
        else:
            share[i] = mass[i] / mass[0]
            held[i] = G * mass[0]


@compiled
def _sizes(system: Floats, G: float) -> Floats:
    """Semi-major axis of each body about the heaviest, which has -1; the distance of those that are not bound."""
    n, centre = n_bodies(system), heaviest(system)
    sizes = np.empty(n)
    for i in range(n):
        r = v = 0.0
        for axis in range(3):
            x, u = (X + axis) * n, (VX + axis) * n
            r += (system[x + i] - system[x + centre]) ** 2
            v += (system[u + i] - system[u + centre]) ** 2
        r = math.sqrt(r)
        inverse = 2.0 / r - v / (G * (system[centre] + system[i])) if i != centre else 0.0
        sizes[i] = 1.0 / inverse if inverse > 0.0 else r
    sizes[centre] = -1.0
    return sizes


@compiled
def from_inertial(system: Floats, kind: int) -> None:
    """Positions and velocities in these coordinates from the synchronised state."""
    n, massive = n_bodies(system), n_massive(system)
    order, mass = row_of(system, ORDER), row_of(system, WEIGHT)
    share, inner = row_of(system, SHARE), row_of(system, INNER)
    total = mass[:massive].sum()
    middle = np.empty(massive + 1)
    for axis in range(6):
        plain, split = row_of(system, X + axis), row_of(system, Q + axis)
        star = plain[int(order[0])]
        centre = 0.0
        for i in range(1, massive):
            centre += mass[i] * (plain[int(order[i])] - star)
        centre = star + centre / total
        middle[1] = star
        for i in range(1, massive):
            middle[i + 1] = middle[i] + share[i] * (plain[int(order[i])] - middle[i])
        split[0] = centre
        for i in range(1, n):
            about = middle[int(inner[i])]
            if kind == HELIOCENTRIC:
                about = star if axis < 3 else centre
            split[i] = plain[int(order[i])] - about
    system[(Q + LOW) * n : (V + LOW + 3) * n] = 0.0


@compiled
def to_inertial(system: Floats, kind: int) -> None:
    """The synchronised state from positions and velocities in these coordinates."""
    n, massive = n_bodies(system), n_massive(system)
    order, mass = row_of(system, ORDER), row_of(system, WEIGHT)
    share, inner = row_of(system, SHARE), row_of(system, INNER)
    total = mass[:massive].sum()
    middle = np.empty(massive + 1)
    for axis in range(6):
        plain, split = row_of(system, X + axis), row_of(system, Q + axis)
        if kind == JACOBI:
            middle[massive] = split[0]
            for i in range(massive - 1, 0, -1):
                middle[i] = middle[i + 1] - share[i] * split[i]
            star = middle[1]
        else:
            star = 0.0
            for i in range(1, massive):
                star -= mass[i] * split[i]
            star = split[0] + star / (total if axis < 3 else mass[0])
        plain[int(order[0])] = star
        for i in range(1, n):
            about = middle[int(inner[i])]
            if kind == HELIOCENTRIC:
                about = star if axis < 3 else split[0]
            plain[int(order[i])] = about + split[i]
    system[(X + LOW) * n : GX * n] = 0.0


@inlined
def place_bodies(system: Floats, kind: int, massive: int) -> None:
    """Positions of all bodies into their scratch: from the centre of mass, or from the centre (heliocentric)."""
    n = n_bodies(system)
    for axis in range(3):
        q, at, middle = (Q + axis) * n, (AT + axis) * n, (MIDDLE + axis) * n
        if kind == HELIOCENTRIC:
            system[at] = 0.0
            for i in range(1, n):
                system[at + i] = system[q + i]
            continue
        about = system[middle + massive - 1] = 0.0
        for i in range(massive - 1, 0, -1):
            about -= system[SHARE * n + i] * system[q + i]
            system[at + i] = about + system[q + i]
            system[middle + i - 1] = about
        system[at] = about
        for i in range(massive, n):
            system[at + i] = system[middle + int(system[INNER * n + i]) - 1] + system[q + i]
