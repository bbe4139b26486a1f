"""The search space: a range or a list of choices for each key."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from itertools import product
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from aitimestepper.config.schema import Config, fields_of
from aitimestepper.errors import ConfigError
from aitimestepper.names import nearest

if TYPE_CHECKING:
    from optuna import Trial

_OF_THE_SWEEP = ("runs_dir", "save_name", "overwrite")
"""Keys by which the sweep itself sets the trainings apart."""

MOST_POINTS = 100_000
"""Of a grid: trials, each of which is a training."""

_RANGE = {"low", "high", "log", "step"}


class Dimension:
    """One key and the values that it may take.

    Attributes:
        key: of the configuration.
        choices: as JSON texts; empty for a range.
        low, high, log, step: of a range.
        integer: whether its values are whole numbers.
    """

    def __init__(self, key: str, values: Any, field: FieldInfo) -> None:
        """Check the values against the field.

        Raises:
            ConfigError: what the file says is no range and no list, or a value is not allowed.
        """
        self.key = key
        self.choices: tuple[str, ...] = ()
        self.low = self.high = 0.0
        self.log, self.step, self.integer = False, None, _kind(field) is int
        if isinstance(values, list) and values:
            self.choices = tuple(json.dumps(_check(key, value, field)) for value in values)
        elif isinstance(values, dict):
            self._read_range(values, field)
        else:
            raise ConfigError(
                f"[sweep.space] {key} = {values!r} is not allowed: it should be a list of choices, or a range "
                "{low = ..., high = ...} with log = true or step = ... if wanted"
            )

    def _read_range(self, values: Mapping[str, Any], field: FieldInfo) -> None:
        where = f"[sweep.space] {self.key}"
        for name in values.keys() - _RANGE:
            raise ConfigError(f"{where}: unknown {name!r}{nearest(name, _RANGE)}")
        if _kind(field) not in (int, float):
            raise ConfigError(f"{where} is no number: give a list of choices")
        if not {"low", "high"} <= values.keys():
            raise ConfigError(f"{where}: a range needs low < high")
        self.low, self.high = (_check(self.key, values[edge], field) for edge in ("low", "high"))
        self.log, self.step = values.get("log", False), values.get("step")
        if not self.low < self.high:
            raise ConfigError(f"{where}: a range needs low < high")
        if not isinstance(self.log, bool):
            raise ConfigError(f"{where}: log = {self.log!r} should be true or false")
        if self.step is not None and (type(self.step) not in (int, float) or (self.integer and self.step % 1)):
            raise ConfigError(f"{where}: step = {self.step!r} should be a {'whole ' if self.integer else ''}number")
        if self.log and (self.step is not None or not self.low > 0):
            raise ConfigError(f"{where}: a logarithmic range needs low > 0 and has no step")
        if self.step is not None and not 0 < self.step <= self.high - self.low:
            raise ConfigError(f"{where}: step = {self.step} does not fit between {self.low} and {self.high}")

    def suggest(self, trial: Trial) -> Any:
        """A value for a trial."""
        if self.choices:
            return json.loads(str(trial.suggest_categorical(self.key, self.choices)))
        if self.integer:
            step = 1 if self.step is None else int(self.step)
            return trial.suggest_int(self.key, int(self.low), int(self.high), step=step, log=self.log)
        return trial.suggest_float(self.key, self.low, self.high, step=self.step, log=self.log)

    def grid(self) -> list[Any]:
        """All values, as a study keeps them.

        Raises:
            ConfigError: there is no end of them.
        """
        if self.choices:
            return list(self.choices)
        step = self.step if self.step is not None else 1 if self.integer and not self.log else None
        if step is None:
            raise ConfigError(f"[sweep.space] {self.key}: a grid needs a list of choices, or a range with a step")
        count = (self.high - self.low) / step + 1e-9
        if not count < MOST_POINTS:
            raise ConfigError(f"[sweep.space] {self.key}: a grid of {count:.3g} values has more than {MOST_POINTS}")
        return [self.low + k * step for k in range(math.floor(count) + 1)]


def dimensions(space: Mapping[str, Any], config: Config, *, grid: bool) -> list[Dimension]:
    """The dimensions of a space; see `SweepSettings.dimensions`."""
    fields = fields_of("train")
    fixed = config.explicit()
    found = []
    if not space:
        raise ConfigError("[sweep.space] is empty: name at least one key and the values that it may take")
    for key, values in space.items():
        if key not in fields:
            raise ConfigError(f"[sweep.space] {key!r} is no key of a training{nearest(key, fields)}")
        if key in _OF_THE_SWEEP:
            raise ConfigError(f"[sweep.space] {key} is set by the sweep itself")
        if key in fixed:
            raise ConfigError(f"[sweep.space] {key} is searched for, and set to {fixed[key]!r} as well: leave one out")
        found.append(Dimension(key, values, fields[key]))
    if grid:
        points(found)
    return found


def points(space: list[Dimension]) -> list[dict[str, Any]]:
    """Every combination, the last key changing fastest.

    Raises:
        ConfigError: there are too many.
    """
    grids = [dimension.grid() for dimension in space]
    count = math.prod(map(len, grids))
    if count > MOST_POINTS:
        raise ConfigError(f"[sweep.space] a grid of {count} combinations has more than {MOST_POINTS}")
    return [dict(zip((d.key for d in space), values, strict=True)) for values in product(*grids)]


def _kind(field: FieldInfo) -> Any:
    kinds = [kind for kind in get_args(field.annotation) if kind is not NoneType]
    return kinds[0] if NoneType in get_args(field.annotation) and len(kinds) == 1 else field.annotation


def _check(key: str, value: Any, field: FieldInfo) -> Any:
    """The value as the configuration has it."""
    kind: Any = Annotated[field.annotation, field]
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        rule = error.errors()[0]["msg"]
        raise ConfigError(f"[sweep.space] {key}: {value!r} is not allowed: {rule[0].lower()}{rule[1:]}") from None
