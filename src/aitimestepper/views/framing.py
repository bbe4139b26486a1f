"""How far a picture reaches; NumPy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.recordings.recording import Recording
from aitimestepper.views.interpolation import Motion
from aitimestepper.views.page import MOST_NAMES

_MARGIN = 0.54
"""Half the width of a picture for each unit of width that it holds."""
_BULK = 0.025
"""Part of the positions at either end that a picture may leave out."""
_INNER = 0.12
"""Part of the widest reach within which the bodies of the inner part stay; chosen by eye."""
_FAR_OUT = 2.0
"""How much wider the whole may be than the bulk before the bulk alone is shown; chosen by eye."""


def in_dimensions(positions: Floats, n_dims: int) -> Floats:
    """The first coordinates (..., n_dims) of positions (..., D); those that are missing are 0."""
    kept = positions[..., :n_dims]
    return np.pad(kept, [(0, 0)] * (kept.ndim - 1) + [(0, n_dims - kept.shape[-1])])


def run_box(recording: Recording, n_dims: int) -> tuple[Floats, float]:
    """Centre (n_dims,) and half the width of what a figure of a run shows.

    All positions of all bodies; of many bodies those of the bulk, since a few are always far out.
    """
    if len(recording.mass) > MOST_NAMES:
        motion = Motion(recording)
        return view_box(in_dimensions(motion.at(motion.even_times()), n_dims))
    positions = in_dimensions(recording.position, n_dims)
    low, high = positions.min((0, 1)), positions.max((0, 1))
    return 0.5 * (low + high), _MARGIN * float((high - low).max()) or 1.0


def inner_part(recording: Recording) -> tuple[list[int], tuple[Floats, float]] | None:
    """Bodies whose paths in the plane are a blob in the middle of the picture, and centre and half the width of these.

    None where there are fewer than three such bodies, or none besides, or more bodies than have a name.
    """
    plane = in_dimensions(recording.position, 2)
    if len(recording.mass) > MOST_NAMES or not recording.mass.any():
        return None
    centre = np.average(plane[0], axis=0, weights=recording.mass)
    reach = np.abs(plane - centre).max(axis=(0, 2))
    inner = np.flatnonzero(reach <= _INNER * reach.max()).tolist()
    if not 3 <= len(inner) < len(reach):
        return None
    low, high = plane[:, inner].min((0, 1)), plane[:, inner].max((0, 1))
    return inner, (0.5 * (low + high), _MARGIN * float((high - low).max()))


def common_box(recordings: Sequence[Recording]) -> tuple[Floats, float]:
    """Centre (2,) and half the width of what holds the first run, and of the others what is within twice its size."""
    planes = [in_dimensions(recording.position, 2) for recording in recordings]
    lows, highs = ([f(plane, axis=(0, 1)) for plane in planes] for f in (np.min, np.max))
    grown = 0.5 * (highs[0] - lows[0]).max()
    low = np.maximum(np.min(lows, axis=0), lows[0] - grown)
    high = np.minimum(np.max(highs, axis=0), highs[0] + grown)
    return 0.5 * (low + high), _MARGIN * float((high - low).max()) or 1.0


def within(positions: Floats, centre: Floats, half: float) -> Floats:
    """The positions (..., D) inside of a cube, NaN for those outside: in space nothing is cut off at the axes."""
    inside = (np.abs(positions - centre) <= half).all(axis=-1, keepdims=True)
    return np.where(inside, positions, np.nan)


def view_box(positions: Floats) -> tuple[Floats, float]:
    """Centre (D,) and half the width of a cube that shows bodies (K, N, D) at equal times.

    It holds all of them, unless that makes it more than twice as wide as what holds all but 2.5 % at each end: then a
    body was thrown out, and the bulk is shown.
    """
    everything = positions.reshape(-1, positions.shape[-1])
    low, high = everything.min(axis=0), everything.max(axis=0)
    bulk_low, bulk_high = np.quantile(everything, (_BULK, 1.0 - _BULK), axis=0)
    bulk = (bulk_high - bulk_low).max()
    if bulk > 0 and (high - low).max() > _FAR_OUT * bulk:
        margin = 0.25 * bulk
        low, high = np.maximum(low, bulk_low - margin), np.minimum(high, bulk_high + margin)
    return 0.5 * (low + high), _MARGIN * float((high - low).max()) or 1.0
