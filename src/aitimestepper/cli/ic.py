"""`aitimestepper ic`: write initial conditions, or list those that have a name."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import Any

from aitimestepper.cli.exit_codes import SUCCESS
from aitimestepper.cli.parser import CommandParser
from aitimestepper.config.schema import Config
from aitimestepper.errors import InputError
from aitimestepper.systems.catalogue import describe_systems, initial_conditions
from aitimestepper.systems.files_out import text_from_bodies, write_initial_conditions
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.sources import RADIUS, SOURCES

_EXAMPLES = """\
examples:
  aitimestepper ic kepler:e=0.9,m2=0.3
  aitimestepper ic kepler --e 0.9 --m2 0.3 --output binary.csv
  aitimestepper ic plummer:n=100,seed=7 --output cluster.h5

systems that have a name, for `ic` and, in the first form, for --ic:
"""

_OPTIONS = (
    *dict.fromkeys(o.name for source in SOURCES.values() for o in source.options if o.name != "seed"),
    RADIUS.name,
)
"""Options of systems, each once; the seed of a system is the flag of the run."""


_MOST_NAMES = 20
"""That are shown."""


def parser() -> CommandParser:
    """What may stand behind `aitimestepper ic`."""
    made = CommandParser(
        "ic",
        usage="NAME[:KEY=VALUE,...] [--output FILE] [flags]\n       %(prog)s --list",
        epilog=_EXAMPLES + _listed_systems(),
        options=_OPTIONS,
    )
    made.add_argument("NAME", nargs="?", help="a name from the list below with its options, or a file to convert")
    return made


def run(words: Sequence[str]) -> int:
    """Carry out `aitimestepper ic ...`; returns the exit code."""
    parsed = parser().parse(words)
    if parsed.own.get("list"):
        print(_listed_systems())
        return SUCCESS
    config = Config(**parsed.keys)
    spec = _spec(parsed.own, _OPTIONS)
    system = initial_conditions(spec, G=config.G, softening=config.given("softening"), seed=config.seed)
    _write(system, parsed.own.get("output"), config)
    _describe(system)
    return SUCCESS


def _listed_systems() -> str:
    width = shutil.get_terminal_size().columns
    lines = describe_systems().splitlines()
    return "\n".join(textwrap.fill(line, width, subsequent_indent=" " * 21, break_on_hyphens=False) for line in lines)


def _spec(own: dict[str, Any], options: Iterable[str]) -> str:
    """The specification: the name, with the options that were given as flags behind it."""
    name = own.get("NAME")
    if name is None:
        raise InputError("ic needs the name of a system or a file; 'aitimestepper ic --list' lists the names")
    given = [f"{option}={own[option]}" for option in options if option in own]
    if given and name.partition(":")[0] not in SOURCES:
        raise InputError(f"{given[0]} is an option of systems that have a name, and {name!r} is none")
    return name + ("," if ":" in name else ":") * bool(given) + ",".join(given)


def _write(system: InitialConditions, output: str | None, config: Config) -> None:
    if output is None:
        sys.stdout.write(text_from_bodies(system, ","))
        sys.stdout.flush()
    else:
        write_initial_conditions(output, system, config.overwrite, G=config.G)
        print(f"wrote {output}", file=sys.stderr)


def _describe(system: InitialConditions) -> None:
    facts = [f"{system.n_bodies} bodies in {system.n_dims} dimensions"]
    facts += [f"period {system.period:.8g}"] if system.period else []
    facts += [f"softening {system.softening:g}"] if system.softening else []
    facts += [system.note] if system.note else []
    names = system.names[:_MOST_NAMES] + ("...",) * (len(system.names) > _MOST_NAMES)
    facts += [", ".join(names)] if names else []
    print("; ".join(facts), file=sys.stderr)
