"""The study: one journal file, which any number of processes on any machines read and append to.

Whoever takes a trial or gives one back holds the lock of the study, so there are never more trials than asked for, and
what is tried depends on the seed and the trials before, not on the process.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aitimestepper.config.schema import Config
from aitimestepper.errors import InputError
from aitimestepper.sweeping import claims
from aitimestepper.sweeping.journal import check_journal
from aitimestepper.sweeping.settings import SweepSettings
from aitimestepper.sweeping.space import Dimension, points

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

JOURNAL, LOCK = "study.journal", "study"
REASON = "reason"
"""What a trial notes about its end."""
DEFAULT_TRIALS = 20

_NAME = "sweep"
_REPEATS, _DEATHS = "repeats", "deaths"
_CLAIMS = "claims"
_MOST_DEATHS = 3
"""Deaths of its process after which a trial has failed: it may be what kills them (memory, the end of a job's time)."""
_NOT_COMPARED = (
    "runs_dir",
    "save_name",
    "overwrite",
    "log_every",
    "checkpoint_every",
    "keep_checkpoints",
    "tensorboard",
    "wandb",
)


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
            CheckpointError: it is damaged.
        """
        self._config, self._settings, self._space, self._optuna = config, settings, space, optuna()
        self._grid = points(space) if settings.sampler == "grid" else None
        wanted = settings.trials or (DEFAULT_TRIALS if self._grid is None else len(self._grid))
        self.trials = wanted if self._grid is None else min(wanted, len(self._grid))
        self._claims = directory / _CLAIMS
        self._claim: claims.Claim | None = None
        # To create a file is exclusive on network disks too (NFS 3 and later), where locking one is not. Optuna's other
        # lock, a link, cannot tell how old it is where the path is relative, and waits for a killed process for ever.
        lock = self._optuna.storages.journal.JournalFileOpenLock
        self._lock = lock(str(directory / LOCK))
        with self.locked():
            self._open(str(directory / JOURNAL), lock)

    def _open(self, path: str, lock: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna calls some of this experimental
            check_journal(Path(path), self._optuna, _NAME)
            backend = self._optuna.storages.journal.JournalFileBackend(path, lock_obj=lock(path))
            self._storage = self._optuna.storages.JournalStorage(backend)
        self.study = self._begun()
        identity = _identity(self._config, self._settings)
        before = self.study.user_attrs.get("identity", identity)
        if before != identity:
            if any(trial.state != self._optuna.trial.TrialState.WAITING for trial in self.finished()):
                _compare(before, identity)
            # Nothing has been tried yet, as where the first trial met a mistake in the file that is now corrected.
            self._optuna.delete_study(study_name=_NAME, storage=self._storage)
            self.study = self._begun()
        self.study.set_user_attr("identity", identity)

    def _begun(self) -> Study:
        study: Study = self._optuna.create_study(
            storage=self._storage,
            study_name=_NAME,
            direction=self._settings.direction or "maximize",
            pruner=self._pruner(),
            load_if_exists=True,
        )
        return study

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from taking or ending trials."""
        self._lock.acquire()
        try:
            yield
        finally:
            # Another process takes a lock that is half a minute old for left behind, and gives it to itself.
            with contextlib.suppress(RuntimeError):
                self._lock.release()

    def _pruner(self) -> Any:
        if self._settings.pruner == "none":
            return self._optuna.pruners.NopPruner()
        return self._optuna.pruners.MedianPruner(self._settings.startup, self._settings.warmup_epochs)

    def _sampler(self, number: int) -> Any:
        """Anew for each trial, from the seed and the trials before: a study that is taken up again goes on alike."""
        seed = int(np.random.SeedSequence([self._settings.seed, number]).generate_state(1)[0])
        samplers = self._optuna.samplers
        if self._settings.sampler == "tpe":
            return samplers.TPESampler(n_startup_trials=self._settings.startup, seed=seed)
        return samplers.RandomSampler(seed=seed)

    def next_trial(self) -> tuple[Trial, dict[str, Any]] | None:
        """A trial for this process and what it trains with, those to be repeated first; None if there are enough."""
        waiting = self._optuna.trial.TrialState.WAITING
        with self.locked():
            self._take_back()
            found = self._all()
            taken = sum(trial.state != waiting for trial in self.finished())
            if taken >= self.trials:
                return None
            if self._grid is not None and all(trial.state != waiting for trial in found):
                self.study.enqueue_trial(self._grid[taken])
            self.study.sampler = self._sampler(taken)
            trial: Trial = self.study.ask()
            parameters = {dimension.key: dimension.suggest(trial) for dimension in self._space}
            self._claim = claims.Claim(self._claims, trial.number)
        return trial, parameters

    def end(self, trial: Trial, state: str, value: float | None = None, reason: str = "") -> None:
        """Note how a trial of this process ended: COMPLETE, PRUNED or FAIL.

        After a long silence another process may have it; then there is nothing to note.
        """
        with self._released(trial.number) as mine:
            if mine:
                if reason:
                    trial.set_user_attr(REASON, reason)
                self.study.tell(trial, value, self._optuna.trial.TrialState[state])

    def give_back(self, trial: Trial, reason: str) -> None:
        """Have a trial of this process repeated, by whoever takes the next one."""
        with self._released(trial.number) as mine:
            if mine:
                frozen = self._all()[trial.number]
                self._repeat(frozen, reason, deaths=frozen.user_attrs.get(_DEATHS, 0))

    def finished(self) -> list[FrozenTrial]:
        """Trials that count: those that others repeat do not."""
        found = self._all()
        repeated = _repeated(found)
        return [trial for trial in found if trial.number not in repeated]

    def _all(self) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False)

    @contextlib.contextmanager
    def _released(self, number: int) -> Iterator[bool]:
        """Under the lock: whether a trial is this process's still; afterwards it is no more."""
        with self.locked():
            try:
                yield self._all()[number].state == self._optuna.trial.TrialState.RUNNING
            finally:
                if self._claim is not None:
                    self._claim.release()

    def _take_back(self) -> None:
        """Have the trials repeated whose processes died."""
        states = self._optuna.trial.TrialState
        for trial in self._all():
            if trial.state != states.RUNNING or not claims.is_dead(self._claims, trial.number):
                continue
            deaths = trial.user_attrs.get(_DEATHS, 0) + 1
            if deaths < _MOST_DEATHS:
                self._repeat(trial, "its process died", deaths=deaths)
            else:
                self._storage.set_trial_user_attr(trial._trial_id, REASON, f"its process died {deaths} times")
                self.study.tell(trial.number, state=states.FAIL)
            claims.forget(self._claims, trial.number)

    def _repeat(self, trial: FrozenTrial, reason: str, *, deaths: int) -> None:
        # One that died between these lines has repeated the trial already, and not ended it.
        if trial.number not in _repeated(self._all()):
            known = {**trial.system_attrs.get("fixed_params", {}), **trial.params}
            # One that died while it drew draws anew, from the beginning of its sampler's stream.
            drawn = known.keys() >= {dimension.key for dimension in self._space}
            self.study.enqueue_trial(known if drawn else {}, user_attrs={_REPEATS: trial.number, _DEATHS: deaths})
        self._storage.set_trial_user_attr(trial._trial_id, REASON, reason)
        self.study.tell(trial.number, state=self._optuna.trial.TrialState.FAIL)


def _repeated(found: list[FrozenTrial]) -> set[int]:
    """Numbers of the trials that others repeat."""
    return {trial.user_attrs[_REPEATS] for trial in found if _REPEATS in trial.user_attrs}


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
                "not be compared; choose another save_name"
            )
