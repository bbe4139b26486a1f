"""The walls of the house: who imports whom, and what starting up may cost."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import aitimestepper

PACKAGE = Path(aitimestepper.__file__).parent

FLOORS = (
    {"_version", "arrays", "constants", "cores", "errors", "inputs", "names", "processes"},
    {"engine", "config", "hdf5", "outputs", "physics"},
    {"systems", "features"},
    {"recordings", "weights"},
    {"simulation", "exporting", "model"},
    {"ensembles", "comparison", "bridges", "training"},
    {"views", "sweeping"},
    {"cli"},
    {"__main__"},
)
"""The rooms of docs/architecture.md, from the ground up: imports point to a lower floor."""

HEAVY = {
    *("torch", "numba", "distributed", "matplotlib", "plotly", "h5py", "astropy", "rebound", "wandb", "tensorboard"),
    *("optuna", "onnx", "jinja2", "imageio_ffmpeg", "safetensors"),
}
"""Packages that take long to load: nobody who asks for help, or mistypes a key, waits for them."""

COMPILES = "@callback("
"""What stands in a file that compiles functions, for C to call, when it is imported."""

SLOW = HEAVY | {"numpy", "rich", COMPILES}
"""What an import may be put off for."""

FILES = {
    ".".join(("aitimestepper", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


@cache
def imports_of(module: str, *, top_only: bool) -> frozenset[str]:
    """Modules of the package, and names of other packages, that a module imports."""
    tree = ast.parse(FILES[module].read_text(encoding="utf-8"))
    nodes = ast.walk(tree)
    if top_only:
        for_types = (n for n in tree.body if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.dump(n.test))
        hidden = {id(inner) for n in for_types for inner in ast.walk(n)}
        nodes = (n for n in tree.body if id(n) not in hidden)
    found = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(_module_in(name) for name in found if name.startswith("aitimestepper.")) - {module} | frozenset(
        name.split(".")[0] for name in found if not name.startswith("aitimestepper.")
    )


def _module_in(name: str) -> str:
    while name not in FILES:
        name = name.rpartition(".")[0]
    return name


@cache
def loads(module: str) -> frozenset[str]:
    """All that is loaded when a module is, other packages by their names."""
    found, left = set(), {module}
    while left:
        one = left.pop()
        found.add(one)
        left |= imports_of(one, top_only=True) & set(FILES) - found
        found |= imports_of(one, top_only=True) - set(FILES)
        found |= {COMPILES} if COMPILES in FILES[one].read_text(encoding="utf-8") else set()
    return frozenset(found)


def room_of(module: str) -> str:
    return module.split(".")[1]


ROOMS = {module for module in FILES if module != "aitimestepper"}


def folder_of(module: str) -> str:
    """Modules at the top are folders by themselves."""
    inside = FILES[module].name != "__init__.py" and module.count(".") > 1
    return module.rpartition(".")[0] if inside else module


def circle_in(graph: dict[str, Iterable[str]]) -> object:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return None


def test_rooms_import_only_rooms_on_lower_floors():
    floor = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    upward = [
        f"{module} imports {other}"
        for module in ROOMS
        for other in imports_of(module, top_only=False) & ROOMS
        if room_of(module) != room_of(other) and not floor[room_of(other)] < floor[room_of(module)]
    ]
    assert not upward


def test_there_is_no_circle_of_modules_or_of_folders():
    modules = {module: imports_of(module, top_only=False) & ROOMS for module in ROOMS}
    assert circle_in(modules) is None
    folders: dict[str, set[str]] = {}
    for module, others in modules.items():
        folders.setdefault(folder_of(module), set()).update(map(folder_of, others))
    assert circle_in({folder: others - {folder} for folder, others in folders.items()}) is None


def test_at_most_ten_modules_lie_at_the_top():
    assert len([path for path in PACKAGE.glob("*.py") if not path.stem.startswith("__")]) <= 10


@pytest.mark.parametrize("module", sorted(ROOMS))
def test_imports_inside_functions_only_put_off_what_takes_long_to_load(module):
    inside = imports_of(module, top_only=False) - imports_of(module, top_only=True)
    needless = {other for other in inside & ROOMS if not (loads(other) - loads(module)) & SLOW}
    for_types_only = {other for other in needless if _only_for_types(module, other)}
    assert not needless - for_types_only


def _only_for_types(module: str, other: str) -> bool:
    tree = ast.parse(FILES[module].read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    name = other.rpartition(".")
    return not any(
        isinstance(node, ast.ImportFrom)
        and (node.module == other or (node.module == name[0] and name[2] in {alias.name for alias in node.names}))
        for function in functions
        for node in ast.walk(function)
    )


def test_the_two_paths_meet_in_the_training_alone():
    compiled = {m for m in ROOMS if room_of(m) in ("engine", "simulation", "ensembles", "comparison", "bridges")}
    for module in compiled:
        assert "torch" not in loads(module), module
    for module in ROOMS:
        if room_of(module) in ("physics", "features", "model"):
            assert not {other for other in loads(module) if other.startswith("aitimestepper.engine")}, module


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


@pytest.mark.parametrize("name", ["simulate", "resume", "compare", "train", "load_stepper", "simulate_ensemble"])
def test_what_the_package_does_is_a_function_of_it(name):
    code = f"import aitimestepper.cli.main\nfrom aitimestepper import {name}\nassert callable({name}), {name}"
    subprocess.run([sys.executable, "-c", code], check=True)


def loaded_after(code: str) -> set[str]:
    script = f"import sys\n{code}\nprint('LOADED', *sorted(m for m in sys.modules if '.' not in m))"
    output = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    return set(re.search(r"LOADED (.*)", output).group(1).split())  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "code",
    [
        "import aitimestepper",
        "from aitimestepper import simulate, resume, compare, simulate_ensemble, Recording, Config",
        "import aitimestepper.views.plots, aitimestepper.cli.main, aitimestepper.cli.simulate, aitimestepper.cli.train",
    ],
)
def test_importing_loads_nothing_heavy(code):
    assert not loaded_after(code) & HEAVY


def test_a_classical_simulation_never_loads_torch():
    code = "from aitimestepper import Config, simulate\nsimulate(ic='kepler', timestep='free-fall', eta=0.1, steps=3)"
    assert "torch" not in loaded_after(code)


def test_no_file_or_function_has_grown_too_long():
    for path in FILES.values():
        text = path.read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 300, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                length = body[-1].end_lineno - body[0].lineno + 1 if body else 0
                assert length <= 45, f"{path.name}: {node.name} has {length} lines"
