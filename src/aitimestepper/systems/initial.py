"""`InitialConditions`: what every source of bodies hands on, checked and brought to the centre-of-mass frame."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike

from aitimestepper.arrays import Floats
from aitimestepper.errors import InitialConditionsError
from aitimestepper.systems.quantities import without_units
from aitimestepper.systems.units import Units

LARGEST = 1e100
"""Larger numbers are refused: their cubes, and with them every force, would overflow."""

_ARRAYS = ("mass", "position", "velocity")

_G_MEASURED = 1e-3
"""Part by which values of G in the same units differ from source to source, with a margin: the constant is known to
2e-5, the Gaussian year is 2e-5 longer than 365.25 days."""

FRAME_TOLERANCE = 1e-14
"""A system whose total momentum is below this part of sum |p| is in the centre-of-mass frame (likewise positions)."""


@dataclass(frozen=True, eq=False)
class InitialConditions:
    """N bodies at one time, validated and at rest in the centre-of-mass frame as soon as they are built.

    `InitialConditions(mass, position, velocity, units=("pc", "km/s", "Msun"))` says what the numbers are in; a run then
    has the G of these units. Quantities of astropy are taken too, all of them or none; they become numbers in `units`,
    or in the units that they have.

    Positions and velocities are shifted so that the total momentum is zero to round-off and the centre of mass is the
    origin; a system that is there already keeps every bit, and so does one without any mass. The arrays are read-only
    copies.

    Attributes:
        mass: (N,), >= 0.
        position: (N, D), D = 1, 2 or 3.
        velocity: (N, D).
        period: orbital period of the system (the innermost one of a hierarchy), 0 if it has none.
        time: of the initial state.
        names: one for each body, no two alike, or empty.
        note: units and source, one line.
        softening: Plummer length that their source says belongs to them; 0 if it says none.
        units: what the numbers are in, or None where nobody said; see `systems.units`.
        radius: (N,), >= 0, or one for all; 0 of points. Two bodies collide where their distance is the sum of theirs.

    Raises:
        InitialConditionsError: shapes that do not fit, a number that is not finite, a negative mass or radius.
    """

    mass: Floats
    position: Floats
    velocity: Floats
    period: float = 0.0
    time: float = 0.0
    names: tuple[str, ...] = ()
    note: str = ""
    softening: float = 0.0
    units: Units | tuple[str, str, str] | None = None
    radius: Floats = field(default_factory=lambda: np.zeros(()))

    def __post_init__(self) -> None:
        given = {name: getattr(self, name) for name in (*_ARRAYS, "period", "time", "softening", "radius")}
        units, bare = without_units(given, self.units)
        for name, value in {**bare, "units": units}.items():
            object.__setattr__(self, name, value)
        arrays = {name: _floats(name, getattr(self, name)) for name in _ARRAYS}
        _check_shapes(**arrays, names=self.names)
        for name, array in arrays.items():
            _check_finite(name, array)
        _check_mass(arrays["mass"])
        radius = _radii(self.radius, len(arrays["mass"]))
        if not (math.isfinite(self.period) and self.period >= 0):
            raise InitialConditionsError(f"period must be >= 0 and finite, got {self.period}")
        if not math.isfinite(self.time):
            raise InitialConditionsError(f"time must be finite, got {self.time}")
        if not 0 <= self.softening <= LARGEST:
            raise InitialConditionsError(f"softening must be >= 0 and at most {LARGEST:g}, got {self.softening}")
        for name in ("position", "velocity"):
            arrays[name] = about_centre_of_mass(arrays["mass"], arrays[name])
        for name, array in {**arrays, "radius": radius}.items():
            array.setflags(write=False)
            object.__setattr__(self, name, array)
        object.__setattr__(self, "names", tuple(self.names))

    @property
    def n_bodies(self) -> int:
        """Number of bodies N."""
        return self.position.shape[0]

    @property
    def n_dims(self) -> int:
        """Number of dimensions D."""
        return self.position.shape[1]

    @property
    def is_free(self) -> bool:
        """Whether no body attracts another, so that all of them move uniformly."""
        return self.n_bodies < 2 or not self.mass.any()

    @property
    def turned(self) -> InitialConditions:
        """The same bodies with time turned round: what comes is what was."""
        return replace(self, velocity=0.0 - self.velocity, time=0.0 - self.time)

    def with_gravity(self, G: float) -> InitialConditions:
        """The same orbits under the constant `G`, for a system that was built with G = 1.

        Masses and positions stay, velocities grow by sqrt(G), times shrink by it.
        """
        if G == 1.0:
            return self
        speed_up = math.sqrt(G)
        return replace(
            self,
            velocity=self.velocity * speed_up,
            period=self.period / speed_up,
            time=self.time / speed_up,
            note=f"{self.note}; velocities and times for G = {G:g}".removeprefix("; "),
            units=None,
        )


def about_centre_of_mass(mass: Floats, vectors: Floats) -> Floats:
    """Shift vectors (N, D) so that their mean, weighted by mass (N,), is zero to round-off.

    A mean that is zero to round-off already leaves the vectors untouched, so that shifting twice changes nothing; so
    does no mass at all.
    """
    if not mass.any():
        return vectors
    weight = mass / mass.max()
    # The first shift leaves the rounding of a mean that may be far larger than the vectors around it; the second
    # removes that.
    for _ in range(3):
        moment = np.array([math.fsum(column) for column in (weight[:, None] * vectors).T])
        size = np.array([math.fsum(column) for column in (weight[:, None] * np.abs(vectors)).T])
        if math.hypot(*moment) <= FRAME_TOLERANCE * math.hypot(*size):
            break
        vectors = vectors - moment / math.fsum(weight)
    return vectors


def units_of(system: InitialConditions) -> Units | None:
    """What the numbers of bodies are in, None where nobody said."""
    assert system.units is None or isinstance(system.units, Units)
    return system.units


def text_of_units(system: InitialConditions) -> str:
    """The same in a line, as files have it; empty where nobody said."""
    units = units_of(system)
    return "" if units is None else units.text


def agreed_gravity(system: InitialConditions, asked: float | None) -> float | None:
    """The G of a run of these bodies: what was asked for, or that of their units; None where nothing is said.

    Raises:
        InitialConditionsError: both are there, and differ by more than constants of nature are measured to.
    """
    units = units_of(system)
    if units is None or asked is None:
        return asked if units is None else units.G
    if not math.isclose(units.G, asked, rel_tol=_G_MEASURED):
        raise InitialConditionsError(f"its units have G = {units.G!r}, not {asked!r}: leave G out")
    return asked


def agreed_softening(system: InitialConditions, asked: float | None) -> float:
    """The softening of a run of these bodies: what was asked for, None for nothing, or else what belongs to them.

    Raises:
        InitialConditionsError: both are there, and differ.
    """
    own = system.softening
    if asked is not None and own > 0 and not math.isclose(own, asked, rel_tol=1e-12):
        raise InitialConditionsError(f"it was made with softening = {own!r}, not {asked!r}: leave softening out")
    return own if asked is None else asked


def check_apart(system: InitialConditions, softening: float) -> None:
    """Refuse two bodies at one point, one of them with mass, where no softening keeps their force finite.

    Raises:
        InitialConditionsError: names the two bodies.
    """
    if softening > 0:
        return
    position = system.position + 0.0  # -0.0 becomes 0.0
    # Sorted by position, and at one position by falling mass: the two bodies of a bad pair are neighbours.
    order = np.lexsort((-system.mass, *position.T))
    same = (position[order[1:]] == position[order[:-1]]).all(axis=1) & (system.mass[order[:-1]] > 0)
    if same.any():
        first, second = sorted(int(body) for body in order[np.argmax(same) :][:2])
        raise InitialConditionsError(
            f"bodies {_label(system, first)} and {_label(system, second)} (counting from 0) are at one point, "
            "where their force is infinite: move one of them, or set softening > 0"
        )


def _label(system: InitialConditions, body: int) -> str:
    return f"{body} ({system.names[body]})" if system.names else str(body)


def _floats(name: str, values: ArrayLike) -> Floats:
    try:
        array = np.asarray(values)
        if array.dtype.kind not in "fiu":
            raise ValueError
        return np.array(array, dtype=np.float64)
    except (TypeError, ValueError):
        raise InitialConditionsError(f"{name} must be a rectangular array of real numbers") from None


def _check_shapes(mass: Floats, position: Floats, velocity: Floats, names: Sequence[str]) -> None:
    if mass.ndim != 1 or not mass.size:
        raise InitialConditionsError(f"mass must have shape (N,) with N >= 1, got {mass.shape}")
    if position.ndim != 2 or position.shape[1] not in (1, 2, 3):
        raise InitialConditionsError(f"position must have shape (N, D) with D = 1, 2 or 3, got {position.shape}")
    if velocity.shape != position.shape:
        raise InitialConditionsError(f"velocity must have the shape of position, {position.shape}: {velocity.shape}")
    if len(position) != len(mass):
        raise InitialConditionsError(f"there must be one mass for each body: {len(mass)} for {len(position)} bodies")
    if len(names) not in (0, len(mass)):
        raise InitialConditionsError(f"there must be one name for each body: {len(names)} for {len(mass)} bodies")
    seen: set[str] = set()
    for name in names:
        if name in seen or not name or not name.isprintable():
            raise InitialConditionsError(
                f"names must be printable, no two alike, got {name[:40]!r}{' twice' * (name in seen)}"
            )
        seen.add(name)


def _check_finite(name: str, array: Floats) -> None:
    bad = ~(np.abs(array) <= LARGEST)
    if bad.any():
        body = int(np.argwhere(bad)[0, 0])
        raise InitialConditionsError(
            f"{name} of body {body} (counting from 0) must be finite and at most {LARGEST:g} in size, "
            f"got {array[bad][0]:g}"
        )


def _radii(values: ArrayLike, n_bodies: int) -> Floats:
    """Radii (N,), from one for each body or one for all."""
    radius = _floats("radius", values)
    if radius.shape not in ((), (n_bodies,)):
        raise InitialConditionsError(f"there must be one radius for each body: {radius.shape} for {n_bodies} bodies")
    radius = np.broadcast_to(radius, (n_bodies,)).copy()
    _check_finite("radius", radius)
    if radius.min() < 0:
        body = int(np.argmin(radius))
        raise InitialConditionsError(f"radius of body {body} (counting from 0) must be >= 0, got {radius[body]:g}")
    return radius


def _check_mass(mass: Floats) -> None:
    if mass.min() < 0:
        body = int(np.argmin(mass))
        raise InitialConditionsError(f"mass of body {body} (counting from 0) must be >= 0, got {mass[body]:g}")
