"""The way that a driven simulation has come, so that it can go back through the same states.

The reversible recursion alone leads back: the rate of the step before a state follows from that of the step behind it.
Where it does not - the step's scale was changed, a step was shortened to an exact time, or the recursion was bounded -
the path has a bend, which knows the steps on both sides. Between the two ends of the path nothing is decided anew.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from aitimestepper.engine.compilation import compiled
from aitimestepper.engine.layout import Books, record

MOST_BENDS = 256
"""A path with more of them is forgotten up to where it is; 14 KB."""

_SIDE = record([(name, np.float64) for name in ("step", "network_step", "correction")])
_BEND = record([("position", np.float64), ("towards_start", _SIDE), ("away", _SIDE)])
"""Where a bend is on the path, and on either side of it the step that was made and what was in force."""

PATH = record(
    [
        ("position", np.float64),  # of the simulation, in steps
        ("heading", np.float64),  # 1 away from the start, or -1
        ("lowest", np.float64),  # the ends of the path
        ("highest", np.float64),
        ("n_bends", np.int64),
        ("bends", _BEND, (MOST_BENDS,)),
    ]
)


@compiled
def begin_path(path: Any) -> None:
    """A path that has nothing but this state."""
    path.position = path.lowest = path.highest = 0.0
    path.n_bends = 0
    path.heading = 1.0


@compiled
def forget(path: Any) -> None:
    """The path begins here."""
    path.lowest = path.highest = path.position
    path.n_bends = 0


@compiled
def is_inside(path: Any) -> bool:
    """Whether the next state has been there before."""
    return bool(path.lowest <= path.position + path.heading <= path.highest)


@compiled
def go_on(path: Any) -> None:
    """One step."""
    path.position += path.heading
    path.lowest, path.highest = min(path.lowest, path.position), max(path.highest, path.position)


@compiled
def step_at_bend(path: Any, books: Books) -> float:
    """The step that was made behind this state, with what was in force then; 0 if there is no bend here."""
    # The newest first: where a step was shortened, there may be two bends at one position.
    for number in range(path.n_bends - 1, -1, -1):
        bend = path.bends[number]
        if bend.position == path.position:
            side = bend.away if path.heading > 0.0 else bend.towards_start
            books.network_step, books.correction = side.network_step, side.correction
            return float(side.step)
    return 0.0


@compiled
def note_bend(path: Any, books: Books, came: float, goes: float, before: tuple[float, float]) -> None:
    """Remember that the next step does not follow from the last one.

    Args:
        path: the path.
        books: with what is in force from here on.
        came, goes: the last step and the next.
        before: `network_step` and `correction` that were in force.
    """
    if path.n_bends >= MOST_BENDS:
        forget(path)
    bend = path.bends[path.n_bends]
    away = path.heading > 0.0
    last, following = (bend.towards_start, bend.away) if away else (bend.away, bend.towards_start)
    bend.position = path.position
    last.step, last.network_step, last.correction = came, before[0], before[1]
    following.step, following.network_step, following.correction = goes, books.network_step, books.correction
    path.n_bends += 1
