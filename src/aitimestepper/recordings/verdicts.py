"""Whether what was asked of a run was kept."""

from __future__ import annotations

LONGEST_MEASURED = 1.0
"""Longest step, see `Summary.longest_step`, of which two halves show the error. Chosen; runs shorten such steps at once
(`engine.run.setbacks`), and keep them only where shorter ones did not help."""

FALLING_SHORT = frozenset({"exceeded", "unknown"})
"""Verdicts of what was not kept, or cannot be known to be."""


def verdict(achieved: float | None, asked: float | None, longest_step: float | None = None) -> str | None:
    """'kept', 'exceeded', or 'unknown' where a step was too long for its error to be measured.

    Args:
        achieved: the largest error; None where none was measured.
        asked: what it was to stay below; None if nothing was asked.
        longest_step: as `Summary.longest_step`, for errors that are measured by halves of a step.

    Returns:
        None where nothing was asked or measured.
    """
    if asked is None or achieved is None:
        return None
    if achieved > asked:
        return "exceeded"
    return "unknown" if longest_step is not None and longest_step > LONGEST_MEASURED else "kept"
