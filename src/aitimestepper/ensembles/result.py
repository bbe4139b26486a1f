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
from aitimestepper.ensembles.members import COUNTS, NO_SEED, NUMBERS, PROMISES, MemberResult
from aitimestepper.ensembles.promises import largest_share, promises_of
from aitimestepper.outputs import Reservation
from aitimestepper.recordings.parts import has_finished
from aitimestepper.recordings.shown import Rows, Shown, method_of
from aitimestepper.recordings.verdicts import FALLING_SHORT, verdict

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


@dataclass(frozen=True, eq=False, repr=False)
class EnsembleResult(Shown):
    """M runs in numbers; those of `Summary`, as arrays (M,), NaN or 0 for a member that never began.

    What was asked of the members, and the errors that are measured for it, are NaN where nothing was asked or measured;
    mergers are NaN where there were none.

    Attributes:
        seed: that a member was drawn with; NO_SEED if it was not drawn.
        outcome: for each member 'finished', with words behind it on steps above what each was promised, or a sentence
            that says why not.
        mass: for each member its masses (N,) at the end; N may differ from one to the next.
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
    energy_error_asked: Floats
    position_error_asked: Floats
    position_error_max: Floats
    longest_step: Floats
    step_error_asked: Floats
    step_error_max: Floats
    mergers: Floats
    merger_energy: Floats
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
            for names, empty, dtype in ((COUNTS, 0, np.int64), ((*NUMBERS, *PROMISES), np.nan, np.float64))
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
    def energy_verdict(self) -> NDArray[np.object_]:
        """(M,): 'kept' or 'exceeded', None for a member of which nothing was asked, as `Summary.energy_verdict`."""
        return _verdicts(self.energy_error_max, self.energy_error_asked)

    @property
    def position_verdict(self) -> NDArray[np.object_]:
        """(M,): the same of local position errors, 'unknown' too, as `Summary.position_verdict`."""
        return _verdicts(self.position_error_max, self.position_error_asked, self.longest_step)

    @property
    def step_verdict(self) -> NDArray[np.object_]:
        """(M,): the same of the energy errors of single steps, as `Summary.step_verdict`."""
        return _verdicts(self.step_error_max, self.step_error_asked)

    @property
    def falls_short(self) -> NDArray[np.bool_]:
        """(M,): members of which something was asked that they did not keep, or cannot be known to have kept."""
        verdicts = zip(self.energy_verdict, self.position_verdict, self.step_verdict, strict=True)
        return np.array([bool(FALLING_SHORT & set(three)) for three in verdicts], dtype=bool)

    @property
    def failures(self) -> list[Failure]:
        """The members that did not finish, in order."""
        numbered = enumerate(zip(self.seed, self.outcome, strict=True))
        return [Failure(index, int(seed), outcome) for index, (seed, outcome) in numbered if not has_finished(outcome)]

    @property
    def n_ended(self) -> int:
        """Members that have finished or failed: all, unless the ensemble itself goes on or was stopped."""
        return sum(not outcome.startswith((INTERRUPTED, NOT_ON_FILE)) for outcome in self.outcome)

    def _shown(self) -> tuple[str, Rows]:
        finished = int(self.finished.sum())
        unlike = [("cost", text) for text in [largest_share(self)] if text]
        return f"Ensemble of {len(self):,} members, {method_of(self.settings)}", [
            ("finished", f"{finished:,} of {len(self):,}"),
            *((promise.name, str(promise).partition(": ")[2]) for promise in promises_of(self)),
            *unlike,
        ]

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


def _verdicts(achieved: Floats, asked: Floats, longest_step: Floats | None = None) -> NDArray[np.object_]:
    columns = [achieved, asked] if longest_step is None else [achieved, asked, longest_step]
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return np.array([verdict(*(None if np.isnan(number) else number for number in row)) for row in rows], dtype=object)


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


_SHOWN = ("steps", "force_evaluations", "energy_error_max", "energy_error_final", "position_error_max")

COLUMN_NAMES = {"position_error_max": "local position error"}
"""Names of columns for people, where they are others than those of the attributes."""

_QUANTILES = {"min": 0.0, "median": 0.5, "p90": 0.9, "max": 1.0}


def spread_of(result: EnsembleResult) -> dict[str, dict[str, float | None]]:
    """How some columns spread over the members that finished; local position errors where they are measured."""
    columns = {name: getattr(result, name)[result.finished] for name in _SHOWN}
    known = {name: values[~np.isnan(values)] for name, values in columns.items()}
    return {name: _quantiles(values) for name, values in known.items() if len(values) or name != "position_error_max"}


def _quantiles(values: NDArray[Any]) -> dict[str, float | None]:
    """Smallest, median, 90 % and largest of some numbers, or None where there are none."""
    return {name: float(np.quantile(values, part)) if len(values) else None for name, part in _QUANTILES.items()}
