"""The strings that a user types, each listed once."""

from __future__ import annotations

from typing import Literal, get_args

FeatureType = Literal["basic", "rich", "delta_mag", "invariant"]
NormMode = Literal["auto", "manual"]
OutputScale = Literal["absolute", "physical"]
Activation = Literal["tanh", "relu", "silu", "sigmoid"]
Timestep = Literal["fixed", "free-fall", "learned"]
Dtype = Literal["float64", "float32"]
Command = Literal["train", "simulate"]

FEATURE_TYPES: tuple[FeatureType, ...] = get_args(FeatureType)
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
OUTPUT_SCALES: tuple[OutputScale, ...] = get_args(OutputScale)
TIMESTEPS: tuple[Timestep, ...] = get_args(Timestep)
COMMANDS: tuple[Command, ...] = get_args(Command)

SYSTEM_NAMES = (
    "kepler",
    "halley",
    "figure-eight",
    "three-body",
    "pythagorean",
    "random",
    "plummer",
    "hierarchical-triple",
    "solar-system",
)
"""Initial conditions that `--ic` builds; anything else is taken for a file."""
