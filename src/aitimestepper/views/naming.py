"""Names of several runs in one figure: what was asked of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_ASKED = ("ic", "integrator", "order", "timestep", "tolerance", "eta", "dt", "h", "model", "guard", "seed", "softening")
"""Settings that tell runs apart, in the order in which they are named."""

_BY_VALUE = ("ic", "integrator", "timestep")
"""Those whose value says what it is of."""


def names_by_settings(settings: Sequence[Mapping[str, Any]]) -> list[str] | None:
    """A name for each run from the settings in which they differ; None where that does not tell them apart."""
    different = [key for key in _ASKED if len({str(each.get(key)) for each in settings}) > 1]
    names = [", ".join(_part(key, each[key]) for key in different if each.get(key) is not None) for each in settings]
    return names if all(names) and len(set(names)) == len(names) else None


def _part(key: str, value: Any) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if key in _BY_VALUE else f"{key} {text}"
