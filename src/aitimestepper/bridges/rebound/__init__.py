"""REBOUND: its simulations as initial conditions and back, its archives, its integrators with learned steps, and the
calibrated run as one of its integrators.

Everything goes through REBOUND's public interface; the package is optional (`pip install 'aitimestepper[rebound]'`).
"""

from __future__ import annotations

import importlib
from typing import Any

_MODULE_OF = {
    "to_simulation": "conversion",
    "from_simulation": "conversion",
    "write_archive": "archive",
    "drive": "driving",
    "register": "registering",
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'aitimestepper.bridges.rebound' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
