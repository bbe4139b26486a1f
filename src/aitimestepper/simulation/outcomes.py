"""What is said of the end of a run, in a sentence."""

from __future__ import annotations

import math

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.layout import MASS, ROWS, VX, X, vectors_of
from aitimestepper.engine.run.state import Run
from aitimestepper.engine.run.step import BAD_STEP, GUARDED, NOT_FINITE, TOO_SHORT, UNBOUNDED
from aitimestepper.recordings.parts import FINISHED, STOPPED_BY
from aitimestepper.simulation.blocks import COLLIDED, Block, Stop

FAILURES = {
    NOT_FINITE: "a step leads to a state that is not finite",
    BAD_STEP: "the step wanted is not a number > 0",
    UNBOUNDED: "nothing bounds the step, and there is no time at which to end",
    TOO_SHORT: "the step wanted is too short to advance the time",
    GUARDED: "the guard refuses every step that is long enough to advance the time",
}
"""What a status means to a person."""


def outcome_of(block: Block, mass: Floats, names: tuple[str, ...], direction: float = 1.0) -> str:
    """What the last block of a run says of its end.

    Args:
        block: the last one.
        mass: (N,).
        names: of the bodies, or none.
        direction: of time, as in `Goal`.
    """
    labels = _labels(names, len(mass)) if block.bodies is None else block.bodies.labels(names)
    if block.failure is not None:
        return stop_sentence(block, labels, direction)
    if block.stop is None:
        return FINISHED
    books, cause = block.reached.books[0], block.stop.cause
    if cause == COLLIDED:
        cause += f" of {' and '.join(labels[body] for body in block.stop.bodies)}"
    text = f"{STOPPED_BY} {cause} at t = {direction * books.time + 0.0:.9g} after {int(books.steps)} steps"
    return f"{text}: {event_sentence(block.reached, block.stop, labels)}" if block.stop.bodies else text


def _labels(names: tuple[str, ...], n_bodies: int) -> tuple[str, ...]:
    return names or tuple(f"{body} (counting from 0)" for body in range(n_bodies))


def event_sentence(run: Run, stop: Stop, names: tuple[str, ...]) -> str:
    """What a state has that ends its run: which body is how far away, or which two are how close.

    Args:
        run: the state.
        stop: what it has.
        names: (N,), of the bodies, or none.
    """
    rows = run.system.reshape(ROWS, -1)
    labels = _labels(names, rows.shape[1])
    named = [labels[body] for body in stop.bodies]
    if stop.cause == COLLIDED:
        return f"they touch at a relative speed of {stop.speed:.6g}"
    position = rows[X:VX].T
    if len(stop.bodies) == 2:
        first, second = stop.bodies
        distance = np.linalg.norm(position[first] - position[second])
        return f"bodies {named[0]} and {named[1]} are {distance:.6g} apart"
    mass = rows[MASS]
    distance = np.linalg.norm(position[stop.bodies[0]] - mass @ position / mass.sum())
    return f"body {named[0]} is unbound, {distance:.6g} from the centre of mass"


def stop_sentence(block: Block, names: tuple[str, ...], direction: float = 1.0) -> str:
    """What stopped a run, when, and which bodies, called so, were closest to each other."""
    books = block.reached.books[0]
    text = f"the run stopped at t = {direction * books.time + 0.0:.9g} after {int(books.steps)} steps: {block.failure}"
    if len(names) < 2:
        return text
    position = vectors_of(block.reached.system.reshape(ROWS, -1)[X:VX], 3)
    first, second, distance = _closest_pair(position)
    return f"{text}; closest were bodies {names[first]} and {names[second]}, {distance:.3g} apart"


def _closest_pair(position: Floats) -> tuple[int, int, float]:
    """Two bodies and their distance; memory grows with the number of bodies, not of pairs."""
    best = 0, 1, math.inf
    for first in range(len(position) - 1):
        with np.errstate(over="ignore"):
            squared = ((position[first + 1 :] - position[first]) ** 2).sum(-1)
        second = int(np.argmin(squared))
        if squared[second] < best[2]:
            best = first, first + 1 + second, float(squared[second])
    return best[0], best[1], math.sqrt(best[2])
