"""`Recording`: the arrays and the summary of one run, NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.errors import RunError
from aitimestepper.recordings.parts import Frames, RunInfo, StepHistory, Summary
from aitimestepper.recordings.reading import read_parts
from aitimestepper.recordings.step_events import StepEvents
from aitimestepper.recordings.writer import RecordingWriter


@dataclass(frozen=True, eq=False)
class Recording:
    """One run: S frames of N bodies in D dimensions, and its summary.

    Attributes: those of `RunInfo` and of `Frames`, one by one, and
        summary: the run in numbers.
        step_history: every step, if it was asked for.
        step_events: what a calibrated run did to its steps, if every step was asked for.
    """

    mass: Floats
    time: Floats
    dt: Floats
    position: Floats
    velocity: Floats
    energy: Floats
    angular_momentum: Floats
    dt_min: Floats
    dt_max: Floats
    error_max: Floats
    summary: Summary
    names: tuple[str, ...] = ()
    period: float = 0.0
    G: float = 1.0
    softening: float = 0.0
    energy_scale: float = 1.0
    note: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    step_history: StepHistory = field(default_factory=StepHistory.none)
    step_events: StepEvents = field(default_factory=StepEvents.none)

    @classmethod
    def of(
        cls,
        info: RunInfo,
        frames: Frames,
        summary: Summary,
        history: StepHistory | None = None,
        events: StepEvents | None = None,
    ) -> Self:
        """Put the parts together."""
        return cls(
            **vars(info),
            **frames._asdict(),
            summary=summary,
            step_history=history or StepHistory.none(),
            step_events=events or StepEvents.none(),
        )

    @classmethod
    def load(cls, path: Path | str) -> Recording:
        """Read a recording, also one whose run is still going on or was killed.

        Raises:
            InputError: the file is missing, damaged, or no recording.
        """
        return cls.of(*read_parts(path))

    def save(self, path: Path | str, overwrite: bool = False) -> None:
        """Write the recording to an HDF5 file.

        Raises:
            OutputExistsError: the file exists and `overwrite` is False.
            OutputError: the place cannot be written to.
        """
        with RecordingWriter(path, self.info, self.frames, self.summary, overwrite=overwrite) as writer:
            if len(self.step_history.time) or len(self.step_events.time):
                nothing = Frames(*(array[:0] for array in self.frames))
                writer.append(nothing, self.summary, history=self.step_history, events=self.step_events)

    @property
    def info(self) -> RunInfo:
        """What was known before the run."""
        return RunInfo(**{entry.name: getattr(self, entry.name) for entry in fields(RunInfo)})

    @property
    def frames(self) -> Frames:
        """The arrays that have an entry for each frame."""
        return Frames(*(getattr(self, name) for name in Frames._fields))

    @property
    def energy_error(self) -> Floats:
        """(S,): |E - E_initial| over the energy scale."""
        return np.abs(self.energy - self.summary.energy_initial) / self.energy_scale


class _Reached(BaseException):
    """What a run had come to when it ended before its end.

    Attributes:
        summary: the run up to there.
        info: what was known of it before its first step.
        time: simulated time of that state.
    """

    def __init__(self, summary: Summary, info: RunInfo, recording: Callable[[], Recording]) -> None:
        self.summary, self.info, self.time = summary, info, summary.time
        self._recording = recording
        super().__init__(summary.outcome)

    @property
    def recording(self) -> Recording:
        """Everything up to that state."""
        return self._recording()


class SimulationError(_Reached, RunError):
    """A simulation that could not go on; carries what it has reached."""


class Interrupted(_Reached, KeyboardInterrupt):
    """A simulation that was interrupted by Ctrl-C; carries what it has reached.

    In a notebook or at a prompt it is `sys.last_value`, so that `sys.last_value.recording` has the states.
    """
