"""What a calibrated run did to its steps, as a recording has it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aitimestepper.arrays import Floats


class StepEvents(NamedTuple):
    """What a calibrated run did to its steps: E events, empty unless every step was asked for.

    A step is of fictitious time (`ttl`) or in units of the fly-by time scale (`leapfrog`). Setbacks to one anchor stand
    behind each other; what else happened in an attempt that was taken back is not kept.

    Attributes:
        kind: (E,), whole numbers, one of `ANCHOR`, `SETBACK`, `EXCUSED`, `NETWORK` and `LONGER` in `constants`.
        time: (E,), of the event; of a setback the time at which the error was met.
        goes_on_at: (E,), time from which the run goes on: of a setback that of the anchor, otherwise the same.
        step_before: (E,), in force before the event.
        step: (E,), after it.
        network_step: (E,), what the network had wanted by then: without the correction by the errors of the run.
        error: (E,), over what is allowed: of a setback the larger of both that was met, of longer steps the largest
            since the last change; of an anchor and of the network that of the energy.
        position_error: (E,), local, over what is allowed: the largest since the last change.
    """

    kind: NDArray[Any]
    time: Floats
    goes_on_at: Floats
    step_before: Floats
    step: Floats
    network_step: Floats
    error: Floats
    position_error: Floats

    def turned(self, direction: float) -> StepEvents:
        """The events as they are seen, as for `Frames`."""
        return self if direction > 0 else self._replace(time=0.0 - self.time, goes_on_at=0.0 - self.goes_on_at)

    @classmethod
    def of(cls, rows: Floats) -> StepEvents:
        """The events of rows (E, 8) of the engine; beyond all numbers stands the largest: files have no infinity."""
        kind, *numbers = np.nan_to_num(rows, nan=sys.float_info.max).T.copy()
        return cls(kind.astype(np.int64), *numbers)

    @classmethod
    def joined(cls, blocks: Sequence[StepEvents]) -> StepEvents:
        """All events of consecutive blocks."""
        return cls(*(np.concatenate(arrays) for arrays in zip(*blocks, strict=True)))

    @classmethod
    def none(cls) -> StepEvents:
        """No events."""
        return cls.of(np.empty((0, len(cls._fields))))
