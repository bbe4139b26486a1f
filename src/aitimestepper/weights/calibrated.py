"""What calibrated weights can be asked for."""

from __future__ import annotations

from aitimestepper.errors import InputError

TOLERANCES = (1e-12, 0.1)
"""That calibrated steps can be asked to keep: rounding decides below; above, no orbit is left to speak of."""

DEFAULT_TOLERANCE = 1e-8
"""Of the integrator in REBOUND where none is given; chosen, not measured."""

HEADS = tuple((integrator, order) for integrator in ("ttl", "leapfrog") for order in (2, 4, 6, 8))
"""Outputs of calibrated weights: a factor for each integrator and order."""

_ORDERS = ((5e-3, 2), (5e-5, 4), (5e-7, 6))
"""The order for tolerances from the first number on; below all of them it is 8."""


def order_for(tolerance: float) -> int:
    """The order that reaches a tolerance with the fewest force evaluations, about: the same for 2 and for 64 bodies."""
    return next((order for least, order in _ORDERS if tolerance >= least), 8)


def check_tolerance(tolerance: float) -> None:
    """Refuse a tolerance that calibrated steps cannot keep.

    Raises:
        InputError: it is out of range.
    """
    low, high = TOLERANCES
    if not low <= tolerance <= high:
        raise InputError(
            f"tolerance must be between {low:g} and {high:g}, got {tolerance:g}: calibrated steps can keep no other "
            "(below, rounding decides; for planets and less than 1e-12 take REBOUND's IAS15)"
        )
