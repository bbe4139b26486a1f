"""The study: one journal file, which any number of processes on any machines read and append to."""

from __future__ import annotations

import importlib
import json
import os
import socket
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aitimestepper.config import Config
from aitimestepper.errors import InputError
from aitimestepper.sweeping.settings import SweepSettings
from aitimestepper.sweeping.space import Dimension, points

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

JOURNAL = "study.journal"
DEFAULT_TRIALS = 20

_NAME = "sweep"
_ABANDONED = "abandoned"
_CLAIM = "claim"
_SECONDS_BETWEEN_SIGNS = 30.0
_SECONDS_TO_OPEN = 60.0
_NOT_COMPARED = ("runs_dir", "save_name", "overwrite", "log_every", "checkpoint_every", "tensorboard", "wandb")


def optuna() -> Any:
    """The library, loaded when it is needed.

    Raises:
        InputError: it is not installed.
    """
    try:
        module = importlib.import_module("optuna")
    except ImportError:
        raise InputError("sweeps need Optuna: pip install 'aitimestepper[sweep]'") from None
    module.logging.set_verbosity(module.logging.WARNING)
    return module


class SharedStudy:
    """A study and the part that this process has in it.

    Attributes:
        study: Optuna's.
        trials: how many the whole study is to have.
    """

    def __init__(self, directory: Path, config: Config, settings: SweepSettings, space: list[Dimension]) -> None:
        """Open the study of a directory, or begin it.

        Raises:
            InputError: it was begun with other settings; Optuna is missing.
        """
        self._settings, self._space, self._optuna = settings, space, optuna()
        grid = points(space) if settings.sampler == "grid" else []
        self.trials = settings.trials or (len(grid) or DEFAULT_TRIALS)
        journal = self._optuna.storages.journal
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna calls some of this experimental
            backend = journal.JournalFileBackend(str(directory / JOURNAL))
            storage = self._optuna.storages.JournalStorage(backend)
        self.study = self._begun_or_opened(storage, _identity(config, settings), grid)
        self._sign_given = 0.0

    def _begun_or_opened(self, storage: Any, identity: dict[str, Any], grid: list[dict[str, Any]]) -> Study:
        direction = self._settings.direction or "maximize"
        try:
            study: Study = self._optuna.create_study(
                storage=storage, study_name=_NAME, direction=direction, pruner=self._pruner()
            )
        except self._optuna.exceptions.DuplicatedStudyError:
            study = self._optuna.load_study(storage=storage, study_name=_NAME, pruner=self._pruner())
            began = time.monotonic()
            while "identity" not in study.user_attrs and time.monotonic() - began < _SECONDS_TO_OPEN:
                time.sleep(0.1)  # another process is beginning it
            _compare(study.user_attrs.get("identity", {}), identity)
            return study
        for point in grid:
            study.enqueue_trial(point)
        study.set_user_attr("identity", identity)
        return study

    def _pruner(self) -> Any:
        if self._settings.pruner == "none":
            return self._optuna.pruners.NopPruner()
        return self._optuna.pruners.MedianPruner(self._settings.startup, self._settings.warmup_epochs)

    def _sampler(self) -> Any:
        """Anew for each trial, from the seed and the number of trials: a study that is taken up again goes on alike."""
        number = len(self.study.get_trials(deepcopy=False))
        seed = int(np.random.SeedSequence([self._settings.seed, number]).generate_state(1)[0])
        samplers = self._optuna.samplers
        if self._settings.sampler == "tpe":
            return samplers.TPESampler(n_startup_trials=self._settings.startup, seed=seed)
        return samplers.RandomSampler(seed=seed)

    def next_trial(self) -> Trial | None:
        """A trial for this process, with its claim on it; None if there are enough."""
        self._free_what_was_killed()
        if self._counted() >= self.trials and not self._waiting():
            return None
        self.study.sampler = self._sampler()
        trial: Trial = self.study.ask()
        if self._before(trial.number) >= self.trials:  # another process was faster
            self.abandon(trial.number, again=False)
            return None
        self._sign(trial)
        return trial

    def parameters(self, trial: Trial) -> dict[str, Any]:
        """What the trial is to train with."""
        return {dimension.key: dimension.suggest(trial) for dimension in self._space}

    def report(self, trial: Trial, value: float, epoch: int) -> bool:
        """Note where a trial stands; whether it has fallen so far behind that it is to end."""
        trial.report(value, epoch)
        if time.monotonic() - self._sign_given > _SECONDS_BETWEEN_SIGNS:
            self._sign(trial)
        return trial.should_prune()

    def abandon(self, number: int, *, again: bool) -> None:
        """A trial that nobody will finish; `again` puts its parameters into the queue."""
        frozen = self.study.get_trials(deepcopy=False)[number]
        storage = self.study._storage
        try:
            storage.set_trial_user_attr(frozen._trial_id, _ABANDONED, True)
            self.study.tell(number, state=self._optuna.trial.TrialState.FAIL)
        except (ValueError, self._optuna.exceptions.UpdateFinishedTrialError):
            return  # another process has seen to it
        if again and frozen.params:
            self.study.enqueue_trial(frozen.params)

    def finished(self) -> list[FrozenTrial]:
        """Trials that count: those that nobody will finish do not."""
        return [t for t in self.study.get_trials(deepcopy=False) if _ABANDONED not in t.user_attrs]

    def _waiting(self) -> bool:
        return bool(self.study.get_trials(deepcopy=False, states=(self._optuna.trial.TrialState.WAITING,)))

    def _counted(self) -> int:
        waiting = self._optuna.trial.TrialState.WAITING
        return sum(trial.state != waiting for trial in self.finished())

    def _before(self, number: int) -> int:
        waiting = self._optuna.trial.TrialState.WAITING
        return sum(trial.number < number and trial.state != waiting for trial in self.finished())

    def _sign(self, trial: Trial) -> None:
        self._sign_given = time.monotonic()
        trial.set_user_attr(_CLAIM, {"host": socket.gethostname(), "pid": os.getpid(), "seen": time.time()})

    def _free_what_was_killed(self) -> None:
        running = self._optuna.trial.TrialState.RUNNING
        for trial in self.study.get_trials(deepcopy=False, states=(running,)):
            claim = trial.user_attrs.get(_CLAIM)
            if claim is not None and _is_dead(claim, self._settings.stale_after):
                self.abandon(trial.number, again=True)


def _is_dead(claim: dict[str, Any], stale_after: float) -> bool:
    if claim["host"] != socket.gethostname():
        return bool(time.time() - claim["seen"] > stale_after)
    if claim["pid"] == os.getpid():
        return True  # whatever this process had begun before is over
    try:
        os.kill(claim["pid"], 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def _identity(config: Config, settings: SweepSettings) -> dict[str, Any]:
    """What all trials of a study have in common, as JSON has it."""
    keys = {key: value for key, value in config.explicit().items() if key not in _NOT_COMPARED}
    search = settings.model_dump(include={"space", "metric", "direction", "sampler", "pruner", "seed"})
    return dict(json.loads(json.dumps({**keys, **{f"[sweep] {key}": value for key, value in search.items()}})))


def _compare(before: dict[str, Any], now: dict[str, Any]) -> None:
    for key in sorted(before.keys() | now.keys()):
        if before.get(key) != now.get(key):
            raise InputError(
                f"the study was begun with {key} = {before.get(key)!r}, and now it is {now.get(key)!r}: trials could "
                "not be compared; choose another --save-name"
            )
