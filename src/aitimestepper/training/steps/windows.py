"""Training of calibrated weights: the same two phases, with windows of many steps in place of single ones.

The network gives a factor for a state, a tolerance, an integrator and an order. What a window with that step does to
the state, and how far it is from what was asked, is measured by the compiled engine (`engine.training.windows`). The
gradient is that of the law error ~ step^order, rather than that of the one window, whose errors cross zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from aitimestepper.config.schema import Config
from aitimestepper.constants import TRAITS
from aitimestepper.cores import available_cores
from aitimestepper.engine.physics.gravity import Law
from aitimestepper.engine.physics.integrators import LEAPFROG, STAGES, TTL, Method
from aitimestepper.engine.physics.omega import PAIR_NORM
from aitimestepper.engine.run.governor import HIGHEST_DEMAND, LOWEST_DEMAND
from aitimestepper.engine.training.windows import ABSENT, Window, describe_all, roll_out
from aitimestepper.model.adapter import ModelAdapter
from aitimestepper.model.history_buffer import HistoryBuffer
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.physics.bodies import Bodies
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.training.steps.losses import log_band_loss
from aitimestepper.weights.calibrated import HEADS

_CHUNK = 16
"""Samples that a thread takes at a time."""

_SMALLEST_TOLERANCE = 1e-10
"""Below, the rounding of close encounters is no small part of what is allowed."""

_LARGEST_RATIO = 1e6
_LINEAR_FROM = 2.0
"""Distance from the band, in logarithms, from which on a loss grows linearly: a window that explodes says no more."""

_HOPELESS = 0.05
"""Factor below which a window that still fails is not a matter of the step: rounding, in a close encounter."""


class Request(NamedTuple):
    """What is asked of each sample.

    Attributes:
        head: (S,), index of integrator and order in `HEADS`.
        tolerance: (S,).
    """

    head: Tensor
    tolerance: Tensor

    def select(self, index: Tensor) -> Request:
        """The samples at `index`."""
        return Request(self.head[index], self.tolerance[index])


def orders(head: Tensor) -> Tensor:
    """(S,): the order of each sample's integrator."""
    return torch.tensor([order for _, order in HEADS], dtype=torch.float64)[head]


def demanding(head: Tensor, demand: Tensor) -> Request:
    """A request from log10(tolerance^(1/order)) of each sample, as far as rounding allows."""
    return Request(head, (10.0 ** (demand * orders(head))).clamp(min=_SMALLEST_TOLERANCE))


class CalibratedAdapter(ModelAdapter):
    """Describes states as the compiled engine does, each with a request that is drawn for it.

    Args:
        config: as for `ModelAdapter`.
        generator: source of the requests.
        ranges: lowest and highest values of the description, 2 x TRAITS numbers; None until they are known.
    """

    def __init__(self, config: Config, generator: torch.Generator, ranges: tuple[float, ...] | None = None) -> None:
        super().__init__(config)
        self.generator = generator
        self.ranges = ranges

    @property
    def scales(self) -> tuple[float, ...] | None:
        """The ranges."""
        return self.ranges

    @scales.setter
    def scales(self, scales: Sequence[float]) -> None:
        self.ranges = tuple(scales)

    def measure(self, systems: list[InitialConditions]) -> None:
        """Take the ranges of the description from a large number of systems, as drawn and a window later."""
        arrays = padded(systems)
        drawn = _traits(*arrays, self.config)
        head = torch.full((len(systems),), HEADS.index(("ttl", 4)))
        _roll_out(arrays, np.ones(len(systems)), Request(head, torch.full(head.shape, 1e-4).double()), self.config)
        traits = np.concatenate([drawn, _traits(*arrays, self.config)])
        low, high = traits.min(0), traits.max(0)
        # What never changes has a range of its own, so that nothing is divided by zero.
        flat = high - low < 1e-6
        self.ranges = tuple(float(x) for x in (*(low - flat), *(high + flat)))

    def request(self, count: int) -> Request:
        """Integrators, orders and tolerances at random."""
        head = torch.randint(len(HEADS), (count,), generator=self.generator)
        demand = torch.rand(count, dtype=torch.float64, generator=self.generator)
        demand = LOWEST_DEMAND + (HIGHEST_DEMAND - LOWEST_DEMAND) * demand
        return demanding(head, demand)

    def features_of(self, state: ParticleTorch, request: Request) -> Tensor:
        """(S, TRAITS + 1): the description within its ranges, from -1 to 1, and what is asked for."""
        assert self.ranges is not None
        low, high = np.array(self.ranges).reshape(2, TRAITS)
        traits = _traits(*_arrays(state), self.config)
        places = torch.from_numpy((traits - 0.5 * (low + high)) / (0.5 * (high - low)))
        order = orders(request.head)
        demand = (torch.log10(request.tolerance) / order).clamp(LOWEST_DEMAND, HIGHEST_DEMAND)
        return torch.cat([places, demand[:, None]], dim=1)

    def input_dim_from_state(self, state: ParticleTorch) -> int:
        """Length of the features."""
        return TRAITS + 1

    def build_feature_tensor(self, state: ParticleTorch, history_buffer: HistoryBuffer | None = None) -> Tensor:
        """(F,) or (B, F), with a request drawn anew."""
        batch = state.as_batch()
        features = self.features_of(batch, self.request(batch.batch_shape[0]))
        return features if state.batch_shape else features[0]


class WindowAttempt(NamedTuple):
    """What became of one window from each state; see `step.Attempt`."""

    advanced: ParticleTorch
    factor: Tensor
    ratio: Tensor
    losses: Tensor


def attempt_windows(
    model: nn.Module, state: ParticleTorch, features: Tensor, request: Request, config: Config
) -> WindowAttempt:
    """Roll a window out from each state with the step that the network chooses.

    Returns:
        The states at the end, the factors (S,), the larger of the two errors over what is allowed (S,), and the losses
        (S,): zero where that is between `E_lower` and `E_upper`.
    """
    factor = model(features).gather(1, request.head[:, None])[:, 0]
    arrays = tuple(array.copy() for array in _arrays(state))
    ratio = torch.from_numpy(_roll_out(arrays, factor.detach().numpy(), request, config)).clamp(max=_LARGEST_RATIO)
    order = orders(request.head)
    # error ~ step^order: the value of the window, the slope of the law
    lawful = ratio * torch.exp(order * (torch.log(factor) - torch.log(factor.detach())))
    # Per order, so that an order weighs as much as another: what is learned is the step.
    losses = _linear_far_out(log_band_loss(lawful, config.E_lower, config.E_upper) / order**2)
    losses = torch.where((ratio > config.E_upper) & (factor < _HOPELESS), 0.0, losses)
    return WindowAttempt(_state_of(arrays, state), factor, ratio, losses)


def _linear_far_out(losses: Tensor) -> Tensor:
    """Squares up to `_LINEAR_FROM`^2, from there on their tangent in the distance."""
    distance = torch.sqrt(losses + 1e-30)
    return torch.where(distance < _LINEAR_FROM, losses, _LINEAR_FROM * (2.0 * distance - _LINEAR_FROM))


def padded(systems: list[InitialConditions], n_bodies: int | None = None) -> tuple[Any, Any, Any]:
    """Masses (S, N), positions and velocities (S, N, 3) of systems with N bodies at most; the rest is absent."""
    n = n_bodies or max(system.n_bodies for system in systems)
    shape = (len(systems), n, 3)
    mass, position, velocity = np.zeros(shape[:2]), np.zeros(shape), np.zeros(shape)
    position[..., 0] = 1e10 * ABSENT * np.arange(1, n + 1)
    for s, system in enumerate(systems):
        own, dim = system.n_bodies, system.n_dims
        mass[s, :own], position[s, :own] = system.mass, 0.0
        position[s, :own, :dim], velocity[s, :own, :dim] = system.position, system.velocity
    return mass, position, velocity


def batch_of(systems: list[InitialConditions], n_bodies: int, config: Config) -> ParticleTorch:
    """A batch of systems of different sizes, each filled up with absent bodies to `n_bodies`."""
    mass, position, velocity = map(torch.from_numpy, padded(systems, n_bodies))
    particle = ParticleTorch.from_tensors(mass, position, velocity)
    particle.G = config.G
    return particle


def _arrays(state: ParticleTorch) -> tuple[Any, Any, Any]:
    bodies = state.bodies
    return tuple(np.ascontiguousarray(tensor.numpy()) for tensor in (bodies.mass, bodies.position, bodies.velocity))  # type: ignore[return-value]


def _state_of(arrays: tuple[Any, ...], like: ParticleTorch) -> ParticleTorch:
    bodies = Bodies(*map(torch.from_numpy, arrays))
    return like.with_state(bodies, like.dt, like.current_time, like.period, torch.zeros_like(bodies.position))


def _law(config: Config) -> Law:
    return Law(config.G, config.softening**2, 0.0, 0.0, 0.0, 0.0)


def _traits(mass: Any, position: Any, velocity: Any, config: Config) -> Any:
    traits = np.zeros((len(mass), TRAITS))
    describe_all(traits, mass, position, velocity, _law(config))
    return traits


def _roll_out(arrays: tuple[Any, ...], factor: Any, request: Request, config: Config) -> Any:
    """(S,): the larger error of each window over what is allowed; the arrays become the states at the end."""
    heads, tolerance = request.head.numpy(), request.tolerance.numpy()
    ratios = np.full(len(heads), np.inf)
    window, law = Window(2.0 * np.pi * config.window, config.n_steps), _law(config)

    def work(job: tuple[int, Any]) -> None:
        head, rows = job
        integrator, order = HEADS[head]
        method = Method(TTL if integrator == "ttl" else LEAPFROG, STAGES[order], PAIR_NORM)
        own = tuple(array[rows] for array in arrays)
        errors = np.full((len(rows), 2), np.inf)
        roll_out(*own, factor[rows], tolerance[rows], method, law, window, errors)
        for array, part in zip(arrays, own, strict=True):
            array[rows] = part
        ratios[rows] = errors.max(1)

    jobs = [
        (head, rows[begin : begin + _CHUNK])
        for head in range(len(HEADS))
        for rows in [np.flatnonzero(heads == head)]
        for begin in range(0, len(rows), _CHUNK)
    ]
    # Each sample by itself: the result does not depend on the number of threads.
    with ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(work, jobs))
    return ratios
