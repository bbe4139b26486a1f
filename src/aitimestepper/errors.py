"""Every error that this package raises on purpose.

Two families: `InputError` answers what a user asked for (command line: one line, exit code 2), `RunError` says
that the numerics of an accepted request failed (exit code 3, what was reached is kept).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass


class AITimeStepperError(Exception):
    """Base of all errors of this package."""


class InputError(AITimeStepperError, ValueError):
    """A request that cannot be carried out as it was written."""


class ConfigError(InputError):
    """An unknown key, or a value that its key does not allow."""


class InitialConditionsError(InputError):
    """Initial conditions that cannot be read or cannot be simulated."""


class CheckpointError(InputError):
    """A checkpoint that is damaged, foreign, or of another shape than asked for."""


class OutputExistsError(InputError):
    """An output that exists already and may not be replaced."""


class OutputError(InputError):
    """A path that cannot be written to: read-only, full, or not a directory."""


class RunError(AITimeStepperError, RuntimeError):
    """A run that began and could not be finished."""


class RetrainLimitError(RunError):
    """The network did not learn to pass the gate on one state within the allowed iterations.

    Attributes:
        iterations: retrain iterations that were made.
        last_error: relative energy error of the last refused attempt (the largest of a batch).
        best_error: the least on that state.
        threshold: the error that the gate allows.
    """

    def __init__(self, iterations: int, last_error: float, threshold: float, *, best_error: float) -> None:
        self.iterations = iterations
        self.last_error = last_error
        self.threshold = threshold
        self.best_error = best_error
        reason = (
            "its errors would do, but its steps are longer than max_step_fraction allows"
            if best_error < threshold
            else "the error does not fall far enough"
        )
        super().__init__(
            f"no step passed the gate within {iterations} retrain iterations on one state: {reason}; the last "
            f"relative energy error was {last_error:.3g}, the least {best_error:.3g}, allowed is {threshold:.3g}; try "
            "another lr or optimizer, a larger energy_threshold, or more max_retrain_iterations (0: no limit)"
        )


class NoGradientError(RunError):
    """A refused step from which the network cannot learn: its loss has no gradient, or not a finite one.

    Args:
        loss: of that step.
        finite: whether its gradient is finite, and thus zero.
    """

    def __init__(self, loss: float, *, finite: bool) -> None:
        if finite:
            super().__init__(
                f"a step was refused, but its loss {loss:.3g} has no gradient: the network's output does not change "
                "with its weights here (saturated units, or two bodies at one point)"
            )
        else:
            super().__init__(
                f"the gradient of the loss {loss:.3g} is not finite, so the network cannot learn from this state; "
                "the weights are those before it"
            )


class TrainingWarning(UserWarning):
    """Base of what a training warns of."""


class RetrainWarning(TrainingWarning):
    """The same state has been retrained for very long."""


class EmptyTrajectoryWarning(TrainingWarning):
    """Steps were accepted, and all of them went into the warm-up of the history."""
