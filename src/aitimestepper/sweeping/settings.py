"""What a sweep is asked to do: the table `[sweep]` of a configuration file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from aitimestepper.config.reading import SWEEP_TABLE, read_table
from aitimestepper.config.schema import Config, sentences
from aitimestepper.errors import ConfigError
from aitimestepper.sweeping.space import Dimension, dimensions

DEFAULT_METRIC = "progress"
"""How far steps that pass at once would advance the accepted states, over how far the largest steps that pass would.
Neither tiny steps, which all pass, nor long ones, which do not, can raise it."""


class SweepSettings(BaseModel):
    """How to search.

    Raises:
        ConfigError: a key is unknown, or its value is not allowed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    trials: int | None = Field(None, ge=1, description="trials of the whole study (default: 20, of a grid all)")
    timeout: float | None = Field(None, gt=0, description="seconds after which this process begins no more trials")
    metric: str = Field(DEFAULT_METRIC, description="what is compared: progress, or a metric of metrics.jsonl")
    direction: Literal["maximize", "minimize"] | None = Field(None, description="of another metric than progress")
    sampler: Literal["tpe", "random", "grid"] = Field("tpe", description="how parameters are chosen")
    pruner: Literal["median", "none"] = Field("median", description="whether trials that fall behind are ended")
    startup: int = Field(5, ge=1, description="trials before anything is learnt from them, and before any is pruned")
    warmup_epochs: int = Field(10, ge=0, description="epochs of a trial before it can be pruned")
    seed: int = Field(0, ge=0, description="seed of the search; the training has its own")
    space: dict[str, Any] = Field(description="for each key of a training a range or a list of choices")

    def __init__(self, **keys: Any) -> None:
        try:
            super().__init__(**keys)
        except ValidationError as error:
            raise ConfigError("[sweep] " + "; ".join(sentences(error, SweepSettings.model_fields))) from None
        if self.metric != DEFAULT_METRIC and self.direction is None:
            raise ConfigError(f"[sweep] metric = {self.metric!r} needs direction = 'maximize' or 'minimize'")
        if self.metric == DEFAULT_METRIC and self.direction == "minimize":
            raise ConfigError("[sweep] progress is to be maximized: leave direction out")

    def dimensions(self, config: Config) -> list[Dimension]:
        """The search space, checked against the schema and against what the configuration fixes already.

        Raises:
            ConfigError: a key is no key of a training, is set already, or has values that it cannot have.
        """
        return dimensions(self.space, config, grid=self.sampler == "grid")


def read_sweep(path: Path | str, **over: Any) -> SweepSettings:
    """The table `[sweep]` of a file, with settings over it; None leaves what the file says.

    Raises:
        ConfigError: the file cannot be read, has no such table, or something in it is not allowed.
    """
    table = read_table(Path(path)).get(SWEEP_TABLE)
    if not isinstance(table, dict) or "space" not in table:
        raise ConfigError(f"{path} has no table [sweep.space], which says what to search: see docs/sweeps.md")
    return SweepSettings(**(table | {key: value for key, value in over.items() if value is not None}))
