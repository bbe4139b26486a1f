"""Model files: weights with all that is needed to use them, readable without torch.

A safetensors file holds the weights as arrays and, in its header, JSON texts: the format number, the configuration,
the scales of the features and where the weights come from. Nothing in it is executed when it is read. What a resumed
training needs beside it is in `training.session.resume`.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aitimestepper._version import __version__
from aitimestepper.config.schema import Config
from aitimestepper.constants import TRAITS
from aitimestepper.errors import CheckpointError, ConfigError
from aitimestepper.inputs import WEIGHTS, content_of
from aitimestepper.names import MODEL_FILE
from aitimestepper.outputs import write_atomically

FORMAT = "aitimestepper-model"
VERSION = 1
DEFAULT_MODEL = Path(__file__).parent / "calibrated.safetensors"
"""The calibrated weights that come with the package."""

RANGES = "ranges"
"""Entry of `about`, of weights that learned single steps: lowest and highest value of each feature of the current state
(or of the newest interval) among the states in the replay memory at the end."""

OWN = "own"
"""Entry of `about`, of weights that the package cannot build the network of: the classes of network and adapter."""

_SCALES = {"absolute": 4, "physical": 4, "calibrated": 2 * TRAITS}
_DAMAGED = (LookupError, ValueError, TypeError, AttributeError, ArithmeticError, RecursionError, MemoryError)
"""What is raised over a header that is not what it should be."""

_LENGTH_BYTES = 8
"""A safetensors file begins with the length of its header, a little-endian integer."""


class ModelFile(NamedTuple):
    """What a model file holds.

    Attributes:
        weights: arrays by the name of their layer.
        config: the configuration that the weights were trained with.
        scales: L0, V0, A0, T0 of the features, or of calibrated weights the lowest and then the highest values that
            they were trained on; None where none have been fixed yet.
        about: origin of the weights: epoch, version of the package, initial conditions.
        digest: SHA-256 of the file, by which it is known again; empty for weights that were not read from one.
    """

    weights: dict[str, NDArray[Any]]
    config: Config
    scales: tuple[float, ...] | None
    about: dict[str, Any]
    digest: str = ""

    @property
    def calibrated(self) -> bool:
        """Whether the weights choose steps for a tolerance of the run, rather than single steps."""
        return self.config.output_scale == "calibrated"


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
    arrays = {name: np.asarray(array, order="C") for name, array in file.weights.items()}
    write_atomically(path, save(arrays, metadata=header))


def model_path(path: Path | str | None) -> Path:
    """The model file that a path means: itself, the one in a run directory, or for None the package's own."""
    if path is None:
        return DEFAULT_MODEL
    path = Path(path)
    return path / MODEL_FILE if path.is_dir() else path


def read_model(path: Path | str | None, *, own: bool = False) -> ModelFile:
    """Read a model file, or that of a run directory, without torch and without executing anything.

    Args:
        path: as for `model_path`.
        own: whether it may hold weights of a network that the package cannot build.

    Raises:
        CheckpointError: it is missing, damaged, foreign, or of another version; or of a network of one's own.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = model_path(path)
    if not path.exists():
        raise CheckpointError(f"no model file at {path}")
    try:
        content = content_of(path, WEIGHTS)
        header = _header_in(content)
        weights = load(content)
    except OSError as error:
        raise CheckpointError(f"cannot read the model file {path}: {error.strerror}") from None
    except (SafetensorError, *_DAMAGED) as error:
        raise CheckpointError(f"{path} is damaged or no safetensors file: {error}") from None
    if header.get("format") != FORMAT:
        raise CheckpointError(f"{path} is a safetensors file, but not a model of this package")
    if header.get("version") != str(VERSION):
        raise CheckpointError(f"{path} has format version {header.get('version')}, this package reads {VERSION}")
    try:
        file = _decoded(weights, header)._replace(digest=hashlib.sha256(content).hexdigest())
    except (ConfigError, *_DAMAGED) as error:
        raise CheckpointError(f"{path} is damaged: {error}") from None
    if OWN in file.about and not own:
        raise CheckpointError(
            f"{path} holds weights of {file.about[OWN]}, which the package cannot build: put them into your own with "
            "load_own_weights (docs: Your own network, your own features)"
        )
    return file


def _header_in(content: bytes) -> dict[str, str]:
    """The texts in the header of a safetensors file, whose arrays have been found to be weights.

    Raises:
        ValueError, and others of `_DAMAGED`: it is none, or has other arrays.
    """
    length = int.from_bytes(content[:_LENGTH_BYTES], "little")
    header = dict(json.loads(content[_LENGTH_BYTES : _LENGTH_BYTES + length]))
    texts = dict(header.pop("__metadata__", None) or {})
    for name, entry in header.items():
        if entry["dtype"] not in ("F32", "F64"):
            raise ValueError(f"{name} is of type {entry['dtype']}; weights are F32 or F64")
    return texts


def _decoded(weights: dict[str, NDArray[Any]], header: Mapping[str, str]) -> ModelFile:
    """The contents, if they are what a training leaves.

    Raises:
        ConfigError, ValueError, and others of `_DAMAGED`: they are not.
    """
    config = Config(**json.loads(header["config"]))
    for name, array in weights.items():
        if not np.isfinite(array).all():
            raise ValueError(f"{name} has a number that is not finite")
    scales, about = json.loads(header["scales"]), dict(json.loads(header["about"]))
    if scales is not None:
        scales = tuple(_numbers("scales", scales, _SCALES[config.output_scale]))
    if config.output_scale != "calibrated":
        if scales is not None and not min(scales) > 0.0:
            raise ValueError(f"scales must be > 0, got {min(scales):g}")
    elif scales is None or not all(low < high for low, high in zip(scales[:TRAITS], scales[TRAITS:], strict=True)):
        raise ValueError("scales must be lowest and highest values that differ")
    return ModelFile(weights, config, scales, about)


def _numbers(name: str, values: Any, count: int) -> list[float]:
    sound = isinstance(values, list) and len(values) == count
    if not sound or not all(type(value) in (int, float) and math.isfinite(value) for value in values):
        raise ValueError(f"{name} must be {count} finite numbers")
    return [float(value) for value in values]
