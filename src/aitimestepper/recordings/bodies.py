"""The bodies of a run, by name or number."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from aitimestepper.arrays import Floats
from aitimestepper.errors import InputError
from aitimestepper.names import nearest


@dataclass(frozen=True, eq=False, repr=False)
class Body:
    """One body of a run.

    Attributes:
        name: empty if it has none.
        index: its place among all.
        mass: a number.
        position, velocity: (S, D).
    """

    name: str
    index: int
    mass: float
    position: Floats
    velocity: Floats

    def __repr__(self) -> str:
        name = f" {self.name!r}" if self.name else ""
        return f"<Body {self.index}{name}: mass {self.mass:.9g}, {len(self.position)} states>"


class Bodies(Sequence[Body]):
    """All bodies of a run: `run.bodies["Earth"]`, `run.bodies[2]`, `len(run.bodies)`."""

    def __init__(self, names: Sequence[str], mass: Floats, position: Floats, velocity: Floats) -> None:
        self._names, self._mass, self._position, self._velocity = names, mass, position, velocity

    def __len__(self) -> int:
        return len(self._mass)

    def __iter__(self) -> Iterator[Body]:
        return (self[k] for k in range(len(self)))

    def __getitem__(self, which: int | str) -> Body:  # type: ignore[override]
        """One body.

        Raises:
            InputError: none has that name.
            IndexError: there are fewer.
        """
        k = range(len(self))[self.index(which) if isinstance(which, str) else which]
        name = self._names[k] if self._names else ""
        return Body(name, k, float(self._mass[k]), self._position[:, k], self._velocity[:, k])

    def index(self, which: int | str) -> int:  # type: ignore[override]
        """The number of a body that is given by its name, or by that number.

        Raises:
            InputError: there is none.
        """
        if isinstance(which, str):
            if which not in self._names:
                known = f" (there are {', '.join(self._names)})" if self._names else ": the bodies have no names"
                raise InputError(f"no body is called {which!r}{nearest(which, self._names)}{known}")
            return self._names.index(which)
        if not -len(self) <= which < len(self):
            raise InputError(f"there is no body {which}: the run has {len(self)}")
        return which % len(self)

    def __repr__(self) -> str:
        shown = [self._names[k] if self._names else str(k) for k in range(min(len(self), 10))]
        return f"<{len(self)} bodies: {', '.join(shown)}{', ...' * (len(self) > 10)}>"
