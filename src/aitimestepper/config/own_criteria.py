"""Criteria that users bring: their names, known before anything is compiled."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from aitimestepper.errors import InputError
from aitimestepper.names import TIMESTEPS

_REGISTERED: dict[str, Callable[..., float]] = {}


def register_criterion(name: str, function: Callable[..., float]) -> None:
    """Make a step criterion of your own known as `timestep = name`.

    Args:
        name: letters, digits and hyphens; not that of a built-in criterion.
        function: `function(mass, position, velocity, acceleration, softening, G)`, with arrays (N,) and three times
            (N, 3), returns a time scale > 0 (infinite where nothing bounds the step). The step is `eta` times it. It
            is compiled by numba, so it may use only what numba knows; a function that numba has compiled is fine. It
            should be even in the velocities, or the reversible recursion is not reversible.

    Raises:
        InputError: the name is taken by a built-in criterion or has other characters.
    """
    if name in TIMESTEPS or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", name):
        raise InputError(f"a criterion's name has letters, digits and hyphens and is none of {', '.join(TIMESTEPS)}")
    _REGISTERED[name] = function


def registered_criteria() -> tuple[str, ...]:
    """The names that have been registered."""
    return tuple(_REGISTERED)


def criterion_named(name: str) -> Any:
    """The function that was registered under a name."""
    return _REGISTERED[name]
