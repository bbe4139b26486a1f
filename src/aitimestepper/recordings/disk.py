"""A file on disk for HDF5 to write into."""

from __future__ import annotations

import io
from typing import Any


class Disk(io.FileIO):
    """A file for HDF5 to write into that never fails before its eyes: the library does not survive that.

    From the first failure on nothing more is written, so that the file is what a kill at that moment would have left.
    """

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write all of it, unless something has failed."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while len(rest) and self.failure is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = error
        return size

    def truncate(self, size: int | None = None, /) -> int:
        """Cut or extend, unless something has failed."""
        try:
            return super().truncate(size) if self.failure is None else self.tell()
        except OSError as error:
            self.failure = error
            return self.tell()
