"""What leaves the program: files, which are written whole, and values as text and as JSON.

A kill at any moment leaves the old file or the new one, never half of one.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from aitimestepper.errors import OutputError, OutputExistsError
from aitimestepper.processes import temporary_for

_OF_OTHER_KINDS = (
    *(".csv", ".txt", ".dat", ".npy", ".npz", ".json", ".toml", ".html", ".pt", ".safetensors"),
    *(".png", ".pdf", ".svg", ".gif", ".mp4"),
)
"""Suffixes that programs, ours among them, take at their word."""


def write_atomically(path: Path, content: bytes | Callable[[Path], None]) -> None:
    """Write bytes, or let a function write a file at the path it is given, then rename it to `path`.

    Args:
        path: where the file is to be.
        content: what is to be in it.

    Raises:
        OutputError: the directory is missing or read-only, or the disk is full; what was there before is still there.
    """
    os.close(_replaced(path, content))


class Reservation:
    """A file that this process is to write: no other one does until this is closed, or the process ends in any way.

    A process that is killed before there is anything in the file leaves an empty one, which the next takes over. What
    stands under the name already stays until `write`.
    """

    def __init__(
        self, path: Path | str, overwrite: bool = False, content: bytes | Callable[[Path], None] | None = None
    ) -> None:
        """Take the name of an output.

        Args:
            path: the file.
            overwrite: whether it may take the place of another.
            content: as for `write`, if there is something to write already; until then a new file is empty.

        Raises:
            OutputExistsError: the file exists and `overwrite` is False; another process is writing it.
            OutputError: as for `check_output`.
        """
        check_output(path, overwrite)
        # A link's target is replaced, not the link.
        self.path = Path(os.path.realpath(path))
        self._descriptor: int | None = None
        try:
            self._descriptor = _replaced(self.path, content or b"", create=True)
        except OutputExistsError:
            self._descriptor = _taken(self.path)
            if not overwrite and os.path.getsize(self.path):  # another process was faster
                self.close()
                raise
            if content is not None:
                self.write(content)

    @classmethod
    def of_existing(cls, path: Path | str) -> Self:
        """Take a file that is to be gone on with.

        Raises:
            OutputExistsError: another process is writing it.
            OutputError: it is missing, or read-only.
        """
        reservation = cls.__new__(cls)
        reservation.path = Path(os.path.realpath(path))
        reservation._descriptor = _taken(reservation.path)
        return reservation

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, content: bytes | Callable[[Path], None]) -> Self:
        """Write the whole file, as `write_atomically` does; it stays reserved."""
        descriptor = _replaced(self.path, content)
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = descriptor
        return self

    def close(self) -> None:
        """Let others write it; where nothing has been written, the name is free again."""
        if self._descriptor is None:
            return
        if not os.fstat(self._descriptor).st_size and _is_at(self.path, self._descriptor):
            self.path.unlink()
        os.close(self._descriptor)
        self._descriptor = None


def _taken(path: Path) -> int:
    """A descriptor of the file of this name, locked; OutputExistsError where another process has it."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError as error:
            raise _unwritable(path, error) from None
        if not _locked(descriptor):
            os.close(descriptor)
            raise OutputExistsError(f"another process is writing {path}: choose another name, or wait for its end")
        if _is_at(path, descriptor):
            return descriptor
        os.close(descriptor)  # its writer has replaced it in between


def _replaced(path: Path, content: bytes | Callable[[Path], None], *, create: bool = False) -> int:
    """Write a file whole; a descriptor of it, which had been locked before it got its name.

    With `create` it takes nothing's place: of two processes only one gets the name, the other an OutputExistsError.
    """
    temporary = temporary_for(path)
    try:
        if callable(content):
            content(temporary)
        else:
            temporary.write_bytes(content)
        descriptor = os.open(temporary, os.O_RDWR)
        try:
            os.fsync(descriptor)
            _locked(descriptor)
            if not create or not _linked(temporary, path):
                os.replace(temporary, path)
        except OSError:
            os.close(descriptor)
            raise
        return descriptor
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise _unwritable(path, error) from None
    finally:
        # The directory itself may be what is missing, or a file.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_hdf5_name(path: Path | str) -> None:
    """Refuse a name for an HDF5 file, or for the archive of a recording, that says that it is something else.

    Raises:
        OutputError: its suffix is that of tables, figures or the like.
    """
    suffix = Path(path).suffix.lower()
    if suffix in _OF_OTHER_KINDS:
        raise OutputError(f"cannot write {path}: what is written is HDF5, so its name cannot end in {suffix}: take .h5")


def _linked(temporary: Path, path: Path) -> bool:
    """Give a whole file its name, unless there is one of that name; False where the name is only reserved.

    Some file systems have no links: there an empty file reserves the name for the moment until it is replaced.
    """
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY))
        return False
    return True


def _locked(descriptor: int) -> bool:
    """Whether this process has the file for itself now; also where the file system or the platform has no locks.

    The lock is that of an open file, which other files of the process that happen to be the same leave alone, and no
    `flock`, by which HDF5 would keep readers away.
    """
    if sys.platform != "linux":
        return True
    import fcntl

    whole = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, whole)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN)
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the name is still that of an open file."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def check_output(path: Path | str, overwrite: bool) -> None:
    """Refuse an output that cannot be written, before any work is done for it.

    Raises:
        OutputExistsError: the file exists, is not empty, and `overwrite` is False.
        OutputError: its directory is missing or read-only, or the name is that of something else than a file.
    """
    if os.path.basename(path) in ("", os.curdir, os.pardir):
        raise OutputError(f"cannot write {path}: it names a directory, not a file in it")
    path = Path(path)
    if os.path.lexists(path):
        if path.exists() and not path.is_file():
            raise OutputError(f"cannot write {path}: it exists and is not a regular file")
        if not overwrite and (path.is_symlink() or path.stat().st_size):
            raise _exists(path)
    directory = path.parent
    if not directory.is_dir():
        raise OutputError(f"cannot write {path}: there is no directory {directory}")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {path}: the directory {directory} is read-only")


def _exists(path: Path) -> OutputExistsError:
    return OutputExistsError(f"{path} exists already: choose another name, or set overwrite to replace it")


def _unwritable(path: Path, error: OSError) -> OutputError:
    return OutputError(f"cannot write {path}: {error.strerror or error}")


def finite(value: Any) -> Any:
    """Nested lists and dictionaries as JSON has them; a number that is not finite is None."""
    if isinstance(value, dict):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def spelled(value: Any, digits: int = 6, *, between: str = " ") -> str:
    """A value as a person reads it; of a list its items."""
    if isinstance(value, (list, tuple)):
        return between.join(spelled(item, digits) for item in value)
    return f"{value:.{digits}g}" if isinstance(value, float) else str(value)
