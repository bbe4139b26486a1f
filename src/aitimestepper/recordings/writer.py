"""The HDF5 form of a recording, which grows while its run goes on. The layout is described in docs/file-format.md.

A kill at any moment leaves a file that opens, with every block that had been committed, because

- the file appears under its name, complete with the initial state, by a rename;
- a block first appends its rows to all datasets, and writes where the run stands into the one of two slots that the
  last block did not use; then `summary`, which also counts the rows that are valid and names the slot, is replaced
  where it stands, by one write that no page boundary divides. Rows that are not counted do not exist;
- no dataset ever has more than `MAX_CHUNKS` chunks. HDF5 indexes them in one node up to there, and only the splitting
  of that node passes through states that cannot be read. A file that needs more is first copied, with larger chunks,
  and renamed.
"""

from __future__ import annotations

import io
import json
import math
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aitimestepper.arrays import Floats
from aitimestepper.errors import InputError, OutputError
from aitimestepper.hdf5 import DAMAGED
from aitimestepper.outputs import check_output, write_atomically
from aitimestepper.recordings.layout import (
    LAYOUT_ATTRIBUTE,
    STEP_DATASETS,
    Extent,
    append_rows,
    commit,
    create_layout,
    extent_in,
    hdf5_file,
    rows_in,
    write_attributes,
)
from aitimestepper.recordings.parts import Frames, RunInfo, StepHistory, Summary

MAX_CHUNKS = 64
"""Entries in one node of HDF5's chunk index (twice its default half-rank of 32)."""

CHUNK_GROWTH = 8
"""How many times larger the chunks of the copy are: all copies together cost a seventh of the final file."""

_CHUNK_BYTES = 2**16
_STEP_CHUNK_ROWS = 4096


class RecordingWriter:
    """An HDF5 recording that is being written; a context manager.

    Building it creates the file with the initial state. An older file of the name, which `overwrite` allows to
    replace, stays until then. `RecordingWriter.reopened` goes on with a file instead.

    HDF5 runs in a thread of its own, because Ctrl-C is raised in the main thread: it never lands in the middle of a
    block.
    """

    def __init__(
        self,
        path: Path | str,
        info: RunInfo,
        initial: Frames,
        summary: Summary,
        *,
        state: Floats | None = None,
        state_layout: str = "",
        origin: dict[str, Any] | None = None,
        overwrite: bool = False,
    ) -> None:
        """Create the file, with the first frame or several, and the summary up to them.

        Args:
            path: the file.
            info: of the run.
            initial: the frames that there are.
            summary: up to them.
            state: where the run stands, a vector whose length never changes; None for a run that cannot go on.
            state_layout: a digest of what its numbers mean.
            origin: what the run needs, beside `info`, to go on; as JSON has it.
            overwrite: whether a file of the name may be replaced.

        Raises:
            OutputExistsError, OutputError: as for `check_output`; the disk is full.
        """
        check_output(path, overwrite)
        # A link's target is replaced, not the link.
        self.path = Path(os.path.realpath(path))
        self._info = info
        self._origin = origin or {}
        self._extent = Extent(len(initial.time), 0)
        self._state_size, self._state_layout = 0 if state is None else len(state), state_layout
        self._chunk_rows = max(_first_chunk_rows(initial), math.ceil(len(initial.time) / MAX_CHUNKS))
        self._step_chunk_rows = _STEP_CHUNK_ROWS
        self._begin()
        self._thread.submit(self._create, initial, summary, state, overwrite).result()

    def _begin(self) -> None:
        self._may_copy = True
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hdf5")

    @classmethod
    def reopened(cls, path: Path | str, info: RunInfo) -> Self:
        """Go on with the file of a run that was stopped; the frame behind a shortened last step goes.

        Args:
            path: the file.
            info: replaces what it says of the run.

        Raises:
            OutputError: the place cannot be written to, or the file is damaged.
        """
        writer = cls.__new__(cls)
        writer.path = Path(os.path.realpath(path))
        writer._info = info
        writer._begin()
        try:
            writer._thread.submit(writer._reopen).result()
        except InputError:
            raise
        except DAMAGED as error:
            raise OutputError(f"cannot go on with {path}: it is damaged ({error})") from None
        return writer

    def _reopen(self) -> None:
        if not os.access(self.path, os.W_OK):
            raise OutputError(f"cannot write {self.path}: it is read-only")
        self._open()
        file = self._file
        state = json.loads(file["summary"][()])
        self._extent = extent_in(state)
        if self._extent.final:
            self._extent = self._extent._replace(frames=self._extent.frames - 1, final=False)
        self._origin = json.loads(file.attrs["origin"])
        self._state_size = file["state"].shape[1]
        self._state_layout = str(file["state"].attrs.get(LAYOUT_ATTRIBUTE, ""))
        self._chunk_rows = file["time"].chunks[0]
        self._step_chunk_rows = file["steps/time"].chunks[0]
        # A copy has room for other settings, and none of the rows that a kill left half written.
        write_atomically(self.path, self._copy)
        self._close()
        self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def append(
        self,
        frames: Frames,
        summary: Summary,
        *,
        history: StepHistory | None = None,
        state: Floats | None = None,
        final: bool = False,
    ) -> None:
        """Write a block of frames, which may have none, and the summary up to them; both are then on file.

        Args:
            frames: the next ones.
            summary: up to them.
            history: the steps since the last block.
            state: where the run stands.
            final: whether the last frame is no state of the trajectory itself.

        Raises:
            OutputError: the disk is full; all earlier blocks are kept.
        """
        self._thread.submit(self._append, frames, history or StepHistory.none(), summary, state, final).result()

    def close(self) -> None:
        """Close the file and end its thread."""
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def _create(self, initial: Frames, summary: Summary, state: Floats | None, overwrite: bool) -> None:
        content = io.BytesIO()
        with hdf5_file(content, "w") as file:
            self._create_layout(file, initial)
            append_rows(file, Frames._fields, 0, initial)
            if state is not None:
                file["state"][...] = state  # both slots: a file in memory ends with what is written
                self._extent = self._extent._replace(slot=0)
            commit(file, self._extent, summary)
        write_atomically(self.path, content.getvalue(), replace=overwrite)
        self._open()

    def _create_layout(self, file: Any, like: Frames) -> None:
        create_layout(
            file,
            like,
            chunk_rows=self._chunk_rows,
            step_rows=self._step_chunk_rows,
            state_size=self._state_size,
            state_layout=self._state_layout,
        )
        write_attributes(file, self._info, self._origin)

    def _open(self) -> None:
        self._disk = _Disk(self.path, "r+b")
        self._file = hdf5_file(self._disk, "r+")

    def _close(self) -> None:
        self._file.close()
        self._disk.close()

    def _append(
        self, frames: Frames, history: StepHistory, summary: Summary, state: Floats | None, final: bool
    ) -> None:
        before = self._extent
        after = Extent(before.frames + len(frames.time), before.history + len(history.time), before.slot, final)
        while self._may_copy and (
            after.frames > MAX_CHUNKS * self._chunk_rows or after.history > MAX_CHUNKS * self._step_chunk_rows
        ):
            self._enlarge_chunks(after)
        append_rows(self._file, Frames._fields, before.frames, frames)
        if len(history.time):
            append_rows(self._file, STEP_DATASETS, before.history, history)
        if state is not None:
            after = after._replace(slot=1 - max(before.slot, 0))
            self._file["state"][after.slot] = state
            self._file.flush()
        commit(self._file, after, summary)
        if self._disk.failure is not None:
            reason = self._disk.failure.strerror or self._disk.failure
            raise OutputError(f"cannot go on writing {self.path}: {reason}; what was written before is kept")
        self._extent = after

    def _enlarge_chunks(self, wanted: Extent) -> None:
        """Go on in a copy with larger chunks; where the disk has no room for one, in the file as it is."""
        if wanted.frames > MAX_CHUNKS * self._chunk_rows:
            self._chunk_rows *= CHUNK_GROWTH
        if wanted.history > MAX_CHUNKS * self._step_chunk_rows:
            self._step_chunk_rows *= CHUNK_GROWTH
        try:
            write_atomically(self.path, self._copy)
        except OutputError:
            self._may_copy = False
            return
        self._close()
        self._open()

    def _copy(self, temporary: Path) -> None:
        """Write the valid part of the file into another one, with the chunks, settings and extent that are in force."""
        state = json.loads(self._file["summary"][()])
        with _Disk(temporary, "w+b") as disk, hdf5_file(disk, "w") as file:
            self._create_layout(file, rows_in(self._file, 0, 1))
            for names, count, rows in (
                (Frames._fields, self._extent.frames, self._chunk_rows),
                (STEP_DATASETS, self._extent.history, self._step_chunk_rows),
            ):
                for start in range(0, count, rows):
                    stop = min(start + rows, count)
                    append_rows(file, names, start, [self._file[name][start:stop] for name in names])
            file["state"][...] = self._file["state"][...]
            commit(file, self._extent, Summary.from_dict(state))
        if disk.failure is not None:
            raise disk.failure


class _Disk(io.FileIO):
    """A file for HDF5 to write into that never fails before its eyes: the library does not survive that.

    From the first failure on nothing more is written, so that the file is what a kill at that moment would have left.
    """

    failure: OSError | None = None

    def write(self, data: Any, /) -> int:
        """Write all of it, unless something has failed."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        try:
            while len(rest) and self.failure is None:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = error
        return size

    def truncate(self, size: int | None = None, /) -> int:
        """Cut or extend, unless something has failed."""
        try:
            return super().truncate(size) if self.failure is None else self.tell()
        except OSError as error:
            self.failure = error
            return self.tell()


def _first_chunk_rows(frames: Frames) -> int:
    return max(1, min(1024, _CHUNK_BYTES // frames.position[0].nbytes))
