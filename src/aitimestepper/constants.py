"""Numbers that stand in more than one room, each once: what it means, and where it comes from."""

from __future__ import annotations

ANCHOR, SETBACK, EXCUSED, NETWORK, LONGER = range(5)
"""Events of a calibrated run: an anchor; a return to it; a return after which the error is accepted, since shorter
steps have not helped; another step of the network; longer steps after small errors."""

TRAITS = 22
"""Numbers that describe a state to calibrated weights, see `engine.features.description`."""

ENERGY_ERROR_ORDER = 3
"""The energy error of one step of the leapfrog, on which networks are trained, grows with dt^3: its own order is 2."""

DT_FLOOR = 1e-12
"""Added to the step that a network gives (specification, section 3): no step is zero."""

SLOWEST_TURN = 0.3
"""Least part of the wanted rate that the reversible recursion may give: it overshoots where steps change by thirds."""

PARABOLIC = 1e-3
"""Where |E| is below this part of kinetic + |potential| energy, the two cancel, and |E| is no scale for errors."""

ENERGY_FLOOR = 1e-12
"""Pushes an energy away from zero where errors are divided by it (specification): absolute, so that a training asks for
energies of 1e-10 at least. Larger, it would hide errors of weakly bound systems; smaller, it would not protect."""

SMALLEST_ERROR = 1e-17
"""Logarithms of errors end here: a tenth of the rounding of one addition, below which no difference means anything."""

ECCENTRICITY_FLOOR, VIRIAL_FLOOR, RADIAL_FLOOR = 1e-4, 1e-2, 1e-6
"""Added to ratios of the `invariant` features before their logarithm, so that circles, bodies at rest and motion across
the line of sight give finite numbers. Chosen, not measured; they are part of every trained network's input."""

ROUNDING = 1e-14
"""Relative energy errors below this are rounding, whose derivative says nothing: about fifty roundings."""

NEAR_LIMIT = 0.8
"""From this part of the longest allowed step on, an energy error below the band is no reason to lengthen the step.

Where many bodies share the energy, the limit of the tightest pair is reached before the band is.
"""

STEEPEST = 2.0 * ENERGY_ERROR_ORDER
"""Largest |d log(error) / d log(dt)| that a loss may use: twice the order.

Where the energy error happens to cross zero its logarithm is infinitely steep, and one such state would outweigh a
whole minibatch. Chosen, not measured: half of it is the slope of the law itself, which would leave no room.
"""
