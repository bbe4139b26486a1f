"""Units of length, time and mass: what numbers mean, G from them, and quantities of astropy in and out.

Constants: GM of Sun, Earth and Jupiter and their radii are the nominal ones of IAU 2015 Resolution B3 (Prsa et al.
2016, AJ 152, 41); the astronomical unit is that of IAU 2012 Resolution B2; a year has 365.25 days; G, which only masses
in kg and g need, is CODATA 2018. Masses are kept as G M, which is known to more digits than M.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aitimestepper.errors import InitialConditionsError
from aitimestepper.names import nearest

_AU, _GM_SUN, _G, _DAY = 149597870700.0, 1.3271244e20, 6.67430e-11, 86400.0
_PC, _YEAR = _AU * 648000.0 / math.pi, 365.25 * _DAY

_LENGTHS = {
    "m": 1.0, "cm": 0.01, "km": 1e3, "au": _AU, "pc": _PC, "kpc": 1e3 * _PC, "Mpc": 1e6 * _PC, "ly": 9460730472580800.0,
    "Rsun": 6.957e8, "Rearth": 6.3781e6, "Rjup": 7.1492e7,
}  # fmt: skip
"""In m."""

_TIMES = {
    "s": 1.0, "min": 60.0, "h": 3600.0, "d": _DAY, "yr": _YEAR, "kyr": 1e3 * _YEAR, "Myr": 1e6 * _YEAR,
    "Gyr": 1e9 * _YEAR, "yr/2pi": math.sqrt(_AU**3 / _GM_SUN),
}  # fmt: skip
"""In s; yr/2pi is the unit in which G = 1 with au and solar masses, 1e-5 longer than a year over 2 pi."""

_MASSES = {
    "kg": _G, "g": 1e-3 * _G, "Msun": _GM_SUN, "Mearth": 3.986004e14, "Mjup": 1.2668653e17,
}  # fmt: skip
"""As G M in m^3/s^2."""

_OTHER_NAMES = {
    "AU": "au", "parsec": "pc", "lyr": "ly", "solRad": "Rsun", "R_sun": "Rsun", "earthRad": "Rearth",
    "R_earth": "Rearth", "jupiterRad": "Rjup", "R_jup": "Rjup", "hr": "h", "hour": "h", "day": "d", "days": "d",
    "year": "yr", "years": "yr", "a": "yr", "yr2pi": "yr/2pi", "solMass": "Msun", "M_sun": "Msun", "msun": "Msun",
    "MSun": "Msun", "earthMass": "Mearth", "M_earth": "Mearth", "mearth": "Mearth", "jupiterMass": "Mjup",
    "M_jup": "Mjup", "mjupiter": "Mjup", "mjup": "Mjup", "myr": "Myr", "gyr": "Gyr",
}  # fmt: skip
"""As astropy, REBOUND and people call some of them."""

_ASTROPY = {
    "au": "AU", "Msun": "solMass", "Mearth": "earthMass", "Mjup": "jupiterMass", "Rsun": "solRad", "Rearth": "earthRad",
    "Rjup": "jupiterRad", "ly": "lyr",
}  # fmt: skip
"""Names of astropy that are others."""

_SI_DIMENSION = {"m": "length", "s": "time", "kg": "mass", "m / s": "speed"}

DIMENSIONS = {
    "mass": "mass", "position": "length", "velocity": "speed", "period": "time", "time": "time", "softening": "length",
    "radius": "length", "dt": "time", "energy": "energy", "angular_momentum": "angular momentum",
}  # fmt: skip
"""What the numbers of bodies and of a run are."""


@dataclass(frozen=True)
class Units:
    """Units of the numbers of a system, in which G follows.

    Attributes:
        length: its name.
        pace: name of the unit of time, or of velocity, as `km/s`; the other follows.
        mass: its name.
    """

    length: str
    pace: str
    mass: str

    @classmethod
    def of(cls, names: Sequence[str] | Units) -> Units:
        """Units from their names, in any order: of length, of mass, and of time or velocity.

        Raises:
            InitialConditionsError: one is not known, missing, or there twice.
        """
        if isinstance(names, Units):
            return names
        if isinstance(names, str) or len(names) != 3:
            raise InitialConditionsError(f"units are three names, as ('pc', 'km/s', 'Msun'), got {names!r}")
        found: dict[str, str] = {}
        for name in map(_known, names):
            kind = dimension_of(name)
            kind = "pace" if kind in ("time", "speed") else kind
            if kind in found:
                raise InitialConditionsError(f"{found[kind]} and {name} say the same twice, in units {names!r}")
            found[kind] = name
        return cls(**found)

    @property
    def names(self) -> tuple[str, str, str]:
        """The three names, as `of` takes them."""
        return self.length, self.pace, self.mass

    @property
    def G(self) -> float:
        """The gravitational constant in these units; exactly 1 where it is that to rounding."""
        value = _MASSES[self.mass] * self._si("time") ** 2 / _LENGTHS[self.length] ** 3
        return 1.0 if abs(value - 1.0) < 1e-14 else value

    @property
    def light_speed(self) -> float:
        """The speed of light in these units."""
        return 299792458.0 / self._si("speed")

    @property
    def time(self) -> str:
        """Name of the unit of time, `pc/(km/s)` where that of velocity is given."""
        return self.pace if self.pace in _TIMES else f"{self.length}/({self.pace})"

    @property
    def velocity(self) -> str:
        """Name of the unit of velocity."""
        return _speed(self.length, self.pace) if self.pace in _TIMES else self.pace

    @property
    def text(self) -> str:
        """The three names in a line, as files have them."""
        return ", ".join(self.names)

    @classmethod
    def from_text(cls, text: str) -> Units | None:
        """Units from that line; None from an empty one.

        Raises:
            InitialConditionsError: as for `of`.
        """
        return cls.of([name.strip() for name in text.split(",")]) if text else None

    def __str__(self) -> str:
        time = f"time in {self.time}"
        if self.pace not in _TIMES:
            value, unit = _readable(self._si("time"))
            time += f" = {value:.6g} {unit}"
        return (
            f"lengths in {self.length}, velocities in {self.velocity}, masses in {self.mass}, {time}; G = {self.G:.9g}"
        )

    def in_other(self, name: str, dimension: str) -> float:
        """How many of another unit one of these is.

        Raises:
            InitialConditionsError: it is not known, or not of that dimension, `length` or `time`.
        """
        table = {"length": _LENGTHS, "time": _TIMES}[dimension]
        if _known(name) not in table:
            raise InitialConditionsError(f"{name} is no unit of {dimension}: {', '.join(table)} are")
        return self._si(dimension) / table[_known(name)]

    def _si(self, dimension: str) -> float:
        """A unit in m, s and kg."""
        length, pace = _LENGTHS[self.length], _si_of(self.pace)
        time = pace if self.pace in _TIMES else length / pace
        mass = _MASSES[self.mass] / _G
        return {
            "length": length,
            "time": time,
            "mass": mass,
            "speed": length / time,
            "energy": mass * (length / time) ** 2,
            "angular momentum": mass * length * length / time,
        }[dimension]

    def number(self, name: str, quantity: Any, dimension: str) -> Any:
        """A quantity of astropy as bare numbers in these units.

        Args:
            name: what it is called, for the error.
            quantity: of any shape.
            dimension: `length`, `time`, `mass` or `speed`.

        Raises:
            InitialConditionsError: it is of another dimension, or no quantity of astropy.
        """
        if not hasattr(quantity, "si"):
            raise InitialConditionsError(f"{name} has a unit, but is no quantity of astropy: pass numbers and units=")
        own = str(quantity.unit).replace(" ", "")
        if _OTHER_NAMES.get(own, own) == getattr(self, {"speed": "velocity"}.get(dimension, dimension)):
            return quantity.value
        in_si = quantity.si
        if _SI_DIMENSION.get(str(in_si.unit)) != dimension:
            raise InitialConditionsError(f"{name} has the unit {quantity.unit}, which is none of {dimension}")
        return in_si.value / self._si(dimension)

    def quantity(self, values: Any, dimension: str) -> Any:
        """Numbers in these units as a quantity of astropy; energies of length times mass over squared time, and so on.

        Raises:
            InitialConditionsError: astropy is not installed.
        """
        try:
            from astropy import units
        except ImportError:
            raise InitialConditionsError("quantities need astropy: pip install 'aitimestepper[solar]'") from None
        length, mass = _astropy_unit(units, self.length), _astropy_unit(units, self.mass)
        if self.pace in _TIMES:
            time = _astropy_unit(units, self.pace)
            speed = length / time
        else:
            above, below = _parts(self.pace)
            speed = _astropy_unit(units, above) / _astropy_unit(units, below)
            time = length / speed
        unit = {
            "length": length,
            "time": time,
            "mass": mass,
            "speed": speed,
            "energy": mass * speed**2,
            "angular momentum": mass * length * speed,
        }[dimension]
        return units.Quantity(values, unit)


def dimension_of(name: str) -> str:
    """`length`, `time`, `mass` or `speed`, of a unit that is known."""
    for dimension, table in (("length", _LENGTHS), ("time", _TIMES), ("mass", _MASSES)):
        if name in table:
            return dimension
    return "speed"


def _known(name: str) -> str:
    """The name of a unit as it stands in the tables; of velocities with its two parts.

    Raises:
        InitialConditionsError: it is not known.
    """
    plain = str(name).replace(" ", "")
    plain = _OTHER_NAMES.get(plain, plain)
    names = {**_LENGTHS, **_TIMES, **_MASSES}
    if plain in names:
        return plain
    length, time = _parts(plain)
    length, time = _OTHER_NAMES.get(length, length), _OTHER_NAMES.get(time, time)
    if length in _LENGTHS and time in _TIMES:
        return _speed(length, time)
    raise InitialConditionsError(
        f"unknown unit {name!r}{nearest(plain, names)} (known: {', '.join(names)}, and a length over a time)"
    )


def _speed(length: str, time: str) -> str:
    """Name of a unit of velocity; `au/yr/2pi` could be read as two things."""
    return f"{length}/({time})" if "/" in time else f"{length}/{time}"


def _parts(speed: str) -> tuple[str, str]:
    """Length and time of a unit of velocity, also where the time has no brackets around it."""
    length, _, time = speed.partition("/")
    return length, time[1:-1] if time.startswith("(") and time.endswith(")") else time


def _si_of(pace: str) -> float:
    """A unit of time or velocity in s and m/s."""
    if pace in _TIMES:
        return _TIMES[pace]
    above, below = _parts(pace)
    return _LENGTHS[above] / _TIMES[below]


def _readable(seconds: float) -> tuple[float, str]:
    """A time in the largest unit of which it is at least a tenth."""
    fitting = [name for name in ("Gyr", "Myr", "kyr", "yr", "d", "h") if seconds >= 0.1 * _TIMES[name]]
    name = fitting[0] if fitting else "s"
    return seconds / _TIMES[name], name


def _astropy_unit(units: Any, name: str) -> Any:
    if name == "yr/2pi":
        return units.def_unit("yr/2pi", _TIMES[name] * units.s)
    return units.Unit(_ASTROPY.get(name, name))
