"""The HDF5 file of an ensemble, which grows while it goes on. The layout is described in docs/file-format.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from aitimestepper._version import __version__
from aitimestepper.arrays import Floats
from aitimestepper.ensembles.members import COUNTS, NUMBERS, PROMISES, MemberResult
from aitimestepper.errors import InputError
from aitimestepper.hdf5 import Content
from aitimestepper.names import ENSEMBLE_FORMAT
from aitimestepper.outputs import Reservation
from aitimestepper.recordings.growing import GrowingFile
from aitimestepper.recordings.layout import check_format
from aitimestepper.recordings.parts import FINISHED, UNFINISHED, Summary
from aitimestepper.recordings.reading import read_file
from aitimestepper.recordings.tables import Rows, extent_in

VERSION = 4

INTERRUPTED = "interrupted"
"""How the outcome of a member that was stopped half-way begins, and that of an ensemble which Ctrl-C ended."""

_LENGTHS = ("n_dims", "n_bodies", "n_characters")
_BODIES = ("mass", "position", "velocity")
TABLES = {
    "members": ("index", "seed", *COUNTS, *NUMBERS, *PROMISES, *_LENGTHS),
    "bodies": _BODIES,
    "text": ("outcome",),
}
"""What grows: a row for each member that has ended, for each of its bodies, and for each byte of its outcome."""

_CHUNK_BYTES = 2**12
_DIMS = 3


@dataclass(frozen=True)
class EnsembleInfo:
    """What is known of an ensemble before it starts.

    Attributes:
        count: number of members.
        G: gravitational constant.
        softening: Plummer length.
        settings: the configuration that was asked for, as JSON has it.
        origin: what it must find again to go on; empty if it cannot.
    """

    count: int
    G: float
    softening: float
    settings: Mapping[str, Any]
    origin: Mapping[str, str]


@dataclass(frozen=True)
class StoredEnsemble:
    """What is in a file.

    Attributes:
        info: of the ensemble.
        members: those whose result is there, in any order.
        sure: how many of them stay when the ensemble goes on, the first ones: the others were stopped half-way.
        wall_seconds: real time up to there.
        outcome: 'finished', or why not.
    """

    info: EnsembleInfo
    members: Sequence[MemberResult]
    sure: int
    wall_seconds: float
    outcome: str


class EnsembleWriter:
    """The file of an ensemble that is being written."""

    def __init__(self, output: Reservation, info: EnsembleInfo) -> None:
        """Begin a file, which is closed with this.

        Raises:
            OutputError: the disk is full.
        """
        self._begin(output, info)
        self._file.create(output.write, rows_of([]), self._values(0.0, UNFINISHED))

    def _begin(self, output: Reservation, info: EnsembleInfo) -> None:
        self._output, self._info = output, info
        self._file = GrowingFile(TABLES, partial(_write_rest, info=info), chunk_bytes=_CHUNK_BYTES)

    @classmethod
    def reopened(cls, output: Reservation, info: EnsembleInfo, wall_seconds: float) -> Self:
        """Go on with a file; what it has of members that were stopped half-way goes.

        Raises:
            OutputError: it cannot be written.
        """
        writer = cls.__new__(cls)
        writer._begin(output, info)
        writer._file.reopen(output)
        writer.append([], wall_seconds)
        return writer

    def append(self, members: Sequence[MemberResult], wall_seconds: float) -> None:
        """Write members that have ended; they are then on file.

        Raises:
            OutputError: the disk is full; all earlier ones are kept.
        """
        self._file.append(rows_of(members), self._values(wall_seconds, UNFINISHED))

    def interrupt(self, stopped: Sequence[MemberResult], wall_seconds: float) -> None:
        """Write members that were stopped half-way: as far as they came, until the ensemble goes on."""
        rows = rows_of(stopped)
        tail = {table: len(arrays[0]) for table, arrays in rows.items()}
        self._file.append(rows, self._values(wall_seconds, INTERRUPTED), tail=tail)

    def finish(self, members: Sequence[MemberResult], wall_seconds: float) -> None:
        """Replace the file by one with all members, in the order given."""
        self._file.create(self._output.write, rows_of(members), self._values(wall_seconds, FINISHED))

    def discard(self) -> None:
        """Remove the file."""
        self._output.path.unlink()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _values(self, wall_seconds: float, outcome: str) -> dict[str, Any]:
        return {"count": self._info.count, "wall_seconds": wall_seconds, "outcome": outcome}


def rows_of(members: Sequence[MemberResult]) -> Rows:
    """Members as rows of the tables."""
    summaries = [member.summary for member in members]
    texts = [member.outcome.encode() for member in members]
    numbers = [
        np.array([empty if s is None else getattr(s, name) for s in summaries], dtype=dtype)
        for names, empty, dtype in ((COUNTS, 0, np.int64), ((*NUMBERS, *PROMISES), np.nan, np.float64))
        for name in names
    ]
    lengths = [[m.position.shape[1] for m in members], [len(m.mass) for m in members], [len(text) for text in texts]]
    vectors = [_in_space([getattr(member, name) for member in members], sum(lengths[1])) for name in _BODIES[1:]]
    return {
        "members": [
            *(np.array([getattr(m, name) for m in members], dtype=np.int64) for name in ("index", "seed")),
            *numbers,
            *(np.array(length, dtype=np.int64) for length in lengths),
        ],
        "bodies": [np.concatenate([np.empty(0), *(member.mass for member in members)]), *vectors],
        "text": [np.frombuffer(b"".join(texts), np.uint8)],
    }


def _in_space(vectors: Sequence[Floats], n_bodies: int) -> Floats:
    """Vectors (N, D) of all members, one behind the other as (B, 3), with zeros for missing dimensions."""
    rows, start = np.zeros((n_bodies, _DIMS)), 0
    for some in vectors:
        rows[start : start + len(some), : some.shape[1]] = some
        start += len(some)
    return rows


def _write_rest(file: Any, info: EnsembleInfo) -> None:
    file.attrs.update({"format": ENSEMBLE_FORMAT, "version": VERSION, "created_by": f"aitimestepper {__version__}"})
    file.attrs.update({"G": info.G, "softening": info.softening})
    file.attrs["settings"] = json.dumps(dict(info.settings))
    file.attrs["origin"] = json.dumps(dict(info.origin))


def read_ensemble(path: Path | str) -> StoredEnsemble:
    """Read an ensemble, also one that still goes on or was killed.

    Raises:
        InputError: the file is missing, damaged, or not that of an ensemble.
    """
    return read_file(Path(path), "ensemble", _stored_in)


def _stored_in(path: Path, file: Content) -> StoredEnsemble:
    check_format(path, file, "ensemble", ENSEMBLE_FORMAT, VERSION)
    state = json.loads(file["summary"][()])
    extent = extent_in(state, TABLES)
    columns = {name: file[name][: extent.rows[table]] for table, names in TABLES.items() for name in names}
    if any(len(columns[name]) != extent.rows[table] for table, names in TABLES.items() for name in names):
        raise ValueError("columns of different length")
    count, settings, origin = state["count"], json.loads(file.attrs["settings"]), json.loads(file.attrs["origin"])
    if type(count) is not int or not isinstance(settings, dict) or not isinstance(origin, dict):
        raise ValueError("a count, settings or origin that are none")
    info = EnsembleInfo(count, float(file.attrs["G"]), float(file.attrs["softening"]), settings, origin)
    members = _members_in(columns, count)
    return StoredEnsemble(info, members, extent.sure["members"], float(state["wall_seconds"]), str(state["outcome"]))


def _members_in(columns: Mapping[str, NDArray[Any]], count: int) -> list[MemberResult]:
    index, dims = columns["index"], columns["n_dims"]
    ends = {name: np.cumsum([0, *columns[name]]) for name in ("n_bodies", "n_characters")}
    wanted = (len(columns["mass"]), len(columns["outcome"]))
    if not all(np.isfinite(columns[name]).all() for name in _BODIES):
        raise ValueError("a number that is not finite")
    if (ends["n_bodies"][-1], ends["n_characters"][-1]) != wanted or any((np.diff(e) < 0).any() for e in ends.values()):
        raise ValueError("members that do not fit their bodies or outcomes")
    allowed = (index >= 0) & (index < count) & (dims > 0) & (dims <= _DIMS)
    if not allowed.all() or len(set(index.tolist())) < len(index):
        raise ValueError("members that are not those of this ensemble")
    members = []
    for row in range(len(index)):
        bodies = slice(ends["n_bodies"][row], ends["n_bodies"][row + 1])
        text = slice(ends["n_characters"][row], ends["n_characters"][row + 1])
        outcome = columns["outcome"][text].tobytes().decode()
        mass, position, velocity = (columns[name][bodies] for name in _BODIES)
        seen = position[:, : dims[row]], velocity[:, : dims[row]]
        summary = summary_in(columns, row, outcome)
        members.append(MemberResult(int(index[row]), int(columns["seed"][row]), outcome, summary, mass, *seen))
    return members


def summary_in(columns: Mapping[str, NDArray[Any]], row: int, outcome: str) -> Summary | None:
    """The numbers of a member in a row of the columns; None if it never began."""
    if np.isnan(columns["time"][row]):
        return None
    values = {name: columns[name][row] for name in (*COUNTS, *NUMBERS)}
    promises = {name: columns[name][row] for name in PROMISES if not np.isnan(columns[name][row])}
    return Summary.from_dict(values | promises | {"wall_seconds": 0.0, "outcome": outcome})


def check_resumable(path: Path | str, stored: StoredEnsemble) -> None:
    """Refuse the file of a result that was saved by hand.

    Raises:
        InputError: says so.
    """
    if not stored.info.origin:
        raise InputError(f"cannot resume {path}: it is a copy of an ensemble, which does not say how to go on")
