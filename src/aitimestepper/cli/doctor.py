"""`aitimestepper doctor`: look at an installation, and say what to do about what is broken."""

from __future__ import annotations

from collections.abc import Sequence

from aitimestepper.cli.exit_codes import RUN_FAILED, SUCCESS
from aitimestepper.cli.installation import compiled_ahead, examine
from aitimestepper.cli.output import note, print_json
from aitimestepper.cli.parser import CommandParser

_EXAMPLES = """\
examples:
  aitimestepper doctor
  aitimestepper doctor --compile             before the first run, once
  aitimestepper doctor --json
  aitimestepper doctor > installation.txt    for a report of a fault

The exit code is 3 if there is a problem. The trial run at the end compiles
what has not run on this machine yet, which takes five to ten minutes once.
"""

_MARKS = {"ok": "ok", "note": "note", "problem": "PROBLEM"}


def parser() -> CommandParser:
    """What may stand behind `aitimestepper doctor`."""
    return CommandParser("doctor", usage="[--compile] [--json]", epilog=_EXAMPLES)


def run(words: Sequence[str]) -> int:
    """Carry out `aitimestepper doctor ...`; returns the exit code."""
    parsed = parser().parse(words)
    if "compile" in parsed.own:
        for what, seconds in compiled_ahead():
            note(f"{what}: {seconds:.0f} s")
    findings = []
    for finding in examine():
        findings.append(finding)
        if not parsed.json:
            print(f"{_MARKS[finding.verdict]:8} {finding.what:14} {finding.text}", flush=True)
    if parsed.json:
        print_json([finding._asdict() for finding in findings])
    return RUN_FAILED if any(finding.verdict == "problem" for finding in findings) else SUCCESS
