"""The flags of the subcommands, derived from the fields of `Config`.

A key's flag, value, default, bounds and help text all come from its field; only what is no key (`--config`,
`--resume`, ...) is written here.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from types import NoneType
from typing import Any, Literal, NamedTuple, NoReturn, get_args, get_origin

from pydantic.fields import FieldInfo

from aitimestepper._version import __version__
from aitimestepper.config.schema import fields_of, groups
from aitimestepper.errors import InputError
from aitimestepper.names import nearest

COMMANDS = {
    "train": "train a network to choose time steps from steps that conserve energy",
    "sweep": "search for good settings of a training",
    "simulate": "simulate a system with fixed, classical or learned steps",
    "ensemble": "simulate many systems side by side, on all cores",
    "compare": "compare step criteria and integrators at equal force evaluations",
    "both": "train, then simulate with the model just trained",
    "ic": "write initial conditions, or list those that have a name",
    "plot": "draw a run, several runs, a training or a comparison",
    "movie": "make a film of a run",
    "report": "write a page about runs, a training or a comparison, which opens in a browser",
    "export": "write a model as C source or ONNX",
    "doctor": "check the installation",
    "completion": "write a script by which a shell completes commands and flags",
}

_FEW_KEYS = {
    "ic": ("G", "softening", "seed", "overwrite"),
    "plot": ("overwrite",),
    "movie": ("overwrite",),
    "report": ("overwrite",),
    "export": ("overwrite",),
    "doctor": ("json",),
    "completion": (),
}
"""Keys of the commands that take only a few of their own."""

CHOSEN_BY_BOTH = ("model", "dt", "h", "eta")
"""Keys of `simulate` that `both` does not take: it simulates with the model that it has trained."""


class OwnFlag(NamedTuple):
    """A flag of some subcommands that is no key of the configuration."""

    commands: tuple[str, ...]
    help: str
    metavar: str | None = None


_RUNS = ("simulate", "ensemble", "compare")
_OWN_FLAGS = {
    "config": OwnFlag(("train", "sweep", "both", *_RUNS), "TOML file with keys; flags go over what it says", "F.toml"),
    "resume": OwnFlag(
        ("train", "simulate"), "go on with a stopped run: a run directory (train) or a recording (simulate)", "PATH"
    ),
    "plugin": OwnFlag(_RUNS, "Python file to run first, which registers criteria of your own", "F.py"),
    "trials": OwnFlag(("sweep",), "trials of the whole study, whoever carries them out", "N"),
    "timeout": OwnFlag(("sweep",), "seconds after which this process begins no more trials", "X"),
    "output": OwnFlag(("ic",), "file to write, by suffix .csv, .txt, .npy or .h5 (default: a table on stdout)", "FILE"),
    "list": OwnFlag(("ic",), "list the systems that have a name, with their options"),
}


class Request(NamedTuple):
    """What a user asked of a subcommand, not yet validated."""

    keys: dict[str, Any]
    """Keys of the configuration that were given as flags, by the name in the configuration."""
    own: dict[str, Any]
    """Everything else: own flags and, of `ic`, the name and its options."""


def keys_of(command: str) -> dict[str, FieldInfo]:
    """The keys of the configuration that a subcommand takes as flags."""
    train, simulate = fields_of("train"), fields_of("simulate")
    if command == "both":
        return {key: field for key, field in (train | simulate).items() if key not in CHOSEN_BY_BOTH}
    if command == "sweep":
        return {key: field for key, field in train.items() if key != "overwrite"} | {"json": simulate["json"]}
    if command in _FEW_KEYS:
        return {key: (train | simulate)[key] for key in _FEW_KEYS[command]}
    return fields_of(command)  # type: ignore[arg-type]


def flag_of(key: str) -> str:
    """The flag of a key: `energy_threshold` -> `--energy-threshold`."""
    return "--" + key.replace("_", "-")


class CommandParser(argparse.ArgumentParser):
    """The parser of one subcommand; a mistake is an `InputError`, never an exit."""

    def __init__(self, command: str, *, usage: str, epilog: str, options: Iterable[str] = ()) -> None:
        """Build the flags.

        Args:
            command: a key of `COMMANDS`.
            usage: what follows the command in the usage line.
            epilog: examples, shown as they are.
            options: names of further flags with one value, which the help does not list.
        """
        super().__init__(
            prog=f"aitimestepper {command}",
            usage=f"%(prog)s {usage}",
            description=COMMANDS[command].capitalize() + ".",
            epilog=epilog,
            formatter_class=_Formatter,
            allow_abbrev=False,
            argument_default=argparse.SUPPRESS,
        )
        self.command = command
        self._keys = keys_of(command)
        self._switches: set[str] = set()
        # argparse takes only plain decimals for numbers before Python 3.13, and -1e-3 for a flag.
        self._negative_number_matcher = re.compile(r"^-(\.?\d|inf|nan)")
        self._add_own_flags()
        self._add_keys()
        for name in options:
            self.add_argument(flag_of(name), dest=name, help=argparse.SUPPRESS)

    def _print_message(self, message: str, file: Any = None) -> None:
        """As the base class, which would swallow an error of a long text."""
        (file or sys.stderr).write(message)

    def parse(self, words: Sequence[str]) -> Request:
        """Read the words after the subcommand.

        Raises:
            InputError: an unknown flag, with the nearest known one; a missing or superfluous value.
        """
        given, left = self.parse_known_args([self._normal(word) for word in words])
        if left:
            raise InputError(f"unexpected argument {left[0]!r}; see 'aitimestepper {self.command} --help'")
        values = vars(given)
        keys = {key: _value(self._keys[key], value) for key, value in values.items() if key in self._keys}
        return Request(keys, {name: value for name, value in values.items() if name not in self._keys})

    def error(self, message: str) -> NoReturn:
        """Report a mistake in the words."""
        raise InputError(f"{message.removeprefix('argument ')}; see 'aitimestepper {self.command} --help'")

    def _add_own_flags(self) -> None:
        for name, flag in _OWN_FLAGS.items():
            if self.command in flag.commands:
                form: dict[str, Any] = {"metavar": flag.metavar} if flag.metavar else {"action": "store_true"}
                self.add_argument(flag_of(name), dest=name, help=flag.help, **form)

    def _add_keys(self) -> None:
        for title, _, keys in groups():
            taken = [key for key in keys if key in self._keys]
            group = self.add_argument_group(title) if taken else self
            for key in taken:
                field = self._keys[key]
                group.add_argument(flag_of(key), dest=key, help=_help(field), **_form(key, field))
                if _kind(field) is bool:
                    self._switches.add(flag_of(key))

    def _normal(self, word: str) -> str:
        """A word with its flag spelled as the parser knows it; an unknown flag is refused here."""
        name, equals, value = word.partition("=")
        if not name.startswith("--") or name == "--":
            return word
        flag = name.replace("_", "-")
        if flag not in self._option_string_actions:
            raise InputError(self._unknown(flag))
        if flag in self._switches and equals:
            return self._switch(flag, value)
        return flag + equals + value

    def _switch(self, flag: str, value: str) -> str:
        """`--flag=true` and `--flag=false`, as a file writes them, in the form of a command line."""
        if value.lower() not in ("true", "false"):
            raise InputError(f"{flag} = {value!r} is not allowed: it should be true or false")
        return flag if value.lower() == "true" else flag.replace("--", "--no-", 1)

    def _unknown(self, flag: str) -> str:
        others = [name for name in COMMANDS if flag.replace("--no-", "--", 1) in _flags_of(name)]
        if others:
            *first, last = map(repr, others)
            of = f"{', '.join(first)} and {last}" if first else last
            return f"{flag} is a flag of {of}, not of {self.command!r}"
        known = [name for name in self._option_string_actions if name.startswith("--")]
        return f"unknown flag {flag}{nearest(flag, known)}"


def top_parser(parser_of: Callable[..., Any] = argparse.ArgumentParser) -> argparse.ArgumentParser:
    """The parser of the words before those of a subcommand.

    Args:
        parser_of: makes the parser of a subcommand, for those who want to look into all of them.
    """
    parser = argparse.ArgumentParser(
        prog="aitimestepper",
        description="Learned, energy-gated time steps for gravitational N-body simulations.",
        epilog=_TOP_EXAMPLES,
        formatter_class=_Formatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands: Any = parser.add_subparsers(title="commands", metavar="COMMAND", parser_class=parser_of)  # type: ignore
    for name, summary in COMMANDS.items():
        commands.add_parser(name, help=summary, add_help=False)
    return parser


_TOP_EXAMPLES = """\
examples:
  aitimestepper simulate --ic pythagorean --duration 60 --tolerance 1e-6
  aitimestepper train --ic kepler:e=0.9 --save-name mine
  aitimestepper simulate --help        every command explains itself
"""

_UNBROKEN = "\u00a0"
"""A space at which no line is broken: bounds stay in one piece."""


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """Help for 80 columns: the texts of most flags begin on the line of their flag."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)

    def _split_lines(self, text: str, width: int) -> list[str]:
        return [line.replace(_UNBROKEN, " ") for line in super()._split_lines(text, width)]


def _flags_of(command: str) -> Iterable[str]:
    yield from map(flag_of, keys_of(command))
    yield from (flag_of(name) for name, flag in _OWN_FLAGS.items() if command in flag.commands)


def _kind(field: FieldInfo) -> Any:
    """The type of a key, without its None."""
    if get_origin(field.annotation) in (None, tuple, Literal):
        return field.annotation
    return next(kind for kind in get_args(field.annotation) if kind is not NoneType)


def _item(field: FieldInfo) -> Any:
    """The type of one value of a key: of a list, that of its items."""
    kind = _kind(field)
    return get_args(kind)[0] if get_origin(kind) is tuple else kind


def _form(key: str, field: FieldInfo) -> dict[str, Any]:
    """How many values the flag takes, and their name in the help."""
    if _kind(field) is bool:
        return {"action": argparse.BooleanOptionalAction}
    extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
    item = _item(field)
    if get_origin(item) is Literal:
        metavar = "{" + ",".join(get_args(item)) + "}"
    else:
        metavar = {int: "N", float: "X"}.get(item) or str(extra.get("metavar", key.split("_")[-1].upper()))
    return {"metavar": metavar, "nargs": "+" if get_origin(_kind(field)) is tuple else None}


_BOUNDS = {"gt": "> {:g}", "ge": ">= {:g}", "lt": "< {:g}", "le": "<= {:g}"}
_ALWAYS_TRUE = (2**63,)
"""Bounds that nobody meets by accident and that the help passes over."""


def _help(field: FieldInfo) -> str:
    rules = [
        text.format(getattr(bound, name))
        for bound in field.metadata
        for name, text in _BOUNDS.items()
        if hasattr(bound, name) and getattr(bound, name) not in _ALWAYS_TRUE
    ]
    remarks = [" and ".join(rules)] if rules else []
    if field.default is not None:
        remarks.append(f"default: {_spelled(field.default)}")
    remark = ", ".join(remarks).replace(" ", _UNBROKEN)
    return f"{field.description} [{remark}]".removesuffix(" []").replace("%", "%%")


def _spelled(value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " ".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _value(field: FieldInfo, given: Any) -> Any:
    """The value of a flag as a TOML file would give it; whether it is allowed, `Config` says."""
    if isinstance(given, bool):
        return given
    optional = NoneType in get_args(field.annotation)
    if isinstance(given, str):
        return None if optional and given.lower() == "none" else _number(field, given)
    # Texts may have commas in them: kepler:e=0.6,m2=0.1 is one.
    words = given if _item(field) is str else [word for text in given for word in text.split(",") if word]
    return None if optional and [word.lower() for word in words] == ["none"] else [_number(field, w) for w in words]


def _number(field: FieldInfo, text: str) -> Any:
    """A number where the key wants one and the text is one (1e6 is a whole number too), otherwise the text."""
    for kind in (int, float) if _item(field) in (int, float) else ():
        try:
            return kind(text)
        except ValueError:
            continue
    return text
