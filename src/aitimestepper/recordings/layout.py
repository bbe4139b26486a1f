"""The layout of a recording's HDF5 file. It is described in docs/file-format.md."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from aitimestepper._version import __version__
from aitimestepper.errors import InputError
from aitimestepper.recordings.parts import Frames, RunInfo, StepHistory, Summary

FORMAT = "aitimestepper-recording"
VERSION = 3
STEP_DATASETS = tuple(f"steps/{name}" for name in StepHistory._fields)

_SUMMARY_BYTES = 2048
_LONGEST_OUTCOME = 1000
SLOTS = 2
"""Where the run stands is written into these in turn."""

LAYOUT_ATTRIBUTE = "layout"
"""Of `state`: a digest of what its numbers mean."""

INFO_ATTRIBUTES = ("period", "G", "softening", "energy_scale", "note")


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


def hdf5_file(target: Any, mode: str) -> Any:
    """An HDF5 file in a file object; in a new one, `summary` comes to lie within one page of memory."""
    import h5py

    return h5py.File(target, mode, alignment_threshold=_SUMMARY_BYTES, alignment_interval=_SUMMARY_BYTES)


def create_layout(
    file: Any, like: Frames, *, chunk_rows: int, step_rows: int, state_size: int, state_layout: str
) -> None:
    """Datasets of an empty recording, for frames like `like`."""
    for name, array in like._asdict().items():
        _create_table(file, name, array.shape[1:], chunk_rows)
    for name in STEP_DATASETS:
        _create_table(file, name, (), step_rows)
    file.create_dataset("state", (SLOTS, state_size), np.float64).attrs[LAYOUT_ATTRIBUTE] = state_layout
    file.create_dataset("summary", (), f"S{_SUMMARY_BYTES}", data=b"{}")


def _create_table(file: Any, name: str, rest: tuple[int, ...], chunk_rows: int) -> None:
    file.create_dataset(name, (0, *rest), np.float64, chunks=(chunk_rows, *rest), maxshape=(None, *rest))


def write_attributes(file: Any, info: RunInfo, origin: dict[str, Any]) -> None:
    """What is known of a run before it starts, into an empty file."""
    file.attrs.update({"format": FORMAT, "version": VERSION, "created_by": f"aitimestepper {__version__}"})
    file.attrs.update({name: getattr(info, name) for name in INFO_ATTRIBUTES})
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
    """The extent in the text of `summary`.

    Raises:
        ValueError: it is none.
    """
    extent = Extent(**{name: state[name] for name in Extent._fields})
    counts = type(extent.frames) is type(extent.history) is type(extent.slot) is int
    if (
        not counts
        or extent.frames < 1 + extent.final
        or extent.history < 0
        or not -1 <= extent.slot < SLOTS
        or type(extent.final) is not bool
    ):
        raise ValueError(f"an extent that says {tuple(extent)}")
    return extent


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


def rows_in(file: Any, start: int, stop: int) -> Frames:
    """Some frames."""
    return Frames(*(file[name][start:stop] for name in Frames._fields))
