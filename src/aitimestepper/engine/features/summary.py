"""Twin of `features`: what the network sees of a state."""

from __future__ import annotations

import math
from typing import NamedTuple

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import bits_of, compiled, compiled_sums, float_of, inlined
from aitimestepper.engine.features.averages import centre, lengths, pair_distances
from aitimestepper.engine.features.invariant import invariant
from aitimestepper.engine.layout import AX, EARLIER, MASS, VX, VZ, X, n_bodies, row_of
from aitimestepper.engine.physics.law import Law

BASIC, RICH, DELTA_MAG, INVARIANT = range(4)
CODES = {"basic": BASIC, "rich": RICH, "delta_mag": DELTA_MAG, "invariant": INVARIANT}
"""Of feature types, by the name that a user types."""

WIDTHS = (11, 23, 10, 10)
"""Numbers of each type for one state, or one interval of `DELTA_MAG`."""


class Sight(NamedTuple):
    """What a network was trained to look at.

    Attributes:
        kind: BASIC, RICH, DELTA_MAG or INVARIANT.
        history: past states beside the current one.
        n_dims: D, a feature of BASIC and RICH.
        length, speed, acceleration, time: scales of the features.
    """

    kind: int
    history: int
    n_dims: int
    length: float
    speed: float
    acceleration: float
    time: float


@compiled
def fill_features(out: Floats, system: Floats, free_fall: float, dt: float, law: Law, sight: Sight) -> None:
    """The features of one state into `out`, or of the interval between two.

    Args:
        out: (WIDTHS[kind],).
        system: the state with its acceleration and, for DELTA_MAG, the state before in its rows EARLIER.
        free_fall: square of its fastest free-fall rate, the unit of the rates of INVARIANT.
        dt: the step that led to the state.
        law: softening and G.
        sight: which features.
    """
    if sight.kind == DELTA_MAG:
        _delta_mag(out, system, dt, sight)
    elif sight.kind == INVARIANT:
        invariant(out, system, free_fall, law)
    else:
        _summary(out, system, law.squared_softening, sight)


@compiled_sums
def _summary(out: Floats, system: Floats, squared_softening: float, sight: Sight) -> None:
    n = n_bodies(system)
    mean, middle = 1.0 / n, 1.0 / max(0.5 * n * (n - 1), 1.0)
    x, y, z = centre(system, X)
    u, v, w = centre(system, VX)
    radius = lengths(system, X, x, y, z)
    speed = lengths(system, VX, u, v, w)
    pull = lengths(system, AX, 0.0, 0.0, 0.0)
    apart = pair_distances(system)
    mass = row_of(system, MASS)
    total = squares = 0.0
    for i in range(n):
        total += mass[i]
        squares += mass[i] * mass[i]
    out[0], out[1], out[2] = n, sight.n_dims, total
    per_length = 1.0 / sight.length
    if sight.kind == BASIC:
        out[3], out[4] = radius[0] * (mean * per_length), math.sqrt(radius[3]) * per_length
        out[5], out[6] = speed[0] * mean / sight.speed, math.sqrt(speed[3]) / sight.speed
        out[7], out[8] = pull[0] * mean / sight.acceleration, math.sqrt(pull[3]) / sight.acceleration
        out[9], out[10] = math.sqrt(apart[1]) * per_length, apart[0] * (middle * per_length)
    else:
        out[3], out[4], out[5], out[6] = total * mean, mass.min(), mass.max(), math.sqrt(squares * mean)
        _put(out[7:11], radius, mean, sight.length)
        _put(out[11:15], speed, mean, sight.speed)
        _put(out[15:19], pull, mean, sight.acceleration)
        out[19], out[20] = math.sqrt(apart[1]) * per_length, apart[0] * (middle * per_length)
        out[21], out[22] = math.sqrt(apart[2]) * per_length, math.sqrt(squared_softening) * per_length


@inlined
def _put(out: Floats, lengths: tuple[float, float, float, float], mean: float, scale: float) -> None:
    """Mean, least, largest and rms length over `scale`, from what `lengths` returns."""
    total, squares, least, largest = lengths
    out[0], out[1] = total * mean / scale, math.sqrt(least) / scale
    out[2], out[3] = math.sqrt(largest) / scale, math.sqrt(squares * mean) / scale


@inlined
def _is_unknown(system: Floats) -> bool:
    """Whether the earlier state is one of zeros, positions and velocities."""
    n = n_bodies(system)
    k, end = EARLIER * n, (EARLIER + VZ) * n
    while k < end and system[k] == 0.0:
        k += 1
    return k == end


@inlined
def _changes(out: Floats, system: Floats, kind: int, origin: tuple[float, float, float], scale: float) -> None:
    """Mean, largest and rms change of the vectors in three rows, less `origin`, over `scale`."""
    n = n_bodies(system)
    now, then = (X + 3 * kind) * n, (EARLIER + 3 * kind) * n
    x, y, z = origin
    total = squares = 0.0
    largest = bits_of(0.0)
    for i in range(n):
        a = system[now + i] - system[then + i] - x
        b = system[now + n + i] - system[then + n + i] - y
        c = system[now + 2 * n + i] - system[then + 2 * n + i] - z
        squared = a * a + b * b + c * c
        total += math.sqrt(squared)
        squares += squared
        bits = bits_of(squared)
        largest = bits if bits > largest else largest
    mean, per_scale = 1.0 / n, 1.0 / scale
    out[3 * kind] = total * mean * per_scale
    out[3 * kind + 1] = math.sqrt(float_of(largest)) * per_scale
    out[3 * kind + 2] = math.sqrt(squares * mean) * per_scale


@compiled_sums
def _delta_mag(out: Floats, system: Floats, dt: float, sight: Sight) -> None:
    """Mean, largest and rms change of position, velocity and acceleration, and the step.

    An earlier state that is not known lies at the centre of mass of the later one.
    """
    nowhere = (0.0, 0.0, 0.0)
    origin = nowhere
    if _is_unknown(system):
        origin = centre(system, X)
    _changes(out, system, 0, origin, sight.length)
    _changes(out, system, 1, nowhere, sight.speed)
    _changes(out, system, 2, nowhere, sight.acceleration)
    out[9] = dt / sight.time
