"""How the steps of `wisdom_holman` are put together: the plain one, the corrected one, and SABA(10,6,4)."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.physics.coordinates import JACOBI


class Splitting(NamedTuple):
    """How a step is made.

    Attributes:
        coordinates: JACOBI or HELIOCENTRIC.
        drifts, kicks: (s,) fractions of the step, a drift before each kick.
        lead: fraction by which a state between steps lies behind its time, half of the first drift.
        corrector: (m,) kicks of the corrector at m SPACING, ..., SPACING steps before and after a state; (0,) for none.
    """

    coordinates: int
    drifts: Floats
    kicks: Floats
    lead: float
    corrector: Floats


SPACING = math.sqrt(7.0 / 40.0)
"""Of the corrector, in steps: the choice of Wisdom 2006 (AJ 131, 2294), with small kicks."""

CORRECTOR_17 = np.array([
    -0.1861122075428519, 0.1303857271527558, -0.06484439772942716, 0.024143521644684585,
    -0.006626515413876131, 0.0012719996615163532, -0.00015287271045587148, 8.669483094674716e-06,
])  # fmt: skip
"""b_1 to b_8 of the corrector of order 17: 2 sum b_k sinh(k SPACING x) = ((x/2) / sinh(x/2) - 1) / x + O(x^17), x being
the step times the Lie derivative along Kepler orbits: to first order in the masses of the planets the corrected step is
exact to this order. Computed from this condition. They are twice those of Wisdom 2006 and Rein & Tamayo 2015, whose
corrector has two kicks for each of them."""


def _saba(drifts: tuple[float, ...], kicks: tuple[float, ...], coordinates: int) -> Splitting:
    """From the first half of a palindrome that begins with a drift; the last drift stands in the middle."""
    whole = np.array([2.0 * drifts[0], *drifts[1:], *reversed(drifts[1:-1])])
    return Splitting(coordinates, whole, np.array([*kicks, *reversed(kicks)]), drifts[0], np.zeros(0))


KINDS = ("plain", "corrected", "saba")


def splitting_of(kind: str, coordinates: int) -> Splitting:
    """The split that a name stands for.

    Args:
        kind: plain, corrected (order 17 in the masses of the planets) or saba, SABA(10,6,4): Blanes et al. 2013, Appl.
            Numer. Math. 68, 58, table 3.
        coordinates: JACOBI or HELIOCENTRIC.
    """
    if kind == "saba":
        return _saba(
            (
                *(0.03809449742241219545697532230863756534060, 0.1452987161169137492940200726606637497442),
                *(0.2076276957255412507162056113249882065158, 0.4359097036515261592231548624010651844006),
                -0.6538612258327867093807117373907094120024,
            ),
            (
                *(0.09585888083707521061077150377145884776921, 0.2044461531429987806805077839164344779763),
                *(0.2170703479789911017143385924306336714532, -0.01737538195906509300561788011852699719871),
            ),
            coordinates,
        )
    corrector = CORRECTOR_17 if kind == "corrected" else np.zeros(0)
    return Splitting(coordinates, np.ones(1), np.ones(1), 0.5, corrector)


NO_SPLITTING = splitting_of("plain", JACOBI)
