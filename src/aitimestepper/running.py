"""One run, from a checked request to its recording, through the compiled engine."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aitimestepper.checkpoint import ModelFile, model_path, read_model
from aitimestepper.config import Config
from aitimestepper.defaults import completed
from aitimestepper.engine.driver import Goal, drive
from aitimestepper.engine.layout import ENERGY_SCALE, STEPS, TIME
from aitimestepper.engine.plans import new_run, own_criterion, plan_for, unpack
from aitimestepper.engine.rollout import Run
from aitimestepper.errors import InputError, SimulationError
from aitimestepper.recorder import Recorder
from aitimestepper.recording import FINISHED, Recording, RunInfo
from aitimestepper.recording_file import StoredRun
from aitimestepper.systems.initial import InitialConditions

DEFAULT_FRAMES = 1000
"""States that are kept, about, unless it is said which."""


class Prepared:
    """All that a run needs before its first step."""

    def __init__(
        self, config: Config, system: InitialConditions, end_time: float, origin: dict[str, Any] | None = None
    ) -> None:
        config = completed(config)
        self.config, self.system, self.end_time = config, system, end_time
        model, digest = _model(config)
        if origin is not None and origin["model"] != digest:
            raise InputError(f"the weights in {config.model} are not those that the run began with")
        check_reversible(config, model)
        self.plan = plan_for(config, system, model)
        self.own = own_criterion(config)
        self.goal = _goal(config, system, end_time, origin)
        self.origin = {
            "model": digest,
            "every": self.goal.every,
            "interval": _finite(self.goal.interval),
            "sample_interval": _finite(self.goal.sample_interval),
        }

    def new_run(self) -> Run:
        """The run at its start."""
        return new_run(self.system, self.plan)

    def info(self, run: Run) -> RunInfo:
        """What is known before the first step."""
        system, config = self.system, self.config
        return RunInfo(
            mass=system.mass,
            names=system.names,
            period=system.period,
            G=config.G,
            softening=config.softening,
            energy_scale=float(run.books[ENERGY_SCALE]),
            note=system.note,
            settings=config.explicit(),
        )

    def fraction(self, run: Run) -> float:
        """The part of the run that is done."""
        covered = float(run.books[TIME]) - self.system.time
        by_time = covered / (self.end_time - self.system.time)
        return min(max(by_time, float(run.books[STEPS]) / self.goal.last_step), 1.0)


def _model(config: Config) -> tuple[ModelFile | None, str]:
    """The weights, and a digest by which they are known again."""
    if config.timestep != "learned":
        return None, ""
    model = read_model(config.model)
    return model, hashlib.sha256(model_path(config.model).read_bytes()).hexdigest()


def check_reversible(config: Config, model: ModelFile | None) -> None:
    """Refuse reversible steps for a network that looks back."""
    if config.reversible and model is not None and model.config.history_len > 0:
        raise InputError(
            f"reversible steps must follow from the state alone, and {config.model} looks back at "
            f"{model.config.history_len} earlier ones: leave reversible out"
        )


def _goal(config: Config, system: InitialConditions, end_time: float, origin: dict[str, Any] | None) -> Goal:
    """Where the run ends and what is kept; a run that goes on keeps what it kept."""
    last_step = math.inf if config.steps is None else float(config.steps)
    if origin is not None:
        interval, samples = (origin[key] or math.inf for key in ("interval", "sample_interval"))
        return Goal(end_time, last_step, origin["every"], interval, samples, config.step_history)
    duration = end_time - system.time
    every, interval, samples = config.every or 0, math.inf, math.inf
    if config.samples is not None:
        if math.isinf(end_time):
            raise InputError("samples are taken at equal intervals of a time that is known: set duration or periods")
        samples = duration / config.samples
    elif not every and config.steps is not None:
        every = math.ceil(config.steps / DEFAULT_FRAMES)
    elif not every:
        interval = duration / DEFAULT_FRAMES
    return Goal(end_time, last_step, every, interval, samples, config.step_history)


def _finite(number: float) -> float | None:
    return None if math.isinf(number) else number


def begin(prepared: Prepared, progress: Callable[[float], None] | None) -> Recording:
    """Carry out a run from its start.

    Raises:
        SimulationError: it could not go on; carries what was reached.
    """
    run = prepared.new_run()
    recorder = Recorder(prepared.info(run), run, prepared.system.n_dims)
    if prepared.config.output is not None:
        recorder.create(Path(prepared.config.output), prepared.origin, overwrite=prepared.config.overwrite)
    return _carry_out(prepared, run, recorder, progress)


def go_on(prepared: Prepared, path: Path, stored: StoredRun, progress: Callable[[float], None] | None) -> Recording:
    """Carry on a run from where its file says that it stands.

    Raises:
        InputError: it has passed the end that is asked for.
        SimulationError: as for `begin`.
    """
    run = prepared.new_run()
    unpack(stored.state, run)
    time, steps = float(run.books[TIME]), int(run.books[STEPS])
    if time > prepared.end_time or steps > prepared.goal.last_step:
        raise InputError(f"the run has reached t = {time:.9g} after {steps} steps already: ask for a later end")
    recorder = Recorder(prepared.info(run), run, prepared.system.n_dims)
    recorder.reopen(path, stored)
    return _carry_out(prepared, run, recorder, progress)


def _carry_out(prepared: Prepared, run: Run, recorder: Recorder, progress: Callable[[float], None] | None) -> Recording:
    show = progress or (lambda fraction: None)
    try:
        show(prepared.fraction(run))
        for block in drive(run, prepared.plan, prepared.own, prepared.goal, prepared.system.n_dims):
            recorder.add(block)
            if block.failure is not None:
                raise SimulationError(recorder.finish(recorder.stop_sentence(block)))
            show(prepared.fraction(block.reached))
        return recorder.finish(FINISHED)
    except KeyboardInterrupt:
        recorder.interrupt()
        raise
    finally:
        recorder.close()
