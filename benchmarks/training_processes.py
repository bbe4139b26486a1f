"""Orbit-steps a second of one and of two processes under torchrun, each with as many orbits."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def steps_a_second(processes: int, n_orbits: int, epochs: int) -> float:
    """Of a training by the command, after its first epoch: drawing, compiling and connecting are not counted."""
    with tempfile.TemporaryDirectory() as place:
        words = ["--num-orbits", n_orbits, "--steps-per-epoch", 50, "--epochs", epochs, "--hidden-dims", 64, 64]
        words += ["--feature-type", "invariant", "--output-scale", "physical", "--lr", 3e-4, "--replay-steps", 0]
        words += ["--runs-dir", place, "--save-name", "run", "--no-tensorboard", "--seed", 1]
        command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
        command += ["-m", "aitimestepper", "train", *map(str, words)]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        text = (Path(place) / "run" / "metrics.jsonl").read_text(encoding="utf-8")
    records = [json.loads(line) for line in text.splitlines()]
    seconds = records[-1]["wall_seconds"] - records[0]["wall_seconds"]
    return sum(record["total_steps"] for record in records[1:]) / seconds
