"""What a calibrated run does to its steps, noted where that is asked for; what is noted decides nothing.

An event has the eight numbers of a row: its kind (see `constants`), its time, the time from which the run goes on (that
of the anchor at a setback, otherwise the same), the step in force before and after it, the step of the network, the
error over what is allowed that caused it, and the position error over what is allowed since the step last changed.
"""

from __future__ import annotations

import numpy as np

from aitimestepper.constants import ANCHOR
from aitimestepper.engine.compilation import compiled, plain
from aitimestepper.engine.layout import Books
from aitimestepper.engine.run.governor import parameter, settled
from aitimestepper.engine.run.plan import Control
from aitimestepper.engine.run.state import Events

COLUMNS = 8

MOST_EVENTS = 128
"""Room for the events up to the next anchor: an anchor is followed by 543 steps at most, so by 20 setbacks, 17 answers
of the network, longer steps after each 16th step, and the next anchor: 71."""


@plain
def room_for_events(rows: int) -> Events:
    """Empty arrays; 0 rows where nothing is to be noted."""
    return Events(np.empty((rows, COLUMNS)), np.zeros(2, np.int64))


@compiled
def has_room(events: Events) -> bool:
    """Whether all events up to the next anchor fit, if any are to be noted."""
    rows = events.rows.shape[0]
    return rows == 0 or rows - events.counts[0] >= MOST_EVENTS


@compiled
def note(events: Events, kind: int, books: Books, step_before: float, error: float, position_error: float) -> None:
    """Note an event of the state reached.

    Args:
        events: where to.
        kind: which.
        books: after the event.
        step_before: the step in force before it.
        error, position_error: over what is allowed, before it.
    """
    _put(events, events.counts[0], kind, books.time, books, step_before, error, position_error)


@compiled
def note_anchor(events: Events, books: Books, control: Control) -> None:
    """Note an anchor: what has been noted up to it is final."""
    note(events, ANCHOR, books, parameter(books), settled(books, control), books.review_position_error)
    events.counts[1] = events.counts[0]


@compiled
def note_setback(
    events: Events, books: Books, kind: int, failed_at: float, step_before: float, error: float, position_error: float
) -> None:
    """Note a setback in the place of what the attempt did since the anchor; earlier setbacks to it stay.

    Args:
        events: where to.
        books: after the setback.
        kind: SETBACK or EXCUSED.
        failed_at: the time at which the error was met.
        step_before, error, position_error: as for `note`.
    """
    row = events.counts[1] + int(books.setbacks) - 1
    _put(events, row, kind, failed_at, books, step_before, error, position_error)


@compiled
def _put(
    events: Events,
    row: int,
    kind: int,
    time: float,
    books: Books,
    step_before: float,
    error: float,
    position_error: float,
) -> None:
    if row >= events.rows.shape[0]:
        return
    place = events.rows[row]
    place[0], place[1], place[2] = kind, time, books.time
    place[3], place[4], place[5] = step_before, parameter(books), books.network_step
    place[6], place[7] = error, position_error
    events.counts[0] = row + 1
