"""Takes the blocks of a run as they come: keeps their frames, follows the errors, writes the file."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.layout import LAYOUT
from aitimestepper.engine.run.state import Run, copy_of, packed, unpack
from aitimestepper.outputs import Reservation
from aitimestepper.recordings.archive import ArchiveWriter
from aitimestepper.recordings.mergers import Mergers
from aitimestepper.recordings.parts import UNFINISHED, Frames, RunInfo, StepHistory, Summary, has_finished
from aitimestepper.recordings.reading import StoredRun, read_kept, spread
from aitimestepper.recordings.recording import Recording
from aitimestepper.recordings.step_events import StepEvents
from aitimestepper.recordings.writer import RecordingWriter
from aitimestepper.simulation.blocks import Block, ending, initial_block
from aitimestepper.simulation.compiling import seconds_of_compiling
from aitimestepper.simulation.goal import Goal
from aitimestepper.simulation.remaining import Remaining
from aitimestepper.simulation.summaries import summary_of
from aitimestepper.systems.archives import is_archive

_SECONDS_OF_A_BLOCK = 1.0
"""A kill loses at most so much; each block costs a few milliseconds."""

_BYTES_OF_A_BLOCK = 2**24
"""What waits to be written: memory is bounded by it, whatever the length of the run."""


class Recorder:
    """The recording of one run: in a file, which is written about once a second, or in memory.

    What has been written is kept in memory only where the file cannot give it back (an archive of REBOUND), and only
    if somebody will ask for it.
    """

    def __init__(
        self,
        info: RunInfo,
        run: Run,
        n_dims: int,
        *,
        keeps: bool,
        direction: float = 1.0,
        bodies: Remaining | None = None,
    ) -> None:
        """Start with the initial state, in memory.

        Args:
            info: what is known of the run.
            run: at its start, or where it goes on.
            n_dims: D of the frames.
            keeps: whether `recording` will be asked for.
            direction: of time, as in `Goal`.
            bodies: of the run; None where they are all of the recording.
        """
        self.info, self._n_dims, self._direction, self._keeps = info, n_dims, direction, keeps
        self._first = self._seen(initial_block(run, n_dims, bodies))
        self._none = Frames(*(array[:0] for array in self._first.frames))
        self._kept = [self._first]
        self._pending: list[Block] = []
        self._pending_bytes = 0
        self._writer: RecordingWriter | ArchiveWriter | None = None
        self._began = self._written = time.perf_counter()
        self._compiled = seconds_of_compiling()
        self._note(self._first)
        self._state_size = len(self._state)

    def create(self, path: Path, origin: dict[str, Any], *, overwrite: bool) -> None:
        """Write a file too: a REBOUND archive if its suffix is that of one, otherwise a recording.

        Raises:
            OutputExistsError, OutputError: it cannot be written.
        """
        if is_archive(path):
            self._writer = ArchiveWriter(path, self.info, self._first.frames, overwrite=overwrite)
            return
        self._keeps, self._kept = False, []
        summary = self.summary(UNFINISHED)
        self._writer = RecordingWriter(
            path,
            self.info,
            self._first.frames,
            summary,
            state=self._state,
            state_layout=LAYOUT,
            origin=origin,
            overwrite=overwrite,
        )

    def reopen(self, output: Reservation, stored: StoredRun) -> None:
        """Go on with a file, which holds this run.

        Raises:
            OutputError: it cannot be written.
        """
        self._keeps, self._kept = False, []
        self._began -= stored.summary.wall_seconds
        self._state_size = len(stored.state)
        self._writer = RecordingWriter.reopened(
            output, self.info, state_size=len(stored.state), state_layout=stored.layout, origin=stored.origin
        )
        self._last_time = stored.last_time
        self._write(self.summary(UNFINISHED))

    def _seen(self, block: Block) -> Block:
        """A block with the time and the velocities that are seen, from those of the run itself."""
        turned = {
            name: getattr(block, name).turned(self._direction) for name in ("frames", "history", "events", "mergers")
        }
        return block._replace(**turned)

    def _note(self, block: Block) -> None:
        """Keep where the run stands: its arrays move on."""
        self._block = block
        self._state: Floats = packed(block.run)
        self._reached = block.reached.books.copy()
        if len(block.frames.time):
            self._last_time = block.frames.time[-1]

    def summary(self, outcome: str) -> Summary:
        """The run in numbers, as far as it has come."""
        seconds = time.perf_counter() - self._began - (seconds_of_compiling() - self._compiled)
        summary = summary_of(self._reached[0], seconds, outcome, self._direction)
        if not self.info.settings.get("confirm"):
            return summary
        which = "second run" if has_finished(outcome) else "run"
        return replace(summary, confirm_outcome=f"not confirmed: the {which} did not come to its end")

    def add(self, block: Block) -> None:
        """Take the next block."""
        block = self._seen(block)
        self._note(block)
        if self._keeps:
            self._kept.append(block)
        if self._writer is None:
            return
        self._pending.append(block)
        self._pending_bytes += sum(array.nbytes for array in (*block.frames, *block.history, *block.events))
        if time.perf_counter() - self._written > _SECONDS_OF_A_BLOCK or self._pending_bytes > _BYTES_OF_A_BLOCK:
            self._write(self.summary(UNFINISHED))

    def _write(self, summary: Summary) -> None:
        if self._writer is None:
            return
        pending, self._pending, self._pending_bytes = self._pending, [], 0
        self._written = time.perf_counter()
        self._writer.append(
            Frames.joined([self._none, *(block.frames for block in pending)]),
            summary,
            history=StepHistory.joined([StepHistory.none(), *(block.history for block in pending)]),
            events=StepEvents.joined([StepEvents.none(), *(block.events for block in pending)]),
            mergers=Mergers.joined([Mergers.none(), *(block.mergers for block in pending)]),
            state=np.pad(self._state, (0, self._state_size - len(self._state))),
            tail=_tail(self._block) if self._block.last else (0, 0, 0, 0),
        )

    def finish(self, outcome: str) -> Summary:
        """Write what is left, with the last summary."""
        summary = self.summary(outcome)
        self._write(summary)
        return summary

    def amend(self, summary: Summary) -> None:
        """Write another last summary, which says more."""
        self._write(summary)

    def kept(self, most: int | None) -> tuple[Floats, Floats]:
        """Times (K,) and positions (K, N, D) of states that are kept, before `close`; `most` as for `read_kept`."""
        if isinstance(self._writer, RecordingWriter):
            return read_kept(self._writer.path, most)
        frames = Frames.joined([block.frames for block in self._kept])
        rows = spread(len(frames.time), most)
        return frames.time[rows], frames.position[rows]

    def recording(self, summary: Summary) -> Recording:
        """All of the run, after `close`: read from its file, if that can give it back.

        Args:
            summary: the last one.
        """
        if isinstance(self._writer, RecordingWriter):
            return Recording.load(self._writer.path)
        frames = Frames.joined([block.frames for block in self._kept])
        history = StepHistory.joined([block.history for block in self._kept])
        events = StepEvents.joined([block.events for block in self._kept])
        mergers = Mergers.joined([block.mergers for block in self._kept])
        return Recording.of(self.info, frames, summary, history, events, mergers)

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()

    def interrupt(self) -> Summary:
        """End a run that the user ended, with its last state, and its file."""
        if self._last_time != self._direction * self._reached[0].time and self._block.run is self._block.reached:
            # The run itself has gone on since, perhaps: what is on record is the state of the last block.
            there = copy_of(self._block.run)
            unpack(self._state, LAYOUT, there)
            bodies = self._block.bodies
            nothing = Block(self._none, StepHistory.none(), StepEvents.none(), there, there, bodies=bodies)
            self.add(ending(nothing, self._n_dims, Goal()))
        summary = self.summary("")
        return self.finish(f"interrupted at t = {summary.time:.9g} after {summary.steps} steps")


def _tail(block: Block) -> tuple[int, int, int, int]:
    """Frames, steps, events and mergers of the last block."""
    return len(block.frames.time), len(block.history.time), len(block.events.time), len(block.mergers.time)
