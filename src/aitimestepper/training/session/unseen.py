"""How the network does on systems that it is never trained on; looking leaves no trace in the training."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from aitimestepper.config.schema import Config
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.training.steps.learned import Learned, Start
from aitimestepper.training.steps.losses import evaluation_mode

SYSTEMS = 16
"""Unseen systems that are drawn: their states are looked at in one batch, which takes some milliseconds."""

_SEED = 2**31
"""Beside the seed of the training, whose own systems are drawn without it."""


class Unseen:
    """States of unseen systems, and what the network makes of them.

    Args:
        learned: what is learned, of its own where it draws numbers.
        starts: makes the states; called at the first look.
    """

    def __init__(self, learned: Learned[Any], starts: Callable[[], Start[Any]]) -> None:
        self._learned, self._starts = learned, starts
        self._start: Start[Any] | None = None

    def look(self, model: nn.Module) -> dict[str, float]:
        """Metrics of the network as it is, which stays as it is.

        Returns:
            `check_loss`, `check_pass_rate`, `check_mean_rel_dE`, `check_max_rel_dE`, `check_dt` (mean), and
            `check_step_fraction`, as those without `check_` are of the states that are trained on.
        """
        with torch.no_grad(), evaluation_mode(model):
            if self._start is None:
                self._start = self._starts()
            tried = self._learned.attempt(model, self._start, n_steps=self._learned.config.n_steps)
        fraction, _ = self._learned.shares(self._start, tried.dt, tried.error, tried.passed)
        return {
            "check_loss": float(tried.losses.mean()),
            "check_pass_rate": float(tried.passed.double().mean()),
            "check_mean_rel_dE": float(tried.error.mean()),
            "check_max_rel_dE": float(tried.error.max()),
            "check_dt": float(tried.dt.mean()),
            "check_step_fraction": float(fraction.mean()),
        }


def unseen_generator(config: Config) -> np.random.Generator:
    """Source of systems that the training with this seed does not draw."""
    return np.random.default_rng([config.seed, _SEED])


def held_out(
    systems: Sequence[InitialConditions], config: Config
) -> tuple[list[InitialConditions], list[InitialConditions]]:
    """Systems to train on, and those that are kept for the check: the part `held_out` of them, rounded down."""
    count = int(config.held_out * len(systems))
    chosen = set(unseen_generator(config).permutation(len(systems))[:count].tolist())
    return (
        [system for number, system in enumerate(systems) if number not in chosen],
        [systems[number] for number in sorted(chosen)],
    )
