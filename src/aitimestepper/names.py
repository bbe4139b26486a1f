"""The strings that a user types, each listed once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

FeatureType = Literal["basic", "rich", "delta_mag", "invariant"]
NormMode = Literal["auto", "manual"]
OutputScale = Literal["absolute", "physical", "calibrated"]
Optimiser = Literal["adamw", "adam", "sgd"]
Activation = Literal["tanh", "relu", "silu", "sigmoid"]
Timestep = Literal["fixed", "free-fall", "fly-by", "acceleration", "aarseth", "prs23", "learned", "estimate"]
Integrator = Literal["auto", "leapfrog", "ttl", "gbs", "wh"]
WhKind = Literal["plain", "corrected", "saba"]
WhCoordinates = Literal["jacobi", "heliocentric"]
Omega = Literal["pair-norm", "log-h", "sum"]
OmegaWeight = Literal["mass-sum", "unit"]
Draw = Literal["orbits", "mixed"]
ToleranceKind = Literal["run", "step", "none"]
Collisions = Literal["ignore", "stop", "merge"]
Dtype = Literal["float64", "float32"]
Command = Literal["train", "simulate", "ensemble", "compare"]

FEATURE_TYPES: tuple[FeatureType, ...] = get_args(FeatureType)
ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
OUTPUT_SCALES: tuple[OutputScale, ...] = get_args(OutputScale)
TIMESTEPS: tuple[Timestep, ...] = get_args(Timestep)
COMMANDS: tuple[Command, ...] = get_args(Command)


class IntegratorKind(NamedTuple):
    """What belongs to an integrator's name.

    Attributes:
        fixed_step: the key of its fixed step; none where it chooses its steps by its own error estimate.
        transforms_time: whether its steps are of fictitious time, by Omega, which wants two bodies that attract.
    """

    fixed_step: str
    transforms_time: bool


INTEGRATORS: dict[str, IntegratorKind] = {
    "auto": IntegratorKind("", True),
    "leapfrog": IntegratorKind("dt", False),
    "ttl": IntegratorKind("h", True),
    "gbs": IntegratorKind("", True),
    "wh": IntegratorKind("dt", False),
}

REBOUND_METHODS = ("ias15", "leapfrog")
REBOUND_CRITERIA = ("prs23", "aarseth", "global")
"""How REBOUND's IAS15 may choose its steps; the first is its default."""


MODEL_FILE, RESUME_FILE = "model.safetensors", "resume.pt"
CONFIG_FILE, SYSTEMS_FILE, METRICS_FILE = "config.toml", "initial_conditions.npz", "metrics.jsonl"
STEPS_FILE = "steps.jsonl"
ACCEPTED_FILE = "accepted_steps.jsonl"
"""Files in the run directory of a training."""

ENSEMBLE_FORMAT = "aitimestepper-ensemble"
"""What the HDF5 file of an ensemble says of itself."""


def nearest(word: str, choices: Iterable[str]) -> str:
    """'; did you mean X?' for the nearest choice, or nothing."""
    close = difflib.get_close_matches(word.lower(), {c.lower(): c for c in choices}, n=1, cutoff=0.6)
    spelled = {c.lower(): c for c in choices}
    return f"; did you mean {spelled[close[0]]}?" if close else ""
