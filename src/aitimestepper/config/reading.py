"""Reading a configuration: a TOML file, with flags over it."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from aitimestepper.config.schema import Config, all_keys, fields_of
from aitimestepper.errors import ConfigError
from aitimestepper.names import COMMANDS, Command, nearest

SWEEP_TABLE = "sweep"


def read_config(path: Path | str | None, command: Command, flags: Mapping[str, Any] | None = None) -> Config:
    """Merge a TOML file and flags into the configuration of one subcommand.

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
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
