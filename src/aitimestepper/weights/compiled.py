"""Weights of a model file as arrays of the engine."""

from __future__ import annotations

import re

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.config.schema import Config
from aitimestepper.constants import ENERGY_ERROR_ORDER, TRAITS
from aitimestepper.engine import networks
from aitimestepper.engine.features.scales import scales_of
from aitimestepper.engine.features.summary import CODES as FEATURES
from aitimestepper.engine.features.summary import WIDTHS, Sight
from aitimestepper.engine.networks import Network
from aitimestepper.engine.physics.law import Law
from aitimestepper.engine.run.plan import Control, Learner
from aitimestepper.errors import CheckpointError
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.weights.calibrated import HEADS
from aitimestepper.weights.file import RANGES, ModelFile

_LEAST_CORRECTION = 1e-5
"""Factor on the network's step below which errors shorten it no more. At 0.01 planets that met went on without control:
one of twelve exceeded a tolerance of 1e-3 64-fold."""

_ALIKE = 0.1
"""Part of a feature's largest value by which states differ that count as alike for weights of one's own: on one orbit
some features are conserved, and the energy error of a long run moves them out of a range without width. Chosen."""
_OUTPUTS = 2
"""Of a network on single steps: the step, and its predicted error."""


def control_of(model: ModelFile, config: Config) -> Control:
    """What a calibrated run is held to, and the network that chooses its step.

    Raises:
        CheckpointError: the weights do not fit the network that the file describes.
    """
    assert model.scales is not None
    assert config.tolerance is not None
    assert config.order is not None
    low, high = np.array(model.scales).reshape(2, TRAITS)
    automatic = config.integrator == "auto"
    head = HEADS.index(("ttl" if automatic else config.integrator, config.order))
    power = 1.0 / config.order
    return Control(
        with_ranges(network_of(model, head), low, high),
        low,
        high,
        config.tolerance,
        float(config.order),
        config.tolerance**power,
        config.tolerance_kind == "run",
        config.tolerance_kind != "step",
        _LEAST_CORRECTION,
        automatic,
    )


def with_ranges(network: Network, low: Floats, high: Floats) -> Network:
    """A network that takes descriptions of states as they are, in place of their place within [low, high]."""
    n_in, n_out = network.widths[2], network.widths[3]
    first = network.weights[: (n_in + 1) * n_out].reshape(n_in + 1, n_out).copy()
    half = 0.5 * (high - low)
    first[n_in] -= (0.5 * (low + high) / half) @ first[:TRAITS]
    first[:TRAITS] /= half[:, None]
    rest = network.weights[(n_in + 1) * n_out :]
    return network._replace(weights=np.concatenate([first.reshape(-1), rest]))


def learner_of(model: ModelFile, system: InitialConditions, law: Law, tolerance: float | None) -> Learner:
    """The network of a model file, and what it looks at, as arrays.

    A tolerance scales the steps, which were trained to stay below the energy threshold, by the cube root of the ratio.

    Raises:
        CheckpointError: the weights do not fit the network that the file describes.
    """
    config = model.config
    kind = FEATURES[config.feature_type]
    scales = model.scales
    if not config.normalize_inputs or config.feature_type == "invariant":
        scales = (1.0, 1.0, 1.0, 1.0)
    elif scales is None:
        scales = scales_of(system.mass, system.position, system.velocity, law)
    sight = Sight(kind, config.history_len, system.n_dims, *(float(scale) for scale in scales))
    ratio = 1.0 if tolerance is None else tolerance / config.energy_threshold
    factor = float(ratio ** (1.0 / ENERGY_ERROR_ORDER))
    low, high = _ranges_of(model, WIDTHS[kind])
    return Learner(sight, network_of(model), config.output_scale == "physical", factor, low, high)


def _ranges_of(model: ModelFile, width: int) -> tuple[Floats, Floats]:
    """Lowest and highest values of each feature in the training; empty where the file does not say.

    Raises:
        CheckpointError: they are not those of this many features.
    """
    if RANGES not in model.about:
        return np.zeros(0), np.zeros(0)
    try:
        ranges = np.array(model.about[RANGES], dtype=np.float64)
    except (TypeError, ValueError):
        ranges = np.zeros(0)
    if ranges.shape != (2, width) or not np.isfinite(ranges).all():
        raise CheckpointError(f"the model file is damaged: {RANGES} are not two finite numbers for each feature")
    alike = _ALIKE * np.abs(ranges).max(0)
    return ranges[0] - alike, ranges[1] + alike


def network_of(model: ModelFile, head: int = 0) -> Network:
    """The network as arrays, with the output `head` in column 0.

    Raises:
        CheckpointError: the weights do not fit the network that the file describes.
    """
    config = model.config
    if model.calibrated:
        n_features = TRAITS + 1
    else:
        n_features = WIDTHS[FEATURES[config.feature_type]] * (
            config.history_len if config.feature_type == "delta_mag" else config.history_len + 1
        )
    arrays = {name: np.asarray(array, dtype=np.float64) for name, array in model.weights.items()}
    frequencies = arrays.pop("layers.0.frequencies", np.zeros((n_features, 0)))
    found = (re.fullmatch(r"layers\.(\d{1,9})\.(weight|bias)", name) for name in arrays)
    numbers = sorted({int(match[1]) for match in found if match})
    parts = [(f"layers.{number}.weight", f"layers.{number}.bias") for number in numbers]
    if arrays.keys() != {name for pair in parts for name in pair} or len(parts) != len(config.hidden_dims) + 1:
        raise _other_size(", ".join(sorted(arrays)) or "nothing", f"{len(config.hidden_dims) + 1} layers")
    layers = [(arrays[weight], arrays[bias]) for weight, bias in parts]
    if frequencies.shape != (n_features, config.fourier_dim):
        raise _other_size(frequencies.shape, (n_features, config.fourier_dim))
    n_outputs = len(HEADS) if model.calibrated else _OUTPUTS
    units = [n_features + 2 * config.fourier_dim, *config.hidden_dims, n_outputs]
    for (weight, bias), shape in zip(layers, zip(units[1:], units[:-1], strict=True), strict=True):
        if weight.shape != shape or bias.shape != shape[:1]:
            raise _other_size(weight.shape, shape)
    weight, bias = layers[-1]
    layers[-1] = np.roll(weight, -head, axis=0), np.roll(bias, -head)
    return networks.network_of(frequencies, layers, config.activation)


def _other_size(found: object, expected: object) -> CheckpointError:
    return CheckpointError(
        f"the model file holds a network of another size than its configuration asks for: found {found}, "
        f"expected {expected}"
    )
