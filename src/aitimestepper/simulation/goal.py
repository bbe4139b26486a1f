"""Where a run ends, and which of its states are kept."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.engine.layout import Books
from aitimestepper.simulation.request import Request

DEFAULT_FRAMES = 1000
"""States that are kept, about, unless it is said which."""

_SAME_TIME = 1e-14
"""Two times are one where they differ by less than this part: some tens of roundings of a product and a sum."""


class Goal(NamedTuple):
    """Where a run ends and which of its states are kept.

    Times are those of the run itself, which grow also where the run goes back in time (`direction`).

    Attributes:
        end_time: infinite for none.
        last_step: number of steps; infinite for none.
        every: keep a state after this many steps; 0 for none by steps.
        interval: keep the first state after each multiple of this time; infinite for none.
        sample_interval: keep a state at exactly each multiple of this time; infinite for none.
        history: whether every step is noted.
        sample_times: keep a state at exactly each of these times, (T,); none where that is said otherwise.
        direction: what a time of the run itself is multiplied by to give the time that is seen, 1 or -1.
        keeps: whether any state is kept at all.
        stop_distance: end the run with an unbound body farther than this from the centre of mass; infinite for none.
        stop_approach: end it with two bodies nearer to each other than this; 0 for none.
        radii: (N,), of bodies that end it, or merge, where two of them touch; (0,) for none.
        merges: whether they merge.
    """

    end_time: float = math.inf
    last_step: float = math.inf
    every: int = 0
    interval: float = math.inf
    sample_interval: float = math.inf
    history: bool = False
    sample_times: Floats | None = None
    direction: float = 1.0
    keeps: bool = True
    stop_distance: float = math.inf
    stop_approach: float = 0.0
    radii: Floats = np.zeros(0)
    merges: bool = False

    def next_target(self, books: Books) -> float:
        """The time that is to be met exactly next: that of a sample, or the end."""
        if self.sample_times is not None:
            number = int(books.samples)
            sample = float(self.sample_times[number]) if number < len(self.sample_times) else math.inf
            return min(self.end_time, sample)
        sample = float(books.start_time + (books.samples + 1.0) * self.sample_interval)
        # The last sample is the end itself: N times an Nth of a duration may miss it by rounding.
        near = math.isclose(sample, self.end_time, rel_tol=_SAME_TIME)
        return self.end_time if near else min(self.end_time, sample)


def goal_of(request: Request, direction: float | None = None) -> Goal:
    """Where a run ends and which of its states are kept; `direction` if the request does not say it."""
    config, direction = request.settings.config, direction or request.direction
    end_time = math.inf if math.isinf(request.end_time) else direction * request.end_time
    duration = end_time - direction * request.system.time
    every, interval, samples, times = config.every or 0, math.inf, math.inf, request.times
    if times is not None:
        times = direction * times
    elif config.samples is not None:
        samples = duration / config.samples
    elif not every and config.steps is not None:
        every = math.ceil(config.steps / DEFAULT_FRAMES)
    elif not every:
        interval = duration / DEFAULT_FRAMES
    last_step = math.inf if config.steps is None else float(config.steps)
    goal = Goal(end_time, last_step, every, interval, samples, config.step_history, times, direction)
    radii = np.zeros(0) if config.collisions == "ignore" else request.system.radius.copy()
    return goal._replace(
        stop_distance=config.stop_distance or math.inf,
        stop_approach=config.stop_approach or 0.0,
        radii=radii,
        merges=config.collisions == "merge",
    )
