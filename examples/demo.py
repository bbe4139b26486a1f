"""Train on two-body orbits, then simulate two that were not among them, against the best fixed step.

    make demo            or            python examples/demo.py

Everything is left in runs/demo: the trained model, its metrics, the trajectories and a figure for each system.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from aitimestepper import Config, Recording, read_config, simulate, train
from aitimestepper.cli.progress import simulation_progress, training_progress
from aitimestepper.views.plots import plot_comparison, plot_training

CONFIG = "demo"


class Case(NamedTuple):
    """A system to simulate: where it comes from, for how long, and the units of its figure."""

    name: str
    short: str
    title: str
    ic: str
    periods: float
    length_label: str
    time_label: str


CASES = (
    Case(
        "kepler",
        "Kepler e = 0.8",
        "Kepler orbit, e = 0.8, masses 1 and 0.3, 20 periods",
        "kepler:e=0.8,m1=1,m2=0.3,M=0",
        20,
        "a",
        "",
    ),
    Case(
        "halley",
        "Comet Halley",
        "Sun and Comet Halley, two revolutions from perihelion",
        "halley:M=0",
        2,
        "au",
        "yr / 2 pi",
    ),
)


def run_case(case: Case, model: Path, run_dir: Path) -> dict[str, Recording]:
    """The system with the learned step, and with the one fixed step that takes as many force evaluations."""
    common = {"ic": case.ic, "periods": case.periods, "every": 1, "overwrite": True}
    with simulation_progress() as progress:
        learned = simulate(
            config=Config(
                **common, timestep="learned", model=str(model), output=str(run_dir / f"{case.name}-learned.h5")
            ),
            progress=progress,
        )
        duration = learned.time[-1] - learned.time[0]
        dt = duration / learned.summary.steps
        fixed = simulate(
            config=Config(**common, timestep="fixed", dt=dt, output=str(run_dir / f"{case.name}-fixed.h5")),
            progress=progress,
        )
    return {"learned": learned, "fixed": fixed}


def result_table(results: dict[str, dict[str, Recording]]) -> Table:
    """Energy errors and cost of every run, and what the learned step gains."""
    table = Table(title="Learned step against the fixed step of as many force evaluations", title_justify="left")
    table.add_column("system", no_wrap=True)
    table.add_column("step", no_wrap=True)
    for name in ("steps", "force evals", "max dE/E", "final dE/E"):
        table.add_column(name, justify="right", no_wrap=True)
    for title, runs in results.items():
        for number, (name, run) in enumerate(runs.items()):
            s = run.summary
            errors = (f"{s.energy_error_max:.2e}", f"{s.energy_error_final:.2e}")
            table.add_row("" if number else title, name, str(s.steps), str(s.force_evaluations), *errors)
        learned, fixed = (run.summary for run in runs.values())
        gain = fixed.energy_error_max / learned.energy_error_max, fixed.energy_error_final / learned.energy_error_final
        table.add_row("", "[bold]smaller by[/bold]", "", "", *(f"[bold]{g:.3g} x[/bold]" for g in gain))
        table.add_section()
    return table


def main() -> None:
    """Train, simulate, print the table, draw the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, help="train for another number of epochs")
    flags = {key: value for key, value in vars(parser.parse_args()).items() if value is not None}
    console = Console()
    began = time.perf_counter()
    config = read_config(CONFIG, "train", {**flags, "overwrite": True})
    console.print(
        f"Training on {config.num_orbits} orbits, e = {config.e_min} to {config.e_max}; "
        f"every accepted step keeps |dE/E| < {config.energy_threshold:g}."
    )
    with training_progress(config.epochs) as watch:
        outcome = train(config=config, observers=[watch])
    if outcome.interrupted:
        raise SystemExit(f"interrupted; the checkpoint is in {outcome.run_dir}")
    results = {case.short: run_case(case, outcome.model_path, outcome.run_dir) for case in CASES}
    console.print(result_table(results))
    for case, runs in zip(CASES, results.values(), strict=True):
        figure = outcome.run_dir / f"{case.name}.png"
        plot_comparison(
            runs, figure, title=case.title, length_label=case.length_label, time_label=case.time_label, overwrite=True
        )
        console.print(f"figure         {figure}")
    training = outcome.run_dir / "training.png"
    plot_training(outcome.run_dir, training, title="Training of the demo", overwrite=True)
    console.print(f"training       {training}")
    console.print(f"run directory  {outcome.run_dir}   ({time.perf_counter() - began:.0f} s in all)")


if __name__ == "__main__":
    main()
