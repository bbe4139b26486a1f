"""What ends a run before its end, where that was asked for: a body that leaves, two bodies that come close.

It is looked for in each step that was made and kept, also between its two ends, and its time is found on copies of the
run, which go to it exactly (`exact_times.reach`): the trajectory itself does not know of it.
"""

from __future__ import annotations

import math

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled
from aitimestepper.engine.layout import LOW, N_BOOKS, VX, Books, X, Y, Z, books_in, n_bodies
from aitimestepper.engine.physics.gravity import Law
from aitimestepper.engine.run.between_steps import GOLDEN, NARROWINGS, PARTS, draw, least_possible, nearest_point
from aitimestepper.engine.run.exact_times import reach
from aitimestepper.engine.run.plan import Plan
from aitimestepper.engine.run.state import Run, Stops
from aitimestepper.engine.run.step import RUNNING

NOTHING, EJECTION, ENCOUNTER, COLLISION = range(4)
"""What there may be in a state that ends a run."""

_CLOSE = 2.0
"""Distances between the ends of a step are known up to this factor, it is taken: copies show how it is. Chosen."""


@compiled
def event_in(system: Floats, law: Law, stops: Stops) -> tuple[int, int, int]:
    """What there is in a state that ends the run, and which bodies do: the second is -1 where there is one."""
    n = n_bodies(system)
    if _looks_at_pairs(stops):
        for i in range(1, n):
            for j in range(i):
                near = _near(stops, i, j)
                if near > 0.0 and _squared_distance(system, i, j) < near * near:
                    touching = stops.radii.shape[0] > 0 and near == stops.radii[i] + stops.radii[j]
                    return COLLISION if touching else ENCOUNTER, j, i
    if stops.distance < math.inf:
        x, y, z = _centre(system)
        for i in range(n):
            a, b, c = system[X * n + i] - x, system[Y * n + i] - y, system[Z * n + i] - z
            if a * a + b * b + c * c > stops.distance * stops.distance and _is_unbound(system, i, law):
                return EJECTION, i, -1
    return NOTHING, -1, -1


@compiled
def _looks_at_pairs(stops: Stops) -> bool:
    return stops.approach > 0.0 or stops.radii.shape[0] > 0


@compiled
def _near(stops: Stops, i: int, j: int) -> float:
    """Distance below which two bodies end the run; 0 for none."""
    if stops.radii.shape[0] == 0:
        return stops.approach
    return max(stops.approach, stops.radii[i] + stops.radii[j])


@compiled
def room_to_keep(run: Run, stops: Stops) -> Floats:
    """Room for the run as it is before a step; none where nothing ends it."""
    watched = _looks_at_pairs(stops) or stops.distance < math.inf
    return np.empty(N_BOOKS + run.system.shape[0] if watched else 0)


@compiled
def keep(kept: Floats, run: Run) -> None:
    """Remember the run, where there is room for it."""
    if kept.shape[0] > 0:
        kept[:N_BOOKS] = run.books.view(np.float64)
        kept[N_BOOKS:] = run.system


@compiled
def is_stopped(run: Run, kept: Floats, plan: Plan, stops: Stops) -> bool:
    """Whether a run ends in the step that it has just made. If so it is as it was before the step.

    Args:
        run: after the step.
        kept: before it, as `keep` left it; nothing is looked for where it is empty.
        plan: how the run is integrated.
        stops: what ends it; takes the time at which that is.
    """
    if kept.shape[0] == 0:
        return False
    trial = Run(run.system.copy(), run.books.copy(), run.past, run.anchor)
    spent = np.zeros(1)
    last = _time_in(run.books[0]) if event_in(run.system, plan.law, stops)[0] != NOTHING else math.inf
    if _looks_at_pairs(stops):
        last = min(last, _first_encounter(run, kept, trial, plan, stops, spent))
    found = last < math.inf and _goes_to(trial, kept, plan, last, spent)
    if found and event_in(trial.system, plan.law, stops)[0] != NOTHING:
        stops.found[0] = _first_time(kept, trial, plan, stops, last, spent)
        take_back(run, kept)
    else:
        found = False
    _add_evaluations(run.books[0], spent)
    return found


@compiled
def _time_in(books: Books) -> float:
    return books.time


@compiled
def _add_evaluations(books: Books, spent: Floats) -> None:
    """What the search has cost."""
    books.force_evaluations += spent[0]


@compiled
def take_back(run: Run, kept: Floats) -> None:
    """Undo the step, but not what it has cost."""
    books = run.books[0]
    evaluations, rejected = books.force_evaluations, books.rejected_steps
    run.books.view(np.float64)[:] = kept[:N_BOOKS]
    run.system[:] = kept[N_BOOKS:]
    books.force_evaluations, books.rejected_steps = evaluations, rejected


@compiled
def _goes_to(trial: Run, kept: Floats, plan: Plan, time: float, spent: Floats) -> bool:
    """Take a copy from before the step to a time; whether it comes there."""
    trial.books.view(np.float64)[:] = kept[:N_BOOKS]
    trial.system[:] = kept[N_BOOKS:]
    books = trial.books[0]
    before = books.force_evaluations
    status = reach(trial, plan, time)
    spent[0] += books.force_evaluations - before
    return status == RUNNING


@compiled
def _first_time(kept: Floats, trial: Run, plan: Plan, stops: Stops, last: float, spent: Floats) -> float:
    """The first time in a step with an event, to rounding, if the event lasts from there to the time `last`."""
    low, high = books_in(kept).time, last
    while True:
        middle = 0.5 * (low + high)
        if not low < middle < high:
            return high
        if _goes_to(trial, kept, plan, middle, spent) and event_in(trial.system, plan.law, stops)[0] != NOTHING:
            high = middle
        else:
            low = middle


@compiled
def _first_encounter(run: Run, kept: Floats, trial: Run, plan: Plan, stops: Stops, spent: Floats) -> float:
    """A time in a step at which two bodies are close enough; the first of all pairs, infinity for none."""
    before, after, n = kept[N_BOOKS:], run.system, n_bodies(run.system)
    begin = books_in(kept).time
    elapsed, first = run.books[0].time - begin, math.inf
    points = np.empty((4, 3))
    for i in range(1, n):
        for j in range(i):
            near = _near(stops, i, j)
            if near == 0.0:
                continue
            draw(points, before, after, i, j, elapsed)
            if least_possible(points) >= _CLOSE * near:
                continue
            part, distance = nearest_point(points)
            if distance >= _CLOSE * near:
                continue
            time = _time_of_encounter(kept, trial, plan, stops, spent, (i, j), part, elapsed)
            first = min(first, time)
    return first


@compiled
def _time_of_encounter(
    kept: Floats,
    trial: Run,
    plan: Plan,
    stops: Stops,
    spent: Floats,
    pair: tuple[int, int],
    part: float,
    elapsed: float,
) -> float:
    """A time near a part of a step at which a copy has two bodies close enough; infinity for none."""
    begin, near = books_in(kept).time, _near(stops, pair[0], pair[1])
    time = begin + part * elapsed
    low, high = begin + max(part - 1.0 / PARTS, 0.0) * elapsed, begin + min(part + 1.0 / PARTS, 1.0) * elapsed
    distance = _distance_at(kept, trial, plan, spent, pair, time)
    if distance < near:
        return time
    if distance >= _CLOSE * near:
        return math.inf
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left = _distance_at(kept, trial, plan, spent, pair, left)
    at_right = _distance_at(kept, trial, plan, spent, pair, right)
    for _ in range(NARROWINGS):
        if at_left < near:
            return left
        if at_right < near:
            return right
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = _distance_at(kept, trial, plan, spent, pair, left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = _distance_at(kept, trial, plan, spent, pair, right)
    return math.inf


@compiled
def _distance_at(kept: Floats, trial: Run, plan: Plan, spent: Floats, pair: tuple[int, int], time: float) -> float:
    """Of two bodies of a copy at a time; infinite where it does not come there."""
    if not _goes_to(trial, kept, plan, time, spent):
        return math.inf
    return math.sqrt(_squared_distance(trial.system, pair[0], pair[1]))


@compiled
def _squared_distance(system: Floats, i: int, j: int) -> float:
    n, squared = n_bodies(system), 0.0
    for axis in range(3):
        x, low = (X + axis) * n, (X + axis + LOW) * n
        apart = (system[x + i] - system[x + j]) + (system[low + i] - system[low + j])
        squared += apart * apart
    return squared


@compiled
def _centre(system: Floats) -> tuple[float, float, float]:
    """The centre of mass."""
    n = n_bodies(system)
    total = x = y = z = 0.0
    for k in range(n):
        mass = system[k]
        total += mass
        x += mass * system[X * n + k]
        y += mass * system[Y * n + k]
        z += mass * system[Z * n + k]
    return x / total, y / total, z / total


@compiled
def _is_unbound(system: Floats, i: int, law: Law) -> bool:
    """Whether a body's energy with respect to the others is above 0, relative to their centre of mass."""
    n = n_bodies(system)
    rest = potential = kinetic = 0.0
    for k in range(n):
        if k != i:
            rest += system[k]
            potential -= law.G * system[k] / math.sqrt(_squared_distance(system, i, k) + law.squared_softening)
    if rest == 0.0:
        return False
    for axis in range(3):
        v, momentum = (VX + axis) * n, 0.0
        for k in range(n):
            if k != i:
                momentum += system[k] * system[v + k]
        speed = system[v + i] - momentum / rest
        kinetic += 0.5 * speed * speed
    return kinetic + potential > 0.0
