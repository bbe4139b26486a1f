"""How the functions of the engine are compiled, and when what has been compiled is out of date.

numba keeps compiled functions beside their source and compiles anew where that one file has changed; what a function
calls from other files it does not see. So each cache is stamped with a digest of all files that compiled functions
may reach: after any change in one of them, all are compiled anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from llvmlite import ir
from numba import njit, types
from numba.core import ccallback, sigutils
from numba.extending import intrinsic, register_jitable

_PACKAGE = Path(__file__).parents[1]
_REACHED = ("constants.py", "engine", "bridges/rebound")
"""Files and folders of the package from which compiled functions take code or numbers."""


def _digest_of_sources() -> str:
    """SHA-256 of all that compiled functions may reach; about 3 ms."""
    found = hashlib.sha256()
    for name in _REACHED:
        source = _PACKAGE / name
        for path in sorted(source.rglob("*.py")) if source.is_dir() else [source]:
            found.update(f"{path.relative_to(_PACKAGE)}\n".encode())
            found.update(path.read_bytes())
    return found.hexdigest()


_STAMP = _digest_of_sources()


def _stamped(made: Any, also: str) -> Any:
    """Let the cache of a compiled function be valid for these sources only.

    The stamp is a private attribute of numba, in which it keeps time and size of the one source file; a test changes a
    called file in a copy of the package and expects to see it.
    """
    made._cache._cache_file._source_stamp = _STAMP + also
    return made


def compiler(also: str = "", **options: Any) -> Callable[[Any], Any]:
    """The decorator that compiles with these options.

    Args:
        also: what the functions depend on beside the sources; they are compiled anew where it is another.
        options: of numba.
    """
    compile_function = njit(cache=True, nogil=True, error_model="numpy", **options)
    return lambda function: _stamped(compile_function(function), also)


compiled = compiler()
"""Strict floating point; a division by zero gives infinity instead of an exception."""

compiled_sums = compiler(fastmath={"reassoc", "contract"})
"""The same, but sums may be taken in another order, which the processor's vector units need.

Neither NaN nor infinity is assumed away. The order is the same in every run on one kind of machine, whatever the
number of threads.
"""

compiled_fused = compiler(fastmath={"contract"})
"""Strict but for products that are added without rounding: for code that relies on the order of its sums."""

inlined = compiler(inline="always")
"""For helpers of one line: a call, however short, would keep the loops around it from being vectorised."""


plain = register_jitable(inline="always")
"""For helpers of one line that Python calls too: there they stay what they are, and a view is no copy."""


def callback(signature: Any, also: str = "") -> Callable[[Any], Any]:
    """The decorator that compiles a function to be called from C; its `address` is what C calls."""

    def compile_function(function: Any) -> Any:
        made = ccallback.CFunc(function, sigutils.normalize_signature(signature), locals={}, options={})
        made.enable_caching()
        _stamped(made, also).compile()  # numba's own decorator compiles before a stamp could be put
        return made

    return compile_function


def _as_any(function: Any) -> Any:
    """For the type checker, which takes an intrinsic for a function of the typing context."""
    return function


# Flags of their own keep what follows from being taken for sums whose order does not matter.
_STRICT = ("contract",)


@_as_any
@intrinsic
def plus(_: Any, a: Any, b: Any) -> Any:
    """a + b, rounded as it stands in whatever way the function around it is compiled."""

    def generate(__: Any, builder: Any, ___: Any, arguments: Any) -> Any:
        return builder.fadd(*arguments, flags=_STRICT)

    return types.float64(types.float64, types.float64), generate


@_as_any
@intrinsic
def lost(_: Any, a: Any, b: Any, total: Any) -> Any:
    """What rounding has taken from a + b = total, with |a| > |b|: b - (total - a), as `plus` is rounded.

    Source: Dekker 1971, Numer. Math. 18, 224. Where |b| is larger it is so up to a rounding of b.
    """

    def generate(__: Any, builder: Any, ___: Any, arguments: Any) -> Any:
        a, b, total = arguments
        return builder.fsub(b, builder.fsub(total, a, flags=_STRICT), flags=_STRICT)

    return types.float64(types.float64, types.float64, types.float64), generate


@_as_any
@intrinsic
def apart(_: Any, a: Any, b: Any, a_low: Any, b_low: Any) -> Any:
    """a - b of numbers with low parts: (a - b) + (a_low - b_low), as `plus` is rounded."""

    def generate(__: Any, builder: Any, ___: Any, arguments: Any) -> Any:
        a, b, a_low, b_low = arguments
        high, low = builder.fsub(a, b, flags=_STRICT), builder.fsub(a_low, b_low, flags=_STRICT)
        return builder.fadd(high, low, flags=_STRICT)

    return types.float64(types.float64, types.float64, types.float64, types.float64), generate


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
