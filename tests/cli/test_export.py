"""`aitimestepper export` as a user types it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


def test_c_is_written_with_the_way_to_compile_it(call):
    answer = call("export", "--format", "c", "--output", "mycode")
    assert (answer.code, answer.out) == (0, "")
    assert "wrote mycode/ait_timestep.h and mycode/ait_timestep.c" in answer.err
    assert "cc -std=c99 -O2 -c mycode/ait_timestep.c" in answer.err
    assert "double ait_timestep(int n" in Path("mycode/ait_timestep.h").read_text()
    call("export", "--format", "c", "--output", "mycode").refuses("exists already", "--overwrite")
    assert call("export", "--format", "c", "--output", "mycode", "--overwrite").code == 0


def test_a_trained_model_under_a_name_of_its_own(call):
    words = ("--ic", "kepler:e=0.1", "--epochs", 1, "--no-tensorboard", "--save-name", "mine")
    assert call("train", *words).code == 0
    assert call("export", "--model", "runs/mine", "--format", "c", "--prefix", "mine", "--output", ".").code == 0
    header = Path("mine_timestep.h").read_text()
    assert "double mine_timestep(int n" in header
    assert "trained on kepler:e=0.1, 1 epochs" in header
    pytest.importorskip("onnx")
    assert call("export", "--model", "runs/mine", "--format", "onnx", "--output", "mine.onnx").code == 0
    assert Path("mine.onnx").stat().st_size > 1000


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "--format c or onnx, got none"),
        (("--format", "java", "--output", "x"), "--format c or onnx, got java"),
        (("--format", "c"), "export needs --output"),
        (("--format", "onnx", "--output", "x", "--prefix", "a"), "--prefix is for names in C"),
        (("--format", "c", "--output", "x", "--prefix", "1a"), "no name in C"),
        (("--format", "c", "--output", "x", "--model", "nowhere"), "nowhere"),
    ],
)
def test_what_cannot_be_exported(call, words, message):
    call("export", *words).refuses(message)


def test_without_onnx_the_extra_is_named(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    call("export", "--format", "onnx", "--output", "x.onnx").refuses("pip install 'aitimestepper[export]'")
