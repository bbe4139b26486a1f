"""What training reports: frozen records of plain numbers."""

from __future__ import annotations

from dataclasses import dataclass, field

from aitimestepper.arrays import Floats


@dataclass(frozen=True)
class StepRecord:
    """How Part 1 is getting on: the latest attempt, or the latest of many.

    Attributes:
        epoch: counted from 1.
        step: of the epoch, counted from 1; every system of a batch counts.
        accepted: whether any step has been accepted since the record before.
        error: relative energy error, the largest of a batch.
        dt: the step, the mean of a batch.
        retrain_iterations: made on this state so far, the most of a batch.
    """

    epoch: int
    step: int
    accepted: bool
    error: float
    dt: float
    retrain_iterations: int


@dataclass(frozen=True)
class EpochRecord:
    """One epoch.

    Attributes:
        epoch: counted from 1.
        n_epochs: epochs asked for.
        wall_seconds: since the training began, earlier sessions included.
        energy_error: mean relative energy error of the accepted steps.
        accepted_dt: mean accepted step.
        retrain_iterations: mean over the accepted steps.
        acceptance_rate: accepted steps over attempts.
        pass_rate: accepted states that pass with the network as it is now; 0 where Part 2 was skipped.
        part2_iterations: of Part 2.
        skipped: whether Part 2 had too few states.
        converged: whether every accepted state passed at the end.
        mean_step_fraction: predicted steps over the largest that pass.
        time: simulated time reached, the smallest of a batch.
        metrics: all the numbers of both parts, by name.
        steps: (n, RECORD), the accepted steps of this process in their order, see `engine.training.progress`.
    """

    epoch: int
    n_epochs: int
    wall_seconds: float
    energy_error: float
    accepted_dt: float
    retrain_iterations: float
    acceptance_rate: float
    pass_rate: float
    part2_iterations: int
    skipped: bool
    converged: bool
    mean_step_fraction: float
    time: float
    metrics: dict[str, float] = field(default_factory=dict)
    steps: Floats | None = field(default=None, compare=False, repr=False)
