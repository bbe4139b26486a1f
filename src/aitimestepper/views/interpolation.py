"""Positions between recorded states, from positions and velocities; NumPy only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aitimestepper.arrays import Floats
from aitimestepper.recordings.recording import Recording

_LARGEST_BULGE = 0.5
"""A cubic that leaves the chord by more than this part of its length goes through a passage that was not recorded.
Chosen by eye; on a circular orbit it is met by a turn of 4 radians from one state to the next."""

_SAMPLES = 2_000_000
"""Of all bodies together, to find where they are most of the time."""

_LEGS_TO_A_TURN = 0.1
"""Radians by which a drawn path may turn from one point to the next, where the recording allows it."""


class Motion:
    """The motion of the bodies of a recording: cubic Hermite interpolation between its states.

    A cubic has the right position and velocity at both of its ends. Where two consecutive states are too far apart for
    one, because a close passage lies between them, bodies go along the chord instead: see `cut`.
    """

    def __init__(self, recording: Recording) -> None:
        # In the order of time, also where the run went back.
        order = slice(None, None, -1 if recording.time[-1] < recording.time[0] else 1)
        # A state that is there twice has no interval behind it.
        kept = np.flatnonzero(np.diff(recording.time[order], prepend=-np.inf) > 0)
        self.time: Floats = recording.time[order][kept]
        self.position: Floats = recording.position[order][kept]
        self.velocity: Floats = recording.velocity[order][kept]

    @property
    def cut(self) -> NDArray[np.bool_]:
        """(intervals, N): where a body turns so far between two states that nothing is known of its path there."""
        return _too_far(
            np.diff(self.time), self.position[:-1], self.position[1:], self.velocity[:-1], self.velocity[1:]
        )

    def straight(self) -> tuple[int, int]:
        """Of how many arcs of all bodies nothing is known, so that they are drawn straight, and how many there are."""
        if len(self.time) < 2:
            return 0, 0
        cut = self.cut
        return int(cut.sum()), cut.size

    def at(self, times: Floats) -> Floats:
        """(K, N, D): positions at some times, those of the ends for times beyond them."""
        if len(self.time) == 1:
            return np.repeat(self.position, len(times), axis=0)
        left = np.clip(np.searchsorted(self.time, times, side="right") - 1, 0, len(self.time) - 2)
        span = self.time[left + 1] - self.time[left]
        s = np.clip((times - self.time[left]) / span, 0.0, 1.0)[:, None, None]
        x0, x1 = self.position[left], self.position[left + 1]
        v0, v1 = self.velocity[left], self.velocity[left + 1]
        chord = x0 + s * (x1 - x0)
        h = span[:, None, None]
        # The cubic as what it adds to the chord.
        bulge = s * (1 - s) * ((1 - s) * (h * v0 - (x1 - x0)) - s * (h * v1 - (x1 - x0)))
        return np.where(_too_far(span, x0, x1, v0, v1)[..., None], chord, chord + bulge)

    def even_times(self) -> Floats:
        """Times at equal intervals, both ends included: fewer for very many bodies."""
        count = int(np.clip(_SAMPLES // self.position.shape[1], 20, 400))
        return np.linspace(self.time[0], self.time[-1], count)

    def times_between(self, start: float, stop: float, most: int) -> Floats:
        """About `most` times from `start` to `stop`: half of them equally spaced, the others those of states."""
        start = max(start, self.time[0])
        inside = self.time[np.searchsorted(self.time, start) : np.searchsorted(self.time, stop)]
        stride = -(-len(inside) // max(1, most // 2)) or 1
        return np.union1d(np.linspace(start, stop, max(2, most // 2)), inside[::stride])

    def smooth_times(self, most: int) -> Floats:
        """All times of states and, as far as `most` allows, others between them where paths turn."""
        free = most - len(self.time)
        if free <= 0 or len(self.time) < 2:
            return self.time
        wanted = np.ceil(_turns(self.velocity) / _LEGS_TO_A_TURN).astype(int) - 1
        wanted = np.maximum(wanted, 0)
        if wanted.sum() > free:
            wanted = (wanted * (free / wanted.sum())).astype(int)
        between = [
            np.linspace(start, stop, count + 2)[1:-1]
            for start, stop, count in zip(self.time[:-1], self.time[1:], wanted, strict=True)
        ]
        return np.sort(np.concatenate([self.time, *between]))


def _too_far(span: Floats, x0: Floats, x1: Floats, v0: Floats, v1: Floats) -> NDArray[np.bool_]:
    bulge = span[:, None] / 8.0 * np.linalg.norm(v1 - v0, axis=-1)
    return bulge > _LARGEST_BULGE * np.linalg.norm(x1 - x0, axis=-1)


def _turns(velocity: Floats) -> Floats:
    """The largest angle by which the velocity of a body turns in each interval, in radians."""
    speed = np.linalg.norm(velocity, axis=-1, keepdims=True)
    direction = velocity / np.where(speed > 0, speed, 1.0)
    apart = np.linalg.norm(np.diff(direction, axis=0), axis=-1).max(axis=1)
    return 2.0 * np.arcsin(np.minimum(0.5 * apart, 1.0))
