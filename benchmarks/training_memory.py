"""Memory of a training after 10,000 retrain iterations over that after 100: in a process of its own for each path."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

from training_cases import fresh

from aitimestepper import FullyConnectedNN, RetrainLimitError, RetrainWarning, collect_trajectory_step


class OnlyTorch(FullyConnectedNN):
    """The same network under another name, which the compiled loop does not take."""


def resident() -> int:
    """Bytes of this process in memory."""
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4096


def grown(path: str, few: int, many: int) -> float:
    """Memory after `many` iterations on one state over that after `few`; `path` is compiled or torch."""
    script = str(Path(__file__).resolve())
    answer = subprocess.run(
        [sys.executable, script, path, str(few), str(many)], capture_output=True, text=True, check=True
    )
    first, last = (int(word) for word in answer.stdout.split()[-2:])
    return last / first


def _iterate(path: str, few: int, many: int) -> None:
    warnings.simplefilter("ignore", RetrainWarning)
    case = fresh(1, lr=1e-12, e_min=0.9, e_max=0.95)  # it cannot get anywhere
    if path == "torch":
        case.model.__class__ = OnlyTorch
    measured = []
    for count in (few, many - few):
        config = case.config.replace(max_retrain_iterations=count)
        try:
            collect_trajectory_step(case.model, case.particle, case.optimizer, config, case.adapter)
        except RetrainLimitError:
            measured.append(resident())
    print(*measured)


if __name__ == "__main__":
    _iterate(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
