"""Compiled functions are compiled anew where anything that they reach has changed, and only there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import aitimestepper

CALLED = """
from aitimestepper.engine.compilation import compiled

@compiled
def twice(x: float) -> float:
    return 2.0 * x
"""
CALLER = """
from aitimestepper.engine.called import twice
from aitimestepper.engine.compilation import compiled

@compiled
def more(x: float) -> float:
    return twice(x) + 1.0
"""
LOOK = """
from aitimestepper.engine.caller import more
from aitimestepper.engine.physics.conserved import energy_scale

print(more(1.0), energy_scale(1.0, -0.01), sum(more.stats.cache_hits.values()))
"""
"""A function that calls one of another file, one that takes a number from another, and what came from the cache."""


@pytest.fixture
def package(tmp_path):
    """A copy of the package without anything compiled."""
    source = Path(aitimestepper.__file__).parent
    copy = tmp_path / "aitimestepper"
    shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
    (copy / "engine" / "called.py").write_text(CALLED)
    (copy / "engine" / "caller.py").write_text(CALLER)
    return copy


def seen(package: Path) -> list[float]:
    environment = {**os.environ, "PYTHONPATH": str(package.parent)}
    answer = subprocess.run([sys.executable, "-c", LOOK], capture_output=True, text=True, env=environment, check=True)
    return [float(word) for word in answer.stdout.split()]


def edited(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, path
    path.write_text(text.replace(old, new))


def test_a_change_in_a_called_function_or_a_constant_of_another_file_is_seen(package):
    assert seen(package) == [3.0, 0.01, 0]
    assert seen(package) == [3.0, 0.01, 1]
    edited(package / "engine" / "called.py", "2.0 * x", "5.0 * x")
    assert seen(package) == [6.0, 0.01, 0]
    edited(package / "constants.py", "PARABOLIC = 1e-3", "PARABOLIC = 0.1")
    assert seen(package) == [6.0, 2.01, 0]
    edited(package / "engine" / "called.py", "5.0 * x", "2.0 * x")
    assert seen(package)[0] == 3.0


def test_callbacks_for_other_programs_are_stamped_too():
    from aitimestepper.engine import compilation

    made = compilation.callback("float64(float64)")(lambda x: 2.0 * x)
    assert made._cache._cache_file._source_stamp == compilation.compiled(lambda x: x)._cache._cache_file._source_stamp
