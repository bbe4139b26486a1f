"""The benchmark of training: its yardstick does what the package does, and what it measures fills its table."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from aitimestepper import Config

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def yardstick(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import plain_loop
    import training_cases
    import training_speed

    return plain_loop, training_cases, training_speed


def test_the_plain_loop_takes_the_same_steps_on_one_orbit(yardstick):
    _, _, speed = yardstick
    found = speed.from_fresh_weights(4, 1, 30, 30)
    assert found["plain iterations"] == found["package iterations"] > 30
    assert speed.same_steps(30) < 1e-12


def test_the_plain_loop_waits_for_the_slowest_of_a_batch(yardstick):
    plain, cases, _ = yardstick
    case = cases.fresh(8, fused=False)
    assert isinstance(case.config, Config)
    before = case.particle.total_energy_batch()
    reached, iterations = plain.accepted_step(case.model, case.particle, case.optimizer, case.config, case.adapter)
    error = (reached.total_energy_batch() / before - 1).abs()
    assert iterations > 0
    assert (error < case.config.energy_threshold).all()
    assert (reached.dt > 0).all()
    assert len(set(reached.dt.tolist())) == 8


def test_a_replayed_sample_is_learnt_from(yardstick):
    plain, cases, _ = yardstick
    case = cases.fresh(4, fused=False)
    samples = [case.particle.select(k) for k in range(4)]
    before = torch.cat([p.detach().reshape(-1).clone() for p in case.model.parameters()])
    plain.replay_iteration(case.model, samples, case.optimizer, case.config, case.adapter)
    assert not torch.equal(before, torch.cat([p.detach().reshape(-1) for p in case.model.parameters()]))


def test_a_quick_run_fills_the_table():
    words = [sys.executable, str(BENCHMARKS / "training.py"), "--quick", "--only", "one,replay"]
    answer = subprocess.run(words, capture_output=True, text=True, timeout=200)
    assert answer.returncode == 0, answer.stderr
    for words in ("retrain iterations a second", "accepted steps a second", "replay of 512"):
        assert words in answer.stdout
