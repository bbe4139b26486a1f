"""Between tensors and the flat arrays of the engine, for the compiled parts of the training."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aitimestepper.arrays import Floats
from aitimestepper.config.schema import Config
from aitimestepper.engine.layout import AX, MASS, VX, X
from aitimestepper.engine.physics import law
from aitimestepper.engine.physics.law import Law
from aitimestepper.engine.training.gate import STATE, Gate
from aitimestepper.features.snapshot import Snapshot
from aitimestepper.model.particle import ParticleTorch
from aitimestepper.physics.bodies import Bodies
from aitimestepper.physics.tides import PointMassTidalField


def why_not_compiled(state: ParticleTorch, config: Config) -> str | None:
    """Why the compiled step cannot stand in for the torch one; None if it can."""
    field = state.external_field
    if state.position.dtype != torch.float64 or state.position.device.type != "cpu":
        return f"states are {state.position.dtype} on {state.position.device.type}"
    if any(tensor.requires_grad for tensor in state.bodies):
        return "gradients of the states are wanted"
    if config.L_lower is not None:
        return "the angular momentum has a band of its own"
    if field is not None and not _is_fixed_tide(field, config):
        return "the external field is not the fixed tide of a point mass"
    return None


def _is_fixed_tide(field: Any, config: Config) -> bool:
    return type(field) is PointMassTidalField and field.R0 is not None and field.softening == 0 and field.G == config.G


def law_of(state: ParticleTorch, config: Config) -> Law:
    """What moves the bodies, where `why_not_compiled` has no objection."""
    field = state.external_field
    if field is None:
        return law.law_of(config.G, state.softening)
    return law.law_of(config.G, state.softening, field.M, field.R0)  # type: ignore[attr-defined]


def gate_of(config: Config) -> Gate:
    """What a step is held to."""
    edges = config.energy_threshold, config.E_lower, config.E_upper
    return Gate(*edges, config.max_step_fraction, config.error_loss_weight)


def rows_of(state: Snapshot, n_rows: int = STATE) -> Floats:
    """A batch of states as (B, n_rows x N); rows behind the accelerations are zero."""
    n_systems, n_bodies, n_dims = state.position.shape
    rows = np.zeros((n_systems, n_rows, n_bodies))
    rows[:, MASS] = state.mass.numpy()
    for first, vectors in ((X, state.position), (VX, state.velocity), (AX, state.acceleration)):
        rows[:, first : first + n_dims] = vectors.numpy().transpose(0, 2, 1)
    return rows.reshape(n_systems, -1)


def particle_of(rows: Floats, dt: Tensor, time: Tensor, period: Tensor, like: ParticleTorch) -> ParticleTorch:
    """The batch of states in rows (B, STATE x N, or more), under the law of `like`."""
    n_bodies, n_dims = like.n_bodies, like.n_dims
    tensor = torch.from_numpy(rows[:, : STATE * n_bodies]).reshape(-1, STATE, n_bodies)

    def vectors(first: int) -> Tensor:
        return tensor[:, first : first + n_dims].transpose(1, 2)

    return like.with_state(Bodies(tensor[:, MASS], vectors(X), vectors(VX)), dt, time, period, vectors(AX))


def rank_within(whose: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many entries of the same system stand before each."""
    order = np.argsort(whose, kind="stable")
    counts = np.bincount(whose)
    rank = np.empty(len(whose), dtype=np.int64)
    rank[order] = np.arange(len(whose)) - np.repeat(np.cumsum(counts) - counts, counts)
    return rank
