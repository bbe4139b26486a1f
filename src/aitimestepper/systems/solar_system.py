"""The Sun and the eight planets at a date, offline, from the approximate ephemeris that astropy ships."""

from __future__ import annotations

import datetime
import math

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.errors import InitialConditionsError
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.orbits import osculating_period

GAUSS = 0.01720209895
"""Gauss's constant k: with au, solar masses and 1/k = 58.13 days (a Gaussian year over 2 pi) G is 1."""

OBLIQUITY = math.radians(84381.406 / 3600.0)
"""Of the ecliptic to the equator at J2000 (IAU 2006)."""

FIRST_DATE, LAST_DATE = datetime.date(1900, 1, 2), datetime.date(2099, 12, 31)
"""Between them the series for the Earth (ERFA epv00) hold; those for the planets (plan94) reach further."""

INVERSE_MASSES = {
    "sun": 1.0,
    "mercury": 6.0236e6,
    "venus": 4.08523719e5,
    "earth-moon-barycenter": 328900.5596,
    "mars": 3.09870359e6,
    "jupiter": 1.047348644e3,
    "saturn": 3.4979018e3,
    "uranus": 2.290298e4,
    "neptune": 1.941226e4,
}
"""Solar mass over the mass of each body (IAU 2009 best estimates: Luzum et al. 2011, CeMDA 110, 293, table 1)."""

RADII = (695700.0, 2439.4, 6051.8, 6371.0084, 3389.5, 69911.0, 58232.0, 25362.0, 24622.0)
"""In km: the nominal one of the Sun (IAU 2015 Resolution B3, Prsa et al. 2016, AJ 152, 41), mean ones of the planets
(Archinal et al. 2018, CeMDA 130, 22), the Earth's for the barycentre."""

_KM_OF_AU = 149597870.7

NAMES = ("Sun", "Mercury", "Venus", "Earth-Moon barycentre", "Mars", "Jupiter", "Saturn", "Uranus", "Neptune")


def solar_system(date: datetime.date) -> InitialConditions:
    """Sun and planets at 0 h TDB of a date: au, solar masses, yr/2pi (G = 1), axes of the ecliptic of J2000.

    Approximate. Integrated over ten years the planets leave the positions of the ephemeris by up to 0.02 au (Saturn),
    which is the ephemeris' doing. Two choices keep it at that: the Earth is the Earth-Moon barycentre, because the
    Earth's own motion carries the Moon's pull; and velocities are differences of positions, because the velocities
    that the ephemeris gives for the outer planets are off by 1e-3 and more (Saturn would be 0.12 au off).

    Raises:
        InitialConditionsError: astropy is not installed.
    """
    position = _positions(date, 0.0)
    # Five-point rule over half a day on either side; with two points Mercury is 0.008 au off after ten years.
    quarter = _positions(date, 0.25) - _positions(date, -0.25)
    half = _positions(date, 0.5) - _positions(date, -0.5)
    velocity = (8.0 * quarter - half) / (12.0 * 0.25) / GAUSS
    mass = 1.0 / np.array(list(INVERSE_MASSES.values()))
    return InitialConditions(
        mass,
        position,
        velocity,
        period=osculating_period(mass[:2], position[:2], velocity[:2], G=1.0),
        names=NAMES,
        note=f"{date} 0 h TDB, approximate ephemeris (to about 0.02 au in ten years); au, solar masses, yr/2pi, "
        "ecliptic J2000; the period is Mercury's",
        units=("au", "yr/2pi", "Msun"),
        radius=np.array(RADII) / _KM_OF_AU,
    )


def _positions(date: datetime.date, offset_days: float) -> Floats:
    """Barycentric positions (9, 3) in au, ecliptic axes."""
    try:
        from astropy.coordinates import get_body_barycentric
        from astropy.time import Time, TimeDelta
        from astropy.utils import iers
    except ModuleNotFoundError:
        raise InitialConditionsError(
            "solar-system needs the package astropy: pip install 'aitimestepper[solar]'"
        ) from None
    with iers.conf.set_temp("auto_download", False):
        time = Time(date.isoformat(), scale="tdb") + TimeDelta(offset_days, format="jd", scale="tdb")
        vectors = [get_body_barycentric(body, time, ephemeris="builtin") for body in INVERSE_MASSES]
    equatorial = np.array([vector.xyz.to_value("au") for vector in vectors])
    cosine, sine = math.cos(OBLIQUITY), math.sin(OBLIQUITY)
    return equatorial @ np.array([[1.0, 0.0, 0.0], [0.0, cosine, sine], [0.0, -sine, cosine]]).T
