"""The parsers of the subcommands, whose flags are derived from the fields of `Config`.

A key's flag, value, default, bounds and help text all come from its field.
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
from aitimestepper.cli.commands import COMMANDS, OWN_FLAGS, flag_of, flags_of
from aitimestepper.config.schema import groups
from aitimestepper.errors import InputError
from aitimestepper.names import nearest
from aitimestepper.outputs import spelled


class Parsed(NamedTuple):
    """The words behind a subcommand, taken apart but not yet validated."""

    keys: dict[str, Any]
    """Keys of the configuration that were given as flags, by the name in the configuration."""
    own: dict[str, Any]
    """Everything else: own flags and, of `ic`, the name and its options."""

    @property
    def overwrite(self) -> bool:
        """Whether an output that exists may be replaced."""
        return bool(self.keys.get("overwrite"))

    @property
    def json(self) -> bool:
        """Whether the result is to be JSON."""
        return bool(self.keys.get("json"))


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
            description=COMMANDS[command].summary.capitalize() + ".",
            epilog=epilog,
            formatter_class=_Formatter,
            allow_abbrev=False,
            argument_default=argparse.SUPPRESS,
        )
        self.command = command
        self._keys = COMMANDS[command].keys
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

    def parse(self, words: Sequence[str]) -> Parsed:
        """Read the words after the subcommand.

        Raises:
            InputError: an unknown flag, with the nearest known one; a missing or superfluous value.
        """
        given, left = self.parse_known_args([self._normal(word) for word in words])
        if left:
            raise InputError(f"unexpected argument {left[0]!r}; see 'aitimestepper {self.command} --help'")
        values = vars(given)
        keys = {key: _value(self._keys[key], value) for key, value in values.items() if key in self._keys}
        return Parsed(keys, {name: value for name, value in values.items() if name not in self._keys})

    def error(self, message: str) -> NoReturn:
        """Report a mistake in the words."""
        raise InputError(f"{message.removeprefix('argument ')}; see 'aitimestepper {self.command} --help'")

    def _add_own_flags(self) -> None:
        for name in COMMANDS[self.command].own:
            flag = OWN_FLAGS[name]
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
        others = [name for name in COMMANDS if flag.replace("--no-", "--", 1) in flags_of(name)]
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
    for name, command in COMMANDS.items():
        commands.add_parser(name, help=command.summary, add_help=False)
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
_ALWAYS_TRUE = (2**63, 1e100)
"""Bounds that nobody meets by accident and that the help passes over."""


def _help(field: FieldInfo) -> str:
    rules = [
        text.format(getattr(bound, name))
        for bound in field.metadata
        for name, text in _BOUNDS.items()
        if hasattr(bound, name) and getattr(bound, name) not in _ALWAYS_TRUE
    ]
    remarks = [" and ".join(rules)] if rules else []
    if field.default is not None and field.default_factory is None:
        default = {True: "on", False: "off"}[field.default] if _kind(field) is bool else spelled(field.default)
        remarks.append(f"default: {default}")
    remark = ", ".join(remarks).replace(" ", _UNBROKEN)
    return f"{field.description} [{remark}]".removesuffix(" []").replace("%", "%%")


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
