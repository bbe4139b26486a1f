"""Published three-body systems: planar periodic orbits and the Pythagorean problem. G = 1."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from aitimestepper.systems.initial import InitialConditions

LI_LIAO_2017 = "Li & Liao 2017, arXiv 1705.00527"
LI_LIAO_2018 = "Li, Jing & Liao 2018, arXiv 1709.04775"
SUVAKOV_2013 = "Suvakov & Dmitrasinovic 2013, PRL 110, 114301; closes to about 1e-3"


class PeriodicOrbit(NamedTuple):
    """Three bodies in a line, masses 1, 1, `third_mass`, at x = -1, 1, 0; the first two move with (`p`, `q`)."""

    p: float
    q: float
    period: float
    source: str
    third_mass: float = 1.0


PERIODIC_ORBITS = {
    "figure-eight": PeriodicOrbit(0.3471168881, 0.5327249454, 6.3259139829, LI_LIAO_2017),
    "butterfly-I": PeriodicOrbit(0.3068934205, 0.1255065670, 6.2346748391, LI_LIAO_2017),
    "moth-I": PeriodicOrbit(0.4644451728, 0.3960600146, 14.8943051743, LI_LIAO_2017),
    "I.A7": PeriodicOrbit(0.1214534165, 0.1012023800, 15.7440944954, LI_LIAO_2017),
    "figure-eight-light": PeriodicOrbit(0.2869236336, 0.0791847624, 4.1761292190, LI_LIAO_2018, third_mass=0.5),
    "butterfly-II": PeriodicOrbit(0.392955223941802, 0.0975792352080344, 7.00390738764014, SUVAKOV_2013),
    "butterfly-IV": PeriodicOrbit(0.350112121391296, 0.0793394773483276, 79.4758748952101, SUVAKOV_2013),
    "yarn": PeriodicOrbit(0.559064247131347, 0.349191558837891, 55.5017624421301, SUVAKOV_2013),
    "yin-yang-Ia": PeriodicOrbit(0.513938054919243, 0.304736003875733, 17.328369755004, SUVAKOV_2013),
    "yin-yang-Ib": PeriodicOrbit(0.282698682308198, 0.327208786129952, 10.9625630756217, SUVAKOV_2013),
    "yin-yang-IIa": PeriodicOrbit(0.416822143554688, 0.330333312988282, 55.78982856891, SUVAKOV_2013),
    "yin-yang-IIb": PeriodicOrbit(0.417342877101898, 0.313100116109848, 54.2075992141846, SUVAKOV_2013),
}


def periodic_orbit(name: str) -> InitialConditions:
    """A planar periodic three-body orbit by the name of its table entry."""
    orbit = PERIODIC_ORBITS[name]
    pair = np.array([orbit.p, orbit.q])
    return InitialConditions(
        mass=np.array([1.0, 1.0, orbit.third_mass]),
        position=np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 0.0]]),
        velocity=np.array([pair, pair, -2.0 / orbit.third_mass * pair]),
        period=orbit.period,
        note=f"{name}: {orbit.source}",
    )


def pythagorean() -> InitialConditions:
    """Masses 3, 4 and 5 at rest at the corners of the 3-4-5 triangle, each opposite the side of its number.

    Source: Burrau 1913; Szebehely & Peters 1967, AJ 72, 876. Ends with a binary and an escaping body, so no period.
    """
    return InitialConditions(
        mass=np.array([3.0, 4.0, 5.0]),
        position=np.array([[1.0, 3.0], [-2.0, -1.0], [1.0, -1.0]]),
        velocity=np.zeros((3, 2)),
        note="Burrau's problem: Szebehely & Peters 1967",
    )
