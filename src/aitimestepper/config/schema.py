"""The configuration: one schema, from which everything that names a key is derived.

Reading TOML, the flags and the help of the command line, and the copy inside a checkpoint all come from the fields
of `Config`, which stand in groups in `keys` and `training_keys`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike, fspath
from typing import Any, ClassVar, Self

from pydantic import ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from aitimestepper.config import keys as runs
from aitimestepper.config import training_keys as trainings
from aitimestepper.config.keys import KeyGroup
from aitimestepper.config.own_criteria import registered_criteria
from aitimestepper.errors import ConfigError
from aitimestepper.names import COMMANDS, TIMESTEPS, Command, nearest


class Config(  # the last base comes first in the help
    runs.ForceKeys,
    runs.PhysicsKeys,
    runs.RuntimeKeys,
    trainings.PrecisionKeys,
    trainings.RecordKeys,
    trainings.NetworkKeys,
    trainings.FeatureKeys,
    trainings.OptimiserKeys,
    trainings.CheckKeys,
    trainings.PartTwoKeys,
    trainings.PartOneKeys,
    trainings.TrainingSystemKeys,
    runs.OutputKeys,
    runs.ConfirmationKeys,
    runs.FrameKeys,
    runs.EnsembleKeys,
    runs.CompareKeys,
    runs.IntegratorKeys,
    runs.StepKeys,
    runs.StopKeys,
    runs.SimulationKeys,
    runs.SystemSetKeys,
    runs.SystemKeys,
):
    """All settings of a training and of a simulation: frozen, validated when built, free of torch.

    Build it with keywords, from a TOML file (`read_config`), or from the JSON inside a checkpoint
    (`Config.model_validate_json`). Two configurations are equal when all their keys are.

    Raises:
        ConfigError: a key is unknown or its value is not allowed; names key, value, rule and the nearest key.
    """

    commands: ClassVar[tuple[Command, ...]] = COMMANDS

    def __init__(self, **keys: Any) -> None:
        texts = {name: fspath(value) if isinstance(value, PathLike) else value for name, value in keys.items()}
        try:
            super().__init__(**texts)
        except ValidationError as error:
            raise ConfigError("; ".join(sentences(error, all_keys()))) from None

    @model_validator(mode="after")
    def _rules_between_keys(self) -> Self:
        for problem in _conflicts(self):
            raise ValueError(problem)
        return self

    def replace(self, **changes: Any) -> Config:
        """A validated copy with some keys changed."""
        return Config(**{**self.explicit(), **changes})

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """As `replace`: pydantic's own would take any key and any value."""
        return type(self)(**{**self.explicit(), **(update or {})})

    def given(self, key: str) -> Any:
        """The value of a key, or None where it was not set and has its default."""
        return getattr(self, key) if key in self.model_fields_set else None

    def explicit(self) -> dict[str, Any]:
        """The keys that were set, by the name that a user types."""
        return self.model_dump(by_alias=True, include=set(self.model_fields_set))


def _conflicts(config: Config) -> Iterable[str]:
    for name in sorted(config.model_fields_set):
        value = getattr(config, name)
        if any(type(number) is int and number >= 2**63 for number in (value if isinstance(value, tuple) else [value])):
            yield f"{name} = {value} must be < 2^63"
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
    if (config.output_scale == "calibrated") != (config.draw == "mixed"):
        yield "output_scale = calibrated and draw = mixed go together"
    if config.optimizer != "sgd" and config.momentum != trainings.OptimiserKeys.model_fields["momentum"].default:
        yield f"momentum = {config.momentum:g} does nothing with optimizer = {config.optimizer}: it is of sgd"
    if (config.J2 is None) != (config.J2_radius is None):
        yield "J2 and J2_radius must be set together"
    if len(config.J2_pole) != 3 or not any(config.J2_pole):
        yield f"J2_pole must be three numbers, not all 0, got {list(config.J2_pole)}"
    default = runs.ForceKeys.model_fields["J2_pole"].default  # which a model file, naming every key, sets
    if config.J2 is None and config.J2_pole != default:
        yield "J2_pole does nothing without J2"
    if config.light_speed is not None and not config.relativity:
        yield "light_speed does nothing without relativity"
    if config.external_field_position is not None and not any(config.external_field_position):
        yield "external_field_position must not be the origin"
    yield from _normalisation_conflicts(config)
    yield from _simulation_conflicts(config)
    yield from _system_conflicts(config)


def _system_conflicts(config: Config) -> Iterable[str]:
    named = config.ic is not None or bool(config.systems)
    if config.output_scale == "calibrated" and (config.feature_type != "invariant" or named):
        yield (
            "output_scale = calibrated needs feature_type = invariant, and draws its systems itself: leave ic and "
            "systems out"
        )
    drawn = {
        name
        for name, field in trainings.TrainingSystemKeys.model_fields.items()
        if name != "stop_at_period"
        and getattr(config, name) != field.default
        and (name, getattr(config, name)) != ("num_orbits", 1)  # a system that is named is one
    }
    if named and drawn:
        key = "systems" if config.systems else "ic"
        yield (
            f"{key} = {getattr(config, key)!r} names what is trained on, so {', '.join(sorted(drawn))} cannot be set "
            "beside it"
        )
    if config.ic is not None and config.systems:
        yield "the systems are given twice: set one of ic and systems"


def _simulation_conflicts(config: Config) -> Iterable[str]:
    known = (*TIMESTEPS, *registered_criteria())
    if config.timestep is not None and config.timestep not in known:
        yield f"timestep = {config.timestep!r} is none of {', '.join(known)}{nearest(config.timestep, known)}"
    if config.dt_min is not None and config.dt_max is not None and config.dt_min > config.dt_max:
        yield f"dt_min = {config.dt_min:g} must be <= dt_max = {config.dt_max:g}"
    kept = [name for name in ("every", "samples", "times") if getattr(config, name) is not None]
    if len(kept) > 1:
        yield f"{' and '.join(kept)} are {len(kept)} ways to choose the states that are kept: set one of them"
    for name in ("duration", "periods"):
        if getattr(config, name) == 0:
            yield f"{name} = 0 is not allowed: it should be above 0, or below 0 to go back in time"
    if config.omega != "pair-norm" and "omega_q" in config.model_fields_set:
        yield f"omega_q does nothing with omega = {config.omega}"
    if config.omega == "log-h" and "omega_weight" in config.model_fields_set:
        yield "omega_weight does nothing with omega = log-h"


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
        if issubclass(group, KeyGroup) and group not in (Config, KeyGroup) and command in group.commands
        for name in group.model_fields
    }
    return {field.alias or name: field for name, field in Config.model_fields.items() if name in names}


def groups() -> list[tuple[str, tuple[Command, ...], list[str]]]:
    """Title, subcommands and keys (as a user types them) of each group, in the order of the help."""
    mixins = [g for g in reversed(Config.__mro__) if issubclass(g, KeyGroup) and g not in (Config, KeyGroup)]
    return [((g.__doc__ or "").strip(), g.commands, [f.alias or n for n, f in g.model_fields.items()]) for g in mixins]


def all_keys() -> list[str]:
    """Every key, as a user types it."""
    return [field.alias or name for name, field in Config.model_fields.items()]


def sentences(error: ValidationError, known: Iterable[str]) -> list[str]:
    """What is wrong with the values of some keys, one sentence each; `known` are the keys that there are."""
    sentences = []
    for item in error.errors():
        if item["type"] == "default_factory_not_called":  # the key that it follows is wrong, which is said
            continue
        key = str(item["loc"][0]) if item["loc"] else ""
        if item["type"] == "extra_forbidden":
            sentences.append(f"unknown key {key!r}{nearest(key, known)}")
        elif not key:
            sentences.append(str(item["ctx"]["error"]) if "ctx" in item else item["msg"])
        else:
            sentences.append(f"{key} = {_shown(item['input'])} is not allowed: it should {_rule(key, item)}")
    return list(dict.fromkeys(sentences))


def _shown(value: Any) -> str:
    """A value in a message of one line."""
    text = repr(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[:_LONGEST_SHOWN]}..."


_LONGEST_SHOWN = 200
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
