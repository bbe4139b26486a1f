"""A user's criterion as the address of a compiled function: any of them fits the same compiled loop."""

from __future__ import annotations

import ctypes
from typing import Any

from numba import cfunc, float64
from numba.core.types import WrapperAddressProtocol

_SIGNATURE = float64(float64[::1], float64[::1, :], float64[::1, :], float64[::1, :], float64, float64)


class OwnCriterion(WrapperAddressProtocol):
    """A user's criterion as the address of a compiled function: any of them fits the same compiled loop."""

    def __init__(self, function: Any = None) -> None:
        if function is None:  # any address that is not null; it is never called
            self._address = ctypes.cast(ctypes.pythonapi.Py_IsInitialized, ctypes.c_void_p).value
        else:
            self._compiled = cfunc(_SIGNATURE)(getattr(function, "py_func", function))
            self._address = self._compiled.address

    def __wrapper_address__(self) -> Any:
        """Where the code is."""
        return self._address

    def signature(self) -> Any:
        """What it takes and returns."""
        return _SIGNATURE
