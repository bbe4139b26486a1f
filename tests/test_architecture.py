"""The walls of the house: who imports whom, and what starting up may cost."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import aitimestepper

PACKAGE = Path(aitimestepper.__file__).parent

LEVELS = {
    "_version": 0, "errors": 0, "names": 0, "config": 0, "config_keys": 0,
    "config_file": 0, "own_criteria": 0, "atomic": 0, "cores": 0,
    "physics": 1, "features": 1, "systems": 1, "recording": 1, "recording_file": 1,
    "storage": 1, "ensemble_result": 1,
    "particle": 2, "history_buffer": 2, "networks": 2,
    "model_adapter": 3, "checkpoint": 3, "setting": 3,
    "training": 4, "reference": 4, "engine": 4,
    "defaults": 5, "calibrated": 5, "simulate": 5, "recorder": 5, "running": 5, "views": 5,
    "methods": 5, "comparison": 5, "tuning": 5, "rivals": 5, "trials": 5, "references": 5, "contest": 5, "compare": 5,
    "ensemble": 5, "ensemble_run": 5, "ensemble_cluster": 5, "bridges": 5, "doctor": 5, "sweeping": 5, "exporting": 5,
    "cli": 6, "__main__": 7, "__init__": 0,
}  # fmt: skip
"""Imports point down or stay on their level."""

TORCH_FREE = (
    *("errors", "names", "config", "config_keys", "config_file", "own_criteria", "atomic", "cores", "systems"),
    *("recording", "recording_file", "storage", "defaults", "simulate", "views", "cli"),
    *("methods", "comparison", "tuning", "rivals", "compare"),
    *("ensemble", "ensemble_cluster", "ensemble_result"),
)
"""Parts that never import torch, or a part that does, when they are loaded."""

ENGINE = ("engine", "calibrated", "recorder", "running", "ensemble_run", "trials", "references", "contest")
"""Parts of the compiled path: numba, but no torch."""

LAZY = {"aitimestepper", "checkpoint", "bridges"}
"""Torch-free when loaded, although they can reach torch (the table of public names, and the model file) or, from within
functions, other programs."""


def part_of(module: str) -> str:
    pieces = module.split(".")
    return pieces[1] if len(pieces) > 1 else "__init__"


def imports_of(path: Path, *, top_only: bool) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    # What only the type checker reads is no import.
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test))
    ]
    nodes = tree.body if top_only else list(ast.walk(tree))
    found: list[str] = []
    for node in nodes:
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found.append(node.module or "")
    return found


FILES = sorted(PACKAGE.rglob("*.py"))


def test_every_part_has_its_level():
    assert {part_of("aitimestepper." + ".".join(f.relative_to(PACKAGE).with_suffix("").parts)) for f in FILES} <= set(
        LEVELS
    )


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_down(path):
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    for module in imports_of(path, top_only=False):
        if module.startswith("aitimestepper.") and own != "__init__":
            assert LEVELS[part_of(module)] <= LEVELS[own], f"{path.name} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_what_a_classical_simulation_needs_does_not_load_torch(path):
    own = path.relative_to(PACKAGE).with_suffix("").parts[0]
    if own not in TORCH_FREE:
        return
    for module in imports_of(path, top_only=True):
        assert module.split(".")[0] not in ("torch", "numba", "matplotlib", "astropy", "rebound"), path
        if module.startswith("aitimestepper."):
            part = part_of(module)
            assert part in TORCH_FREE or part in LAZY or part == "_version", f"{path.name} imports {module}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_the_compiled_path_does_not_load_torch(path):
    if path.relative_to(PACKAGE).with_suffix("").parts[0] not in ENGINE:
        return
    for module in imports_of(path, top_only=False):
        assert module.split(".")[0] not in ("torch", "matplotlib", "astropy", "rebound"), path
        if module.startswith("aitimestepper."):
            part = part_of(module)
            assert part in (*TORCH_FREE, *ENGINE, *LAZY, "_version"), f"{path.name} imports {module}"


def test_every_name_of_the_specification_imports_from_the_package():
    names = [
        *("ParticleTorch", "make_particle", "stack_particles", "ExternalField", "PointMassTidalField", "Config"),
        *("ModelAdapter", "HistoryBuffer", "FullyConnectedNN", "attempt_single_step", "check_energy_threshold"),
        *("compute_single_step_loss", "band_loss_zero_inside_where", "collect_trajectory_step", "collect_trajectory"),
        *("sample_minibatch", "evaluate_minibatch", "generalize_on_trajectory", "train_epoch_two_phase"),
        *("run_two_phase_training", "RetrainLimitError"),
    ]
    assert set(names) <= set(aitimestepper.__all__)
    for name in aitimestepper.__all__:
        assert getattr(aitimestepper, name) is not None


def loaded_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint('LOADED', *sorted(m for m in sys.modules if '.' not in m))"
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    return set(re.search(r"LOADED (.*)", output).group(1).split())  # type: ignore[union-attr]


HEAVY = {"torch", "numba", "distributed", "matplotlib", "h5py", "astropy", "rebound", "wandb", "tensorboard"}


@pytest.mark.parametrize(
    "code",
    [
        "import aitimestepper",
        "import aitimestepper.simulate, aitimestepper.ensemble, aitimestepper.views.plots, aitimestepper.cli.main",
    ],
)
def test_importing_loads_nothing_heavy(code):
    assert not loaded_after(code) & HEAVY


def test_a_classical_simulation_never_loads_torch():
    code = (
        "from aitimestepper import Config\n"
        "from aitimestepper.simulate import simulate\n"
        "simulate(Config(ic='kepler', timestep='free-fall', eta=0.1, steps=3))"
    )
    assert "torch" not in loaded_after(code)


def test_no_file_or_function_has_grown_too_long():
    for path in FILES:
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 400, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                assert length <= 45, f"{path.name}: {node.name} has {length} lines"
