"""The reference loop: one system, one step after the other, through `ParticleTorch`.

It is plain rather than fast, and every faster path is judged by it.
"""

from __future__ import annotations

import copy
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple, final

import torch
from torch import Tensor, nn

from aitimestepper.model_adapter import ModelAdapter
from aitimestepper.particle import ParticleTorch
from aitimestepper.physics.leapfrog import ENERGY_ERROR_ORDER
from aitimestepper.recording import Counts, Frames, angular_momentum

LAST_STEP_STRETCH = 1e-6
"""The last step may be longer by this part, so that rounding in the time never leaves a step of almost nothing."""

_BLOCK_FRAMES = 1024
_BLOCK_BYTES = 2**24
_BLOCK_SECONDS = 1.0
_PROGRESS_SECONDS = 0.1

OnBlock = Callable[[Frames, Counts], None]


class Stepper(ABC):
    """What chooses the steps."""

    @abstractmethod
    def wanted(self, state: ParticleTorch) -> float:
        """The step wanted from a state; infinite if nothing bounds it."""

    def accepted(self, start: ParticleTorch) -> None:  # noqa: B027 - most steppers remember nothing
        """Take note of the state that an accepted step started from."""


@final
class FixedStep(Stepper):
    """The same step everywhere."""

    def __init__(self, dt: float) -> None:
        self._dt = dt

    def wanted(self, state: ParticleTorch) -> float:
        """dt."""
        return self._dt


@final
class FreeFallStep(Stepper):
    """eta times the shortest pair time, min sqrt(r^3 / G (m_i + m_j)) over the pairs."""

    def __init__(self, eta: float) -> None:
        self._eta = eta

    def wanted(self, state: ParticleTorch) -> float:
        """Infinite where no pair attracts."""
        return self._eta * float(state.shortest_pair_time())


@final
class LearnedStep(Stepper):
    """The step that a trained network predicts from the state and those before it."""

    def __init__(self, model: nn.Module, adapter: ModelAdapter, tolerance: float | None = None) -> None:
        """Start with an empty history.

        Args:
            model: the network.
            adapter: builds its features.
            tolerance: relative energy error wanted of one step; None takes the steps as trained. The network was
                trained to stay below `energy_threshold`, so its steps are scaled by the cube root of the ratio.
        """
        window = adapter.window(None)
        self._model, self._adapter = model, adapter
        self._window = None if window is None else window.holding([])
        ratio = 1.0 if tolerance is None else tolerance / adapter.config.energy_threshold
        self._scale = ratio ** (1 / ENERGY_ERROR_ORDER)

    def wanted(self, state: ParticleTorch) -> float:
        """The network's step, scaled to the tolerance."""
        return self._scale * float(self._adapter.predict_dt(self._model, state, self._window))

    def accepted(self, start: ParticleTorch) -> None:
        """The history holds states strictly before the current one."""
        self._adapter.update_history(start, self._window)


class Ended(NamedTuple):
    """How a run ended.

    Attributes:
        counts: steps and what they cost.
        failure: why it could not go on; None where it reached its end.
    """

    counts: Counts
    failure: str | None


def initial_frame(particle: ParticleTorch, *, G: float) -> Frames:
    """The state of one system as the first frame of a recording."""
    block = _Block(particle)
    block.add(particle, float(particle.current_time), 0.0, float(particle.total_energy(G)))
    return block.take()


def run_reference(
    particle: ParticleTorch,
    stepper: Stepper,
    on_block: OnBlock,
    *,
    G: float = 1.0,
    end_time: float = math.inf,
    steps: float = math.inf,
    progress: Callable[[float], None] | None = None,
) -> Ended:
    """Integrate one system with the leapfrog until a time or a number of steps is reached.

    Every step costs one evaluation of the force, and the initial state one. A step that would give a state or an
    energy that is not finite, or that does not advance the time, ends the run before it.

    Args:
        particle: the initial state; it is left as it is.
        stepper: chooses each step.
        on_block: called with the frames of every step since its last call (the initial state is not among them),
            about once a second, and in any case before this function is left.
        G: gravitational constant.
        end_time: where to end, exactly: the last step is shortened.
        steps: steps to make at most.
        progress: called several times a second with the part of the run that is done, 0 to 1.
    """
    loop = _Loop(particle, stepper, on_block, G)
    with torch.no_grad():
        try:
            return loop.run(_Goal(loop.time, loop.rounded(end_time), steps), progress or (lambda fraction: None))
        finally:
            loop.hand_over()


class _Goal(NamedTuple):
    """Where a run ends: at a time or after a number of steps, whichever comes first."""

    start_time: float
    end_time: float
    steps: float

    def reached(self, steps: int, time: float) -> bool:
        return steps >= self.steps or time >= self.end_time

    def fraction(self, steps: int, time: float) -> float:
        """The part of the run that is done; of a goal that is infinitely far this part is 0."""
        return max(steps / self.steps, (time - self.start_time) / (self.end_time - self.start_time))

    def fitted(self, dt: float, time: float) -> tuple[float, bool]:
        """The step that does not go beyond the end, and whether it is the last one there."""
        left = self.end_time - time
        return (left, True) if left <= dt * (1 + LAST_STEP_STRETCH) else (dt, False)


class _Loop:
    """The state of a run, and its step."""

    def __init__(self, particle: ParticleTorch, stepper: Stepper, on_block: OnBlock, G: float) -> None:
        self._state = particle.clone_detached()
        self._state.G = G
        self._G, self._stepper, self._on_block = G, stepper, on_block
        self._block = _Block(self._state)
        self._began = time.perf_counter()
        self._steps, self._evaluations = 0, 1
        self.time = float(self._state.current_time)

    @property
    def counts(self) -> Counts:
        """Steps so far and what they cost."""
        return Counts(self._steps, self._evaluations, 0, time.perf_counter() - self._began)

    def rounded(self, time: float) -> float:
        """A time in the precision of the state."""
        return float(self._state.current_time.new_tensor(time))

    def run(self, goal: _Goal, progress: Callable[[float], None]) -> Ended:
        """Step until the goal is reached or nothing more can be done."""
        told = -math.inf
        while not goal.reached(self._steps, self.time):
            failure = self._step(goal)
            if failure is not None:
                return Ended(self.counts, failure)
            if self._block.full():
                self.hand_over()
            if time.perf_counter() - told > _PROGRESS_SECONDS:
                told = time.perf_counter()
                progress(goal.fraction(self._steps, self.time))
        progress(1.0)
        return Ended(self.counts, None)

    def hand_over(self) -> None:
        """Pass on the frames that have come together."""
        if len(self._block):
            self._on_block(self._block.take(), self.counts)

    def _step(self, goal: _Goal) -> str | None:
        """Make one step; returns why it could not be made."""
        dt, is_last = goal.fitted(self._stepper.wanted(self._state), self.time)
        if not 0 < dt < math.inf:
            return f"the step wanted is {dt:g}"
        after = copy.copy(self._state)  # a step replaces the tensors of a state and changes none of them
        after.update_dt(dt)
        after.evolve(self._G)
        self._evaluations += 1
        now = goal.end_time if is_last else float(after.current_time)
        energy = float(after.total_energy(self._G))
        if not (math.isfinite(energy) and _finite(after.position) and _finite(after.velocity)):
            return f"a step of {dt:.3g} leads to a state that is not finite"
        if not now > self.time:
            return f"a step of {dt:.3g} is too short to advance the time"
        self._stepper.accepted(self._state)
        self._state, self.time = after, now
        self._steps += 1
        self._block.add(after, now, dt, energy)
        return None


class _Block:
    """Frames that are on their way to a recording."""

    def __init__(self, like: ParticleTorch) -> None:
        self._mass = like.mass.cpu().double().numpy()
        self._most = max(1, min(_BLOCK_FRAMES, _BLOCK_BYTES // (16 * like.position.numel())))
        self._clear()

    def __len__(self) -> int:
        return len(self._times)

    def _clear(self) -> None:
        self._times: list[tuple[float, float, float]] = []
        self._positions: list[Tensor] = []
        self._velocities: list[Tensor] = []
        self._since = time.perf_counter()

    def full(self) -> bool:
        """Whether there are many frames, or old ones."""
        return len(self) >= self._most or time.perf_counter() - self._since > _BLOCK_SECONDS

    def add(self, state: ParticleTorch, time: float, dt: float, energy: float) -> None:
        """Append the frame of a state, without copying it."""
        self._times.append((time, dt, energy))
        self._positions.append(state.position)
        self._velocities.append(state.velocity)

    def take(self) -> Frames:
        """The frames as arrays; the block is empty then."""
        times = torch.tensor(self._times, dtype=torch.float64).numpy()
        position, velocity = (
            torch.stack(tensors).detach().cpu().double().numpy() for tensors in (self._positions, self._velocities)
        )
        self._clear()
        return Frames(
            time=times[:, 0],
            dt=times[:, 1],
            position=position,
            velocity=velocity,
            energy=times[:, 2],
            angular_momentum=angular_momentum(self._mass, position, velocity),
        )


def _finite(tensor: Tensor) -> bool:
    return bool(torch.isfinite(tensor).all())
