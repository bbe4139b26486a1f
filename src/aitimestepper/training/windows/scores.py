"""What a file of calibrated weights says of them: where they come from, and scores."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from aitimestepper.config.schema import Config
from aitimestepper.systems.mixture import MOST_BODIES, mixed_system
from aitimestepper.training.windows.attempt import attempt_windows, drawn_targets, features_of, orders, targets_of
from aitimestepper.training.windows.measuring import batch_of
from aitimestepper.weights.calibrated import HEADS

_FRESH = 512
"""Systems of the scores: a share of one half is known to 2 %."""
_FRESH_SEED = 10**6
"""Added to the seed of the training: the systems of the scores are met by no training with a seed below."""


def about_weights(model: nn.Module, scales: Sequence[float], config: Config, *, final: bool) -> dict[str, Any]:
    """`commit`; at the end of a training also `scores` on fresh systems.

    Args:
        model: the network.
        scales: lowest and highest values of the description.
        config: of the training.
        final: whether it is at its end.
    """
    about: dict[str, Any] = {"commit": _commit()}
    if final:
        # Targets from a generator of their own: writing a file must not change the training.
        generator = torch.Generator().manual_seed(config.seed + _FRESH_SEED)
        drawn = drawn_targets(_FRESH, generator)
        about["scores"] = _scores(model, scales, torch.log10(drawn.tolerance) / orders(drawn.head), config)
    return about


def _scores(model: nn.Module, scales: Sequence[float], demand: Tensor, config: Config) -> dict[str, dict[str, float]]:
    """For each integrator and order: share of windows within what is allowed, share above a tenth, and quantiles."""
    rng = np.random.default_rng(config.seed + _FRESH_SEED)
    systems = batch_of([mixed_system(rng) for _ in range(_FRESH)], MOST_BODIES, config)
    scores = {}
    for head, (integrator, order) in enumerate(HEADS):
        targets = targets_of(torch.full((_FRESH,), head), demand)
        features = features_of(systems, targets, scales, config)
        ratio = attempt_windows(model, systems, features, targets, config).error
        low, middle, high = torch.quantile(ratio, torch.tensor([0.05, 0.5, 0.95], dtype=ratio.dtype)).tolist()
        scores[f"{integrator}{order}"] = {
            "kept": float((ratio <= 1.0).double().mean()),
            "not_wasted": float((ratio >= 0.1).double().mean()),
            "q05": low,
            "median": middle,
            "q95": high,
        }
    return scores


def _commit() -> str:
    """The commit of the checkout that this package runs from; empty outside of one."""
    command = ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""
