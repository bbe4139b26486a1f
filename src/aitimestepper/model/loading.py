"""From a model file to a network with its adapter."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from aitimestepper.config.schema import Config
from aitimestepper.errors import CheckpointError
from aitimestepper.features.build import feature_length
from aitimestepper.features.scales import NormScales
from aitimestepper.model.adapter import ModelAdapter
from aitimestepper.model.networks import FullyConnectedNN
from aitimestepper.weights.file import model_path, read_model


class LoadedStepper(NamedTuple):
    """A network with its adapter, ready to predict steps."""

    model: FullyConnectedNN
    adapter: ModelAdapter
    config: Config


def build_network(
    config: Config, input_dim: int, generator: torch.Generator | None = None, *, output_dim: int = 2
) -> FullyConnectedNN:
    """The network that a configuration asks for."""
    # Steps of a twentieth of the pair time are a fair guess in any units; in absolute ones there is none.
    guess = 0.05 if config.output_scale == "physical" else None
    return FullyConnectedNN(
        input_dim,
        output_dim=output_dim,
        hidden_dims=config.hidden_dims,
        activation=config.activation,
        dropout=config.dropout,
        fourier_scale=config.fourier_scale,
        fourier_dim=config.fourier_dim,
        initial_output=guess,
        dtype=getattr(torch, config.dtype),
        generator=generator,
    )


def load_stepper(path: Path | str) -> LoadedStepper:
    """The network and the adapter of a model file, or of a run directory, in evaluation mode.

    Raises:
        CheckpointError: as for `read_model`, or the weights do not fit the network that the file describes.
    """
    file = read_model(path)
    adapter = ModelAdapter(file.config)
    if file.scales is not None:
        adapter.norm_scales = NormScales(*file.scales)
    model = build_network(file.config, feature_length(file.config.feature_type, file.config.history_len))
    load_weights(model, file.weights, model_path(path))
    model.eval()
    return LoadedStepper(model, adapter, file.config)


def load_own_weights(path: Path | str, model: nn.Module, adapter: ModelAdapter) -> None:
    """Put the weights of a model file into a network, and its scales into an adapter, both of one's own.

    Args:
        path: a model file, or the directory that it is in.
        model: built as it was for the training; in evaluation mode afterwards.
        adapter: built likewise.

    Raises:
        CheckpointError: the file cannot be read, or is of a network of other sizes.
    """
    file = read_model(path, own=True)
    load_weights(model, file.weights, model_path(path))
    if file.scales is not None:
        adapter.norm_scales = NormScales(*file.scales)
    model.eval()


def load_weights(model: nn.Module, weights: Mapping[str, Any], path: Path) -> None:
    """Put weights into a network of the same sizes.

    Raises:
        CheckpointError: names or shapes differ.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(array.shape) for name, array in weights.items()}
    for name in expected.keys() | found.keys():
        if expected.get(name) != found.get(name):
            raise CheckpointError(
                f"{path} holds a network of another size: {name} is {found.get(name, 'missing')}, "
                f"expected is {expected.get(name, 'none')}"
            )
    model.load_state_dict({name: torch.as_tensor(array) for name, array in weights.items()})
