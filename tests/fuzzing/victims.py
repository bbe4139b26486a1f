"""Sound files of every format that is read, and the commands that read them."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

FIXED = ["--timestep", "fixed", "--dt", "1e-3"]
SHORT = [*FIXED, "--steps", "2"]
SMALL = ["--hidden-dims", "4", "--output-scale", "physical", "--replay-steps", "3", "--no-tensorboard"]


class Victim(NamedTuple):
    """A file that is damaged, and what is then done with it.

    Attributes:
        file: its path, in a folder that has all that the commands need.
        commands: the words of each; `load PATH` is `EnsembleResult.load`.
    """

    file: str
    commands: list[list[str]]


VICTIMS = {
    **{
        name: Victim(f"bodies.{name}", [["simulate", "--ic", f"bodies.{name}", *SHORT]])
        for name in ("csv", "npy", "h5", "bin")
    },
    "npz": Victim("runs/run/initial_conditions.npz", [["simulate", "--ic", "runs/run", *SHORT]]),
    "toml": Victim(
        "run.toml",
        [["simulate", "--config", "run.toml", "--steps", "2"], ["sweep", "--config", "run.toml", "--trials", "1"]],
    ),
    "recording": Victim(
        "run.h5",
        [
            ["simulate", "--ic", "run.h5", *SHORT],
            ["simulate", "--resume", "run.h5", "--steps", "30"],
            ["plot", "run.h5", "--output", "figure.png"],
        ],
    ),
    "ensemble": Victim("ensemble.h5", [["load", "ensemble.h5"], ["plot", "ensemble.h5"]]),
    "model": Victim(
        "runs/run/model.safetensors",
        [
            ["simulate", "--ic", "kepler:e=0.3", "--timestep", "learned", "--model", "runs/run", "--steps", "3"],
            ["export", "--format", "c", "--model", "runs/run", "--output", "exported"],
        ],
    ),
    "calibrated": Victim(
        "calibrated.safetensors",
        [
            [
                "simulate",
                "--ic",
                "kepler:e=0.3",
                "--tolerance",
                "1e-4",
                "--model",
                "calibrated.safetensors",
                "--steps",
                "3",
            ]
        ],
    ),
    "checkpoint": Victim("runs/run/resume.pt", [["train", "--resume", "runs/run", "--epochs", "3"]]),
    "journal": Victim("runs/study/study.journal", [["sweep", "--config", "sweep.toml"]]),
}

_SWEEP = """save_name = "study"
epochs = 2
hidden_dims = [4]
output_scale = "physical"
replay_steps = 3
tensorboard = false
[sweep]
trials = 2
[sweep.space]
lr = {low = 1e-4, high = 1e-3, log = true}
hidden_dims = [[4], [6]]
""".replace("hidden_dims = [4]\n", "")


def run(words: list[str]) -> int:
    """Carry out a command."""
    from aitimestepper import InputError
    from aitimestepper.cli.main import main
    from aitimestepper.ensembles.result import EnsembleResult

    if words[0] != "load":
        return main(words)
    try:
        EnsembleResult.load(words[1])
    except InputError:
        return 2
    return 0


def _bodies(folder: Path) -> None:
    from aitimestepper.cli.main import main

    for suffix in ("csv", "npy", "h5"):
        assert main(["ic", "random:n=3,dim=3", "--output", f"bodies.{suffix}"]) == 0
    assert main(["simulate", "--ic", "figure-eight", *SHORT, "--output", "bodies.bin"]) == 0


def _toml(folder: Path) -> None:
    Path("run.toml").write_text(
        'seed = 3\n[simulate]\nic = "kepler:e=0.3,a=1.0"\ntimestep = "fixed"\ndt = 1e-3\nG = 1.0\n'
        '[train]\nepochs = 1\nreplay_steps = 2\noutput_scale = "physical"\ntensorboard = false\n'
        "[sweep]\ntrials = 1\nsampler = 'grid'\n[sweep.space]\nhidden_dims = [[4], [6]]\n"
    )


def _recording(folder: Path) -> None:
    from dataclasses import replace

    from aitimestepper import Config, simulate
    from aitimestepper.systems.catalogue import initial_conditions

    system = replace(initial_conditions("random:n=3,dim=3"), names=("Sun", "Erde", "Mönd"))
    simulate(config=Config(timestep="fixed", dt=1e-3, steps=20, step_history=True, output="run.h5"), system=system)


def _ensemble(folder: Path) -> None:
    from aitimestepper.cli.main import main

    assert main(["ensemble", "--ic", "random:n=3", *SHORT, "--count", "8", "--output", "ensemble.h5"]) == 0


def _training(folder: Path) -> None:
    from aitimestepper.cli.main import main

    assert main(["train", "--ic", "kepler:e=0.3", *SMALL, "--epochs", "2"]) == 0


def _training_with_history(folder: Path) -> None:
    from aitimestepper.cli.main import main

    words = ["--num-orbits", "2", "--history-len", "2", "--feature-type", "rich", "--normalize-inputs"]
    assert main(["train", *words, *SMALL, "--epochs", "2"]) == 0


def _calibrated(folder: Path) -> None:
    from aitimestepper.weights.file import DEFAULT_MODEL

    shutil.copy(DEFAULT_MODEL, "calibrated.safetensors")


def _study(folder: Path) -> None:
    from aitimestepper.cli.main import main

    Path("sweep.toml").write_text(_SWEEP)
    assert main(["sweep", "--config", "sweep.toml"]) == 0


_MADE_BY: dict[str, Callable[[Path], None]] = {
    **dict.fromkeys(("csv", "npy", "h5", "bin"), _bodies),
    "toml": _toml,
    "recording": _recording,
    "ensemble": _ensemble,
    **dict.fromkeys(("model", "npz"), _training),
    "checkpoint": _training_with_history,
    "calibrated": _calibrated,
    "journal": _study,
}


def make(name: str) -> None:
    """Put the sound file, with all that its commands need, into the current folder."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        _MADE_BY[name](Path())
