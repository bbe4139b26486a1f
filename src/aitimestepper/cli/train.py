"""`aitimestepper train`: train a network, or go on with a training that was stopped."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aitimestepper.cli.commands import flag_of
from aitimestepper.cli.configuration import configured
from aitimestepper.cli.exit_codes import INTERRUPTED, SUCCESS
from aitimestepper.cli.output import note
from aitimestepper.cli.parser import CommandParser, Parsed
from aitimestepper.cli.progress import training_progress
from aitimestepper.config.keys import PhysicsKeys
from aitimestepper.config.reading import read_config
from aitimestepper.config.schema import Config
from aitimestepper.errors import InputError, RunError
from aitimestepper.names import CONFIG_FILE, RESUME_FILE

if TYPE_CHECKING:
    from aitimestepper.training.session.session import TrainingOutcome

_EXAMPLES = """\
examples:
  aitimestepper train --ic kepler:e=0.9 --epochs 200 --save-name first
  aitimestepper train --num-orbits 32 --e-min 0.6 --output-scale physical
  aitimestepper train --systems triples/ --save-name triples
  aitimestepper train --systems a.csv b.csv hierarchical-triple
  aitimestepper train --config my.toml --lr 1e-3 --hidden-dims 64 64
  aitimestepper train --resume runs/first --epochs 400

A key in the TOML file has the name of its flag, with underscores instead of
hyphens: energy_threshold = 1e-4. `--max-retrain-iterations none` unsets it.
"""


def parser() -> CommandParser:
    """What may stand behind `aitimestepper train`."""
    usage = (
        "[--config F.toml] [--ic SPEC | --systems SPEC ...]\n"
        "         [flags]\n"
        "       %(prog)s --resume RUN_DIR [--epochs N]"
    )
    return CommandParser("train", usage=usage, epilog=_EXAMPLES)


def run(words: Sequence[str]) -> int:
    """Carry out `aitimestepper train ...`; returns the exit code."""
    parsed = parser().parse(words)
    resume = parsed.own.get("resume")
    config = configured("train", parsed) if resume is None else _changes(parsed)
    outcome = train_and_report(config, resume=resume)
    if outcome.interrupted:
        return INTERRUPTED
    model = f"--timestep learned --model {shlex.quote(str(outcome.run_dir))}"
    note(f"simulate with:  aitimestepper simulate {_same_system(outcome)} {model}")
    return SUCCESS


def train_and_report(config: Config, *, resume: str | None = None) -> TrainingOutcome:
    """Train with progress on standard error, and say there what came of it and how to go on."""
    from aitimestepper.training.session.session import train

    run_dir = Path(config.runs_dir) / config.save_name if resume is None else Path(resume)
    with training_progress(config.epochs if resume is None or "epochs" in config.explicit() else None) as watch:
        try:
            outcome = train(config=config, resume=None if resume is None else run_dir, observers=[watch])
        except RunError:
            watch.close()
            kept = f"; its last checkpoint is in {run_dir}" if (run_dir / RESUME_FILE).exists() else ""
            note(f"the training failed in {watch.where() or 'its first step'}{kept}")
            raise
    if watch.last_step is None and not outcome.interrupted:
        note(f"all {outcome.epochs_completed} epochs of {run_dir} are done already; ask for more with --epochs")
    _report(outcome, watch.n_epochs)
    return outcome


def _changes(parsed: Parsed) -> Config:
    """What may differ from the run that is taken up again."""
    from aitimestepper.training.session.session import RESUMABLE

    fixed = sorted(flag_of(key) for key in parsed.keys.keys() - RESUMABLE) + ["--config"] * ("config" in parsed.own)
    if fixed:
        raise InputError(
            f"{', '.join(fixed)} cannot stand beside --resume, which goes on with the settings of the run; allowed are "
            f"{', '.join(sorted(map(flag_of, RESUMABLE)))}"
        )
    return Config(**parsed.keys)


def _report(outcome: TrainingOutcome, n_epochs: int | None) -> None:
    if outcome.interrupted:
        of = "" if n_epochs is None else f" of {n_epochs}"
        note(f"interrupted after {outcome.epochs_completed}{of} epochs; the checkpoint is in {outcome.run_dir}")
        note(f"go on with:     aitimestepper train --resume {shlex.quote(str(outcome.run_dir))}")
        return
    note(f"trained {outcome.epochs_completed} epochs; run directory {outcome.run_dir}, model {outcome.model_path}")


def _same_system(outcome: TrainingOutcome) -> str:
    """Flags of `simulate` for the system and the physics of a training."""
    config = read_config(outcome.run_dir / CONFIG_FILE, "train")
    own = str(outcome.run_dir) + ":system=0" * (outcome.n_systems > 1)
    flags = [f"--ic {shlex.quote(config.ic or own)}", "--steps 1000"]
    for key, field in PhysicsKeys.model_fields.items():
        value = getattr(config, key)
        if value != field.default:
            flags.append(f"{flag_of(key)} {' '.join(map(str, value)) if isinstance(value, tuple) else value}")
    return " ".join(flags)
