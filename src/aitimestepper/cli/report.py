"""`aitimestepper report`: a web page about runs, which opens without a network."""

from __future__ import annotations

from collections.abc import Sequence

from aitimestepper.cli.exit_codes import SUCCESS
from aitimestepper.cli.output import default_output
from aitimestepper.cli.parser import CommandParser

_EXAMPLES = """\
examples:
  aitimestepper report run.h5
  aitimestepper report run.h5 work.json --output run-and-methods.html
  aitimestepper report runs/first --title "First training"
  aitimestepper report many.h5

PATH is a recording, an ensemble, a comparison (compare --output F.json), or a
directory: the training in it and every such file beside it. The page is one
file with everything inside, and asks nothing of any network.
"""


def parser() -> CommandParser:
    """What may stand behind `aitimestepper report`."""
    made = CommandParser("report", usage="PATH [PATH ...] [--output F.html] [flags]", epilog=_EXAMPLES)
    made.add_argument("paths", metavar="PATH", nargs="+", help="files or directories to show")
    made.add_argument("--output", metavar="FILE", help="page, .html (default: beside PATH, or report.html in it)")
    made.add_argument("--title", metavar="TEXT", help="of the page")
    return made


def run(words: Sequence[str]) -> int:
    """Carry out `aitimestepper report ...`; returns the exit code."""
    parsed = parser().parse(words)
    own = parsed.own
    paths = own.pop("paths")
    output = own.pop("output", None) or default_output(paths[0], "report.html")
    from aitimestepper.views.report import report

    report(paths, output, overwrite=parsed.overwrite, **own)
    print(output)
    return SUCCESS
