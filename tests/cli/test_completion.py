"""Completion scripts, asked by the shells themselves."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from aitimestepper.cli.completion import SHELLS, script_for

ASK_BASH = """
source {script}
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMP_LINE="{words}"
$(complete -p aitimestepper | sed 's/.*-F \\([^ ]*\\).*/\\1/') aitimestepper "${{COMP_WORDS[-1]}}" ""
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
ASK_FISH = "source {script}; complete -C '{words}'"


def offered(shell: str, words: str, tmp_path) -> set[str]:
    """What a shell offers for the last of the words."""
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine")
    script = tmp_path / f"aitimestepper.{shell}"
    script.write_text(script_for(shell), encoding="utf-8")
    ask = {"bash": ASK_BASH, "fish": ASK_FISH}[shell].format(script=script, words=words)
    answer = subprocess.run([shell, "-c", ask], capture_output=True, text=True, timeout=60)
    assert answer.returncode == 0, answer.stderr
    return {line.split("\t")[0].strip() for line in answer.stdout.splitlines()}


@pytest.mark.parametrize("shell", ["bash", "fish"])
def test_commands_flags_and_values_are_offered(shell, tmp_path):
    assert offered(shell, "aitimestepper si", tmp_path) == {"simulate"}
    assert {"--tolerance", "--tolerance-kind"} <= offered(shell, "aitimestepper simulate --tol", tmp_path)
    assert "--tolerance" not in offered(shell, "aitimestepper train --tol", tmp_path)
    assert {"free-fall", "fly-by"} <= offered(shell, "aitimestepper simulate --timestep f", tmp_path)
    assert offered(shell, "aitimestepper simulate --ic figure", tmp_path) == {"figure-eight"}
    assert offered(shell, "aitimestepper ic pytha", tmp_path) == {"pythagorean"}
    assert {"--fps", "--seconds"} <= offered(shell, "aitimestepper movie --", tmp_path)
    assert offered(shell, "aitimestepper export --format o", tmp_path) == {"onnx"}


@pytest.mark.parametrize("shell", SHELLS)
def test_the_command_prints_a_script_that_the_shell_can_read(call, shell, tmp_path):
    answer = call("completion", shell)
    assert (answer.code, answer.err) == (0, "")
    assert "simulate" in answer.out
    if shutil.which(shell) is None:
        pytest.skip(f"no {shell} on this machine")
    script = tmp_path / "script"
    script.write_text(answer.out, encoding="utf-8")
    assert subprocess.run([shell, "-n", str(script)], timeout=60).returncode == 0


def test_another_shell_is_refused(call):
    call("completion", "tcsh").refuses("bash, zsh, fish, got tcsh")
    call("completion").refuses("got none")
