"""Reading a configuration: a TOML file, with flags over it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aitimestepper.config.schema import Config, all_keys, fields_of
from aitimestepper.errors import ConfigError
from aitimestepper.inputs import TEXT, content_of
from aitimestepper.names import COMMANDS, Command, nearest

SWEEP_TABLE = "sweep"

SHIPPED = ("calibrated", "demo", "solar-system", "specification", "sweep")
"""Configurations that come with the package, by the name that stands for a path."""

_MOST_PARTS = 20
"""Of a dotted key; ours have three."""


def read_config(path: Path | str | None, command: Command, flags: Mapping[str, Any] | None = None) -> Config:
    """Merge a TOML file, or one of `SHIPPED`, and flags into the configuration of one subcommand.

    Shared keys stand at the top of the file, a table for each subcommand (`[train]`, `[simulate]`, ...) over them,
    the flags over both. A key at the top that only another subcommand takes is checked and left out.

    Raises:
        ConfigError: the file is missing or no TOML, a key is unknown or stands in the wrong table, a value is bad.
    """
    known = fields_of(command)
    merged: dict[str, Any] = {}
    if path is not None:
        table = read_table(Path(path))
        table.pop(SWEEP_TABLE, None)  # what `sweep` searches, which the other commands do not
        sections = {name: table.pop(name) for name in COMMANDS if isinstance(table.get(name), dict)}
        _check_keys(path, "", table, all_keys())
        for name, section in sections.items():
            _check_keys(path, f"[{name}] ", section, fields_of(name))
        merged = {key: value for key, value in table.items() if key in known} | sections.get(command, {})
    return Config(**(merged | dict(flags or {})))


def _check_keys(path: Path | str, where: str, table: Mapping[str, Any], allowed: Iterable[str]) -> None:
    allowed = list(allowed)
    for key in table:
        if key not in allowed:
            other = " (it belongs to another table)" if key in all_keys() else nearest(key, allowed)
            raise ConfigError(f"{path}: {where}unknown key {key!r}{other}")


def read_table(path: Path) -> dict[str, Any]:
    """The whole of a TOML file.

    Raises:
        ConfigError: it is missing, or no TOML.
    """
    if str(path) in SHIPPED and not path.exists():
        path = Path(__file__).parent / f"{path}.toml"
    try:
        text = content_of(path, TEXT).decode()
        _check_keys_are_short(text)
        table = tomllib.loads(text)
        _check_integers(table)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from None
    except RecursionError:
        raise ConfigError(f"{path} is not valid TOML: its lists or tables stand too deep in each other") from None
    except ValueError as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    return table


def _check_keys_are_short(text: str) -> None:
    """Refuse dotted keys of so many parts that tomllib, whose work grows with their square, would never end."""
    for line in text.splitlines():
        if line.count(".") > _MOST_PARTS and not line.lstrip().startswith("#"):
            parts = max(piece.count(".") for piece in re.split(r"[=,\[\]{}]", line))
            if parts > _MOST_PARTS:
                raise ValueError(f"a key of {parts} parts")


def _check_integers(value: Any) -> None:
    """Refuse an integer that 64 bits do not hold, as TOML asks."""
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError("an integer does not fit into 64 bits")
    if isinstance(value, (dict, list)):
        for part in value.values() if isinstance(value, dict) else value:
            _check_integers(part)
