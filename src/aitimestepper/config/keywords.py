"""Settings as keywords of Python functions: `simulate(system, duration=10, tolerance=1e-6)`.

The keys stand once, in `keys` and `training_keys`; a function that takes those of a command gets their names, types and
defaults into its signature, so that an editor and a notebook can offer them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from os import PathLike, fspath
from typing import Any, TypeVar

from aitimestepper.config.schema import Config, fields_of
from aitimestepper.errors import InputError
from aitimestepper.names import Command

_Function = TypeVar("_Function", bound=Callable[..., Any])


def configured(config: Config | None, keys: Mapping[str, Any]) -> Config:
    """A configuration with some keys set, or set anew.

    Raises:
        ConfigError: a key is unknown, or its value is not allowed.
    """
    return Config(**keys) if config is None else config.replace(**keys) if keys else config


def with_system(config: Config, name: str | PathLike[str] | None) -> Config:
    """A configuration with the name of the system, or a file, that was passed beside it.

    Raises:
        InputError: the configuration names one already.
    """
    if name is None:
        return config
    if config.ic is not None:
        raise InputError(f"the system is named twice, {str(name)!r} and ic = {config.ic!r}: leave one out")
    return config.replace(ic=fspath(name))


def takes_keys_of(command: Command, *without: str) -> Callable[[_Function], _Function]:
    """Give a function that ends with `**keys` a signature that has the keys of a command one by one.

    Args:
        command: whose keys they are.
        without: keys that are parameters of another name, or that only the command line has.
    """

    def decorate(function: _Function) -> _Function:
        own = inspect.signature(function)
        parameters = [one for one in own.parameters.values() if one.kind is not inspect.Parameter.VAR_KEYWORD]
        taken = {*own.parameters, *without}
        parameters += [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.annotation)
            for name, field in fields_of(command).items()
            if name not in taken
        ]
        function.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        return function

    return decorate
