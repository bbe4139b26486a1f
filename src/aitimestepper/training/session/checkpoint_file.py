"""Looking at a file of `torch.save` before torch does: what is read then takes no more memory than the file.

A pickle of thirty bytes can ask for 50 GB, and torch takes the sizes of tensors from the pickle without a look at the
bytes that there are. Here nothing is built: the pickle is gone through with stand-ins for all that is called in it.
"""

from __future__ import annotations

import io
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

DAMAGED = (
    *(pickle.UnpicklingError, zipfile.BadZipFile, struct.error, EOFError, OSError, NotImplementedError),
    *(LookupError, ValueError, TypeError, AttributeError, AssertionError, ArithmeticError, RuntimeError, MemoryError),
)
"""What zipfile, pickle and torch raise over bytes that are not what they should be."""

_TYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


def check_file(path: Path) -> None:
    """Refuse a file that is not whole, or whose tensors do not lie within its own bytes.

    Raises:
        UnpicklingError, and others of `DAMAGED`: says why.
    """
    with zipfile.ZipFile(path) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise pickle.UnpicklingError("compressed")
        if archive.testzip() is not None:
            raise pickle.UnpicklingError("a checksum does not fit")
        (name,) = (name for name in sizes if name.endswith("/data.pkl") or name == "data.pkl")
        _Outline(archive.read(name), name.removesuffix("data.pkl"), sizes).load()


class _Outline(pickle._Unpickler):
    """Goes through a pickle; in Python, whose memo takes no memory for a high number alone."""

    def __init__(self, content: bytes, folder: str, sizes: dict[str, int]) -> None:
        super().__init__(io.BytesIO(content))
        self._folder, self._sizes = folder, sizes

    def find_class(self, module: str, name: str) -> Any:
        """Stand-ins for what `torch.save` writes of tensors, numbers and texts."""
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _checked_tensor
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise pickle.UnpicklingError(f"{module}.{name} is no part of a checkpoint")

    def persistent_load(self, saved: Any) -> int:
        """The elements of a storage, which must be there."""
        kind, dtype, key, location, count = saved
        stored = self._sizes[f"{self._folder}data/{key}"]
        if kind != "storage" or type(location) is not str or type(count) is not int:
            raise pickle.UnpicklingError("no storage")
        if count < 0 or count * dtype.itemsize != stored:
            raise pickle.UnpicklingError(f"a storage of {count} elements in {stored} bytes")
        return count


def _checked_tensor(stored: int, offset: int, shape: tuple[int, ...], stride: tuple[int, ...], *_: Any) -> None:
    """A tensor that has all its elements to itself."""
    if type(offset) is not int or offset < 0 or min(shape, default=0) < 0 or min(stride, default=0) < 0:
        raise pickle.UnpicklingError("a tensor of no shape")
    if len(shape) != len(stride) or offset + math.prod(shape) > stored:
        raise pickle.UnpicklingError(f"a tensor of shape {shape} in {stored} elements")


def tensors_in(contents: Any) -> Iterator[Tensor]:
    """All tensors in nested dictionaries and lists."""
    if isinstance(contents, Tensor):
        yield contents
    elif isinstance(contents, (dict, list, tuple)):
        for part in contents.values() if isinstance(contents, dict) else contents:
            yield from tensors_in(part)
