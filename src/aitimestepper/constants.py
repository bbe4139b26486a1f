"""Numbers that stand in more than one room, each once: what it means, and where it comes from."""

from __future__ import annotations

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
