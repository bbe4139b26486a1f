"""The figures of the training as a table for the documentation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Numbers = dict[str, Any]

PLACE = "<!-- what follows is written by benchmarks/training.py -->"
"""Where the tables stand in docs/training.md."""


def tables(found: Numbers) -> str:
    """Markdown of all that was measured."""
    figures = "\n".join(f"| {what} | {goal} | {reached} | {remark} |" for what, goal, reached, remark in _rows(found))
    pieces = [
        f"{found['machine']}, {found['date']}, one core unless said.\n",
        "| figure | wanted | measured | absolute numbers |\n|---|---|---|---|\n" + figures,
    ]
    if "profile" in found:
        pieces.append("\n### Where an iteration's time goes, one orbit, microseconds\n\n" + _profile(found["profile"]))
    return "\n".join(pieces) + "\n"


def _rows(found: Numbers) -> Iterator[tuple[str, str, str, str]]:
    if "one" in found:
        yield from _one(found["one"])
    for key, goal, words in (("many", "40 x", "64 orbits"), ("thousand", "150 x", "1,024 orbits")):
        if key in found:
            yield from _batch(found[key], goal, words)
    if "replay" in found:
        r = found["replay"]
        numbers = f"{1e3 * r['package seconds']:.2g} ms against {r['plain seconds']:.2g} s"
        yield "replay of 512 samples, one iteration", "50 x", f"{r['ratio']:.0f} x", numbers
    if "processes" in found:
        yield from _processes(found["processes"])
    for path, ratio in found.get("memory", {}).items():
        yield f"memory, 10,000 iterations over 100, {path} loop", "<= 1.02", f"{ratio:.4f}", ""
    if "quality" in found:
        yield from _quality(found["quality"])


def _one(r: Numbers) -> Iterator[tuple[str, str, str, str]]:
    for name, words in (("fresh", "from fresh weights"), ("trained", "trained weights")):
        of = r[name]
        for what in ("iterations", "steps"):
            if f"ratio of {what}" in of:
                mine, plain = of[f"package {what} a second"], of[f"plain {what} a second"]
                kind = "retrain iterations" if what == "iterations" else "accepted steps"
                label = f"one orbit, {kind} a second, {words}"
                yield label, "25 x", f"{of[f'ratio of {what}']:.0f} x", f"{mine:,.0f} against {plain:,.0f}"
    yield "one orbit, positions reached after 40 steps: relative difference", "", f"{r['difference']:.1e}", ""


def _batch(r: Numbers, goal: str, words: str) -> Iterator[tuple[str, str, str, str]]:
    regimes = {"fresh": "from fresh weights", "running": "in training", "trained": "trained weights"}
    for name, which in regimes.items():
        of = r[name]
        numbers = f"{of['package steps a second']:,.0f} against {of['plain steps a second']:,.0f}"
        numbers += f"; {of['package iterations a step']:.2g} iterations for each accepted step"
        yield f"{words}, orbit-steps a second, {which}", goal, f"{of['ratio of steps']:.0f} x", numbers


def _processes(r: Numbers) -> Iterator[tuple[str, str, str, str]]:
    for orbits, (one, two, ratio) in r.items():
        goal = "1.6 x" if int(orbits) >= 1000 else "(does not pay)"
        yield (
            f"two processes over one, {int(orbits):,} orbits each",
            goal,
            f"{ratio:.2f} x",
            f"{two:,.0f} against {one:,.0f} orbit-steps a second",
        )


def _quality(r: Numbers) -> Iterator[tuple[str, str, str, str]]:
    trained = f"{r['seconds']:.0f} s, {r['accepted steps']:,.0f} accepted steps; {r['unseen orbits']} unseen orbits"
    yield "steps accepted at once on unseen orbits", ">= 99 %", f"{100 * r['passed at once']:.2f} %", trained
    worst = f"worst orbit {100 * r['worst orbit']:.1f} % accepted at once"
    yield "mean step over the largest that passes", ">= 0.7", f"{r['mean step over largest']:.3f}", worst


def _profile(r: Numbers) -> str:
    names = list(dict.fromkeys([*r["plain"], *r["compiled"]]))
    lines = ["| part | plain loop | compiled loop |", "|---|---|---|"]
    for name in names:
        cells = (f"{r[kind][name]:.3g}" if name in r[kind] else "" for kind in ("plain", "compiled"))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)
