"""Wisdom and Holman's split: bodies move along Kepler orbits about a heavy one, and pulls of the others kick them.

A step is a palindrome of drifts along the orbits and kicks, see `splittings`. The drift that ends a step and the one
that opens the next are one: between steps a state lies half of that drift behind its time. What is looked at, energies
and positions, is a copy that is brought to its time. A symplectic corrector belongs to the beginning of a run and to
such a copy, and costs nothing in between.

Source: Wisdom & Holman 1991, AJ 102, 1528; Wisdom, Holman & Touma 1996, Fields Inst. Commun. 10, 217; Rein & Tamayo
2015, MNRAS 452, 376; Rein, Tamayo & Brown 2019, MNRAS 489, 4632.
"""

from __future__ import annotations

import math

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled, compiled_sums, inlined, lost, plus
from aitimestepper.engine.layout import AX, LOW, X, n_bodies, row_of
from aitimestepper.engine.physics.central_forces import central_forces
from aitimestepper.engine.physics.coordinates import (
    AT,
    HELD,
    HELIOCENTRIC,
    INNER,
    JACOBI,
    MIDDLE,
    ORDER,
    PULL,
    SHARE,
    WEIGHT,
    Q,
    V,
    from_inertial,
    n_massive,
    place_bodies,
    put_in_order,
    to_inertial,
)
from aitimestepper.engine.physics.kepler_lanes import kepler_steps
from aitimestepper.engine.physics.law import Law
from aitimestepper.engine.physics.splittings import SPACING, Splitting


@compiled
def open_split(system: Floats, splitting: Splitting, law: Law, dt: float, work: Floats) -> None:
    """Make the state of a split run from the synchronised one.

    Args:
        system: the rows of the split run are filled.
        splitting: how steps are made.
        law: what moves the bodies.
        dt: the step.
        work: scratch, as `kepler_lanes.room_for_lanes` gives it.
    """
    put_in_order(system, law.G, splitting.coordinates)
    from_inertial(system, splitting.coordinates)
    _correct(system, splitting, law, dt, 1.0, work)
    _drift(system, -splitting.lead * dt, work)


@compiled
def split_steps(system: Floats, splitting: Splitting, law: Law, dt: float, work: Floats, n_steps: int) -> None:
    """Some steps, one after the other: to pass the arguments takes as long as half a step of three bodies."""
    massive, kind = n_massive(system), splitting.coordinates
    drifts, kicks = splitting.drifts, splitting.kicks
    for _ in range(n_steps):
        for k in range(kicks.shape[0]):
            _drift(system, drifts[k] * dt, work)
            _kick(system, kind, law, kicks[k] * dt, massive)


@compiled
def synchronise(system: Floats, splitting: Splitting, law: Law, dt: float, work: Floats, kept: Floats) -> None:
    """Bring positions and velocities to their time; the state of the split run stays as it is.

    Args:
        kept: (15 N,), scratch; the rest as for `open_split`.
    """
    n = n_bodies(system)
    kept[:] = system[Q * n : (Q + 15) * n]
    _drift(system, splitting.lead * dt, work)
    _correct(system, splitting, law, dt, -1.0, work)
    to_inertial(system, splitting.coordinates)
    system[Q * n : (Q + 15) * n] = kept


@compiled
def _correct(system: Floats, splitting: Splitting, law: Law, dt: float, sign: float, work: Floats) -> None:
    """The symplectic corrector (sign 1) or its inverse (-1): to where a step is nearly exact, or back.

    Kicks at places along the orbit, from the farthest behind a state to the farthest before it, with drifts between
    them; the inverse goes the other way. Half as many as in Rein & Tamayo 2015, whose corrector is the same both ways
    in time also to second order in the masses of the planets; energy errors were the same.
    """
    half = splitting.corrector.shape[0]
    if half == 0:
        return
    spacing, massive = sign * SPACING * dt, n_massive(system)
    at = 0
    for step in range(-half, half + 1):
        if step == 0:
            continue
        _drift(system, (step - at) * spacing, work)
        at = step
        size = splitting.corrector[abs(step) - 1] * dt
        _kick(system, splitting.coordinates, law, size if step > 0 else -size, massive)
    _drift(system, -at * spacing, work)


@compiled
def _drift(system: Floats, dt: float, work: Floats) -> None:
    """Move the bodies along their orbits, and the centre of mass."""
    n = n_bodies(system)
    for axis in range(3):
        _add(system, (Q + axis) * n, dt * system[(V + axis) * n])
    kepler_steps(system, Q * n, n, 1, dt, work)


@inlined
def _add(system: Floats, k: int, change: float) -> None:
    """Add to a number that has a low part."""
    low = k + LOW * n_bodies(system)
    before = system[k]
    change += system[low]
    after = plus(before, change)
    system[k], system[low] = after, lost(before, change, after)


@inlined
def _kick(system: Floats, kind: int, law: Law, dt: float, massive: int) -> None:
    """All that is no motion along Kepler orbits, for a time."""
    # The motion of the centre commutes with pulls between planets, but not with forces of the centre.
    early = 0.5 * dt if law.has_central_forces > 0.0 else 0.0
    if kind == HELIOCENTRIC and early != 0.0:
        _follow_centre(system, early, massive)
    place_bodies(system, kind, massive)
    _pull(system, law.G, massive, 0 if kind == JACOBI else 1)
    if law.has_central_forces > 0.0:
        _add_central_forces(system, law)
    if kind == JACOBI:
        _kick_jacobi(system, dt, massive)
    else:
        _kick_heliocentric(system, dt)
        _follow_centre(system, dt - early, massive)


@compiled_sums
def _pull(system: Floats, G: float, massive: int, first: int) -> None:
    """Accelerations by bodies with mass, where `place_bodies` has put them; by the centre too if `first` is 0."""
    n = n_bodies(system)
    mass, x, y, z = row_of(system, WEIGHT), row_of(system, AT), row_of(system, AT + 1), row_of(system, AT + 2)
    ax, ay, az = row_of(system, PULL), row_of(system, PULL + 1), row_of(system, PULL + 2)
    for i in range(n):
        ax[i] = ay[i] = az[i] = 0.0
    for i in range(first + 1, n):
        xi, yi, zi, mi = x[i], y[i], z[i], mass[i]
        sum_x = sum_y = sum_z = 0.0
        for j in range(first, min(i, massive)):
            dx, dy, dz = x[j] - xi, y[j] - yi, z[j] - zi
            inverse = 1.0 / math.sqrt(dx * dx + dy * dy + dz * dz)
            cubed = G * inverse * inverse * inverse
            by_j, by_i = mass[j] * cubed, mi * cubed
            sum_x += by_j * dx
            sum_y += by_j * dy
            sum_z += by_j * dz
            ax[j] -= by_i * dx
            ay[j] -= by_i * dy
            az[j] -= by_i * dz
        ax[i] += sum_x
        ay[i] += sum_y
        az[i] += sum_z


@compiled
def _add_central_forces(system: Floats, law: Law) -> None:
    """Relativity and oblateness; the rows of positions and accelerations, in the user's order, are scratch for it."""
    n = n_bodies(system)
    for axis in range(3):
        for i in range(n):
            body = int(system[ORDER * n + i])
            system[(X + axis) * n + body] = system[(AT + axis) * n + i]
            system[(AX + axis) * n + body] = 0.0
    central_forces(system, law, True)
    for axis in range(3):
        for i in range(n):
            system[(PULL + axis) * n + i] += system[(AX + axis) * n + int(system[ORDER * n + i])]


@compiled
def _kick_jacobi(system: Floats, dt: float, massive: int) -> None:
    """Pulls in Jacobi coordinates, less what the Kepler orbits have of them."""
    n = n_bodies(system)
    for axis in range(3):
        pull, middle = (PULL + axis) * n, (MIDDLE + axis) * n
        mean = system[middle] = system[pull]
        for i in range(1, massive):
            more = system[pull + i] - mean
            mean += system[SHARE * n + i] * more
            system[middle + i] = mean
            system[pull + i] = more
        for i in range(massive, n):
            system[pull + i] -= system[middle + int(system[INNER * n + i]) - 1]
    for i in range(1, n):
        x, y, z = system[Q * n + i], system[(Q + 1) * n + i], system[(Q + 2) * n + i]
        squared = x * x + y * y + z * z
        back = system[HELD * n + i] / (squared * math.sqrt(squared))
        _add(system, V * n + i, dt * (system[PULL * n + i] + back * x))
        _add(system, (V + 1) * n + i, dt * (system[(PULL + 1) * n + i] + back * y))
        _add(system, (V + 2) * n + i, dt * (system[(PULL + 2) * n + i] + back * z))


@compiled
def _kick_heliocentric(system: Floats, dt: float) -> None:
    """Pulls between planets, and further forces of the centre."""
    n = n_bodies(system)
    for axis in range(3):
        for i in range(1, n):
            _add(system, (V + axis) * n + i, dt * system[(PULL + axis) * n + i])


@compiled
def _follow_centre(system: Floats, dt: float, massive: int) -> None:
    """Heliocentric positions change as the planets' momentum moves the centre."""
    n = n_bodies(system)
    for axis in range(3):
        shift = 0.0
        for i in range(1, massive):
            shift += system[SHARE * n + i] * system[(V + axis) * n + i]
        for i in range(1, n):
            _add(system, (Q + axis) * n + i, dt * shift)
