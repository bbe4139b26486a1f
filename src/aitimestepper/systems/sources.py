"""The one table of named systems: how each is built, its options with their defaults, rules and meaning.

Every builder makes the system for G = 1; the catalogue scales it.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from aitimestepper.systems.clusters import plummer, random_system
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.orbits import APOCENTRE, Elements, halley, hierarchical_triple, two_body
from aitimestepper.systems.solar_system import FIRST_DATE, LAST_DATE, solar_system
from aitimestepper.systems.three_body import PERIODIC_ORBITS, periodic_orbit, pythagorean

Values = Mapping[str, Any]


class Option(NamedTuple):
    """One `key=value` of a named system."""

    name: str
    kind: Callable[[str], Any]
    """Turns the text of a user into the value; raises ValueError where it cannot."""
    default: Any
    help: str
    rule: str
    """Which values are allowed, in words for a message; `allows` is the same in code."""
    allows: Callable[[Any], bool]


class Source(NamedTuple):
    """A named system."""

    build: Callable[[Values], InitialConditions]
    help: str
    options: tuple[Option, ...] = ()


MOST_BODIES = 20_000
"""Drawing more takes minutes: every pair is looked at, for the energy and for the distances."""


def _size(name: str, default: float, text: str) -> Option:
    return Option(name, float, default, text, "between 1e-30 and 1e30", lambda value: 1e-30 <= value <= 1e30)


RADIUS = Option("radius", float, None, "radius of every body", "between 0 and 1e30", lambda value: 0.0 <= value <= 1e30)
"""An option of every named system."""


def _mass(name: str, default: float, text: str) -> Option:
    """A mass that may be 0; the first of a system may not and is a `_length`."""
    return Option(name, float, default, text, "between 0 and 1e30", lambda value: 0.0 <= value <= 1e30)


def _eccentricity(name: str, default: float, text: str) -> Option:
    return Option(name, float, default, text, ">= 0 and < 1", lambda value: 0.0 <= value < 1.0)


def _angle(name: str, default: float | None, text: str) -> Option:
    return Option(name, float, default, text, "a finite number of degrees", math.isfinite)


def _whole(name: str, default: int | None, text: str, low: int, high: int) -> Option:
    return Option(name, int, default, text, f"a whole number from {low} to {high}", lambda value: low <= value <= high)


def _choice(name: str, default: str, text: str, choices: tuple[str, ...]) -> Option:
    return Option(name, str, default, text, f"one of {', '.join(choices)}", lambda value: value in choices)


_COUNT = _whole("n", 3, "bodies", 2, MOST_BODIES)
_SEED = _whole("seed", None, "seed of the draw (default: that of the run)", 0, 2**63 - 1)
_VIRIAL = Option(
    "virial", float, 0.5, "kinetic over |potential| energy", ">= 0 and <= 1000", lambda value: 0.0 <= value <= 1e3
)
CHOICE = Option(
    "system",
    int,
    None,
    "which of a training's systems",
    "a whole number >= 0, counted from 0",
    lambda value: value >= 0,
)
"""The option behind the path of a training."""
_DATE = Option(
    "date",
    datetime.date.fromisoformat,
    datetime.date(2026, 1, 1),
    "0 h TDB of this day",
    f"a date from {FIRST_DATE} to {LAST_DATE}, YYYY-MM-DD",
    lambda value: FIRST_DATE <= value <= LAST_DATE,
)


def _kepler(values: Values) -> InitialConditions:
    spatial = values["inc"] is not None or values["node"] is not None
    elements = Elements(
        values["e"], values["a"], values["M"], values["inc"] or 0.0, values["node"] or 0.0, values["argp"]
    )
    return two_body((values["m1"], values["m2"]), elements, dim=3 if spatial else 2)


def _triple(values: Values) -> InitialConditions:
    inner = Elements(values["e_in"], values["a_in"], values["M_in"], values["inc"], pericentre=values["argp_in"])
    outer = Elements(values["e_out"], values["a_out"], values["M_out"])
    return hierarchical_triple((values["m1"], values["m2"], values["m3"]), inner, outer)


def _random(values: Values) -> InitialConditions:
    rng = np.random.default_rng(values["seed"])
    return random_system(rng, n_bodies=values["n"], dim=values["dim"], virial_ratio=values["virial"])


def _plummer(values: Values) -> InitialConditions:
    return plummer(np.random.default_rng(values["seed"]), n_bodies=values["n"], virial_ratio=values["virial"])


SOURCES: dict[str, Source] = {
    "kepler": Source(
        _kepler,
        "two bodies on a Kepler orbit; 3-D as soon as inc or node is given",
        (
            _eccentricity("e", 0.6, "eccentricity"),
            _size("a", 1.0, "semi-major axis"),
            _size("m1", 1.0, "first mass"),
            _mass("m2", 1.0, "second mass"),
            _angle("M", APOCENTRE, "mean anomaly at the start (180: apocentre, 0: pericentre)"),
            _angle("inc", None, "inclination"),
            _angle("node", None, "longitude of the ascending node"),
            _angle("argp", 0.0, "argument of the pericentre"),
        ),
    ),
    "halley": Source(
        lambda values: halley(values["M"]),
        "the Sun and Comet 1P/Halley; au, solar masses, yr/2pi",
        (_angle("M", APOCENTRE, "mean anomaly at the start (180: aphelion, 0: perihelion)"),),
    ),
    "figure-eight": Source(
        lambda values: periodic_orbit("figure-eight"), "three equal masses chasing each other on an eight"
    ),
    "three-body": Source(
        lambda values: periodic_orbit(values["name"]),
        "published periodic orbits of three bodies",
        (_choice("name", "figure-eight", "which orbit", tuple(PERIODIC_ORBITS)),),
    ),
    "pythagorean": Source(
        lambda values: pythagorean(), "masses 3, 4, 5 at rest in a 3-4-5 triangle: close encounters, then an escape"
    ),
    "random": Source(
        _random,
        "unequal masses spread over a disc or ball; N-body units",
        (_COUNT, _SEED, _whole("dim", 2, "dimensions", 2, 3), _VIRIAL),
    ),
    "plummer": Source(
        _plummer,
        "a star cluster after Plummer, 3-D, equal masses; N-body units",
        (_COUNT._replace(default=64), _SEED, _VIRIAL),
    ),
    "hierarchical-triple": Source(
        _triple,
        "a binary and a third body around it, 3-D",
        (
            _size("m1", 1.0, "first mass of the binary"),
            _mass("m2", 1.0, "second mass of the binary"),
            _mass("m3", 1.0, "mass of the outer body"),
            _eccentricity("e_in", 0.3, "inner eccentricity"),
            _size("a_in", 1.0, "inner semi-major axis"),
            _eccentricity("e_out", 0.3, "outer eccentricity"),
            _size("a_out", 10.0, "outer semi-major axis"),
            _angle("inc", 30.0, "inclination of the inner orbit to the outer one"),
            _angle("argp_in", 0.0, "argument of the inner pericentre"),
            _angle("M_in", APOCENTRE, "inner mean anomaly"),
            _angle("M_out", APOCENTRE, "outer mean anomaly"),
        ),
    ),
    "solar-system": Source(
        lambda values: solar_system(values["date"]),
        "Sun and eight planets on a date, approximate (to 0.02 au in ten years); au, solar masses, yr/2pi",
        (_DATE,),
    ),
}
