"""Forces of the heaviest body beyond Newton's law for points: general relativity to first order, and oblateness.

Both derive from a potential, so that the energy with it is kept, and both are small against the pull of the points.
"""

from __future__ import annotations

import math

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled
from aitimestepper.engine.layout import AX, MASS, X, n_bodies
from aitimestepper.engine.physics.law import Law


@compiled
def heaviest(system: Floats) -> int:
    """The body with the largest mass, of two alike the first."""
    found = 0
    for i in range(1, n_bodies(system)):
        if system[MASS * n_bodies(system) + i] > system[MASS * n_bodies(system) + found]:
            found = i
    return found


@compiled
def central_forces(system: Floats, law: Law, with_force: bool) -> float:
    """Energy of all bodies in the further potentials of the heaviest one, of mass M.

    For a body of mass m at r from it, p being the direction of its pole:

        relativity   -3 (G M)^2 m / (c r)^2
        oblateness   G M m J2 R^2 (3 (r . p)^2 / r^5 - 1 / r^3) / 2

    The first gives the precession of the pericentre, 6 pi G M / (c^2 a (1 - e^2)) an orbit, and not the change of the
    period, which is of the same order.

    Args:
        system: the state; with `with_force` its acceleration is added to, that of the heaviest body too.
        law: G, 3 / c^2 and J2 R^2.

    Source: Nobili & Roxburgh 1986, IAU Symp. 114, 105; Murray & Dermott 1999, Solar System Dynamics, section 6.11.
    """
    n, centre = n_bodies(system), heaviest(system)
    strength = law.G * system[MASS * n + centre]
    if not strength > 0.0:
        return 0.0
    bent, flat = law.relativity * strength * strength, strength * law.oblateness
    energy = 0.0
    for i in range(n):
        if i == centre:
            continue
        dx = system[X * n + i] - system[X * n + centre]
        dy = system[(X + 1) * n + i] - system[(X + 1) * n + centre]
        dz = system[(X + 2) * n + i] - system[(X + 2) * n + centre]
        inverse_squared = 1.0 / (dx * dx + dy * dy + dz * dz)
        cubed = inverse_squared * math.sqrt(inverse_squared)
        height = dx * law.pole_x + dy * law.pole_y + dz * law.pole_z
        raised = height * height * inverse_squared
        mass = system[MASS * n + i]
        energy += mass * (0.5 * flat * cubed * (3.0 * raised - 1.0) - bent * inverse_squared)
        if with_force:
            fifth = flat * cubed * inverse_squared
            along = fifth * (7.5 * raised - 1.5) - 2.0 * bent * inverse_squared * inverse_squared
            across = -3.0 * fifth * height
            share = mass / system[MASS * n + centre]
            for k, pull in (
                (0, along * dx + across * law.pole_x),
                (1, along * dy + across * law.pole_y),
                (2, along * dz + across * law.pole_z),
            ):
                system[(AX + k) * n + i] += pull
                system[(AX + k) * n + centre] -= share * pull
    return energy
