"""The figure of a training: which metrics it shows, and beside which band."""

from __future__ import annotations

import json

import pytest
from tests.views.test_plots import texts

from aitimestepper import InputError, train
from aitimestepper.views.metrics import TRAINING_PANELS, curves_of, edges_of, read_metrics
from aitimestepper.views.plots import plot_training


def write_metrics(path, lines: list[dict], *, cut: str = "") -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + cut)


def test_a_training_shows_what_was_recorded(tmp_path):
    lines = [{"epoch": e, "mean_energy_error": 1e-4 / e, "acceptance_rate": 0.5, "skipped": True} for e in range(1, 40)]
    write_metrics(tmp_path / "metrics.jsonl", lines, cut='{"epoch": 40, "mean_en')
    plot_training(tmp_path, tmp_path / "f.svg", title="A training")
    shown = texts(tmp_path / "f.svg")
    assert {"A training", "epoch", "Part 1, while collecting", "part that passes"} <= set(shown)
    assert shown.count("not recorded") == len(TRAINING_PANELS) - 2


def test_metrics_that_appear_later_are_drawn(tmp_path):
    lines = [{"epoch": e, "mean_accepted_dt": 0.1} | ({"check_loss": 3.0} if e % 10 == 0 else {}) for e in range(1, 31)]
    write_metrics(tmp_path / "metrics.jsonl", lines)
    plot_training(tmp_path / "metrics.jsonl", tmp_path / "f.svg")
    assert texts(tmp_path / "f.svg").count("not recorded") == len(TRAINING_PANELS) - 2
    curves = {panel.label: curves_of(read_metrics(tmp_path), panel) for panel in TRAINING_PANELS}
    assert {label: list(found) for label, found in curves.items() if found} == {"loss, mean": [2], "step dt, mean": [0]}
    assert curves["loss, mean"][2][0].tolist() == [10, 20, 30]


def test_the_band_of_a_training_is_that_of_the_configuration_beside_its_metrics(tmp_path):
    write_metrics(tmp_path / "metrics.jsonl", [{"epoch": 1, "mean_energy_error": 1e-4}])
    assert edges_of(tmp_path) is None
    (tmp_path / "config.toml").write_text("energy_threshold = 4e-3\nE_lower = 1e-3\n")
    assert edges_of(tmp_path) == edges_of(tmp_path / "metrics.jsonl") == (1e-3, 3e-3, 4e-3)
    (tmp_path / "config.toml").write_text("no TOML")
    assert edges_of(tmp_path) is None


def test_every_metric_of_the_figure_of_a_training_is_one_that_a_training_writes(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train(epochs=2, num_orbits=2, hidden_dims=(4,), check_every=1, replay_steps=2, tensorboard=False)
    metrics = read_metrics(tmp_path / "runs" / "run")
    assert {key for panel in TRAINING_PANELS for key in panel.curves if key is not None} <= metrics.keys()


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "there is no epoch"), ('{"a": 1}\n', "there is no epoch"), ("x\n{}\n", "line 1 is not a JSON object")],
)
def test_metrics_that_cannot_be_read(tmp_path, content, message):
    (tmp_path / "metrics.jsonl").write_text(content)
    with pytest.raises(InputError, match=message):
        plot_training(tmp_path, tmp_path / "f.png")
    with pytest.raises(InputError, match="No such file"):
        plot_training(tmp_path / "missing.jsonl", tmp_path / "f.png")
