"""`aitimestepper simulate`: one system, one way to choose the step, a summary."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from aitimestepper.cli.console import note, print_table, simulation_progress
from aitimestepper.cli.exit_codes import SUCCESS
from aitimestepper.cli.parser import CommandParser
from aitimestepper.config import Config, read_config
from aitimestepper.errors import SimulationError

if TYPE_CHECKING:
    from aitimestepper.recording import Recording, Summary

_EXAMPLES = """\
examples:
  aitimestepper simulate --ic kepler:e=0.9 --periods 100 \\
      --timestep free-fall --eta 0.01
  aitimestepper simulate --ic bodies.csv --duration 50 \\
      --timestep learned --model runs/first --output run.h5
  aitimestepper simulate --ic pythagorean --steps 10000 \\
      --timestep fixed --dt 1e-4 --json

Needed are --ic, a --timestep with its parameter, and one of --duration,
--periods and --steps; all of them may stand in the TOML file.
"""


def run(words: Sequence[str]) -> int:
    """Carry out `aitimestepper simulate ...`; returns the exit code."""
    usage = (
        "--ic SPEC (--duration T | --periods P | --steps N)\n"
        "         --timestep (fixed --dt X | free-fall --eta X | learned --model PATH)\n"
        "         [--config F.toml] [--output F.h5] [--json] [flags]"
    )
    request = CommandParser("simulate", usage=usage, epilog=_EXAMPLES).parse(words)
    simulate_and_report(read_config(request.own.get("config"), "simulate", request.keys))
    return SUCCESS


def simulate_and_report(config: Config) -> None:
    """Simulate with progress on standard error and print the summary on standard output.

    Raises:
        SimulationError: the run could not go on; the summary of what was reached is printed all the same.
    """
    from aitimestepper.simulate import simulate

    try:
        with simulation_progress() as progress:
            recording = simulate(config, progress=progress)
    except SimulationError as error:
        _report(config, error.recording)
        raise
    except KeyboardInterrupt:
        _say_where(config)
        raise
    _report(config, recording)


def _report(config: Config, recording: Recording) -> None:
    if config.json_summary:
        print(as_json(recording.summary))
    else:
        print_table(_title(config, recording), recording.summary.as_dict())
    _say_where(config)


def _say_where(config: Config) -> None:
    if config.output is not None:
        note(f"trajectory in {config.output}")


def as_json(summary: Summary) -> str:
    """One JSON object; a number that is not finite is null in it."""
    numbers = summary.as_dict().items()
    finite = {key: None if isinstance(value, float) and not math.isfinite(value) else value for key, value in numbers}
    return json.dumps(finite, allow_nan=False)


def _title(config: Config, recording: Recording) -> str:
    parameters = {"fixed": f"dt = {config.dt}", "free-fall": f"eta = {config.eta}", "learned": config.model}
    return f"{config.ic}: {len(recording.mass)} bodies, {config.timestep} steps ({parameters[str(config.timestep)]})"
