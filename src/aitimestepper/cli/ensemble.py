"""`aitimestepper ensemble`: many systems side by side, and how their errors spread."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from aitimestepper.cli.configuration import changes_beside_resume, configured
from aitimestepper.cli.exit_codes import EXCEEDED, SUCCESS
from aitimestepper.cli.output import note, print_json, print_table
from aitimestepper.cli.parser import CommandParser, Parsed
from aitimestepper.cli.progress import simulation_progress
from aitimestepper.config.schema import Config
from aitimestepper.errors import RunError
from aitimestepper.outputs import spelled
from aitimestepper.recordings.shown import integrator_in

if TYPE_CHECKING:
    from aitimestepper.ensembles.result import EnsembleResult, Failure
    from aitimestepper.simulation.progress import Progress

MOST_FAILURES_SHOWN = 5

_EXAMPLES = """\
examples:
  aitimestepper ensemble --ic random:n=3 --count 1000 --duration 10 \\
      --tolerance 1e-6
  aitimestepper ensemble --ic random:n=3 --count 1000 --duration 10 \\
      --timestep free-fall --eta 0.01
  aitimestepper ensemble --ic plummer:n=16 --count 200 --seed 7 --steps 10000 \\
      --timestep learned --model runs/first --output many.h5
  aitimestepper ensemble --ic random:n=3 --count 100000 --duration 10 \\
      --timestep fly-by --eta 0.02 --scheduler tcp://head:8786 --json

The members are drawn with the seeds seed, seed + 1, ...; a member is bit for
bit what `simulate` makes of its seed. The exit code is 3 if one of them fails,
4 if one does not keep what was asked of it; the others are kept. The workers
of --scheduler need this package, no files.
Members are written as they end: --resume goes on after Ctrl-C or a kill.
"""


def parser() -> CommandParser:
    """What may stand behind `aitimestepper ensemble`."""
    usage = (
        "--ic SPEC --count N\n"
        "         (--duration T | --periods P | --steps N)\n"
        "         --timestep (fixed --dt X | CRITERION --eta X | learned --model PATH)\n"
        "         [--threads N | --scheduler ADDRESS] [--config F.toml]\n"
        "         [--output F.h5] [--json] [flags]\n"
        "       %(prog)s --resume F.h5 [--threads N | --scheduler ADDRESS]"
    )
    return CommandParser("ensemble", usage=usage, epilog=_EXAMPLES)


def run(words: Sequence[str]) -> int:
    """Carry out `aitimestepper ensemble ...`; returns the exit code."""
    parsed = parser().parse(words)
    if "resume" in parsed.own:
        output, in_json, result = parsed.own["resume"], parsed.json, _resumed(parsed)
    else:
        config = configured("ensemble", parsed)
        output, in_json, result = config.output, config.json_summary, _simulated(config)
    if in_json:
        print_json(_numbers(result))
    else:
        _print(result)
    if output is not None:
        note(f"ensemble in {output}")
    failures = result.failures
    if failures:
        raise RunError(f"{len(failures)} of {len(result)} members failed")
    short = int(result.falls_short.sum())
    if short:
        note(f"{short} of {len(result)} members did not keep what was asked, or cannot be known to have kept it")
    return EXCEEDED if short else SUCCESS


def _simulated(config: Config) -> EnsembleResult:
    from aitimestepper.ensembles.ensemble import simulate_ensemble

    return _watched(lambda progress: simulate_ensemble(config=config, progress=progress), config.output)


def _resumed(parsed: Parsed) -> EnsembleResult:
    """Go on with the members that are missing in a file."""
    from aitimestepper.ensembles.ensemble import RESUMABLE, resume_ensemble

    path, wishes = parsed.own["resume"], changes_beside_resume(parsed, RESUMABLE)
    return _watched(lambda progress: resume_ensemble(path, **wishes, progress=progress), path)


def _watched(run: Callable[[Progress], EnsembleResult], output: str | None) -> EnsembleResult:
    try:
        with simulation_progress() as progress:
            return run(progress)
    except KeyboardInterrupt:
        if output is not None:
            note(f"what was done is in {output}")
            note(f"go on with:     aitimestepper ensemble --resume {shlex.quote(output)}")
        raise


def _numbers(result: EnsembleResult) -> dict[str, Any]:
    """What JSON tells; quantiles are those of the members that finished, None without any."""
    from aitimestepper.ensembles.promises import promises_of
    from aitimestepper.ensembles.result import spread_of

    failures = result.failures
    return {
        "count": len(result),
        "finished": len(result) - len(failures),
        "failed": len(failures),
        "wall_seconds": result.wall_seconds,
        "total_steps": int(result.steps.sum()),
        "total_force_evaluations": int(result.force_evaluations.sum()),
        "total_rejected_steps": int(result.rejected_steps.sum()),
        **spread_of(result),
        "promises": [asdict(promise) | {"verdict": promise.verdict} for promise in promises_of(result)],
        "falling_short": int(result.falls_short.sum()),
        "failures": [asdict(failure) for failure in failures],
    }


def _print(result: EnsembleResult) -> None:
    from aitimestepper.ensembles.promises import largest_share, promises_of
    from aitimestepper.ensembles.result import COLUMN_NAMES, spread_of

    spread, failures, config = spread_of(result), result.failures, Config(**result.settings)
    integrator = integrator_in(result.settings)
    remarks = [*map(str, promises_of(result)), *filter(None, [largest_share(result)])]
    remarks += [f"{len(failures)} of {len(result)} members failed:"] if failures else []
    remarks += ["  " + _line(failure) for failure in failures[:MOST_FAILURES_SHOWN]]
    if len(failures) > MOST_FAILURES_SHOWN:
        remarks.append(f"  and {len(failures) - MOST_FAILURES_SHOWN} more")
    print_table(
        f"{config.ic}: {len(result)} members, {integrator}, {config.timestep} steps, {result.wall_seconds:.3g} s",
        [
            (
                "  " + COLUMN_NAMES.get(name, name.replace("_", " ")),
                *("-" if number is None else spelled(number) for number in row.values()),
            )
            for name, row in spread.items()
        ],
        head=("", *next(iter(spread.values()))),
        remarks=remarks,
    )


def _line(failure: Failure) -> str:
    seed = f" (seed {failure.seed})" if failure.seed >= 0 else ""
    return f"member {failure.index}{seed}: {failure.outcome}"
