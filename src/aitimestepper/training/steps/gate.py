"""Twin of `engine.training.gate`: steps, whether the gate lets them through, and their losses with their graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from aitimestepper.config.schema import Config
from aitimestepper.constants import ENERGY_ERROR_ORDER, NEAR_LIMIT, ROUNDING, STEEPEST
from aitimestepper.model.adapter import ModelAdapter
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.physics.conserved import (
    angular_momentum_scale,
    relative_angular_momentum_error,
    relative_energy_error,
)
from aitimestepper.training.steps.compiled import Before
from aitimestepper.training.steps.learned import Attempt, Start
from aitimestepper.training.steps.losses import log_band_loss, step_limit_loss


def energy_error(initial: Tensor, final: Tensor) -> Tensor:
    """Relative energy error (...) of energies (...); infinite where one of them is not finite."""
    finite = torch.isfinite(initial) & torch.isfinite(final)
    return torch.where(finite, relative_energy_error(initial, final), torch.inf)


def passes(error: Tensor, threshold: float) -> Tensor:
    """The gate: whether an error (...) is below what is allowed."""
    return error < threshold


def lost_losses(errors: Tensor, config: Config) -> Tensor:
    """The loss of steps whose energy is not finite, of the shape of `errors`: an error of 1 that nothing follows."""
    return log_band_loss(torch.ones_like(errors), config.E_lower, config.E_upper).detach()


def advanced(state: ParticleTorch, dt: Tensor, config: Config) -> ParticleTorch:
    """The states (S,) one step dt (S,) later; the earlier ones are left as they are."""
    later = state.select(torch.arange(dt.shape[0]))
    later.update_dt(dt)
    later.evolve_batch(config.G)
    return later


def attempt_in_torch(
    model: nn.Module, start: Start[Before], config: Config, adapter: ModelAdapter, *, n_steps: int = 1
) -> Attempt:
    """Roll out `n_steps` steps from each start and judge them, in the mode that the model is in."""
    rolled = _roll_out(model, start, config, adapter, n_steps)
    finite = rolled.error < torch.inf
    if finite.all() or not rolled.losses.requires_grad:
        return rolled._replace(error=torch.where(finite, rolled.error, 1.0))
    # The derivative of what is not finite would spoil that of all the others, so they are rolled out alone.
    index = finite.nonzero()[:, 0]
    losses = lost_losses(rolled.error, config)
    if len(index):
        losses = losses.index_put((index,), _roll_out(model, start.select(index), config, adapter, n_steps).losses)
    return rolled._replace(error=torch.where(finite, rolled.error.detach(), 1.0), losses=losses)


def _roll_out(model: nn.Module, start: Start[Before], config: Config, adapter: ModelAdapter, n_steps: int) -> Attempt:
    """As `attempt_in_torch`, with an infinite error where the energy is not finite."""
    state = start.state.clone_detached()
    history = None if start.history is None or n_steps == 1 else start.history.clone()
    features, limiter = start.features, _SlopeLimiter()
    first_dt: Tensor | None = None
    energy = start.known.energy
    refused = torch.zeros_like(energy, dtype=torch.bool)
    unreachable = torch.zeros_like(refused)
    limit_losses = torch.zeros_like(energy)
    error = torch.zeros_like(energy)
    for step in range(n_steps):
        if step:
            features = adapter.build_feature_tensor(state, history)
        output = model(features)
        dt = limiter.watch(adapter.step_from_output(output, state))
        limit = config.max_step_fraction * state.shortest_pair_time(config.G).detach()
        too_long = ~(dt <= limit)
        # Steps within their limit count as at it: the loss of a lone body, whose limit is infinite, has no derivative.
        limit_losses = limit_losses + step_limit_loss(torch.where(too_long, dt / limit, 1.0))
        refused = refused | too_long
        unreachable = unreachable | (dt >= NEAR_LIMIT * limit)
        if history is not None:
            history.push(state)
        # A refused step is not taken but replaced by the longest allowed one: nothing explodes, no gradient flows.
        state = advanced(state, torch.where(too_long, limit, dt), config)
        error = torch.maximum(error, energy_error(energy, state.total_energy_batch(config.G)))
        first_dt = dt if first_dt is None else first_dt
    assert first_dt is not None
    losses = _band_losses(error, first_dt, start, state, config)
    if config.error_loss_weight:
        losses = losses + config.error_loss_weight * _error_head_loss(output, error)
    losses = torch.where(refused, limit_losses, losses)
    losses = torch.where(unreachable & (error < config.E_lower) & ~refused, 0.0, losses)
    limiter.allow(losses)
    passed = ~refused & passes(error, config.energy_threshold) & (first_dt > 0)
    return Attempt(first_dt, error, passed, losses, lambda: state)


def _band_losses(error: Tensor, dt: Tensor, start: Start[Before], end: ParticleTorch, config: Config) -> Tensor:
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
