"""The metrics of a training, and how they are arranged in panels; NumPy only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.config.reading import read_config
from aitimestepper.errors import InputError
from aitimestepper.inputs import RECORDS, content_of
from aitimestepper.names import CONFIG_FILE, METRICS_FILE

ROLES = ("Part 1, while collecting", "Part 2, replayed states", "check, unseen systems")
"""What a curve is of; each has one colour in all panels."""


class Panel(NamedTuple):
    """A panel of the figure of a training.

    Attributes:
        label: of its axis.
        scale: log, symlog (linear below 1) or linear.
        curves: the metric of each of `ROLES`; None where there is none.
    """

    label: str
    scale: str
    curves: tuple[str | None, str | None, str | None]


ERROR_PANEL = "relative energy error, mean"

TRAINING_PANELS = (
    Panel("loss, mean", "log", (None, "loss", "check_loss")),
    Panel(ERROR_PANEL, "log", ("mean_energy_error", "mean_rel_dE", "check_mean_rel_dE")),
    Panel("part that passes", "linear", ("acceptance_rate", "final_pass_rate", "check_pass_rate")),
    Panel("step / largest that passes", "linear", (None, "mean_step_fraction", "check_step_fraction")),
    Panel("step dt, mean", "log", ("mean_accepted_dt", None, "check_dt")),
    Panel("iterations (step; epoch)", "symlog", ("mean_retrain_iterations", "part2_iterations", None)),
)
"""What is shown of a training, from its metrics."""


class Edges(NamedTuple):
    """The band that errors are driven into, and the error that the gate allows."""

    lower: float
    upper: float
    threshold: float


def edges_of(path: Path) -> Edges | None:
    """Those of a training, from the configuration beside its metrics; None where there is none to be read.

    Args:
        path: the metrics, or the run directory that holds them.
    """
    directory = path if path.is_dir() else path.parent
    try:
        config = read_config(directory / CONFIG_FILE, "train")
    except InputError:
        return None
    return Edges(config.E_lower, config.E_upper, config.energy_threshold)


def read_metrics(path: Path) -> dict[str, Floats]:
    """The numbers of each epoch (E,), NaN where one is missing; the last line may have been cut by a kill.

    Args:
        path: the file, or the run directory that holds it.

    Raises:
        InputError: the metrics cannot be read.
    """
    path = path / METRICS_FILE if path.is_dir() else path
    try:
        lines = content_of(path, RECORDS).decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read the metrics {path}: {getattr(error, 'strerror', None) or error}") from None
    records = []
    for number, line in enumerate(lines, start=1):
        try:
            records.append(dict(json.loads(line)))
        except (ValueError, TypeError, RecursionError):
            if number < len(lines):
                raise InputError(f"cannot read the metrics {path}: line {number} is not a JSON object") from None
    if not records or "epoch" not in records[0]:
        raise InputError(f"cannot read the metrics {path}: there is no epoch in it")
    keys = dict.fromkeys(key for record in records for key in record)
    return {key: np.array([_number(record.get(key)) for record in records]) for key in keys}


def curves_of(metrics: dict[str, Floats], panel: Panel) -> dict[int, tuple[Floats, Floats]]:
    """Epochs and values, both (M,), of the curves of a panel that were recorded, by the index of their role."""
    found = {role: known_values(metrics, key) for role, key in enumerate(panel.curves) if key is not None}
    return {role: curve for role, curve in found.items() if len(curve[0])}


def known_values(metrics: dict[str, Floats], key: str) -> tuple[Floats, Floats]:
    """Epochs and values, both (M,), of a metric, where it has one; empty if it was not recorded."""
    if key not in metrics:
        return np.empty(0), np.empty(0)
    known = np.isfinite(metrics[key])
    return metrics["epoch"][known], metrics[key][known]


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")
