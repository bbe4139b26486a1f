"""The job scripts: what the shell and the command line's own parser can tell of them without a cluster."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

import pytest

from aitimestepper import read_config
from aitimestepper.cli.parser import CommandParser

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted((ROOT / "examples" / "slurm").glob("*.sbatch"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_the_shell_can_read_it(script):
    assert subprocess.run(["bash", "-n", str(script)], timeout=30).returncode == 0
    assert script.read_text().startswith("#!/bin/bash\n")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_every_command_in_it_is_one_that_the_program_takes(script):
    text = script.read_text()
    for name, value in re.findall(r"^(\w+)=\$\{\d:-(.*)\}$", text, re.MULTILINE):
        text = text.replace(f'"${name}"', value).replace(f"${name}", value)
    text = text.replace('"$SLURM_CPUS_PER_TASK"', "8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    commands = [shlex.split(line.partition("aitimestepper ")[2]) for line in lines if "aitimestepper " in line]
    assert commands
    for command, *words in commands:
        request = CommandParser(command, usage="", epilog="").parse(words)
        if "config" in request.own:
            kind = "train" if command == "sweep" else command
            read_config(request.own["config"], kind, request.keys)


def test_every_script_is_in_the_table():
    readme = (ROOT / "examples" / "slurm" / "README.md").read_text()
    assert SCRIPTS
    assert all(f"| `{script.name}` |" in readme for script in SCRIPTS)
