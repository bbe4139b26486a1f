"""What leaves the program: files, which are written whole, and values as text and as JSON.

A kill at any moment leaves the old file or the new one, never half of one.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aitimestepper.errors import OutputError, OutputExistsError

_OF_OTHER_KINDS = (
    *(".csv", ".txt", ".dat", ".npy", ".npz", ".json", ".toml", ".html", ".pt", ".safetensors"),
    *(".png", ".pdf", ".svg", ".gif", ".mp4"),
)
"""Suffixes that programs, ours among them, take at their word."""


def write_atomically(path: Path, content: bytes | Callable[[Path], None], *, replace: bool = True) -> None:
    """Write bytes, or let a function write a file at the path it is given, then rename it to `path`.

    Args:
        path: where the file is to be.
        content: what is to be in it.
        replace: whether it may take the place of another; if not, of two processes only one gets the name.

    Raises:
        OutputExistsError: there is one already, and `replace` is False.
        OutputError: the directory is missing or read-only, or the disk is full; what was there before is still there.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if callable(content):
            content(temporary)
        else:
            temporary.write_bytes(content)
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())
        if replace or not _linked(temporary, path):
            os.replace(temporary, path)
    except FileExistsError:
        raise _exists(path) from None
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        # The directory itself may be what is missing, or a file.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def check_output(path: Path | str, overwrite: bool) -> None:
    """Refuse an output that cannot be written, before any work is done for it.

    Raises:
        OutputExistsError: the file exists and `overwrite` is False.
        OutputError: its directory is missing or read-only, or the name is that of something else than a file.
    """
    if os.path.basename(path) in ("", os.curdir, os.pardir):
        raise OutputError(f"cannot write {path}: it names a directory, not a file in it")
    path = Path(path)
    if os.path.lexists(path):
        if path.exists() and not path.is_file():
            raise OutputError(f"cannot write {path}: it exists and is not a regular file")
        if not overwrite:
            raise _exists(path)
    directory = path.parent
    if not directory.is_dir():
        raise OutputError(f"cannot write {path}: there is no directory {directory}")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {path}: the directory {directory} is read-only")


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


def _exists(path: Path) -> OutputExistsError:
    return OutputExistsError(f"{path} exists already: choose another name, or --overwrite to replace it")


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
