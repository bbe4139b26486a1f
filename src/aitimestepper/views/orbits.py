"""Orbits in a figure: paths of bodies, in the plane and in space, in a frame that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.recordings.recording import Recording
from aitimestepper.views.interpolation import Motion
from aitimestepper.views.page import BLACK, COLOURS, MOST_NAMES
from aitimestepper.views.series import Units, in_unit
from aitimestepper.views.thinning import along_path

_PATH_POINTS = 12_000
"""Of the path of one body at most; twice as many would not be seen on a page, and make a PDF twice as large."""
_LEAST_POINTS = 200
_ALL_POINTS = 400_000
"""Points of all paths together, that are added between states."""
_SHARPEST_TURN = 0.15
"""Radians from one point to the next, on average, above which a path is dotted: chosen by eye."""


def paths_of(recording: Recording) -> Floats:
    """(P, N, D): positions of the bodies, so dense that paths are smooth."""
    motion = Motion(recording)
    return motion.at(motion.smooth_times(max(_LEAST_POINTS, min(_PATH_POINTS, _ALL_POINTS // len(recording.mass)))))


START: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 3.2, "markerfacecolor": "white"}
END: dict[str, Any] = {"linestyle": "", "marker": "o", "markersize": 3.2}
"""Where a path starts, and where it ends."""


def ends_in_words(n_bodies: int) -> dict[str, dict[str, Any]]:
    """What the marks of so many bodies stand for, for the legend."""
    named = n_bodies <= MOST_NAMES
    start = {"start": START | {"color": BLACK, "markeredgewidth": 0.7}} if named else {}
    return start | {"end": END | {"color": BLACK}}


def draw_orbits(axis: Any, positions: Floats, styles: Sequence[dict[str, Any]]) -> None:
    """The path of each body (S, N, 2 or 3), a hollow mark where it starts and a filled one where it ends."""
    for path, line in zip(np.moveaxis(positions, 1, 0), styles, strict=True):
        chosen, turn = along_path(path, _PATH_POINTS)
        # Over very many revolutions chords would fill the inside of the orbit: then it is dotted.
        dotted = len(chosen) < len(path) and turn > _SHARPEST_TURN
        form = {"linestyle": "none", "marker": ".", "markersize": 0.8} if dotted else {}
        axis.plot(*path[chosen].T, **line | {"linewidth": 0.7} | form)
        above = line.get("zorder", 2) + 0.5
        axis.plot(*path[:1].T, **line | START | {"zorder": above, "markeredgewidth": 0.7})
        axis.plot(*path[-1:].T, **line | END | {"zorder": above, "markeredgewidth": 0})


def draw_all(axis: Any, positions: Floats, styles: Sequence[dict[str, Any]]) -> None:
    """Paths and marks of one run (P, N, D); of very many bodies those of one colour are one line, with gaps."""
    if len(styles) <= MOST_NAMES:
        draw_orbits(axis, positions, styles)
        return
    gap = np.full((1, *positions.shape[1:]), np.nan)
    for number, colour in enumerate(COLOURS):
        part = positions[:, number :: len(COLOURS)]
        joined = np.concatenate([part, gap[:, : part.shape[1]]]).swapaxes(0, 1).reshape(-1, positions.shape[-1])
        axis.plot(*joined.T, color=colour, linewidth=0.4, alpha=0.5)
        axis.plot(*part[-1].T, ".", color=colour, markersize=max(0.7, 4.0 - len(styles) / 1000))


def square(axis: Any, centre: Floats, half: float) -> None:
    """Show what is within `half` of the centre (2,), in equal scales."""
    axis.set(xlim=(centre[0] - half, centre[0] + half), ylim=(centre[1] - half, centre[1] + half), aspect="equal")


def cube(axis: Any, centre: Floats, half: float, units: Units) -> None:
    """The same of the centre (3,), with names of the axes."""
    from matplotlib.ticker import MaxNLocator

    for letter, middle in zip("xyz", centre, strict=True):
        axis.set(**{f"{letter}lim": (middle - half, middle + half), f"{letter}label": letter + in_unit(units.length)})
        getattr(axis, f"{letter}axis").set_major_locator(MaxNLocator(4))
    # The vertical axis on the left: on the right its name would lie on the panel beside it.
    axis.zaxis.set_ticks_position("lower")
    axis.zaxis.set_label_position("lower")
    axis.zaxis.set_rotate_label(False)
    axis.zaxis.label.set_rotation(90)
    axis.tick_params(pad=-1)
    for direction in (axis.xaxis, axis.yaxis, axis.zaxis):
        direction.labelpad = -2
    axis.set_box_aspect((1, 1, 1), zoom=0.84)


def label_orbit(axis: Any, units: Units) -> None:
    """Names of the axes of a plane."""
    from matplotlib.ticker import MaxNLocator

    axis.set(xlabel="x" + in_unit(units.length), ylabel="y" + in_unit(units.length), anchor="N")
    for direction in (axis.xaxis, axis.yaxis):
        direction.set_major_locator(MaxNLocator(5))
