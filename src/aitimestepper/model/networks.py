"""The network that predicts a step."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from aitimestepper.errors import InputError
from aitimestepper.names import ACTIVATIONS

_ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "sigmoid": nn.Sigmoid,
}


class FourierFeatures(nn.Module):
    """Random Fourier features [x, sin(2 pi B x), cos(2 pi B x)] with frozen Gaussian frequencies B.

    Source: Tancik et al. 2020, Fourier features let networks learn high frequency functions, eq. 4 ff.

    Args:
        input_dim: F.
        fourier_dim: number of frequencies.
        scale: their standard deviation.
    """

    frequencies: Tensor

    def __init__(
        self,
        input_dim: int,
        fourier_dim: int,
        scale: float,
        *,
        dtype: torch.dtype = torch.float64,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        frequencies = torch.randn(input_dim, fourier_dim, dtype=dtype, generator=generator)
        self.register_buffer("frequencies", scale * frequencies)
        self.output_dim = input_dim + 2 * fourier_dim

    def forward(self, features: Tensor) -> Tensor:
        """(..., F) -> (..., F + 2 fourier_dim)."""
        phase = 2.0 * math.pi * features @ self.frequencies
        return torch.cat([features, phase.sin(), phase.cos()], dim=-1)


class SeededDropout(nn.Module):
    """Dropout whose masks come from a generator of its own, so that a run repeats and can be resumed."""

    def __init__(self, rate: float, generator: torch.Generator | None) -> None:
        super().__init__()
        self.rate = rate
        self.generator = generator

    def forward(self, hidden: Tensor) -> Tensor:
        """Zero a fraction `rate` of the units while training, and scale up the rest."""
        if not self.training:
            return hidden
        drawn = torch.rand(hidden.shape, dtype=hidden.dtype, generator=self.generator)
        return hidden * (drawn >= self.rate).to(hidden) / (1.0 - self.rate)


class FullyConnectedNN(nn.Module):
    """A multilayer perceptron from features to the step and its predicted energy error.

    Output column 0 is the step (in the unit of `output_scale`), column 1 the predicted relative energy error.

    Args:
        input_dim: features F.
        output_dim: outputs; column 0 is the step.
        hidden_dims: width of each hidden layer.
        activation: tanh, relu, silu or sigmoid.
        dropout: rate after each hidden layer, while training.
        output_positive: end in a softplus.
        fourier_scale: standard deviation of the Fourier frequencies.
        fourier_dim: number of Fourier frequencies; 0 for none.
        initial_output: what column 0 gives at first, about; None leaves it at softplus(0) = 0.69.
        generator: source of the initial weights and of the dropout masks; None takes torch's own.

    Raises:
        InputError: a size, the rate or the activation is out of range.
    """

    def __init__(
        self,
        input_dim: int,
        output_dim: int = 2,
        hidden_dims: Sequence[int] = (64, 64),
        activation: str = "tanh",
        dropout: float = 0.0,
        output_positive: bool = True,
        fourier_scale: float = 1.0,
        fourier_dim: int = 0,
        *,
        initial_output: float | None = None,
        dtype: torch.dtype = torch.float64,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        if min((input_dim, output_dim, *hidden_dims)) < 1 or not 0 <= dropout < 1 or (fourier_dim or 0) < 0:
            raise InputError(
                f"a network needs sizes >= 1, 0 <= dropout < 1 and fourier_dim >= 0, got input_dim={input_dim}, "
                f"output_dim={output_dim}, hidden_dims={tuple(hidden_dims)}, dropout={dropout}, "
                f"fourier_dim={fourier_dim}"
            )
        if activation not in _ACTIVATIONS:
            raise InputError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}")
        self.input_dim, self.output_dim, self.output_positive = input_dim, output_dim, output_positive
        self.activation = activation
        layers: list[nn.Module] = []
        width = input_dim
        if fourier_dim:
            fourier = FourierFeatures(input_dim, fourier_dim, fourier_scale, dtype=dtype, generator=generator)
            layers.append(fourier)
            width = fourier.output_dim
        for hidden in hidden_dims:
            layers += [_linear(width, hidden, dtype, generator), _ACTIVATIONS[activation]()]
            if dropout > 0:
                layers.append(SeededDropout(dropout, generator))
            width = hidden
        last = _linear(width, output_dim, dtype, generator)
        if initial_output is not None:
            # softplus(b) = initial_output
            last.bias.data[0] = initial_output + math.log(-math.expm1(-initial_output))
        self.layers = nn.Sequential(*layers, last)

    def forward(self, features: Tensor) -> Tensor:
        """(F,) -> (output_dim,), (..., F) -> (..., output_dim)."""
        output = self.layers(features)
        return functional.softplus(output) if self.output_positive else output


def _linear(width: int, outputs: int, dtype: torch.dtype, generator: torch.Generator | None) -> nn.Linear:
    """A linear layer with uniform weights and biases within +-1/sqrt(width), torch's own choice, seeded."""
    layer = nn.Linear(width, outputs, dtype=dtype)
    bound = 1.0 / math.sqrt(width)
    with torch.no_grad():
        layer.weight.uniform_(-bound, bound, generator=generator)
        layer.bias.uniform_(-bound, bound, generator=generator)
    return layer
