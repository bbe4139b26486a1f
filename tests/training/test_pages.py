"""The Python blocks of the pages on training run, one after the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.parametrize(
    "page", ["features.md", "loss.md", "training.md", "howto/own-network.md", "howto/external-field.md"]
)
@pytest.mark.filterwarnings("ignore:You are using the legacy TorchScript:DeprecationWarning")
def test_the_python_of_the_page_runs(page, capsys):
    if "onnx" in (text := (DOCS / page).read_text(encoding="utf-8")):
        pytest.importorskip("onnx")
    blocks = re.findall(r"```python\n(.*?)```", text, re.S)
    assert blocks
    names = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, page, "exec"), names)


def test_the_rollout_of_the_page_on_the_loss_learns(capsys):
    (block,) = re.findall(r"```python\n(.*?)```", (DOCS / "loss.md").read_text(encoding="utf-8"), re.S)
    names = {"__name__": "page"}
    exec(compile(block, "loss.md", "exec"), names)
    config = names["config"]
    assert names["first"] < config.E_lower < names["error"].max().item() < 2.0 * config.energy_threshold
