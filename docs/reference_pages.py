"""The pages of the reference that derive from the code: public names, configuration keys, commands."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aitimestepper
from aitimestepper import Config
from aitimestepper.cli.commands import COMMANDS
from aitimestepper.config.schema import groups

MODULES = {
    "Simulations": (
        *("simulation.run", "simulation.callback", "simulation.stepper"),
        *("recordings.recording", "recordings.parts", "recordings.step_events"),
    ),
    "Many runs": ("ensembles.ensemble", "ensembles.result", "comparison.compare", "comparison.result"),
    "Sweeps": ("sweeping.session", "sweeping.settings", "sweeping.trials"),
    "Training": (
        *("training.session.session", "training.session.run", "training.session.epochs"),
        *("training.part_one.collect", "training.part_two.generalize"),
    ),
    "Initial conditions": ("systems.catalogue", "systems.initial", "systems.files"),
    "Other programs": (
        *("bridges.rebound.registering", "bridges.rebound.driving", "bridges.rebound.conversion"),
        *("recordings.archive", "bridges.amuse", "exporting.c_source", "exporting.onnx_file"),
    ),
    "Figures": (
        *("views.plots", "views.step_control", "views.work_precision"),
        *("views.orbit_steps", "views.movie", "views.report"),
    ),
}
"""Modules whose public members are documented whole, under the heading that they belong to."""


def write_reference(folder: Path) -> None:
    """Write `names.md`, `keys.md`, `commands.md` and `modules.md`; what has not changed is left alone."""
    pages = {"names": _names(), "keys": _keys(), "commands": _commands(), "modules": _modules()}
    folder.mkdir(exist_ok=True)
    for name, lines in pages.items():
        text = "\n".join(lines) + "\n"
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def _names() -> Iterator[str]:
    yield "# Names of the package\n"
    yield "What `from aitimestepper import ...` gives. Each is loaded when it is first used.\n"
    for name in sorted(set(aitimestepper.__all__) - {"__version__"}, key=str.lower):
        thing = getattr(aitimestepper, name)
        kind = "autoclass" if isinstance(thing, type) else "autofunction"
        yield "```{eval-rst}"
        yield f".. {kind}:: {thing.__module__}.{thing.__qualname__}"
        if kind == "autoclass" and not issubclass(thing, Config):
            yield "   :members:"
        yield "   :no-index:\n```\n"


def _modules() -> Iterator[str]:
    yield "# Modules\n"
    for title, modules in MODULES.items():
        yield f"## {title}\n"
        for module in modules:
            documented = importlib.import_module(f"aitimestepper.{module}")
            yield f"### aitimestepper.{module}\n"
            yield f"```{{eval-rst}}\n.. automodule:: {documented.__name__}\n   :members:\n```\n"


def _keys() -> Iterator[str]:
    yield "# Configuration keys\n"
    yield (
        "In a TOML file, keys at the top are shared, `[train]` and `[simulate]` stand over them, flags over both. "
        "The flag of `energy_threshold` is `--energy-threshold`. `Config(...)` takes the same keys in Python.\n"
    )
    fields = {field.alias or name: field for name, field in Config.model_fields.items()}
    for title, commands, keys in groups():
        yield f"## {title}\n"
        yield f"Of {', '.join(f'`{command}`' for command in commands)}.\n"
        yield "| key | default | meaning |\n|---|---|---|"
        for key in keys:
            default = "" if fields[key].default is None else f"`{fields[key].default}`"
            yield f"| `{key}` | {default} | {str(fields[key].description).replace('|', chr(92) + '|')} |"
        yield ""


def _commands() -> Iterator[str]:
    yield "# Commands\n"
    environment = {**os.environ, "COLUMNS": "80"}
    for command in COMMANDS:
        yield f"## aitimestepper {command}\n"
        words = [sys.executable, "-m", "aitimestepper", command, "--help"]
        answer = subprocess.run(words, capture_output=True, text=True, env=environment, check=True)
        yield f"```text\n{answer.stdout.rstrip()}\n```\n"
