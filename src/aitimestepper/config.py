"""The configuration: one schema, from which everything that names a key is derived.

Reading TOML, the flags and the help of the command line, and the copy inside a checkpoint all come from the fields
of `Config`. A field says its type, default, bounds and meaning once; the mixin it stands in is its group in the help,
and `commands` of the mixin says which subcommands take it.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from aitimestepper.errors import ConfigError
from aitimestepper.names import (
    COMMANDS,
    Activation,
    Command,
    Dtype,
    FeatureType,
    NormMode,
    OutputScale,
    Timestep,
)

_TRAIN: tuple[Command, ...] = ("train",)
_SIMULATE: tuple[Command, ...] = ("simulate",)


class _Group(BaseModel):
    """A group of keys; `commands` are the subcommands that take them."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False, defer_build=True)
    commands: ClassVar[tuple[Command, ...]] = COMMANDS


class PhysicsKeys(_Group):
    """Physics"""

    G: float = Field(1.0, gt=0, description="gravitational constant in the user's units")
    softening: float = Field(0.0, ge=0, description="Plummer softening length, the same in force and energy")
    external_field_mass: float | None = Field(
        None, gt=0, description="mass of a distant point mass whose tide acts on the system"
    )
    external_field_position: tuple[float, ...] | None = Field(
        None, description="place of that point mass, as many numbers as dimensions"
    )


class SystemKeys(_Group):
    """Initial conditions"""

    ic: str | None = Field(
        None,
        description="initial conditions: a name with options (kepler:e=0.6,a=1) or a file; see 'ic --list'",
        json_schema_extra={"metavar": "SPEC"},
    )


class TrainingSystemKeys(_Group):
    """Training systems (without --ic)"""

    commands = _TRAIN
    num_particles: int = Field(2, ge=2, description="bodies of each training system; 2 draws orbits")
    dim: int = Field(2, ge=2, le=3, description="dimensions of the training systems")
    num_orbits: int = Field(1, ge=1, description="training systems that are advanced side by side")
    e_min: float = Field(0.0, ge=0, lt=1, description="smallest eccentricity of the training orbits")
    e_max: float = Field(0.9, ge=0, lt=1, description="largest eccentricity of the training orbits")
    a_min: float = Field(1.0, gt=0, description="smallest semi-major axis of the training orbits")
    a_max: float = Field(1.0, gt=0, description="largest semi-major axis of the training orbits")
    stop_at_period: bool = Field(False, description="end the training when every system has covered one period")


class PartOneKeys(_Group):
    """Part 1, collecting"""

    commands = _TRAIN
    epochs: int = Field(1000, ge=1, description="epochs of collecting and generalising")
    steps_per_epoch: int = Field(1, ge=1, description="accepted steps in each epoch")
    energy_threshold: float = Field(2e-4, gt=0, description="relative energy error that a step must stay below")
    E_lower: float = Field(1e-6, gt=0, description="lower edge of the band that the energy error is driven to")
    E_upper: float = Field(1e-4, gt=0, description="upper edge of that band; must be < energy_threshold")
    L_lower: float | None = Field(None, gt=0, description="lower edge for the relative angular-momentum error")
    L_upper: float | None = Field(None, gt=0, description="upper edge for the relative angular-momentum error")
    max_step_fraction: float = Field(
        0.5, gt=0, description="largest step that is accepted, in units of the shortest pair time"
    )
    max_retrain_iterations: int | None = Field(
        None, ge=1, description="retrain iterations on one state before the run fails; none: no limit"
    )


class PartTwoKeys(_Group):
    """Part 2, generalising"""

    commands = _TRAIN
    replay_steps: int = Field(1000, ge=0, description="most iterations of Part 2 in an epoch; 0 turns it off")
    replay_batch_size: int = Field(512, ge=1, description="accepted states in a minibatch")
    min_replay_size: int = Field(2, ge=1, description="accepted states below which Part 2 is skipped")
    replay_capacity: int = Field(10_000, ge=1, description="accepted states kept over the epochs, oldest out")
    min_replay_steps: int = Field(
        1,
        ge=0,
        description="iterations of Part 2 in an epoch even where every state passes: steps grow by them",
    )
    n_steps: int = Field(1, ge=1, description="steps of a rollout in Part 2; the gate judges its largest error")


class OptimiserKeys(_Group):
    """Optimiser"""

    commands = _TRAIN
    lr: float = Field(1e-4, gt=0, description="learning rate of Adam")
    weight_decay: float = Field(0.0, ge=0, description="decoupled weight decay")
    error_loss_weight: float = Field(
        0.0, ge=0, description="weight of the loss on the predicted energy error (second network output)"
    )


class FeatureKeys(_Group):
    """Features"""

    commands = _TRAIN
    feature_type: FeatureType = Field("basic", description="what the network sees of a state")
    history_len: int = Field(0, ge=0, description="past states that the network sees beside the current one")
    normalize_inputs: bool = Field(False, description="divide the features by scales of the initial state")
    norm_mode: NormMode = Field("auto", description="scales from the initial state, or the norm_ keys")
    norm_L0: float | None = Field(None, gt=0, description="length scale (norm_mode manual)")
    norm_V0: float | None = Field(None, gt=0, description="velocity scale (norm_mode manual)")
    norm_A0: float | None = Field(None, gt=0, description="acceleration scale (manual; default V0^2/L0)")
    norm_T0: float | None = Field(None, gt=0, description="time scale (manual; default L0/V0)")


class NetworkKeys(_Group):
    """Network"""

    commands = _TRAIN
    hidden_dims: tuple[int, ...] = Field((64, 64), description="width of each hidden layer")
    activation: Activation = Field("tanh", description="activation of the hidden layers")
    dropout: float = Field(0.0, ge=0, lt=1, description="dropout rate in Part 2; the gate never sees it")
    fourier_dim: int = Field(0, ge=0, description="random Fourier frequencies before the first layer; 0 is off")
    fourier_scale: float = Field(1.0, gt=0, description="standard deviation of those frequencies")
    output_scale: OutputScale = Field(
        "absolute", description="network output is dt, or dt over the shortest pair time (any units)"
    )


class RuntimeKeys(_Group):
    """Run"""

    device: str = Field("auto", pattern=r"^(auto|cpu|cuda(:\d+)?|mps)$", description="auto, cpu, cuda, cuda:N or mps")
    dtype: Dtype = Field("float64", description="precision of states and weights")
    seed: int = Field(0, ge=0, lt=2**63, description="seed of everything that is drawn")
    overwrite: bool = Field(False, description="replace outputs that exist")


class RecordKeys(_Group):
    """Run directory and logging"""

    commands = _TRAIN
    save_name: str = Field(
        "run",
        pattern=r"^[^./\\\x00][^/\\\x00]*$",
        description="a name for the run directory in runs_dir, without slashes or a leading dot",
    )
    runs_dir: str = Field("runs", min_length=1, description="directory of all run directories")
    log_every: int = Field(1, ge=1, description="epochs between two records of the metrics")
    checkpoint_every: int = Field(50, ge=1, description="epochs between two checkpoints; the last is always kept")
    tensorboard: bool = Field(True, description="write TensorBoard events")
    wandb: bool = Field(False, description="log to Weights & Biases")
    wandb_project: str = Field("aitimestepper", min_length=1, description="W&B project")
    wandb_mode: Literal["offline", "online"] = Field("offline", description="where W&B records go")


class SimulationKeys(_Group):
    """Simulation"""

    commands = _SIMULATE
    timestep: Timestep | None = Field(None, description="how the step is chosen")
    dt: float | None = Field(None, gt=0, description="the step of --timestep fixed")
    eta: float | None = Field(None, gt=0, description="step of --timestep free-fall in units of the shortest pair time")
    model: str | None = Field(
        None,
        description="weights of --timestep learned: a model file or a run directory",
        json_schema_extra={"metavar": "PATH"},
    )
    tolerance: float | None = Field(
        None, gt=0, description="relative energy error wanted of one learned step (default: as trained)"
    )
    duration: float | None = Field(None, gt=0, description="time to simulate")
    periods: float | None = Field(None, gt=0, description="orbital periods to simulate")
    steps: int | None = Field(None, ge=1, description="steps to simulate")
    output: str | None = Field(None, description="HDF5 file for the trajectory", json_schema_extra={"metavar": "F.h5"})
    json_summary: bool = Field(False, alias="json", description="print the summary as one JSON object")


class Config(  # the last base comes first in the help
    PhysicsKeys,
    RuntimeKeys,
    RecordKeys,
    NetworkKeys,
    FeatureKeys,
    OptimiserKeys,
    PartTwoKeys,
    PartOneKeys,
    TrainingSystemKeys,
    SimulationKeys,
    SystemKeys,
):
    """All settings of a training and of a simulation: frozen, validated when built, free of torch.

    Build it with keywords, from a TOML file (`read_config`), or from the JSON inside a checkpoint
    (`Config.model_validate_json`). Two configurations are equal when all their keys are.

    Raises:
        ConfigError: a key is unknown or its value is not allowed; names key, value, rule and the nearest key.
    """

    commands: ClassVar[tuple[Command, ...]] = COMMANDS

    def __init__(self, **keys: Any) -> None:
        try:
            super().__init__(**keys)
        except ValidationError as error:
            raise ConfigError("; ".join(_sentences(error))) from None

    @model_validator(mode="after")
    def _rules_between_keys(self) -> Self:
        for problem in _conflicts(self):
            raise ValueError(problem)
        return self

    def replace(self, **changes: Any) -> Config:
        """A validated copy with some keys changed."""
        return Config(**{**self.explicit(), **changes})

    def explicit(self) -> dict[str, Any]:
        """The keys that were set, by the name that a user types."""
        return self.model_dump(by_alias=True, include=set(self.model_fields_set))


def _conflicts(config: Config) -> Iterable[str]:
    if not config.E_lower < config.E_upper:
        yield f"E_lower = {config.E_lower:g} must be < E_upper = {config.E_upper:g}"
    if not config.E_upper < config.energy_threshold:
        yield (
            f"E_upper = {config.E_upper:g} must be < energy_threshold = {config.energy_threshold:g}: between the "
            "two a refused step would have no loss to learn from"
        )
    if (config.L_lower is None) != (config.L_upper is None):
        yield "L_lower and L_upper must be set together"
    if config.L_lower is not None and config.L_upper is not None and not config.L_lower < config.L_upper:
        yield f"L_lower = {config.L_lower:g} must be < L_upper = {config.L_upper:g}"
    if config.feature_type == "delta_mag" and config.history_len == 0:
        yield "feature_type = delta_mag needs history_len >= 1, got 0"
    for low, high in (("e_min", "e_max"), ("a_min", "a_max")):
        if getattr(config, low) > getattr(config, high):
            yield f"{low} = {getattr(config, low):g} must be <= {high} = {getattr(config, high):g}"
    if not config.hidden_dims or min(config.hidden_dims) < 1:
        yield f"hidden_dims must be widths >= 1, got {list(config.hidden_dims)}"
    if (config.external_field_mass is None) != (config.external_field_position is None):
        yield "external_field_mass and external_field_position must be set together"
    if config.external_field_position is not None and not any(config.external_field_position):
        yield "external_field_position must not be the origin"
    yield from _normalisation_conflicts(config)
    drawn = {
        name
        for name, field in TrainingSystemKeys.model_fields.items()
        if name != "stop_at_period" and getattr(config, name) != field.default
    }
    if config.ic is not None and drawn:
        yield f"ic = {config.ic!r} names the system, so {', '.join(sorted(drawn))} cannot be set beside it"


def _normalisation_conflicts(config: Config) -> Iterable[str]:
    scales = {"norm_L0", "norm_V0", "norm_A0", "norm_T0"}
    given = {name for name in scales if getattr(config, name) is not None}
    if config.normalize_inputs and config.norm_mode == "manual" and not {"norm_L0", "norm_V0"} <= given:
        yield "norm_mode = manual needs norm_L0 and norm_V0"
    if given and not (config.normalize_inputs and config.norm_mode == "manual"):
        yield f"{', '.join(sorted(given))} need normalize_inputs = true and norm_mode = manual"
    if config.normalize_inputs and config.feature_type == "invariant":
        yield "normalize_inputs does nothing to feature_type = invariant, whose features are pure ratios"


def fields_of(command: Command) -> dict[str, FieldInfo]:
    """The keys that a subcommand takes, by the name that a user types."""
    names = {
        name
        for group in Config.__mro__
        if issubclass(group, _Group) and group not in (Config, _Group) and command in group.commands
        for name in group.model_fields
    }
    return {field.alias or name: field for name, field in Config.model_fields.items() if name in names}


def groups() -> list[tuple[str, tuple[Command, ...], list[str]]]:
    """Title, subcommands and keys (as a user types them) of each group, in the order of the help."""
    mixins = [g for g in reversed(Config.__mro__) if issubclass(g, _Group) and g not in (Config, _Group)]
    return [((g.__doc__ or "").strip(), g.commands, [f.alias or n for n, f in g.model_fields.items()]) for g in mixins]


def all_keys() -> list[str]:
    """Every key, as a user types it."""
    return [field.alias or name for name, field in Config.model_fields.items()]


def nearest(word: str, choices: Iterable[str]) -> str:
    """'; did you mean X?' for the nearest choice, or nothing."""
    close = difflib.get_close_matches(word.lower(), {c.lower(): c for c in choices}, n=1, cutoff=0.6)
    spelled = {c.lower(): c for c in choices}
    return f"; did you mean {spelled[close[0]]}?" if close else ""


def _sentences(error: ValidationError) -> list[str]:
    sentences = []
    for item in error.errors():
        key = str(item["loc"][0]) if item["loc"] else ""
        if item["type"] == "extra_forbidden":
            sentences.append(f"unknown key {key!r}{nearest(key, all_keys())}")
        elif not key:
            sentences.append(str(item["ctx"]["error"]) if "ctx" in item else item["msg"])
        else:
            sentences.append(f"{key} = {item['input']!r} is not allowed: it should {_rule(key, item)}")
    return list(dict.fromkeys(sentences))


_RULES_BY_TYPE = {
    "int_parsing": "be a whole number",
    "int_from_float": "be a whole number",
    "float_parsing": "be a number",
    "bool_parsing": "be true or false",
    "tuple_type": "be a list",
    "string_type": "be text",
}


def _rule(key: str, item: ErrorDetails) -> str:
    """What the schema asks of a value, in words that go on after 'it should'."""
    if item["type"] == "string_pattern_mismatch":
        return f"be {Config.model_fields[key].description}"
    return _RULES_BY_TYPE.get(item["type"], item["msg"].removeprefix("Input ").removeprefix("should "))


def read_config(path: Path | str | None, command: Command, flags: Mapping[str, Any] | None = None) -> Config:
    """Merge a TOML file and flags into the configuration of one subcommand.

    Shared keys stand at the top of the file, a `[train]` and a `[simulate]` table over them, the flags over both. A
    key at the top that only the other subcommand takes is checked and left out.

    Raises:
        ConfigError: the file is missing or no TOML, a key is unknown or stands in the wrong table, a value is bad.
    """
    known = fields_of(command)
    merged: dict[str, Any] = {}
    if path is not None:
        table = _read_toml(Path(path))
        sections = {name: table.pop(name) for name in COMMANDS if isinstance(table.get(name), dict)}
        _check_keys(path, "", table, all_keys())
        for name, section in sections.items():
            _check_keys(path, f"[{name}] ", section, fields_of(name))
        merged = {key: value for key, value in table.items() if key in known} | sections.get(command, {})
    return Config(**(merged | dict(flags or {})))


def _check_keys(path: Path | str, where: str, table: Mapping[str, Any], allowed: Iterable[str]) -> None:
    allowed = list(allowed)
    for key in table:
        if key not in allowed:
            other = " (it belongs to the other table)" if key in all_keys() else nearest(key, allowed)
            raise ConfigError(f"{path}: {where}unknown key {key!r}{other}")


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as stream:
            return tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"cannot read the configuration {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
