"""`aitimestepper`: finds the subcommand, and turns every error into one line and an exit code."""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import io
import os
import sys
from collections.abc import Sequence

from aitimestepper.cli.commands import COMMANDS
from aitimestepper.cli.exit_codes import BAD_INPUT, INTERRUPTED, RUN_FAILED, SUCCESS
from aitimestepper.cli.interrupt import heard
from aitimestepper.cli.parser import top_parser
from aitimestepper.errors import InputError, RunError
from aitimestepper.names import nearest

_SURROUNDINGS = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),
    *(errno.ENOSPC, errno.EFBIG, errno.EIO, errno.EPIPE, errno.EBADF),
    getattr(errno, "EDQUOT", errno.ENOSPC),  # not on Windows
}
"""Errors of the system that are a matter of the path that a user named, not of this program."""

_OF_TRAINING = ("torch", "tensorboard")
"""Packages that only those need who train."""

_AS_FLAGS = {"set overwrite": "set --overwrite", "another save_name": "another --save-name", "resume it": "--resume it"}
"""Settings that messages tell to change, and how that is done here."""

_LONGEST_LINE = 2000
"""Characters of a message: what is wrong in a file may have as many as the file."""

_SELDOM = (1_000_000, 20, 20)
"""Objects between two collections: importing the compiled engine makes many that stay, and looking through them at the
usual 700 takes a tenth of a short run."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code.

    0 is success, 2 a request that cannot be carried out, 3 a run that failed, 4 one that did not keep what was asked of
    it, 130 an interruption by Ctrl-C and 143 one by SIGTERM. An error that nobody foresaw keeps its traceback.
    """
    _prepare_streams()
    usual = gc.get_threshold()
    gc.set_threshold(*_SELDOM)
    try:
        with heard:
            return _dispatch(list(sys.argv[1:] if argv is None else argv))
    except InputError as error:
        return _complain(error, BAD_INPUT)
    except RunError as error:
        return _complain(error, RUN_FAILED)
    except ModuleNotFoundError as error:
        if error.name not in _OF_TRAINING:
            raise
        return _complain(f"this needs {error.name}: pip install 'aitimestepper[train]'", BAD_INPUT)
    except KeyboardInterrupt:
        return _complain("interrupted", heard.exit_code())
    except OSError as error:
        if error.errno not in _SURROUNDINGS:
            raise
        _abandon_stdout()
        return _complain(_sentence(error), BAD_INPUT)
    finally:
        gc.set_threshold(*usual)


def _prepare_streams() -> None:
    """Have three standard streams that take any text.

    One that is closed leads nowhere, lest the next file that is opened gets its number and all that is printed. A name
    of a file that the encoding has no letters for is printed with escapes.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(descriptor, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _dispatch(words: list[str]) -> int:
    try:
        code = _run_command(words)
    except SystemExit as leaving:  # as argparse does after --help and --version
        code = int(leaving.code or SUCCESS)
    sys.stdout.flush()  # here, where a full disk is still answered with a line
    return heard.exit_code() if code == INTERRUPTED else code


def _run_command(words: list[str]) -> int:
    if words and words[0] in COMMANDS:
        return int(importlib.import_module(f"aitimestepper.cli.{words[0]}").run(words[1:]))
    parser = top_parser()
    if not words:
        parser.print_help(sys.stderr)
        return BAD_INPUT
    if words[0] not in ("-h", "--help", "--version"):
        what = "flag" if words[0].startswith("-") else "command"
        hint = nearest(words[0], (*COMMANDS, "--help", "--version"))
        raise InputError(f"unknown {what} {words[0]!r}{hint} (commands: {', '.join(COMMANDS)})")
    parser.parse_args(words[:1])
    return SUCCESS


def _complain(error: object, code: int) -> int:
    text = " ".join(str(error).split())
    for setting, flag in _AS_FLAGS.items():
        text = text.replace(setting, flag)
    with contextlib.suppress(OSError):
        print("aitimestepper: error:", text[:_LONGEST_LINE], file=sys.stderr, flush=True)
    return code


def _sentence(error: OSError) -> str:
    if error.errno == errno.EPIPE:
        return "the program that reads the output has ended"
    where = f"{error.filename}: " if error.filename else "writing failed: "
    return f"{where}{error.strerror}"


def _abandon_stdout() -> None:
    """Point standard output to nowhere, so that the interpreter does not fail once more on what is left in it."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
