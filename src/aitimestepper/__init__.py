"""AITimeStepper: learned, energy-gated time steps for gravitational N-body simulations.

The public names below are resolved on first use, so that importing the package loads neither torch nor numba.
"""

from __future__ import annotations

import importlib

from aitimestepper._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:  # without loading what has the usual name: a program that starts has a few milliseconds less
    from typing import Any

_MODULE_OF = {
    "ParticleTorch": "model.particle",
    "make_particle": "model.rows",
    "stack_particles": "model.batches",
    "ExternalField": "physics.tides",
    "PointMassTidalField": "physics.tides",
    "CalibratedStepper": "simulation.stepper",
    "ModelAdapter": "model.adapter",
    "HistoryBuffer": "model.history_buffer",
    "FullyConnectedNN": "model.networks",
    "load_stepper": "model.loading",
    "load_own_weights": "model.loading",
    "LearnedStep": "model.reference",
    "reference_steps": "model.reference",
    "simulate": "simulation.run",
    "resume": "simulation.run",
    "InitialConditions": "systems.initial",
    "initial_conditions": "systems.catalogue",
    "Recording": "recordings.recording",
    "simulate_ensemble": "ensembles.ensemble",
    "resume_ensemble": "ensembles.ensemble",
    "EnsembleResult": "ensembles.result",
    "compare": "comparison.compare",
    "Comparison": "comparison.result",
    "Config": "config",
    "read_config": "config.reading",
    "register_criterion": "config.own_criteria",
    "train": "training.session.session",
    "attempt_single_step": "training.steps.single_step",
    "check_energy_threshold": "training.steps.single_step",
    "compute_single_step_loss": "training.steps.single_step",
    "band_loss_zero_inside_where": "training.steps.losses",
    "collect_trajectory_step": "training.part_one.collect",
    "collect_trajectory": "training.part_one.collect",
    "sample_minibatch": "training.part_two.generalize",
    "evaluate_minibatch": "training.part_two.generalize",
    "generalize_on_trajectory": "training.part_two.generalize",
    "train_epoch_two_phase": "training.session.epochs",
    "run_two_phase_training": "training.session.run",
    "AITimeStepperError": "errors",
    "InputError": "errors",
    "ConfigError": "errors",
    "InitialConditionsError": "errors",
    "CheckpointError": "errors",
    "OutputExistsError": "errors",
    "OutputError": "errors",
    "RunError": "errors",
    "RetrainLimitError": "errors",
    "NoGradientError": "errors",
    "TrainingWarning": "errors",
    "RetrainWarning": "errors",
    "EmptyTrajectoryWarning": "errors",
    "SimulationError": "recordings.recording",
    "Interrupted": "recordings.recording",
}

__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'aitimestepper' has no attribute {name!r}")
    try:
        value = getattr(importlib.import_module(f"aitimestepper.{_MODULE_OF[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "tensorboard"):
            raise
        text = f"aitimestepper.{name} needs {error.name}: pip install 'aitimestepper[train]'"
        raise ModuleNotFoundError(text, name=error.name) from None
    if name == "Config":
        value.model_rebuild()  # so that its signature has the keys before the first is built
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
