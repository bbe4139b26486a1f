"""Data-parallel training: two processes, gloo, the same result on a restart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from aitimestepper.weights.file import read_model

SETTINGS = """
num_orbits = 4
hidden_dims = [8]
output_scale = "physical"
lr = 1e-3
replay_steps = 5
replay_patience = 1
steps_per_epoch = 2
checkpoint_every = 2
tensorboard = false
"""


def torchrun(*words: object, processes: int = 2) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    command += ["-m", "aitimestepper", "train", *map(str, words)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=200, env=environment)


@pytest.fixture
def config_file() -> Path:
    path = Path("two.toml")
    path.write_text(SETTINGS, encoding="utf-8")
    return path


def equal(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return all(equal(one[key], other[key]) for key in one.keys() - {"wall_seconds", "config"})
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    return torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other


KINDS = {
    "compiled": ["--feature-type", "delta_mag", "--history-len", "2"],
    "torch": ["--dropout", "0.2", "--L-lower", "1e-12", "--L-upper", "1e-9"],
}
"""What only one of the two loops of Part 1 knows."""


@pytest.mark.parametrize("kind", ["compiled", pytest.param("torch", marks=pytest.mark.validation)])
def test_two_processes_and_a_restart_with_the_same_bits(config_file, kind):
    for name, epochs in (("whole", 6), ("cut", 3)):
        done = torchrun("--config", config_file, "--save-name", name, "--epochs", epochs, *KINDS[kind])
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("run directory") == 1  # only one of them speaks
    alone = subprocess.run(
        [sys.executable, "-m", "aitimestepper", "train", "--resume", "runs/cut"], capture_output=True, text=True
    )
    assert alone.returncode == 2
    assert "torchrun --nproc-per-node 2" in alone.stderr
    assert torchrun("--resume", "runs/cut", "--epochs", 6).returncode == 0
    whole, cut = (torch.load(f"runs/{name}/resume.pt", weights_only=True) for name in ("whole", "cut"))
    assert equal(whole, cut)
    first, second = whole["parts"]
    assert not torch.equal(first["initial"]["position"], second["initial"]["position"])
    assert not torch.equal(first["generator"], second["generator"])
    lines = [json.loads(line) for line in Path("runs/whole/metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4, 5, 6]
    assert all(line["total_steps"] >= 16 for line in lines)  # both processes count
    assert kind in read_model("runs/whole").about["part_one"]


def test_one_system_cannot_be_shared(config_file):
    done = torchrun("--ic", "kepler:e=0.5", "--epochs", 2)
    assert done.returncode != 0
    assert "systems of their own" in done.stderr
    assert not Path("runs").exists()
