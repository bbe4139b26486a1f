"""What of an installation works: versions, threads, cache, GPU, optional packages, weights, and one short run."""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

from aitimestepper._version import __version__
from aitimestepper.bridges.rebound import register
from aitimestepper.config.schema import Config
from aitimestepper.cores import available_cores

Verdict = Literal["ok", "note", "problem"]

CORE = ("numpy", "numba", "pydantic", "h5py", "safetensors", "rich")
"""Packages without which something that the README names does not work; imported for a try."""

TRIAL_TOLERANCE = 1e-6
"""Relative energy error asked of the trial run."""


class Finding(NamedTuple):
    """One thing that was looked at.

    Attributes:
        what: its name.
        verdict: `ok`; `note`, which is worth knowing and harms nothing; `problem`, with what to do about it.
        text: what was found.
    """

    what: str
    verdict: Verdict
    text: str


def examine() -> Iterator[Finding]:
    """Look at everything, one thing after the other; nothing raises, whatever is broken."""
    yield Finding("aitimestepper", "ok", f"{__version__} in {Path(__file__).parent}")
    yield _python()
    for package in CORE:
        yield _guarded(package, partial(_core, package))
    for extra, packages in optional_packages().items():
        yield _optional(extra, packages)
    for what, look in (("threads", _threads), ("cache", _cache), ("GPU", _gpu), ("weights", _weights), ("run", _run)):
        yield _guarded(what, look)


def compiled_ahead() -> Iterator[tuple[str, float]]:
    """Make short runs of every kind, so that all they need is compiled; yields what it was and the seconds it took."""
    from aitimestepper.simulation.run import simulate

    common: dict[str, Any] = {"ic": "figure-eight", "steps": 2, "progress": False}
    kinds: list[tuple[str, Callable[[], Any]]] = [
        ("calibrated steps", lambda: simulate(tolerance=1e-3, **common)),
        ("leapfrog", lambda: simulate(tolerance=1e-3, integrator="leapfrog", **common)),
        ("fixed steps", lambda: simulate(timestep="fixed", dt=0.01, **common)),
        ("gbs", lambda: simulate(tolerance=1e-3, integrator="gbs", **common)),
        ("wh", lambda: simulate(timestep="fixed", dt=0.1, integrator="wh", **{**common, "ic": "solar-system"})),
        ("exact times", lambda: simulate(tolerance=1e-3, ic="figure-eight", duration=0.1, samples=2, progress=False)),
        ("criteria", lambda: simulate(timestep="aarseth", eta=0.1, **common)),
        ("many systems", _few_systems),
    ]
    if importlib.util.find_spec("rebound") is not None:
        kinds.append(("REBOUND", _in_rebound))
    if importlib.util.find_spec("torch") is not None:
        kinds.append(("training", _short_training))
    for what, run in kinds:
        began = time.perf_counter()
        run()
        yield what, time.perf_counter() - began


def _few_systems() -> None:
    from aitimestepper.ensembles.ensemble import simulate_ensemble

    simulate_ensemble("random:n=3", count=2, duration=0.1, tolerance=1e-3, progress=False)


def _in_rebound() -> None:
    simulation = importlib.import_module("rebound").Simulation()
    simulation.add(m=1.0)
    simulation.add(m=1e-3, a=1.0)
    register(simulation, 1e-3)
    simulation.integrate(0.1)


def _short_training() -> None:
    from aitimestepper.training.session.session import train

    with tempfile.TemporaryDirectory() as folder:
        train(runs_dir=folder, epochs=1, steps_per_epoch=2, num_orbits=2, tensorboard=False)


def optional_packages() -> dict[str, tuple[str, ...]]:
    """The packages of every extra that users install, as the package's own metadata names them."""
    extras: dict[str, tuple[str, ...]] = {}
    for line in importlib.metadata.requires("aitimestepper") or ():
        requirement, _, marker = line.partition(";")
        extra = marker.partition("extra ==")[2].strip(" '\"")
        name = next(iter(requirement.replace("<", ">").replace("=", ">").replace("[", ">").split(">"))).strip()
        if extra and extra not in ("all", "dev", "docs") and name != "aitimestepper":
            extras[extra] = (*extras.get(extra, ()), name)
    return extras


def _guarded(what: str, look: Callable[[], Finding]) -> Finding:
    try:
        return look()
    except Exception as error:  # noqa: BLE001 - whatever is broken, the rest is still looked at
        return Finding(what, "problem", f"{type(error).__name__}: {' '.join(str(error).split())}")


def _python() -> Finding:
    text = f"{platform.python_version()} ({sys.executable}), {platform.system()} {platform.machine()}"
    return Finding("Python", "ok", text)


def _core(package: str) -> Finding:
    try:
        importlib.import_module(package)
    except ImportError as error:
        return Finding(package, "problem", f"{error}; install it again: pip install --force-reinstall {package}")
    return Finding(package, "ok", importlib.metadata.version(package))


def _optional(extra: str, packages: tuple[str, ...]) -> Finding:
    versions, missing = [], []
    for package in packages:
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    if not missing:
        return Finding(f"[{extra}]", "ok", ", ".join(versions))
    lacking = f"{', '.join(missing)} not installed: pip install 'aitimestepper[{extra}]'"
    return Finding(f"[{extra}]", "note", lacking)


def _threads() -> Finding:
    asked = os.environ.get("OMP_NUM_THREADS")
    text = f"{available_cores()} cores for this process"
    if importlib.util.find_spec("torch") is None:
        return Finding("threads", "ok", text)
    import torch

    text += f"; torch uses {torch.get_num_threads()} threads"
    if asked is None and torch.get_num_threads() > 1:
        return Finding("threads", "note", f"{text}: for the small networks here OMP_NUM_THREADS=1 is the fastest")
    return Finding("threads", "ok", text)


def _cache() -> Finding:
    """Where compiled code is kept: without such a folder every process compiles anew."""
    engine = importlib.util.find_spec("aitimestepper.engine.run.rollout")
    assert engine is not None
    assert engine.origin is not None
    named = os.environ.get("NUMBA_CACHE_DIR")
    beside = Path(engine.origin).parent / "__pycache__"
    home = Path.home() / ".cache" / "numba"
    for folder in (Path(named),) if named else (beside, home):
        if _writable(folder):
            files = sum(1 for _ in folder.rglob("*.nbc"))
            state = f"{files} compiled functions" if files else "still empty: the first run compiles, for minutes"
            return Finding("cache", "ok" if files else "note", f"{folder}, {state}")
    where = named or f"{beside} and {home}"
    return Finding("cache", "problem", f"cannot write to {where}: set NUMBA_CACHE_DIR to a folder that can be written")


def _writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _gpu() -> Finding:
    if importlib.util.find_spec("torch") is None:
        return Finding("GPU", "ok", "not looked for without torch; simulations run on the CPU anyway")
    import torch

    if not torch.cuda.is_available():
        return Finding(
            "GPU", "ok", "none; simulations run on the CPU anyway, and trainings of small networks best there"
        )
    names = {torch.cuda.get_device_name(device) for device in range(torch.cuda.device_count())}
    return Finding("GPU", "ok", f"{torch.cuda.device_count()} x {', '.join(sorted(names))}; train --device cuda")


def _weights() -> Finding:
    from aitimestepper.simulation.stepper import CalibratedStepper

    about = CalibratedStepper.load_default().about
    return Finding("weights", "ok", f"calibrated, of commit {str(about.get('commit', 'unknown'))[:12]}")


def _run() -> Finding:
    from aitimestepper.simulation.run import simulate

    config = Config(ic="figure-eight", periods=100, tolerance=TRIAL_TOLERANCE)
    simulate(config=config, progress=False)  # compiles what has never run on this machine
    began = time.perf_counter()
    summary = simulate(config=config, progress=False).summary
    each = (time.perf_counter() - began) / summary.steps * 1e6
    error = summary.energy_error_max
    text = f"figure-eight: energy error {error:.2g}, asked for {TRIAL_TOLERANCE:g}; {each:.2g} us a step"
    kept = math.isfinite(error) and error <= TRIAL_TOLERANCE
    return Finding("run", "ok" if kept else "problem", text if kept else f"{text}: please report this")
