"""Weights and moments of a torch module and its optimiser, lent to the compiled loop.

They are taken out as arrays before, and put back after, so that between two calls nothing shows which loop ran.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from aitimestepper.arrays import Floats
from aitimestepper.engine.networks import flat_layers, network_of
from aitimestepper.engine.training.perceptron import Adam, Perceptron
from aitimestepper.model.networks import FourierFeatures, FullyConnectedNN


def why_not_borrowed(model: nn.Module, optimizer: torch.optim.Optimizer) -> str | None:
    """Why network and optimiser cannot be trained compiled; None if they can."""
    if type(model) is not FullyConnectedNN or not model.output_positive or _has_hooks(model):
        return "the network is no plain multilayer perceptron"
    if any(p.dtype != torch.float64 or p.device.type != "cpu" or not p.requires_grad for p in model.parameters()):
        return "the weights are not all trained in double precision on the CPU"
    return _why_not_adam(optimizer, model)


def _has_hooks(model: nn.Module) -> bool:
    return any(m._forward_hooks or m._forward_pre_hooks or m._backward_hooks for m in model.modules())


def _why_not_adam(optimizer: torch.optim.Optimizer, model: nn.Module) -> str | None:
    if type(optimizer) not in (torch.optim.Adam, torch.optim.AdamW):
        return "the optimiser is not Adam"
    settings = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    if any(group[key] for group in settings for key in ("amsgrad", "maximize", "differentiable")):
        return "Adam has a setting that only torch knows"
    if any(group != settings[0] for group in settings):
        return "the optimiser has groups with settings of their own"
    trained = [id(p) for group in optimizer.param_groups for p in group["params"]]
    if sorted(trained) != sorted(id(p) for p in model.parameters()):
        return "the optimiser trains other weights than the network's"
    if len({int(state["step"]) for state in optimizer.state.values()}) > 1 or len(optimizer.state) not in (
        0,
        len(trained),
    ):
        return "the optimiser has made different numbers of steps for different weights"
    return None


def _linear(model: FullyConnectedNN) -> list[nn.Linear]:
    return [layer for layer in model.layers if isinstance(layer, nn.Linear)]


@contextmanager
def borrowed(model: FullyConnectedNN, optimizer: torch.optim.Optimizer) -> Iterator[tuple[Perceptron, Adam]]:
    """Network and optimiser as arrays; what has become of them is put back at the end, whatever happens."""
    layers, first = _linear(model), model.layers[0]
    group = optimizer.param_groups[0]
    parts = [(_array(layer.weight), _array(layer.bias)) for layer in layers]
    frequencies = first.frequencies.numpy() if isinstance(first, FourierFeatures) else np.zeros((model.input_dim, 0))
    steps = {int(state["step"]) for state in optimizer.state.values()} or {0}
    gradient = np.zeros_like(flat_layers(parts))

    def moments(key: str) -> Floats:
        of = optimizer.state
        if not of:
            return np.zeros_like(gradient)
        return flat_layers((_array(of[layer.weight][key]), _array(of[layer.bias][key])) for layer in layers)

    network = network_of(frequencies, parts, model.activation)
    perceptron = Perceptron(network, gradient, moments("exp_avg"), moments("exp_avg_sq"), np.array([steps.pop()]))
    adam = Adam(
        rate=float(group["lr"]),
        first=float(group["betas"][0]),
        second=float(group["betas"][1]),
        epsilon=float(group["eps"]),
        decay=float(group["weight_decay"]),
        decoupled=type(optimizer) is torch.optim.AdamW or bool(group.get("decoupled_weight_decay")),
    )
    try:
        yield perceptron, adam
    finally:
        _put_back(perceptron, layers, optimizer)


def _array(tensor: Tensor) -> Floats:
    return tensor.detach().numpy()


@torch.no_grad()
def _put_back(perceptron: Perceptron, layers: list[nn.Linear], optimizer: torch.optim.Optimizer) -> None:
    if perceptron.steps[0] == 0:
        return
    weights = perceptron.network.weights[-len(perceptron.gradient) :]
    begin = 0
    for layer in layers:
        for parameter in (layer.weight, layer.bias):
            end = begin + parameter.numel()

            def shaped(flat: Floats, parameter: Tensor = parameter, begin: int = begin, end: int = end) -> Tensor:
                piece = torch.from_numpy(flat[begin:end])
                return piece.reshape(parameter.T.shape).T if parameter.ndim == 2 else piece

            parameter.copy_(shaped(weights))
            state = optimizer.state[parameter]
            if not state:
                state["step"] = torch.tensor(0.0)
                state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
            state["step"].fill_(float(perceptron.steps[0]))
            state["exp_avg"].copy_(shaped(perceptron.mean))
            state["exp_avg_sq"].copy_(shaped(perceptron.square))
            begin = end
