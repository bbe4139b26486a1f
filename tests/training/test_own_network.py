"""Networks and features of one's own: what is refused at the start, what is saved, and how it is used again."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.conftest import kepler
from torch import nn

from aitimestepper import (
    CheckpointError,
    Config,
    FullyConnectedNN,
    InputError,
    LearnedStep,
    ModelAdapter,
    load_own_weights,
    load_stepper,
    reference_steps,
    run_two_phase_training,
    simulate,
    stack_particles,
)
from aitimestepper.cli.main import main
from aitimestepper.weights.file import read_model

CONFIG = Config(epochs=2, steps_per_epoch=3, replay_steps=5, energy_threshold=1e-2, feature_type="basic")


class Own(nn.Module):
    """A linear layer, a counter as BatchNorm has one, and an exponential."""

    def __init__(self, width: int = 11, outputs: int = 1, dtype: torch.dtype = torch.float64) -> None:
        super().__init__()
        self.layer = nn.Linear(width, outputs, dtype=dtype)
        nn.init.zeros_(self.layer.weight)
        self.register_buffer("seen", torch.tensor(7))

    def forward(self, features):
        return torch.exp(0.1 * self.layer(features) - 4.0)


class Doubled(ModelAdapter):
    """The basic features, twice."""

    def input_dim_from_state(self, state):
        return 22

    def build_feature_tensor(self, state, history_buffer=None):
        one = super().build_feature_tensor(state, history_buffer)
        return torch.cat([one, one], dim=-1)


def orbits():
    return stack_particles([kepler(e=0.2), kepler(e=0.4)])


def trained(model: nn.Module, adapter: ModelAdapter, save_dir=None):
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    return run_two_phase_training(model, orbits(), optimizer, adapter.config, adapter, save_dir=save_dir)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Own(5), "does not take 11 features, which these systems have"),
        (Own(dtype=torch.float32), "weights of the network are float32 and its features float64: build it in float64"),
        (nn.Sequential(nn.Linear(11, 1, dtype=torch.float64), nn.Flatten(0)), r"makes \(2,\) of features \(2, 11\)"),
        (nn.Sequential(Own(), nn.Threshold(1e9, -1.0)), "gives the step -1: steps must be > 0"),
        (FullyConnectedNN(12), "does not take 11 features"),
    ],
)
def test_a_network_that_does_not_fit_is_refused_in_a_sentence(model, message):
    adapter = ModelAdapter(Config(**{**CONFIG.explicit(), "output_scale": "absolute"}))
    with pytest.raises(InputError, match=message):
        trained(model, adapter, "own")


def test_single_precision_is_trained_where_the_adapter_has_it():
    result = trained(Own(dtype=torch.float32), ModelAdapter(CONFIG, dtype=torch.float32))
    assert result["epochs_completed"] == 2


@pytest.mark.parametrize(
    ("model", "adapter", "called"),
    [
        (Own(), ModelAdapter(CONFIG), "the network Own with the features of ModelAdapter"),
        (Own(22), Doubled(CONFIG), "the network Own with the features of Doubled"),
        (FullyConnectedNN(22, initial_output=0.05), Doubled(CONFIG), "the network FullyConnectedNN with the features"),
    ],
)
def test_what_the_package_cannot_build_is_saved_as_what_it_is(model, adapter, called, capsys):
    trained(model, adapter, "own")
    assert read_model("own", own=True).about["own"].startswith(called)
    with pytest.raises(CheckpointError, match=f"holds weights of {called}.*load_own_weights"):
        load_stepper("own")
    with pytest.raises(CheckpointError, match="which the package cannot build"):
        simulate("kepler", timestep="learned", model="own", steps=3)
    assert main(["export", "--format", "onnx", "--model", "own", "--output", "own.onnx"]) == 2
    told = capsys.readouterr().err
    assert "which the package cannot build" in told
    assert len(told.splitlines()) == 1


def test_a_network_of_the_package_is_saved_as_before():
    trained(FullyConnectedNN(11, hidden_dims=CONFIG.hidden_dims, initial_output=0.05), ModelAdapter(CONFIG), "ours")
    assert "own" not in read_model("ours").about
    load_stepper("ours")


def test_weights_of_ones_own_are_put_back_and_stepped_with():
    config = Config(**CONFIG.explicit(), normalize_inputs=True)
    model, adapter = Own(22), Doubled(config)
    trained(model, adapter, "own")
    again, other = Own(22), Doubled(config)
    again.seen.fill_(0)
    load_own_weights("own", again, other)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())
    assert other.norm_scales == adapter.norm_scales != (1.0, 1.0, 1.0, 1.0)
    frames = reference_steps(kepler(e=0.4), LearnedStep(again, other), 20)
    expected = reference_steps(kepler(e=0.4), LearnedStep(model, adapter), 20)
    assert np.array_equal(frames.position, expected.position)
    assert (frames.dt[1:] > 0).all()
    with pytest.raises(CheckpointError, match=r"layer\.weight is \(1, 22\), expected is \(1, 11\)"):
        load_own_weights("own", Own(), other)
