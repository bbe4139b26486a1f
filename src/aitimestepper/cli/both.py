"""`aitimestepper both`: train, then simulate with the model just trained."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aitimestepper.cli.exit_codes import INTERRUPTED
from aitimestepper.cli.parser import CommandParser, Parsed
from aitimestepper.cli.simulate import simulate_and_report
from aitimestepper.cli.train import train_and_report
from aitimestepper.config.reading import read_config
from aitimestepper.config.schema import Config, fields_of
from aitimestepper.errors import InputError
from aitimestepper.names import Command

SIMULATION_FILE = "simulation.h5"
"""Where the trajectory goes unless another output is asked for: into the run directory."""

_EXAMPLES = """\
examples:
  aitimestepper both --ic kepler:e=0.9,m2=0.3 --periods 20 --epochs 300
  aitimestepper both --ic solar-system:date=2026-01-01 --duration 62.8 --json
  aitimestepper both --config my.toml --save-name again

A flag that both commands know goes to both; in the TOML file a [train] and a
[simulate] table can differ: training orbits here, another --ic there.
"""


def parser() -> CommandParser:
    """What may stand behind `aitimestepper both`."""
    usage = "--ic SPEC (--duration T | --periods P | --steps N)\n         [--config F.toml] [flags]"
    return CommandParser("both", usage=usage, epilog=_EXAMPLES)


def run(words: Sequence[str]) -> int:
    """Carry out `aitimestepper both ...`; returns the exit code."""
    parsed = parser().parse(words)
    training = _config("train", parsed)
    _check_simulation(parsed, training)
    outcome = train_and_report(training)
    if outcome.interrupted:
        return INTERRUPTED
    decided = {"timestep": "learned", "model": str(outcome.model_path)}
    if _config("simulate", parsed).output is None:
        decided["output"] = str(outcome.run_dir / SIMULATION_FILE)  # new like its directory
    return simulate_and_report(_config("simulate", parsed, **decided))


def _config(command: Command, parsed: Parsed, **decided: Any) -> Config:
    """The configuration of one of the two: its tables of the file, its flags, and what is not for the user to say."""
    flags = {key: value for key, value in parsed.keys.items() if key in fields_of(command)}
    return read_config(parsed.own.get("config"), command, flags | decided)


def _check_simulation(parsed: Parsed, training: Config) -> None:
    """Refuse before hours of training what would be refused after them."""
    from aitimestepper.simulation.request import Settings, bodies_of, checked, request_of
    from aitimestepper.simulation.run import check_simulation_output

    wished = _config("simulate", parsed)
    for key in ("timestep", "model", "dt", "eta"):
        value = getattr(wished, key)
        if value is not None and (key, value) != ("timestep", "learned"):
            raise InputError(f"{key} = {value} is not for `both`, which takes the steps of the model that it trains")
    if wished.ic is None:
        raise InputError("both needs a system to simulate: set ic, in the [simulate] table if it is not to train on")
    wished = _config("simulate", parsed, timestep="learned", model=training.save_name)
    wished = checked(wished, calibrated=training.output_scale == "calibrated")
    check_simulation_output(wished)
    request_of(Settings(wished), bodies_of(wished))
