"""Model files: weights with all that is needed to use them, readable without torch.

A safetensors file holds the weights as arrays and, in its header, JSON texts: the format number, the configuration,
the scales of the features and where the weights come from. Nothing in it is executed when it is read. What a resumed
training needs beside it is in `training.resume`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aitimestepper._version import __version__
from aitimestepper.atomic import write_atomically
from aitimestepper.config import Config
from aitimestepper.errors import CheckpointError, ConfigError

if TYPE_CHECKING:
    from torch import Generator

    from aitimestepper.model_adapter import ModelAdapter
    from aitimestepper.networks import FullyConnectedNN

FORMAT = "aitimestepper-model"
VERSION = 1
MODEL_FILE = "model.safetensors"
DEFAULT_MODEL = Path(__file__).parent / "weights" / "calibrated.safetensors"
"""The calibrated weights that come with the package."""


TRAITS = 22
"""Numbers that describe a state to calibrated weights, see `engine.calibration`."""

HEADS = tuple((integrator, order) for integrator in ("ttl", "leapfrog") for order in (2, 4, 6, 8))
"""Outputs of calibrated weights: a factor for each integrator and order."""

_FIRST_FACTOR = 1.5
"""Of calibrated weights, before the softplus: about what most states end with."""

_SCALES = {"absolute": 4, "physical": 4, "calibrated": 2 * TRAITS}


class ModelFile(NamedTuple):
    """What a model file holds.

    Attributes:
        weights: arrays by the name of their layer.
        config: the configuration that the weights were trained with.
        scales: L0, V0, A0, T0 of the features, or of calibrated weights the lowest and then the highest values that
            they were trained on; None where none have been fixed yet.
        about: origin of the weights: epoch, version of the package, initial conditions.
    """

    weights: dict[str, NDArray[Any]]
    config: Config
    scales: tuple[float, ...] | None
    about: dict[str, Any]


class LoadedStepper(NamedTuple):
    """A network with its adapter, ready to predict steps."""

    model: FullyConnectedNN
    adapter: ModelAdapter
    config: Config


def write_model(path: Path, file: ModelFile) -> None:
    """Write a model file atomically, replacing an older one.

    Raises:
        OutputError: the place cannot be written to.
    """
    from safetensors.numpy import save

    header = {
        "format": FORMAT,
        "version": str(VERSION),
        "config": file.config.model_dump_json(by_alias=True),
        "scales": json.dumps(file.scales),
        "about": json.dumps({"package_version": __version__, **file.about}),
    }
    arrays = {name: np.ascontiguousarray(array) for name, array in file.weights.items()}
    write_atomically(path, save(arrays, metadata=header))


def model_path(path: Path | str | None) -> Path:
    """The model file that a path means: itself, the one in a run directory, or for None the package's own."""
    if path is None:
        return DEFAULT_MODEL
    path = Path(path)
    return path / MODEL_FILE if path.is_dir() else path


def read_model(path: Path | str | None) -> ModelFile:
    """Read a model file, or that of a run directory, without torch and without executing anything.

    Raises:
        CheckpointError: it is missing, damaged, foreign, or of another version.
    """
    from safetensors import SafetensorError, safe_open

    path = model_path(path)
    if not path.is_file():
        raise CheckpointError(f"no model file at {path}")
    try:
        with safe_open(path, framework="numpy") as file:
            header = dict(file.metadata() or {})
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is damaged or no safetensors file: {error}") from None
    if header.get("format") != FORMAT:
        raise CheckpointError(f"{path} is a safetensors file, but not a model of this package")
    if header.get("version") != str(VERSION):
        raise CheckpointError(f"{path} has format version {header.get('version')}, this package reads {VERSION}")
    return _decoded(path, weights, header)


def _decoded(path: Path, weights: dict[str, NDArray[Any]], header: Mapping[str, str]) -> ModelFile:
    try:
        config = Config(**json.loads(header["config"]))
        scales = json.loads(header["scales"])
        about = json.loads(header["about"])
    except (KeyError, ValueError, ConfigError) as error:
        raise CheckpointError(f"{path} has a damaged header: {error}") from None
    if scales is not None and not (isinstance(scales, list) and len(scales) == _SCALES[config.output_scale]):
        raise CheckpointError(f"{path} has a damaged header: scales must be numbers, got {scales!r}")
    return ModelFile(weights, config, None if scales is None else tuple(scales), about)


def build_network(config: Config, input_dim: int, generator: Generator | None = None) -> FullyConnectedNN:
    """The network that a configuration asks for."""
    import torch

    from aitimestepper.networks import FullyConnectedNN

    calibrated = config.output_scale == "calibrated"
    # Steps of a twentieth of the pair time are a fair guess in any units; in absolute ones there is none.
    guess = 0.05 if config.output_scale == "physical" else None
    network = FullyConnectedNN(
        input_dim,
        output_dim=len(HEADS) if calibrated else 2,
        hidden_dims=config.hidden_dims,
        activation=config.activation,
        dropout=config.dropout,
        fourier_scale=config.fourier_scale,
        fourier_dim=config.fourier_dim,
        initial_output=guess,
        dtype=getattr(torch, config.dtype),
        generator=generator,
    )
    if calibrated:
        with torch.no_grad():
            network.state_dict()[f"layers.{len(network.layers) - 1}.bias"].fill_(_FIRST_FACTOR)
    return network


def load_stepper(path: Path | str) -> LoadedStepper:
    """The network and the adapter of a model file, or of a run directory, in evaluation mode.

    Raises:
        CheckpointError: as for `read_model`, or the weights do not fit the network that the file describes.
    """
    from aitimestepper.features.build import feature_length
    from aitimestepper.features.scales import NormScales
    from aitimestepper.model_adapter import ModelAdapter

    file = read_model(path)
    adapter = ModelAdapter(file.config)
    if file.scales is not None:
        adapter.norm_scales = NormScales(*file.scales)
    model = build_network(file.config, feature_length(file.config.feature_type, file.config.history_len))
    load_weights(model, file.weights, model_path(path))
    model.eval()
    return LoadedStepper(model, adapter, file.config)


def load_weights(model: FullyConnectedNN, weights: Mapping[str, Any], path: Path) -> None:
    """Put weights into a network of the same sizes.

    Raises:
        CheckpointError: names or shapes differ.
    """
    import torch

    expected = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    found = {name: tuple(array.shape) for name, array in weights.items()}
    for name in expected.keys() | found.keys():
        if expected.get(name) != found.get(name):
            raise CheckpointError(
                f"{path} holds a network of another size: {name} is {found.get(name, 'missing')}, "
                f"the configuration asks for {expected.get(name, 'none')}"
            )
    model.load_state_dict({name: torch.as_tensor(array) for name, array in weights.items()})
