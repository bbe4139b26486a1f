"""Single steps as what is learned, and the functions of the specification that try and judge one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn

from aitimestepper.config.schema import Config
from aitimestepper.engine.features.summary import CODES, WIDTHS, Sight
from aitimestepper.engine.training.progress import ORBIT
from aitimestepper.errors import InputError
from aitimestepper.features.scales import NormScales
from aitimestepper.model.adapter import ModelAdapter
from aitimestepper.model.history_buffer import HistoryBuffer
from aitimestepper.model.networks import FullyConnectedNN
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.training.steps.compiled import Before, attempt_compiled
from aitimestepper.training.steps.gate import advanced, attempt_in_torch, energy_error, lost_losses, passes
from aitimestepper.training.steps.learned import Attempt, Batch, Collected, Learned, Loop, Start, Task, detached_batch
from aitimestepper.training.steps.losses import evaluation_mode, log_band_loss
from aitimestepper.training.steps.rows import rank_within
from aitimestepper.training.steps.trajectory import ReplayMemory, Samples
from aitimestepper.weights.file import RANGES

_SMALLEST_ENERGY = 1e-10
"""A hundred times the floor of the relative energy error: below, the floor would hide errors from the gate."""

_FRACTION_SAMPLES = 64
"""States whose largest step is searched for: the search costs 48 steps for each."""
FRACTION_GRID, FRACTION_DECADES = 48, 4.0
"""The largest step that passes is searched for on 48 steps over four decades: neighbours differ by a factor of 1.22."""


@final
class SingleSteps(Learned[Before]):
    """Steps that keep the energy, each by itself.

    Args:
        config: all settings.
        adapter: builds the features, and turns the network's output into steps.
    """

    def __init__(self, config: Config, adapter: ModelAdapter) -> None:
        self.config, self.adapter = config, adapter

    @property
    def scales(self) -> tuple[float, ...] | None:
        """Length, velocity, acceleration and time that features are divided by, by the adapter and its history."""
        return self.adapter.norm_scales

    @scales.setter
    def scales(self, scales: tuple[float, ...] | None) -> None:
        self.adapter.norm_scales = None if scales is None else NormScales(*scales)
        if self.adapter.history_buffer is not None:
            self.adapter.history_buffer.norm_scales = self.adapter.norm_scales

    def check(self, particle: ParticleTorch) -> None:
        """Refuse energies so near zero that the gate could not see an error, and a stop at no period."""
        particle = particle.clone_detached().as_batch()
        energy = particle.total_energy_batch(self.config.G).abs()
        if not (energy > _SMALLEST_ENERGY).all():
            worst = int(energy.argmin())
            raise InputError(
                f"the energy of training system {worst} is {energy[worst].item():.3g}: relative errors of energies "
                f"below {_SMALLEST_ENERGY:g} cannot be judged; choose units in which masses and lengths are "
                "of order one"
            )
        if self.config.stop_at_period and not (particle.period > 0).all():
            raise InputError("stop_at_period needs systems with a period > 0, and this one has none")

    def own_parts(self, model: nn.Module) -> str | None:
        """The classes of network and adapter, if one of them is not that of the package."""
        if type(model) is FullyConnectedNN and type(self.adapter) is ModelAdapter:
            return None
        return f"the network {type(model).__name__} with the features of {type(self.adapter).__name__}"

    def start(self, state: ParticleTorch, history: HistoryBuffer | None = None) -> Start[Before]:
        """A detached copy with its features and energies; `history` None for the adapter's own."""
        with torch.no_grad():
            state = detached_batch(state, self.config.G)
            history = self.adapter.history(history)
            history = None if history is None else history.as_batch()
            features = self.adapter.build_feature_tensor(state, history)
            energy = state.total_energy_batch(self.config.G)
            pair_time = state.shortest_pair_time(self.config.G)
            return Start(state, history, features, Before.of(state, energy, pair_time, self.config))

    def attempt(
        self, model: nn.Module, start: Start[Before], chosen: Tensor | None = None, *, n_steps: int = 1
    ) -> Attempt:
        """Roll out `n_steps` steps from each; a single one is compiled where the engine knows what moves it."""
        compiled = start.known.compiled
        if compiled is None or n_steps > 1:
            own = start if chosen is None else start.select(chosen)
            return attempt_in_torch(model, own, self.config, self.adapter, n_steps=n_steps)
        if chosen is None:
            return attempt_compiled(model(start.features), compiled, lambda: start.state, self.adapter)
        # Where nothing is made of the states themselves, as in Part 2, only their rows are gathered.
        output, rows = model(start.features[chosen]), compiled.select(chosen)
        return attempt_compiled(output, rows, lambda: start.state.select(chosen), self.adapter)

    def sight(self, state: ParticleTorch, history: HistoryBuffer | None) -> Sight | None:
        """Of the package's own adapter on the CPU; fixes scales that the first state sets."""
        if type(self.adapter) is not ModelAdapter or self.adapter.device not in (None, torch.device("cpu"), "cpu"):
            return None
        scales = self.adapter.scales_for(state)
        if history is not None:
            scales = history.norm_scales = history.norm_scales or scales
        config = self.config
        return Sight(CODES[config.feature_type], config.history_len, state.n_dims, *(float(scale) for scale in scales))

    def collect(self, batch: Batch, warmup_steps: int | Tensor, loop: Loop) -> Collected:
        """`steps_per_epoch` accepted steps for each active system on average."""
        found = loop(batch, Task(quota=self.config.steps_per_epoch * int(batch.active.sum()), once=False))
        whose = found.records[:, ORBIT].astype(np.int64)
        skipped = np.broadcast_to(np.asarray(warmup_steps), int(found.state.batch_shape[0]))[whose]
        kept = rank_within(whose) >= skipped
        if found.samples is None or not kept.any():
            return found._replace(samples=None, sizes=[])
        rounds = np.repeat(np.arange(len(found.sizes)), found.sizes)[kept]
        sizes = np.unique(rounds, return_counts=True)[1].tolist()
        samples = found.samples if kept.all() else found.samples.select(torch.from_numpy(np.flatnonzero(kept)))
        return found._replace(samples=samples, sizes=sizes)

    def replayed(self, memory: ReplayMemory) -> Start[Before]:
        """States look the same every time, so they are prepared once."""
        assert memory.samples is not None
        return Start(memory.samples.state, memory.samples.history, *memory.prepare(self.start))

    def packed(self, memory: ReplayMemory) -> dict[str, Tensor]:
        """Features, energies and pair times."""
        if memory.prepared is None:
            return {}
        features, known = memory.prepared
        return {"features": features, "energy": known.energy, "pair_time": known.pair_time}

    def unpack(self, memory: ReplayMemory, numbers: Mapping[str, Tensor]) -> None:
        """Take features, energies and pair times as they were."""
        if memory.samples is None or not numbers:
            return
        features, energy, pair_time = (numbers[name] for name in ("features", "energy", "pair_time"))
        state = memory.samples[: len(features)].state
        if not energy.shape == pair_time.shape == features.shape[:1] == state.batch_shape:
            raise ValueError("what is known of the accepted states is not of their number")
        memory.prepared = features, Before.of(state, energy, pair_time, self.config)

    def about(self, weights: Mapping[str, Tensor], seen: Samples, *, final: bool) -> dict[str, Any]:
        """The range of each feature of the states."""
        if seen.history is None and self.adapter.history_enabled:
            return {}  # nothing has been accepted yet
        if type(self.adapter) is not ModelAdapter:
            return {}  # nothing is known of which features are of the current state
        with torch.no_grad():
            features = self.adapter.build_feature_tensor(seen.state, seen.history)
        current = features[:, -WIDTHS[CODES[self.config.feature_type]] :]
        return {RANGES: [current.amin(0).tolist(), current.amax(0).tolist()]}

    def shares(self, start: Start[Before], dt: Tensor, error: Tensor, passed: Tensor) -> tuple[Tensor, Tensor]:
        """Of at most 64 states spread evenly."""
        return step_fraction(start, dt, self.config), passed[_spread(len(dt))]


def _spread(n_states: int) -> Tensor:
    """Indices of at most 64 states, spread evenly."""
    return torch.linspace(0, n_states - 1, min(n_states, _FRACTION_SAMPLES)).round().long()


@torch.no_grad()
def step_fraction(start: Start[Before], dt: Tensor, config: Config) -> Tensor:
    """Predicted steps (S,) over the largest ones that pass, of at most 64 states spread evenly, (<= 64,).

    The largest step that passes is where the energy error of a growing step first crosses the threshold, or the
    limit of `max_step_fraction`; beyond it a step can only pass by chance.
    """
    chosen = _spread(dt.shape[0])
    state, energy, dt = start.state.select(chosen), start.known.energy[chosen], dt[chosen]
    limit = config.max_step_fraction * state.shortest_pair_time(config.G)
    # A system whose steps nothing limits (a lone body in a field) is searched about its own prediction.
    limit = torch.where(torch.isfinite(limit), limit, 100.0 * dt)
    grid = torch.logspace(-FRACTION_DECADES, 0.0, FRACTION_GRID, dtype=dt.dtype, device=dt.device)
    if start.known.compiled is not None:
        return dt / start.known.compiled.select(chosen).largest_steps(limit, grid)
    rows = torch.arange(len(chosen)).repeat(FRACTION_GRID)
    tried = advanced(state.select(rows), (grid[:, None] * limit).reshape(-1), config)
    error = energy_error(energy[rows], tried.total_energy_batch(config.G)).reshape(FRACTION_GRID, -1)
    crossed = (~passes(error, config.energy_threshold)).to(torch.int64).cumsum(0) > 0
    passing = (~crossed).sum(0)  # grid points before the first crossing
    largest = limit * grid[(passing - 1).clamp(min=0)]
    return dt / largest


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
        start = SingleSteps(config, adapter).start(particle, history_buffer)
        dt = adapter.step_from_output(model(start.features), start.state)
        reached = advanced(start.state, dt, config)
        after = reached.total_energy_batch(config.G)
    return reached if particle.batch_shape else reached.select(0), dt, start.known.energy, after


def check_energy_threshold(E0: Tensor, E1: Tensor, threshold: float) -> tuple[bool, Tensor]:
    """Whether every system conserved its energy, and the relative energy error of each.

    Args:
        E0: (B,) or (), energy before.
        E1: the same, after.
        threshold: the error that all must stay below.
    """
    error = energy_error(torch.as_tensor(E0), torch.as_tensor(E1))
    return bool(passes(error, threshold).all()), torch.where(error < torch.inf, error, 1.0)


def compute_single_step_loss(E0: Tensor, E1: Tensor, config: Config) -> Tensor:
    """Mean over systems of the band loss of log(relative energy error) between E_lower and E_upper; a scalar.

    Systems whose energy is not finite count with an error of 1 and send no gradient back.

    Args:
        E0: (B,) or (), energy before the step.
        E1: the same, after it.
    """
    finite = torch.isfinite(E0) & torch.isfinite(E1)
    # Selected, not masked by a product: the derivative of a masked NaN would still be NaN.
    losses = log_band_loss(energy_error(E0[finite], E1[finite]), config.E_lower, config.E_upper)
    return (losses.sum() + lost_losses(E0[~finite], config).sum()) / max(finite.numel(), 1)
