"""`EnsembleResult`: what came of many runs, in arrays over the members, and its HDF5 file."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from aitimestepper._version import __version__
from aitimestepper.arrays import Floats
from aitimestepper.errors import InputError
from aitimestepper.hdf5 import DAMAGED, Content, opened
from aitimestepper.outputs import check_output, write_atomically
from aitimestepper.recordings.layout import check_format
from aitimestepper.recordings.parts import FINISHED, Summary

FORMAT = "aitimestepper-ensemble"
VERSION = 1

NO_SEED = -1
"""The seed of a member that was not drawn."""

COUNTS = ("steps", "force_evaluations", "rejected_steps")
NUMBERS = (
    *("time", "energy_initial", "energy_final", "energy_error_max", "energy_error_final"),
    *("momentum_residual", "angular_momentum_residual"),
)

_ATTRIBUTES = ("G", "softening", "wall_seconds")
_DIMS = 3


@dataclass(frozen=True, eq=False)
class MemberResult:
    """What came of one member.

    Attributes:
        index: which one.
        seed: that it was drawn with; NO_SEED if it was not drawn.
        outcome: 'finished', or a sentence that says why not.
        summary: None if it never began.
        mass: (N,), without bodies if there were none.
        position, velocity: (N, D), of the last state.
    """

    index: int
    seed: int
    outcome: str
    summary: Summary | None
    mass: Floats
    position: Floats
    velocity: Floats


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
        outcome: for each member 'finished', or a sentence that says why not.
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
        return np.array([outcome == FINISHED for outcome in self.outcome], dtype=bool)

    @property
    def failures(self) -> list[Failure]:
        """The members that did not finish, in order."""
        numbered = enumerate(zip(self.seed, self.outcome, strict=True))
        return [Failure(index, int(seed), outcome) for index, (seed, outcome) in numbered if outcome != FINISHED]

    def save(self, path: Path | str, overwrite: bool = False) -> None:
        """Write an HDF5 file, whole or not at all.

        Raises:
            OutputExistsError: the file exists and `overwrite` is False.
            OutputError: the place cannot be written to.
        """
        import h5py

        check_output(path, overwrite)
        content = io.BytesIO()
        with h5py.File(content, "w") as file:
            self._fill(file)
        # A link's target is replaced, not the link.
        write_atomically(Path(os.path.realpath(path)), content.getvalue())

    def _fill(self, file: Any) -> None:
        file.attrs.update({"format": FORMAT, "version": VERSION, "created_by": f"aitimestepper {__version__}"})
        file.attrs.update({name: getattr(self, name) for name in _ATTRIBUTES})
        file.attrs["settings"] = json.dumps(dict(self.settings))
        for name in ("seed", *COUNTS, *NUMBERS):
            file[name] = getattr(self, name)
        file["outcome"] = list(self.outcome)
        file["n_dims"] = np.array([array.shape[1] for array in self.position], dtype=np.int64)
        file["first_body"] = np.cumsum([0, *(len(mass) for mass in self.mass)])
        file["mass"] = np.concatenate(self.mass)
        for name in ("position", "velocity"):
            file[name] = np.concatenate([_in_space(array) for array in getattr(self, name)])

    @classmethod
    def load(cls, path: Path | str) -> EnsembleResult:
        """Read what `save` wrote.

        Raises:
            InputError: the file is missing, damaged, or not that of an ensemble.
        """
        path = Path(path)
        if not path.is_file():
            raise InputError(f"cannot read the ensemble {path}: there is no such file")
        try:
            with opened(path) as file:
                return _result_in(path, file)
        except InputError:
            raise
        except DAMAGED as error:
            raise InputError(f"cannot read the ensemble {path}: it is damaged or no HDF5 file ({error})") from None


def _in_space(vectors: Floats) -> Floats:
    """(N, D) as (N, 3), with zeros for missing dimensions."""
    return np.pad(vectors, ((0, 0), (0, _DIMS - vectors.shape[1])))


def _result_in(path: Path, file: Content) -> EnsembleResult:
    check_format(path, file, "ensemble", FORMAT, VERSION)
    columns: dict[str, Any] = {name: file[name][()] for name in ("seed", *COUNTS, *NUMBERS)}
    attributes: dict[str, Any] = {name: float(file.attrs[name]) for name in _ATTRIBUTES}
    outcome = file.texts("outcome")
    dims, first = file["n_dims"][()], file["first_body"][()]
    sizes = {len(array) for array in (*columns.values(), outcome, dims, first[1:])}
    if len(sizes) != 1 or len(file["mass"]) != first[-1]:
        raise ValueError("columns of different length")
    bodies = [slice(start, stop) for start, stop in pairwise(first)]
    mass, position, velocity = (file[name][()] for name in ("mass", "position", "velocity"))
    if first[0] != 0 or (np.diff(first) < 0).any() or not position.shape == velocity.shape == (len(mass), _DIMS):
        raise ValueError("bodies that do not fit the members")
    if not all(np.isfinite(array).all() for array in (mass, position, velocity)):
        raise ValueError("a number that is not finite")
    return EnsembleResult(
        **columns,
        outcome=outcome,
        mass=tuple(mass[part] for part in bodies),
        position=tuple(position[part, :n_dims] for part, n_dims in zip(bodies, dims, strict=True)),
        velocity=tuple(velocity[part, :n_dims] for part, n_dims in zip(bodies, dims, strict=True)),
        **attributes,
        settings=json.loads(file.attrs["settings"]),
    )


SHOWN = ("steps", "force_evaluations", "energy_error_max", "energy_error_final")
"""Columns whose spread over the members is reported."""

_QUANTILES = {"min": 0.0, "median": 0.5, "p90": 0.9, "max": 1.0}


def quantiles(values: NDArray[Any]) -> dict[str, float | None]:
    """Smallest, median, 90 % and largest of some numbers, or None where there are none."""
    return {name: float(np.quantile(values, part)) if len(values) else None for name, part in _QUANTILES.items()}
