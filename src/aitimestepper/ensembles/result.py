"""`EnsembleResult`: what came of many runs, in arrays over the members, and its HDF5 file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from aitimestepper.arrays import Floats
from aitimestepper.ensembles.file import (
    INTERRUPTED,
    EnsembleInfo,
    EnsembleWriter,
    StoredEnsemble,
    read_ensemble,
    summary_in,
)
from aitimestepper.ensembles.members import COUNTS, NO_SEED, NUMBERS, MemberResult
from aitimestepper.outputs import Reservation
from aitimestepper.recordings.parts import has_finished, is_above

NOT_ON_FILE = "unfinished: the ensemble was ended from outside before the result of this member was on file"
"""The outcome of a member that is missing in the file of an ensemble which goes on, or was killed."""

NEVER_BEGUN = f"{INTERRUPTED} before its first step"
"""The outcome of a member that is missing because Ctrl-C came first."""


@dataclass(frozen=True)
class Failure:
    """A member that did not finish: which one, its seed (NO_SEED if it was not drawn), and why."""

    index: int
    seed: int
    outcome: str


@dataclass(frozen=True, eq=False)
class EnsembleResult:
    """M runs in numbers; those of `Summary`, as arrays (M,), NaN or 0 for a member that never began.

    Attributes:
        seed: that a member was drawn with; NO_SEED if it was not drawn.
        outcome: for each member 'finished', with words behind it on steps above what each was promised, or a sentence
            that says why not.
        mass: for each member its masses (N,); N may differ from one to the next.
        position, velocity: for each member the last state (N, D).
        G: gravitational constant.
        softening: Plummer length.
        wall_seconds: real time of the whole.
        settings: the configuration that was asked for, as JSON has it.
    """

    seed: NDArray[np.int64]
    outcome: tuple[str, ...]
    steps: NDArray[np.int64]
    force_evaluations: NDArray[np.int64]
    rejected_steps: NDArray[np.int64]
    time: Floats
    energy_initial: Floats
    energy_final: Floats
    energy_error_max: Floats
    energy_error_final: Floats
    momentum_residual: Floats
    angular_momentum_residual: Floats
    mass: tuple[Floats, ...]
    position: tuple[Floats, ...]
    velocity: tuple[Floats, ...]
    G: float = 1.0
    softening: float = 0.0
    wall_seconds: float = 0.0
    settings: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, members: Sequence[MemberResult], **about: Any) -> Self:
        """Put the members together, in the order of their index."""
        ordered = sorted(members, key=lambda member: member.index)
        summaries = [member.summary for member in ordered]
        columns: dict[str, Any] = {
            name: np.array([empty if s is None else getattr(s, name) for s in summaries], dtype=dtype)
            for names, empty, dtype in ((COUNTS, 0, np.int64), (NUMBERS, np.nan, np.float64))
            for name in names
        }
        return cls(
            seed=np.array([member.seed for member in ordered], dtype=np.int64),
            outcome=tuple(member.outcome for member in ordered),
            **columns,
            mass=tuple(member.mass for member in ordered),
            position=tuple(member.position for member in ordered),
            velocity=tuple(member.velocity for member in ordered),
            **about,
        )

    def __len__(self) -> int:
        return len(self.outcome)

    @property
    def finished(self) -> NDArray[np.bool_]:
        """(M,): which members reached their end."""
        return np.array([has_finished(outcome) for outcome in self.outcome], dtype=bool)

    @property
    def n_above(self) -> int:
        """Members that reached their end by steps with a larger energy error than was promised of each."""
        return sum(is_above(outcome) for outcome in self.outcome)

    @property
    def failures(self) -> list[Failure]:
        """The members that did not finish, in order."""
        numbered = enumerate(zip(self.seed, self.outcome, strict=True))
        return [Failure(index, int(seed), outcome) for index, (seed, outcome) in numbered if not has_finished(outcome)]

    @property
    def n_ended(self) -> int:
        """Members that have finished or failed: all, unless the ensemble itself goes on or was stopped."""
        return sum(not outcome.startswith((INTERRUPTED, NOT_ON_FILE)) for outcome in self.outcome)

    def save(self, path: Path | str, overwrite: bool = False) -> None:
        """Write an HDF5 file, whole or not at all.

        Raises:
            OutputExistsError: the file exists and `overwrite` is False.
            OutputError: the place cannot be written to.
        """
        info = EnsembleInfo(len(self), self.G, self.softening, self.settings, {})
        members = [self._member(index) for index in range(len(self))]
        with Reservation(path, overwrite) as output:
            writer = EnsembleWriter(output, info)
            writer.finish(members, self.wall_seconds)
            writer.close()

    def _member(self, index: int) -> MemberResult:
        outcome = self.outcome[index]
        bodies = self.mass[index], self.position[index], self.velocity[index]
        return MemberResult(index, int(self.seed[index]), outcome, summary_in(vars(self), index, outcome), *bodies)

    @classmethod
    def load(cls, path: Path | str) -> EnsembleResult:
        """Read a file, also of an ensemble that still goes on or was killed: `n_ended` members of it are there.

        Raises:
            InputError: the file is missing, damaged, or not that of an ensemble.
        """
        return result_of(read_ensemble(path))


def result_of(stored: StoredEnsemble) -> EnsembleResult:
    """What is in a file; of members that are not, an outcome that says so."""
    there = {member.index for member in stored.members}
    outcome = NEVER_BEGUN if stored.outcome == INTERRUPTED else NOT_ON_FILE
    nothing = np.empty(0), np.empty((0, 1)), np.empty((0, 1))
    missing = (index for index in range(stored.info.count) if index not in there)
    info = stored.info
    return EnsembleResult.of(
        [*stored.members, *(MemberResult(index, NO_SEED, outcome, None, *nothing) for index in missing)],
        G=info.G,
        softening=info.softening,
        wall_seconds=stored.wall_seconds,
        settings=info.settings,
    )


SHOWN = ("steps", "force_evaluations", "energy_error_max", "energy_error_final")
"""Columns whose spread over the members is reported."""

_QUANTILES = {"min": 0.0, "median": 0.5, "p90": 0.9, "max": 1.0}


def quantiles(values: NDArray[Any]) -> dict[str, float | None]:
    """Smallest, median, 90 % and largest of some numbers, or None where there are none."""
    return {name: float(np.quantile(values, part)) if len(values) else None for name, part in _QUANTILES.items()}
