"""What was asked of the members of an ensemble, how many kept it, and which of them cost most."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_MUCH = 0.1
"""Part of all force evaluations above which a member is named."""
_TIMES_ITS_SHARE = 3.0
"""The same over the share of a member: of few members each has more than a tenth."""

_ASKED = (
    ("energy error", "energy_error_max", "energy_error_asked", "energy_verdict"),
    ("local position error", "position_error_max", "position_error_asked", "position_verdict"),
    ("energy error of a step", "step_error_max", "step_error_asked", "step_verdict"),
)


class Members(Protocol):
    """What is needed of an `EnsembleResult`, besides the columns that are asked for by their names."""

    @property
    def seed(self) -> NDArray[np.int64]:
        """(M,): that a member was drawn with."""

    @property
    def force_evaluations(self) -> NDArray[np.int64]:
        """(M,)."""

    def __len__(self) -> int: ...

    @property
    def finished(self) -> NDArray[np.bool_]:
        """(M,): which members reached their end."""


@dataclass(frozen=True)
class Promise:
    """What was asked of all members in one respect, and what came of it.

    Attributes:
        name: of the error.
        asked: what the largest of a member was to stay below.
        kept: members that reached their end and kept it.
        unknown: members that reached their end with an error that could not be measured.
        count: all members.
        worst: the largest error of a member.
        who: that member, by its seed or, if it was not drawn, by its index.
    """

    name: str
    asked: float
    kept: int
    unknown: int
    count: int
    worst: float
    who: str

    @property
    def verdict(self) -> str:
        """Of the whole."""
        if self.kept == self.count:
            return "kept"
        return "unknown" if self.kept + self.unknown == self.count else "exceeded"

    def __str__(self) -> str:
        unknown = f", {self.unknown:,} unknown" if self.unknown else ""
        return (
            f"{self.name}: {self.kept:,} of {self.count:,} kept {self.asked:.3g}{unknown}; worst {self.worst:.1e}, "
            f"{self.who}"
        )


def promises_of(result: Members) -> list[Promise]:
    """What was asked of the members; empty if nothing was."""
    found = []
    for name, achieved, asked, verdicts in _ASKED:
        errors, limits = getattr(result, achieved), getattr(result, asked)
        known = ~(np.isnan(errors) | np.isnan(limits))
        if known.any():
            worst = int(np.argmax(np.where(known, errors, -np.inf)))
            ended = getattr(result, verdicts)[result.finished]
            counts = Counter(ended.tolist())
            found.append(
                Promise(
                    name,
                    float(np.nanmin(limits)),
                    counts["kept"],
                    counts["unknown"],
                    len(result),
                    float(errors[worst]),
                    who(result, worst),
                )
            )
    return found


def largest_share(result: Members) -> str:
    """A sentence on the member that took most of the force evaluations, empty if none took much more than others."""
    total = int(result.force_evaluations.sum())
    if not total:
        return ""
    index = int(np.argmax(result.force_evaluations))
    share = result.force_evaluations[index] / total
    if share <= max(_MUCH, _TIMES_ITS_SHARE / len(result)):
        return ""
    return f"{who(result, index)} took {100 * share:.0f} % of all force evaluations"


def who(result: Members, index: int) -> str:
    """A member by its seed, or by its index if it was not drawn."""
    seed = int(result.seed[index])
    return f"seed {seed}" if seed >= 0 else f"member {index}"
