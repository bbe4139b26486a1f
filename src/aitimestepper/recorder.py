"""Takes the blocks of a run as they come: keeps their frames, follows the errors, writes the file."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aitimestepper.engine.driver import Block, ending, initial_block, summary_of
from aitimestepper.engine.layout import ROWS, TIME, X, vectors_of
from aitimestepper.engine.plans import packed
from aitimestepper.engine.rollout import Run
from aitimestepper.recording import UNFINISHED, Floats, Frames, Recording, RunInfo, StepHistory, Summary
from aitimestepper.recording_file import StoredRun
from aitimestepper.storage import RecordingWriter
from aitimestepper.systems.archives import is_archive

if TYPE_CHECKING:
    from aitimestepper.bridges.rebound.archive import ArchiveWriter

_SECONDS_OF_A_BLOCK = 1.0
_BYTES_OF_A_BLOCK = 2**24


class Recorder:
    """The recording of one run, in memory and perhaps in a file, which is written about once a second."""

    def __init__(self, info: RunInfo, run: Run, n_dims: int) -> None:
        """Start with the initial state, in memory only."""
        self._info, self._n_dims = info, n_dims
        self._first = initial_block(run, n_dims)
        self._frames, self._history = [self._first.frames], [self._first.history]
        self._pending: list[Block] = []
        self._writer: RecordingWriter | ArchiveWriter | None = None
        self._final = False
        self._began = self._written = time.perf_counter()
        self._note(self._first)

    def create(self, path: Path, origin: dict[str, Any], *, overwrite: bool) -> None:
        """Write a file too: a REBOUND archive if its suffix is that of one, otherwise a recording.

        Raises:
            OutputExistsError, OutputError: it cannot be written.
        """
        if is_archive(path):
            from aitimestepper.bridges.rebound.archive import ArchiveWriter

            self._writer = ArchiveWriter(path, self._info, self._first.frames, overwrite=overwrite)
            return
        summary = self._summary(UNFINISHED)
        self._writer = RecordingWriter(
            path, self._info, self._first.frames, summary, state=self._state, origin=origin, overwrite=overwrite
        )

    def reopen(self, path: Path, stored: StoredRun) -> None:
        """Go on with a file, and with what it holds.

        Raises:
            OutputError: it cannot be written.
        """
        before = stored.recording
        kept = slice(0, -1 if stored.final else None)
        self._frames = [Frames(*(array[kept] for array in before.frames))]
        self._history = [before.step_history]
        self._began -= before.summary.wall_seconds
        self._writer = RecordingWriter.reopened(path, self._info)

    def _note(self, block: Block) -> None:
        """Keep where the run stands: its arrays move on."""
        self._block = block
        self._state: Floats = packed(block.run)
        self._reached = block.reached.books.copy()
        self._final = block.final

    def _summary(self, outcome: str) -> Summary:
        return summary_of(self._reached, time.perf_counter() - self._began, outcome)

    def add(self, block: Block) -> None:
        """Take the next block."""
        self._note(block)
        if len(block.frames.time):
            self._frames.append(block.frames)
        if len(block.history.time):
            self._history.append(block.history)
        if self._writer is None:
            return
        self._pending.append(block)
        if time.perf_counter() - self._written > _SECONDS_OF_A_BLOCK or self._pending_bytes() > _BYTES_OF_A_BLOCK:
            self._write(self._summary(UNFINISHED))

    def _pending_bytes(self) -> int:
        return sum(array.nbytes for block in self._pending for array in (*block.frames, *block.history))

    def _write(self, summary: Summary) -> None:
        if self._writer is None:
            return
        pending, self._pending = self._pending, []
        self._written = time.perf_counter()
        nothing = Frames(*(array[:0] for array in self._frames[0]))
        self._writer.append(
            Frames.joined([nothing, *(block.frames for block in pending)]),
            summary,
            history=StepHistory.joined([StepHistory.none(), *(block.history for block in pending)]),
            state=self._state,
            final=self._final,
        )

    def finish(self, outcome: str) -> Recording:
        """Close the book on the run."""
        summary = self._summary(outcome)
        self._write(summary)
        return Recording.of(self._info, Frames.joined(self._frames), summary, StepHistory.joined(self._history))

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()

    def interrupt(self) -> None:
        """Close the book on a run that the user ended, with its last state."""
        nothing = Frames(*(array[:0] for array in self._frames[0]))
        if self._frames[-1].time[-1] != self._reached[TIME] and self._block.run is self._block.reached:
            last = ending(self._block._replace(frames=nothing, history=StepHistory.none()), self._n_dims)
            self.add(last)
        summary = self._summary("")
        self.finish(f"interrupted at t = {summary.time:.9g} after {summary.steps} steps")

    def stop_sentence(self, block: Block) -> str:
        """What stopped the run, when, and which bodies were closest to each other."""
        summary = self._summary("")
        text = f"the run stopped at t = {summary.time:.9g} after {summary.steps} steps: {block.failure}"
        if len(self._info.mass) < 2:
            return text
        rows = block.run.system.reshape(ROWS, -1)
        first, second, distance = _closest_pair(vectors_of(rows[X : X + 3], 3))
        names = self._info.names or tuple(f"{body} (counting from 0)" for body in range(len(self._info.mass)))
        return f"{text}; closest were bodies {names[first]} and {names[second]}, {distance:.3g} apart"


def _closest_pair(position: Floats) -> tuple[int, int, float]:
    distance = np.linalg.norm(position[:, None] - position[None, :], axis=-1)
    distance[np.tril_indices(len(position))] = np.inf
    first, second = np.unravel_index(np.argmin(distance), distance.shape)
    return int(first), int(second), float(distance[first, second])
