"""The HDF5 form of a recording, which grows while its run goes on. The layout is described in docs/file-format.md.

A kill at any moment leaves a file that opens, with every block that had been committed, because

- the file appears under its name, complete with the initial state, by a rename;
- a block first appends its rows to all datasets; then `summary`, which also counts the frames that are valid, is
  replaced where it stands, by one write that no page boundary divides. Rows that are not counted do not exist;
- no dataset ever has more than `MAX_CHUNKS` chunks. HDF5 indexes them in one node up to there, and only the splitting
  of that node passes through states that cannot be read. A file that needs more is first copied, with larger chunks,
  and renamed.
"""

from __future__ import annotations

import contextlib
import io
import json
import math
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from aitimestepper._version import __version__
from aitimestepper.atomic import write_atomically
from aitimestepper.errors import InputError, OutputError, OutputExistsError
from aitimestepper.recording import Frames, Recording, RunInfo, Summary

FORMAT = "aitimestepper-recording"
VERSION = 1

MAX_CHUNKS = 64
"""Entries in one node of HDF5's chunk index (twice its default half-rank of 32)."""

CHUNK_GROWTH = 8
"""How many times larger the chunks of the copy are: all copies together cost a seventh of the final file."""

_CHUNK_BYTES = 2**16
_SUMMARY_BYTES = 2048
_LONGEST_OUTCOME = 1000
_READ_PAUSES = (0.01, 0.02, 0.04)
_INFO_ATTRIBUTES = ("period", "G", "softening", "energy_scale", "note")


def check_output(path: Path | str, overwrite: bool) -> None:
    """Refuse an output that cannot be written, before any work is done for it.

    Raises:
        OutputExistsError: the file exists and `overwrite` is False.
        OutputError: its directory is missing or read-only, or the name is that of something else than a file.
    """
    path = Path(path)
    if os.path.lexists(path):
        if path.exists() and not path.is_file():
            raise OutputError(f"cannot write {path}: it exists and is not a regular file")
        if not overwrite:
            raise OutputExistsError(f"{path} exists already: choose another name, or --overwrite to replace it")
    directory = path.parent
    if not directory.is_dir():
        raise OutputError(f"cannot write {path}: there is no directory {directory}")
    if not os.access(directory, os.W_OK | os.X_OK):
        raise OutputError(f"cannot write {path}: the directory {directory} is read-only")


class RecordingWriter:
    """An HDF5 recording that is being written; a context manager.

    Building it creates the file with the initial state. An older file of the name, which `overwrite` allows to
    replace, stays until then.

    HDF5 runs in a thread of its own, because Ctrl-C is raised in the main thread: it never lands in the middle of a
    block.
    """

    def __init__(
        self, path: Path | str, info: RunInfo, initial: Frames, summary: Summary, *, overwrite: bool = False
    ) -> None:
        """Create the file, with the first frame or several, and the summary up to them.

        Raises:
            OutputExistsError, OutputError: as for `check_output`; the disk is full.
        """
        check_output(path, overwrite)
        # A link's target is replaced, not the link.
        self.path = Path(os.path.realpath(path))
        self._info = info
        self._frames = len(initial.time)
        self._chunk_rows = max(_first_chunk_rows(initial), math.ceil(self._frames / MAX_CHUNKS))
        self._may_copy = True
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hdf5")
        self._thread.submit(self._create, initial, summary).result()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def append(self, frames: Frames, summary: Summary) -> None:
        """Write a block of frames, which may have none, and the summary up to them; both are then on file.

        Raises:
            OutputError: the disk is full; all earlier blocks are kept.
        """
        self._thread.submit(self._append, frames, summary).result()

    def close(self) -> None:
        """Close the file and end its thread."""
        self._thread.submit(self._close).result()
        self._thread.shutdown()

    def _create(self, initial: Frames, summary: Summary) -> None:
        content = io.BytesIO()
        with _hdf5_file(content, "w") as file:
            create_layout(file, self._info, initial, chunk_rows=self._chunk_rows)
            append_rows(file, 0, initial)
            commit(file, self._frames, summary)
        write_atomically(self.path, content.getvalue())
        self._open()

    def _open(self) -> None:
        self._disk = _Disk(self.path, "r+b")
        self._file = _hdf5_file(self._disk, "r+")

    def _close(self) -> None:
        self._file.close()
        self._disk.close()

    def _append(self, frames: Frames, summary: Summary) -> None:
        total = self._frames + len(frames.time)
        while self._may_copy and total > MAX_CHUNKS * self._chunk_rows:
            self._enlarge_chunks()
        append_rows(self._file, self._frames, frames)
        commit(self._file, total, summary)
        if self._disk.failure is not None:
            reason = self._disk.failure.strerror or self._disk.failure
            raise OutputError(f"cannot go on writing {self.path}: {reason}; what was written before is kept")
        self._frames = total

    def _enlarge_chunks(self) -> None:
        """Go on in a copy with larger chunks; where the disk has no room for one, in the file as it is."""
        self._chunk_rows *= CHUNK_GROWTH
        try:
            write_atomically(self.path, self._copy)
        except OutputError:
            self._may_copy = False
            return
        self._close()
        self._open()

    def _copy(self, temporary: Path) -> None:
        with _Disk(temporary, "w+b") as disk, _hdf5_file(disk, "w") as file:
            create_layout(file, self._info, _rows(self._file, 0, 1), chunk_rows=self._chunk_rows)
            for start in range(0, self._frames, self._chunk_rows):
                append_rows(file, start, _rows(self._file, start, min(start + self._chunk_rows, self._frames)))
            file["summary"][()] = self._file["summary"][()]
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


def _hdf5_file(target: Any, mode: str) -> Any:
    """An HDF5 file in a file object; in a new one, `summary` comes to lie within one page of memory."""
    import h5py

    return h5py.File(target, mode, alignment_threshold=_SUMMARY_BYTES, alignment_interval=_SUMMARY_BYTES)


def create_layout(file: Any, info: RunInfo, like: Frames, *, chunk_rows: int) -> None:
    """Datasets and attributes of an empty recording, for frames like `like`."""
    file.attrs.update({"format": FORMAT, "version": VERSION, "created_by": f"aitimestepper {__version__}"})
    file.attrs.update({name: getattr(info, name) for name in _INFO_ATTRIBUTES})
    file.attrs["settings"] = json.dumps(dict(info.settings))
    file["mass"] = info.mass
    if info.names:
        file["names"] = list(info.names)
    for name, array in like._asdict().items():
        rest = array.shape[1:]
        file.create_dataset(name, (0, *rest), np.float64, chunks=(chunk_rows, *rest), maxshape=(None, *rest))
    file.create_dataset("summary", (), f"S{_SUMMARY_BYTES}", data=b"{}")


def append_rows(file: Any, start: int, frames: Frames) -> None:
    """Write rows from row `start` on; they do not count before `commit`."""
    for name, array in frames._asdict().items():
        dataset = file[name]
        dataset.resize(start + len(array), axis=0)
        dataset[start:] = array
    file.flush()


def commit(file: Any, frames: int, summary: Summary) -> None:
    """Declare the first `frames` rows valid, with the summary up to them."""
    values = summary.as_dict() | {"outcome": summary.outcome[:_LONGEST_OUTCOME]}
    file["summary"][()] = json.dumps({"frames": frames, **values}, allow_nan=False).encode()
    file.flush()


def read_recording(path: Path | str) -> Recording:
    """Read a recording; of one whose run goes on, or was killed, the frames that had been committed.

    Raises:
        InputError: the file is missing, damaged, or no recording.
    """
    import h5py

    path = Path(path)
    if not path.is_file():
        raise InputError(f"cannot read the recording {path}: there is no such file")
    if not h5py.is_hdf5(path):
        raise InputError(f"cannot read the recording {path}: it is no HDF5 file, or a damaged one")
    try:
        return _read_patiently(path)
    except InputError:
        raise
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, OverflowError, MemoryError) as error:
        raise InputError(f"cannot read the recording {path}: it is damaged or incomplete ({error})") from None


def _read_patiently(path: Path) -> Recording:
    """Read, and read again where a writer was just changing the file."""
    import h5py

    for pause in _READ_PAUSES:
        with contextlib.suppress(OSError), h5py.File(path, "r", locking=False) as file:
            return _recording_in(path, file)
        time.sleep(pause)
    with h5py.File(path, "r", locking=False) as file:
        return _recording_in(path, file)


def _recording_in(path: Path, file: Any) -> Recording:
    if file.attrs.get("format") != FORMAT:
        raise InputError(f"cannot read the recording {path}: it is an HDF5 file, but no recording of this package")
    if file.attrs["version"] != VERSION:
        raise InputError(
            f"cannot read the recording {path}: its format version is {file.attrs['version']}, "
            f"this package reads {VERSION}"
        )
    state = json.loads(file["summary"][()])
    names = file["names"].asstr()[()] if "names" in file else ()
    info = RunInfo(
        mass=file["mass"][()],
        names=tuple(str(name) for name in names),
        settings=json.loads(file.attrs["settings"]),
        **{name: file.attrs[name] for name in _INFO_ATTRIBUTES},
    )
    frames = _rows(file, 0, int(state["frames"]))
    _check_shapes(info, frames, int(state["frames"]))
    return Recording.of(info, frames, Summary.from_dict(state))


def _check_shapes(info: RunInfo, frames: Frames, n_frames: int) -> None:
    n_bodies = len(info.mass)
    if any(len(array) != n_frames for array in frames):
        raise ValueError(f"fewer rows than the {n_frames} that it counts")
    if frames.position.shape != frames.velocity.shape or frames.position.shape[1] != n_bodies:
        raise ValueError(f"positions {frames.position.shape} do not fit {n_bodies} masses")


def _rows(file: Any, start: int, stop: int) -> Frames:
    return Frames(*(file[name][start:stop] for name in Frames._fields))


def _first_chunk_rows(frames: Frames) -> int:
    return max(1, min(1024, _CHUNK_BYTES // frames.position[0].nbytes))
