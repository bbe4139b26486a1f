"""Which process a file belongs to, whether that one still lives, and the names of files that are not finished."""

from __future__ import annotations

import contextlib
import os
import platform
import re
import shutil
import time
import zlib
from functools import cache
from pathlib import Path

_TEMPORARY = re.compile(r"\..+\.\d+-[0-9a-f]{8}\.tmp")

_SECONDS_OF_A_WRITE = 3600.0
"""Age from which on a file is taken for left behind by a process of another machine: a write takes seconds."""


@cache
def machine() -> str:
    """What two processes have in common that see each other's ids: the host, its boot, and the space of the ids."""
    words = [platform.node()]
    with contextlib.suppress(OSError):
        words.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip())
        words.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(words)


def is_running(pid: int) -> bool:
    """Whether there is a process of this id on this machine."""
    if os.name == "nt":  # there, os.kill would end it
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def own_name() -> str:
    """This process in the name of a file: its id, and a digest of its machine."""
    return f"{os.getpid()}-{zlib.crc32(machine().encode()):08x}"


def lives(name: str) -> bool | None:
    """Whether the process of an `own_name` does; None where it is of another machine."""
    pid, _, place = name.partition("-")
    return is_running(int(pid)) if place == own_name().partition("-")[2] else None


def temporary_for(path: Path) -> Path:
    """Where to make a file or a directory before it gets its name; what dead processes left beside it is removed."""
    with contextlib.suppress(OSError):  # such as a directory that is missing: whoever writes there says so
        for entry in path.parent.iterdir():
            if is_temporary(entry) and _is_left_over(entry):
                _remove(entry)
    return path.with_name(f".{path.name}.{own_name()}.tmp")


def is_temporary(path: Path) -> bool:
    """Whether a file or directory has the name of one that has not got its own yet."""
    return _TEMPORARY.fullmatch(path.name) is not None


def _is_left_over(temporary: Path) -> bool:
    alive = lives(temporary.name.split(".")[-2])
    return time.time() - temporary.stat().st_mtime > _SECONDS_OF_A_WRITE if alive is None else not alive


def _remove(temporary: Path) -> None:
    if temporary.is_dir():
        shutil.rmtree(temporary, ignore_errors=True)
    else:
        temporary.unlink()
