"""Systems and stubs that several test files need, each in one place."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
import torch
from hypothesis import settings
from torch import Tensor, nn

from aitimestepper import Config, ModelAdapter, ParticleTorch, read_config

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")


SPECIFICATION = read_config("specification", "train").explicit()


def specified(**keys: object) -> Config:
    """A configuration with the defaults of the specification: one orbit, steps and features in the system's units."""
    return Config(**{**SPECIFICATION, **keys})


def kepler(e: float = 0.0, m1: float = 1.0, m2: float = 1.0, *, at: str = "pericentre") -> ParticleTorch:
    """Two bodies with a = 1, in the centre-of-mass frame, in the plane."""
    total = m1 + m2
    distance = 1 - e if at == "pericentre" else 1 + e
    speed = np.sqrt(total * (2 / distance - 1))
    return ParticleTorch(
        [m1, m2],
        [[-distance * m2 / total, 0.0], [distance * m1 / total, 0.0]],
        [[0.0, -speed * m2 / total], [0.0, speed * m1 / total]],
        period=2 * np.pi / np.sqrt(total),
    )


def random_bodies(seed: int, n_bodies: int = 3, n_dims: int = 3, batch: tuple[int, ...] = ()) -> ParticleTorch:
    """Bodies with unequal masses at random places."""
    rng = np.random.default_rng(seed)
    shape = (*batch, n_bodies, n_dims)
    return ParticleTorch(rng.uniform(0.5, 2.0, (*batch, n_bodies)), rng.normal(size=shape), rng.normal(size=shape))


class ConstantStep(nn.Module):
    """A network with one weight: the logarithm of the step that it predicts for every state."""

    def __init__(self, dt: float) -> None:
        super().__init__()
        self.log_dt = nn.Parameter(torch.tensor(float(np.log(dt)), dtype=torch.float64))
        self.calls = 0

    def forward(self, features: Tensor) -> Tensor:
        self.calls += 1
        step = self.log_dt.exp().expand(features.shape[:-1])
        return torch.stack([step, torch.full_like(step, 1e-5)], dim=-1)


class CountingField:
    """An external field that does nothing but count how often its force is asked for."""

    def __init__(self) -> None:
        self.forces = 0

    def acceleration(self, position: Tensor, time: Tensor) -> Tensor:
        self.forces += 1
        return torch.zeros_like(position)

    def potential(self, position: Tensor, time: Tensor) -> Tensor:
        return torch.zeros_like(position[..., 0])


def parts(dt: float = 0.05, **keys: object) -> tuple[ConstantStep, torch.optim.Optimizer, Config, ModelAdapter]:
    """Network, optimiser, configuration and adapter of a small training."""
    config = specified(**{"lr": 0.05, **keys})
    model = ConstantStep(dt)
    return model, torch.optim.Adam(model.parameters(), lr=config.lr), config, ModelAdapter(config)


@pytest.fixture(autouse=True)
def _no_stray_files(tmp_path, monkeypatch):
    """Tests run in a directory of their own: a default run directory never lands in the checkout."""
    monkeypatch.chdir(tmp_path)
