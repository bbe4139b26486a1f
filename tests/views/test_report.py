"""The page: what is in it, and that nothing of it is anywhere else."""

from __future__ import annotations

import base64
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from tests.views.recordings import SUMMARY, circling
from tests.views.test_step_control import controlled

from aitimestepper import Comparison, EnsembleResult, InputError, OutputExistsError
from aitimestepper.comparison.result import Reference, Row, SystemComparison
from aitimestepper.ensembles.result import MemberResult
from aitimestepper.recordings.parts import Summary

pytest.importorskip("plotly")
pytest.importorskip("jinja2")

from aitimestepper.views.report import MOST_SOURCES, report

TIMES = np.linspace(0.0, 7.0, 200)
MOST_BYTES = 6_000_000


class Page(HTMLParser):
    """Addresses, texts and figures of a page."""

    def __init__(self, path) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.text: list[str] = []
        self.figures: list[dict] = []
        self._within = ""
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag, attrs) -> None:
        given = dict(attrs)
        self.addresses += [str(given[key]) for key in ("src", "href", "data", "srcset", "action") if key in given]
        self._within = f"{tag}#{given.get('id', '')}"

    def handle_data(self, data) -> None:
        if self._within == "script#figures":
            self.figures = json.loads(data)
        elif not self._within.startswith(("script", "style")):
            self.text.append(data.strip())

    def handle_endtag(self, tag) -> None:
        self._within = ""


def numbers(column: dict) -> np.ndarray:
    return np.frombuffer(base64.b64decode(column["bdata"]), "<" + column["dtype"])


def page_of(tmp_path, *sources, **options) -> Page:
    report([*sources], tmp_path / "page.html", overwrite=True, **options)
    return Page(tmp_path / "page.html")


@pytest.fixture
def run(tmp_path):
    recording = circling(
        TIMES, 3, names=("Sun", "</script><b>"), energy_error_asked=1e-6, settings={"ic": "kepler", "tolerance": 1e-6}
    )
    recording.save(tmp_path / "run.h5")
    return tmp_path / "run.h5"


@pytest.fixture
def comparison(tmp_path):
    numbers = (10, 0, 1e-5, 0.0, 0.0, 1e-3, 1.0, 3)
    rows = tuple(Row("eight", "ttl:fixed", n, n, n > 1000, "h", 0.1, *numbers) for n in (1000, 3000))
    system = SystemComparison("eight", 3, 1.0, Reference("ttl8:fixed", 10_000, 1e-14, 1e-12, 1e-7), rows)
    (tmp_path / "work.json").write_text(json.dumps(Comparison((system,)).as_dict()))
    return tmp_path / "work.json"


@pytest.fixture
def ensemble(tmp_path):
    last = (np.ones(2), np.zeros((2, 2)), np.zeros((2, 2)))
    members = [
        MemberResult(k, k, "finished", Summary(**SUMMARY | {"energy_error_max": 10.0 ** -(k % 5)}), *last)
        for k in range(20)
    ]
    members.append(MemberResult(20, 20, "a collision at time 3", None, *last))
    EnsembleResult.of(members, settings={"count": 21}).save(tmp_path / "many.h5")
    return tmp_path / "many.h5"


@pytest.fixture
def training(tmp_path):
    directory = tmp_path / "first"
    directory.mkdir()
    lines = [{"epoch": e, "mean_energy_error": 1e-4 / e, "acceptance_rate": 0.5} for e in range(1, 40)]
    (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (directory / "config.toml").write_text("epochs = 39\n")
    return directory


def test_the_page_asks_for_nothing_outside_and_is_small(tmp_path, run):
    page = page_of(tmp_path, run)
    assert page.addresses == []
    assert not re.search(r"url\(|@import", page.source.split("<script>")[0])
    assert "connect" not in page.source.split("Content-Security-Policy")[1].split(">")[0]
    assert len(page.source.encode()) < MOST_BYTES


def test_a_run_shows_what_was_asked_and_achieved(tmp_path, run):
    page = page_of(tmp_path, run)
    row = page.text.index("energy error of the run")
    assert page.text[row + 1 : row + 4] == ["1e-06", "2e-07", "kept"]
    assert {"Asked and achieved", "Summary", "Settings", "force evaluations", "run.h5"} <= set(page.text)
    assert len(page.figures) == 2


def test_names_are_text_and_no_part_of_the_page(tmp_path, run):
    page = page_of(tmp_path, run, title="<i>a & b</i>")
    assert "<i>" not in page.source.split("<style>")[0]
    assert "</script><b>" in {trace["name"] for trace in page.figures[0]["data"]}
    assert "</script><b>" not in page.source


def test_orbits_and_errors_are_those_of_the_run(tmp_path, run):
    orbit, over_time = page_of(tmp_path, run).figures
    path = orbit["data"][0]
    radius = np.hypot(numbers(path["x"]), numbers(path["y"]))[:-1]
    np.testing.assert_allclose(radius, 1.0, atol=1e-5)
    ranges = [np.ptp(axis["range"]) for axis in (orbit["layout"]["scene"][f"{name}axis"] for name in "xyz")]
    assert ranges == pytest.approx([ranges[0]] * 3)
    start, end = orbit["data"][1:3]
    assert [mark["marker"]["symbol"] for mark in (start, end)] == ["circle-open", "circle"]
    assert (numbers(start["x"])[0], numbers(end["x"])[0]) == pytest.approx((np.cos(TIMES[0]), np.cos(TIMES[-1])))
    shortest, longest, energy, spin = over_time["data"]
    for step in (shortest, longest):
        np.testing.assert_allclose(numbers(step["y"]), TIMES[1], rtol=1e-6)
    assert numbers(energy["y"])[-1] == pytest.approx(199e-9, rel=1e-3)
    assert numbers(spin["y"]).max() < 1e-14
    axes = [over_time["layout"][name] for name in ("yaxis", "yaxis2", "yaxis3")]
    assert [axis["type"] for axis in axes] == ["log"] * 3
    assert all(np.ptp(axis["range"]) >= 1.0 for axis in axes)
    assert "[code units]" in over_time["layout"]["xaxis"]["title"]["text"]


def test_what_was_asked_is_a_line_and_the_largest_error_a_mark(tmp_path):
    circling(TIMES, energy_error_asked=1e-6, energy_error_max_time=2.5).save(tmp_path / "f.h5")
    *_, over_time = page_of(tmp_path, tmp_path / "f.h5").figures
    (line,) = over_time["layout"]["shapes"]
    assert (line["y0"], line["y1"], line["yref"]) == (1e-6, 1e-6, "y2")
    mark = over_time["data"][-1]
    assert (mark["yaxis"], numbers(mark["x"])[0], numbers(mark["y"])[0]) == ("y2", 2.5, pytest.approx(2e-7))


@pytest.mark.parametrize("n_dims", [1, 2])
def test_a_run_in_the_plane_is_shown_there_and_over_time(tmp_path, n_dims):
    circling(TIMES, n_dims).save(tmp_path / "f.h5")
    plane, world, _ = page_of(tmp_path, tmp_path / "f.h5").figures
    assert plane["data"][0]["type"] == "scatter"
    assert plane["layout"]["yaxis"]["scaleanchor"] == "x"
    assert world["data"][0]["type"] == "scatter3d"
    assert numbers(world["data"][0]["z"])[:-1].max() == pytest.approx(7.0)


@pytest.mark.parametrize(("n_frames", "n_bodies"), [(40_000, 3), (200, 500), (3, 5000), (1, 2), (2, 1)])
def test_every_length_and_number_of_bodies_stays_small(tmp_path, n_frames, n_bodies):
    times = np.cumsum(np.random.default_rng(1).uniform(0.01, 0.1, n_frames))
    circling(times, 2, n_bodies).save(tmp_path / "f.h5")
    assert len(page_of(tmp_path, tmp_path / "f.h5").source.encode()) < MOST_BYTES


def test_of_very_many_bodies_some_are_shown_and_the_page_says_so(tmp_path):
    circling(np.linspace(0, 1, 5), 3, 5000).save(tmp_path / "f.h5")
    lines, dots = page_of(tmp_path, tmp_path / "f.h5").figures[0]["data"]
    assert lines["name"] == f"{len(numbers(dots['x']))} of 5000 bodies"


def test_a_field_from_outside_is_named(tmp_path):
    circling(TIMES, settings={"external_field_mass": 1.0}).save(tmp_path / "f.h5")
    captions = " ".join(page_of(tmp_path, tmp_path / "f.h5").text)
    assert "angular momentum error, not conserved (external field)" in captions


def test_a_run_that_noted_its_steps_shows_how_they_were_controlled(tmp_path):
    controlled().save(tmp_path / "f.h5")
    *_, control = page_of(tmp_path, tmp_path / "f.h5").figures
    named = [trace["name"] for trace in control["data"] if "name" in trace]
    assert named == ["position error", "energy error", "step of the network", "setback", "error accepted", "anchor"]
    titles = [control["layout"][f"yaxis{number}"]["title"]["text"] for number in ("", "2", "3")]
    assert titles == ["step [code units]", "error / allowed", "step in force [fictitious time]"]
    (met,) = (trace for trace in control["data"] if trace.get("name") == "setback")
    assert numbers(met["x"]) == [1.5]
    assert numbers(met["y"]) == [7.0]


def test_every_kind_of_source_has_its_section(tmp_path, run, comparison, ensemble, training):
    page = page_of(tmp_path, run, comparison, ensemble, training)
    assert {"run.h5", "work.json", "many.h5", "first"} <= set(page.text)
    assert {"A training: 39 epochs", "epochs = 39", "a collision at time 3", "ttl:fixed"} <= set(page.text)
    assert len(page.figures) == 5
    _, _, work, spread, curves = page.figures
    assert work["data"][0]["marker"]["symbol"] == ["circle-open", "circle"]
    assert sum(spread["data"][0]["y"]) == 20
    assert {trace["name"] for trace in curves["data"] if "name" in trace} == {"Part 1, while collecting"}


def test_an_ensemble_says_how_many_kept_what_was_asked(tmp_path):
    last = (np.ones(2), np.zeros((2, 2)), np.zeros((2, 2)))
    errors = [1e-8, 1e-7, 3e-4]
    summaries = [Summary(**SUMMARY | {"energy_error_max": e, "energy_error_asked": 1e-6}) for e in errors]
    members = [MemberResult(k, 40 + k, "finished", summary, *last) for k, summary in enumerate(summaries)]
    EnsembleResult.of(members, settings={"count": 3}).save(tmp_path / "many.h5")
    page = page_of(tmp_path, tmp_path / "many.h5")
    assert {"2 of 3", "0.0003, seed 42", "exceeded"} <= set(page.text)
    (line,) = page.figures[0]["layout"]["shapes"]
    assert line["x0"] == line["x1"] == -6


def test_a_directory_is_shown_with_all_that_is_in_it(tmp_path, training, run, comparison):
    run.rename(training / "run.h5")
    comparison.rename(training / "work.json")
    (training / "other.json").write_text("{}")
    page = page_of(tmp_path, training)
    assert {"first", "run.h5", "work.json"} <= set(page.text)
    assert "other.json" not in page.text


def test_a_comparison_is_read_back_as_it_was(comparison):
    tree = json.loads(comparison.read_text())
    assert Comparison.from_dict(tree).as_dict() == tree


def test_what_cannot_be_shown_is_refused(tmp_path, run):
    for name, message in (("nope.h5", "no such file"), ("empty", "no metrics.jsonl"), ("a.json", "compare --output")):
        if name == "empty":
            (tmp_path / name).mkdir()
        if name == "a.json":
            (tmp_path / name).write_text("[1]")
        with pytest.raises(InputError, match=message):
            report(tmp_path / name, tmp_path / "page.html")
    with pytest.raises(InputError, match=rf"1 to {MOST_SOURCES} files, got {MOST_SOURCES + 1}"):
        report([run] * (MOST_SOURCES + 1), tmp_path / "page.html")
    with pytest.raises(InputError, match=r"suffix must be \.html"):
        report(run, tmp_path / "page.pdf")
    (tmp_path / "page.html").write_text("precious")
    with pytest.raises(OutputExistsError, match="exists already"):
        report(run, tmp_path / "page.html")


def test_a_file_of_another_kind_is_named(tmp_path):
    import h5py

    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match="neither a recording"):
        report(tmp_path / "other.h5", tmp_path / "page.html")
