"""How far a picture reaches; NumPy only."""

from __future__ import annotations

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.recordings.recording import Recording
from aitimestepper.views.interpolation import Motion
from aitimestepper.views.page import MOST_NAMES

_MARGIN = 0.54
"""Half the width of a picture for each unit of width that it holds."""
_BULK = 0.025
_FAR_OUT = 2.0


def in_dimensions(places: Floats, n_dims: int) -> Floats:
    """(..., n_dims): the first coordinates; those that are missing are 0."""
    kept = places[..., :n_dims]
    return np.pad(kept, [(0, 0)] * (kept.ndim - 1) + [(0, n_dims - kept.shape[-1])])


def run_box(recording: Recording, n_dims: int) -> tuple[Floats, float]:
    """Centre (n_dims,) and half the width of what a figure of a run shows.

    All places of all bodies; of many bodies those of the bulk, since a few are always far out.
    """
    if len(recording.mass) > MOST_NAMES:
        motion = Motion(recording)
        return view_box(in_dimensions(motion.at(motion.even_times()), n_dims))
    places = in_dimensions(recording.position, n_dims)
    low, high = places.min((0, 1)), places.max((0, 1))
    return 0.5 * (low + high), _MARGIN * float((high - low).max()) or 1.0


def within(places: Floats, centre: Floats, half: float) -> Floats:
    """The places (..., D) inside of a cube, NaN for those outside: in space nothing is cut off at the axes."""
    inside = (np.abs(places - centre) <= half).all(axis=-1, keepdims=True)
    return np.where(inside, places, np.nan)


def view_box(places: Floats) -> tuple[Floats, float]:
    """Centre (D,) and half the width of a cube that shows bodies (K, N, D) at equal times.

    It holds all of them, unless that makes it more than twice as wide as what holds all but 2.5 % at each end: then a
    body was thrown out, and the bulk is shown.
    """
    everything = places.reshape(-1, places.shape[-1])
    low, high = everything.min(axis=0), everything.max(axis=0)
    bulk_low, bulk_high = np.quantile(everything, (_BULK, 1.0 - _BULK), axis=0)
    bulk = (bulk_high - bulk_low).max()
    if bulk > 0 and (high - low).max() > _FAR_OUT * bulk:
        margin = 0.25 * bulk
        low, high = np.maximum(low, bulk_low - margin), np.minimum(high, bulk_high + margin)
    return 0.5 * (low + high), _MARGIN * float((high - low).max()) or 1.0
