"""From the words of a subcommand to its configuration."""

from __future__ import annotations

import runpy
from collections.abc import Collection
from pathlib import Path
from typing import Any

from aitimestepper.cli.commands import flag_of
from aitimestepper.cli.parser import Parsed
from aitimestepper.config.reading import read_config
from aitimestepper.config.schema import Config
from aitimestepper.errors import InputError
from aitimestepper.names import Command


def configured(command: Command, parsed: Parsed) -> Config:
    """The TOML file that was named, with the flags over it; the user's own criteria are registered before that.

    Raises:
        InputError: the plugin is missing or fails; as for `read_config`.
    """
    run_plugin(parsed.own)
    return read_config(parsed.own.get("config"), command, parsed.keys)


def changes_beside_resume(parsed: Parsed, allowed: Collection[str]) -> dict[str, Any]:
    """What may differ from the run that is gone on with; the user's own criteria are registered before that.

    Raises:
        InputError: something else is given too; the plugin is missing or fails.
    """
    run_plugin(parsed.own)
    wishes = {key: value for key, value in parsed.keys.items() if key != "json"}
    others = sorted(flag_of(key) for key in wishes.keys() - set(allowed)) + ["--config"] * ("config" in parsed.own)
    if others:
        known = ", ".join(map(flag_of, (*allowed, "json")))
        raise InputError(f"{', '.join(others)} cannot stand beside --resume; allowed are {known}")
    return Config(**wishes).explicit()


def run_plugin(own: dict[str, Any]) -> None:
    """Run the file that `--plugin` names, if it names one.

    Raises:
        InputError: it is missing, or fails.
    """
    path = own.get("plugin")
    if path is None:
        return
    if not Path(path).is_file():
        raise InputError(f"cannot run the plugin {path}: there is no such file")
    try:
        runpy.run_path(path)
    except Exception as error:
        raise InputError(f"the plugin {path} failed: {type(error).__name__}: {error}") from error
