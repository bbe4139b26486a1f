"""Twin of `networks`: from features to the network's first output, the step.

Everything is written for vector units: the layers as sums of columns, and an exponential of our own, since the
library's is called number by number and takes most of the time of a small network.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aitimestepper.arrays import Floats
from aitimestepper.engine.compilation import bits_of, compiled_fused, float_of, inlined

TANH, RELU, SILU, SIGMOID = range(4)
CODES = {"tanh": TANH, "relu": RELU, "silu": SILU, "sigmoid": SIGMOID}
"""Of activations, by the name that a user types."""

_LOG2_E = 1.4426950408889634
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_LARGEST_EXPONENT = 708.0
_TAYLOR = tuple(1.0 / math.factorial(k) for k in range(14))
_TO_WHOLE = 1.5 * 2.0**52
"""Added to a number of moderate size, it leaves the nearest whole number in the low bits of the sum: vector units have
neither a rounding to integers of 64 bits nor a conversion from them."""


class Network(NamedTuple):
    """A trained network as plain arrays.

    Attributes:
        widths: (L + 2,) numbers of features and of Fourier frequencies, then of units from the first layer's inputs
            to the outputs.
        weights: (features, frequencies) Fourier frequencies, then for each layer (in, out) weights and (out,) biases,
            flat, one after the other.
        activation: code of the hidden layers.
    """

    widths: NDArray[np.int64]
    weights: Floats
    activation: int


def flat_layers(layers: Iterable[tuple[Floats, Floats]]) -> Floats:
    """(out, in) weights and (out,) biases of all layers as `Network` has them."""
    return np.concatenate([part for weight, bias in layers for part in (weight.T.reshape(-1), bias)])


def network_of(frequencies: Floats, layers: Sequence[tuple[Floats, Floats]], activation: str) -> Network:
    """A network from its parts.

    Args:
        frequencies: (features, K) of the Fourier features, K = 0 for none.
        layers: (out, in) weights and (out,) biases of each.
        activation: name of that of the hidden layers.
    """
    units = [layers[0][0].shape[1], *(len(bias) for _, bias in layers)]
    weights = np.concatenate([frequencies.reshape(-1), flat_layers(layers)])
    return Network(np.array([*frequencies.shape, *units]), weights, CODES[activation])


@inlined
def exp(x: float) -> float:
    """exp(x) = 2^k exp(r) with |r| <= ln(2) / 2 (Cody & Waite 1980), exp(r) by its Taylor series, 2^k by its bits."""
    x = -_LARGEST_EXPONENT if x < -_LARGEST_EXPONENT else x
    x = _LARGEST_EXPONENT if x > _LARGEST_EXPONENT else x
    shifted = x * _LOG2_E + _TO_WHOLE
    k = shifted - _TO_WHOLE
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    total = _TAYLOR[13]
    total = total * r + _TAYLOR[12]
    total = total * r + _TAYLOR[11]
    total = total * r + _TAYLOR[10]
    total = total * r + _TAYLOR[9]
    total = total * r + _TAYLOR[8]
    total = total * r + _TAYLOR[7]
    total = total * r + _TAYLOR[6]
    total = total * r + _TAYLOR[5]
    total = total * r + _TAYLOR[4]
    total = total * r + _TAYLOR[3]
    total = total * r + 0.5
    total = total * r + 1.0
    total = total * r + 1.0
    return total * float_of((bits_of(shifted) + 1023) << 52)


@compiled_fused
def exponential(values: Floats) -> None:
    """exp of each number, in place, to 2 units in the last place; arguments are cut at +-708."""
    for i in range(values.shape[0]):
        values[i] = exp(values[i])


@inlined
def _activate(values: Floats, activation: int) -> None:
    """The activation of each number, in place."""
    n = values.shape[0]
    if activation == TANH:
        for i in range(n):
            power = exp(-2.0 * values[i])
            values[i] = (1.0 - power) / (1.0 + power)
    elif activation == RELU:
        for i in range(n):
            values[i] = 0.0 if values[i] < 0.0 else values[i]
    elif activation == SILU:
        for i in range(n):
            values[i] = values[i] / (1.0 + exp(-values[i]))
    else:
        for i in range(n):
            values[i] = 1.0 / (1.0 + exp(-values[i]))


@inlined
def layer(inputs: Floats, weights: Floats, outputs: Floats) -> None:
    """outputs = bias + inputs @ weights, with the weights (in, out) and the bias (out,) behind them, flat."""
    n_in, n_out = inputs.shape[0], outputs.shape[0]
    bias = weights[n_in * n_out :]
    for o in range(n_out):
        outputs[o] = bias[o]
    whole = n_in - n_in % 4
    for i in range(0, whole, 4):
        a, b, c, d = inputs[i], inputs[i + 1], inputs[i + 2], inputs[i + 3]
        # A slice for each row: with one offset for all the loop would not be vectorised as well.
        row_a, row_b = weights[i * n_out : (i + 1) * n_out], weights[(i + 1) * n_out : (i + 2) * n_out]
        row_c, row_d = weights[(i + 2) * n_out : (i + 3) * n_out], weights[(i + 3) * n_out : (i + 4) * n_out]
        for o in range(n_out):
            outputs[o] += (a * row_a[o] + b * row_b[o]) + (c * row_c[o] + d * row_d[o])
    for i in range(whole, n_in):
        row = weights[i * n_out : (i + 1) * n_out]
        for o in range(n_out):
            outputs[o] += inputs[i] * row[o]


@inlined
def fourier(inputs: Floats, weights: Floats, n_features: int, n_frequencies: int) -> None:
    """Put sine and cosine of the features' phases behind the features."""
    for k in range(n_frequencies):
        phase = 0.0
        for i in range(n_features):
            phase += inputs[i] * weights[i * n_frequencies + k]
        inputs[n_features + k] = math.sin(2.0 * math.pi * phase)
        inputs[n_features + n_frequencies + k] = math.cos(2.0 * math.pi * phase)


@compiled_fused
def first_output(network: Network, layers: Floats) -> float:
    """Column 0 of the network's output, after the softplus.

    Args:
        network: the network.
        layers: (2, widest), scratch; the features stand at the beginning of its first row.
    """
    widths, weights = network.widths, network.weights
    fourier(layers[0], weights, widths[0], widths[1])
    start, last = widths[0] * widths[1], widths.shape[0] - 2
    for number in range(2, last):
        n_in, n_out = widths[number], widths[number + 1]
        end = start + (n_in + 1) * n_out
        source = number % 2
        outputs = layers[1 - source, :n_out]
        layer(layers[source, :n_in], weights[start:end], outputs)
        _activate(outputs, network.activation)
        start = end
    return softplus(_column(layers[last % 2, : widths[last]], weights[start:], widths[last + 1]))


@inlined
def _column(inputs: Floats, weights: Floats, n_out: int) -> float:
    """Column 0 of a layer, by four sums at once."""
    n_in = inputs.shape[0]
    a, b, c, d = weights[n_in * n_out], 0.0, 0.0, 0.0
    whole = n_in - n_in % 4
    for i in range(0, whole, 4):
        a += inputs[i] * weights[i * n_out]
        b += inputs[i + 1] * weights[(i + 1) * n_out]
        c += inputs[i + 2] * weights[(i + 2) * n_out]
        d += inputs[i + 3] * weights[(i + 3) * n_out]
    for i in range(whole, n_in):
        a += inputs[i] * weights[i * n_out]
    return (a + b) + (c + d)


@inlined
def softplus(x: float) -> float:
    """log(1 + exp(x)), with x itself from 20 on, as torch has it."""
    return x if x > 20.0 else math.log1p(math.exp(x))
