"""Which process a file belongs to, and whether that one still lives."""

from __future__ import annotations

import contextlib
import os
import platform
import zlib
from functools import cache
from pathlib import Path


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
