"""The metrics of a training, and how they are arranged in panels; NumPy only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.errors import InputError
from aitimestepper.inputs import RECORDS, content_of
from aitimestepper.names import METRICS_FILE

TRAINING_PANELS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    (
        "relative energy error",
        "log",
        (("mean_energy_error", "accepted steps, mean"), ("max_rel_dE", "replayed states, largest")),
    ),
    ("step, in the unit of time", "log", (("accepted_dt", "accepted steps, mean"),)),
    (
        "retrain iterations",
        "symlog",
        (("mean_retrain_iterations", "Part 1, for each step"), ("part2_iterations", "Part 2, in the epoch")),
    ),
    (
        "fraction",
        "linear",
        (
            ("acceptance_rate", "attempts accepted"),
            ("final_pass_rate", "replayed states that pass"),
            ("in_band_rate", "replayed states in the band"),
            ("mean_step_fraction", "step over the largest that passes"),
        ),
    ),
)
"""Label, scale, and the metrics with their names, of each panel."""


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


def known_values(metrics: dict[str, Floats], key: str) -> tuple[Floats, Floats]:
    """Epochs and values, both (M,), of a metric, where it has one; empty if it was not recorded."""
    if key not in metrics:
        return np.empty(0), np.empty(0)
    known = np.isfinite(metrics[key])
    return metrics["epoch"][known], metrics[key][known]


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")
