"""A training that is stopped after every epoch against one that never is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

from aitimestepper import Config, train
from aitimestepper.training.session.resume import read_resume


class Stop:
    """Ctrl-C in the first step after so many epochs."""

    def __init__(self, after: int) -> None:
        self.after = after

    def begin(self, message):
        pass

    def step(self, record):
        if record.epoch > self.after:
            raise KeyboardInterrupt

    def epoch(self, record):
        pass

    def close(self):
        pass


def left_by(run: str) -> tuple[dict[str, torch.Tensor], list[dict[str, float]]]:
    """Every tensor of the checkpoint by its path, and the metrics without times."""
    tensors: dict[str, torch.Tensor] = {}

    def walk(thing: object, path: str) -> None:
        if isinstance(thing, torch.Tensor):
            tensors[path] = thing
        items = thing.items() if isinstance(thing, dict) else enumerate(thing) if isinstance(thing, list) else ()
        for key, part in items:
            walk(part, f"{path}/{key}")

    walk(read_resume(Path(run, "resume.pt")), "")
    lines = map(json.loads, Path(run, "metrics.jsonl").read_text().splitlines())
    return tensors, [
        {key: value for key, value in line.items() if "seconds" not in key and key != "epoch_time"} for line in lines
    ]


def check_that_stopping_changes_nothing(keys: dict[str, Any], *, epochs: int) -> None:
    """Weights, moments, states, what is known of them, random numbers and metrics: all bits are the same."""
    train(config=Config(**{**keys, "epochs": epochs, "save_name": "whole"}))
    cut = Config(**{**keys, "epochs": epochs, "save_name": "cut"})
    assert train(config=cut, observers=[Stop(1)]).epochs_completed == 1
    for after in range(2, epochs + 1):
        assert train(config=Config(), resume=Path("runs/cut"), observers=[Stop(after)]).epochs_completed == after
    (tensors, metrics), (cut_tensors, cut_metrics) = map(left_by, ("runs/whole", "runs/cut"))
    assert [line["epoch"] for line in cut_metrics] == list(range(1, epochs + 1))
    assert metrics == cut_metrics
    assert tensors.keys() == cut_tensors.keys()
    assert [path for path, tensor in tensors.items() if not torch.equal(tensor, cut_tensors[path])] == []
