"""Who is at work on which trial: a small file for each, which its process touches while it lives.

A killed process leaves its trial running for ever. On the machine it ran on, the process table tells; from any other,
the age of the file does. Ages are differences of times that the file system itself has set, so the clocks of the
machines need not agree.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
from pathlib import Path

from aitimestepper.processes import is_running, machine

BEAT = 15.0
"""Seconds between two touches."""

SILENCE = 180.0
"""Seconds without a touch after which a process counts as dead: network file systems show times up to a minute late."""


class Claim:
    """This process works on a trial; a thread touches the file until `release`."""

    def __init__(self, directory: Path, number: int) -> None:
        self._path = _path(directory, number)
        directory.mkdir(exist_ok=True)
        self._path.write_text(json.dumps({"machine": machine(), "pid": os.getpid()}), encoding="utf-8")
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()

    def release(self) -> None:
        """The trial is over, in whatever way."""
        self._over.set()
        self._thread.join()
        self._path.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            with contextlib.suppress(OSError):  # a file system that is away for a moment
                os.utime(self._path)


def is_dead(directory: Path, number: int) -> bool:
    """Whether the process that claimed a trial has ended without a word; to be asked under the lock of the study."""
    path = _path(directory, number)
    try:
        claim = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return True  # it ended before it could write it, or after it took it away
    except ValueError:
        claim = {}
    if claim.get("machine") == machine() and not is_running(claim["pid"]):
        return True
    return _now(directory) - path.stat().st_mtime > SILENCE


def forget(directory: Path, number: int) -> None:
    """Take the file of a dead process away."""
    _path(directory, number).unlink(missing_ok=True)


def _path(directory: Path, number: int) -> Path:
    return directory / f"{number:04d}.json"


def _now(directory: Path) -> float:
    """The time by the clock of the file system."""
    clock = directory / "clock"
    clock.write_bytes(b"")
    os.utime(clock)
    return clock.stat().st_mtime
