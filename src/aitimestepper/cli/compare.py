"""`aitimestepper compare`: several methods on several systems at equal cost, as a table, JSON and a figure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from aitimestepper.cli.configuration import configured
from aitimestepper.cli.exit_codes import SUCCESS
from aitimestepper.cli.output import is_narrow, note, print_json, print_table
from aitimestepper.cli.parser import CommandParser
from aitimestepper.cli.progress import simulation_progress
from aitimestepper.config.schema import Config
from aitimestepper.errors import InputError
from aitimestepper.outputs import Reservation

if TYPE_CHECKING:
    from aitimestepper.comparison.result import Comparison, Reference, Row, SystemComparison

_EXAMPLES = """\
A method is INTEGRATOR[ORDER]:STEP[/OPTION]... (default: leapfrog:fixed
leapfrog:free-fall leapfrog:fly-by ttl:fixed ttl4:fixed ttl6:fixed)
  INTEGRATOR   leapfrog or ttl; ORDER 2 (default), 4, 6 or 8
  STEP         fixed, free-fall, fly-by, acceleration, aarseth, prs23,
               learned=PATH, or a criterion of your own (--plugin)
  OPTION       plain (variable steps that are not reversible), reversible
               (the same for learned steps); of ttl: log-h, sum, q=2, unit
  and rebound:ias15[/prs23|/aarseth|/global] and rebound:leapfrog, with
  pip install 'aitimestepper[rebound]'

Every method's parameter is tuned on every system until a run costs the
budget within a few percent; all force evaluations count, those of rejected
steps and of IAS15's inner loops too. Positions are compared with a run of
order 8 at a tenth of the finest step.

examples:
  aitimestepper compare --ic kepler:e=0.9 --periods 30 --evaluations 10000
  aitimestepper compare --systems pythagorean figure-eight --duration 20 \\
      --methods leapfrog:fly-by ttl6:fixed rebound:ias15 \\
      --evaluations 3e3 1e4 3e4 --figure work.pdf --output work.json
  aitimestepper compare --ic random:n=8,seed=1 --duration 5 \\
      --methods leapfrog:aarseth leapfrog:aarseth/plain --json
"""


def parser() -> CommandParser:
    """What may stand behind `aitimestepper compare`."""
    usage = (
        "(--ic SPEC | --systems SPEC ...)\n"
        "         (--duration T | --periods P)\n"
        "         [--methods METHOD ...] [--evaluations N ...]\n"
        "         [--figure F.png] [--output F.json] [--json] [flags]"
    )
    return CommandParser("compare", usage=usage, epilog=_EXAMPLES)


def run(words: Sequence[str]) -> int:
    """Carry out `aitimestepper compare ...`; returns the exit code."""
    config = configured("compare", parser().parse(words))
    _check_files(config)
    with _reserved(config.output, config) as output, _reserved(config.figure, config):
        comparison = _compared(config)
        if output is not None:
            output.write((json.dumps(comparison.as_dict(), indent=1) + "\n").encode())
    if config.figure is not None:
        from aitimestepper.views.work_precision import plot_work_precision

        plot_work_precision(comparison, config.figure, overwrite=config.overwrite)
    if config.json_summary:
        print_json(comparison.as_dict())
    else:
        for system in comparison.systems:
            _print_system(system)
    for what, path in (("comparison", config.output), ("figure", config.figure)):
        if path is not None:
            note(f"{what} in {path}")
    return SUCCESS


def _check_files(config: Config) -> None:
    """Refuse files that could not be written, before any work is done for them."""
    if config.output is not None and Path(config.output).suffix.lower() != ".json":
        raise InputError(f"a comparison is written as JSON: give output = {config.output} the suffix .json")
    if config.figure is not None:
        from aitimestepper.views.page import check_figure

        check_figure(config.figure, config.overwrite)


def _reserved(path: str | None, config: Config) -> AbstractContextManager[Reservation | None]:
    """A file that is kept from other processes while methods are compared, if it is wanted."""
    return nullcontext() if path is None else Reservation(path, config.overwrite)


def _compared(config: Config) -> Comparison:
    from aitimestepper.comparison.compare import compare

    with simulation_progress("comparing", "compared") as progress:
        return compare(config=config, progress=progress)


_COLUMNS = ("method", "parameter", "evaluations", "max |dE/E|", "final", "dL/L", "position", "seconds")
_SHORT = {"evaluations": "evals", "max |dE/E|": "|dE/E|", "seconds": "s"}
_LEFT_OUT = ("final", "dL/L")
"""Of a narrow window."""


def _print_system(system: SystemComparison) -> None:
    remarks: list[str] = []
    rows = [_cells(row, remarks) for row in sorted(system.rows, key=lambda row: row.budget)]
    title = f"{system.system}: {system.n_bodies} bodies, duration {system.duration:.6g}"
    head: Sequence[str] = _COLUMNS
    if is_narrow():
        kept = [number for number, name in enumerate(_COLUMNS) if name not in _LEFT_OUT]
        rows = [[row[number] for number in kept] for row in rows]
        head = [_SHORT.get(_COLUMNS[number], _COLUMNS[number]) for number in kept]
    print_table(title, rows, head=head, left=2, remarks=(*remarks, _of_reference(system.reference), ""))


def _cells(row: Row, remarks: list[str]) -> list[str]:
    """A line of the table; what there is to say of it goes below, under a number."""
    mark = ""
    if row.note:
        remarks.append(f"[{len(remarks) + 1}] {row.note}")
        mark = f" [{len(remarks)}]"
    value = "-" if row.value is None else f"{row.parameter} = {row.value:.4g}"
    errors = (row.energy_error_max, row.energy_error_final, row.angular_momentum_error, row.position_error)
    cost = "-" if row.force_evaluations is None else str(row.force_evaluations)
    seconds = "-" if row.wall_seconds is None else f"{row.wall_seconds:.2g}"
    return [row.method + mark, value, cost, *("-" if e is None else f"{e:.1e}" for e in errors), seconds]


def _of_reference(reference: Reference | None) -> str:
    if reference is None:
        return "no reference: no run of order 8 came to its end"
    text = (
        f"reference: {reference.method}, {reference.force_evaluations} evaluations; with twice the step it ends "
        f"{reference.doubled_step_distance:.1e} from there"
    )
    if reference.ias15_distance is not None:
        text += f", IAS15 {reference.ias15_distance:.1e}"
    text += f": position errors below {reference.uncertainty:.1e} mean nothing"
    return f"{text} ({reference.note})" if reference.note else text
