"""From a feature type to the numbers: the one place that knows all types."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from aitimestepper.errors import InputError
from aitimestepper.features.history import DELTA_MAG_LENGTH, delta_mag_features
from aitimestepper.features.invariant import INVARIANT_LENGTH, invariant_features
from aitimestepper.features.scales import NormScales
from aitimestepper.features.snapshot import Snapshot
from aitimestepper.features.summary import BASIC_LENGTH, RICH_LENGTH, basic_features, rich_features
from aitimestepper.names import FEATURE_TYPES

_STATE_LENGTHS = {"basic": BASIC_LENGTH, "rich": RICH_LENGTH, "invariant": INVARIANT_LENGTH}


def feature_length(feature_type: str, history_len: int) -> int:
    """Numbers that the network sees of a state with `history_len` past ones."""
    if feature_type == "delta_mag":
        return DELTA_MAG_LENGTH * history_len
    return _STATE_LENGTHS[feature_type] * (history_len + 1)


def state_features(state: Snapshot, feature_type: str, *, scales: NormScales, softening: float, G: float) -> Tensor:
    """Features (..., F) of one state alone.

    Raises:
        InputError: the type is unknown, or needs a history.
    """
    if feature_type == "basic":
        return basic_features(state, scales)
    if feature_type == "rich":
        return rich_features(state, scales, softening)
    if feature_type == "invariant":
        return invariant_features(state, softening=softening, G=G)
    if feature_type == "delta_mag":
        raise InputError("delta_mag features need a history: ask HistoryBuffer.features_for(state)")
    raise InputError(f"feature_type must be one of {', '.join(FEATURE_TYPES)}, got {feature_type!r}")


def history_features(
    states: Sequence[Snapshot], feature_type: str, *, scales: NormScales, softening: float, G: float
) -> Tensor:
    """Features (..., F) of [past ..., current] in the order of time, concatenated."""
    if feature_type == "delta_mag":
        rows = [delta_mag_features(*pair, scales) for pair in pairwise(states)]
    else:
        rows = [state_features(state, feature_type, scales=scales, softening=softening, G=G) for state in states]
    return torch.cat(rows, dim=-1)
