"""`aitimestepper sweep`: search for good settings of a training, in a study that processes and machines share."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from aitimestepper.cli.exit_codes import INTERRUPTED, RUN_FAILED, SUCCESS
from aitimestepper.cli.interrupt import Interrupt
from aitimestepper.cli.output import is_narrow, note, print_json, print_table
from aitimestepper.cli.parser import CommandParser
from aitimestepper.cli.progress import TrainingLines
from aitimestepper.config.reading import read_config
from aitimestepper.errors import InputError
from aitimestepper.outputs import spelled

if TYPE_CHECKING:
    from aitimestepper.sweeping import SweepOutcome, SweepSettings, TrialResult

_EXAMPLES = """\
examples:
  aitimestepper sweep --config sweep
  aitimestepper sweep --config my.toml --trials 100 --timeout 3600
  aitimestepper sweep --config my.toml --save-name second --epochs 50 --json

The file is that of a training, with a table that says what to search:

  [sweep]
  trials = 30
  [sweep.space]
  lr = {low = 1e-4, high = 1e-2, log = true}
  hidden_dims = [[32, 32], [64, 64]]

The same command again, here or on another machine that sees the directory,
joins the study, or goes on with it. Its directory holds best.toml, the best
weights (model.safetensors) and trials.csv.
"""

_SHOWN = 5


def parser() -> CommandParser:
    """What may stand behind `aitimestepper sweep`."""
    usage = "--config F.toml [--trials N] [--timeout X]\n         [--json] [flags]"
    return CommandParser("sweep", usage=usage, epilog=_EXAMPLES)


def run(words: Sequence[str]) -> int:
    """Carry out `aitimestepper sweep ...`; returns the exit code."""
    parsed = parser().parse(words)
    path = parsed.own.get("config")
    if path is None:
        raise InputError(
            "sweep needs a file that says what to search: --config F.toml; see 'aitimestepper sweep --help'"
        )
    config = read_config(path, "train", {key: value for key, value in parsed.keys.items() if key != "json"})
    from aitimestepper.sweeping import read_sweep, sweep

    numbers = {name: _number(name, parsed.own[name]) for name in ("trials", "timeout") if name in parsed.own}
    settings = read_sweep(path, **numbers)
    with Interrupt() as interrupt:
        outcome = sweep(
            config,
            settings,
            observers=lambda number: (_TrialLines(number, config.epochs, interrupt),),
            on_trial=_tell,
        )
    _report(outcome, settings, as_json=parsed.json)
    if outcome.interrupted:
        note(f"interrupted; go on with:  aitimestepper sweep {shlex.join(words)}")
        return INTERRUPTED
    return SUCCESS if outcome.best is not None else RUN_FAILED


class _TrialLines(TrainingLines):
    """A plain line every ten seconds, with the number of the trial; nothing at the beginning and at the end."""

    def __init__(self, number: int, n_epochs: int, interrupt: Interrupt) -> None:
        super().__init__(n_epochs, interrupt)
        self._number = number

    def begin(self, message: str) -> None:
        """Every trial runs alike."""

    def say(self, text: str) -> None:
        """A line of this trial."""
        if self.last_epoch is None or self.last_epoch.epoch < (self.n_epochs or 0):
            super().say(f"trial {self._number}   {text}")


def _tell(result: TrialResult) -> None:
    values = "  ".join(f"{key} = {spelled(value, 3)}" for key, value in result.parameters.items())
    outcome = f"{result.state} after {result.epochs} epochs"
    if result.state == "failed":
        outcome = f"failed: {result.reason}"
    elif result.score is not None:
        outcome += f", score {result.score:.4g}"
    note(f"trial {result.number}   {values}   {outcome}")


def _report(outcome: SweepOutcome, settings: SweepSettings, *, as_json: bool) -> None:
    from aitimestepper.sweeping import BEST_FILE, TABLE_FILE, ranked

    states = ("complete", "pruned", "failed", "running")  # the last in other processes
    counts = {state: sum(t.state == state for t in outcome.trials) for state in states}
    if as_json:
        best = outcome.best
        found: dict[str, Any] = {"directory": str(outcome.directory), "metric": settings.metric, **counts}
        found["best"] = None if best is None else {"trial": best.number, "score": best.score, **best.parameters}
        print_json(found)
    else:
        _print_best(ranked(outcome.trials, maximize=settings.direction != "minimize"), settings.metric)
    words = [f"{count} {state}" for state, count in counts.items() if count or state != "running"]
    note(f"{', '.join(words)}; all in {outcome.directory / TABLE_FILE}")
    if outcome.best is not None:
        best_file = shlex.quote(str(outcome.directory / BEST_FILE))
        note(f"train longer with:  aitimestepper train --config {best_file} --save-name best")
        note(f"simulate with:      --timestep learned --model {shlex.quote(str(outcome.directory))}")


def _print_best(best: list[TrialResult], metric: str) -> None:
    if not best:
        return
    rows = []
    for result in best[:_SHOWN]:
        seconds = "" if result.seconds is None else f"{result.seconds:.0f}"
        parameters = (spelled(value, 3) for value in result.parameters.values())
        rows.append((str(result.number), f"{result.score:.4g}", *parameters, str(result.epochs), seconds))
    head = ("trial", "score", *best[0].parameters, "epochs", "seconds")
    if is_narrow():  # a row for each parameter
        head, *rows = zip(head, *rows, strict=True)
    print_table(f"The best of {len(best)} complete trials, by {metric}", rows, head=head, left=int(is_narrow()))


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InputError(f"--{name} = {text!r} is not allowed: it should be a number") from None
