"""A sweep as the command line starts it: trial after trial, until the study has enough."""

from __future__ import annotations

import math
import os
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aitimestepper.config.schema import Config
from aitimestepper.errors import ConfigError, InputError, OutputError, OutputExistsError, RunError
from aitimestepper.sweeping.settings import SweepSettings
from aitimestepper.sweeping.study import JOURNAL, SharedStudy
from aitimestepper.sweeping.trials import TrialResult, result_of, trial_name, write_results
from aitimestepper.training.session.observers import EpochObserver, Observer, scalars_of

if TYPE_CHECKING:
    from optuna import Trial

    from aitimestepper.training.steps.records import EpochRecord

_MOST_REPORTS = 100
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
        InputError: the space does not fit the configuration, the study has other settings, Optuna is missing, or a
            training cannot be done as asked: its trial is given back.
        OutputExistsError: the directory holds something else than a study.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise InputError("a sweep is not for torchrun: start the same command several times, each joins the study")
    space = settings.dimensions(config)
    directory = _directory(config)
    shared = SharedStudy(directory, config, settings, space)
    began = time.monotonic()
    interrupted = False
    while not interrupted and (settings.timeout is None or time.monotonic() - began < settings.timeout):
        taken = shared.next_trial()
        if taken is None:
            break
        trial, parameters = taken
        task = _Trial(shared, trial, settings, directory)
        interrupted = not task.carry_out(config, parameters, observers(trial.number))
        _written(shared, directory, config, settings)
        if on_trial is not None and not interrupted:
            on_trial(result_of(shared.study.get_trials(deepcopy=False)[trial.number]))
    results, best = _written(shared, directory, config, settings)
    return SweepOutcome(directory, results, best, interrupted)


def _written(
    shared: SharedStudy, directory: Path, config: Config, settings: SweepSettings
) -> tuple[list[TrialResult], TrialResult | None]:
    """What has been found so far, which is also on disk now."""
    with shared.locked():
        results = [result_of(trial) for trial in shared.finished()]
        return results, write_results(directory, config, results, maximize=settings.direction != "minimize")


def _directory(config: Config) -> Path:
    directory = Path(config.runs_dir) / config.save_name
    if directory.exists() and not (directory / JOURNAL).exists() and any(directory.iterdir()):
        raise OutputExistsError(f"{directory} exists already and holds no sweep: choose another save_name")
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot create the directory {directory}: {error.strerror}") from None
    return directory


class _Trial:
    """One training of this process."""

    def __init__(self, shared: SharedStudy, trial: Trial, settings: SweepSettings, directory: Path) -> None:
        self._shared, self._trial = shared, trial
        self._settings, self._directory = settings, directory

    def carry_out(self, config: Config, parameters: dict[str, Any], observers: Sequence[Observer]) -> bool:
        """Train and tell the study what came of it; whether it was not interrupted.

        A training that fails is a failed trial, and so are settings that do not go together: the sweep goes on.
        Whatever else goes wrong lies not in the trial, which is given back.
        """
        run_dir = self._directory / trial_name(self._trial.number)
        watch = _Reporter(self._trial, self._settings.metric)
        try:
            interrupted = self._train(config, {**parameters, "save_name": run_dir.name}, [*observers, watch])
            if not interrupted:
                self._shared.end(self._trial, "COMPLETE", watch.score())
        except _FallenBehind as behind:
            self._shared.end(self._trial, "PRUNED", reason=str(behind))
            return True
        except (RunError, ConfigError) as error:
            self._shared.end(self._trial, "FAIL", reason=" ".join(str(error).split()))
            return True
        except KeyboardInterrupt:
            interrupted = True
        except BaseException as error:
            self._shared.give_back(self._trial, f"{type(error).__name__}: {error}")
            raise
        if interrupted:
            self._shared.give_back(self._trial, "interrupted")
            shutil.rmtree(run_dir, ignore_errors=True)
        return not interrupted

    def _train(self, config: Config, keys: dict[str, Any], observers: Sequence[Observer]) -> bool:
        from aitimestepper.training.session.session import train

        own = {"runs_dir": str(self._directory), "overwrite": True}
        return train(config=config.replace(**keys, **own), observers=observers).interrupted


class _FallenBehind(RunError):
    """The trial is so much worse than others were at its epoch that it is ended."""


class _Lost(RunError):
    """The trial was given to another process, after a long silence of this one."""


class _UnknownMetric(InputError):
    """What is to be compared is not among the numbers of an epoch."""


class _Reporter(EpochObserver):
    """Tells the study how a trial gets on, a hundred times at most: each is a line under a lock."""

    def __init__(self, trial: Trial, metric: str) -> None:
        super().__init__()
        self._trial, self._metric = trial, metric
        self._values: list[float] = []

    def note(self, record: EpochRecord) -> None:
        """Report the metric, and end the trial if it has fallen behind."""
        from optuna.exceptions import UpdateFinishedTrialError

        value = _value_of(record, self._metric)
        if not math.isfinite(value):
            raise RunError(f"{self._metric} is {value} in epoch {record.epoch}")
        self._values.append(value)
        last = record.epoch == record.n_epochs
        if record.epoch % max(record.n_epochs // _MOST_REPORTS, 1) and not last:
            return
        try:
            self._trial.report(value, record.epoch)
        except UpdateFinishedTrialError:
            raise _Lost("another process has taken the trial") from None
        if not last and self._trial.should_prune():
            raise _FallenBehind(f"worse than the median at epoch {record.epoch}")

    def score(self) -> float:
        """Mean over the last tenth of the epochs."""
        return statistics.fmean(self._values[-max(len(self._values) // _LAST_PART, 1) :])


def _value_of(record: EpochRecord, metric: str) -> float:
    numbers: dict[str, Any] = scalars_of(record)
    if metric not in numbers:
        known = ", ".join(sorted(name for name, value in numbers.items() if isinstance(value, int | float)))
        raise _UnknownMetric(f"[sweep] metric = {metric!r} is none of {known}")
    return float(numbers[metric])
