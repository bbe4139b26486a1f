"""HDF5 files that come in: everything is looked at before it is read.

Two kilobytes can describe arrays of gigabytes, name other files and devices as the place of an array, or have the
library go round in a circle. So only numbers and texts are taken, only from this very file, and only as many as a file
of its size can have. Nothing is said here of what the numbers mean.
"""

from __future__ import annotations

import contextlib
import math
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from aitimestepper.inputs import size_of

DAMAGED = (
    *(OSError, LookupError, ValueError, TypeError, AttributeError, AssertionError),
    *(RuntimeError, ArithmeticError, MemoryError),
)
"""What h5py, json and conversions raise over bytes that are not what they should be."""

ROOM = 2**26
"""Bytes that may be taken from any file: 64 MiB."""

RATIO = 30
"""And for each of its bytes. Compressed (gzip, shuffled), recordings of 50 periods have 2.3, equal masses at rest
in single precision 4.6; a lattice at rest 140, which has a million bodies before it exceeds the room; zeros 1,000."""

MOST_OF_AN_ATTRIBUTE = 2**20
_TEXTS_AT_ONCE = 256

_HEAP = b"GCOL\x01"
"""Mark and version of a global heap, in which texts of any length stand (HDF5 file format, III.E)."""
_HEAP_HEADER = _OBJECT_HEADER = 16


class Content:
    """A file that is open, with as much of the interface of `h5py.File` as reading needs.

    Attributes:
        attrs: the attributes of the file.
    """

    def __init__(self, file: Any, path: Path) -> None:
        self._file, self._path = file, path
        self._left = ROOM + RATIO * size_of(path)
        self._found: dict[str, Any] = {}
        self._heaps_are_sound = False
        self.attrs = Attributes(self, file)

    def get(self, name: str) -> Any:
        """The dataset of a name, or None where there is none.

        Raises:
            ValueError, and others of `DAMAGED`: it is not what may be read.
        """
        if name not in self._found:
            found = self._file
            for part in name.split("/"):
                found = _linked(found, part)
                if found is None:
                    return None
            self._found[name] = self._checked(name, found)
        return self._found[name]

    def __getitem__(self, name: str) -> Any:
        found = self.get(name)
        if found is None:
            raise KeyError(f"there is no {name}")
        return found

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def texts(self, name: str) -> tuple[str, ...]:
        """The texts in a dataset of one axis; of a file that has none, no text."""
        dataset = self.get(name)
        if dataset is None:
            return ()
        if dataset.ndim != 1:
            raise ValueError(f"{name} should be a list of texts")
        found: list[str] = []
        for start in range(0, len(dataset), _TEXTS_AT_ONCE):
            # Texts of any length may all be one and the same long one.
            some = list(dataset.asstr(errors="replace")[start : start + _TEXTS_AT_ONCE])
            self._take(name, sum(map(len, some)))
            found += some
        return tuple(found)

    def attributes_of(self, name: str) -> Attributes:
        """The attributes of a dataset."""
        return Attributes(self, self[name])

    def check_type(self, name: str, dtype: Any) -> None:
        """Refuse what is neither numbers nor texts, and texts that would not be found in sound heaps."""
        import h5py

        text = h5py.check_string_dtype(dtype)
        if text is None and dtype.kind not in "fiu":
            raise ValueError(f"{name} should be numbers or text, not {str(dtype)[:40]}")
        if text is not None and text.length is None and not self._heaps_are_sound:
            _check_heaps(self._path)
            self._heaps_are_sound = True

    def _checked(self, name: str, found: Any) -> Any:
        import h5py

        if not isinstance(found, h5py.Dataset):
            raise ValueError(f"{name} should be a dataset")
        self.check_type(name, found.dtype)
        if found.is_virtual or found.id.get_create_plist().get_external_count():
            raise ValueError(f"{name} stands in another file")
        if found.shape is None:
            raise ValueError(f"{name} is empty")
        size = max(math.prod(found.shape), math.prod(found.chunks or ())) * found.dtype.itemsize
        # The file may have been made long by a hole in it. Of a small array that is not asked: where a writer was
        # killed in its first block, the index of what is stored cannot be read, and no row of it counts.
        if size > ROOM and size > ROOM + RATIO * found.id.get_storage_size():
            raise ValueError(f"{name} is larger than what is stored of it")
        self._take(name, size)
        return found

    def _take(self, name: str, size: int) -> None:
        self._left -= size
        if self._left < 0:
            raise ValueError(f"{name} is larger than what a file of this size holds")


class Attributes:
    """Attributes of an object in a file."""

    def __init__(self, content: Content, owner: Any) -> None:
        self._content, self._attributes = content, owner.attrs

    def get(self, name: str, default: Any = None) -> Any:
        """A number, an array or a text; the default where there is none of the name.

        Raises:
            ValueError, and others of `DAMAGED`: it is not what may be read.
        """
        if name not in self._attributes:
            return default
        found = self._attributes.get_id(name)
        self._content.check_type(name, found.dtype)
        if found.shape is None or math.prod(found.shape) * found.dtype.itemsize > MOST_OF_AN_ATTRIBUTE:
            raise ValueError(f"the attribute {name} is empty or too large")
        value = self._attributes[name]
        return value.decode() if isinstance(value, bytes) else value

    def __getitem__(self, name: str) -> Any:
        value = self.get(name)
        if value is None:
            raise KeyError(f"there is no attribute {name}")
        return value


@contextlib.contextmanager
def opened(path: Path) -> Iterator[Content]:
    """A file to read from.

    Raises:
        OSError: it cannot be read, or is no HDF5 file.
    """
    import h5py

    size_of(path)
    with h5py.File(path, "r", locking=False) as file:
        yield Content(file, path)


def _linked(group: Any, name: str) -> Any:
    """What stands in a group under a name by itself, None if nothing does; links to elsewhere are not followed."""
    import h5py

    if not isinstance(group, h5py.Group) or not group.id.links.exists(name.encode()):
        return None
    if group.id.links.get_info(name.encode()).type != h5py.h5l.TYPE_HARD:
        raise ValueError(f"{name} is a link to elsewhere")
    return group[name]


def _check_heaps(path: Path) -> None:
    """Refuse a file whose global heaps the library would not come out of: it follows their sizes without a look."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
        begin = content.find(_HEAP)
        while begin >= 0:
            end = begin + _number(content, begin + 8, 8)
            place = begin + _HEAP_HEADER
            while end - place >= _OBJECT_HEADER:
                size = _number(content, place + 8, 8)
                is_object = _number(content, place, 2) > 0
                # Of what is free the size has the header in it.
                needed = _OBJECT_HEADER + -(-size // 8) * 8 if is_object else size
                if not _OBJECT_HEADER <= needed <= end - place:
                    raise ValueError("a text in it is damaged")
                place += needed
            if not begin + _HEAP_HEADER <= end <= len(content):
                raise ValueError("a text in it is damaged")
            begin = content.find(_HEAP, begin + 1)


def _number(content: mmap.mmap, place: int, size: int) -> int:
    return int.from_bytes(content[place : place + size], "little")
