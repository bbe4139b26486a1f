"""Writing files so that a kill at any moment leaves the old one or the new one, never half of one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path

from aitimestepper.errors import OutputError


def write_atomically(path: Path, content: bytes | Callable[[Path], None]) -> None:
    """Write bytes, or let a function write a file at the path it is given, then rename it to `path`.

    Raises:
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
        os.replace(temporary, path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        # The directory itself may be what is missing, or a file.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
