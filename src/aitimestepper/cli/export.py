"""`aitimestepper export`: a model for programs that are not written in Python."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from aitimestepper.cli.exit_codes import SUCCESS
from aitimestepper.cli.output import note
from aitimestepper.cli.parser import CommandParser
from aitimestepper.errors import InputError

FORMATS = ("c", "onnx")

_EXAMPLES = """\
examples:
  aitimestepper export --format c --output mycode
  aitimestepper export --model runs/mine --format c --prefix mine --output .
  aitimestepper export --model runs/mine --format onnx --output mine.onnx

C: one header and one source file, C99, with the function
  double ait_timestep(int n, const double *mass, const double *x,
                      const double *v, double tolerance, double G,
                      double softening);
see docs/c.md and examples/c. ONNX: the network alone, in double precision.
"""


def parser() -> CommandParser:
    """What may stand behind `aitimestepper export`."""
    usage = "--format (c | onnx) --output PATH [--model PATH]\n         [--prefix NAME] [--overwrite]"
    made = CommandParser("export", usage=usage, epilog=_EXAMPLES)
    made.add_argument("--format", metavar="{c,onnx}", help="what to write")
    made.add_argument("--output", metavar="PATH", help="directory (c), or file (onnx)")
    made.add_argument("--model", metavar="PATH", help="weights: a model file, a run directory, or default (default)")
    made.add_argument("--prefix", metavar="NAME", help="of all names in C (default: ait)")
    return made


def run(words: Sequence[str]) -> int:
    """Carry out `aitimestepper export ...`; returns the exit code."""
    parsed = parser().parse(words)
    own = parsed.own
    if own.get("format") not in FORMATS:
        raise InputError(f"export needs --format {' or '.join(FORMATS)}, got {own.get('format', 'none')}")
    if "output" not in own:
        raise InputError("export needs --output: a directory for c, a file for onnx")
    if "prefix" in own and own["format"] != "c":
        raise InputError("--prefix is for names in C: it does nothing with --format onnx")
    from aitimestepper.exporting import export_c, export_onnx
    from aitimestepper.exporting.c_source import DEFAULT_PREFIX
    from aitimestepper.weights.file import read_model

    name = own.get("model", "default")
    model = read_model(None if name == "default" else name)
    if own["format"] == "onnx":
        note(f"wrote {export_onnx(model, own['output'], overwrite=parsed.overwrite)}")
        return SUCCESS
    header, source = export_c(
        model, own["output"], prefix=own.get("prefix", DEFAULT_PREFIX), overwrite=parsed.overwrite
    )
    note(f"wrote {header} and {source}")
    note(f"compile with:  cc -std=c99 -O2 -c {shlex.quote(str(source))}      (and link with -lm)")
    return SUCCESS
