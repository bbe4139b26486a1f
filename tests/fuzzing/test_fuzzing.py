"""No damaged file gets through: no traceback, no hang, no gigabyte, whatever happened to its bytes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.fuzzing.victims import VICTIMS

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="attempts are forks of one process")


def attempts(name: str, seed: int, count: int) -> dict:
    words = [sys.executable, "-m", "tests.fuzzing.attempts", name, str(seed), str(count)]
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    surroundings = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"}
    done = subprocess.run(words, capture_output=True, text=True, env=surroundings, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", VICTIMS)
def test_a_damaged_file_is_refused_in_a_line_or_read(name):
    count = 60 if name == "h5" else 24
    found = attempts(name, seed=1, count=count)
    assert not found["failures"]
    assert found["codes"].get("2", 0) >= count // 3  # the damage is such that it is noticed


@pytest.mark.validation
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("name", VICTIMS)
def test_hundreds_of_damaged_files_of_a_format(name):
    found = attempts(name, seed=2, count=400)
    print(name, found["codes"], f"{found['most'] / 2**20:.0f} MB")
    assert not found["failures"]
