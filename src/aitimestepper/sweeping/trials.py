"""What became of the trials: as records, as a table in a file, and the best of them as a configuration."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tomli_w

from aitimestepper.config.schema import Config
from aitimestepper.names import MODEL_FILE
from aitimestepper.outputs import write_atomically

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

State = Literal["complete", "pruned", "failed", "running", "waiting"]

BEST_FILE, TABLE_FILE = "best.toml", "trials.csv"

_STATES: dict[str, State] = {
    "COMPLETE": "complete",
    "PRUNED": "pruned",
    "FAIL": "failed",
    "RUNNING": "running",
    "WAITING": "waiting",
}


@dataclass(frozen=True)
class TrialResult:
    """One trial.

    Attributes:
        number: its run directory is `trial-<number>`.
        state: complete, pruned, failed, running or waiting.
        score: of the metric; of a pruned trial the last that it reported, None if it has none.
        parameters: what it was trained with.
        epochs: after which it reported last.
        seconds: that it took, None if it is not over.
        reason: why it failed, or nothing.
    """

    number: int
    state: State
    score: float | None
    parameters: dict[str, Any]
    epochs: int
    seconds: float | None
    reason: str = ""


def trial_name(number: int) -> str:
    """Name of the run directory of a trial."""
    return f"trial-{number:04d}"


def result_of(trial: FrozenTrial) -> TrialResult:
    """A trial of the study in plain numbers."""
    reported = trial.intermediate_values
    last = reported[max(reported)] if reported else None
    value = trial.values[0] if trial.values else None
    texts = {key: json.loads(value) if isinstance(value, str) else value for key, value in trial.params.items()}
    seconds = None if trial.duration is None else trial.duration.total_seconds()
    state = _STATES[trial.state.name]
    reason = str(trial.user_attrs.get("reason", ""))
    return TrialResult(
        trial.number, state, last if value is None else value, texts, max(reported, default=0), seconds, reason
    )


def ranked(results: list[TrialResult], *, maximize: bool) -> list[TrialResult]:
    """Complete trials, the best first; of equals the earlier one."""
    complete = [result for result in results if result.state == "complete" and result.score is not None]
    return sorted(complete, key=lambda r: ((-1 if maximize else 1) * (r.score or 0.0), r.number))


def write_results(directory: Path, config: Config, results: list[TrialResult], *, maximize: bool) -> TrialResult | None:
    """Write the table of all trials and, if one is complete, the configuration and the weights of the best.

    Returns:
        The best trial.
    """
    write_atomically(directory / TABLE_FILE, _table(results).encode())
    best = next(iter(ranked(results, maximize=maximize)), None)
    if best is None:
        return None
    keys = config.replace(**best.parameters).model_dump(
        by_alias=True, exclude_none=True, mode="json", include=set(config.model_fields_set) | set(best.parameters)
    )
    keys = {key: value for key, value in keys.items() if key not in ("runs_dir", "save_name", "overwrite")}
    head = f"# Trial {best.number} of a sweep, score {best.score:g}: aitimestepper train --config {BEST_FILE}\n"
    write_atomically(directory / BEST_FILE, (head + tomli_w.dumps(keys)).encode())
    model = directory / trial_name(best.number) / MODEL_FILE
    if model.exists():  # it may lie on a machine that shares the journal alone
        write_atomically(directory / MODEL_FILE, model.read_bytes())
    return best


def _table(results: list[TrialResult]) -> str:
    keys = list(dict.fromkeys(key for result in results for key in result.parameters))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["trial", "state", "score", "epochs", "seconds", *keys, "reason"])
    for r in results:
        parameters = [json.dumps(r.parameters[key]) if key in r.parameters else "" for key in keys]
        writer.writerow([r.number, r.state, r.score, r.epochs, r.seconds, *parameters, r.reason])
    return stream.getvalue()
