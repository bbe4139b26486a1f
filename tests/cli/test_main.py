"""Finding the subcommand, exit codes, and what starting up loads."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys

import pytest

from aitimestepper import RunError, __version__
from aitimestepper.cli import ic
from aitimestepper.cli.commands import COMMANDS
from aitimestepper.cli.main import main

HEAVY = ("torch", "numba", "matplotlib", "h5py", "astropy", "rebound", "rich", "wandb")


def process(*words: str, **keywords: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aitimestepper", *words]
    keywords["env"] = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(command, text=True, stderr=subprocess.PIPE, timeout=60, **keywords)  # type: ignore[call-overload]


def test_help_names_every_command(call):
    answer = call("--help")
    assert answer.code == 0
    assert set(re.findall(r"^    ([a-z]+)\b", answer.out, re.M)) == set(COMMANDS)


def test_version(call):
    assert call("--version") == (0, f"aitimestepper {__version__}\n", "")


def test_without_a_command_the_help_goes_to_standard_error(call):
    answer = call()
    assert (answer.code, answer.out) == (2, "")
    assert "commands:" in answer.err


def test_an_unknown_command_names_the_nearest(call):
    call("trian").refuses("unknown command 'trian'; did you mean train?")
    call("--verson").refuses("unknown flag '--verson'; did you mean --version?")
    call("--epochs", 3, "train").refuses("unknown flag '--epochs'", f"commands: {', '.join(COMMANDS)}")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_fits_into_80_columns_and_gives_examples(call, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "80")
    answer = call(command, "--help")
    assert (answer.code, answer.err) == (0, "")
    assert max(map(len, answer.out.splitlines())) <= 80
    assert len(re.findall(rf"^  aitimestepper {command}\b", answer.out, re.M)) >= 3


@pytest.mark.parametrize("words", [["--help"], ["--version"], *([name, "--help"] for name in COMMANDS)])
def test_help_loads_nothing_heavy(words):
    script = f"import sys; from aitimestepper.cli.main import main; main({words!r}); print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0
    loaded = set(answer.stdout.splitlines()[-1].split())
    assert "aitimestepper.cli.parser" in loaded
    assert not loaded & set(HEAVY)


def test_the_module_is_the_command():
    answer = process("ic", "kepler", stdout=subprocess.PIPE)
    assert answer.returncode == 0
    assert answer.stdout.startswith("m,x,y,vx,vy\n")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
@pytest.mark.parametrize("words", [["ic", "kepler"], ["ic", "--list"], ["--version"], ["train", "--help"]])
def test_a_full_device_gives_one_line(words):
    with open("/dev/full", "w") as full:
        answer = process(*words, stdout=full)
    assert answer.returncode == 2
    assert answer.stderr.splitlines() == ["aitimestepper: error: writing failed: No space left on device"]


def test_a_reader_that_has_ended_gives_one_line():
    read, write = os.pipe()
    os.close(read)
    answer = process("ic", "plummer:n=2000", stdout=write)
    os.close(write)
    assert answer.returncode == 2
    assert answer.stderr.splitlines() == ["aitimestepper: error: the program that reads the output has ended"]


def raising(monkeypatch, error: BaseException) -> None:
    def run(words):
        raise error

    monkeypatch.setattr(ic, "run", run)


def test_a_failed_run_is_3(monkeypatch, call):
    raising(monkeypatch, RunError("a collision\nat time 3"))
    assert call("ic") == (3, "", "aitimestepper: error: a collision at time 3\n")


def test_an_interruption_is_130(monkeypatch, call):
    raising(monkeypatch, KeyboardInterrupt())
    assert call("ic") == (130, "", "aitimestepper: error: interrupted\n")


def test_a_place_that_cannot_be_written_to_is_2(monkeypatch, call):
    raising(monkeypatch, OSError(errno.EROFS, "Read-only file system", "runs/a"))
    call("ic").refuses("runs/a: Read-only file system")


@pytest.mark.parametrize("error", [KeyError("nobody foresaw this"), OSError(errno.ENOEXEC, "odd")])
def test_a_bug_keeps_its_traceback(monkeypatch, error):
    raising(monkeypatch, error)
    with pytest.raises(type(error)):
        main(["ic"])
