"""Bodies and models that several tests take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from aitimestepper import Config, FullyConnectedNN
from aitimestepper.features.build import feature_length
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.weights.file import ModelFile, write_model


def head_on() -> InitialConditions:
    """Two bodies at rest: they fall into each other at t = pi / 4."""
    return InitialConditions(np.ones(2), np.array([[0.5, 0.0], [-0.5, 0.0]]), np.zeros((2, 2)))


def untrained(path: Path, **keys) -> str:
    """A model file with random weights."""
    config = Config(**{"hidden_dims": (8,), "output_scale": "physical", **keys})
    model = FullyConnectedNN(
        feature_length(config.feature_type, config.history_len),
        hidden_dims=config.hidden_dims,
        initial_output=0.02,
        generator=torch.Generator().manual_seed(1),
    )
    weights = {name: tensor.numpy() for name, tensor in model.state_dict().items()}
    write_model(path, ModelFile(weights, config, None, {}))
    return str(path)
