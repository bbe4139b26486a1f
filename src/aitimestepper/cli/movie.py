"""`aitimestepper movie`: a movie of a run, or of a training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aitimestepper.cli.commands import flag_of
from aitimestepper.cli.exit_codes import SUCCESS
from aitimestepper.cli.output import default_output, note
from aitimestepper.cli.parser import CommandParser
from aitimestepper.cli.plot import bodies_in
from aitimestepper.cli.progress import simulation_progress
from aitimestepper.errors import InputError

WORTH_SAYING = 0.01
"""Part of the intervals between states that may hold a passage that was not recorded before the user hears of it."""

_EXAMPLES = """\
examples:
  aitimestepper movie run.h5
  aitimestepper movie run.h5 --seconds 20 --trail 3 --dim 2 --output plane.mp4
  aitimestepper movie run.h5 --size 1920 1080 --fps 60 --title "Three bodies"
  aitimestepper movie run.h5 --output small.gif --size 480 360 --fps 15
  aitimestepper movie runs/first

Frames lie at equal intervals of simulated time, whatever the steps were;
between two recorded states a body follows the cubic through their positions
and velocities. A run that keeps few states of each revolution looks angular:
record it with `simulate --every 1` or `--samples N`.

Of a training the movie shows the steps over its orbits, epoch after epoch.
"""


def parser() -> CommandParser:
    """What may stand behind `aitimestepper movie`."""
    made = CommandParser("movie", usage="PATH [--output F.mp4|F.gif] [flags]", epilog=_EXAMPLES)
    made.add_argument("path", metavar="PATH", help="the recording of a run, or the run directory of a training")
    made.add_argument(
        "--output", metavar="FILE", help="movie, .mp4 or .gif (default: beside PATH; .gif without ffmpeg)"
    )
    made.add_argument("--fps", type=float, metavar="X", help="frames for each second (default: 30)")
    made.add_argument("--seconds", type=float, metavar="X", help="length of the movie (default: 10)")
    made.add_argument("--trail", type=float, metavar="X", help="seconds that a trail lasts, 0 for none (default: 1)")
    made.add_argument("--dim", type=int, choices=(2, 3), help="the x-y plane, or space (default: what the run has)")
    made.add_argument("--bodies", metavar="A,B,...", help="names or numbers of those that are shown")
    made.add_argument("--size", type=int, nargs=2, metavar=("W", "H"), help="pixels (default: 960 720)")
    made.add_argument("--title", metavar="TEXT", help="over the picture")
    return made


def run(words: Sequence[str]) -> int:
    """Carry out `aitimestepper movie ...`; returns the exit code."""
    parsed = parser().parse(words)
    options = parsed.own
    path = options.pop("path")
    output = options.pop("output", None) or _default_output(path)
    _movie(path, output, options | {"overwrite": parsed.overwrite})
    print(output)
    return SUCCESS


def _default_output(path: str) -> str:
    from aitimestepper.views.encoding import find_ffmpeg

    return default_output(path, "movie.mp4" if find_ffmpeg() is not None else "movie.gif")


def _movie(path: str, output: str, options: dict[str, Any]) -> None:
    from aitimestepper.recordings.recording import Recording
    from aitimestepper.views.movie import movie
    from aitimestepper.views.sources import Training, read_source

    if "bodies" in options:
        options["bodies"] = bodies_in(options["bodies"])
    if "size" in options:
        options["size"] = tuple(options["size"])
    recording = read_source(path).content
    if isinstance(recording, Training):
        _of_training(path, output, options)
        return
    if not isinstance(recording, Recording):
        raise InputError(
            f"{path} is no recording of a run, which simulate --output writes, nor the run directory of a training"
        )
    with simulation_progress("drawing", "drawn") as progress:
        shown = movie(recording, output, progress=progress, **options)
    if shown.cut > WORTH_SAYING:
        note(
            f"in {100 * shown.cut:.0f} % of the intervals between recorded states a body turns too far for its path to "
            "be known, and goes straight: record more states with simulate --every 1 or --samples N"
        )


def _of_training(path: str, output: str, options: dict[str, Any]) -> None:
    from aitimestepper.views.orbit_steps import orbit_steps_movie

    idle = [flag_of(name) for name in ("trail", "dim", "bodies") if name in options]
    if idle:
        raise InputError(f"{', '.join(idle)} can stand beside a recording only, and {path} is a training")
    with simulation_progress("drawing", "drawn") as progress:
        orbit_steps_movie(path, output, progress=progress, **options)
