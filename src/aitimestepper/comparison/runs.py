"""What a comparison runs: one system, and for each method runs with any value of the method's parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from aitimestepper.arrays import Floats
from aitimestepper.comparison.methods import ComparedMethod
from aitimestepper.config.schema import Config
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.weights.file import ModelFile, read_model

LEAST_FRACTION = 1e-6
"""A run that was cut off before this part of its time counts as if it had come so far: one that stood still would have
an infinite cost. The tuning only has to see that it is far too high."""


class Case(NamedTuple):
    """One system of a comparison: all that its methods have in common.

    Attributes:
        name: the specification of the bodies.
        config: the keys that every run has; none about steps, integrators or lengths.
        system: the bodies.
        duration: of every run.
        show: called several times a second while a run goes on; may raise to end everything.
        read_model: the weights of a path, None for those of the package; a comparison reads each file once.
        direction: of time: -1 for runs that go back, whose system and duration are turned round here.
    """

    name: str
    config: Config
    system: InitialConditions
    duration: float
    show: Callable[[], None] = lambda: None
    read_model: Callable[[str | None], ModelFile] = read_model
    direction: float = 1.0

    @property
    def end_time(self) -> float:
        """The time at which every run ends."""
        return self.system.time + self.duration


class Outcome(NamedTuple):
    """What a run that came to its end has done; as in `result.Row`."""

    steps: int
    force_evaluations: int
    rejected_steps: int | None
    energy_error_max: float
    energy_error_final: float
    angular_momentum_error: float
    position: Floats
    wall_seconds: float


class Trial(NamedTuple):
    """One run with one value of the parameter.

    Attributes:
        value: of the parameter.
        cost: force evaluations; of a run that was cut off, about those that all of it would have needed.
        outcome: None if it did not come to its end.
        failure: why it could not go on; empty if it could.
        too_short: whether its steps were too short for that, rather than too long.
    """

    value: float
    cost: float
    outcome: Outcome | None
    failure: str = ""
    too_short: bool = False


class Runs(Protocol):
    """Runs of one method on one system."""

    method: ComparedMethod

    def check(self) -> None:
        """Refuse a method that does not fit the system, before any run.

        Raises:
            InputError: names the method.
        """

    def guess(self, budget: int) -> float:
        """A value of the parameter from which to look for the budget."""

    def run(self, value: float, budget: int) -> Trial:
        """One run, cut off where it costs several budgets."""

    def alternative(self) -> tuple[Runs, str] | None:
        """Other runs of the same method, for where these cannot meet the budget, and what a reader has to know."""
