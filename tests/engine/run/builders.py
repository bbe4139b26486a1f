"""Weights, books and plans of calibrated runs for tests."""

from __future__ import annotations

import math

import numpy as np
import pytest

from aitimestepper import Config, Recording
from aitimestepper.constants import TRAITS
from aitimestepper.engine.layout import BOOKS, N_BOOKS
from aitimestepper.engine.networks import Network, network_of
from aitimestepper.engine.run import governed_rollout as controlled
from aitimestepper.engine.run import governor as rules
from aitimestepper.engine.run.events import room_for_events
from aitimestepper.engine.run.plan import plan_of
from aitimestepper.engine.run.state import Frames
from aitimestepper.simulation.planning import PlannedRun, planned
from aitimestepper.simulation.run import requested
from aitimestepper.weights.calibrated import HEADS
from aitimestepper.weights.file import ModelFile, write_model


def constant_model(tmp_path, factor: float = 0.5, *, ranges: float = 1e9) -> str:
    """Calibrated weights that want the same factor everywhere, and know descriptions within +-`ranges`."""
    config = Config(output_scale="calibrated", draw="mixed", feature_type="invariant", hidden_dims=(4,))
    bias = np.full(len(HEADS), math.log(math.expm1(factor)))
    weights = {
        "layers.0.weight": np.zeros((4, TRAITS + 1)),
        "layers.0.bias": np.zeros(4),
        "layers.2.weight": np.zeros((len(HEADS), 4)),
        "layers.2.bias": bias,
    }
    scales = (-ranges,) * TRAITS + (ranges,) * TRAITS
    path = tmp_path / f"{factor:g}-{ranges:g}.safetensors"
    write_model(path, ModelFile(weights, config, scales, {}))
    return str(path)


def constant_network(factor: float) -> Network:
    """A network that wants the same factor everywhere."""
    layers = [(np.zeros((1, TRAITS + 1)), np.array([math.log(math.expm1(factor))]))]
    return network_of(np.zeros((TRAITS + 1, 0)), layers, "tanh")


def control(tolerance: float = 1e-4, order: float = 4.0, **keys) -> rules.Control:
    settings = {"governed": True, "promises": True, "least_correction": 0.01, **keys}
    return plan_of(None, None, None).control._replace(
        tolerance=tolerance, order=order, scale=tolerance ** (1.0 / order), **settings
    )


def books_with(**entries: float):
    """Books of a run, whose energy error is `error` times the tolerance 1e-4."""
    books = np.zeros(1, BOOKS)[0]
    books.correction, books.network_step, books.longest_step = 1.0, 0.1, 1.0
    books.energy_scale, books.initial_energy = 2.0, -2.0
    books.energy_at_change = -2.0
    books.kinetic_energy, books.potential_energy = 1.0, -3.0 + entries.pop("error", 0.0) * 2.0 * 1e-4
    for name, value in entries.items():
        setattr(books, name, value)
    return books


def prepared(**keys) -> PlannedRun:
    config = Config(**keys)
    return planned(requested(config))


def arrays(n: int, *, room: int = 4000, every: int = 1, events: int = 0) -> Frames:
    return Frames(
        np.empty((room, N_BOOKS)),
        np.empty((room, 6 * n)),
        np.empty((room, 3)),
        every,
        math.inf,
        room_for_events(events),
    )


def assert_kept(run: Recording, tolerance: float) -> None:
    errors = np.abs(run.step_history.energy - run.summary.energy_initial) / run.energy_scale
    assert errors.max() <= tolerance
    assert run.energy_error.max() <= tolerance
    summary = run.summary
    assert (summary.energy_verdict, summary.position_verdict) == ("kept", "kept")
    assert (summary.energy_error_asked, summary.position_error_asked) == (
        tolerance,
        float(f"{10.0 * tolerance:.15g}"),
    )
    assert summary.energy_error_max == pytest.approx(max(errors.max(), run.energy_error.max()), rel=1e-12)
    assert summary.position_error_max is not None
    assert 0.0 <= summary.position_error_max <= 10.0 * tolerance


def cost(order: int, steps: int, *, ttl: bool) -> int:
    """First force, stages of every step, two more for each step that is sampled, and the looks of the network."""
    stages = {2: 1, 4: 5, 6: 9, 8: 17}[order]
    first, early = controlled._FIRST_STEPS, controlled._EARLY_STEPS
    samples = sum(
        n < first or n % (controlled._EARLY_STRIDE if n < early else controlled._STRIDE) == 0 for n in range(steps)
    )
    return 1 + stages * (steps + 2 * samples) + (steps // controlled._STEPS_BETWEEN_CHECKS + 1) * ttl
