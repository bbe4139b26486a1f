"""`Comparison`: what several methods did on several systems at equal cost, in plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from aitimestepper.outputs import finite
from aitimestepper.recordings.shown import Rows, Shown

NEAR_ENOUGH = 0.05
"""A run whose force evaluations are within this part of the budget has met it."""


@dataclass(frozen=True)
class Row:
    """One method on one system at one budget.

    Attributes:
        system: the specification of the bodies.
        method: as the user typed it.
        budget: force evaluations that were to be spent.
        force_evaluations: that were spent, all of them: rejected steps and the inner loops of IAS15 included. None
            where no run came to its end.
        met: whether the two are within `NEAR_ENOUGH`.
        parameter: what was tuned.
        value: what it was tuned to.
        steps: accepted ones.
        rejected_steps: that were undone; None of IAS15, which does not say.
        energy_error_max: largest |E - E_initial| / |E_initial| over every step.
        energy_error_final: the same at the end.
        angular_momentum_error: largest |L - L_initial| over the largest sum m |x| |v|, both over every step.
        position_error: largest distance of a body from its position in the reference run, at the end.
        wall_seconds: of the run alone, compiled.
        trials: runs that the tuning took.
        note: what a reader has to know of this row; empty if nothing.
    """

    system: str
    method: str
    budget: int
    force_evaluations: int | None
    met: bool
    parameter: str
    value: float | None
    steps: int | None
    rejected_steps: int | None
    energy_error_max: float | None
    energy_error_final: float | None
    angular_momentum_error: float | None
    position_error: float | None
    wall_seconds: float | None
    trials: int
    note: str = ""


@dataclass(frozen=True)
class Reference:
    """The run that positions are compared with, and how far it can be trusted.

    Attributes:
        method: what made it.
        force_evaluations: that it took.
        energy_error_max: as in `Row`.
        doubled_step_distance: largest distance of a body at the end from a run with steps twice as long.
        ias15_distance: the same from REBOUND's IAS15 (epsilon 1e-9); None without it.
        note: why there is no IAS15, or what it needed; empty if nothing.
    """

    method: str
    force_evaluations: int
    energy_error_max: float
    doubled_step_distance: float
    ias15_distance: float | None = None
    note: str = ""

    @property
    def uncertainty(self) -> float:
        """Position errors below this mean nothing."""
        return max(self.doubled_step_distance, self.ias15_distance or 0.0)


@dataclass(frozen=True)
class SystemComparison:
    """All methods on one system; `reference` is None where no run of this program's own could make one."""

    system: str
    n_bodies: int
    duration: float
    reference: Reference | None
    rows: tuple[Row, ...]

    def points(self, method: str, quantity: str, smallest: float) -> list[tuple[int, float, bool]]:
        """Force evaluations, error (at least `smallest`) and whether the budget was met, of a method's runs by cost."""
        return sorted(
            (row.force_evaluations, max(getattr(row, quantity), smallest), row.met)
            for row in self.rows
            if row.method == method and row.force_evaluations is not None and getattr(row, quantity) is not None
        )


@dataclass(frozen=True, repr=False)
class Comparison(Shown):
    """All systems of a comparison, in the order in which they were asked for."""

    systems: tuple[SystemComparison, ...]

    @classmethod
    def from_dict(cls, tree: Mapping[str, Any]) -> Self:
        """The comparison of what `as_dict` gave.

        Raises:
            KeyError, TypeError: it is something else.
        """
        return cls(tuple(_system(entry) for entry in tree["systems"]))

    @property
    def rows(self) -> list[Row]:
        """All rows of all systems."""
        return [row for system in self.systems for row in system.rows]

    def _shown(self) -> tuple[str, Rows]:
        runs, systems = (
            f"{count} {what}{'' if count == 1 else 's'}"
            for count, what in ((len(self.rows), "run"), (len(self.systems), "system"))
        )
        return f"Comparison of {runs} on {systems}", [
            (f"{row.system}, {row.method}", _in_short(row)) for row in self.rows
        ]

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON has it; a number that is not finite is None in it."""
        tree = finite(asdict(self))
        for system, entry in zip(self.systems, tree["systems"], strict=True):
            if system.reference is not None:
                entry["reference"]["uncertainty"] = finite(system.reference.uncertainty)
        return dict(tree)


def _in_short(row: Row) -> str:
    """What a run cost and how well it did."""
    if row.force_evaluations is None:
        return f"no run of {row.budget:,} evaluations{': ' * bool(row.note)}{row.note}"
    errors = [
        f"{name} {value:.2g}"
        for name, value in (("energy error", row.energy_error_max), ("position error", row.position_error))
        if value is not None
    ]
    return ", ".join([f"{row.force_evaluations:,} evaluations", *errors])


def _system(entry: Mapping[str, Any]) -> SystemComparison:
    reference = entry["reference"]
    return SystemComparison(
        entry["system"],
        entry["n_bodies"],
        entry["duration"],
        None if reference is None else Reference(**{f.name: reference[f.name] for f in fields(Reference)}),
        tuple(Row(**row) for row in entry["rows"]),
    )
