"""The figure and the movie of the steps over the orbits of a training."""

from __future__ import annotations

import json

import numpy as np
import pytest
from tests.views.test_plots import texts

from aitimestepper import InputError
from aitimestepper.views.encoding import find_ffmpeg
from aitimestepper.views.orbit_steps import orbit_steps_movie, plot_orbit_steps, read_orbit_steps

ECCENTRIC = {
    "n_bodies": 2, "period": 4.4, "time": [0.0, 1.0, 2.0], "separation": [1.9, 0.1, 1.9], "largest": [0.1, 1e-3, 0.1],
}  # fmt: skip
THREE = {**ECCENTRIC, "n_bodies": 3, "period": 0.0}
GATE = {"energy_threshold": 2e-4, "E_lower": 5e-5, "E_upper": 1.5e-4}


def lines_of(*systems: dict, epochs=(0, 1, 2, 3, 5, 10, 20, 100)) -> list[dict]:
    row = [[0.3, 0.3, 0.3]] * len(systems)
    return [{**GATE, "systems": systems}, *({"epoch": e, "dt": row, "error": row} for e in epochs)]


def write(path, lines, cut="") -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + cut)


def test_a_figure_names_epochs_references_and_systems(tmp_path):
    write(tmp_path / "steps.jsonl", lines_of(ECCENTRIC, THREE), cut='{"epoch": 101, "d')
    plot_orbit_steps(tmp_path, tmp_path / "f.svg", title="A training")
    shown = texts(tmp_path / "f.svg")
    assert {"A training", "before", "epoch 1", "epoch 100"} <= set(shown)
    assert {"largest that passes", "band of the training", "threshold of the gate"} <= set(shown)
    assert {"eccentricity 0.90", "3 bodies", "separation [code units]", "time [code units]"} <= set(shown)
    assert sum(text.startswith("epoch") for text in shown) == 5


@pytest.mark.parametrize("epochs", [(0,), (0, 1)])
def test_a_training_that_has_hardly_begun_is_drawn(tmp_path, epochs):
    lines = lines_of(ECCENTRIC, epochs=epochs)
    lines[-1]["dt"] = [[None, 0.3, 0.3]]  # not finite
    write(tmp_path / "steps.jsonl", lines)
    assert np.isnan(read_orbit_steps(tmp_path).dt[-1, 0, 0])
    plot_orbit_steps(tmp_path / "steps.jsonl", tmp_path / "f.png")
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("suffix", [".gif", ".mp4"])
def test_a_movie_shows_every_epoch_and_ends_with_the_last(tmp_path, suffix):
    if suffix == ".mp4" and find_ffmpeg() is None:
        pytest.skip("no ffmpeg")
    write(tmp_path / "steps.jsonl", lines_of(ECCENTRIC))
    parts: list[float] = []
    orbit_steps_movie(tmp_path, tmp_path / f"m{suffix}", fps=5, seconds=2, size=(200, 160), progress=parts.append)
    assert parts == pytest.approx(np.arange(1, 11) / 10)
    assert (tmp_path / f"m{suffix}").stat().st_size > 1000


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "damaged, or holds something else"),
        ([{"epoch": 1, "mean_energy_error": 1.0}], "damaged, or holds something else"),
        (lines_of(ECCENTRIC)[:1], "does not fit together"),
        (lines_of(), "does not fit together"),
        (lines_of(ECCENTRIC, {**THREE, "time": [0.0]}), "does not fit together"),
        ([lines_of(ECCENTRIC)[0], lines_of(ECCENTRIC, THREE)[1]], "does not fit together"),
        ([lines_of(ECCENTRIC)[0], {"epoch": 1, "dt": [["x"]], "error": [[1.0]]}], "damaged, or holds something else"),
        ([[1], [2]], "damaged, or holds something else"),
    ],
)
def test_what_cannot_be_shown_is_refused_in_one_line(tmp_path, lines, message):
    write(tmp_path / "steps.jsonl", lines)
    with pytest.raises(InputError, match=message) as caught:
        plot_orbit_steps(tmp_path, tmp_path / "f.png")
    assert "\n" not in str(caught.value)
