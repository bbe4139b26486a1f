"""The bodies of a run, where some may have gone into others, and what a recording calls them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aitimestepper.arrays import Floats
from aitimestepper.recordings.mergers import Mergers
from aitimestepper.systems.mergers import holders, masses_after, radii_after


class Remaining(NamedTuple):
    """The bodies of a run.

    Attributes:
        kept: (N',), which of the N bodies of the recording they are.
        places: (N,), which of the run's bodies each of the recording's is by now.
        mass: (N',).
        radii: (N',).
    """

    kept: NDArray[np.int64]
    places: NDArray[np.int64]
    mass: Floats
    radii: Floats

    @classmethod
    def after(cls, mass: Floats, radius: Floats, mergers: Mergers) -> Remaining:
        """What mergers leave of bodies with masses and radii (N,)."""
        into = holders(len(mass), *mergers.pairs)
        kept = np.flatnonzero(into == np.arange(len(mass)))
        masses, radii = masses_after(mass, *mergers.pairs), radii_after(radius, *mergers.pairs)
        return cls(kept, np.searchsorted(kept, into), masses[kept], radii[kept])

    def labels(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """What the run's bodies are called: by their numbers in the recording where they have no names."""
        return tuple(names[body] if names else f"{body} (counting from 0)" for body in self.kept.tolist())
