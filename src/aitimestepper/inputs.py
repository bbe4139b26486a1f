"""What comes in: regular files only, and not more of them than they are for."""

from __future__ import annotations

import errno
import stat
from pathlib import Path

TEXT = 1_000_000
"""Bytes of a file that a person writes: a configuration is a thousandth of it."""

TABLE = 100_000_000
"""Bytes of a table of bodies: 700,000 of them in three dimensions, with all digits."""

ARRAY = 256_000_000
"""Bytes of an array of bodies: four million of them in three dimensions."""

ARCHIVE = 1_000_000_000
"""Bytes of a REBOUND archive, all of which its reader takes into memory: seven million bodies, in all snapshots."""

RECORDS = 256_000_000
"""Bytes of the records that a program writes line by line: a million epochs of a training, or trials of a sweep."""

WEIGHTS = 256_000_000
"""Bytes of a model file: four layers of 2,000 by 2,000; the calibrated weights have 30,000."""


def size_of(path: Path) -> int:
    """Bytes of a regular file. Others are not even opened: a FIFO would wait, a device may have no end.

    Raises:
        OSError: there is none, or it is something else; `strerror` says so.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    return status.st_size


def check_size(path: Path, most: int) -> None:
    """Refuse what is no regular file, or has more than `most` bytes.

    Raises:
        OSError: says so in its `strerror`.
    """
    if size_of(path) > most:
        raise OSError(errno.EFBIG, f"it has more than {most / 1e6:g} MB", str(path))


def content_of(path: Path, most: int) -> bytes:
    """All of a regular file that has at most `most` bytes.

    Raises:
        OSError: it cannot be read, is no regular file, or is larger; `strerror` says so.
    """
    check_size(path, most)
    with path.open("rb") as stream:
        return stream.read(most)
