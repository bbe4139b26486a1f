"""AITimeStepper: learned, energy-gated time steps for gravitational N-body simulations.

The public names below are resolved on first use, so that importing the package loads neither torch nor numba.
"""

from __future__ import annotations

import importlib
from typing import Any

from aitimestepper._version import __version__

_MODULE_OF = {
    "ParticleTorch": "particle",
    "make_particle": "particle",
    "stack_particles": "particle",
    "ExternalField": "physics.tides",
    "PointMassTidalField": "physics.tides",
    "CalibratedStepper": "calibrated",
    "ModelAdapter": "model_adapter",
    "HistoryBuffer": "history_buffer",
    "FullyConnectedNN": "networks",
    "Recording": "recording",
    "simulate_ensemble": "ensemble",
    "EnsembleResult": "ensemble_result",
    "Config": "config",
    "read_config": "config_file",
    "register_criterion": "own_criteria",
    "attempt_single_step": "training.step",
    "check_energy_threshold": "training.step",
    "compute_single_step_loss": "training.losses",
    "band_loss_zero_inside_where": "training.losses",
    "collect_trajectory_step": "training.collect",
    "collect_trajectory": "training.collect",
    "sample_minibatch": "training.generalize",
    "evaluate_minibatch": "training.generalize",
    "generalize_on_trajectory": "training.generalize",
    "train_epoch_two_phase": "training.epochs",
    "run_two_phase_training": "training.run",
    "AITimeStepperError": "errors",
    "InputError": "errors",
    "ConfigError": "errors",
    "InitialConditionsError": "errors",
    "CheckpointError": "errors",
    "OutputExistsError": "errors",
    "OutputError": "errors",
    "RunError": "errors",
    "SimulationError": "errors",
    "RetrainLimitError": "errors",
    "NoGradientError": "errors",
    "RetrainWarning": "errors",
}

__all__ = ["__version__", *_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'aitimestepper' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"aitimestepper.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
