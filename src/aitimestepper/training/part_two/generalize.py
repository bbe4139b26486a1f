"""Part 2: training on minibatches of the accepted states until all of them pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from aitimestepper.config.schema import Config
from aitimestepper.model.adapter import ModelAdapter
from aitimestepper.model.history_buffer import HistoryBuffer
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.physics.conserved import relative_energy_error
from aitimestepper.training.steps import ranks
from aitimestepper.training.steps.attempt import Attempt, Start, attempt, evaluation_mode, learn
from aitimestepper.training.steps.compiled import Judged, judge_output
from aitimestepper.training.steps.trajectory import Pair, ReplayMemory, Samples, Trajectory
from aitimestepper.training.steps.windows import CalibratedAdapter, orders

_FRACTION_SAMPLES = 64
_FRACTION_GRID = 48
_FRACTION_DECADES = 4.0


class Evaluation(NamedTuple):
    """One batched look at accepted states with the network as it is.

    Attributes:
        all_pass: whether the gate lets every one through.
        losses: (S,), zero inside the band, with their graph.
        error: (S,), relative energy errors, the largest of each rollout.
        passed: (S,), whether the gate lets each through.
        dt: (S,), the predicted steps.
    """

    all_pass: bool
    losses: Tensor
    error: Tensor
    passed: Tensor
    dt: Tensor


def sample_minibatch(
    trajectory: Sequence[Pair] | ReplayMemory, batch_size: int, *, generator: torch.Generator | None = None
) -> Samples:
    """At most `batch_size` accepted states at random, none twice; a sequence of (state, dt) of single systems.

    Args:
        trajectory: a trajectory (each system of a batch counts by itself), samples, or a replay memory.
        batch_size: states wanted.
        generator: source of the choice; None takes torch's own.
    """
    samples = _samples(trajectory)
    chosen = torch.randperm(len(samples), generator=generator)[:batch_size]
    return samples.select(chosen)


def evaluate_minibatch(
    model: nn.Module,
    minibatch: Sequence[Pair],
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None = None,
) -> Evaluation:
    """Predict and roll out `n_steps` steps from every state in one batch; the states stay as they are.

    Each state is seen with the history that is stored with it. `history_buffer` serves only pairs that come without:
    it is the history in force at the first of them.
    """
    start = _start(minibatch, config, adapter, adapter.window(history_buffer))
    return _evaluation(_try(model, start, config, adapter))


def generalize_on_trajectory(
    model: nn.Module,
    trajectory: Sequence[Pair] | ReplayMemory,
    optimizer: torch.optim.Optimizer,
    config: Config,
    adapter: ModelAdapter,
    history_buffer: HistoryBuffer | None = None,
    *,
    generator: torch.Generator | None = None,
) -> tuple[bool, int, dict[str, float]]:
    """Train on random minibatches until a pass over ALL accepted states is within the threshold.

    The loss counts every state outside the band on both sides, so that steps also grow; `min_replay_steps`
    iterations are made even where everything passes already.

    Args:
        trajectory: accepted states: a trajectory, samples, pairs in the order of time, or a replay memory.
        history_buffer: as for `evaluate_minibatch`.
        generator: source of the minibatches; None for one seeded with `config.seed`.

    Returns:
        Whether all states pass, the number of iterations, and the metrics. Below `min_replay_size` states nothing is
        done, which `skipped` says; that is no convergence.
    """
    if ranks.least(_count_systems(trajectory)) < config.min_replay_size:
        return False, 0, {**_NOTHING, "skipped": True}
    generator = generator or torch.Generator().manual_seed(config.seed)
    start = _start(trajectory, config, adapter, adapter.window(history_buffer))
    final: Evaluation | None = None  # of all states, with the weights as they are
    iterations = 0
    while iterations < config.replay_steps and not (final is not None and final.all_pass):
        iterations += 1
        final = None
        chosen = torch.randperm(len(start.energy), generator=generator)[: config.replay_batch_size]
        passed = _learn_from(model, optimizer, start, chosen, config, adapter)
        if passed and iterations >= config.min_replay_steps:
            final = _evaluate(model, start, config, adapter)
    final = final or _evaluate(model, start, config, adapter)
    return final.all_pass, iterations, _metrics(final, start, config)


_NOTHING = {
    "mean_rel_dE": 0.0,
    "max_rel_dE": 0.0,
    "final_pass_rate": 0.0,
    "in_band_rate": 0.0,
    "mean_step_fraction": 0.0,
    "progress": 0.0,
}


def _samples(states: Sequence[Pair] | ReplayMemory, window: HistoryBuffer | None = None) -> Samples:
    if isinstance(states, Samples):
        return states
    if not isinstance(states, Trajectory | ReplayMemory):
        states = Trajectory.from_pairs(states, window)
    assert states.samples is not None
    return states.samples


def _start(
    states: Sequence[Pair] | ReplayMemory, config: Config, adapter: ModelAdapter, window: HistoryBuffer | None
) -> Start:
    # What is asked of windows is drawn anew each time.
    if isinstance(states, ReplayMemory) and not isinstance(adapter, CalibratedAdapter):
        return states.start(config, adapter)
    samples = _samples(states, window)
    return Start.of(samples.state, config, adapter, samples.window)


def _try(
    model: nn.Module, start: Start, config: Config, adapter: ModelAdapter, chosen: Tensor | None = None
) -> Attempt | Judged:
    """A rollout from the chosen states, or from all."""
    if start.stock is None or config.n_steps > 1:
        return attempt(
            model, start if chosen is None else start.select(chosen), config, adapter, n_steps=config.n_steps
        )
    # Nothing is made of the states themselves, so only their rows are gathered.
    if chosen is None:
        return judge_output(model(start.features), start.stock, adapter)
    return judge_output(model(start.features[chosen]), start.stock.select(chosen), adapter)


def _count_systems(states: Sequence[Pair] | ReplayMemory) -> int:
    if isinstance(states, ReplayMemory | Samples):
        return len(states)
    if isinstance(states, Trajectory):
        return 0 if states.samples is None else len(states.samples)
    return sum(state.batch_shape.numel() for state, _ in states)


def _learn_from(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    start: Start,
    chosen: Tensor,
    config: Config,
    adapter: ModelAdapter,
) -> bool:
    """One iteration on a minibatch; whether the gate let all of it through before."""
    model.train()
    tried = _try(model, start, config, adapter, chosen)
    outside = tried.losses.detach() > 0
    failed = ~tried.passed
    here = [outside.numel(), *(int(which.sum()) for which in (outside, failed & outside, failed))]
    n_samples, n_outside, n_refused, n_failed = ranks.total(np.array(here, dtype=np.float64))
    if n_outside:
        learn(model, optimizer, tried.losses.sum(), int(n_samples), refused=n_refused > 0)
    return n_failed == 0


def _evaluate(model: nn.Module, start: Start, config: Config, adapter: ModelAdapter) -> Evaluation:
    with torch.no_grad(), evaluation_mode(model):
        found = _evaluation(_try(model, start, config, adapter))
    return found._replace(all_pass=ranks.everywhere(found.all_pass))


def _evaluation(tried: Attempt | Judged) -> Evaluation:
    return Evaluation(bool(tried.passed.all()), tried.losses, tried.error.detach(), tried.passed, tried.dt.detach())


def _metrics(final: Evaluation, start: Start, config: Config) -> dict[str, float]:
    if start.request is None:
        fraction, passed = step_fraction(start, final.dt, config), final.passed[_spread(len(final.passed))]
    else:  # the errors of windows follow the law of their order nearly enough
        fraction, passed = final.error ** (1.0 / orders(start.request.head)), final.passed
    return {
        "mean_rel_dE": float(final.error.mean()),
        "max_rel_dE": float(final.error.max()),
        "final_pass_rate": float(final.passed.double().mean()),
        "in_band_rate": float((final.losses == 0).double().mean()),
        "mean_step_fraction": float(fraction.mean()),
        # A step that is refused gains nothing, and one that passes beyond the largest has been lucky.
        "progress": float(torch.where(passed, fraction.clamp(max=1.0), 0.0).mean()),
    }


def _spread(n_states: int) -> Tensor:
    """Indices of at most 64 states, spread evenly."""
    return torch.linspace(0, n_states - 1, min(n_states, _FRACTION_SAMPLES)).round().long()


@torch.no_grad()
def step_fraction(start: Start, dt: Tensor, config: Config) -> Tensor:
    """Predicted steps over the largest ones that pass, of at most 64 states spread evenly, (<= 64,).

    The largest step that passes is where the energy error of a growing step first crosses the threshold, or the
    limit of `max_step_fraction`; beyond it a step can only pass by chance.
    """
    chosen = _spread(dt.shape[0])
    state, energy, dt = start.state.select(chosen), start.energy[chosen], dt[chosen]
    limit = config.max_step_fraction * state.shortest_pair_time(config.G)
    # A system whose steps nothing limits (a lone body in a field) is searched about its own prediction.
    limit = torch.where(torch.isfinite(limit), limit, 100.0 * dt)
    grid = torch.logspace(-_FRACTION_DECADES, 0.0, _FRACTION_GRID, dtype=dt.dtype, device=dt.device)
    if start.stock is not None:
        return dt / start.stock.select(chosen).largest_steps(limit, grid)
    rows = torch.arange(len(chosen)).repeat(_FRACTION_GRID)
    tried: ParticleTorch = state.select(rows)
    tried.update_dt((grid[:, None] * limit).reshape(-1))
    tried.evolve_batch(config.G)
    error = relative_energy_error(energy[rows], tried.total_energy_batch(config.G)).reshape(_FRACTION_GRID, -1)
    crossed = (error >= config.energy_threshold).to(torch.int64).cumsum(0) > 0
    passing = (~crossed).sum(0)  # grid points before the first crossing
    largest = limit * grid[(passing - 1).clamp(min=0)]
    return dt / largest
