"""What a run hands out while it goes on: blocks of states, of steps and of events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.layout import AX, BOOKS, ROWS, X, vectors_of
from aitimestepper.engine.run.state import Run
from aitimestepper.recordings.mergers import Mergers
from aitimestepper.recordings.parts import Frames, StepHistory
from aitimestepper.recordings.step_events import StepEvents
from aitimestepper.simulation.goal import Goal
from aitimestepper.simulation.remaining import Remaining
from aitimestepper.simulation.summaries import ratios
from aitimestepper.systems.conserved import angular_momentum


class Stop(NamedTuple):
    """What ended a run before its time, as was asked for.

    Attributes:
        cause: in words.
        bodies: that are concerned, as numbers in the run.
        speed: of two that collide, relative to each other; 0 of others.
    """

    cause: str
    bodies: tuple[int, ...] = ()
    speed: float = 0.0


COLLIDED = "a collision"
"""The cause of a stop where two bodies touch."""

BY_CALLBACK, BY_LAST_MERGER = Stop("the callback"), Stop("the last merger")


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
        stop: what ended it before its time, as was asked for; None otherwise.
        bodies: of the run; None where they are those of the recording.
        mergers: of bodies.
    """

    frames: Frames
    history: StepHistory
    events: StepEvents
    run: Run
    reached: Run
    failure: str | None = None
    last: bool = False
    stop: Stop | None = None
    bodies: Remaining | None = None
    mergers: Mergers = Mergers.none()


def initial_block(run: Run, n_dims: int, bodies: Remaining | None = None) -> Block:
    """The frame of the initial state."""
    return Block(frame_of(run, n_dims, bodies), StepHistory.none(), StepEvents.none(), run, run, bodies=bodies)


def joined(blocks: Sequence[Block]) -> Block:
    """Consecutive blocks as one, which is otherwise the last."""
    return blocks[-1]._replace(
        frames=Frames.joined([block.frames for block in blocks]),
        history=StepHistory.joined([block.history for block in blocks]),
        events=StepEvents.joined([block.events for block in blocks]),
        mergers=Mergers.joined([block.mergers for block in blocks]),
    )


def ending(block: Block, n_dims: int, goal: Goal) -> Block:
    """The last block of a run, with the state that was reached: it is always kept, if any are."""
    block = block._replace(last=True)
    if not goal.keeps:
        return block
    last = frame_of(block.reached, n_dims, block.bodies)
    if len(block.frames.time) and block.frames.time[-1] == last.time[0]:
        return block
    return block._replace(frames=Frames.joined([block.frames, last]))


def frame_of(run: Run, n_dims: int, bodies: Remaining | None = None) -> Frames:
    """The state of a run as one frame: of the recording's bodies where those of the run are given."""
    n = len(run.system) // ROWS
    vector = run.books.view(np.float64)[None].copy()
    return frames_in(vector, run.system[None, X * n : AX * n].copy(), run.system[:n], n_dims, bodies)


def frames_in(vectors: Floats, rows: Floats, mass: Floats, n_dims: int, bodies: Remaining | None = None) -> Frames:
    """The frames of books (F, N_BOOKS) and of rows (F, 6 N); `bodies` as for `frame_of`."""
    books = vectors.view(BOOKS)[:, 0]
    energy = books["kinetic_energy"] + books["potential_energy"]
    errors = np.maximum(books["frame_energy_error"], np.abs(energy - books["initial_energy"]))
    # Two exact times may lie in one step: then there is only the one that was shortened to the second of them.
    stepped = books["frame_dt_max"] > 0.0
    shaped = rows.reshape(len(rows), 2, 3, len(mass))
    position, velocity = vectors_of(shaped[:, 0], n_dims), vectors_of(shaped[:, 1], n_dims)
    spin = angular_momentum(mass, position, velocity)
    if bodies is not None:
        position, velocity = position[:, bodies.places], velocity[:, bodies.places]
    return Frames(
        time=books["time"].copy(),
        dt=books["last_dt"].copy(),
        position=position,
        velocity=velocity,
        energy=energy,
        angular_momentum=spin,
        dt_min=np.where(stepped, books["frame_dt_min"], books["last_dt"]),
        dt_max=np.where(stepped, books["frame_dt_max"], books["last_dt"]),
        error_max=ratios(errors, float(books["energy_scale"][0]) if len(books) else 1.0),
    )
