"""Two processes that ask for the same output: one is told so before it computes, and no file is ever a mixture."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from aitimestepper import EnsembleResult, OutputError, OutputExistsError, Recording
from aitimestepper.outputs import Reservation, write_atomically

LONG = ["--duration", "1e6", "--timestep", "free-fall", "--eta", "0.001"]
SIMULATE = ["simulate", "--ic", "random:n=3", *LONG, "--output", "out.h5"]
ENSEMBLE = ["ensemble", "--ic", "random:n=3", "--count", "9", *LONG, "--output", "out.h5"]
METHOD = ["--methods", "leapfrog:fixed"]
COMPARE = [
    "compare",
    "--ic",
    "kepler:e=0.9",
    "--periods",
    "3000",
    "--evaluations",
    "1e8",
    "--methods",
    "leapfrog:fixed",
]
BOTH_FILES = [*COMPARE, "--output", "out.json", "--figure", "out.png"]


def wait_for(path: str) -> None:
    deadline = time.monotonic() + 120
    while not Path(path).exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def kill(running: subprocess.Popen[str]) -> None:
    running.send_signal(signal.SIGKILL)
    running.communicate()


@pytest.mark.parametrize("words", [SIMULATE, ENSEMBLE, BOTH_FILES], ids=lambda words: words[0])
@pytest.mark.parametrize("more", [[], ["--overwrite"]], ids=["new", "overwrite"])
def test_the_second_is_told(call, start, words, more):
    output = next(word for word in words if word.startswith("out."))
    first = start(*words, *more)
    wait_for(output)
    answer = call(*words, *more)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert "exists already" in answer.err or "another process is writing" in answer.err
    assert first.poll() is None


def test_a_dead_process_keeps_nothing(call, start):
    first = start(*BOTH_FILES)
    wait_for("out.png")
    kill(first)
    assert sorted(os.listdir()) == ["out.json", "out.png"]
    short = ["--ic", "kepler", "--periods", "1", "--evaluations", "1000", "--methods", "leapfrog:fixed"]
    assert call("compare", *short, "--output", "out.json", "--figure", "out.png").code == 0
    assert min(map(os.path.getsize, ("out.json", "out.png"))) > 100
    call("compare", *short, "--output", "out.json").refuses("exists already")


def test_what_could_not_be_written_leaves_the_name_free(call):
    call(*COMPARE[:-1], "leapfrog:nonsense", "--output", "out.json").refuses("nonsense")
    call("compare", "--ic", "nowhere.csv", *COMPARE[3:], "--output", "out.json").refuses("nowhere.csv")
    assert os.listdir() == []


def test_two_resumes(call, start):
    first = start(*SIMULATE)
    wait_for("out.h5")
    kill(first)
    second = start("simulate", "--resume", "out.h5")
    steps = Recording.load("out.h5").summary.steps
    deadline = time.monotonic() + 120
    while Recording.load("out.h5").summary.steps == steps:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    call("simulate", "--resume", "out.h5").refuses("another process is writing")
    call(*SIMULATE, "--overwrite").refuses("another process is writing")
    kill(second)
    assert Recording.load("out.h5").summary.steps > steps


def test_of_many_that_begin_at_once_one_gets_a_new_name(start):
    words = ["ensemble", "--ic", "random:n=3", "--count", "3", "--duration", "1", *LONG[2:], "--output", "out.h5"]
    several = [start(*words) for _ in range(4)]
    errors = [process.communicate()[1] for process in several]
    codes = [process.returncode for process in several]
    assert sorted(codes) == [0, 2, 2, 2], errors
    assert EnsembleResult.load("out.h5").n_ended == 3
    assert os.listdir() == ["out.h5"]


def test_a_reservation_is_for_one_and_ends_with_it():
    with Reservation("a.txt") as output:
        assert Path("a.txt").read_bytes() == b""
        for overwrite in (False, True):
            with pytest.raises(OutputExistsError, match=r"another process is writing .*a\.txt"):
                Reservation("a.txt", overwrite)
        output.write(b"one")
        output.write(b"two")
        with pytest.raises(OutputExistsError, match="another process is writing"):
            Reservation("a.txt", overwrite=True)
    with pytest.raises(OutputExistsError, match="exists already"):
        Reservation("a.txt")
    with Reservation("a.txt", overwrite=True):
        assert Path("a.txt").read_bytes() == b"two"
    assert Path("a.txt").read_bytes() == b"two"
    write_atomically(Path("a.txt"), b"three")
    with Reservation.of_existing("a.txt") as output, pytest.raises(OutputExistsError):
        Reservation.of_existing("a.txt")
    output.close()
    assert os.listdir() == ["a.txt"]
    with pytest.raises(OutputError, match="No such file"):
        Reservation.of_existing("b.txt")


def test_an_empty_file_that_nobody_holds_may_be_taken():
    Path("a.txt").touch()
    with Reservation("a.txt") as output:
        output.write(b"one")
    assert Path("a.txt").read_bytes() == b"one"
