"""Running the command line inside the test process."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from typing import NamedTuple

import pytest

from aitimestepper.cli import progress
from aitimestepper.cli.main import main


class Answer(NamedTuple):
    """Exit code, standard output and standard error of one call."""

    code: int
    out: str
    err: str

    def refuses(self, *fragments: str) -> None:
        """One clear line on standard error, exit code 2, nothing on standard output."""
        assert (self.code, self.out) == (2, "")
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("aitimestepper: error: ")
        for fragment in fragments:
            assert fragment in lines[0]


@pytest.fixture
def call(capfd, monkeypatch):
    """`call("train", "--epochs", 2)` is an `Answer`, without lines that only a slow machine shows."""
    monkeypatch.setattr(progress, "SECONDS_BETWEEN_LINES", math.inf)

    def run(*words: object) -> Answer:
        capfd.readouterr()
        code = main([str(word) for word in words])
        return Answer(code, *capfd.readouterr())

    return run


@pytest.fixture
def start():
    """`start("train", "--epochs", "9")` is a process of its own, which Ctrl-C reaches wherever the tests run."""
    running: list[subprocess.Popen[str]] = []

    def run(*words: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "aitimestepper", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        running.append(process)
        return process

    yield run
    for process in running:
        process.kill()
        process.communicate()
