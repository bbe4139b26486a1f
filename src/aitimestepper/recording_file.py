"""The layout of a recording's HDF5 file, and reading it. The layout is described in docs/file-format.md."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from aitimestepper._version import __version__
from aitimestepper.errors import InputError
from aitimestepper.recording import Floats, Frames, Recording, RunInfo, StepHistory, Summary

FORMAT = "aitimestepper-recording"
VERSION = 3
STEP_DATASETS = tuple(f"steps/{name}" for name in StepHistory._fields)

_SUMMARY_BYTES = 2048
_LONGEST_OUTCOME = 1000
_READ_PAUSES = (0.01, 0.02, 0.04)
_INFO_ATTRIBUTES = ("period", "G", "softening", "energy_scale", "note")


class Extent(NamedTuple):
    """Which part of a file is valid.

    Attributes:
        frames: rows of the frames.
        history: rows of the step history.
        slot: where the state of the run stands; -1 for nowhere.
        final: whether the last frame lies behind a step that was shortened to end in time.
    """

    frames: int
    history: int
    slot: int = -1
    final: bool = False


class StoredRun(NamedTuple):
    """A recording that can go on.

    Attributes:
        recording: what is on file.
        state: where the run stands, as `engine.plans.packed` gave it.
        final: whether the last frame is no state of the trajectory itself.
        origin: what else was noted when the run began.
    """

    recording: Recording
    state: Floats
    final: bool
    origin: dict[str, Any]


def hdf5_file(target: Any, mode: str) -> Any:
    """An HDF5 file in a file object; in a new one, `summary` comes to lie within one page of memory."""
    import h5py

    return h5py.File(target, mode, alignment_threshold=_SUMMARY_BYTES, alignment_interval=_SUMMARY_BYTES)


def create_layout(file: Any, like: Frames, *, chunk_rows: int, step_rows: int, state_size: int) -> None:
    """Datasets of an empty recording, for frames like `like`."""
    for name, array in like._asdict().items():
        _create_table(file, name, array.shape[1:], chunk_rows)
    for name in STEP_DATASETS:
        _create_table(file, name, (), step_rows)
    file.create_dataset("state", (2, state_size), np.float64)
    file.create_dataset("summary", (), f"S{_SUMMARY_BYTES}", data=b"{}")


def _create_table(file: Any, name: str, rest: tuple[int, ...], chunk_rows: int) -> None:
    file.create_dataset(name, (0, *rest), np.float64, chunks=(chunk_rows, *rest), maxshape=(None, *rest))


def write_attributes(file: Any, info: RunInfo, origin: dict[str, Any]) -> None:
    """What is known of a run before it starts, into an empty file."""
    file.attrs.update({"format": FORMAT, "version": VERSION, "created_by": f"aitimestepper {__version__}"})
    file.attrs.update({name: getattr(info, name) for name in _INFO_ATTRIBUTES})
    file.attrs["settings"] = json.dumps(dict(info.settings))
    file.attrs["origin"] = json.dumps(origin)
    file["mass"] = info.mass
    if info.names:
        file["names"] = list(info.names)


def append_rows(file: Any, names: Iterable[str], start: int, arrays: Iterable[Any]) -> None:
    """Write rows from row `start` on; they do not count before `commit`."""
    for name, array in zip(names, arrays, strict=True):
        dataset = file[name]
        dataset.resize(start + len(array), axis=0)
        dataset[start:] = array
    file.flush()


def commit(file: Any, extent: Extent, summary: Summary) -> None:
    """Declare rows and state valid, with the summary up to them."""
    values = summary.as_dict() | {"outcome": summary.outcome[:_LONGEST_OUTCOME]}
    text = json.dumps({**extent._asdict(), **values}, allow_nan=False)
    file["summary"][()] = text.encode()
    file.flush()


def extent_in(state: dict[str, Any]) -> Extent:
    """The extent in the text of `summary`."""
    return Extent(**{name: state[name] for name in Extent._fields})


def read_run(path: Path | str) -> StoredRun:
    """Read a recording of a run that is to go on.

    Raises:
        InputError: as for `read_recording`; or the run cannot go on.
    """
    import h5py

    recording = read_recording(path)
    with h5py.File(path, "r", locking=False) as file:
        extent = extent_in(json.loads(file["summary"][()]))
        if extent.slot < 0:
            raise InputError(f"cannot resume {path}: it is a copy of a recording, which does not say how to go on")
        return StoredRun(recording, file["state"][extent.slot], extent.final, json.loads(file.attrs["origin"]))


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


def check_format(path: Path, file: Any, what: str, name: str, version: int) -> None:
    """Refuse an HDF5 file that is not what it is taken for.

    Args:
        path: for the message.
        file: open.
        what: what it should be, in words.
        name, version: its format.

    Raises:
        InputError: it is something else, or of another version.
    """
    if file.attrs.get("format") != name:
        raise InputError(f"cannot read the {what} {path}: it is an HDF5 file, but no {what} of this package")
    found = file.attrs["version"]
    if found != version:
        raise InputError(f"cannot read the {what} {path}: its format version is {found}, this package reads {version}")


def _recording_in(path: Path, file: Any) -> Recording:
    check_format(path, file, "recording", FORMAT, VERSION)
    state = json.loads(file["summary"][()])
    names = file["names"].asstr()[()] if "names" in file else ()
    info = RunInfo(
        mass=file["mass"][()],
        names=tuple(str(name) for name in names),
        settings=json.loads(file.attrs["settings"]),
        **{name: file.attrs[name] for name in _INFO_ATTRIBUTES},
    )
    extent = extent_in(state)
    frames = rows_in(file, 0, extent.frames)
    _check_shapes(info, frames, extent.frames)
    history = StepHistory(*(file[name][: extent.history] for name in STEP_DATASETS))
    return Recording.of(info, frames, Summary.from_dict(state), history)


def _check_shapes(info: RunInfo, frames: Frames, n_frames: int) -> None:
    n_bodies = len(info.mass)
    if any(len(array) != n_frames for array in frames):
        raise ValueError(f"fewer rows than the {n_frames} that it counts")
    if frames.position.shape != frames.velocity.shape or frames.position.shape[1] != n_bodies:
        raise ValueError(f"positions {frames.position.shape} do not fit {n_bodies} masses")


def rows_in(file: Any, start: int, stop: int) -> Frames:
    """Some frames."""
    return Frames(*(file[name][start:stop] for name in Frames._fields))
