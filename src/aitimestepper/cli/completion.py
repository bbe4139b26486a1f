"""`aitimestepper completion`: a script by which a shell completes commands, flags and their values."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Sequence
from typing import Any

from aitimestepper.cli.exit_codes import SUCCESS
from aitimestepper.cli.parser import CommandParser, top_parser
from aitimestepper.errors import InputError
from aitimestepper.systems.sources import SOURCES

SHELLS = ("bash", "zsh", "fish")

_EXAMPLES = """\
examples, for all later sessions of the shell:
  aitimestepper completion bash \\
      > ~/.local/share/bash-completion/completions/aitimestepper
  aitimestepper completion zsh > ~/.zfunc/_aitimestepper
      (with 'fpath+=(~/.zfunc); autoload -U compinit; compinit' in ~/.zshrc)
  aitimestepper completion fish \\
      > ~/.config/fish/completions/aitimestepper.fish
"""

_VALUES = {"ic": tuple(SOURCES), "NAME": tuple(SOURCES), "SHELL": SHELLS}
"""What a flag or an argument may be, where its help does not list it."""

_PATHS = ("PATH", "FILE", "F.toml", "F.py", "F.h5", "F.json", "F.png", "RUN.h5")
"""Names in the help of values that are files."""


def parser() -> CommandParser:
    """What may stand behind `aitimestepper completion`."""
    made = CommandParser("completion", usage="(bash | zsh | fish)", epilog=_EXAMPLES)
    made.add_argument("SHELL", nargs="?", help="bash, zsh or fish")
    return made


def run(words: Sequence[str]) -> int:
    """Carry out `aitimestepper completion ...`; returns the exit code."""
    shell = parser().parse(words).own.get("SHELL")
    if shell not in SHELLS:
        raise InputError(f"completion needs the name of a shell, {', '.join(SHELLS)}, got {shell or 'none'}")
    print(script_for(shell))
    return SUCCESS


def script_for(shell: str) -> str:
    """The completion script for a shell."""
    import shtab

    return str(shtab.complete(top_parser(_parser_of), shell=shell))


def _parser_of(prog: str, **_: Any) -> argparse.ArgumentParser:
    """The parser of a command, with the values that its flags and its arguments may have."""
    import shtab

    made: argparse.ArgumentParser = importlib.import_module(f"aitimestepper.cli.{prog.split()[-1]}").parser()
    for action in made._actions:
        metavar = str(action.metavar)
        if action.dest in _VALUES:
            action.choices = _VALUES[action.dest]
        elif metavar.startswith("{"):
            action.choices = tuple(metavar[1:-1].split(","))
        elif metavar in _PATHS:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
    return made
