"""Recordings as REBOUND archives: a snapshot for each frame."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aitimestepper.errors import InputError, OutputError
from aitimestepper.outputs import Reservation
from aitimestepper.recordings.parts import Frames, RunInfo
from aitimestepper.recordings.recording import Recording
from aitimestepper.systems.rebound_bodies import add_bodies, require_rebound, set_state


def write_archive(recording: Recording, path: Path | str, overwrite: bool = False) -> None:
    """Write a recording as a REBOUND archive, a snapshot for each frame, with its G, softening and names.

    Raises:
        InputError: rebound is not installed, or the path is not one that it can open.
        OutputExistsError: the file exists and `overwrite` is False.
        OutputError: the place cannot be written to.
    """
    with ArchiveWriter(path, recording.info, recording.frames, overwrite=overwrite):
        pass


def check_archive(path: Path | str) -> None:
    """Refuse an archive that could not be written, before any work is done for it.

    Raises:
        InputError: rebound is not installed, or cannot open a file of this name.
    """
    require_rebound()
    if not str(path).isascii():
        raise InputError(f"REBOUND opens files of plain ASCII names only: {path}")


class ArchiveWriter:
    """A REBOUND archive that is being written; a context manager.

    The file appears under its name with the first frames in it. REBOUND appends a snapshot at a time, and reads a file
    that a kill has cut up to its last whole one. It runs in a thread of its own, so that Ctrl-C, which is raised in the
    main one, never leaves out frames of a block.
    """

    def __init__(self, path: Path | str, info: RunInfo, initial: Frames, *, overwrite: bool = False) -> None:
        """Create the file with the first frame or several.

        Raises:
            InputError, OutputExistsError, OutputError: as for `write_archive`.
        """
        check_archive(path)
        self._asked = path
        self._simulation = require_rebound().Simulation()
        self._simulation.G, self._simulation.softening = info.G, info.softening
        add_bodies(self._simulation, info.mass, info.names, info.radius)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="rebound")
        create = partial(Reservation, path, overwrite, lambda part: self._save(part, initial))
        self._output = self._thread.submit(create).result()
        self.path = self._output.path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def append(self, frames: Frames, *_: Any, **__: Any) -> None:
        """Append the next frames; what else a recording has, an archive has no place for.

        Raises:
            OutputError: the disk is full; all earlier frames are kept.
        """
        self._thread.submit(self._save, self.path, frames).result()

    def close(self) -> None:
        """End the thread; each snapshot has been closed by itself."""
        self._thread.shutdown()
        self._output.close()

    def _save(self, path: Path, frames: Frames) -> None:
        size = path.stat().st_size if path.exists() else 0
        for time, dt, position, velocity in zip(*frames[:4], strict=True):
            self._simulation.t, self._simulation.dt = float(time), float(dt)
            set_state(self._simulation, position, velocity)
            self._simulation.save_to_file(str(path))
            # REBOUND does not say that it could not write.
            grown = path.stat().st_size if path.exists() else 0
            if not grown > size:
                raise OutputError(f"cannot go on writing {self._asked}: the disk is full or read-only")
            size = grown
