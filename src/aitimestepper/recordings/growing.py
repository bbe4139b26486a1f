"""HDF5 files whose tables grow while something runs. Recordings and ensembles are such files.

A kill at any moment leaves a file that opens, with every block that had been committed, because

- the file appears under its name, complete with its first rows, by a rename;
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
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from aitimestepper.arrays import Floats
from aitimestepper.errors import OutputError
from aitimestepper.outputs import Reservation
from aitimestepper.recordings.disk import Disk
from aitimestepper.recordings.tables import (
    Extent,
    Rows,
    Tables,
    append_rows,
    commit,
    create_tables,
    extent_in,
    hdf5_file,
)

MAX_CHUNKS = 64
"""Entries in one node of HDF5's chunk index (twice its default half-rank of 32)."""

CHUNK_GROWTH = 8
"""How many times larger the chunks of the copy are: all copies together cost a seventh of the final file."""

_CHUNK_BYTES = 2**16
_MOST_CHUNK_ROWS = 4096


class GrowingFile:
    """A file that is being written, and that no other process writes meanwhile.

    HDF5 runs in a thread of its own, because Ctrl-C is raised in the main thread: it never lands in the middle of a
    block.
    """

    def __init__(
        self,
        tables: Tables,
        write_rest: Callable[[Any], None],
        *,
        chunk_bytes: int | None = None,
        later: Rows | None = None,
    ) -> None:
        """Prepare; `create` or `reopen` comes next.

        Args:
            tables: what grows.
            write_rest: writes everything else into a new file; called for each copy.
            chunk_bytes: of the widest dataset of a table, to begin with.
            later: tables, empty, that an older file may lack: it gets them where it goes on.
        """
        self._tables, self._write_rest, self._may_copy = tables, write_rest, True
        self._later = later or {}
        self._file: Any = None
        self._chunk_bytes = chunk_bytes or _CHUNK_BYTES
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hdf5")

    def create(
        self,
        write: Callable[[bytes], Reservation],
        rows: Rows,
        values: Mapping[str, Any],
        *,
        state: Floats | None = None,
    ) -> None:
        """Write a file, with its first rows, or a new one in place of what it has been so far.

        Args:
            write: gives a content its name; the file that it returns is closed with this.
            rows, values, state: as for `append`.

        Raises:
            OutputExistsError, OutputError: as for `write`; the disk is full.
        """
        self._begun(self._create, write, rows, values, state)

    def reopen(self, output: Reservation) -> None:
        """Go on with a file, which is closed with this; the rows of its tail go.

        Raises:
            OutputError: it cannot be written.
        """
        self._begun(self._reopen, output)

    def _begun(self, work: Callable[..., None], *arguments: Any) -> None:
        try:
            self._thread.submit(work, *arguments).result()
        except BaseException:
            self._thread.shutdown()
            raise

    @property
    def path(self) -> Path:
        """The file, behind any link to it."""
        return self._output.path

    def append(
        self,
        rows: Rows,
        values: Mapping[str, Any],
        *,
        tail: Mapping[str, int] | None = None,
        state: Floats | None = None,
    ) -> None:
        """Write a block of rows; they are then on file.

        Args:
            rows: the next ones, perhaps none, of each table.
            values: what the summary says beside the extent.
            tail: how many of the last rows go when the run goes on.
            state: where the run stands, if the file has a dataset for that.

        Raises:
            OutputError: the disk is full; all earlier blocks are kept.
        """
        self._thread.submit(self._append, rows, values, tail or dict.fromkeys(self._tables, 0), state).result()

    def close(self) -> None:
        """Close the file and end its thread."""
        self._thread.submit(self._close).result()
        self._thread.shutdown()
        self._output.close()

    def _create(
        self, write: Callable[[bytes], Reservation], rows: Rows, values: Mapping[str, Any], state: Floats | None
    ) -> None:
        counts = {table: len(arrays[0]) for table, arrays in rows.items()}
        self._extent = Extent(counts, dict.fromkeys(counts, 0), -1 if state is None else 0)
        self._chunk_rows = {
            table: max(self._first_chunk_rows(arrays), math.ceil(counts[table] / MAX_CHUNKS))
            for table, arrays in rows.items()
        }
        content = io.BytesIO()
        with hdf5_file(content, "w") as file:
            create_tables(file, self._tables, rows, self._chunk_rows)
            self._write_rest(file)
            for table, names in self._tables.items():
                append_rows(file, names, 0, rows[table])
            if state is not None:
                file["state"][...] = state  # both slots: a file in memory ends with what is written
            commit(file, self._extent, values)
        self._output = write(content.getvalue())
        self._open()

    def _reopen(self, output: Reservation) -> None:
        self._output = output
        self._open()
        extent = extent_in(json.loads(self._file["summary"][()]), self._tables, self._later)
        self._extent = Extent(extent.sure, dict.fromkeys(extent.rows, 0), extent.slot)
        self._chunk_rows = {
            table: self._first_chunk_rows(self._later[table]) if self._lacks(table) else self._file[names[0]].chunks[0]
            for table, names in self._tables.items()
        }
        # A copy has room for other settings, and none of the rows that a kill left half written.
        self._output.write(self._copy)
        self._open()

    def _lacks(self, table: str) -> bool:
        return table in self._later and self._tables[table][0] not in self._file

    def _open(self) -> None:
        if self._file is not None:
            self._close()
        self._disk = Disk(self._output.path, "r+b")
        self._file = hdf5_file(self._disk, "r+")

    def _close(self) -> None:
        self._file.close()
        self._disk.close()

    def _append(self, rows: Rows, values: Mapping[str, Any], tail: Mapping[str, int], state: Floats | None) -> None:
        before = self._extent
        after = Extent({table: before.rows[table] + len(rows[table][0]) for table in self._tables}, tail, before.slot)
        if self._may_copy and self._narrow(after):
            self._enlarge_chunks(after)
        for table, names in self._tables.items():
            if len(rows[table][0]):
                append_rows(self._file, names, before.rows[table], rows[table])
        if state is not None:
            after = after._replace(slot=1 - max(before.slot, 0))
            self._file["state"][after.slot] = state
            self._file.flush()
        commit(self._file, after, values)
        if self._disk.failure is not None:
            reason = self._disk.failure.strerror or self._disk.failure
            raise OutputError(f"cannot go on writing {self._output.path}: {reason}; what was written before is kept")
        self._extent = after

    def _narrow(self, wanted: Extent) -> list[str]:
        """Tables that would need more chunks than they may have."""
        return [table for table, rows in self._chunk_rows.items() if wanted.rows[table] > MAX_CHUNKS * rows]

    def _enlarge_chunks(self, wanted: Extent) -> None:
        """Go on in a copy with larger chunks; where the disk has no room for one, in the file as it is."""
        while narrow := self._narrow(wanted):
            self._chunk_rows |= {table: CHUNK_GROWTH * self._chunk_rows[table] for table in narrow}
        try:
            self._output.write(self._copy)
        except OutputError:
            self._may_copy = False
            return
        self._open()

    def _copy(self, temporary: Path) -> None:
        """Write the valid part of the file into another one, with the chunks, settings and extent that are in force."""
        old = self._file
        known = {*(str(name) for name in Extent._fields), *self._tables}
        values = {key: value for key, value in json.loads(old["summary"][()]).items() if key not in known}
        with Disk(temporary, "w+b") as disk, hdf5_file(disk, "w") as file:
            like = {
                table: self._later[table] if self._lacks(table) else [old[name][:0] for name in names]
                for table, names in self._tables.items()
            }
            create_tables(file, self._tables, like, self._chunk_rows)
            self._write_rest(file)
            for table, names in self._tables.items():
                rows, count = self._chunk_rows[table], self._extent.rows[table]
                for start in range(0, count, rows):
                    append_rows(file, names, start, [old[name][start : min(start + rows, count)] for name in names])
            if "state" in file:
                file["state"][...] = old["state"][...]
            commit(file, self._extent, values)
        if disk.failure is not None:
            raise disk.failure

    def _first_chunk_rows(self, arrays: Sequence[NDArray[Any]]) -> int:
        widest = max(array.dtype.itemsize * math.prod(array.shape[1:]) for array in arrays)
        return max(1, min(_MOST_CHUNK_ROWS, self._chunk_bytes // widest))
