"""Whether a state is like those that a network was trained on."""

from __future__ import annotations

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled

_MARGIN = 0.1
"""Part of the range of training by which a feature may lie outside. Chosen, not measured."""


@compiled
def is_familiar(features: Floats, low: Floats, high: Floats) -> bool:
    """Whether all features of a state lie within their range in the training, with a margin of a tenth of it.

    Args:
        features: (F,).
        low, high: (F,), the range of each.
    """
    for k in range(features.shape[0]):
        margin = _MARGIN * (high[k] - low[k])
        if not low[k] - margin <= features[k] <= high[k] + margin:
            return False
    return True


@compiled
def into_range(features: Floats, low: Floats, high: Floats) -> None:
    """Move each feature to the nearest value within its range; one that is no number to the lowest."""
    for k in range(features.shape[0]):
        if not features[k] >= low[k]:
            features[k] = low[k]
        elif features[k] > high[k]:
            features[k] = high[k]
