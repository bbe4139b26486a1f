"""Twin of `physics.conserved`: energies, momentum and angular momentum of one system."""

from __future__ import annotations

import math

from aitimestepper.arrays import Floats
from aitimestepper.constants import PARABOLIC
from aitimestepper.engine.compilation import compiled, compiled_sums
from aitimestepper.engine.layout import VX, VY, VZ, Books, X, Y, Z, n_bodies


@compiled
def energy_scale(kinetic: float, total: float) -> float:
    """What the energy errors of a run are relative to: |E| of its initial state, if that means anything.

    Where kinetic and potential energy cancel (a parabolic orbit), the scale is kinetic + |potential|; without any
    energy it is 1. The gate of a training has another scale, |E| with the floor that the specification gives it.
    """
    size = kinetic + abs(total - kinetic)
    if abs(total) > PARABOLIC * size:
        return abs(total)
    return size if size > 0.0 else 1.0


@compiled_sums
def motion(system: Floats, books: Books) -> None:
    """Kinetic energy, momentum, angular momentum about the origin, sum m |v| and sum m |x| |v|, into the books."""
    n = n_bodies(system)
    kinetic = px = py = pz = lx = ly = lz = speeds = levers = 0.0
    for i in range(n):
        m, x, y, z = system[i], system[X * n + i], system[Y * n + i], system[Z * n + i]
        u, v, w = system[VX * n + i], system[VY * n + i], system[VZ * n + i]
        squared = u * u + v * v + w * w
        kinetic += m * squared
        px += m * u
        py += m * v
        pz += m * w
        lx += m * (y * w - z * v)
        ly += m * (z * u - x * w)
        lz += m * (x * v - y * u)
        speed = m * math.sqrt(squared)
        speeds += speed
        levers += speed * math.sqrt(x * x + y * y + z * z)
    books.kinetic_energy = 0.5 * kinetic
    books.momentum_x, books.momentum_y, books.momentum_z = px, py, pz
    books.angular_momentum_x, books.angular_momentum_y, books.angular_momentum_z = lx, ly, lz
    books.absolute_momentum, books.absolute_angular_momentum = speeds, levers
