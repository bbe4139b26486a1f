"""`aitimestepper plot`: a figure of a run, of several, of a training or of a comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aitimestepper.cli.commands import flag_of
from aitimestepper.cli.exit_codes import SUCCESS
from aitimestepper.cli.output import default_output
from aitimestepper.cli.parser import CommandParser
from aitimestepper.comparison.result import Comparison
from aitimestepper.errors import InputError
from aitimestepper.names import STEPS_FILE
from aitimestepper.views.naming import names_by_settings

if TYPE_CHECKING:
    from aitimestepper.recordings.recording import Recording
    from aitimestepper.views.sources import Source

_EXAMPLES = """\
examples:
  aitimestepper plot run.h5
  aitimestepper plot run.h5 --output orbit.pdf --time-unit yr
  aitimestepper plot run.h5 --bodies Sun,Earth,Mars --dim 2
  aitimestepper plot run.h5 --time-label "time of the binary"
  aitimestepper plot run.h5 --step-control --output control.png
  aitimestepper plot fixed.h5 learned.h5 --output both.svg
  aitimestepper plot runs/first
  aitimestepper plot runs/first/steps.jsonl --output steps.pdf
  aitimestepper plot work.json --title "Equal cost"

A recording: orbits in the x-y plane (and in space, if the run has three
dimensions), step, energy error and error of the angular momentum over time.
With --step-control, of a run with calibrated steps and --step-history: steps,
errors over what is allowed, setbacks and anchors.
Several recordings: the same of all in one figure, without space and angular
momentum. The run directory of a training: its metrics. The steps.jsonl in it:
steps over the orbit and their errors, after some epochs. What compare --output
wrote: errors against force evaluations.
"""


def parser() -> CommandParser:
    """What may stand behind `aitimestepper plot`."""
    usage = "PATH [PATH ...] [--output F.png|F.pdf|F.svg] [flags]"
    made = CommandParser("plot", usage=usage, epilog=_EXAMPLES)
    made.add_argument("paths", metavar="PATH", nargs="+", help="recordings, a run directory, or a comparison (.json)")
    made.add_argument("--output", metavar="FILE", help="figure, by suffix .png, .pdf or .svg (default: beside PATH)")
    made.add_argument("--step-control", action="store_true", help="steps, errors, setbacks and anchors of one run")
    made.add_argument("--title", metavar="TEXT", help="over the figure")
    made.add_argument("--bodies", metavar="A,B,...", help="names or numbers of those whose orbits are shown")
    made.add_argument("--dim", type=int, choices=(2, 3), help="the x-y plane alone, or space too (default: the run's)")
    made.add_argument("--length-unit", metavar="UNIT", help="to convert to, as km (default: that of the run)")
    made.add_argument("--time-unit", metavar="UNIT", help="to convert to, as yr (default: that of the run)")
    made.add_argument("--length-label", metavar="TEXT", help="names the unit of length, converts nothing")
    made.add_argument("--time-label", metavar="TEXT", help="names the unit of time, converts nothing")
    return made


def run(words: Sequence[str]) -> int:
    """Carry out `aitimestepper plot ...`; returns the exit code."""
    parsed = parser().parse(words)
    own = parsed.own
    output = own.pop("output", None) or default_output(own["paths"][0], "plot.png")
    if "bodies" in own:
        own["bodies"] = bodies_in(own["bodies"])
    draw = _drawing(own.pop("paths"), own)
    draw(output, overwrite=parsed.overwrite)
    print(output)
    return SUCCESS


def bodies_in(text: str) -> list[int | str]:
    """Names and numbers between commas."""
    words = [word.strip() for word in text.split(",")]
    return [int(word) if word.isdigit() else word for word in words if word]


def _drawing(paths: Sequence[str], options: dict[str, Any]) -> Callable[..., Any]:
    """What draws the figure into a path."""
    from aitimestepper.recordings.recording import Recording
    from aitimestepper.views.sources import read_source

    sources = [read_source(path) for path in paths]
    recordings = [source.content for source in sources if isinstance(source.content, Recording)]
    if options.pop("step_control", False):
        return _of_step_control(recordings if len(recordings) == len(sources) else [], options)
    if len(recordings) < len(sources):
        return _of_another_kind(sources, options)
    from aitimestepper.views.plots import plot_comparison, plot_run

    if len(recordings) == 1:
        return lambda path, overwrite: plot_run(recordings[0], path, overwrite=overwrite, **options)
    if "dim" in options:
        raise InputError("--dim is for one recording: several are shown in the plane")
    named = dict(zip(_names(paths, recordings), recordings, strict=True))
    return lambda path, overwrite: plot_comparison(named, path, overwrite=overwrite, **options)


def _names(paths: Sequence[str], recordings: Sequence[Recording]) -> list[str]:
    """What was asked of each run; where that does not tell them apart, their files."""
    if len(set(paths)) < len(paths):
        raise InputError("a recording is named twice")
    stems = [Path(path).stem for path in paths]
    by_file = stems if len(set(stems)) == len(stems) else list(paths)
    return names_by_settings([recording.settings for recording in recordings]) or by_file


def _of_step_control(recordings: Sequence[Recording], options: dict[str, Any]) -> Callable[..., Any]:
    """One recording alone."""
    if len(recordings) != 1:
        raise InputError("--step-control shows one recording: name that alone")
    idle = [flag_of(name) for name in ("bodies", "dim", "length_unit", "length_label") if name in options]
    if idle:
        raise InputError(f"{', '.join(idle)} has no place beside --step-control: the figure has no orbits")
    from aitimestepper.views.step_control import plot_step_control

    return lambda path, overwrite: plot_step_control(recordings[0], path, overwrite=overwrite, **options)


def _of_another_kind(sources: Sequence[Source], options: dict[str, Any]) -> Callable[..., Any]:
    """A training or a comparison, one alone."""
    from aitimestepper.ensembles.result import EnsembleResult

    if len(sources) > 1:
        raise InputError("one figure shows several recordings, or one training, or one comparison; name one of these")
    path, content = sources[0]
    if isinstance(content, EnsembleResult):
        raise InputError(f"{path} is an ensemble, which has no orbits to plot: aitimestepper report {path} shows it")
    idle = [flag_of(name) for name in options if name != "title"]
    if idle:
        raise InputError(f"{', '.join(idle)} can stand beside recordings only")
    if isinstance(content, Comparison):
        from aitimestepper.views.work_precision import plot_work_precision

        return lambda output, overwrite: plot_work_precision(content, output, overwrite=overwrite, **options)
    if path.name == STEPS_FILE:
        from aitimestepper.views.orbit_steps import plot_orbit_steps

        return lambda output, overwrite: plot_orbit_steps(path, output, overwrite=overwrite, **options)
    from aitimestepper.views.plots import plot_training

    return lambda output, overwrite: plot_training(path, output, overwrite=overwrite, **options)
