"""From the compiled loop to blocks of frames: one run, driven to its end."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.layout import AX, BOOKS, N_BOOKS, ROWS, VX, X, vectors_of
from aitimestepper.engine.physics.criteria import CALIBRATED
from aitimestepper.engine.run.events import room_for_events
from aitimestepper.engine.run.governed_rollout import LONGEST_STRETCH, advance_controlled
from aitimestepper.engine.run.own_criterion import OwnCriterion
from aitimestepper.engine.run.plan import Plan
from aitimestepper.engine.run.rollout import advance, note_sample, reach
from aitimestepper.engine.run.state import Frames as FrameArrays
from aitimestepper.engine.run.state import Limits, Run, copy_of
from aitimestepper.engine.run.step import (
    AT_TARGET,
    BAD_STEP,
    FULL,
    GUARDED,
    NOT_FINITE,
    RUNNING,
    TOO_SHORT,
    UNBOUNDED,
)
from aitimestepper.recordings.parts import Frames, StepHistory
from aitimestepper.recordings.step_events import StepEvents
from aitimestepper.simulation.goal import Goal
from aitimestepper.simulation.summaries import ratios
from aitimestepper.systems.conserved import angular_momentum

FAILURES = {
    NOT_FINITE: "a step leads to a state that is not finite",
    BAD_STEP: "the step wanted is not a number > 0",
    UNBOUNDED: "nothing bounds the step, and there is no time at which to end",
    TOO_SHORT: "the step wanted is too short to advance the time",
    GUARDED: "the guard refuses every step that is long enough to advance the time",
}
"""What a status means to a person."""

_SECONDS_OF_A_CALL = 0.05
_MOST_FRAMES = 4096
_MOST_BYTES = 2**24
_HISTORY_ROWS, _EVENT_ROWS = 65536, 4096


class Block(NamedTuple):
    """What has come together since the last one.

    Attributes:
        frames: states to keep.
        history: every step, if asked for.
        events: what a calibrated run did to its steps, likewise.
        run: where a run that is to go further starts from. Of the last block it is the state before all of its frames
            and steps: what the run did to come to its end (a step that would have passed it, an anchor there) is not
            part of a longer run.
        reached: the state that the run has reached, of which the summary speaks.
        failure: why the run cannot go on; None while it can, and at its end.
        last: whether the run has come to its end, or stopped.
    """

    frames: Frames
    history: StepHistory
    events: StepEvents
    run: Run
    reached: Run
    failure: str | None = None
    last: bool = False


def initial_block(run: Run, n_dims: int) -> Block:
    """The frame of the initial state."""
    return Block(frame_of(run, n_dims), StepHistory.none(), StepEvents.none(), run, run)


def drive(run: Run, plan: Plan, own: OwnCriterion, goal: Goal, n_dims: int, *, budget: int = 64) -> Iterator[Block]:
    """Integrate to the goal, a block at a time: twenty times a second or more often.

    A time that is to be met exactly, the end or a sample, is met by a shortened step on a copy: the trajectory itself
    does not know of it.

    Args:
        run: advanced in place.
        plan: how it is integrated.
        own: the user's criterion, or a stand-in.
        goal: where it ends, and what is kept.
        n_dims: D of the frames.
        budget: steps of the first block; what a run does does not depend on it.
    """
    n = len(run.system) // ROWS
    arrays = _arrays(n, goal, plan)
    books = run.books[0]
    while True:
        target = goal.next_target(books)
        before, began = copy_of(run), time.perf_counter()
        status, n_frames, n_history = advance_run(run, plan, own, Limits(target, goal.last_step, budget), arrays)
        budget = _next_budget(budget, time.perf_counter() - began)
        frames, history = _taken(arrays, n_frames, n_dims, run), _taken_history(arrays, n_history)
        block = Block(frames, history, _taken_events(arrays), run, run)
        if status in (RUNNING, FULL):
            yield block
            continue
        if status == AT_TARGET:
            look = copy_of(run)
            status = reach(look, plan, target)
            if status == RUNNING and target == goal.end_time:
                yield ending(block._replace(run=before, reached=look), n_dims, goal)
                return
            if status == RUNNING:
                note_sample(run, look)
                yield block._replace(frames=Frames.joined([frames, frame_of(look, n_dims)]))
                continue
        yield ending(block._replace(run=before, failure=FAILURES.get(status)), n_dims, goal)
        return


def _next_budget(budget: int, seconds: float) -> int:
    """Steps of the next call of the compiled loop, from those of the last one and the time that they took."""
    return int(min(max(budget * min(_SECONDS_OF_A_CALL / max(seconds, 1e-9), 4.0), 1), 2**40))


def advance_run(run: Run, plan: Plan, own: OwnCriterion, limits: Limits, frames: FrameArrays) -> tuple[int, int, int]:
    """The compiled loop that a plan asks for; see `rollout.advance`."""
    if plan.rule.criterion == CALIBRATED:
        return advance_controlled(run, plan, limits, frames)
    return advance(run, plan, own, limits, frames)


def ending(block: Block, n_dims: int, goal: Goal) -> Block:
    """The last block of a run, with the state that was reached: it is always kept, if any are."""
    block = block._replace(last=True)
    if not goal.keeps:
        return block
    last = frame_of(block.reached, n_dims)
    if len(block.frames.time) and block.frames.time[-1] == last.time[0]:
        return block
    return block._replace(frames=Frames.joined([block.frames, last]))


def stop_sentence(block: Block, mass: Floats, names: tuple[str, ...], direction: float = 1.0) -> str:
    """What stopped a run, when, and which bodies were closest to each other."""
    books = block.reached.books[0]
    text = f"the run stopped at t = {direction * books.time + 0.0:.9g} after {int(books.steps)} steps: {block.failure}"
    if len(mass) < 2:
        return text
    position = vectors_of(block.reached.system.reshape(ROWS, -1)[X:VX], 3)
    first, second, distance = _closest_pair(position)
    names = names or tuple(f"{body} (counting from 0)" for body in range(len(mass)))
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


def _arrays(n: int, goal: Goal, plan: Plan) -> FrameArrays:
    calibrated = plan.rule.criterion == CALIBRATED
    least = LONGEST_STRETCH if calibrated else 1
    rows = max(least, min(_MOST_FRAMES, _MOST_BYTES // (48 * n)))
    history = np.empty((_HISTORY_ROWS if goal.history else 0, 3))
    events = room_for_events(_EVENT_ROWS if goal.history and calibrated else 0)
    return FrameArrays(np.empty((rows, N_BOOKS)), np.empty((rows, 6 * n)), history, goal.every, goal.interval, events)


def _taken(arrays: FrameArrays, n_frames: int, n_dims: int, run: Run) -> Frames:
    mass = run.system[: len(run.system) // ROWS]
    return _frames(arrays.books[:n_frames].copy(), arrays.rows[:n_frames], mass, n_dims)


def _taken_history(arrays: FrameArrays, n_history: int) -> StepHistory:
    return StepHistory(*arrays.history[:n_history].T.copy())


def _taken_events(arrays: FrameArrays) -> StepEvents:
    return StepEvents.of(arrays.events.rows[: arrays.events.counts[0]])


def frame_of(run: Run, n_dims: int) -> Frames:
    """The state of a run as one frame."""
    n = len(run.system) // ROWS
    vector = run.books.view(np.float64)[None].copy()
    return _frames(vector, run.system[None, X * n : AX * n].copy(), run.system[:n], n_dims)


def _frames(vectors: Floats, rows: Floats, mass: Floats, n_dims: int) -> Frames:
    """The frames of books (F, N_BOOKS) and of rows (F, 6 N)."""
    books = vectors.view(BOOKS)[:, 0]
    energy = books["kinetic_energy"] + books["potential_energy"]
    errors = np.maximum(books["frame_energy_error"], np.abs(energy - books["initial_energy"]))
    # Two exact times may lie in one step: then there is only the one that was shortened to the second of them.
    stepped = books["frame_dt_max"] > 0.0
    shaped = rows.reshape(len(rows), 2, 3, len(mass))
    position, velocity = vectors_of(shaped[:, 0], n_dims), vectors_of(shaped[:, 1], n_dims)
    return Frames(
        time=books["time"].copy(),
        dt=books["last_dt"].copy(),
        position=position,
        velocity=velocity,
        energy=energy,
        angular_momentum=angular_momentum(mass, position, velocity),
        dt_min=np.where(stepped, books["frame_dt_min"], books["last_dt"]),
        dt_max=np.where(stepped, books["frame_dt_max"], books["last_dt"]),
        error_max=ratios(errors, float(books["energy_scale"][0]) if len(books) else 1.0),
    )
