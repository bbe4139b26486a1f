"""How the functions of the engine are compiled."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

_COMMON: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}

compiled = njit(**_COMMON)
"""Strict floating point; a division by zero gives infinity instead of an exception."""

compiled_sums = njit(**_COMMON, fastmath={"reassoc", "contract"})
"""The same, but sums may be taken in another order, which the processor's vector units need.

Neither NaN nor infinity is assumed away. The order is the same in every run on one kind of machine, whatever the
number of threads.
"""

compiled_fused = njit(**_COMMON, fastmath={"contract"})
"""Strict but for products that are added without rounding: for code that relies on the order of its sums."""

inlined = njit(**_COMMON, inline="always")
"""For helpers of one line: a call, however short, would keep the loops around it from being vectorised."""


def _as_any(function: Any) -> Any:
    """For the type checker, which takes an intrinsic for a function of the typing context."""
    return function


@_as_any
@intrinsic
def bits_of(_: Any, number: Any) -> Any:
    """The 64 bits of a float as an integer: no instruction at all, where a view of an array needs a second loop."""

    def generate(__: Any, builder: Any, ___: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), generate


@_as_any
@intrinsic
def float_of(_: Any, bits: Any) -> Any:
    """The float that 64 bits stand for."""

    def generate(__: Any, builder: Any, ___: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate
