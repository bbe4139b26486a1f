"""What a summary says of a run: kept, exceeded, or unknown where it could not be measured."""

from __future__ import annotations

import pytest

from aitimestepper.recordings.parts import Summary

NUMBERS = {
    "steps": 10, "force_evaluations": 11, "rejected_steps": 0, "time": 1.0, "energy_initial": -0.5,
    "energy_final": -0.5, "energy_error_max": 5e-7, "energy_error_final": 1e-7, "momentum_residual": 0.0,
    "angular_momentum_residual": 0.0, "wall_seconds": 0.1, "outcome": "finished", "energy_error_asked": 1e-6,
    "position_error_asked": 1e-5,
}  # fmt: skip


@pytest.mark.parametrize(
    ("error", "longest", "verdict"),
    [
        (5e-6, 0.3, "kept"),
        (5e-6, None, "kept"),
        (5e-6, 1.3, "unknown"),
        (2e-5, 0.3, "exceeded"),
        (2e-5, 1.3, "exceeded"),
    ],
)
def test_a_position_error_that_could_not_be_measured_is_not_said_to_be_kept(error, longest, verdict):
    summary = Summary(**NUMBERS, position_error_max=error, longest_step=longest)
    assert summary.position_verdict == verdict
    assert summary.energy_verdict == "kept"
    assert summary.falls_short == (verdict != "kept")
    assert summary.as_dict()["position_verdict"] == verdict
