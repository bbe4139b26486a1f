"""`aitimestepper simulate`: one system, one way to choose the step, a summary."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from aitimestepper.cli.configuration import changes_beside_resume, configured
from aitimestepper.cli.exit_codes import EXCEEDED, SUCCESS
from aitimestepper.cli.output import note, print_json, print_table
from aitimestepper.cli.parser import CommandParser, Parsed
from aitimestepper.cli.progress import simulation_progress
from aitimestepper.config.schema import Config
from aitimestepper.recordings.shown import method_of, summary_rows
from aitimestepper.systems.archives import is_archive
from aitimestepper.systems.units import Units

if TYPE_CHECKING:
    from aitimestepper.recordings.parts import RunInfo, Summary

_EXAMPLES = """\
examples:
  aitimestepper simulate --ic pythagorean --duration 70 --tolerance 1e-10
  aitimestepper simulate --ic kepler:e=0.9 --periods 100 \\
      --timestep free-fall --eta 0.01
  aitimestepper simulate --ic bodies.csv --duration 50 \\
      --timestep learned --model runs/first --output run.h5
  aitimestepper simulate --ic pythagorean --steps 10000 \\
      --timestep fixed --dt 1e-4 --json

  aitimestepper simulate --ic figure-eight --periods 1000 \\
      --integrator ttl --order 6 --timestep fixed --h 0.2
  aitimestepper simulate --resume run.h5 --duration 100

Needed are --ic, the --tolerance of the run (or a --timestep with its
parameter), and one of --duration, --periods and --steps; all of them may
stand in the TOML file.
"""


def parser() -> CommandParser:
    """What may stand behind `aitimestepper simulate`."""
    usage = (
        "--ic SPEC (--duration T | --periods P | --steps N)\n"
        "         (--tolerance X | --timestep (fixed --dt X | CRITERION --eta X))\n"
        "         [--integrator ttl] [--order N] [--config F.toml] [--json] [flags]\n"
        "       %(prog)s --resume F.h5\n"
        "         [--duration T | --periods P | --steps N]"
    )
    return CommandParser("simulate", usage=usage, epilog=_EXAMPLES)


def run(words: Sequence[str]) -> int:
    """Carry out `aitimestepper simulate ...`; returns the exit code."""
    parsed = parser().parse(words)
    if "resume" in parsed.own:
        return _resume(parsed)
    return simulate_and_report(configured("simulate", parsed))


def _resume(parsed: Parsed) -> int:
    """Go on with a recording, to its own end or another."""
    from aitimestepper.simulation.run import RESUMABLE, resume_in_output

    path, wishes = parsed.own["resume"], changes_beside_resume(parsed, RESUMABLE)
    return _watched(lambda progress: resume_in_output(path, wishes, progress), path, in_json=parsed.json)


def simulate_and_report(config: Config) -> int:
    """Simulate with progress on standard error and print the summary on standard output; returns the exit code.

    Raises:
        SimulationError: the run could not go on; the summary of what was reached is printed all the same.
    """
    from aitimestepper.simulation.run import simulate_to_output

    try:
        return _watched(
            lambda progress: simulate_to_output(config, progress), config.output, in_json=config.json_summary
        )
    except KeyboardInterrupt:
        if config.confirm:
            note("not confirmed:  the two runs did not come to their end")
        raise


def _watched(
    run: Callable[[Callable[[float], None]], tuple[RunInfo, Summary]], output: str | None, *, in_json: bool
) -> int:
    from aitimestepper.recordings.recording import SimulationError

    try:
        with simulation_progress() as progress:
            info, summary = run(progress)
    except SimulationError as error:
        _report(error.info, error.summary, output, in_json=in_json)
        raise
    except KeyboardInterrupt:
        _say_where(output)
        if output is not None and not is_archive(output):
            note(f"go on with:     aitimestepper simulate --resume {shlex.quote(output)}")
        raise
    _report(info, summary, output, in_json=in_json)
    return EXCEEDED if summary.falls_short else SUCCESS


def _report(info: RunInfo, summary: Summary, output: str | None, *, in_json: bool) -> None:
    numbers = summary.as_dict()
    if in_json:
        print_json(numbers)
    else:
        rows = [("  " + name, value) for name, value in summary_rows(numbers)]
        print_table(_title(info), rows, remarks=[*_confirmation(summary), *_units(info)])
    _say_where(output)
    if output is None and not in_json:
        note("no states kept: --output run.h5 keeps them")
    if summary.step_error_asked is not None and summary.outside_training:
        note(
            f"aitimestepper: warning: {100 * summary.outside_training:.3g} % of the states have a feature outside the "
            "range of the training of these weights, and the steps there are guesses"
        )


def _confirmation(summary: Summary) -> Iterator[str]:
    """What a second run says of the positions, in a line."""
    if summary.confirm_position_difference is None:
        return
    difference, of = summary.confirm_position_difference_relative, " of the distance to the nearest neighbour"
    if difference is None:
        difference, of = summary.confirm_position_difference, ""
    yield f"positions differ by up to {difference:.2g}{of} from a run at tolerance {summary.confirm_tolerance:g}"


def _units(info: RunInfo) -> Iterator[str]:
    """What the numbers are in, where their source says it."""
    units = Units.from_text(info.units)
    if units is not None:
        yield str(units)


def _say_where(output: str | None) -> None:
    if output is not None:
        note(f"trajectory in {output}")


def _title(info: RunInfo) -> str:
    """System, integrator and steps in a line."""
    system = info.settings.get("ic", "bodies")
    return f"{system}: {len(info.mass)} bodies, {method_of(info.settings)}"
