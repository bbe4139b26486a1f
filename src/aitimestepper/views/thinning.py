"""Fewer points for long runs, without hiding what matters; NumPy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aitimestepper.arrays import Floats


def extremes(x: Floats, y: Floats, n_bins: int) -> NDArray[np.intp]:
    """Indices, in order, of the smallest and the largest y (S,) in each of `n_bins` equal intervals of x (S,).

    A line through these points has the outline of the line through all of them.
    """
    bins = _bins(x, n_bins)
    order = np.lexsort((y, bins))
    starts = np.flatnonzero(np.diff(bins[order], prepend=-1))
    ends = np.append(starts[1:], len(x)) - 1
    return np.unique(np.concatenate([order[starts], order[ends]]))


def outline(x: Floats, y: Floats, n_bins: int) -> NDArray[np.intp]:
    """The same, with the first and the last point of each interval: for lines of level parts, which stay level."""
    ends = np.flatnonzero(np.diff(_bins(x, n_bins)))
    return np.unique(np.concatenate([extremes(x, y, n_bins), ends, ends + 1, [0, len(x) - 1]]))


def maxima(x: Floats, y: Floats, n_bins: int) -> NDArray[np.intp]:
    """Indices, in order, of the largest y (S,) in each of `n_bins` equal intervals of x (S,)."""
    bins = _bins(x, n_bins)
    order = np.lexsort((y, bins))
    ends = np.append(np.flatnonzero(np.diff(bins[order])), len(x) - 1)
    return np.sort(order[ends])


def envelope(x: Floats, low: Floats, high: Floats, n_bins: int) -> tuple[Floats, Floats, Floats]:
    """The smallest of low (S,) and the largest of high (S,) in each of `n_bins` equal intervals of x (S,), in order.

    Returns:
        x at the middle of what is in an interval, the smallest, and the largest, of those that are not empty.
    """
    bins = _bins(x, n_bins)
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    ends = np.append(starts[1:], len(x)) - 1
    return 0.5 * (x[starts] + x[ends]), np.minimum.reduceat(low, starts), np.maximum.reduceat(high, starts)


def along_path(path: Floats, n_points: int) -> tuple[NDArray[np.intp], float]:
    """Thin a path (S, D): indices of at most about `n_points`, dense where it is long and where it turns.

    Also returns the mean angle, in radians, by which it turns from one of these points to the next.
    """
    leg = np.diff(path, axis=0)
    length = np.linalg.norm(leg, axis=1)
    direction = leg / np.where(length > 0, length, 1.0)[:, None]
    bend = np.linalg.norm(np.diff(direction, axis=0, prepend=direction[:1]), axis=1)
    turn = 2.0 * np.arcsin(np.minimum(0.5 * bend, 1.0))
    if len(path) <= n_points:
        return np.arange(len(path)), float(turn.sum() / len(path))
    progress = np.concatenate([[0.0], np.cumsum(_share(length) + _share(turn))])
    wanted = np.linspace(0.0, progress[-1], n_points)
    chosen = np.unique(np.minimum(np.searchsorted(progress, wanted), len(path) - 1))
    return chosen, float(turn.sum() / len(chosen))


def running_median(values: Floats, width: int, n_points: int) -> tuple[NDArray[np.intp], Floats]:
    """At most `n_points` indices of values (S,), and the median of `width` values around each; fewer at the ends."""
    chosen = np.unique(np.linspace(0, len(values) - 1, min(len(values), n_points)).astype(np.intp))
    half = width // 2
    return chosen, np.array([np.nanmedian(values[max(0, i - half) : i + half + 1]) for i in chosen])


def _bins(x: Floats, n_bins: int) -> NDArray[np.intp]:
    span = x[-1] - x[0]
    part = (x - x[0]) / span if span > 0 else np.zeros(len(x))
    return np.minimum((part * n_bins).astype(np.intp), n_bins - 1)


def _share(values: Floats) -> Floats:
    total = values.sum()
    return values / total if total > 0 else values
