"""The layout of a recording's HDF5 file. It is described in docs/file-format.md."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from aitimestepper._version import __version__
from aitimestepper.errors import InputError
from aitimestepper.recordings.mergers import Mergers
from aitimestepper.recordings.parts import Frames, RunInfo, StepHistory, Summary
from aitimestepper.recordings.step_events import StepEvents
from aitimestepper.recordings.tables import SLOTS, Extent, extent_in

FORMAT = "aitimestepper-recording"
VERSION = 5
STEP_DATASETS = tuple(f"steps/{name}" for name in StepHistory._fields)
EVENT_DATASETS = tuple(f"events/{name}" for name in StepEvents._fields)
MERGER_DATASETS = tuple(f"mergers/{name}" for name in Mergers._fields)
TABLES = {
    "frames": Frames._fields,
    "history": STEP_DATASETS,
    "events": EVENT_DATASETS,
    "merged": MERGER_DATASETS,
}
"""What grows: a row for each frame, each step, each event of a calibrated run, and each merger."""

LATER_TABLES = {"events": StepEvents.none(), "merged": Mergers.none()}
"""Tables that older files of this version do not have."""

_LONGEST_OUTCOME, _MOST_BYTES = 1000, 1700
"""Characters of an outcome, and bytes of all that is said of a run: the summary has room for 2,048, the extent among
them."""

LAYOUT_ATTRIBUTE = "layout"
"""Of `state`: a digest of what its numbers mean."""

INFO_ATTRIBUTES = ("period", "G", "softening", "energy_scale", "note", "units")


def write_rest(file: Any, info: RunInfo, origin: dict[str, Any], *, state_size: int, state_layout: str) -> None:
    """What is known of a run before it starts, and room for where it stands."""
    file.attrs.update({"format": FORMAT, "version": VERSION, "created_by": f"aitimestepper {__version__}"})
    file.attrs.update({name: getattr(info, name) for name in INFO_ATTRIBUTES})
    file.attrs["settings"] = json.dumps(dict(info.settings))
    file.attrs["origin"] = json.dumps({key: value for key, value in origin.items() if key != "times"})
    if origin.get("times") is not None:  # an attribute has no room for many
        file["sample_times"] = origin["times"]
    file["mass"] = info.mass
    if np.any(info.radius):
        file["radius"] = info.radius
    if info.names:
        file["names"] = list(info.names)
    file.create_dataset("state", (SLOTS, state_size), np.float64).attrs[LAYOUT_ATTRIBUTE] = state_layout


def values_of(summary: Summary) -> dict[str, Any]:
    """What the file says of the run up to its last row; an outcome that is too long is cut."""
    values, outcome = summary.as_dict(), summary.outcome[:_LONGEST_OUTCOME]
    while len(json.dumps(values | {"outcome": outcome})) > _MOST_BYTES and outcome:
        outcome = outcome[: 3 * len(outcome) // 4]
    return values | {"outcome": outcome}


def recorded_extent(state: dict[str, Any]) -> Extent:
    """The extent in the text of `summary`; the initial state is always there.

    Raises:
        LookupError, TypeError, ValueError: it is none.
    """
    extent = extent_in(state, TABLES, LATER_TABLES)
    if extent.sure["frames"] < 1:
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
