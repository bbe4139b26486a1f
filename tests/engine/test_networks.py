"""The engine's network is the torch network with the same weights."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aitimestepper import FullyConnectedNN
from aitimestepper.engine import networks as compiled_network
from aitimestepper.engine.networks import Network, exponential, first_output
from aitimestepper.model.networks import FourierFeatures

ACTIVATIONS = {
    "tanh": compiled_network.TANH,
    "relu": compiled_network.RELU,
    "silu": compiled_network.SILU,
    "sigmoid": compiled_network.SIGMOID,
}


def arrays_of(model: FullyConnectedNN, activation: str) -> Network:
    """The flat weights that `Network` describes."""
    n_frequencies, weights, widths = 0, [], []
    for layer in model.layers:
        if isinstance(layer, FourierFeatures):
            n_frequencies = layer.frequencies.shape[1]
            weights.append(layer.frequencies)
        elif isinstance(layer, torch.nn.Linear):
            weights += [layer.weight.T, layer.bias]
            widths.append(layer.in_features)
    sizes = np.array([model.input_dim, n_frequencies, *widths, model.output_dim])
    numbers = np.concatenate([tensor.detach().numpy().reshape(-1) for tensor in weights])
    return Network(sizes, numbers, ACTIVATIONS[activation])


def output_of(network: Network, features) -> float:
    widest = max(network.widths)
    layers = np.full((2, widest), np.nan)
    layers[0, : len(features)] = features
    return first_output(network, layers)


@pytest.mark.parametrize("fourier_dim", [0, 1, 6])
@pytest.mark.parametrize(
    ("n_features", "hidden"),
    [(10, (32, 32)), (11, (7,)), (23, (33, 5, 18)), (1, (1,)), (3, (2, 3)), (10, (64,)), (13, ())],
)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_outputs_are_those_of_the_torch_network(activation, n_features, hidden, fourier_dim):
    generator = torch.Generator().manual_seed(n_features)
    model = FullyConnectedNN(
        n_features, hidden_dims=hidden, activation=activation, fourier_dim=fourier_dim, generator=generator
    )
    network = arrays_of(model, activation)
    features = torch.randn(8, n_features, dtype=torch.float64, generator=generator)
    features[-1] *= 30.0
    expected = model(features)[:, 0].tolist()
    assert [output_of(network, row) for row in features] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_outputs_are_right_where_units_saturate(activation):
    model = FullyConnectedNN(2, hidden_dims=(5,), activation=activation, generator=torch.Generator().manual_seed(1))
    network = arrays_of(model, activation)
    for size in (1e-12, 1e-3, 1e2, 1e3, 1e5):
        features = torch.tensor([size, -2.0 * size], dtype=torch.float64)
        assert output_of(network, features) == pytest.approx(model(features)[0].item(), rel=1e-11)


@pytest.mark.parametrize("output", [-800.0, -745.0, -40.0, -1.0, 0.0, 19.9, 20.0, 20.1, 1e4])
def test_the_softplus_over_its_whole_range(output):
    network = Network(np.array([1, 0, 1, 1]), np.array([0.0, output]), compiled_network.TANH)
    tensor = torch.tensor(output, dtype=torch.float64)
    assert output_of(network, [1.0]) == pytest.approx(torch.nn.functional.softplus(tensor).item(), rel=1e-13)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_what_is_not_a_number_stays_so(activation):
    model = FullyConnectedNN(6, hidden_dims=(9, 4), activation=activation)
    features = np.ones(6)
    features[3] = np.nan
    assert np.isnan(output_of(arrays_of(model, activation), features))


def errors_in_last_places(arguments):
    values = arguments.copy()
    exponential(values)
    exact = np.exp(arguments.astype(np.longdouble))
    return np.abs((values - exact) / np.spacing(exact.astype(float)).astype(np.longdouble))


def test_the_exponential_is_right_to_two_units_in_the_last_place():
    rng = np.random.default_rng(0)
    near_halves = (np.arange(-1021, 1022) + 0.5) * np.log(2.0)
    near_halves = near_halves[np.abs(near_halves) < 708.0]
    for arguments in (
        np.linspace(-708.0, 708.0, 200_001),
        rng.uniform(-1.0, 1.0, 100_000),
        rng.normal(size=100_000) * 1e-9,
        np.concatenate([np.nextafter(near_halves, side) for side in (-np.inf, np.inf)]),
        np.array([0.0, -0.0, 708.0, -708.0, 5e-324]),
    ):
        assert errors_in_last_places(arguments).max() <= 2.0


@pytest.mark.parametrize("n", range(1, 20))
def test_the_exponential_of_any_number_of_numbers(n):
    arguments = np.linspace(-3.0, 50.0, n)
    assert errors_in_last_places(arguments).max() <= 2.0


def test_the_exponential_is_cut_far_out():
    values = np.array([-np.inf, -1e4, -709.0, 709.0, 1e300, np.inf])
    exponential(values)
    np.testing.assert_allclose(values, np.exp([-708.0] * 3 + [708.0] * 3), rtol=1e-15)
