"""The subcommands, and which flags they take. A new one is an entry here, and a module of its name beside this one."""

from __future__ import annotations

from typing import NamedTuple

from pydantic.fields import FieldInfo

from aitimestepper.config.schema import fields_of

CHOSEN_BY_BOTH = ("model", "dt", "h", "eta")
"""Keys of `simulate` that `both` does not take: it simulates with the model that it has trained."""


class Subcommand(NamedTuple):
    """What a subcommand does, and its flags.

    Attributes:
        summary: one line of the help.
        keys: those of the configuration that it takes, by the name that a user types.
        own: its flags that are no keys but stand in `OWN_FLAGS`, in the order of the help.
    """

    summary: str
    keys: dict[str, FieldInfo]
    own: tuple[str, ...] = ()


_TRAIN, _SIMULATE = fields_of("train"), fields_of("simulate")
_EITHER = _TRAIN | _SIMULATE


def _some(*keys: str) -> dict[str, FieldInfo]:
    return {key: _EITHER[key] for key in keys}


def _without(fields: dict[str, FieldInfo], *keys: str) -> dict[str, FieldInfo]:
    return {key: field for key, field in fields.items() if key not in keys}


COMMANDS = {
    "train": Subcommand(
        "train a network to choose time steps from steps that conserve energy", _TRAIN, ("config", "resume")
    ),
    "sweep": Subcommand(
        "search for good settings of a training",
        _without(_TRAIN, "overwrite") | _some("json"),
        ("config", "trials", "timeout"),
    ),
    "simulate": Subcommand(
        "simulate a system with fixed, classical or learned steps", _SIMULATE, ("config", "resume", "plugin")
    ),
    "ensemble": Subcommand(
        "simulate many systems side by side, on all cores", fields_of("ensemble"), ("config", "resume", "plugin")
    ),
    "compare": Subcommand(
        "compare step criteria and integrators at equal force evaluations", fields_of("compare"), ("config", "plugin")
    ),
    "both": Subcommand(
        "train, then simulate with the model just trained", _without(_EITHER, *CHOSEN_BY_BOTH), ("config",)
    ),
    "ic": Subcommand(
        "write initial conditions, or list those that have a name",
        _some("G", "softening", "seed", "overwrite"),
        ("output", "list"),
    ),
    "plot": Subcommand("draw a run, several runs, a training or a comparison", _some("overwrite")),
    "movie": Subcommand("make a movie of a run, or of a training", _some("overwrite")),
    "report": Subcommand(
        "write a page about runs, a training or a comparison, which opens in a browser", _some("overwrite")
    ),
    "export": Subcommand("write a model as C source or ONNX", _some("overwrite")),
    "doctor": Subcommand("check the installation", _some("json"), ("compile",)),
    "completion": Subcommand("write a script by which a shell completes commands and flags", {}),
}


class OwnFlag(NamedTuple):
    """A flag that is no key of the configuration; without a `metavar` it takes no value."""

    help: str
    metavar: str | None = None


OWN_FLAGS = {
    "config": OwnFlag("TOML file with keys; flags go over what it says", "F.toml"),
    "resume": OwnFlag("go on with what was stopped: a run directory (train), a recording or an ensemble", "PATH"),
    "plugin": OwnFlag("Python file to run first, which registers criteria of your own", "F.py"),
    "trials": OwnFlag("trials of the whole study, whoever carries them out", "N"),
    "timeout": OwnFlag("seconds after which this process begins no more trials", "X"),
    "output": OwnFlag("file to write, by suffix .csv, .txt, .npy or .h5 (default: a table on stdout)", "FILE"),
    "compile": OwnFlag("compile all that runs and trainings need, so that the first of them need not wait"),
    "list": OwnFlag("list the systems that have a name, with their options"),
}


def flag_of(key: str) -> str:
    """The flag of a key: `energy_threshold` -> `--energy-threshold`."""
    return "--" + key.replace("_", "-")


def flags_of(command: str) -> set[str]:
    """All flags of a subcommand but those that only its own module knows."""
    return set(map(flag_of, (*COMMANDS[command].keys, *COMMANDS[command].own)))
