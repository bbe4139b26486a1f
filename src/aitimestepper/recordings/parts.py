"""What a recording is made of: states, steps, what was known before the run, and its summary."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, field, fields
from typing import Any, NamedTuple, Self

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.recordings.shown import Rows, Shown, summary_rows
from aitimestepper.recordings.verdicts import FALLING_SHORT, verdict

FINISHED = "finished"
"""The outcome of a run that reached its end; words on steps above what each was promised follow behind a semicolon. Any
other outcome is a sentence that says why it did not."""

STOPPED_BY = "stopped by"
"""How the outcome of a run begins that ended before its end, where it was asked to: by a callback, for instance."""

UNFINISHED = "unfinished: the run was ended from outside before it could say how"
"""The outcome that a recording bears while its run goes on, and that a killed run leaves behind."""


def has_finished(outcome: str) -> bool:
    """Whether it is that of a run that reached its end, or ended where it was asked to."""
    return outcome == FINISHED or is_above(outcome) or outcome.startswith(STOPPED_BY)


def is_above(outcome: str) -> bool:
    """Whether it is that of a run that reached its end by steps above what each was promised."""
    return outcome.startswith(f"{FINISHED};")


class Frames(NamedTuple):
    """Consecutive states of one run: S of them, in the order in which it came through them.

    Attributes:
        time: (S,); it falls where the run goes back.
        dt: (S,), the step that led to each frame, below 0 where the run goes back; 0 for the initial state.
        position: (S, N, D).
        velocity: (S, N, D).
        energy: (S,), kinetic + potential, the external field included.
        angular_momentum: (S,) in 1-D (zero) and 2-D, (S, 3) in 3-D, about the origin.
        dt_min, dt_max: (S,), the shortest and the longest step since the frame before, below 0 where the run goes
            back; 0 for the initial state. A step that was shortened to meet an exact time counts where there was no
            other.
        error_max: (S,), largest relative energy error of all states since the frame before, kept or not, as
            `Summary.energy_error_max` has it for the whole run.
    """

    time: Floats
    dt: Floats
    position: Floats
    velocity: Floats
    energy: Floats
    angular_momentum: Floats
    dt_min: Floats
    dt_max: Floats
    error_max: Floats

    def __repr__(self) -> str:
        return f"<Frames: {len(self.time)} states of {self.position.shape[1]} bodies>"

    def turned(self, direction: float) -> Frames:
        """The states as they are seen, from those of a run whose own time goes in this direction, 1 or -1."""
        if direction > 0:
            return self
        # 0 - x and not -x: no time is -0.
        return Frames(
            0.0 - self.time,
            0.0 - self.dt,
            self.position,
            0.0 - self.velocity,
            self.energy,
            0.0 - self.angular_momentum,
            0.0 - self.dt_min,
            0.0 - self.dt_max,
            self.error_max,
        )

    @classmethod
    def joined(cls, blocks: Sequence[Frames]) -> Frames:
        """All frames of consecutive blocks."""
        return cls(*(np.concatenate(arrays) for arrays in zip(*blocks, strict=True)))


class StepHistory(NamedTuple):
    """Every step of one run: M of them, empty unless they were asked for.

    Attributes:
        time: (M,), at the end of each step.
        dt: (M,).
        energy: (M,).
    """

    time: Floats
    dt: Floats
    energy: Floats

    def turned(self, direction: float) -> StepHistory:
        """The steps as they are seen, as for `Frames`."""
        return self if direction > 0 else StepHistory(0.0 - self.time, 0.0 - self.dt, self.energy)

    @classmethod
    def joined(cls, blocks: Sequence[StepHistory]) -> StepHistory:
        """All steps of consecutive blocks."""
        return cls(*(np.concatenate(arrays) for arrays in zip(*blocks, strict=True)))

    @classmethod
    def of(cls, time: float, dt: float, energy: float) -> StepHistory:
        """One step."""
        return cls(np.array([time]), np.array([dt]), np.array([energy]))

    @classmethod
    def none(cls) -> StepHistory:
        """No steps."""
        return cls(np.empty(0), np.empty(0), np.empty(0))


@dataclass(frozen=True)
class RunInfo:
    """What is known of a run before it starts.

    Attributes:
        mass: (N,).
        names: one for each body, or empty.
        period: orbital period of the system, 0 if it has none.
        G: gravitational constant.
        softening: Plummer length.
        energy_scale: what energy errors are relative to, see `engine.physics.conserved.energy_scale`.
        note: source of the initial conditions, one line.
        units: names of the units of length, of time or velocity, and of mass, as `au, yr, Msun`; empty where nobody
            said.
        settings: the configuration that was asked for, as JSON has it.
        radius: (N,), 0 of points.
    """

    mass: Floats
    names: tuple[str, ...] = ()
    period: float = 0.0
    G: float = 1.0
    softening: float = 0.0
    energy_scale: float = 1.0
    note: str = ""
    units: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    radius: Floats = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        if not len(self.radius):
            object.__setattr__(self, "radius", np.zeros(len(self.mass)))


class Counts(NamedTuple):
    """Steps of a run and what they cost; as in `Summary`."""

    steps: int
    force_evaluations: int
    rejected_steps: int
    wall_seconds: float


@dataclass(frozen=True, repr=False)
class Summary(Shown):
    """A run in numbers, all finite.

    Attributes:
        steps: accepted steps.
        force_evaluations: evaluations of the force on all bodies: one for the initial state, one for each step tried.
        rejected_steps: steps that a gate undid.
        time: simulated time reached.
        energy_initial, energy_final: total energy at the start and at the end, the external field included.
        energy_error_max: largest |E - E_initial| / |E_initial| over every step, recorded or not.
        energy_error_final: the same of the last step. Where E_initial nearly vanishes, both are relative to
            the initial kinetic + |potential| energy.
        momentum_residual: largest |P - P_initial| over the largest sum m |v|, both over every step.
        angular_momentum_residual: largest |L - L_initial| over the largest sum m |x| |v|, both over every step.
        wall_seconds: real time of the integration.
        outcome: 'finished', or a sentence that says why the run stopped, and at what time; it begins with 'stopped by'
            where it was asked to stop there.
        energy_error_max_time: time of the state with the largest energy error; that of the start where there was none.
        energy_error_asked: what `energy_error_max` was to stay below; None if nothing was asked of the run.
        position_error_asked: what `position_error_max` was to stay below.
        position_error_max: largest local position error for each dynamical time, from steps made again in two halves
            (`gbs`: from its table); None where not measured. Of each body by the pair in which it falls fastest.
        position_error_run: what the local position errors of the whole run add up to: an estimate of the position error
            at the end, over the distance of the pair in which a body falls fastest. Nothing is promised of it. None
            where steps were taken back, or three bodies were seen about equally near to each other: errors grow
            then, by more than the sum shows.
        longest_step: longest step over the free-fall time of the fastest pair for which time is not transformed. Above
            1 a position error cannot be measured by halves of a step: what was between was not seen.
        handed_over_at_step, handed_over_at_time: where `gbs` took over; None where one method made all steps.
        outside_training: part of the states that calibrated weights were asked about which were unlike any in their
            training; the step was then that of the nearest state that is.
        step_error_asked: what the relative energy error of every single step was to stay below: with weights of one's
            own the threshold of their training, or the tolerance; None of other runs.
        step_error_max, steps_above: the largest of a step, and the number of steps above what was asked.
        confirm_tolerance: of the second run that the first was compared with, a tenth of what was asked of that; None
            like all of these where no second run was asked for. Nothing else in here is of the second run.
        confirm_position_difference: largest distance of a body between the two runs, over all times compared.
        confirm_position_difference_relative: the largest over the distance of the body to its nearest neighbour then.
        confirm_force_evaluations: those of the second run, apart from those of the first.
        confirm_outcome: 'confirmed' where the two could be compared, or a sentence that says why not.
        mergers: how often two bodies became one; None for never. Errors of energy and momenta are those since the last
            merger, or since the start; the largest are the largest of all such times.
        merger_energy: what all of them have taken together.
        energy_verdict, position_verdict, step_verdict: 'kept' or 'exceeded'; None if nothing was asked. Of positions
            'unknown' where a step was too long for its error to be measured.
    """

    steps: int
    force_evaluations: int
    rejected_steps: int
    time: float
    energy_initial: float
    energy_final: float
    energy_error_max: float
    energy_error_final: float
    momentum_residual: float
    angular_momentum_residual: float
    wall_seconds: float
    outcome: str
    energy_error_asked: float | None = None
    position_error_asked: float | None = None
    position_error_max: float | None = None
    outside_training: float | None = None
    step_error_asked: float | None = None
    step_error_max: float | None = None
    steps_above: int | None = None
    confirm_tolerance: float | None = None
    confirm_position_difference: float | None = None
    confirm_position_difference_relative: float | None = None
    confirm_force_evaluations: int | None = None
    confirm_outcome: str | None = None
    position_error_run: float | None = None
    longest_step: float | None = None
    energy_error_max_time: float | None = None
    mergers: int | None = None
    merger_energy: float | None = None
    handed_over_at_step: int | None = None
    handed_over_at_time: float | None = None

    @property
    def energy_verdict(self) -> str | None:
        """Whether the run kept its energy as well as was asked."""
        return verdict(self.energy_error_max, self.energy_error_asked)

    @property
    def position_verdict(self) -> str | None:
        """The same of its local position errors."""
        return verdict(self.position_error_max, self.position_error_asked, self.longest_step)

    @property
    def step_verdict(self) -> str | None:
        """The same of its single steps."""
        return verdict(self.step_error_max, self.step_error_asked)

    @property
    def falls_short(self) -> bool:
        """Whether anything that was asked of the run was not kept, or cannot be known to be."""
        return bool(FALLING_SHORT & {self.energy_verdict, self.position_verdict, self.step_verdict})

    def as_dict(self) -> dict[str, int | float | str | None]:
        """The same as JSON has it, with the verdicts at the end."""
        return {
            **asdict(self),
            "energy_verdict": self.energy_verdict,
            "position_verdict": self.position_verdict,
            "step_verdict": self.step_verdict,
        }

    def _shown(self) -> tuple[str, Rows]:
        return f"Summary: {self.outcome}", [row for row in summary_rows(self.as_dict()) if row[0] != "outcome"]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """The summary of a dictionary that has its keys, and perhaps more; numbers of any kind fit.

        Raises:
            KeyError: one is missing.
            TypeError, ValueError: one is no number, or not a finite one.
        """
        kinds: dict[str, Callable[[Any], Any]] = {"int": int, "float": _finite, "str": str}
        kinds |= {"float | None": _optional(_finite), "int | None": _optional(int), "str | None": _optional(str)}
        there = [entry for entry in fields(cls) if entry.default is MISSING or entry.name in values]
        return cls(**{entry.name: kinds[str(entry.type)](values[entry.name]) for entry in there})


def _optional(kind: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else kind(value)


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"a number that is not finite: {number}")
    return number
