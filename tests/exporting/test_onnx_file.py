"""Models as ONNX, run by onnxruntime."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from aitimestepper import Config, FullyConnectedNN, OutputExistsError
from aitimestepper.constants import TRAITS
from aitimestepper.exporting import export_onnx
from aitimestepper.model.loading import build_network
from aitimestepper.weights.calibrated import HEADS
from aitimestepper.weights.file import ModelFile, read_model

onnxruntime = pytest.importorskip("onnxruntime")


def session(path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


@pytest.mark.parametrize("activation", ["tanh", "relu", "silu", "sigmoid"])
@pytest.mark.parametrize("fourier", [0, 3])
def test_outputs_are_those_of_torch_for_any_number_of_states(activation, fourier, tmp_path):
    config = Config(feature_type="rich", activation=activation, hidden_dims=(11, 6), fourier_dim=fourier)
    network = build_network(config, 23, torch.Generator().manual_seed(2))
    assert isinstance(network, FullyConnectedNN)
    weights = {key: tensor.numpy() for key, tensor in network.state_dict().items()}
    path = export_onnx(ModelFile(weights, config, None, {}), tmp_path / "own.onnx")
    run = session(path)
    for n_states in (1, 5):
        features = np.random.default_rng(n_states).normal(size=(n_states, 23))
        (found,) = run.run(None, {"features": features})
        with torch.no_grad():
            expected = network(torch.from_numpy(features)).numpy()
        assert found.dtype == np.float64
        assert found.shape == (n_states, 2)
        assert np.allclose(found, expected, rtol=1e-12, atol=0)


def test_calibrated_weights_and_what_the_file_says_of_itself(tmp_path):
    model = read_model(None)
    run = session(export_onnx(model, tmp_path / "default.onnx"))
    low, high = np.array(model.scales).reshape(2, TRAITS)
    state = np.append(0.3 * low + 0.7 * high, -1.0)
    (found,) = run.run(None, {"features": state[None]})
    network = build_network(model.config, TRAITS + 1, torch.Generator(), output_dim=len(HEADS))
    network.load_state_dict({key: torch.from_numpy(np.array(value)) for key, value in model.weights.items()})
    place = np.append((state[:-1] - 0.5 * (low + high)) / (0.5 * (high - low)), -1.0)
    with torch.no_grad():
        expected = network(torch.from_numpy(place[None])).numpy()
    assert found.shape == (1, len(HEADS))
    assert np.allclose(found, expected, rtol=1e-10)
    about = run.get_modelmeta().custom_metadata_map
    assert json.loads(about["output_scale"]) == "calibrated"
    assert json.loads(about["scales"]) == list(model.scales)


def test_a_file_is_not_replaced_unasked(tmp_path):
    export_onnx(read_model(None), tmp_path / "a.onnx")
    with pytest.raises(OutputExistsError, match="set overwrite"):
        export_onnx(read_model(None), tmp_path / "a.onnx")
    export_onnx(read_model(None), tmp_path / "a.onnx", overwrite=True)
