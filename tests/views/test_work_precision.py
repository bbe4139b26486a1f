"""The work-precision figure."""

from __future__ import annotations

import re

import pytest

from aitimestepper import Comparison, InputError, OutputExistsError
from aitimestepper.comparison.result import Reference, Row, SystemComparison

pytest.importorskip("matplotlib")

from aitimestepper.views.work_precision import plot_work_precision

REFERENCE = Reference("ttl8:fixed", 10_000, 1e-14, 1e-12, 1e-7)


def made_up(
    system: str, n_methods: int = 2, *, reference: Reference | None = REFERENCE, met: bool = True
) -> SystemComparison:
    rows = tuple(
        Row(
            system,
            f"method-{k}",
            budget,
            budget,
            met,
            "h",
            0.1,
            10,
            0,
            (k + 1) / budget**2,
            0.0,
            0.0,
            1 / budget,
            1.0,
            3,
        )
        for k in range(n_methods)
        for budget in (1000, 10_000)
    )
    return SystemComparison(system, 3, 1.0, reference, rows)


def texts(path) -> set[str]:
    return {
        re.sub(r"<[^>]+>", "", text).strip() for text in re.findall(r"<text[^>]*>(.*?)</text>", path.read_text(), re.S)
    }


@pytest.mark.parametrize(("suffix", "first"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".SVG", b"<?xml")])
def test_the_suffix_chooses_the_format(tmp_path, suffix, first):
    plot_work_precision(Comparison((made_up("a"),)), tmp_path / f"f{suffix}")
    assert (tmp_path / f"f{suffix}").read_bytes().startswith(first)


def test_systems_methods_and_axes_are_named(tmp_path):
    plot_work_precision(Comparison((made_up("a"), made_up("b"))), tmp_path / "f.svg", title="Two")
    assert {"a", "b", "method-0", "method-1", "Two", "position error", "force evaluations"} <= texts(tmp_path / "f.svg")
    assert "budget not met" not in texts(tmp_path / "f.svg")


def test_a_budget_that_was_not_met_is_marked(tmp_path):
    plot_work_precision(Comparison((made_up("a", met=False),)), tmp_path / "f.svg")
    assert "budget not met" in texts(tmp_path / "f.svg")


@pytest.mark.parametrize("n_systems", [1, 2, 5])
def test_every_number_of_systems_has_its_panels(tmp_path, n_systems):
    comparison = Comparison(tuple(made_up(f"s{k}", 9, reference=None) for k in range(n_systems)))
    plot_work_precision(comparison, tmp_path / "f.svg")
    assert {f"s{k}" for k in range(n_systems)} <= texts(tmp_path / "f.svg")


def test_rows_without_a_run_are_left_out(tmp_path):
    nothing = Row("a", "m", 1000, None, False, "h", *[None] * 8, 3, "cut off")  # type: ignore[arg-type]
    system = SystemComparison("a", 2, 1.0, None, (nothing,))
    plot_work_precision(Comparison((system,)), tmp_path / "f.png")
    assert (tmp_path / "f.png").stat().st_size > 1000


def test_what_cannot_be_drawn_is_refused(tmp_path):
    with pytest.raises(InputError, match="nothing to draw"):
        plot_work_precision(Comparison(()), tmp_path / "f.png")
    with pytest.raises(InputError, match="suffix"):
        plot_work_precision(Comparison((made_up("a"),)), tmp_path / "f.gif")
    (tmp_path / "f.png").write_text("precious")
    with pytest.raises(OutputExistsError, match="exists already"):
        plot_work_precision(Comparison((made_up("a"),)), tmp_path / "f.png")
