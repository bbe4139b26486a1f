"""Windows as what is learned: a step for a tolerance of the run, an integrator and an order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from aitimestepper.arrays import Floats
from aitimestepper.config.schema import Config
from aitimestepper.constants import TRAITS
from aitimestepper.engine.training import progress
from aitimestepper.model.history_buffer import HistoryBuffer
from aitimestepper.model.loading import build_network
from aitimestepper.model.networks import FullyConnectedNN
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.training.steps.learned import Attempt, Batch, Collected, Learned, Loop, Start, Task, detached_batch
from aitimestepper.training.steps.trajectory import ReplayMemory, Samples, Trajectory
from aitimestepper.training.windows.attempt import Targets, attempt_windows, drawn_targets, features_of, orders
from aitimestepper.training.windows.measuring import measure_windows, padded, traits_of
from aitimestepper.training.windows.scores import about_weights
from aitimestepper.weights.calibrated import HEADS

_FIRST_FACTOR = 1.5
"""Of fresh weights, before the softplus: about what most states end with."""


@final
class Windows(Learned[Targets]):
    """Windows of many steps, which keep what is asked of them: targets that are drawn for each state.

    Args:
        config: all settings.
        generator: source of the targets.

    Attributes:
        scales: lowest and highest values of the description, 2 x TRAITS numbers; None until they are measured.
    """

    def __init__(self, config: Config, generator: torch.Generator) -> None:
        self.config, self._generator = config, generator
        self.scales: tuple[float, ...] | None = None

    def _known(self) -> tuple[float, ...]:
        assert self.scales is not None
        return self.scales

    def measure(self, systems: list[InitialConditions]) -> None:
        """Take the ranges of the description from a large number of systems, as drawn and a window later.

        With the weights of light pairs and without, since the integrators differ in that.
        """
        states, count = padded(systems), len(systems)
        heads, others = (np.full(count, HEADS.index((name, 4))) for name in ("ttl", "leapfrog"))
        drawn = [traits_of(states, those, self.config) for those in (heads, others)]
        # In single precision, as for all weights so far: other bits would be other features.
        tolerance = np.full(count, 1e-4, dtype=np.float32).astype(np.float64)
        measure_windows(states, np.ones(count), heads, tolerance, self.config)
        traits = np.concatenate([*drawn, *(traits_of(states, those, self.config) for those in (heads, others))])
        low, high = traits.min(0), traits.max(0)
        # What never changes has a range of its own, so that nothing is divided by zero.
        flat = high - low < 1e-6
        self.scales = tuple(float(x) for x in (*(low - flat), *(high + flat)))

    def network(self) -> FullyConnectedNN:
        """Fresh weights: a factor for each integrator and order."""
        network = build_network(self.config, TRAITS + 1, self._generator, output_dim=len(HEADS))
        with torch.no_grad():
            network.state_dict()[f"layers.{len(network.layers) - 1}.bias"].fill_(_FIRST_FACTOR)
        return network

    def start(self, state: ParticleTorch, history: HistoryBuffer | None = None) -> Start[Targets]:
        """A detached copy with targets drawn anew."""
        with torch.no_grad():
            state = detached_batch(state, self.config.G)
            targets = drawn_targets(state.batch_shape[0], self._generator)
            return Start(state, None, features_of(state, targets, self._known(), self.config), targets)

    def attempt(
        self, model: nn.Module, start: Start[Targets], chosen: Tensor | None = None, *, n_steps: int = 1
    ) -> Attempt:
        """A whole window from each state, in both phases."""
        state, _, features, targets = start if chosen is None else start.select(chosen)
        return attempt_windows(model, state, features, targets, self.config)

    def collect(self, batch: Batch, warmup_steps: int | Tensor, loop: Loop) -> Collected:
        """`steps_per_epoch` windows of each system: all of a batch are accepted, or given up, together."""
        pairs, records = [], []
        for _ in range(self.config.steps_per_epoch):
            n_systems = batch.state.batch_shape[0]
            batch = batch._replace(spent=np.zeros((n_systems, progress.SPENT)), active=np.ones(n_systems, dtype=bool))
            found = loop(batch, Task(quota=n_systems, once=True))
            batch = batch._replace(state=found.state)
            pairs.append((found.state, found.state.dt))
            records.append(found.records)
        sizes = [len(dt) for _, dt in pairs]
        return Collected(batch.state, None, Trajectory.from_pairs(pairs).samples, sizes, np.concatenate(records))

    def is_hopeless(self, tried: Attempt, failed: Tensor, spent: Floats) -> bool:
        """No step can pass, or `max_retrain_iterations` are over."""
        if not len(failed):
            return False
        tired = spent[:, progress.ITERATIONS].max() >= self.most_iterations
        return bool(tired or (tried.losses[failed] == 0).all())

    def replayed(self, memory: ReplayMemory) -> Start[Targets]:
        """What is asked is drawn anew each time."""
        assert memory.samples is not None
        return self.start(memory.samples.state)

    def shares(self, start: Start[Targets], dt: Tensor, error: Tensor, passed: Tensor) -> tuple[Tensor, Tensor]:
        """The errors of windows follow the law of their order nearly enough."""
        return error ** (1.0 / orders(start.known.head)), passed

    def about(self, weights: Mapping[str, Tensor], seen: Samples, *, final: bool) -> dict[str, Any]:
        """Of the weights: `commit`, and at the end of a training `scores` on fresh systems."""
        model = build_network(self.config, TRAITS + 1, output_dim=len(HEADS))
        model.load_state_dict(dict(weights))
        with torch.no_grad():
            return about_weights(model, self._known(), self.config, final=final)
