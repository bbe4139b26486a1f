"""Figures: what they show, what thinning keeps, and what they refuse."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from tests.views.recordings import circling, recorded

from aitimestepper import Config, InputError, OutputExistsError, Recording, simulate
from aitimestepper.recordings.parts import Frames, RunInfo, Summary
from aitimestepper.views.framing import common_box, run_box
from aitimestepper.views.naming import names_by_settings
from aitimestepper.views.orbits import paths_of, square
from aitimestepper.views.page import line_style
from aitimestepper.views.plots import plot_comparison, plot_run
from aitimestepper.views.thinning import along_path, extremes, maxima, outline, running_median


@pytest.fixture(scope="module")
def eccentric() -> dict[str, Recording]:
    common = {"ic": "kepler:e=0.8,m1=1,m2=0.3", "periods": 2}
    return {
        "free fall": simulate(config=Config(**common, timestep="free-fall", eta=0.05)),
        "equal steps": simulate(config=Config(**common, timestep="fixed", dt=0.02)),
    }


def straight(n_frames: int, end: float, n_dims: int = 2, n_bodies: int = 2) -> Recording:
    """Bodies that leave the origin side by side, without an error but in one step."""
    time = np.linspace(0.0, 1.0, n_frames)
    position = np.multiply.outer(end * time, np.ones((n_bodies, n_dims)))
    energy = np.where(np.arange(n_frames) == n_frames // 3, -1.5, -1.0)
    dt, none = np.full(n_frames, 1 / n_frames), np.zeros(n_frames)
    frames = Frames(time, dt, position, position, energy, none, dt, dt, np.abs(energy + 1.0))
    summary = Summary(n_frames - 1, n_frames, 0, 1.0, -1.0, -1.0, 0.5, 0.0, 0.0, 0.0, 1.0, "finished")
    return Recording.of(RunInfo(np.ones(n_bodies)), frames, summary)


def texts(path) -> list[str]:
    """What can be read in an SVG figure."""
    return [
        re.sub(r"<[^>]+>", "", text).strip() for text in re.findall(r"<text[^>]*>(.*?)</text>", path.read_text(), re.S)
    ]


@pytest.mark.parametrize(("suffix", "first"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".SVG", b"<?xml")])
def test_the_suffix_chooses_the_format(tmp_path, eccentric, suffix, first):
    plot_comparison(eccentric, tmp_path / f"figure{suffix}")
    assert (tmp_path / f"figure{suffix}").read_bytes().startswith(first)


def test_a_comparison_names_runs_and_units(tmp_path, eccentric):
    plot_comparison(eccentric, tmp_path / "f.svg", title="An orbit", length_label="au", time_label="yr")
    shown = texts(tmp_path / "f.svg")
    assert {"An orbit", "free fall", "equal steps", "x [au]", "y [au]", "step [yr]", "time [yr]"} <= set(shown)


def test_a_run_names_its_bodies(tmp_path, eccentric):
    plot_run(eccentric["free fall"], tmp_path / "f.svg")
    assert {"body 0", "body 1", "x [code units]", "y [code units]", "time [code units]"} <= set(
        texts(tmp_path / "f.svg")
    )


def test_a_run_in_space_is_shown_there_and_in_the_plane(tmp_path):
    times = np.linspace(0.0, 6.0, 50)
    plot_run(circling(times, 3, note="au, solar masses, yr; made up"), tmp_path / "f.svg")
    shown = texts(tmp_path / "f.svg")
    assert [shown.count(f"{name} [au]") for name in "xyz"] == [2, 2, 1]
    assert {"step [yr]", "time [yr]"} <= set(shown)


def panels(recording: Recording) -> list:
    """Step, energy error and error of the angular momentum, as they were drawn."""
    return plot_run(recording).axes[-3:]


def test_what_spans_decades_is_on_logarithmic_axes_of_at_least_one():
    for axis in panels(circling(np.linspace(0.0, 6.0, 50))):
        low, high = axis.get_ylim()
        assert axis.get_yscale() == "log"
        assert high >= 9.99 * low
        assert axis.get_ylabel()


def test_the_angular_momentum_is_that_of_the_frames():
    slowing = circling(np.linspace(0.0, 6.0, 50))
    slowing.angular_momentum[:] *= np.linspace(1.0, 0.5, 50)
    *_, spin = panels(slowing)
    assert spin.lines[0].get_ydata()[-1] == pytest.approx(0.5)


def test_a_field_from_outside_is_named(tmp_path):
    plot_run(circling(np.linspace(0, 6, 50), settings={"external_field_mass": 1.0}), tmp_path / "f.svg")
    assert "not conserved: external field" in texts(tmp_path / "f.svg")


def test_a_body_far_out_does_not_hide_a_crowd(tmp_path):
    crowd = circling(np.linspace(0, 6, 20), 3, 60)
    crowd.position[:, 7] += 1000.0
    assert run_box(crowd, 3)[1] < 2.0
    plot_run(crowd, tmp_path / "f.png")


def test_paths_between_states_are_smooth():
    positions = paths_of(circling(np.linspace(0.0, 6.0, 13)))
    np.testing.assert_allclose(np.hypot(*np.moveaxis(positions, -1, 0)), 1.0, atol=1e-3)
    assert len(positions) > 50


@pytest.mark.parametrize("n_dims", [1, 2, 3])
@pytest.mark.parametrize("n_bodies", [1, 12])
def test_every_number_of_dimensions_and_bodies_can_be_drawn(tmp_path, n_dims, n_bodies):
    plot_run(straight(50, 1.0, n_dims, n_bodies), tmp_path / "f.png")


@pytest.mark.parametrize("n_frames", [1, 2, 3])
def test_a_run_that_hardly_began_can_be_drawn(tmp_path, n_frames):
    recording = straight(5, 1.0)
    frames = Frames(*(array[:n_frames] for array in recording.frames))
    plot_run(Recording.of(recording.info, frames, recording.summary), tmp_path / "f.png")


def test_a_body_that_escapes_does_not_hide_the_first_run():
    from matplotlib.figure import Figure

    axis = Figure().add_subplot()
    square(axis, *common_box([straight(10, 1.0), straight(10, 1000.0)]))
    assert np.ptp(axis.get_xlim()) < 2.0


def test_thinning_keeps_the_largest_error():
    recording = straight(200_000, 1.0)
    shown = maxima(recording.time, recording.energy_error, 800)
    assert len(shown) <= 800
    assert recording.energy_error[shown].max() == 0.5
    assert (np.diff(shown) > 0).all()


def test_thinning_keeps_both_ends_of_every_interval():
    rng = np.random.default_rng(1)
    x, y = np.sort(rng.random(5000)), rng.normal(size=5000)
    shown = extremes(x, y, 50)
    assert len(shown) <= 100
    interval = np.minimum((x - x[0]) / (x[-1] - x[0]) * 50, 49).astype(int)
    for number in range(50):
        inside, kept = y[interval == number], y[shown[interval[shown] == number]]
        assert (kept.min(), kept.max()) == (inside.min(), inside.max())


def test_an_outline_keeps_level_parts_level():
    x = np.repeat(np.arange(1001.0), 2)[1:]
    y = np.repeat(np.random.default_rng(1).random(1001), 2)[:-1]
    shown = outline(x, y, 50)
    assert len(shown) <= 200
    interval = np.minimum((x / 1000 * 50).astype(int), 49)
    for number in range(50):
        inside = np.flatnonzero(interval == number)
        assert {inside[0], inside[-1]} <= set(shown)


@pytest.mark.parametrize("n_dims", [2, 3])
def test_the_turn_of_a_path_is_that_of_a_circle(n_dims):
    path = circling(np.linspace(0.0, 2 * np.pi, 1001), n_dims, 1).position[:, 0]
    chosen, turn = along_path(path, 101)
    assert turn * len(chosen) == pytest.approx(2 * np.pi, rel=1e-2)


def test_a_thinned_path_keeps_its_sharp_turns():
    """An eccentric orbit, most of whose samples lie far from its pericentre."""
    anomaly = np.linspace(0.0, 6 * np.pi, 30_001)
    path = np.column_stack([np.cos(anomaly) - 0.99, np.sqrt(1 - 0.99**2) * np.sin(anomaly)])
    chosen, turn = along_path(path, 3000)
    assert len(chosen) <= 3000
    assert path[chosen][:, 0].max() == pytest.approx(0.01, abs=1e-5)
    assert turn == pytest.approx(6 * np.pi / len(chosen), rel=0.01)


def test_thinning_leaves_short_runs_alone():
    assert list(along_path(np.random.default_rng(2).normal(size=(7, 2)), 10)[0]) == list(range(7))
    np.testing.assert_array_equal(running_median(np.arange(5.0), 1, 10)[1], np.arange(5.0))


def test_running_median_passes_over_spikes():
    spiked = np.ones(101)
    spiked[50] = 1e9
    assert (running_median(spiked, 5, 101)[1] == 1.0).all()


# --- what a figure says


def test_start_and_end_are_marked_and_said(eccentric):
    figure = plot_run(eccentric["free fall"])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["body 0", "body 1", "start", "end"]
    marks = [line for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert [mark.get_markerfacecolor() == "white" for mark in marks] == [True, False] * 2
    for k, index in enumerate((0, -1)):
        at = marks[k].get_xydata()[0]
        np.testing.assert_array_equal(at, eccentric["free fall"].position[index, 0])


def test_the_steps_are_an_envelope(eccentric):
    run = dataclasses.replace(eccentric["free fall"], dt_min=eccentric["free fall"].dt / 3)
    shortest, longest = (line.get_ydata() for line in plot_run(run).axes[-3].lines)
    assert shortest.min() == pytest.approx(run.dt[1:-1].min() / 3)
    assert longest.max() == pytest.approx(run.dt_max[1:-1].max())


def test_the_largest_error_and_what_was_asked_are_in_the_figure():
    run = circling(np.linspace(0.0, 6.0, 50), energy_error_asked=1e-6, energy_error_max_time=2.5)
    run.error_max[20] = 2e-7
    error = plot_run(run).axes[-2]
    assert error.get_title(loc="left").startswith("asked 1e-06 (dashed), largest 2e-07")
    (mark,) = (line for line in error.lines if line.get_marker() == "v")
    assert tuple(mark.get_xydata()[0]) == (2.5, 2e-7)
    (asked,) = (line for line in error.lines if line.get_linestyle() == "--")
    assert set(asked.get_ydata()) == {1e-6}
    assert max(error.lines[0].get_ydata()) == 2e-7  # between the states, which are better


def test_nothing_asked_no_line():
    error = plot_run(circling(np.linspace(0.0, 6.0, 50))).axes[-2]
    assert [line.get_linestyle() for line in error.lines] == ["-"]


def test_arcs_that_are_drawn_straight_are_counted():
    assert plot_run(circling(np.linspace(0.0, 6.0, 50))).axes[0].get_title() == ""
    assert plot_run(circling(np.arange(0.0, 50.0, 5.0))).axes[0].get_title() == (
        "18 of 18 arcs drawn straight: few states"
    )


def planets(**about) -> Recording:
    """A heavy body at rest and four about it, of which one is far out."""
    time, radii = np.linspace(0.0, 6.0, 60), np.array([0.0, 1.0, 1.5, 2.0, 40.0])

    def circles(shift: float):
        return lambda t: np.stack([radii * np.cos(t + shift)[:, None], radii * np.sin(t + shift)[:, None]], axis=-1)

    mass = np.array([1.0, 1e-6, 1e-6, 1e-6, 1e-6])
    return recorded(time, circles(0.0), circles(0.5 * np.pi), mass=mass, names=tuple("SABCX"), **about)


def test_bodies_in_the_middle_have_a_panel_of_their_own():
    plane, inner, *_ = plot_run(planets()).axes
    assert inner.get_title() == "inner part"
    assert plane.get_xlim()[1] > 40.0
    assert 2.0 < inner.get_xlim()[1] < 3.0
    assert len(plot_run(planets(), bodies=["S", "A", "B", "C"]).axes) == 4


def test_bodies_are_chosen_by_name_or_number():
    figure = plot_run(planets(), bodies=["S", 4])
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["S", "X", "start", "end"]
    with pytest.raises(InputError, match="no body is called 'Y'"):
        plot_run(planets(), bodies=["Y"])
    with pytest.raises(InputError, match="none twice"):
        plot_run(planets(), bodies=["S", 0])


def test_ten_bodies_are_told_apart():
    assert len({line_style(number)["color"] for number in range(10)}) == 10
    assert len({tuple(line_style(number).values()) for number in range(21)}) == 21


def test_a_run_in_space_can_be_shown_in_the_plane_alone():
    in_space = circling(np.linspace(0.0, 6.0, 50), 3)
    assert (len(plot_run(in_space).axes), len(plot_run(in_space, dim=2).axes)) == (5, 4)
    with pytest.raises(InputError, match="cannot be shown in space"):
        plot_run(circling(np.linspace(0.0, 6.0, 50)), dim=3)


def test_units_are_converted_where_the_run_knows_them():
    years = circling(np.linspace(0.0, 6.0, 50), note="au, solar masses, yr/2pi; made up", energy_error_max_time=3.0)
    years.angular_momentum[:] *= np.linspace(1.0, 0.5, 50)
    figure = plot_run(years, time_unit="yr", length_unit="km")
    step, error, spin = figure.axes[-3:]
    assert (spin.get_xlabel(), step.get_ylabel()) == ("time [yr]", "step [yr]")
    assert error.lines[0].get_xdata()[-1] == pytest.approx(6.0 / (2 * np.pi), rel=1e-4)
    assert error.lines[-1].get_xdata()[0] == pytest.approx(3.0 / (2 * np.pi), rel=1e-4)
    assert figure.axes[0].get_xlim()[1] == pytest.approx(1.5e8, rel=0.2)
    np.testing.assert_allclose(spin.lines[0].get_ydata(), plot_run(years).axes[-1].lines[0].get_ydata(), rtol=1e-9)


def test_what_knows_no_units_is_not_renamed():
    bare = circling(np.linspace(0.0, 6.0, 50))
    with pytest.raises(InputError, match=r"does not know its unit of time.*--time-label"):
        plot_run(bare, time_unit="yr")
    assert plot_run(bare, time_label="yr").axes[-1].get_xlabel() == "time [yr]"
    known = circling(np.linspace(0.0, 6.0, 50), units="pc, km/s, Msun")
    assert plot_run(known).axes[-1].get_xlabel() == "time [pc/(km/s)]"
    with pytest.raises(InputError, match="is no unit of time"):
        plot_run(known, time_unit="au")


def test_runs_are_named_by_what_was_asked():
    asked = {"ic": "kepler", "tolerance": 1e-6}
    assert names_by_settings([asked, asked | {"tolerance": 1e-4}]) == ["tolerance 1e-06", "tolerance 0.0001"]
    fixed = {"ic": "kepler", "timestep": "fixed", "dt": 0.01}
    assert names_by_settings([asked, fixed]) == ["tolerance 1e-06", "fixed, dt 0.01"]
    assert names_by_settings([asked, asked]) is None


def test_a_figure_is_returned_to_be_edited(eccentric):
    for figure in (plot_run(eccentric["free fall"]), plot_comparison(eccentric)):
        figure.axes[0].set_title("mine")
        assert figure.axes[0].get_title() == "mine"


def test_an_existing_figure_is_kept(tmp_path, eccentric):
    (tmp_path / "f.png").write_text("precious")
    with pytest.raises(OutputExistsError, match=r"f\.png exists already"):
        plot_comparison(eccentric, tmp_path / "f.png")
    assert (tmp_path / "f.png").read_text() == "precious"
    plot_comparison(eccentric, tmp_path / "f.png", overwrite=True)
    assert (tmp_path / "f.png").read_bytes().startswith(b"\x89PNG")


def test_figures_that_cannot_be_drawn(tmp_path, eccentric):
    with pytest.raises(InputError, match=r"suffix must be one of \.png, \.pdf, \.svg"):
        plot_run(eccentric["free fall"], tmp_path / "f.bmp")
    with pytest.raises(InputError, match="at least one recording"):
        plot_comparison({}, tmp_path / "f.png")
    with pytest.raises(InputError, match="there is no directory"):
        plot_run(eccentric["free fall"], tmp_path / "missing" / "f.png")
