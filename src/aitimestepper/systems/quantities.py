"""Quantities that come in as numbers with units: converted or refused, never stripped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from aitimestepper.errors import InitialConditionsError
from aitimestepper.systems.units import DIMENSIONS, Units


def is_quantity(value: Any) -> bool:
    """Whether something has a unit: a quantity of astropy, pint, unyt or AMUSE."""
    return hasattr(value, "unit") or hasattr(value, "units")


def without_units(
    values: Mapping[str, Any], units: Sequence[str] | Units | None
) -> tuple[Units | None, dict[str, Any]]:
    """Bare numbers, and what they are in: the units that are given, or else those of the quantities themselves.

    Args:
        values: by the names of `DIMENSIONS`; all of mass, position and velocity are quantities, or none.
        units: names of the units of bare numbers, or those that quantities become.

    Raises:
        InitialConditionsError: some are quantities and others are not; a unit is not known, or of another dimension.
    """
    agreed = None if units is None else Units.of(units)
    quantities = {name: value for name, value in values.items() if is_quantity(value)}
    if not quantities:
        return agreed, dict(values)
    for name in ("mass", "position", "velocity"):
        if name not in quantities:
            raise InitialConditionsError(
                f"{', '.join(quantities)} has a unit, and {name} is a bare number: give all units"
            )
    if agreed is None:
        agreed = Units.of([str(quantities[name].unit).replace(" ", "") for name in ("position", "velocity", "mass")])
    bare = {name: agreed.number(name, value, DIMENSIONS[name]) for name, value in quantities.items()}
    return agreed, {
        **values,
        **{name: np.array(value) if np.ndim(value) else float(value) for name, value in bare.items()},
    }
