"""A movie of a recording: frames at equal intervals of simulated time, whatever the steps were."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.errors import InputError
from aitimestepper.outputs import Reservation, check_output
from aitimestepper.recordings.recording import Recording
from aitimestepper.views.encoding import Picture, check_encoder, encode, frame_rate
from aitimestepper.views.framing import in_dimensions, view_box, within
from aitimestepper.views.interpolation import Motion
from aitimestepper.views.page import MOST_NAMES, STYLE, check_matplotlib, line_style
from aitimestepper.views.selection import only_bodies
from aitimestepper.views.series import body_names, energy_errors, units_of

Dim = Literal[2, 3]

DEFAULT_SIZE = (960, 720)
_DPI = 120
"""Pixels to an inch, of which a line of text takes an eighth, in a picture of the usual size."""
_SHRINK = 0.7
"""How text follows the size of the picture: 0 not at all, 1 in proportion."""
_WORDS = 0.06
"""Part of the height that is left for words."""
_MOST_TRAILS = 200
"""Of more bodies none has a trail: they would cover each other."""
_TRAIL_POINTS = 4000
"""Of all trails of a frame together; drawing time grows with them."""


class Movie(NamedTuple):
    """What a movie shows.

    Attributes:
        times: (K,), simulated time of each frame, at equal intervals, both ends of the run included.
        trail: length of the trails, in simulated time.
        fps: frames for each second.
        cut: part of the intervals between states in which some body turns too far for its path to be known.
    """

    times: Floats
    trail: float
    fps: float
    cut: float


def movie(
    recording: Recording,
    path: Path | str,
    *,
    fps: float = 30.0,
    seconds: float = 10.0,
    trail: float = 1.0,
    dim: Dim | None = None,
    bodies: Sequence[int | str] | None = None,
    size: tuple[int, int] = DEFAULT_SIZE,
    title: str = "",
    overwrite: bool = False,
    progress: Callable[[float], None] | None = None,
) -> Movie:
    """Write a movie of a run.

    Frames lie at equal intervals of time; between recorded states bodies follow the cubic through positions and
    velocities, or the chord where two states are too far apart for one (`Movie.cut`). A body that is thrown out leaves
    the picture, which shows where bodies are most of the time.

    Args:
        recording: the run.
        path: .mp4 or .gif.
        fps: frames for each second; of a GIF, the nearest rate that it can have.
        seconds: length of the movie.
        trail: seconds of the movie that the trail behind each body shows; 0 for none.
        dim: 2 for the x-y plane, 3 for space; None for what the run has.
        bodies: names or numbers of those that are shown; None for all.
        size: width and height in pixels; odd numbers are made even.
        title: over the picture.
        overwrite: whether a file of the name may be replaced.
        progress: called for each frame with the part that is done, 0 to 1.

    Raises:
        InputError: a value that is not allowed, no matplotlib, no ffmpeg, or a path that cannot be written to.
    """
    check_movie(path, overwrite, fps=fps, seconds=seconds, trail=trail, size=size)
    if dim == 3 and recording.position.shape[-1] < 3:
        raise InputError(
            f"the run has {recording.position.shape[-1]} dimensions: it cannot be shown in space (dim = 3)"
        )
    drawn = only_bodies(recording, bodies)
    motion = Motion(drawn)
    fps = frame_rate(path, fps)
    times = np.linspace(motion.time[0], motion.time[-1], max(1, round(seconds * fps)))
    trail_time = trail / seconds * (motion.time[-1] - motion.time[0])
    in_space = (dim or min(recording.position.shape[-1], 3)) == 3
    drawing = _Drawing(drawn, motion, in_space=in_space, size=size, title=title)
    shown = Movie(times, trail_time, fps, float(motion.cut.any(axis=1).mean()) if len(motion.time) > 1 else 0.0)
    suffix = Path(path).suffix.lower()
    with Reservation(path, overwrite) as output:
        output.write(lambda temporary: encode(_pictures(drawing, shown, progress), temporary, fps, suffix))
    return shown


def check_movie(
    path: Path | str, overwrite: bool, *, fps: float, seconds: float, trail: float, size: tuple[int, int]
) -> None:
    """Refuse a movie that cannot be made, before any work is done for it.

    Raises:
        InputError: as for `movie`.
    """
    for name, value in (("fps", fps), ("seconds", seconds)):
        if not 0 < value < math.inf:
            raise InputError(f"{name} must be > 0, got {value:g}")
    if not 0 <= trail < math.inf:
        raise InputError(f"trail must be >= 0, got {trail:g}")
    if not all(100 <= pixels <= 8000 for pixels in size):
        raise InputError(f"size must be 100 to 8000 pixels either way, got {size[0]} x {size[1]}")
    check_matplotlib()
    check_encoder(path)
    check_output(path, overwrite)


def _pictures(drawing: _Drawing, shown: Movie, progress: Callable[[float], None] | None) -> Iterator[Picture]:
    for number, time in enumerate(shown.times, start=1):
        yield drawing.picture(float(time), shown.trail)
        if progress is not None:
            progress(number / len(shown.times))


class _Drawing:
    """The figure: what never changes is drawn once, bodies and words over it for each frame."""

    def __init__(self, recording: Recording, motion: Motion, *, in_space: bool, size: tuple[int, int], title: str):
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._motion = motion
        self._n_dims = 3 if in_space else 2
        self._errors = energy_errors(recording)
        self._units = units_of(recording)
        even = [pixels + pixels % 2 for pixels in size]
        with matplotlib.rc_context(STYLE):
            dpi = _DPI * (min(even) / min(DEFAULT_SIZE)) ** _SHRINK
            figure: Any = Figure(figsize=(even[0] / dpi, even[1] / dpi), dpi=dpi)
            figure.set_layout_engine("constrained", rect=(0.01, _WORDS, 0.98, 0.99 - _WORDS))
            self._canvas = FigureCanvasAgg(figure)
            self._axes: Any = figure.add_subplot(projection="3d" if in_space else None)
            self._frame()
            self._axes.set_title(title)
            self._groups = self._bodies(recording)
            self._words = figure.text(0.02, 0.015, "", family="monospace", fontsize=STYLE["axes.labelsize"])
            self._canvas.draw()
            figure.set_layout_engine("none")
            self._background = self._canvas.copy_from_bbox(figure.bbox)

    def _frame(self) -> None:
        self._box = centre, half = view_box(self._positions(self._motion.even_times()))
        for letter, middle in zip("xyz", centre, strict=False):
            self._axes.set(
                **{f"{letter}lim": (middle - half, middle + half), f"{letter}label": f"{letter} [{self._units.length}]"}
            )
        if self._n_dims == 3:
            self._axes.set_box_aspect((1, 1, 1), zoom=0.9)
        else:
            self._axes.set_aspect("equal", adjustable="box")

    def _positions(self, times: Floats) -> Floats:
        """(K, N, 2 or 3)."""
        return in_dimensions(self._motion.at(times), self._n_dims)

    def _bodies(self, recording: Recording) -> list[tuple[Any, Any, slice]]:
        """Dots, trails and bodies: one body in each group, or all in one where there are many."""
        mass = recording.mass
        few = len(mass) <= MOST_NAMES
        parts = [slice(k, k + 1) for k in range(len(mass))] if few else [slice(None)]
        nothing = [[np.nan]] * self._n_dims
        groups = []
        for number, part in enumerate(parts):
            line = line_style(number)
            width = (
                4.0 + 5.0 * float(mass[number] / (mass.max() or 1.0)) ** (1 / 3)
                if few
                else max(1.2, 3.5 - len(mass) / 400)
            )
            (trail,) = self._axes.plot(*nothing, **line | {"linewidth": 1.0 if few else 0.8, "alpha": 0.6})
            (dots,) = self._axes.plot(*nothing, "o", color=line["color"], markersize=width, markeredgewidth=0)
            groups.append((dots, trail, part))
        if few:
            handles = [self._handle(dots, trail) for dots, trail, _ in groups]
            self._axes.figure.legend(handles, body_names(recording), loc="outside right upper", frameon=False)
        return groups

    def _handle(self, dots: Any, trail: Any) -> Any:
        """A trail with its body, for the legend: bodies of one colour differ in the trail."""
        from matplotlib.lines import Line2D

        size = min(dots.get_markersize(), 5.0)
        return Line2D([], [], color=trail.get_color(), linestyle=trail.get_linestyle(), marker="o", markersize=size)

    def picture(self, time: float, trail: float) -> Picture:
        """One frame."""
        self._canvas.restore_region(self._background)
        now = self._positions(np.array([time]))[0]
        past = self._past(time, trail, len(now))
        for dots, line, part in self._groups:
            self._put(line, past[:, part])
            self._put(dots, now[None, part])
            self._axes.draw_artist(line)
        for dots, _, _ in self._groups:
            self._axes.draw_artist(dots)
        self._words.set_text(self._status(time))
        self._axes.figure.draw_artist(self._words)
        return np.array(self._canvas.buffer_rgba())

    def _put(self, line: Any, positions: Floats) -> None:
        """Give a line the positions (K, B, D): one body after the other, with a gap between them."""
        gap = np.full((1, *positions.shape[1:]), np.nan)
        shown = within(positions, *self._box) if self._n_dims == 3 else positions
        columns = np.concatenate([shown, gap]).transpose(2, 1, 0).reshape(self._n_dims, -1)
        (line.set_data_3d if self._n_dims == 3 else line.set_data)(*columns)

    def _past(self, time: float, trail: float, n_bodies: int) -> Floats:
        """(K, N, D): the trails; at the recorded states and between them."""
        if trail == 0 or n_bodies > _MOST_TRAILS:
            return np.empty((0, n_bodies, self._n_dims))
        most = max(20, _TRAIL_POINTS // n_bodies)
        return self._positions(self._motion.times_between(time - trail, time, most))

    def _status(self, time: float) -> str:
        past = np.searchsorted(self._errors.time, time, side="right") - 1
        error = f"{self._errors.value[past]:.1e}" if past >= 0 else "0"
        decimals = max(0, 4 - math.floor(math.log10(abs(self._motion.time[-1]) or 1.0)))
        return f"t = {time:.{decimals}f} {self._units.time}   |E - E₀| / |E₀| = {error}"
