"""The HDF5 form of a recording, which grows while its run goes on. The layout is described in docs/file-format.md."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from aitimestepper.arrays import Floats
from aitimestepper.errors import InputError, OutputError
from aitimestepper.hdf5 import DAMAGED
from aitimestepper.outputs import Reservation, check_output
from aitimestepper.recordings.growing import GrowingFile
from aitimestepper.recordings.layout import LATER_TABLES, TABLES, values_of, write_rest
from aitimestepper.recordings.mergers import Mergers
from aitimestepper.recordings.parts import Frames, RunInfo, StepHistory, Summary
from aitimestepper.recordings.step_events import StepEvents


class RecordingWriter:
    """An HDF5 recording that is being written; a context manager.

    Building it creates the file with the initial state. An older file of the name, which `overwrite` allows to
    replace, stays until then. `RecordingWriter.reopened` goes on with a file instead.
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
            OutputExistsError, OutputError: as for `Reservation`; the disk is full.
        """
        check_output(path, overwrite)
        self._begin(info, origin or {}, 0 if state is None else len(state), state_layout)
        nothing = {"history": StepHistory.none(), "events": StepEvents.none(), "merged": Mergers.none()}
        rows = {"frames": initial, **nothing}
        self._file.create(partial(Reservation, path, overwrite), rows, values_of(summary), state=state)

    @classmethod
    def reopened(
        cls, output: Reservation, info: RunInfo, *, state_size: int, state_layout: str, origin: dict[str, Any]
    ) -> Self:
        """Go on with the file of a run that was stopped; what lies behind the state that it goes on from goes.

        Args:
            output: the file.
            info: replaces what it says of the run.
            state_size, state_layout, origin: as they are in it.

        Raises:
            OutputError: the place cannot be written to, or the file is damaged.
        """
        writer = cls.__new__(cls)
        writer._begin(info, origin, state_size, state_layout)
        try:
            writer._file.reopen(output)
        except InputError:
            raise
        except DAMAGED as error:
            raise OutputError(f"cannot go on with {output.path}: it is damaged ({error})") from None
        return writer

    def _begin(self, info: RunInfo, origin: dict[str, Any], state_size: int, state_layout: str) -> None:
        rest = partial(write_rest, info=info, origin=origin, state_size=state_size, state_layout=state_layout)
        self._file = GrowingFile(TABLES, rest, later=LATER_TABLES)

    @property
    def path(self) -> Path:
        """The file, behind any link to it."""
        return self._file.path

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
        events: StepEvents | None = None,
        mergers: Mergers | None = None,
        state: Floats | None = None,
        tail: tuple[int, int, int, int] = (0, 0, 0, 0),
    ) -> None:
        """Write a block of frames, which may have none, and the summary up to them; both are then on file.

        Args:
            frames: the next ones.
            summary: up to them.
            history: the steps since the last block.
            events, mergers: likewise.
            state: where the run stands.
            tail: how many of the frames, of the steps, of the events and of the mergers, the last ones, lie behind this
                state.

        Raises:
            OutputError: the disk is full; all earlier blocks are kept.
        """
        rows = {
            "frames": frames,
            "history": history or StepHistory.none(),
            "events": events or StepEvents.none(),
            "merged": mergers or Mergers.none(),
        }
        self._file.append(rows, values_of(summary), tail=dict(zip(TABLES, tail, strict=True)), state=state)

    def close(self) -> None:
        """Close the file and end its thread."""
        self._file.close()
