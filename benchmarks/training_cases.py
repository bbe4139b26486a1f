"""What the benchmark of training trains: two-body orbits, a network of 64-64, a gate of 2e-4."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from aitimestepper import Config, FullyConnectedNN, ModelAdapter, ParticleTorch
from aitimestepper.training.session.building import training_systems

SETTINGS: dict[str, Any] = {"hidden_dims": (64, 64), "energy_threshold": 2e-4, "e_min": 0.1, "e_max": 0.9}
_AS_SPECIFIED: dict[str, Any] = {
    "feature_type": "basic", "output_scale": "absolute", "lr": 1e-4, "E_lower": 1e-6, "E_upper": 1e-4,
}  # fmt: skip
"""What a plain loop would be written for first, and what all figures of the speed were measured with."""


class Case(NamedTuple):
    """A training with fresh weights."""

    model: FullyConnectedNN
    particle: ParticleTorch
    optimizer: torch.optim.Optimizer
    config: Config
    adapter: ModelAdapter


class Measured(NamedTuple):
    """Accepted steps of all systems, retrain iterations, and the seconds that they took."""

    steps: int
    iterations: float
    seconds: float


def fresh(n_orbits: int, seed: int = 0, *, fused: bool = True, **changes: Any) -> Case:
    """Systems and weights of a seed; one orbit is a system, several are a batch."""
    config = Config(**{**SETTINGS, **_AS_SPECIFIED, "num_orbits": n_orbits, "seed": seed + 1, **changes})
    particle = training_systems(config)
    if n_orbits == 1:
        particle = particle.select(0)
    adapter = ModelAdapter(config)
    model = FullyConnectedNN(
        adapter.build_feature_tensor(particle).shape[-1],
        hidden_dims=config.hidden_dims,
        activation=config.activation,
        generator=torch.Generator().manual_seed(seed),
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=fused)
    return Case(model, particle, optimizer, config, adapter)


def timed(work: Callable[[], tuple[int, float]]) -> Measured:
    """What some work does, and how long it takes."""
    began = time.perf_counter()
    steps, iterations = work()
    return Measured(steps, iterations, time.perf_counter() - began)
