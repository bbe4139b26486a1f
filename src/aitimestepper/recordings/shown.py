"""How a result shows itself at a prompt and in a notebook: a title and some rows, never its arrays."""

from __future__ import annotations

import html
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from aitimestepper.outputs import spelled

Rows = list[tuple[str, str]]


class Shown:
    """What has a short text for a prompt and the same as a table for a notebook."""

    @abstractmethod
    def _shown(self) -> tuple[str, Rows]:
        """A title, and rows of a name and a value."""

    def __repr__(self) -> str:
        title, rows = self._shown()
        width = max((len(name) for name, _ in rows), default=0)
        return "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in rows)])

    def _repr_html_(self) -> str:
        title, rows = self._shown()
        cells = "".join(
            f'<tr><td style="text-align:left">{html.escape(name)}</td>'
            f'<td style="text-align:left">{html.escape(value)}</td></tr>'
            for name, value in rows
        )
        return f"<div><b>{html.escape(title)}</b><table>{cells}</table></div>"


_NAMES = {
    "position_error_asked": "local position error asked",
    "position_error_max": "local position error max",
    "position_verdict": "local position verdict",
    "position_error_run": "position error at the end, estimated",
}

_FIRST = ("energy_verdict", "position_verdict", "step_verdict")


def summary_rows(numbers: Mapping[str, Any]) -> Rows:
    """The numbers of a summary that there are, for people: verdicts first, and errors of positions as what they are."""
    ordered = {key: numbers[key] for key in _FIRST if key in numbers} | dict(numbers)
    return [(_NAMES.get(k, k.replace("_", " ")), spelled(v)) for k, v in ordered.items() if v is not None]


def integrator_in(settings: Mapping[str, Any]) -> str:
    """What makes the steps of a run, from its settings."""
    integrator = str(settings.get("integrator", "leapfrog"))
    if integrator == "wh":
        integrator += f", {settings.get('wh_kind', 'corrected')}"
    elif integrator == "auto":
        integrator = f"ttl of order {settings.get('order', 2)}, gbs once three bodies meet"
    elif integrator != "gbs":
        integrator += f" of order {settings.get('order', 2)}"
    return integrator


def method_of(settings: Mapping[str, Any]) -> str:
    """Integrator, steps and their parameter in a line, from the settings of a run."""
    keys = ("dt", "h", "eta", "tolerance", "model")
    parameters = [f"{key} = {settings[key]}" for key in keys if settings.get(key) is not None]
    return f"{integrator_in(settings)}, {settings.get('timestep', 'learned')} steps ({', '.join(parameters)})"


def promise_rows(numbers: Mapping[str, Any]) -> Rows:
    """What was asked of a run and what it achieved, from the numbers of its summary."""
    rows = [_promise("energy error", numbers, "energy_error_max", "energy_error_asked", "energy_verdict")]
    rows.append(
        _promise("local position error", numbers, "position_error_max", "position_error_asked", "position_verdict")
    )
    rows.append(_promise("energy error of a step", numbers, "step_error_max", "step_error_asked", "step_verdict"))
    run = numbers.get("position_error_run")
    if run is not None:
        rows.append(("position error at the end", f"about {run:.2g}, not promised"))
    difference = numbers.get("confirm_position_difference_relative")
    if difference is not None:
        rows.append(
            ("confirmed", f"positions within {difference:.2g} of those at tolerance {numbers['confirm_tolerance']:g}")
        )
    return [row for row in rows if row[1]]


def _promise(name: str, numbers: Mapping[str, Any], largest: str, asked: str, verdict: str) -> tuple[str, str]:
    if numbers.get(largest) is None:
        return name, ""
    text = f"largest {numbers[largest]:.3g}"
    if numbers.get(asked) is not None:
        text += f", asked {numbers[asked]:.3g}: {numbers[verdict]}"
    return name, text


def merger_rows(numbers: Mapping[str, Any]) -> Rows:
    """How often bodies became one, and the energy that this took, if they did."""
    if not numbers.get("mergers"):
        return []
    return [("mergers", f"{numbers['mergers']:,}, which took an energy of {numbers['merger_energy']:.6g}")]


def cost_row(numbers: Mapping[str, Any]) -> tuple[str, str]:
    """Steps, force evaluations and seconds."""
    by_gbs = numbers["steps"] - (numbers.get("handed_over_at_step") or numbers["steps"])
    of_gbs = f", {by_gbs:,} of them by gbs from t = {numbers['handed_over_at_time']:.6g} on" if by_gbs else ""
    undone = f" ({numbers['rejected_steps']:,} undone)" if numbers["rejected_steps"] else ""
    return "cost", (
        f"{numbers['steps']:,} steps{undone}{of_gbs}, {numbers['force_evaluations']:,} force evaluations, "
        f"{spelled(numbers['wall_seconds'], 3)} s"
    )
