"""Looking at the journal of a study before anything is appended to it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from aitimestepper.errors import CheckpointError
from aitimestepper.inputs import RECORDS, content_of
from aitimestepper.sweeping.trials import result_of

_DAMAGED = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, AssertionError, RuntimeError)
"""What Optuna and json raise over lines that are not what they should be."""

_BEGINS = 0
"""Code of the line that begins a study."""


def check_journal(path: Path, optuna: Any, name: str) -> None:
    """Read a journal as a study would, from a copy in memory.

    Args:
        path: of the journal; there may be none yet.
        optuna: the library.
        name: of the study in it.

    Raises:
        CheckpointError: a line is damaged, or what the lines say is no study.
    """
    if not path.exists():
        return
    try:
        content = content_of(path, RECORDS)
        lines = content.splitlines(keepends=True)
        if lines and not lines[-1].endswith(b"\n"):
            raise ValueError("its last line is cut off: without it, the study goes on")
        _read(optuna, [dict(json.loads(line)) for line in lines], name)
    except OSError as error:
        raise CheckpointError(f"cannot read the study {path}: {error.strerror}") from None
    except (*_DAMAGED, optuna.exceptions.OptunaError) as error:
        raise CheckpointError(f"{path} is damaged, or no study: {type(error).__name__}: {error}") from None


def _read(optuna: Any, logs: list[dict[str, Any]], name: str) -> None:
    if logs and logs[0]["op_code"] != _BEGINS:  # Optuna passes over what is said of a study that is not there
        raise ValueError("it does not begin with a study")

    class Memory(optuna.storages.journal.BaseJournalBackend):
        def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
            return logs[log_number_from:]

        def append_logs(self, more: list[dict[str, Any]]) -> None:
            logs.extend(json.loads(json.dumps(more)))

    storage = optuna.storages.JournalStorage(Memory())
    study = optuna.create_study(storage=storage, study_name=name, load_if_exists=True)
    if not isinstance(study.user_attrs.get("identity", {}), dict):
        raise ValueError("an identity that is none")
    for trial in study.get_trials():
        score = result_of(trial).score
        if score is not None and not math.isfinite(score):
            raise ValueError(f"trial {trial.number} has the score {score}")
