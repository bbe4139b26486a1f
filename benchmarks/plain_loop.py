"""The yardstick: the two phases as one writes them down at first, in eager PyTorch.

Every attempt computes features, network, leapfrog and both energies anew and differentiates through all of them; all
systems of a batch wait for the slowest; every replayed sample is a call of its own. The physics is that of the package,
with its one force evaluation for each step, and the arithmetic is that of the specification, so that on one orbit the
same steps are accepted after the same iterations. In batches it differs by the bound on the slope of the loss alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from aitimestepper import Config, ModelAdapter, ParticleTorch
from aitimestepper.physics.conserved import relative_energy_error
from aitimestepper.training.steps.losses import log_band_loss, step_limit_loss


def attempt(
    model: nn.Module, particle: ParticleTorch, config: Config, adapter: ModelAdapter
) -> tuple[ParticleTorch, Tensor, Tensor]:
    """One step from a state: where it leads, whether it passes (B,), and the losses (B,)."""
    state = particle.clone_detached()
    dt = adapter.step_from_output(model(adapter.build_feature_tensor(state)), state).reshape(-1)
    limit = config.max_step_fraction * state.shortest_pair_time(config.G).reshape(-1)
    too_long = dt > limit
    before = state.total_energy_batch(config.G).reshape(-1)
    state.update_dt(torch.where(too_long, limit, dt).reshape(state.batch_shape))
    state.evolve_batch(config.G)
    after = state.total_energy_batch(config.G).reshape(-1)
    error = relative_energy_error(before, after)
    band = log_band_loss(error, config.E_lower, config.E_upper)
    losses = torch.where(too_long, step_limit_loss(torch.where(too_long, dt / limit, 1.0)), band)
    return state, ~too_long & (error < config.energy_threshold), losses


def accepted_step(
    model: nn.Module, particle: ParticleTorch, optimizer: torch.optim.Optimizer, config: Config, adapter: ModelAdapter
) -> tuple[ParticleTorch, int]:
    """Attempt, check, learn - until all systems have passed; the states reached, and the iterations."""
    iterations = 0
    passed = torch.zeros(particle.as_batch().batch_shape, dtype=torch.bool)
    reached = particle
    while True:
        tried, now, losses = attempt(model, particle, config, adapter)
        first = now & ~passed
        if particle.batch_shape:
            reached = reached.clone_detached()
            reached.assign_at(first.nonzero()[:, 0], tried.select(first.nonzero()[:, 0]).clone_detached())
        elif now.all():
            reached = tried.clone_detached()
        passed = passed | now
        if passed.all():
            return reached, iterations
        optimizer.zero_grad()
        losses[~passed].mean().backward()
        optimizer.step()
        iterations += 1


def replay_iteration(
    model: nn.Module,
    samples: Sequence[ParticleTorch],
    optimizer: torch.optim.Optimizer,
    config: Config,
    adapter: ModelAdapter,
) -> None:
    """One iteration of Part 2 on a minibatch of states, one after the other."""
    losses = [attempt(model, sample, config, adapter)[2][0] for sample in samples]
    optimizer.zero_grad()
    torch.stack(losses).mean().backward()
    optimizer.step()
