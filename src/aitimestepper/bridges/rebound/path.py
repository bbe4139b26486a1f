"""The way that a driven simulation has come, so that it can go back through the same states.

The reversible recursion alone leads back: the rate of the step before a state follows from that of the step behind it.
Where it does not - the step's scale was changed, a step was shortened to an exact time, or the recursion was bounded -
the path has a bend, which knows the steps on both sides. Between the two ends of the path nothing is decided anew.
"""

from __future__ import annotations

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled
from aitimestepper.engine.layout import BASE, CORRECTION

HERE, HEADING, LOWEST, HIGHEST, BENDS, FIRST = range(6)
"""Where the simulation is, in steps; 1 or -1; the ends of the path; how many bends there are, and where they begin."""

_BEND = 7
"""Numbers of a bend: its place, then step, BASE and CORRECTION towards the start, and the same on the other side."""

MOST_BENDS = 256
"""A path with more of them is forgotten up to where it is."""

PATH = FIRST + MOST_BENDS * _BEND


@compiled
def begin_path(path: Floats) -> None:
    """A path that has nothing but this state."""
    path[HERE] = path[LOWEST] = path[HIGHEST] = path[BENDS] = 0.0
    path[HEADING] = 1.0


@compiled
def forget(path: Floats) -> None:
    """The path begins here."""
    path[LOWEST] = path[HIGHEST] = path[HERE]
    path[BENDS] = 0.0


@compiled
def is_inside(path: Floats) -> bool:
    """Whether the next state has been there before."""
    return bool(path[LOWEST] <= path[HERE] + path[HEADING] <= path[HIGHEST])


@compiled
def go_on(path: Floats) -> None:
    """One step."""
    path[HERE] += path[HEADING]
    path[LOWEST], path[HIGHEST] = min(path[LOWEST], path[HERE]), max(path[HIGHEST], path[HERE])


@compiled
def step_at_bend(path: Floats, books: Floats) -> float:
    """The step that was made behind this state, with what was in force then; 0 if there is no bend here."""
    # The newest first: where a step was shortened, two bends may lie at one place.
    for number in range(int(path[BENDS]) - 1, -1, -1):
        bend = path[FIRST + number * _BEND : FIRST + (number + 1) * _BEND]
        if bend[0] == path[HERE]:
            side = 4 if path[HEADING] > 0.0 else 1
            books[BASE], books[CORRECTION] = bend[side + 1], bend[side + 2]
            return float(bend[side])
    return 0.0


@compiled
def note_bend(path: Floats, books: Floats, came: float, goes: float, before: tuple[float, float]) -> None:
    """Remember that the next step does not follow from the last one.

    Args:
        path: the path.
        books: with what is in force from here on.
        came, goes: the last step and the next.
        before: BASE and CORRECTION that were in force.
    """
    if path[BENDS] >= MOST_BENDS:
        forget(path)
    start = FIRST + int(path[BENDS]) * _BEND
    bend = path[start : start + _BEND]
    last, following = (1, 4) if path[HEADING] > 0.0 else (4, 1)
    bend[0] = path[HERE]
    bend[last], bend[last + 1], bend[last + 2] = came, before[0], before[1]
    bend[following], bend[following + 1], bend[following + 2] = goes, books[BASE], books[CORRECTION]
    path[BENDS] += 1.0
