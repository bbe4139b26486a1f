"""The tables of the held-out suite, in Markdown."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from held_out import GROUPS
from measures import AT_EQUAL_COST, DRIFT_PERIODS, IAS15_TOLERANCES, TOLERANCES
from ratios import (
    LONG,
    USED,
    Entry,
    Point,
    against,
    complaints,
    drift_points,
    energy_ratio,
    ias15_points,
    larger_ratio,
    long_final,
    mean_of,
    of_order,
    points,
    position_ratio,
    share_of,
    split,
    worst_of,
)

EMPTY = 3
"""Lines of a table without rows: two of its head, and a blank one after it."""

Row = tuple[str, str, str, str]


def headline(results: Entry) -> list[str]:
    """One line for each figure that is wanted."""
    lines = ["| figure | wanted | measured | runs, worst case |", "|---|---|---|---|"]
    parts = (_promise_rows, _classical_rows, _constant_rows, _ias15_rows, _drift_rows, _wall_rows)
    rows = sorted((row for part in parts for row in part(results)), key=lambda row: row[0].partition(".")[0])
    return [*lines, *(f"| {' | '.join(row)} |" for row in rows), ""]


def _promise_rows(results: Entry) -> Iterator[Row]:
    energy, position = points(results, "promise", energy_ratio), points(results, "promise", position_ratio)
    larger, second = points(results, "promise", larger_ratio), of_order(points(results, "classical", energy_ratio), 2)
    if second:
        kept = share_of(second, _within)
        yield "1. the same, order 2", "-", f"{kept:.1f} %", f"{len(second)} runs; {worst_of(second)}"
    if not energy:
        return
    kept = share_of(energy, _within)
    yield "1. energy error at most what was asked", ">= 95 %", f"{kept:.1f} %", f"{len(energy)} runs"
    yield "1. worst error over asked", "<= 3", f"{max(p.value for p in energy):.2g}", worst_of(energy)
    used = share_of(larger, _used)
    least = str(min(larger, key=lambda point: point.value))
    yield f"2. larger ratio at least {USED:g}", ">= 90 %", f"{used:.1f} %", f"{len(larger)} runs; least: {least}"
    kept = share_of(position, _within)
    yield "2. position error at most 10 x asked", "-", f"{kept:.1f} %", f"{len(position)} runs; {worst_of(position)}"


def _within(ratio: float) -> bool:
    return ratio <= 1.0


def _used(ratio: float) -> bool:
    return USED <= ratio < math.inf


def _ratio_row(found: list[Point], title: str, limits: tuple[str, str] = ("-", "-")) -> Iterator[Row]:
    """Geometric mean and the worst of some ratios."""
    if found:
        wanted = limits[0] + ("" if limits[1] == "-" else f", none above {limits[1]}")
        failed = sum(point.value == math.inf for point in found)
        note = f"{failed} failed; " if failed else ""
        yield title, wanted, f"{mean_of(found):.2g}", f"{len(found)} runs; {note}{worst_of(found)}"


def _classical_rows(results: Entry) -> Iterator[Row]:
    energy, position = points(results, "classical", against("energy_max")), positions(results)
    two, more = split(of_order(energy, 2))
    yield from _ratio_row(
        more, "3. energy error over best classical, order 2, three bodies and more", ("<= 0.03", "1.2")
    )
    yield from _ratio_row(two, "3. the same, two bodies: ours is rounding", ("<= 0.03", "1.2"))
    yield from _ratio_row(split(of_order(energy, None))[1], "3. the same, default order, three bodies and more")
    yield from _ratio_row(of_order(position, None), "5. position error at the end, default order", ("<= 0.3", "-"))
    yield from _ratio_row(of_order(position, 2), "5. the same, order 2", ("<= 0.3", "-"))
    final = points(results, "classical", long_final)
    for order, title in ((None, "6. final energy error, default order"), (2, "6. the same, order 2")):
        two, more = split(of_order(final, order))
        yield from _ratio_row(more, f"{title}, three bodies and more, {LONG} periods and more", ("<= 1e-4", "-"))
        yield from _ratio_row(two, f"{title}, two bodies: ours is rounding", ("<= 1e-4", "-"))


def positions(results: Entry) -> list[Point]:
    """Position errors over those of the best classical criterion; the reference's uncertainty is in both already."""
    return points(results, "classical", against("position", floor=0.0))


def _constant_rows(results: Entry) -> Iterator[Row]:
    found = points(results, "constant", against("energy_max"))
    two, more = split(of_order(found, 2))
    yield from _ratio_row(more, "4. energy error over constant h, order 2, three bodies and more", ("<= 0.7", "2"))
    yield from _ratio_row(two, "4. the same, two bodies: both are rounding")
    yield from _ratio_row(split(of_order(found, None))[1], "4. the same, default order, three bodies and more")


def _ias15_rows(results: Entry) -> Iterator[Row]:
    found = ias15_points(results)
    title = "8. evaluations over IAS15's at equal"
    planets = _planets(found)
    few = [p for p in split(found)[1] if p not in planets and p.n_bodies < 10]
    rest = [p for p in split(found)[1] if p not in planets and p.n_bodies >= 10]
    yield from _ratio_row(few, f"{title} energy error, 3 to 9 bodies", ("<= 0.6", "-"))
    yield from _ratio_row(split(found)[0], "8. the same, two bodies: ours is rounding", ("<= 0.6", "-"))
    yield from _ratio_row(rest, "8. the same, 10 bodies and more")
    yield from _ratio_row(planets, "8. the same, planets")
    by_position = ias15_points(results, "position")
    yield from _ratio_row(
        [p for p in by_position if p not in _planets(by_position)], f"{title} position error, not planets"
    )


def _planets(found: list[Point]) -> list[Point]:
    return [p for p in found if p.group == "planets" or "planets" in p.system]


def _drift_rows(results: Entry) -> Iterator[Row]:
    found = drift_points(results)
    if found:
        title = "7. drift: largest error of {1:,} periods over that of {0}".format(*DRIFT_PERIODS)
        yield title, "<= 2", f"{max(p.value for p in found):.2g}", f"{len(found)} pairs; {worst_of(found)}"


def _wall_rows(results: Entry) -> Iterator[Row]:
    if "wall" in results:
        entry = results["wall"]
        each = f"{entry['calibrated'] * 1e6:.0f} and {entry['constant'] * 1e6:.0f} us a step of order {entry['order']}"
        yield "9. wall time over constant h, 100 bodies", "<= 1.15", f"{entry['ratio']:.3f}", each


def by_group(results: Entry) -> list[str]:
    """The ratios again, group by group."""
    energy, larger = points(results, "promise", energy_ratio), points(results, "promise", larger_ratio)
    sets: list[tuple[str, list[Point], Callable[[list[Point]], float]]] = [
        ("energy error at most asked, %", energy, lambda found: share_of(found, _within)),
        ("worst over asked", energy, lambda found: max((p.value for p in found), default=math.nan)),
        (f"larger ratio >= {USED:g}, %", larger, lambda found: share_of(found, _used)),
        ("order 2 over best classical", of_order(points(results, "classical", against("energy_max")), 2), mean_of),
        ("order 2 over constant h", of_order(points(results, "constant", against("energy_max")), 2), mean_of),
        ("position over best classical", of_order(positions(results), None), mean_of),
        ("evaluations over IAS15's", ias15_points(results), mean_of),
    ]
    lines = [f"| figure | {' | '.join(GROUPS.values())} |", "|---" * (len(GROUPS) + 1) + "|"]
    for title, found, number in sets:
        cells = [f"{number([p for p in found if p.group == group]):.3g}" for group in GROUPS]
        lines.append(f"| {title} | {' | '.join(cells)} |".replace("nan", "-"))
    return [*lines, ""]


def promise_table(results: Entry) -> list[str]:
    """Every run at the default order."""

    def cell(system: Entry, run: Entry) -> str:
        if "failure" in run:
            return "failed"
        found_position = position_ratio(system, run)
        outside = "" if not run.get("outside") else f" out {100 * run['outside']:.0f} %"
        ratio = "-" if found_position is None else f"{found_position:.2g}"
        return f"{run['order']}: {_count(run['evaluations'])} {energy_ratio(system, run):.2g} {ratio}{outside}"

    heads = [f"{tolerance:.0e}" for tolerance in TOLERANCES]
    return _system_table(results, "promise", heads, cell)


def contest_table(results: Entry, part: str) -> list[str]:
    """Every run against the others tuned to its cost: evaluations, energy, position and final energy ratio."""

    def cell(system: Entry, run: Entry) -> str:
        if "failure" in run:
            return "failed"
        ratios = [against(*key)(system, run) for key in (("energy_max",), ("position", 0.0), ("energy_final",))]
        return f"{_count(run['evaluations'])} " + " ".join("-" if r is None else f"{r:.2g}" for r in ratios)

    heads = [f"{tolerance:.0e}, order {order or 'default'}" for tolerance, order in AT_EQUAL_COST]
    return _system_table(results, part, heads, cell)


def ias15_table(results: Entry) -> list[str]:
    """Evaluations over those of IAS15 for the same energy error, and for the same position error."""
    found = {(p.system, p.tolerance): p.value for p in ias15_points(results)}
    by_position = {(p.system, p.tolerance): p.value for p in ias15_points(results, "position")}
    lines = [f"| system | {' | '.join(f'{t:.0e}' for t in IAS15_TOLERANCES)} |", "|---|---|---|---|"]
    for name, system in results["systems"].items():
        if "ias15" in system:
            pairs = [(found.get((name, t)), by_position.get((name, t))) for t in IAS15_TOLERANCES]
            cells = [" ".join("-" if value is None else f"{value:.2f}" for value in pair) for pair in pairs]
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, ""]


def drift_table(results: Entry) -> list[str]:
    """Largest errors of short and long runs."""
    lines = ["| system | tolerance, order | energy error | local position error |", "|---|---|---|---|"]
    for name, system in results["systems"].items():
        for entry in system.get("drift", ()):
            cells = [
                ", ".join("-" if run.get(key) is None else f"{run[key]:.1e}" for run in entry["runs"])
                for key in ("energy_max", "position_max")
            ]
            asked = f"{entry['tolerance']:.0e}, {entry['asked_order'] or 'default'}"
            lines.append(f"| {name} | {asked} | {' | '.join(cells)} |")
    return [*lines, ""]


def _system_table(results: Entry, part: str, heads: list[str], cell: Callable[[Entry, Entry], str]) -> list[str]:
    lines = [f"| system | {' | '.join(heads)} |", "|---" * (len(heads) + 1) + "|"]
    for name, system in results["systems"].items():
        if part in system:
            lines.append(f"| {name} | {' | '.join(cell(system, run) for run in system[part])} |")
    return [*lines, ""]


def _count(number: float) -> str:
    return f"{number / 1000:.3g}k"


def tables(results: Entry) -> str:
    """All tables."""
    classical, constant = (contest_table(results, part) for part in ("classical", "constant"))
    each = "evaluations, then ratios of energy, position and final energy error"
    parts = [
        ("The figures", headline(results)),
        ("By kind of system", by_group(results)),
        (
            "Every run: order: evaluations, energy error over asked, position error over 10 x asked",
            promise_table(results),
        ),
        (f"Over the best plain classical criterion: {each}", classical),
        (f"Over a constant step: {each}", constant),
        ("Evaluations over IAS15's for the same energy error, for the same position error", ias15_table(results)),
        ("Drift: {} periods, {:,} periods".format(*DRIFT_PERIODS), drift_table(results)),
    ]
    text = "".join(f"### {title}\n\n" + "\n".join(lines) + "\n" for title, lines in parts if len(lines) > EMPTY)
    failed = "\n".join(f"- {line}" for line in complaints(results))
    return f"{text}### Failed or left out\n\n{failed or 'Nothing.'}\n"
