"""From the compiled loop to blocks of frames: one run, driven to its end."""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.layout import BOOKS, N_BOOKS, ROWS, flat_system
from aitimestepper.engine.physics.criteria import CALIBRATED, ESTIMATE
from aitimestepper.engine.physics.integrators import WH
from aitimestepper.engine.run.events import room_for_events
from aitimestepper.engine.run.exact_times import note_sample, reach
from aitimestepper.engine.run.extrapolated_rollout import advance_extrapolated
from aitimestepper.engine.run.governed_rollout import LONGEST_STRETCH, advance_controlled
from aitimestepper.engine.run.own_criterion import OwnCriterion
from aitimestepper.engine.run.plan import Plan
from aitimestepper.engine.run.rollout import advance
from aitimestepper.engine.run.state import Frames as FrameArrays
from aitimestepper.engine.run.state import Limits, Run, Stops, copy_of
from aitimestepper.engine.run.step import AT_TARGET, FULL, RUNNING, STOPPED
from aitimestepper.engine.run.stops import is_stopped, keep, room_to_keep
from aitimestepper.engine.run.wh_rollout import advance_wh
from aitimestepper.recordings.parts import Frames, StepHistory
from aitimestepper.recordings.step_events import StepEvents
from aitimestepper.simulation.blocks import (
    BY_CALLBACK,
    BY_LAST_MERGER,
    COLLIDED,
    Block,
    Stop,
    ending,
    frame_of,
    frames_in,
    joined,
)
from aitimestepper.simulation.callback import Watch
from aitimestepper.simulation.goal import Goal
from aitimestepper.simulation.merging import Merging, gone_on
from aitimestepper.simulation.outcomes import FAILURES
from aitimestepper.simulation.plans import in_force
from aitimestepper.simulation.remaining import Remaining
from aitimestepper.simulation.stopping import stop_in, stops_of

_SECONDS_OF_A_CALL = 0.05
_MOST_FRAMES = 4096
_MOST_BYTES = 2**24
_HISTORY_ROWS, _EVENT_ROWS = 65536, 4096


class _Behind(NamedTuple):
    """What it takes to end a run at a state of a block.

    Attributes:
        before: the run before the block.
        books: (F, N_BOOKS), those at each of its states up to the first that is not one of this run itself, at an exact
            time or behind a merger.
        looks: the run at each of those from there on.
        bodies: as of the block, before any merger in it.
    """

    before: Run
    books: Floats
    looks: tuple[Run, ...] = ()
    bodies: Remaining | None = None


class _Met(NamedTuple):
    """Two bodies that touch, and merge.

    Attributes:
        block: up to there.
        behind: its way back.
        look: the run at that time.
        pair: the two bodies.
        at_end: whether they touch in the step that was to lead to the end of the run: a longer run makes another one.
    """

    block: Block
    behind: _Behind
    look: Run
    pair: tuple[int, ...]
    at_end: bool


def drive(
    run: Run,
    plan: Plan,
    own: OwnCriterion,
    goal: Goal,
    n_dims: int,
    *,
    budget: int = 64,
    watch: Watch | None = None,
    merging: Merging | None = None,
) -> Iterator[Block]:
    """Integrate to the goal, a block at a time: twenty times a second or more often.

    A time that is to be met exactly, the end or a sample, is met by a shortened step on a copy: the trajectory itself
    does not know of it.

    Args:
        run: advanced in place, up to the first merger.
        plan: how it is integrated.
        own: the user's criterion, or a stand-in.
        goal: where it ends, and what is kept.
        n_dims: D of the frames.
        budget: steps of the first block; what a run does does not depend on it.
        watch: may end it at a state that is kept.
        merging: of bodies that merge where they touch; None where they do not.
    """
    for block, behind in _blocks(run, plan, own, goal, n_dims, budget, merging):
        row = None if watch is None else watch(block.frames)
        # The end of the run is its end, whoever else wants to end it there.
        if row is None or (block.last and row == len(block.frames.time) - 1):
            yield block
            continue
        yield _cut(block, row, behind)
        return


def _cut(block: Block, row: int, behind: _Behind) -> Block:
    """The block up to one of its states, as the last one of its run."""
    frames = Frames(*(array[: row + 1] for array in block.frames))
    end = frames.time[-1]
    history = StepHistory(*(array[block.history.time <= end] for array in block.history))
    events = StepEvents(*(array[block.events.goes_on_at <= end] for array in block.events))
    mergers = block.mergers.part(block.mergers.time <= end)
    reached = _state_at(frames, row, behind)
    return block._replace(
        frames=frames, history=history, events=events, mergers=mergers, run=behind.before, reached=reached,
        failure=None, last=True, stop=BY_CALLBACK,
    )  # fmt: skip


def _state_at(frames: Frames, row: int, behind: _Behind) -> Run:
    """The run at one of the states of a block."""
    if row >= len(behind.books):
        return behind.looks[row - len(behind.books)]
    before = behind.before
    mass = before.system[: len(before.system) // ROWS]
    books = behind.books[row].copy().view(BOOKS)
    books["democratic"] = 1.0  # what position errors add up to was last looked at before: it is left out
    kept = slice(None) if behind.bodies is None else behind.bodies.kept
    return before._replace(
        system=flat_system(mass, frames.position[row][kept], frames.velocity[row][kept]), books=books
    )


def _blocks(
    run: Run, plan: Plan, own: OwnCriterion, goal: Goal, n_dims: int, budget: int, merging: Merging | None
) -> Iterator[tuple[Block, _Behind]]:
    """What `drive` gives, with the way back."""
    while (met := (yield from _up_to_a_merger(run, plan, own, goal, n_dims, budget, merging))) is not None:
        assert merging is not None
        run, after = gone_on(met.look, met.pair, merging, goal)
        block, behind = _with_merger(met, run, merging, after, goal, n_dims)
        merging, plan = after, after.plan
        if merging.is_single and merging.alone is None:
            stopped = block._replace(run=met.behind.before, stop=BY_LAST_MERGER)
            yield ending(stopped, n_dims, goal), behind
            return
        if met.at_end:
            yield _in_one([(block, behind), *_blocks(run, plan, own, goal, n_dims, budget, merging)])
            return
        yield block, behind


def _with_merger(
    met: _Met, run: Run, before: Merging, after: Merging, goal: Goal, n_dims: int
) -> tuple[Block, _Behind]:
    """The block up to a merger, with the step to it and, unless times of states are exact, the state behind it."""
    block, behind, bodies = met.block, met.behind, after.bodies
    if goal.history:
        books = met.look.books[0]
        step = StepHistory.of(books.time, books.last_dt, books.kinetic_energy + books.potential_energy)
        block = block._replace(history=StepHistory.joined([block.history, step]))
    if goal.every > 0 or goal.interval < math.inf:
        block = block._replace(frames=Frames.joined([block.frames, frame_of(run, n_dims, bodies)]))
        behind = behind._replace(looks=(copy_of(run),))
        books = run.books[0]
        books.frame_dt_min = books.frame_dt_max = books.frame_energy_error = 0.0
    mergers = after.mergers.part(slice(len(before.mergers.time), None))
    return block._replace(run=run, reached=run, bodies=bodies, mergers=mergers), behind


def _in_one(blocks: Sequence[tuple[Block, _Behind]]) -> tuple[Block, _Behind]:
    """Blocks up to the end of a run as one, which a longer run does not have."""
    first = blocks[0][1]
    looks = [
        _state_at(block.frames, row, behind) for block, behind in blocks[1:] for row in range(len(block.frames.time))
    ]
    whole = joined([block for block, _ in blocks])
    return whole._replace(run=first.before), first._replace(looks=(*first.looks, *looks))


def _up_to_a_merger(
    run: Run, plan: Plan, own: OwnCriterion, goal: Goal, n_dims: int, budget: int, merging: Merging | None
) -> Generator[tuple[Block, _Behind], None, _Met | None]:
    """What `_blocks` gives up to the next merger, or to the end."""
    n = len(run.system) // ROWS
    arrays = _arrays(n, goal, plan)
    bodies = None if merging is None else merging.bodies
    books, stops = run.books[0], stops_of(goal, bodies)
    while True:
        target = goal.next_target(books)
        limits = Limits(target, goal.last_step, budget, stops)
        now = in_force(plan, run)
        before, began = copy_of(run), time.perf_counter()
        status, n_frames, n_history = advance_run(run, now, own, limits, arrays)
        budget = _next_budget(budget, time.perf_counter() - began)
        frames, history = _taken(arrays, n_frames, n_dims, run, bodies), _taken_history(arrays, n_history)
        block = Block(frames, history, _taken_events(arrays), run, run, bodies=bodies)
        behind = _Behind(before, arrays.books[:n_frames], (), bodies)
        if status in (RUNNING, FULL):
            yield block, behind
            continue
        if status in (AT_TARGET, STOPPED):
            look = copy_of(run)
            at_end = status == AT_TARGET and target == goal.end_time
            status, stop = _brought(look, now, target, stops, stopped=status == STOPPED)
            if status == RUNNING and merging is not None and stop is not None and stop.cause == COLLIDED:
                return _Met(block, behind, look, stop.bodies, at_end)
            if status == RUNNING and (stop is not None or target == goal.end_time):
                last = ending(block._replace(run=before, reached=look, stop=stop), n_dims, goal)
                yield last, behind._replace(looks=(look,))
                return None
            if status == RUNNING:
                note_sample(run, look)
                with_sample = Frames.joined([frames, frame_of(look, n_dims, bodies)])
                yield block._replace(frames=with_sample), behind._replace(looks=(look,))
                continue
        last = ending(block._replace(run=before, failure=FAILURES.get(status)), n_dims, goal)
        yield last, behind._replace(looks=(run,))
        return None


def _brought(look: Run, plan: Plan, target: float, stops: Stops, *, stopped: bool) -> tuple[int, Stop | None]:
    """Bring a copy to its next time: the target, unless it is stopped before.

    Args:
        look: the copy, which is less than a step before that time.
        plan: how it is integrated.
        target: a time.
        stops: what else ends the run.
        stopped: whether that has been found already.

    Returns:
        A status, and what has ended the run.
    """
    if not stopped:
        kept = room_to_keep(look, stops)
        keep(kept, look)
        status = reach(look, plan, target)
        if status != RUNNING or not is_stopped(look, kept, plan, stops):
            return status, None
    return reach(look, plan, float(stops.found[0])), stop_in(look, plan, stops)


def _next_budget(budget: int, seconds: float) -> int:
    """Steps of the next call of the compiled loop, from those of the last one and the time that they took."""
    return int(min(max(budget * min(_SECONDS_OF_A_CALL / max(seconds, 1e-9), 4.0), 1), 2**40))


def advance_run(run: Run, plan: Plan, own: OwnCriterion, limits: Limits, frames: FrameArrays) -> tuple[int, int, int]:
    """The compiled loop that a plan asks for; see `rollout.advance`."""
    if plan.rule.criterion == CALIBRATED:
        return advance_controlled(run, plan, limits, frames)
    if plan.rule.criterion == ESTIMATE:
        return advance_extrapolated(run, plan, limits, frames)
    if plan.method.kind == WH:
        return advance_wh(run, plan, limits, frames)
    return advance(run, plan, own, limits, frames)


def _arrays(n: int, goal: Goal, plan: Plan) -> FrameArrays:
    calibrated = plan.rule.criterion == CALIBRATED
    least = LONGEST_STRETCH if calibrated else 1
    rows = max(least, min(_MOST_FRAMES, _MOST_BYTES // (48 * n)))
    history = np.empty((_HISTORY_ROWS if goal.history else 0, 3))
    events = room_for_events(_EVENT_ROWS if goal.history and calibrated else 0)
    return FrameArrays(np.empty((rows, N_BOOKS)), np.empty((rows, 6 * n)), history, goal.every, goal.interval, events)


def _taken(arrays: FrameArrays, n_frames: int, n_dims: int, run: Run, bodies: Remaining | None) -> Frames:
    mass = run.system[: len(run.system) // ROWS]
    return frames_in(arrays.books[:n_frames].copy(), arrays.rows[:n_frames], mass, n_dims, bodies)


def _taken_history(arrays: FrameArrays, n_history: int) -> StepHistory:
    return StepHistory(*arrays.history[:n_history].T.copy())


def _taken_events(arrays: FrameArrays) -> StepEvents:
    return StepEvents.of(arrays.events.rows[: arrays.events.counts[0]])
