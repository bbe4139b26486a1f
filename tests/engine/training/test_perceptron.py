"""The compiled perceptron and Adam against torch's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aitimestepper import FullyConnectedNN
from aitimestepper.engine.training.perceptron import backward, forward, step_down
from aitimestepper.training.part_one.borrowed import borrowed

ACTIVATIONS = ["tanh", "relu", "silu", "sigmoid"]


def network(activation: str = "tanh", hidden: tuple[int, ...] = (7, 5), seed: int = 1) -> FullyConnectedNN:
    return FullyConnectedNN(6, hidden_dims=hidden, activation=activation, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(9,), (7, 5), (4, 8, 3)])
def test_outputs_and_gradients(activation, hidden):
    model = network(activation, hidden)
    generator = torch.Generator().manual_seed(2)
    inputs = 3.0 * torch.randn(10, 6, dtype=torch.float64, generator=generator)
    inputs[0] *= 20.0  # where the softplus is its argument
    weight = torch.randn(10, 2, dtype=torch.float64, generator=generator)
    expected = model(inputs)
    (expected * weight).sum().backward()
    with borrowed(model, torch.optim.Adam(model.parameters())) as (arrays, _):
        units = 6 + sum(hidden) + 2
        for row, wanted, share in zip(inputs.numpy(), expected.detach().numpy(), weight.numpy(), strict=True):
            values, slopes, deltas = np.empty(units), np.empty(units), np.empty(units)
            values[:6], deltas[-2:] = row, share
            forward(arrays, values, slopes)
            np.testing.assert_allclose(values[-2:], wanted, rtol=1e-13)
            backward(arrays, values, slopes, deltas)
        found, begin = arrays.gradient, 0
        for layer in model.layers[::2]:
            size = layer.weight.numel()
            weights = found[begin : begin + size].reshape(layer.weight.shape[::-1]).T
            np.testing.assert_allclose(weights, layer.weight.grad, rtol=1e-10, atol=1e-12)
            begin += size + len(layer.bias)
            np.testing.assert_allclose(found[begin - len(layer.bias) : begin], layer.bias.grad, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: torch.optim.Adam(p, lr=0.01),
        lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1, betas=(0.8, 0.9), eps=1e-4),
        lambda p: torch.optim.AdamW(p, lr=0.02, weight_decay=0.3),
        lambda p: torch.optim.AdamW(p, lr=0.02, weight_decay=0.3, fused=True),
    ],
)
def test_adam(make):
    mine, theirs = network(), network()
    my_adam, their_adam = make(mine.parameters()), make(theirs.parameters())
    rng = np.random.default_rng(3)
    for block in range(3):
        gradients = rng.normal(size=(5, sum(p.numel() for p in mine.parameters())))
        with borrowed(mine, my_adam) as (arrays, settings):
            for gradient in gradients:
                arrays.gradient[:] = 4.0 * gradient  # of four samples
                step_down(arrays, settings, 4.0)
        for gradient in gradients:
            begin = 0
            for layer in theirs.layers[::2]:
                size = layer.weight.numel()
                flat = torch.from_numpy(gradient[begin : begin + size])
                layer.weight.grad = flat.reshape(layer.weight.shape[::-1]).T.contiguous()
                begin += size + len(layer.bias)
                layer.bias.grad = torch.from_numpy(gradient[begin - len(layer.bias) : begin])
            their_adam.step()
        for one, other in zip(mine.parameters(), theirs.parameters(), strict=True):
            assert torch.allclose(one, other, rtol=1e-12, atol=1e-15), block
            ours, others = my_adam.state[one], their_adam.state[other]
            assert ours["step"] == others["step"] == 5 * (block + 1)
            assert torch.allclose(ours["exp_avg"], others["exp_avg"], rtol=1e-12)
            assert torch.allclose(ours["exp_avg_sq"], others["exp_avg_sq"], rtol=1e-12)
