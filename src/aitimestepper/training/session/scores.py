"""What a file of calibrated weights says of them: a careful factor for states unlike any in training, and scores."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aitimestepper.config.schema import Config
from aitimestepper.model.loading import build_network
from aitimestepper.systems.mixture import MOST_BODIES, mixed_system
from aitimestepper.training.session.epochs import TrainingState
from aitimestepper.training.steps.windows import CalibratedAdapter, attempt_windows, batch_of, demanding, orders
from aitimestepper.weights.calibrated import HEADS

_CAREFUL = 0.02
"""Quantile of the factors in training that is taken where a state is unlike all of them."""

_FRESH = 512
_FRESH_SEED = 10**6
"""Added to the seed of the training: the systems of the scores are met by no training with a seed below."""


def about_weights(
    weights: Mapping[str, Tensor], state: TrainingState, config: Config, *, final: bool
) -> dict[str, Any]:
    """`fallback`, a factor for each of `HEADS`, and `commit`; at the end of a training `scores` on fresh systems."""
    adapter = state.adapter
    assert isinstance(adapter, CalibratedAdapter)
    model = build_network(config, adapter.input_dim_from_state(state.particle))
    model.load_state_dict(dict(weights))
    samples = state.replay.samples
    seen = state.particle if samples is None else samples.state
    # Requests from a generator of their own: writing a file must not change the training.
    generator = torch.Generator().manual_seed(config.seed + _FRESH_SEED)
    own = CalibratedAdapter(config, generator, adapter.ranges)
    with torch.no_grad():
        factors = model(own.build_feature_tensor(seen)).numpy()
        about: dict[str, Any] = {"fallback": np.quantile(factors, _CAREFUL, axis=0).tolist(), "commit": _commit()}
        if final:
            about["scores"] = _scores(model, own, config)
    return about


def _scores(model: torch.nn.Module, adapter: CalibratedAdapter, config: Config) -> dict[str, dict[str, float]]:
    """For each integrator and order: share of windows within what is allowed, share above a tenth, and quantiles."""
    rng = np.random.default_rng(config.seed + _FRESH_SEED)
    systems = batch_of([mixed_system(rng) for _ in range(_FRESH)], MOST_BODIES, config)
    drawn = adapter.request(_FRESH)
    demand = torch.log10(drawn.tolerance) / orders(drawn.head)
    scores = {}
    for head, (integrator, order) in enumerate(HEADS):
        request = demanding(torch.full((_FRESH,), head), demand)
        ratio = attempt_windows(model, systems, adapter.features_of(systems, request), request, config).ratio
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
