"""Bodies that became one during a run, as a recording has them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aitimestepper.arrays import Floats
from aitimestepper.systems.mergers import masses_after


class Mergers(NamedTuple):
    """Mergers of one run: K of them in their order, none unless they were asked for.

    Attributes:
        time: (K,), of contact.
        survivor, other: (K,), numbers of the heavier body, which goes on, and of the one that has gone into it.
        survivor_mass, other_mass: (K,), before.
        radius: (K,), of the one that they became.
        speed: (K,), of one relative to the other at contact.
        energy_before, energy_after: (K,), total energy.
        energy_scale: (K,), what energy errors are relative to from there on.
    """

    time: Floats
    survivor: NDArray[Any]
    other: NDArray[Any]
    survivor_mass: Floats
    other_mass: Floats
    radius: Floats
    speed: Floats
    energy_before: Floats
    energy_after: Floats
    energy_scale: Floats

    def turned(self, direction: float) -> Mergers:
        """The mergers as they are seen, as for `Frames`."""
        return self if direction > 0 else self._replace(time=0.0 - self.time)

    @property
    def pairs(self) -> tuple[list[int], list[int]]:
        """Bodies that went on, and those that went into them."""
        return self.survivor.tolist(), self.other.tolist()

    def part(self, which: slice | NDArray[np.bool_]) -> Mergers:
        """Some of them."""
        return Mergers(*(array[which] for array in self))

    def done_at(self, time: Floats) -> NDArray[np.int64]:
        """How many there had been at each of the times (S,) of a run's states, the first of which is its start."""
        return np.searchsorted(np.abs(self.time - time[0]), np.abs(time - time[0]), side="right")

    def done_before(self, time: Floats, start: float) -> NDArray[np.int64]:
        """How many there had been before each of the times (M,) of steps of a run that began at `start`.

        A step may end in a merger, and its energy is the one before it.
        """
        return np.searchsorted(np.abs(self.time - start), np.abs(time - start), side="left")

    def masses(self, mass: Floats, time: Floats) -> Floats:
        """Masses (S, N) at these times, 0 of a body that has gone into another one."""
        pairs = list(zip(*self.pairs, strict=True))
        after = [masses_after(mass, *zip(*pairs[:k], strict=True)) if k else mass for k in range(len(pairs) + 1)]
        return np.array(after)[self.done_at(time)]

    def gone(self, n_bodies: int, time: Floats) -> NDArray[np.bool_]:
        """(S, N): whether a body has gone into another one by these times."""
        into = [-1] * n_bodies
        for k, other in enumerate(self.other.tolist()):
            into[other] = k
        number = np.array(into)
        return (number >= 0) & (number < self.done_at(time)[:, None])

    @classmethod
    def of(cls, **row: Any) -> Mergers:
        """One merger."""
        return cls(*(np.array([row[name]], _kind(name)) for name in cls._fields))

    @classmethod
    def joined(cls, blocks: Sequence[Mergers]) -> Mergers:
        """All mergers of consecutive blocks."""
        return cls(*(np.concatenate(arrays) for arrays in zip(*blocks, strict=True)))

    @classmethod
    def none(cls) -> Mergers:
        """No mergers."""
        return cls(*(np.empty(0, _kind(name)) for name in cls._fields))


def _kind(name: str) -> np.dtype[Any]:
    """Of the numbers of an attribute."""
    return np.dtype(np.int64 if name in ("survivor", "other") else np.float64)
