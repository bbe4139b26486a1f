"""Memory that belongs to others, as arrays: for compiled code that is called from C and gets addresses alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, types
from numba.extending import intrinsic
from numba.np.numpy_support import from_dtype

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import inlined

allocated: Any = types.ExternalFunction("calloc", types.intp(types.intp, types.intp))
"""The address of so many zeroed items of so many bytes; 0 if there is no room."""

released: Any = types.ExternalFunction("free", types.void(types.intp))
"""Gives back what `allocated` gave; 0 is nothing."""


def pointer_to(dtype: Any) -> Any:
    """The intrinsic that takes an address for that of numbers, or of records, of a kind."""
    kind = from_dtype(np.dtype(dtype))

    @intrinsic
    def pointer(_: Any, address: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], ir.PointerType(context.get_data_type(kind)))

        return types.CPointer(kind)(types.intp), generate

    return pointer


_floats = pointer_to(np.float64)


@inlined
def floats_at(address: int, size: int) -> Floats:
    """So many floats from an address on; not a copy."""
    return carray(_floats(address), (size,))
