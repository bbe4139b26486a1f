"""From a configuration to a training before its first epoch: systems, adapter, network and optimiser."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.optim import SGD, Adam, AdamW

from aitimestepper.config.schema import Config
from aitimestepper.errors import InputError
from aitimestepper.features.scales import NormScales
from aitimestepper.model.adapter import ModelAdapter
from aitimestepper.model.batches import stack_particles
from aitimestepper.model.loading import build_network
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.mixture import MOST_BODIES, mixed_system
from aitimestepper.training.session.epochs import TrainingState
from aitimestepper.training.session.orbit_steps import watched_states
from aitimestepper.training.session.systems import (
    asked_systems,
    drawn_systems,
    external_field,
    is_own,
    particle_of,
    torch_device,
)
from aitimestepper.training.session.unseen import SYSTEMS as UNSEEN
from aitimestepper.training.session.unseen import Unseen, held_out, unseen_generator
from aitimestepper.training.steps import ranks
from aitimestepper.training.steps.learned import Learned, Start
from aitimestepper.training.steps.single_step import SingleSteps
from aitimestepper.training.steps.trajectory import ReplayMemory
from aitimestepper.training.windows.measuring import batch_of
from aitimestepper.training.windows.windows import Windows

_MEASURED = 10_000
"""Systems from which the ranges of the description are taken."""


def build_training(config: Config, given: list[InitialConditions] | None = None) -> TrainingState:
    """Systems, adapter, network and optimiser of a configuration, before the first epoch.

    Args:
        config: all settings.
        given: the systems; None for those that the configuration names or draws.

    Raises:
        InputError: the systems cannot be judged, or several processes cannot share this training.
    """
    generator = torch.Generator().manual_seed(config.seed)
    if config.output_scale == "calibrated":
        return _build_windows(config, generator)
    return _build_single_steps(config, generator, asked_systems(config) if given is None else given)


def _build_single_steps(config: Config, generator: torch.Generator, systems: list[InitialConditions]) -> TrainingState:
    _refuse_processes(is_own(config))
    device = torch_device(config)
    trained, kept = held_out(systems, config) if is_own(config) else (systems, [])
    particle = _batch_of_equals(trained, config, device)
    adapter = ModelAdapter(config, device=device, dtype=particle.position.dtype)
    learned = SingleSteps(config, adapter)
    learned.check(particle)
    # The features are built once here, so that their scales are those of the initial state.
    model = build_network(config, adapter.build_feature_tensor(particle).shape[-1], generator).to(device)
    if ranks.count() > 1:
        learned.scales = ranks.gathered(learned.scales)[0] or NormScales()
        ranks.share_weights(model)
        if ranks.rank() > 0:
            generator.manual_seed(int(np.random.SeedSequence(ranks.seed_of(config.seed)).generate_state(1)[0]))
    state = _before_the_first_epoch(config, model, particle, learned, generator, systems)
    state.history = adapter.history_buffer
    if config.check_every and (kept or not is_own(config)):

        def unseen_states() -> Start[Any]:
            unseen = kept or drawn_systems(config, unseen_generator(config), UNSEEN)
            batch = _batch_of_equals(unseen, config, device)
            return watched_states(batch, learned, state.history, config, most=len(unseen)).start

        state.unseen = Unseen(learned, unseen_states)
    return state


def _build_windows(config: Config, generator: torch.Generator) -> TrainingState:
    _refuse_processes(True)
    learned = Windows(config, generator)
    rng = np.random.default_rng([config.seed, 0])
    learned.measure([mixed_system(rng) for _ in range(_MEASURED)])

    def draw(epoch: int) -> list[InitialConditions]:
        rng = np.random.default_rng([config.seed, epoch])
        return [mixed_system(rng) for _ in range(config.num_orbits)]

    systems = draw(1)
    particle = batch_of(systems, MOST_BODIES, config)
    state = _before_the_first_epoch(config, learned.network(), particle, learned, generator, systems)
    state.redraw = lambda epoch: batch_of(draw(epoch), MOST_BODIES, config)
    if config.check_every:
        other = Windows(config, torch.Generator().manual_seed(config.seed))  # it draws targets, too
        other.scales = learned.scales
        rng = unseen_generator(config)
        unseen = [mixed_system(rng) for _ in range(UNSEEN)]
        state.unseen = Unseen(other, lambda: other.start(batch_of(unseen, MOST_BODIES, config)))
    return state


def _refuse_processes(condition: bool) -> None:
    if condition and ranks.count() > 1:
        raise InputError(
            "several processes train on systems of their own, which are drawn (no ic, no systems); and calibrated "
            "weights are trained in one process, which uses all cores"
        )


def _before_the_first_epoch(
    config: Config,
    model: torch.nn.Module,
    particle: ParticleTorch,
    learned: Learned[Any],
    generator: torch.Generator,
    systems: list[InitialConditions],
) -> TrainingState:
    return TrainingState(
        model=model,
        optimizer=_optimiser(model, config),
        initial=particle.clone_detached(),
        particle=particle,
        learned=learned,
        generator=generator,
        replay=ReplayMemory(config.replay_capacity),
        systems=systems,
    )


def _optimiser(model: torch.nn.Module, config: Config) -> torch.optim.Optimizer:
    # Fused where torch can: for a small network the many small operations cost more than their arithmetic.
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in model.parameters())
    kind: type[torch.optim.Optimizer] = {"adamw": AdamW, "adam": Adam, "sgd": SGD}[config.optimizer]
    settings: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay, "fused": fused}
    if kind is SGD:
        settings["momentum"] = config.momentum
    return kind(model.parameters(), **settings)


def training_systems(config: Config, device: torch.device | None = None) -> ParticleTorch:
    """The system that is named, or a batch of several, or of drawn ones."""
    return _batch_of_equals(asked_systems(config), config, device)


def _batch_of_equals(systems: list[InitialConditions], config: Config, device: torch.device | None) -> ParticleTorch:
    field = external_field(config)
    if is_own(config):
        config = config.replace(softening=systems[0].softening)
    particles = [particle_of(system, config, field, device) for system in systems]
    return particles[0] if is_own(config) and len(particles) == 1 else stack_particles(particles)
