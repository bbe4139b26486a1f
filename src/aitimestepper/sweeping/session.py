"""A sweep as the command line starts it: trial after trial, until the study has enough."""

from __future__ import annotations

import math
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aitimestepper.config import Config
from aitimestepper.errors import InputError, OutputError, OutputExistsError, RunError
from aitimestepper.sweeping.settings import DEFAULT_METRIC, SweepSettings
from aitimestepper.sweeping.study import JOURNAL, SharedStudy
from aitimestepper.sweeping.trials import TrialResult, result_of, trial_name, write_results

if TYPE_CHECKING:
    from optuna import Trial

    from aitimestepper.training.observers import Observer
    from aitimestepper.training.results import EpochRecord, StepRecord

_LAST_PART = 10
"""The score of a trial is the mean over the last tenth of its epochs: one epoch may be lucky."""


@dataclass(frozen=True)
class SweepOutcome:
    """What a sweep left behind.

    Attributes:
        directory: of the study: journal, table, best configuration and weights, and a run directory for each trial.
        trials: all of the study, those of other processes too.
        best: the best complete one, None if there is none.
        interrupted: whether Ctrl-C ended this process's part.
    """

    directory: Path
    trials: list[TrialResult]
    best: TrialResult | None
    interrupted: bool


def sweep(
    config: Config,
    settings: SweepSettings,
    *,
    observers: Callable[[int], Sequence[Observer]] = lambda number: (),
    on_trial: Callable[[TrialResult], None] | None = None,
) -> SweepOutcome:
    """Train with settings from a search space until the study has enough trials; begin it, join it or go on with it.

    Any number of processes may do so at once, on any machines that see the directory.

    Args:
        config: what all trials have in common; the study is in `runs_dir/save_name`.
        settings: the space, and how it is searched.
        observers: told of the steps and epochs of the trial of a number.
        on_trial: told of each trial of this process when it is over.

    Raises:
        InputError: the space does not fit the configuration, the study has other settings, Optuna is missing.
        OutputExistsError: the directory holds something else than a study.
    """
    space = settings.dimensions(config)
    directory = _directory(config)
    shared = SharedStudy(directory, config, settings, space)
    began = time.monotonic()
    interrupted = False
    while not interrupted and (settings.timeout is None or time.monotonic() - began < settings.timeout):
        trial = shared.next_trial()
        if trial is None:
            break
        interrupted = not _Trial(shared, trial, config, settings, directory).carry_out(observers(trial.number))
        if on_trial is not None and not interrupted:
            on_trial(result_of(shared.study.get_trials(deepcopy=False)[trial.number]))
    results = [result_of(trial) for trial in shared.finished()]
    best = write_results(directory, config, results, maximize=settings.direction != "minimize")
    return SweepOutcome(directory, results, best, interrupted)


def _directory(config: Config) -> Path:
    directory = Path(config.runs_dir) / config.save_name
    if directory.exists() and not (directory / JOURNAL).exists() and any(directory.iterdir()):
        raise OutputExistsError(f"{directory} exists already and holds no sweep: choose another --save-name")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create the directory {directory}: {error.strerror}") from None
    return directory


class _Trial:
    """One training of this process."""

    def __init__(
        self, shared: SharedStudy, trial: Trial, config: Config, settings: SweepSettings, directory: Path
    ) -> None:
        self._shared, self._trial, self._config = shared, trial, config
        self._settings, self._directory = settings, directory

    def carry_out(self, observers: Sequence[Observer]) -> bool:
        """Train and tell the study what came of it; whether it was not interrupted.

        A training that fails is a failed trial: the sweep goes on.
        """
        from aitimestepper.training.session import train

        number = self._trial.number
        place = self._directory / trial_name(number)
        watch = _Reporter(self._shared, self._trial, self._settings.metric)
        try:
            parameters = self._shared.parameters(self._trial)
            own = {"runs_dir": str(self._directory), "save_name": trial_name(number), "overwrite": True}
            outcome = train(self._config.replace(**parameters, **own), observers=[*observers, watch])
        except (RunError, InputError) as error:
            self._fail(" ".join(str(error).split()))
            if isinstance(error, _UnknownMetric):
                raise
            return True
        except _FallenBehind:
            self._tell("PRUNED")
            return True
        except KeyboardInterrupt:
            outcome = None
        if outcome is None or outcome.interrupted:
            self._shared.abandon(number, again=True)
            shutil.rmtree(place, ignore_errors=True)
            return False
        self._tell("COMPLETE", watch.score())
        return True

    def _fail(self, reason: str) -> None:
        self._trial.set_user_attr("reason", reason)
        self._tell("FAIL")

    def _tell(self, state: str, value: float | None = None) -> None:
        from optuna.trial import TrialState

        self._shared.study.tell(self._trial, value, state=TrialState[state])


class _FallenBehind(Exception):
    """The trial is so much worse than others were at its epoch that it is ended."""


class _UnknownMetric(InputError):
    """What is to be compared is not among the numbers of an epoch."""


class _Reporter:
    """An observer that tells the study of every epoch."""

    def __init__(self, shared: SharedStudy, trial: Trial, metric: str) -> None:
        self._shared, self._trial, self._metric = shared, trial, metric
        self._values: list[float] = []

    def begin(self, message: str) -> None:
        """Nothing to say."""

    def step(self, record: StepRecord) -> None:
        """Single steps are not compared."""

    def epoch(self, record: EpochRecord) -> None:
        """Report the metric, and end the trial if it has fallen behind."""
        value = _value_of(record, self._metric)
        if not math.isfinite(value):
            raise RunError(f"{self._metric} is {value} in epoch {record.epoch}")
        self._values.append(value)
        if self._shared.report(self._trial, value, record.epoch):
            raise _FallenBehind

    def close(self) -> None:
        """Nothing to close."""

    def score(self) -> float:
        """Mean over the last tenth of the epochs."""
        return statistics.fmean(self._values[-max(len(self._values) // _LAST_PART, 1) :])


def _value_of(record: EpochRecord, metric: str) -> float:
    from aitimestepper.training.observers import scalars_of

    if metric == DEFAULT_METRIC:
        return record.pass_rate * record.mean_step_fraction
    numbers: dict[str, Any] = scalars_of(record)
    if metric not in numbers:
        known = ", ".join(sorted(name for name, value in numbers.items() if isinstance(value, int | float)))
        raise _UnknownMetric(f"[sweep] metric = {metric!r} is none of {DEFAULT_METRIC}, {known}")
    return float(numbers[metric])
