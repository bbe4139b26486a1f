"""The examples of the REBOUND bridge do what they say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rebound")

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("name", ["rebound_drive", "rebound_integrator"])
def test_the_example_keeps_what_it_asked_for_and_the_fixed_step_does_not(name):
    done = subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py")], capture_output=True, text=True, timeout=200, check=True
    )
    asked, achieved, fixed = (float(number) for number in re.findall(r"\s{2,}(\d\.\d+e[+-]\d+|inf)", done.stdout)[:3])
    assert achieved <= asked < fixed
