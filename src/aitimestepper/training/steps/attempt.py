"""One attempt at a step, and the gate that judges it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn

from aitimestepper.config.schema import Config
from aitimestepper.errors import InputError, NoGradientError
from aitimestepper.model.adapter import ModelAdapter
from aitimestepper.model.history_buffer import HistoryBuffer
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.physics.conserved import (
    angular_momentum_scale,
    relative_angular_momentum_error,
    relative_energy_error,
)
from aitimestepper.physics.leapfrog import ENERGY_ERROR_ORDER
from aitimestepper.training.steps import ranks
from aitimestepper.training.steps.compiled import Stock, judge_output
from aitimestepper.training.steps.losses import NEAR_LIMIT, ROUNDING, STEEPEST, log_band_loss, step_limit_loss
from aitimestepper.training.steps.rows import particle_of
from aitimestepper.training.steps.windows import CalibratedAdapter, Request, attempt_windows


@contextmanager
def evaluation_mode(model: nn.Module) -> Iterator[None]:
    """Dropout off: the prediction that is judged is the one that is used."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


class Start(NamedTuple):
    """Where a step begins: all that does not change while the network is retrained on it.

    Attributes:
        state: a batch of S systems, detached.
        window: their history, or None.
        features: (S, F).
        energy: (S,).
        request: what is asked of windows; None where single steps are learned.
        stock: the states for the compiled step; None where only the torch step can take them.
    """

    state: ParticleTorch
    window: HistoryBuffer | None
    features: Tensor
    energy: Tensor
    request: Request | None = None
    stock: Stock | None = None

    @classmethod
    def of(cls, state: ParticleTorch, config: Config, adapter: ModelAdapter, window: HistoryBuffer | None) -> Start:
        """Prepare a detached batch of one system or many."""
        if len(state.batch_shape) > 1:
            raise InputError(f"training takes one batch dimension, got {tuple(state.batch_shape)}")
        with torch.no_grad():
            state = state.clone_detached().as_batch()
            state.G = config.G
            if isinstance(adapter, CalibratedAdapter):
                request = adapter.request(state.batch_shape[0])
                return cls(
                    state, None, adapter.features_of(state, request), state.total_energy_batch(config.G), request
                )
            window = adapter.window(window)
            window = None if window is None else window.as_batch()
            features = adapter.build_feature_tensor(state, window)
            energy = state.total_energy_batch(config.G)
            return cls(state, window, features, energy, stock=Stock.of(state, energy, config))

    def select(self, index: Tensor) -> Start:
        """The systems at `index` (S,)."""
        window = None if self.window is None else self.window.select(index)
        request = None if self.request is None else self.request.select(index)
        stock = None if self.stock is None else self.stock.select(index)
        return Start(self.state.select(index), window, self.features[index], self.energy[index], request, stock)

    def replaced(self, index: Tensor, by: Start) -> Start:
        """This batch with the systems at `index` (S,) as in the batch `by`."""
        if len(index) == len(self.energy):
            return by
        state = self.state.clone_detached()
        state.assign_at(index, by.state)
        window = None
        if self.window is not None and by.window is not None:
            window = self.window.replaced(index, by.window, self.state.snapshot())
        stock = None if self.stock is None or by.stock is None else self.stock.replaced(index, by.stock)
        features, energy = (
            old.index_copy(0, index, new) for old, new in ((self.features, by.features), (self.energy, by.energy))
        )
        return Start(state, window, features, energy, None, stock)


class Attempt(NamedTuple):
    """What became of a rollout of one or more steps from each start.

    Attributes:
        advanced: the states at the end, with their graph.
        dt: (S,), the first step of each.
        error: (S,), the largest relative energy error of the rollout; 1 where it is not finite.
        passed: (S,), whether the gate lets it through.
        losses: (S,), zero inside the band.
    """

    advanced: ParticleTorch
    dt: Tensor
    error: Tensor
    passed: Tensor
    losses: Tensor


def attempt_single_step(
    model: nn.Module,
    particle: ParticleTorch,
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None = None,
) -> tuple[ParticleTorch, Tensor, Tensor, Tensor]:
    """Predict a step and take it, once, on a detached copy; whatever `n_steps` says.

    Returns:
        The advanced system (or batch) with its graph, and dt, E0 and E1, each (B,), or (1,) for one system.
    """
    with evaluation_mode(model):
        state = particle.clone_detached()
        state.G = config.G
        dt = adapter.step_from_output(model(adapter.build_feature_tensor(state, history_buffer)), state)
        before = state.total_energy_batch(config.G)
        state.update_dt(dt)
        state.evolve_batch(config.G)
        after = state.total_energy_batch(config.G)
    return state, dt.reshape(-1), before.reshape(-1), after.reshape(-1)


def check_energy_threshold(E0: Tensor, E1: Tensor, threshold: float) -> tuple[bool, Tensor]:
    """Whether every system conserved its energy, and the relative energy error of each.

    Args:
        E0: (B,) or (), energy before.
        E1: the same, after.
        threshold: the error that all must stay below.
    """
    E0, E1 = torch.as_tensor(E0), torch.as_tensor(E1)
    error = relative_energy_error(E0, E1)
    finite = torch.isfinite(E0) & torch.isfinite(E1)
    return bool((finite & (error < threshold)).all()), error


def attempt(model: nn.Module, start: Start, config: Config, adapter: ModelAdapter, *, n_steps: int = 1) -> Attempt:
    """Roll out `n_steps` steps from each start and judge them, in the mode that the model is in.

    Where windows are learned, both phases take whole ones, and the errors are those over what was asked for.
    """
    if start.request is not None:
        tried = attempt_windows(model, start.state, start.features, start.request, config)
        return Attempt(tried.advanced, tried.factor, tried.ratio, tried.ratio < config.energy_threshold, tried.losses)
    if start.stock is not None and n_steps == 1:
        return _compiled(model, start, start.stock, adapter)
    rolled = _roll_out(model, start, config, adapter, n_steps)
    finite = rolled.error < torch.inf
    if finite.all() or not rolled.losses.requires_grad:
        return rolled._replace(error=torch.where(finite, rolled.error, 1.0))
    # The derivative of what is not finite would spoil that of all the others, so they are rolled out alone.
    index = finite.nonzero()[:, 0]
    losses = log_band_loss(torch.ones_like(rolled.error), config.E_lower, config.E_upper).detach()
    if len(index):
        losses = losses.index_put((index,), _roll_out(model, start.select(index), config, adapter, n_steps).losses)
    return rolled._replace(error=torch.where(finite, rolled.error.detach(), 1.0), losses=losses)


def _compiled(model: nn.Module, start: Start, stock: Stock, adapter: ModelAdapter) -> Attempt:
    """As `_roll_out` of one step, with the step and its derivative from the engine."""
    judged = judge_output(model(start.features), stock, adapter)
    state, dt = start.state, judged.dt.detach()
    advanced = particle_of(judged.rows, dt, state.current_time + dt, state.period, state)
    return Attempt(advanced, judged.dt, judged.error, judged.passed, judged.losses)


def _roll_out(model: nn.Module, start: Start, config: Config, adapter: ModelAdapter, n_steps: int) -> Attempt:
    """As `attempt`, with an infinite error where the energy is not finite."""
    state = start.state.clone_detached()
    window = None if start.window is None or n_steps == 1 else start.window.clone()
    features, limiter = start.features, _SlopeLimiter()
    first_dt: Tensor | None = None
    refused = torch.zeros_like(start.energy, dtype=torch.bool)
    unreachable = torch.zeros_like(refused)
    limit_losses = torch.zeros_like(start.energy)
    error = torch.zeros_like(start.energy)
    for step in range(n_steps):
        if step:
            features = adapter.build_feature_tensor(state, window)
        output = model(features)
        dt = limiter.watch(adapter.step_from_output(output, state))
        limit = config.max_step_fraction * state.shortest_pair_time(config.G).detach()
        too_long = ~(dt <= limit)
        # Steps within their limit count as at it: the loss of a lone body, whose limit is infinite, has no derivative.
        limit_losses = limit_losses + step_limit_loss(torch.where(too_long, dt / limit, 1.0))
        refused = refused | too_long
        unreachable = unreachable | (dt >= NEAR_LIMIT * limit)
        if window is not None:
            window.push(state)
        # A refused step is not taken but replaced by the longest allowed one: nothing explodes, no gradient flows.
        state = _advanced(state, torch.where(too_long, limit, dt), config)
        energy = state.total_energy_batch(config.G)
        now = relative_energy_error(start.energy, energy)
        error = torch.maximum(error, torch.where(torch.isfinite(energy), now, torch.inf))
        first_dt = dt if first_dt is None else first_dt
    assert first_dt is not None
    losses = _band_losses(error, first_dt, start, state, config)
    if config.error_loss_weight:
        losses = losses + config.error_loss_weight * _error_head_loss(output, error)
    losses = torch.where(refused, limit_losses, losses)
    losses = torch.where(unreachable & (error < config.E_lower) & ~refused, 0.0, losses)
    limiter.allow(losses)
    passed = ~refused & (error < config.energy_threshold) & (first_dt > 0)
    return Attempt(state, first_dt, error, passed, losses)


def _advanced(state: ParticleTorch, dt: Tensor, config: Config) -> ParticleTorch:
    """The state one step later; the earlier one is left as it is."""
    later = state.select(torch.arange(dt.shape[0]))
    later.update_dt(dt)
    later.evolve_batch(config.G)
    return later


def _band_losses(error: Tensor, dt: Tensor, start: Start, end: ParticleTorch, config: Config) -> Tensor:
    """(S,): band loss of the energy error and, if asked for, of the angular-momentum error."""
    # Down in the rounding the error itself has no slope; its third power law in dt has.
    slope = ROUNDING * torch.exp(ENERGY_ERROR_ORDER * (torch.log(dt) - torch.log(dt.detach())))
    losses = log_band_loss(torch.where(error > ROUNDING, error, slope), config.E_lower, config.E_upper)
    if config.L_lower is None or config.L_upper is None:
        return losses
    momentum = start.state.angular_momentum()
    spun = relative_angular_momentum_error(momentum, end.angular_momentum(), angular_momentum_scale(start.state.bodies))
    return losses + torch.where(
        # The leapfrog itself keeps it to rounding, where only the upper edge has a meaning.
        spun > ROUNDING,
        log_band_loss(spun, config.L_lower, config.L_upper),
        0.0,
    )


def _error_head_loss(output: Tensor, error: Tensor) -> Tensor:
    """(S,): squared distance of the logarithms of the predicted and the true energy error."""
    true = torch.log(error.detach().clamp(min=ROUNDING, max=1.0))
    return (torch.log(output[..., 1].expand(error.shape).clamp(min=ROUNDING)) - true) ** 2


class _SlopeLimiter:
    """Keeps the derivative of each sample's loss to log(dt) within `STEEPEST` slopes; see there."""

    def __init__(self) -> None:
        self._allowed: Tensor | None = None

    def watch(self, dt: Tensor) -> Tensor:
        """Limit what flows back into this step."""
        if dt.requires_grad:
            value = dt.detach()  # a hook that held dt itself would keep the whole graph alive
            dt.register_hook(lambda gradient: self._limited(gradient, value))
        return dt

    def allow(self, losses: Tensor) -> None:
        """Note the losses, and what weight the caller gives each of them."""
        # |d band / d log(error)| = 2 sqrt(band); the weight of a sample in the final loss is seen when it flows back.
        self._allowed = 2.0 * STEEPEST * losses.detach().sqrt()
        if losses.requires_grad:
            losses.register_hook(self._weigh)

    def _weigh(self, weight: Tensor) -> None:
        assert self._allowed is not None
        self._allowed = self._allowed * weight.abs()

    def _limited(self, gradient: Tensor, dt: Tensor) -> Tensor:
        assert self._allowed is not None
        bound = self._allowed / dt
        return torch.clamp(gradient, min=-bound, max=bound)


def learn(model: nn.Module, optimizer: torch.optim.Optimizer, total: Tensor, count: int, *, refused: bool) -> None:
    """One step of the optimiser down a mean loss.

    Args:
        model, optimizer: what learns.
        total: sum of the losses, in this process.
        count: how many losses the mean is over, in all processes.
        refused: whether there must be something to learn.

    Raises:
        NoGradientError: a refused step gives no gradient, or one that is not finite; the weights stay as they were.
    """
    optimizer.zero_grad()
    loss = total / count
    if loss.requires_grad:
        loss.backward()
    ranks.sum_gradients(model)
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    size = float(torch.nn.utils.get_total_norm(gradients)) if gradients else 0.0
    if not size < float("inf"):
        optimizer.zero_grad()
        raise NoGradientError(loss.item(), finite=False)
    if size == 0.0 and refused:
        raise NoGradientError(loss.item(), finite=True)
    if size > 0.0:
        optimizer.step()
