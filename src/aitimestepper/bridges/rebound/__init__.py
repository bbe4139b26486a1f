"""REBOUND: its simulations as initial conditions and back, its archives, its integrators with learned steps, and the
calibrated run as one of its integrators.

Everything goes through REBOUND's public interface; the package is optional (`pip install 'aitimestepper[rebound]'`).
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULE_OF = {
    "to_simulation": "bridges.rebound.conversion",
    "from_simulation": "bridges.rebound.conversion",
    "write_archive": "recordings.archive",
    "drive": "bridges.rebound.driving",
    "register": "bridges.rebound.registering",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'aitimestepper.bridges.rebound' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"aitimestepper.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
