"""What a training needs to go on as if it had never stopped, and its file.

`resume.pt` holds tensors, numbers and texts only and is read with `weights_only=True`: nothing in it is executed. It
is complete by itself, weights included, so that it never has to match another file.
"""

from __future__ import annotations

import copy
import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from aitimestepper.config.schema import Config
from aitimestepper.errors import CheckpointError, ConfigError
from aitimestepper.features.snapshot import Snapshot
from aitimestepper.model.history_buffer import HistoryBuffer
from aitimestepper.model.loading import load_weights
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.outputs import write_atomically
from aitimestepper.physics.bodies import Bodies
from aitimestepper.training.session.epochs import TrainingState
from aitimestepper.training.steps import ranks
from aitimestepper.training.steps.trajectory import Samples

FORMAT = "aitimestepper-resume"
VERSION = 3

Contents = dict[str, Any]

_COUNTERS = ("epoch", "converged_epochs", "part2_epochs", "wall_seconds")


def snapshot(state: TrainingState, config: Config) -> Contents:
    """An independent copy of all that changes, as tensors, numbers and texts; `parts` is what one process alone has."""
    scales = state.learned.scales
    return {
        "format": FORMAT,
        "version": VERSION,
        "config": config.model_dump_json(by_alias=True),
        "counters": {name: getattr(state, name) for name in _COUNTERS},
        "model": copy.deepcopy(state.model.state_dict()),
        "optimizer": copy.deepcopy(state.optimizer.state_dict()),
        "scales": None if scales is None else list(scales),
        "parts": [
            {
                "generator": state.generator.get_state(),
                "initial": _packed(state.initial),
                "particle": _packed(state.particle),
                "history": None if state.history is None else [list(s) for s in state.history.snapshots()],
                "spent": torch.from_numpy(state.spent.copy()),
                "replay": _packed_samples(state.replay.samples),
                "prepared": state.learned.packed(state.replay),
            }
        ],
    }


def with_all_parts(contents: Contents) -> Contents:
    """The same with the parts of all processes, in their order."""
    return {**contents, "parts": ranks.gathered(contents["parts"][0])}


def write_resume(path: Path, contents: Contents) -> None:
    """Write a snapshot atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    write_atomically(path, lambda temporary: _save(contents, temporary))


def _save(contents: Contents, path: Path) -> None:
    try:
        torch.save(contents, path)
    except RuntimeError as error:  # torch reports a full or read-only disk so
        raise OSError(str(error)) from None


def read_resume(path: Path) -> Contents:
    """Read a snapshot without executing anything in it.

    Raises:
        CheckpointError: it is missing, damaged, foreign, or of another version.
    """
    if not path.is_file():
        raise CheckpointError(f"nothing to resume: there is no {path}")
    try:
        contents = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, zipfile.BadZipFile, ValueError, KeyError):
        raise CheckpointError(f"{path} is damaged, or no checkpoint of this package") from None
    if not isinstance(contents, dict) or contents.get("format") != FORMAT:
        raise CheckpointError(f"{path} is no checkpoint of this package")
    if contents.get("version") != VERSION:
        raise CheckpointError(f"{path} has format version {contents.get('version')}, this package reads {VERSION}")
    return contents


def config_of(contents: Contents) -> Config:
    """The configuration that the training ran with.

    Raises:
        CheckpointError: it is damaged.
    """
    try:
        return Config.model_validate_json(contents["config"])
    except (ConfigError, ValueError, KeyError) as error:
        raise CheckpointError(f"the configuration in the checkpoint is damaged: {error}") from None


def restore(state: TrainingState, contents: Contents, path: Path) -> None:
    """Put a snapshot into a freshly built training; it then goes on bit by bit as the one that was left.

    Raises:
        CheckpointError: the snapshot does not fit the training.
    """
    parts = contents.get("parts", [])
    if len(parts) != ranks.count():
        raise CheckpointError(
            f"{path} is of a training in {len(parts)} process(es), this one has {ranks.count()}: resume it with "
            f"torchrun --nproc-per-node {len(parts)}"
        )
    load_weights(state.model, contents["model"], path)  # type: ignore[arg-type]
    try:
        part = parts[ranks.rank()]
        state.optimizer.load_state_dict(contents["optimizer"])
        state.generator.set_state(part["generator"])
        for name in _COUNTERS:
            setattr(state, name, contents["counters"][name])
        state.initial = _unpacked(part["initial"], state.particle)
        if contents["scales"] is not None:
            state.learned.scales = tuple(contents["scales"])
        state.particle = _unpacked(part["particle"], state.particle)
        if state.history is not None:
            state.history.restore([Snapshot(*tensors) for tensors in part["history"]])
        state.spent = part["spent"].numpy().copy()
        state.replay.samples = _unpacked_samples(part["replay"], state.particle, state.history)
        state.learned.unpack(state.replay, part["prepared"])
    except (KeyError, ValueError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{path} does not fit this training: {error}") from None


def _packed(particle: ParticleTorch) -> Contents:
    return {
        **particle.bodies._asdict(),
        "dt": particle.dt,
        "current_time": particle.current_time,
        "period": particle.period,
        # The very acceleration that closed the last step: computed anew, it could differ in the last bit.
        "acceleration": particle.acceleration,
    }


def _unpacked(contents: Contents, like: ParticleTorch) -> ParticleTorch:
    there = {name: tensor.to(like.position.device) for name, tensor in contents.items()}
    bodies = Bodies(there["mass"], there["position"], there["velocity"])
    return like.with_state(bodies, there["dt"], there["current_time"], there["period"], there["acceleration"])


def _packed_samples(samples: Samples | None) -> Contents | None:
    if samples is None:
        return None
    history = None if samples.history is None else [list(s) for s in samples.history.snapshots()]
    return {"state": _packed(samples.state), "dt": samples.dt, "window": history}


def _unpacked_samples(contents: Contents | None, like: ParticleTorch, history: HistoryBuffer | None) -> Samples | None:
    if contents is None:
        return None
    past = None
    if history is not None and contents["window"] is not None:
        past = history.holding([Snapshot(*tensors) for tensors in contents["window"]])
    return Samples(_unpacked(contents["state"], like), contents["dt"], past)
