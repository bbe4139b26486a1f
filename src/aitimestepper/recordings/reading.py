"""Reading the HDF5 file of a recording."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.constants import ANCHOR, EXCUSED, LONGER, NETWORK, SETBACK
from aitimestepper.errors import InputError
from aitimestepper.hdf5 import DAMAGED, Content, opened
from aitimestepper.recordings.layout import (
    EVENT_DATASETS,
    FORMAT,
    INFO_ATTRIBUTES,
    LATER_TABLES,
    LAYOUT_ATTRIBUTE,
    MERGER_DATASETS,
    STEP_DATASETS,
    TABLES,
    VERSION,
    check_format,
    recorded_extent,
    rows_in,
)
from aitimestepper.recordings.mergers import Mergers
from aitimestepper.recordings.parts import Frames, RunInfo, StepHistory, Summary
from aitimestepper.recordings.step_events import StepEvents
from aitimestepper.recordings.tables import SLOTS
from aitimestepper.systems.units import Units

T = TypeVar("T")

_READ_PAUSES = (0.01, 0.02, 0.04)
"""Seconds before a file that a writer was just changing is read again."""


class Parts(NamedTuple):
    """What a recording is made of."""

    info: RunInfo
    frames: Frames
    summary: Summary
    history: StepHistory
    events: StepEvents
    mergers: Mergers


class StoredRun(NamedTuple):
    """A recording that can go on.

    Attributes:
        info: what was known of the run before its first step.
        frames: the initial state.
        summary: the run in numbers.
        last_time: of the last state of the trajectory itself that is on file.
        state: where the run stands, as `engine.run.state.packed` gave it.
        layout: digest of what its numbers mean; empty in files of before there was one.
        origin: what else was noted when the run began.
        mergers: up to where it stands.
    """

    info: RunInfo
    frames: Frames
    summary: Summary
    last_time: float
    state: Floats
    layout: str
    origin: dict[str, Any]
    mergers: Mergers


def read_run(path: Path | str) -> StoredRun:
    """Read where a run stands that is to go on, and the state that it began with.

    Raises:
        InputError: as for `read_parts`; or the run cannot go on.
    """
    return read_file(Path(path), "recording", _stored_run_in)


def read_parts(path: Path | str) -> Parts:
    """Read a recording; of one whose run goes on, or was killed, the frames that had been committed.

    Raises:
        InputError: the file is missing, damaged, or no recording.
    """
    return read_file(Path(path), "recording", _parts_in)


def read_kept(path: Path | str, most: int | None) -> tuple[Floats, Floats]:
    """Times (K,) and positions (K, N, D) of states of a recording that lie evenly over it, without the initial one.

    Args:
        path: the file.
        most: how many at most, the last one among them; None for all.

    Raises:
        InputError: as for `read_parts`.
    """

    def look(_: Path, file: Content) -> tuple[Floats, Floats]:
        rows = spread(recorded_extent(json.loads(file["summary"][()])).rows["frames"], most)
        return file["time"][rows], file["position"][rows]

    return read_file(Path(path), "recording", look)


def spread(count: int, most: int | None) -> slice:
    """Of so many rows the last one and others evenly before it, but for the first row; `most` as for `read_kept`."""
    step = 1 if most is None else max(1, -(-(count - 1) // most))
    return slice((count - 1) % step or step, count, step)


def read_file(path: Path, what: str, look: Callable[[Path, Content], T]) -> T:
    """What a look into a file gives, which may be growing.

    Args:
        path: the file.
        what: it should be, in words.
        look: takes path and open file.

    Raises:
        InputError: says why there is nothing.
    """
    import h5py

    if not path.is_file():
        raise InputError(f"cannot read the {what} {path}: there is no such file")
    if not h5py.is_hdf5(path):
        raise InputError(f"cannot read the {what} {path}: it is no HDF5 file, or a damaged one")
    try:
        return _read_patiently(path, look)
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError(f"cannot read the {what} {path}: it is damaged or incomplete ({error})") from None


def _read_patiently(path: Path, look: Callable[[Path, Content], T]) -> T:
    """Read, and read again where a writer was just changing the file."""
    for pause in _READ_PAUSES:
        with contextlib.suppress(OSError), opened(path) as file:
            return look(path, file)
        time.sleep(pause)
    with opened(path) as file:
        return look(path, file)


def _stored_run_in(path: Path, file: Content) -> StoredRun:
    info, state = _info_in(path, file)
    extent = recorded_extent(state)
    if extent.slot < 0:
        raise InputError(f"cannot resume {path}: it is a copy of a recording, which does not say how to go on")
    for table, names in TABLES.items():
        count = extent.rows[table]
        if not count and table in LATER_TABLES and names[0] not in file:
            continue
        for name in names:  # which will be copied
            if len(file[name]) < count:
                raise ValueError(f"{name} has fewer rows than the {count} that it counts")
    frames = rows_in(file, 0, 1)
    _check_shapes(info, frames, 1)
    table = file["state"]
    if table.ndim != 2 or len(table) != SLOTS:
        raise ValueError(f"a state of shape {table.shape}")
    return StoredRun(
        info,
        frames,
        Summary.from_dict(state),
        float(file["time"][extent.sure["frames"] - 1]),
        table[extent.slot],
        str(file.attributes_of("state").get(LAYOUT_ATTRIBUTE, "")),
        _checked_origin(json.loads(file.attrs["origin"]), file["sample_times"][()] if "sample_times" in file else None),
        _mergers_in(file, extent.sure["merged"], len(info.mass)),
    )


def _checked_origin(origin: Any, times: Floats | None) -> dict[str, Any]:
    """What a run noted when it began, if it is that."""
    intervals = [origin[key] for key in ("interval", "sample_interval")]
    sound = all(value is None or 0.0 < float(value) < math.inf for value in intervals)
    if (
        not sound
        or not isinstance(origin["model"], str)
        or type(origin["every"]) is not int
        or not 0 <= origin["every"] < 2**63
    ):
        raise ValueError(f"an origin that says {origin}")
    if origin["direction"] not in (1.0, -1.0):
        raise ValueError(f"a direction of time that is {origin['direction']}")
    return {**origin, "times": times}


def _parts_in(path: Path, file: Content) -> Parts:
    info, state = _info_in(path, file)
    extent = recorded_extent(state)
    count = extent.rows["frames"]
    frames = rows_in(file, 0, count)
    _check_shapes(info, frames, count)
    history = StepHistory(*(file[name][: extent.rows["history"]] for name in STEP_DATASETS))
    summary, mergers = Summary.from_dict(state), _mergers_in(file, extent.rows["merged"], len(info.mass))
    return Parts(info, frames, summary, history, _events_in(file, extent.rows["events"]), mergers)


def _mergers_in(file: Content, count: int, n_bodies: int) -> Mergers:
    """Bodies that became one, if any did."""
    if not count:
        return Mergers.none()
    mergers = Mergers(*(file[name][:count] for name in MERGER_DATASETS))
    if any(array.shape != (count,) or not np.isfinite(array).all() for array in mergers):
        raise ValueError(f"mergers that are not {count} rows of numbers")
    if {mergers.survivor.dtype.kind, mergers.other.dtype.kind} != {"i"} or not (mergers.energy_scale > 0.0).all():
        raise ValueError("mergers of bodies without numbers, or without an energy scale")
    there = set(range(n_bodies))
    for survivor, other in zip(*mergers.pairs, strict=True):
        if survivor == other or not {survivor, other} <= there:
            raise ValueError("a merger of bodies that are not there")
        there.remove(other)
    return mergers


def _events_in(file: Content, count: int) -> StepEvents:
    """The events of a calibrated run, if there are any."""
    if not count:
        return StepEvents.none()
    events = StepEvents(*(file[name][:count] for name in EVENT_DATASETS))
    if any(array.shape != (count,) or not np.isfinite(array).all() for array in events):
        raise ValueError(f"events that are not {count} rows of numbers")
    if not set(events.kind) <= {ANCHOR, SETBACK, EXCUSED, NETWORK, LONGER}:
        raise ValueError("an event of no known kind")
    return events


def _info_in(path: Path, file: Content) -> tuple[RunInfo, dict[str, Any]]:
    """What was known before the run, and the text of `summary`."""
    check_format(path, file, "recording", FORMAT, VERSION)
    settings = json.loads(file.attrs["settings"])
    if not isinstance(settings, dict):
        raise ValueError(f"settings that say {settings!r}")
    info = RunInfo(
        mass=file["mass"][()],
        radius=file["radius"][()] if "radius" in file else np.zeros(0),
        names=file.texts("names"),
        settings=settings,
        note=str(file.attrs["note"]),
        units=str(file.attrs["units"]),
        **{name: float(file.attrs[name]) for name in INFO_ATTRIBUTES if name not in ("note", "units")},
    )
    _check_info(info)
    return info, json.loads(file["summary"][()])


def _check_info(info: RunInfo) -> None:
    if not np.isfinite(info.mass).all():
        raise ValueError("a mass that is not finite")
    if info.radius.shape != info.mass.shape or not ((info.radius >= 0.0) & (info.radius < math.inf)).all():
        raise ValueError("radii that are not >= 0, one for each body")
    positive = {"G": info.G, "energy_scale": info.energy_scale}
    Units.from_text(info.units)
    for name, number in (positive | {"softening": info.softening, "period": info.period}).items():
        if not (0.0 <= number < math.inf) or (name in positive and number == 0.0):
            raise ValueError(f"{name} = {number}")
    if info.mass.ndim != 1 or (info.mass < 0.0).any():
        raise ValueError("masses that are not >= 0, one for each body")
    if len(info.names) not in (0, len(info.mass)):
        raise ValueError(f"{len(info.names)} names of {len(info.mass)} bodies")


def _check_shapes(info: RunInfo, frames: Frames, n_frames: int) -> None:
    if not all(np.isfinite(array).all() for array in frames):
        raise ValueError("a number that is not finite")
    n_bodies = len(info.mass)
    if any(len(array) != n_frames for array in frames):
        raise ValueError(f"fewer rows than the {n_frames} that it counts")
    dims = frames.position.shape[-1] if frames.position.ndim == 3 else 0
    vectors, spin = (n_frames, n_bodies, dims), (n_frames, 3)[: 1 + (dims == 3)]
    shapes = [array.shape for array in frames]
    row = (n_frames,)
    if dims not in (1, 2, 3) or shapes != [row, row, vectors, vectors, row, spin, row, row, row]:
        raise ValueError(f"arrays of {shapes} do not fit {n_bodies} masses")
