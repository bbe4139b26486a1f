"""A program that damages a file again and again and has it read, each time in a process of its own.

python -m tests.fuzzing.attempts VICTIM SEED COUNT prints one JSON object: how many attempts ended with which exit code,
and what went wrong. The processes are forks of one that has everything loaded, so each takes a fraction of a second.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

import numpy as np
from tests.fuzzing.mutations import damage
from tests.fuzzing.victims import VICTIMS, make, run

SECONDS = 60.0
"""After which an attempt counts as hanging; sound files take less than two."""

MEMORY = 2**30
"""Bytes that an attempt may take beyond those of the process that it comes from."""


def main(name: str, seed: int, count: int) -> None:
    """Attempt, and print what came of it."""
    victim = VICTIMS[name]
    folder = Path(tempfile.mkdtemp())
    codes: Counter[int] = Counter()
    failures = []
    most = 0
    try:
        os.chdir(_new(folder / "sound"))
        make(name)
        for number, words in enumerate(victim.commands):  # what is loaded and compiled now need not be later
            os.chdir(shutil.copytree(folder / "sound", folder / f"try{number}"))
            code, _, _ = _attempt(words)
            assert code in (0, 2), (words, code)
            _quietly(words)
        base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        for number in range(count):
            work = folder / "work"
            shutil.copytree(folder / "sound", work)
            os.chdir(work)
            damage(work / victim.file, np.random.default_rng([seed, number]))
            words = victim.commands[number % len(victim.commands)]
            code, text, memory = _attempt(words)
            codes[code] += 1
            most = max(most, memory - base)
            if code not in (0, 2, 3) or "Traceback" in text or memory - base > MEMORY:
                kept = Path(tempfile.gettempdir()) / f"{name}-{seed}-{number}{Path(victim.file).suffix}"
                failures.append([number, words, code, memory - base, text[-600:]])
                if os.environ.get("KEEP_DAMAGED"):
                    shutil.copy(work / victim.file, kept)
            os.chdir(folder)
            shutil.rmtree(work)
    finally:
        os.chdir("/")
        shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps({"codes": codes, "most": most, "failures": failures}))


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _quietly(words: list[str]) -> None:
    with open(os.devnull, "w") as nowhere:
        out, err = sys.stdout, sys.stderr
        sys.stdout = sys.stderr = nowhere
        try:
            run(words)
        finally:
            sys.stdout, sys.stderr = out, err


def _attempt(words: list[str]) -> tuple[int, str, int]:
    """Exit code (-9 for one that had to be killed), standard error, and the most memory that it had."""
    log = Path("standard-error")
    child = os.fork()
    if child == 0:
        _carry_out(words, log)
    deadline = time.monotonic() + SECONDS
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.005)
    return os.waitstatus_to_exitcode(status), log.read_text(errors="replace"), usage.ru_maxrss * 1024


def _carry_out(words: list[str], log: Path) -> None:
    """In the new process: never returns."""
    code = 1
    try:
        stream = os.open(log, os.O_CREAT | os.O_WRONLY)
        nowhere = os.open(os.devnull, os.O_RDWR)
        os.dup2(nowhere, 0)
        os.dup2(nowhere, 1)
        os.dup2(stream, 2)
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + 8 * MEMORY, used + 8 * MEMORY))
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        code = run(words)
        sys.stdout.flush()
    except BaseException:  # noqa: BLE001 - whatever it is, it is written down and counted
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
