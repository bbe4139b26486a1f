"""How the steps over an orbit change while a training goes on: the network is asked at the same states now and then."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from aitimestepper.config.schema import Config
from aitimestepper.model.batches import concatenate_particles
from aitimestepper.model.history_buffer import HistoryBuffer
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.outputs import finite
from aitimestepper.training.session.epochs import TrainingState
from aitimestepper.training.session.observers import EpochObserver, Lines
from aitimestepper.training.steps.compiled import Before
from aitimestepper.training.steps.gate import advanced
from aitimestepper.training.steps.learned import Learned, Start
from aitimestepper.training.steps.losses import evaluation_mode
from aitimestepper.training.steps.records import EpochRecord
from aitimestepper.training.steps.single_step import step_fraction

SYSTEMS = 3
"""Systems that are looked at, the first ones: as many panels as a figure has room for."""
STATES = 64
"""States of each, evenly spread over the steps of a march, so that they lie close where steps are short."""
A_DECADE = 20
"""Epochs of a decade that are noted: all up to the ninth, 50 of the first 1,000; a line has about 4 kB."""

_ETA = 0.03
"""Step of the march over the shortest pair time: 210 steps a period, with errors that no figure shows."""
_LEAST, _MOST = 400, 3000
"""Steps of the march where there is no period, and where one is long."""
_TYPICAL = 0.7
"""Steps between the states of a history, over the largest that pass: the middle of the usual band."""
_DIGITS = 5


class OrbitSteps(EpochObserver):
    """Writes the predicted steps and their energy errors after chosen epochs, and first the states and what can pass.

    Args:
        path: the file; lines of epochs after `state.epoch` are dropped, they belong to a run that was cut off.
        state: the training, before its first epoch or resumed.
        config: of the training.
    """

    def __init__(self, path: Path, state: TrainingState, config: Config) -> None:
        super().__init__()
        self._state, self._config = state, config
        self._watched = watched_states(state.initial, state.learned, state.history, config)
        self._lines = Lines(path, resumed_at=state.epoch)

    def begin(self, message: str) -> None:
        """Write down what does not change, and the steps of fresh weights."""
        if self._lines.resumed:
            return
        config = self._config
        known = {"energy_threshold": config.energy_threshold, "E_lower": config.E_lower, "E_upper": config.E_upper}
        self._lines.write({**known, "systems": [_rounded(system) for system in self._watched.systems]})
        self._write(0)

    def epoch(self, record: EpochRecord) -> None:
        """Note the epoch, if it is one of those chosen, or the last."""
        if is_noted(record.epoch) or record.epoch == record.n_epochs:
            self._write(record.epoch)

    def _write(self, epoch: int) -> None:
        watched, model = self._watched, self._state.model
        with torch.no_grad(), evaluation_mode(model):
            tried = self._state.learned.attempt(model, watched.start)
        shape = (len(watched.systems), -1)
        noted = {"dt": tried.dt.reshape(shape).tolist(), "error": tried.error.reshape(shape).tolist()}
        self._lines.write({"epoch": epoch, **_rounded(noted)})

    def close(self) -> None:
        """Close the file."""
        self._lines.close()


def is_noted(epoch: int) -> bool:
    """Whether an epoch >= 1 is one of those chosen: evenly spread in their logarithm."""
    return epoch < 2 or math.floor(A_DECADE * math.log10(epoch)) > math.floor(A_DECADE * math.log10(epoch - 1))


class Watched(NamedTuple):
    """States at which the network is asked.

    Attributes:
        start: `STATES` for each system, one system after the other.
        systems: of each, in the order of time: `time` since the first and `separation` of the closest pair; `largest`,
            the largest step before the first that does not pass; `period`, 0 without one; `n_bodies`.
    """

    start: Start[Any]
    systems: list[dict[str, Any]]


def watched_states(
    initial: ParticleTorch,
    learned: Learned[Any],
    history: HistoryBuffer | None,
    config: Config,
    *,
    most: int = SYSTEMS,
) -> Watched:
    """States over a period of the first systems of a batch, each with a history as a run would have it.

    Args:
        initial: where the systems begin.
        learned: prepares the states.
        history: of the training; None without one.
        config: all settings.
        most: systems.
    """
    first = initial.as_batch()
    periods = 1 if history is None else 2  # the first of two is the history's
    march = _March.of(first.select(torch.arange(min(most, len(first.dt)))), periods, config)
    steps = [_over_a_period(march, system, history, config) for system in range(march.time.shape[1])]
    rows, gaps = torch.cat([rows for rows, _, _ in steps]), torch.cat([gaps for _, gaps, _ in steps])
    whose = torch.arange(len(steps)).repeat_interleave(STATES)
    past = None
    if history is not None:
        backs = range(history.history_len, 0, -1)
        past = history.holding(march.at(rows - k * gaps, whose, gaps).snapshot() for k in backs)
    return Watched(learned.start(march.at(rows, whose, gaps), past), [system for _, _, system in steps])


class _March(NamedTuple):
    """T states of B systems, at short steps.

    Attributes:
        states: a batch of T x B systems, the first B of them at the beginning.
        time: (T, B), since the beginning.
        periods: that all systems cover, if they have one and it is not too long.
    """

    states: ParticleTorch
    time: Tensor
    periods: int

    @classmethod
    def of(cls, state: ParticleTorch, periods: int, config: Config) -> _March:
        """Until all systems have covered their periods; of those without one some steps."""
        states, least = [state], 1 if (state.period > 0).all() else _LEAST
        ends = state.current_time + periods * state.period
        while len(states) < (_MOST if (states[-1].current_time < ends).any() else least):
            states.append(advanced(states[-1], _ETA * states[-1].shortest_pair_time(config.G), config))
        joined = concatenate_particles(states)
        return cls(joined, joined.current_time.reshape(len(states), -1) - state.current_time, periods)

    def at(self, rows: Tensor, whose: Tensor, gaps: Tensor) -> ParticleTorch:
        """States (S,) of the march, with the time from the one that is `gaps` rows before as their step."""
        states = self.states.select(rows * self.time.shape[1] + whose)
        states.dt = self.time[rows, whose] - self.time[(rows - gaps).clamp(min=0), whose]
        return states


def _over_a_period(
    march: _March, system: int, history: HistoryBuffer | None, config: Config
) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Of one system: rows of the march over a period, rows between two states of a history, and what is told of it.

    Returns:
        (STATES,), (STATES,), and the entries of `Watched.systems`.
    """
    time, period = march.time[:, system], float(march.states.period[system])
    end = march.periods * period if time[-1] >= march.periods * period > 0 else float(time[-1])
    known = ((time >= (march.periods - 1) / march.periods * end) & (time <= end)).nonzero()[:, 0]
    rows = known[torch.linspace(0, len(known) - 1, STATES).round().long()]
    one = torch.ones_like(rows)
    state = march.at(rows, system * one, one)
    energy = state.total_energy_batch(config.G)
    before = Before.of(state, energy, state.shortest_pair_time(config.G), config)
    start = Start(state, None, energy[:, None], before)
    largest = 1.0 / step_fraction(start, torch.ones_like(state.dt), config)
    apart = int(max((_TYPICAL * largest / state.dt).median().item(), 1.0))
    if history is not None:
        apart = min(apart, int(rows[0]) // history.history_len)
    described = {
        "n_bodies": state.n_bodies,
        "period": period,
        "time": (time[rows] - time[rows[0]]).tolist(),
        "separation": _separation(state.position).tolist(),
        "largest": largest.tolist(),
    }
    return rows, apart * one, described


def _separation(position: Tensor) -> Tensor:
    """(S,): distance of the closest pair of bodies (S, N, D)."""
    n = position.shape[-2]
    first, second = torch.triu_indices(n, n, offset=1)
    return (position[:, first] - position[:, second]).norm(dim=-1).amin(-1)


def _rounded(numbers: Any) -> Any:
    """The same with few digits, and None for what is not finite."""
    if isinstance(numbers, dict):
        return {key: _rounded(value) for key, value in numbers.items()}
    if isinstance(numbers, list):
        return [_rounded(value) for value in numbers]
    return finite(float(f"{numbers:.{_DIGITS}g}")) if isinstance(numbers, float) else numbers
