"""A network with its derivative, and Adam, on the weights that `engine.networks` has.

The forward pass of a run and this one differ on purpose: the former needs one output and no slopes, and adds in another
order. The layout of the weights is the same.

One sample at a time: the networks are small, and what one sample needs stays in the nearest cache.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import compiled, compiled_fused, compiled_sums, inlined
from aitimestepper.engine.networks import RELU, SILU, TANH, Network, exp, layer, softplus


class Perceptron(NamedTuple):
    """A network that is being trained; all but its Fourier frequencies, which stand before the P weights of its layers.

    Attributes:
        network: its weights are changed in place.
        gradient: (P,), summed over samples.
        mean, square: (P,) Adam's running means of the gradient and of its square.
        steps: (1,) steps that Adam has made.
    """

    network: Network
    gradient: Floats
    mean: Floats
    square: Floats
    steps: NDArray[np.int64]


class Adam(NamedTuple):
    """Adam's settings, as in `torch.optim.Adam`.

    Attributes:
        rate: learning rate.
        first, second: decay rates of the two running means.
        epsilon: added to the root of the second.
        decay: weight decay.
        decoupled: whether it acts on the weights themselves (AdamW) rather than on the gradient.
    """

    rate: float
    first: float
    second: float
    epsilon: float
    decay: float
    decoupled: bool


@compiled
def count_units(perceptron: Perceptron) -> int:
    """U: numbers that one sample leaves in all layers, inputs and outputs included."""
    total = 0
    for width in perceptron.network.widths[2:]:
        total += width
    return total


@inlined
def _activate(values: Floats, slopes: Floats, activation: int) -> None:
    """The activation of each number, in place, and its derivative there."""
    n = values.shape[0]
    if activation == TANH:
        for i in range(n):
            power = exp(-2.0 * values[i])
            value = (1.0 - power) / (1.0 + power)
            values[i], slopes[i] = value, 1.0 - value * value
    elif activation == RELU:
        for i in range(n):
            slopes[i] = 1.0 if values[i] > 0.0 else 0.0
            values[i] = values[i] if values[i] > 0.0 else 0.0
    elif activation == SILU:
        for i in range(n):
            gate = 1.0 / (1.0 + exp(-values[i]))
            slopes[i] = gate * (1.0 + values[i] * (1.0 - gate))
            values[i] *= gate
    else:
        for i in range(n):
            value = 1.0 / (1.0 + exp(-values[i]))
            values[i], slopes[i] = value, value * (1.0 - value)


@compiled_fused
def forward(perceptron: Perceptron, values: Floats, slopes: Floats) -> None:
    """The outputs of one sample, after the softplus, at the end of `values`.

    Args:
        perceptron: the network.
        values: (U,), the inputs, Fourier features included, at its beginning; filled with what every unit gives.
        slopes: (U,), filled with the derivative of every unit's activation.
    """
    widths, weights, at = perceptron.network.widths, perceptron.network.weights, 0
    start, last = widths[0] * widths[1], widths.shape[0] - 2
    for number in range(2, last + 1):
        n_in, n_out = widths[number], widths[number + 1]
        end, begin = start + (n_in + 1) * n_out, at + n_in
        outputs = values[begin : begin + n_out]
        layer(values[at:begin], weights[start:end], outputs)
        if number < last:
            _activate(outputs, slopes[begin : begin + n_out], perceptron.network.activation)
        start, at = end, begin
    for k in range(at, at + widths[last + 1]):
        slopes[k] = 1.0 if values[k] > 20.0 else 1.0 / (1.0 + math.exp(-values[k]))
        values[k] = softplus(values[k])


@compiled_sums
def backward(perceptron: Perceptron, values: Floats, slopes: Floats, deltas: Floats) -> None:
    """Add the gradient of one sample to the sum.

    Args:
        perceptron: the network; its `gradient` is added to.
        values, slopes: (U,), as `forward` left them.
        deltas: (U,), the derivative of the loss by the outputs at its end; the rest is scratch.
    """
    widths, gradient = perceptron.network.widths, perceptron.gradient
    weights = perceptron.network.weights[widths[0] * widths[1] :]
    last = widths.shape[0] - 1
    end, at = weights.shape[0], values.shape[0]
    for k in range(at - widths[last], at):
        deltas[k] *= slopes[k]
    for number in range(last - 1, 1, -1):
        n_in, n_out = widths[number], widths[number + 1]
        begin, start = at - n_out, end - (n_in + 1) * n_out
        delta = deltas[begin:at]
        _by_weights(values[begin - n_in : begin], delta, gradient[start:end])
        if number > 2:
            _by_inputs(deltas[begin - n_in : begin], slopes[begin - n_in : begin], delta, weights[start:end])
        end, at = start, begin


@inlined
def _by_weights(inputs: Floats, delta: Floats, gradient: Floats) -> None:
    n_in, n_out = inputs.shape[0], delta.shape[0]
    for i in range(n_in):
        value, row = inputs[i], gradient[i * n_out : (i + 1) * n_out]
        for o in range(n_out):
            row[o] += value * delta[o]
    bias = gradient[n_in * n_out :]
    for o in range(n_out):
        bias[o] += delta[o]


@inlined
def _by_inputs(out: Floats, slopes: Floats, delta: Floats, weights: Floats) -> None:
    n_out = delta.shape[0]
    for i in range(out.shape[0]):
        row = weights[i * n_out : (i + 1) * n_out]
        total = 0.0
        for o in range(n_out):
            total += row[o] * delta[o]
        out[i] = total * slopes[i]


@compiled_sums
def gradient_size(perceptron: Perceptron) -> float:
    """Euclidean length of the gradient."""
    total = 0.0
    for value in perceptron.gradient:
        total += value * value
    return math.sqrt(total)


@compiled
def step_down(perceptron: Perceptron, adam: Adam, count: float) -> None:
    """One step of Adam down the mean gradient of `count` samples.

    Source: Kingma & Ba 2015, Adam, algorithm 1; Loshchilov & Hutter 2019 for the decoupled decay.
    """
    perceptron.steps[0] += 1
    steps = perceptron.steps[0]
    size = adam.rate / (1.0 - adam.first**steps)
    root = math.sqrt(1.0 - adam.second**steps)
    kept = 1.0 - adam.rate * adam.decay if adam.decoupled else 1.0
    added = 0.0 if adam.decoupled else adam.decay
    _descend(perceptron, adam, (1.0 / count, kept, added, size, root))


@compiled_fused
def _descend(perceptron: Perceptron, adam: Adam, factors: tuple[float, float, float, float, float]) -> None:
    network, gradient, mean, square, _ = perceptron
    weights = network.weights[network.widths[0] * network.widths[1] :]
    share, kept, added, size, root = factors
    new, newer, per_root = 1.0 - adam.first, 1.0 - adam.second, 1.0 / root
    for k in range(weights.shape[0]):
        slope = gradient[k] * share + added * weights[k]
        mean[k] += new * (slope - mean[k])
        square[k] = adam.second * square[k] + newer * slope * slope
        weights[k] = kept * weights[k] - size * mean[k] / (math.sqrt(square[k]) * per_root + adam.epsilon)
