"""From the compiled loop to blocks of frames: one run, driven to its end."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.layout import AX, ROWS, VX, Books, X, vectors_of
from aitimestepper.engine.physics.criteria import CALIBRATED
from aitimestepper.engine.run.events import room_for_events
from aitimestepper.engine.run.governed_rollout import LONGEST_STRETCH, advance_controlled
from aitimestepper.engine.run.governor import POSITION_SHARE
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
from aitimestepper.recordings.parts import Counts, Frames, StepHistory, Summary
from aitimestepper.recordings.step_events import StepEvents
from aitimestepper.simulation.goal import Goal
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
    return FrameArrays(np.empty((rows, 3)), np.empty((rows, 6 * n)), history, goal.every, goal.interval, events)


def _taken(arrays: FrameArrays, n_frames: int, n_dims: int, run: Run) -> Frames:
    mass = run.system[: len(run.system) // ROWS]
    return _frames(arrays.scalars[:n_frames].copy(), arrays.rows[:n_frames], mass, n_dims)


def _taken_history(arrays: FrameArrays, n_history: int) -> StepHistory:
    return StepHistory(*arrays.history[:n_history].T.copy())


def _taken_events(arrays: FrameArrays) -> StepEvents:
    return StepEvents.of(arrays.events.rows[: arrays.events.counts[0]])


def frame_of(run: Run, n_dims: int) -> Frames:
    """The state of a run as one frame."""
    n = len(run.system) // ROWS
    books = run.books[0]
    scalars = np.array([[books.time, books.last_dt, books.kinetic_energy + books.potential_energy]])
    return _frames(scalars, run.system[None, X * n : AX * n].copy(), run.system[:n], n_dims)


def _frames(scalars: Floats, rows: Floats, mass: Floats, n_dims: int) -> Frames:
    shaped = rows.reshape(len(rows), 2, 3, len(mass))
    position, velocity = vectors_of(shaped[:, 0], n_dims), vectors_of(shaped[:, 1], n_dims)
    return Frames(
        time=scalars[:, 0],
        dt=scalars[:, 1],
        position=position,
        velocity=velocity,
        energy=scalars[:, 2],
        angular_momentum=angular_momentum(mass, position, velocity),
    )


def counts_of(books: Books, wall_seconds: float) -> Counts:
    """Steps of a run and what they cost, from its books."""
    return Counts(int(books.steps), int(books.force_evaluations), int(books.rejected_steps), wall_seconds)


def summary_of(books: Books, wall_seconds: float, outcome: str, direction: float = 1.0) -> Summary:
    """A run in numbers, as far as it has come, from its books; `direction` is that of its time."""
    energy = float(books.kinetic_energy + books.potential_energy)
    scale = float(books.energy_scale)
    return Summary(
        **counts_of(books, wall_seconds)._asdict(),
        time=float(direction * books.time) + 0.0,  # no -0
        energy_initial=float(books.initial_energy),
        energy_final=energy,
        energy_error_max=_ratio(float(books.max_energy_error), scale),
        energy_error_final=_ratio(abs(energy - float(books.initial_energy)), scale),
        momentum_residual=_ratio(math.sqrt(books.max_momentum_error_squared), float(books.momentum_scale)),
        angular_momentum_residual=_ratio(
            math.sqrt(books.max_angular_momentum_error_squared), float(books.angular_momentum_scale)
        ),
        outcome=_said(outcome, books),
        **_promise(books),
    )


def _said(outcome: str, books: Books) -> str:
    """The outcome, with the steps that exceeded what each was promised to stay below."""
    if books.steps_above == 0.0:
        return outcome
    return (
        f"{outcome}; {int(books.steps_above)} of {int(books.steps)} steps had an energy error above the "
        f"{books.step_error_promised:.3g} of one step, the largest {books.max_step_error:.3g}"
    )


def _promise(books: Books) -> dict[str, Any]:
    """What a run with learned steps was asked for, and what its steps were measured to do."""
    # Bodies that move uniformly need no answer of the network.
    measured = books.states_asked > 0.0 or (books.tolerance_promised > 0.0 and books.steps > 0.0)
    found: dict[str, Any] = {}
    if books.states_asked > 0.0:
        found["outside_training"] = float(books.states_outside_training / books.states_asked)
    if books.step_error_promised > 0.0:
        found["step_error_asked"] = float(books.step_error_promised)
        found["step_error_max"], found["steps_above"] = float(books.max_step_error), int(books.steps_above)
    elif measured:
        found["position_error_max"] = POSITION_SHARE * float(books.max_position_error)
        # A run that had to go back has met something: errors grew there, by more than the samples show.
        if books.democratic == 0.0 and books.rejected_steps == 0.0:
            found["position_error_run"] = float(books.run_position_error)
        found["longest_step"] = float(books.longest_length)
    if measured and books.tolerance_promised > 0.0:
        asked = float(books.tolerance_promised)
        found |= {"energy_error_asked": asked, "position_error_asked": POSITION_SHARE * asked}
    return found


def _ratio(part: float, whole: float) -> float:
    """`part / whole`, where nothing moved 0; beyond all numbers the largest: files have no infinity."""
    most = sys.float_info.max
    return min(min(part, most) / min(whole, most), most) if whole > 0 else 0.0
