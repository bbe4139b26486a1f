"""Bodies as rows of numbers `[m, x..., v...]`: the form of text files and of NumPy arrays."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from aitimestepper.arrays import Floats
from aitimestepper.errors import InitialConditionsError
from aitimestepper.systems.initial import InitialConditions

HEADERS = {
    3: ("m", "x", "vx"),
    5: ("m", "x", "y", "vx", "vy"),
    7: ("m", "x", "y", "z", "vx", "vy", "vz"),
}
"""Columns of a row in one, two and three dimensions."""

EXPECTED = " or ".join(",".join(header) for header in HEADERS.values())


def bodies_from_rows(rows: np.ndarray[Any, Any]) -> InitialConditions:
    """Bodies from an array (N, 1 + 2 D) of rows `[m, x..., v...]`.

    Raises:
        InitialConditionsError: not a table of such rows, or bodies that are refused.
    """
    if rows.ndim != 2 or rows.shape[1] not in HEADERS:
        raise InitialConditionsError(
            f"an array of bodies has shape (N, 3), (N, 5) or (N, 7), rows {EXPECTED}; got {rows.shape}"
        )
    dims = rows.shape[1] // 2
    return InitialConditions(mass=rows[:, 0], position=rows[:, 1 : 1 + dims], velocity=rows[:, 1 + dims :])


def rows_from_bodies(system: InitialConditions) -> Floats:
    """The array (N, 1 + 2 D) of rows `[m, x..., v...]`."""
    return np.column_stack([system.mass, system.position, system.velocity])


def rows_from_text(text: str) -> Floats:
    """Read rows with commas or blanks between the numbers; `#` begins a comment, a header line may come first.

    Raises:
        InitialConditionsError: names the line that is wrong.
    """
    rows: list[list[float]] = []
    width = 0
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.partition("#")[0].strip()
        cells = [cell.strip() for cell in (content.split(",") if "," in content else content.split())]
        if not cells:
            continue
        if not width:
            _check_width(number, cells)
            width = len(cells)
            if not _is_number(cells[0]):
                _check_header(number, cells)
                continue
        if len(cells) != width:
            raise InitialConditionsError(f"line {number}: {len(cells)} columns, but the lines above have {width}")
        rows.append([_number(number, cell) for cell in cells])
    if not rows:
        raise InitialConditionsError(f"no body in it: there must be one line for each body, {EXPECTED}")
    return np.array(rows)


def text_from_rows(rows: Floats, separator: str, header_mark: str = "") -> str:
    """A header and one line for each row, every number with as many digits as bring back all its bits."""
    lines = [header_mark + separator.join(HEADERS[rows.shape[1]])]
    lines += [separator.join(repr(float(value)) for value in row) for row in rows]
    return "\n".join(lines) + "\n"


def _check_width(number: int, cells: Sequence[str]) -> None:
    if len(cells) not in HEADERS:
        raise InitialConditionsError(
            f"line {number}: {len(cells)} columns, but a body has 3, 5 or 7 numbers, {EXPECTED}"
        )


def _check_header(number: int, cells: Sequence[str]) -> None:
    if tuple(cell.lower() for cell in cells) != HEADERS[len(cells)]:
        raise InitialConditionsError(
            f"line {number}: the header must be {','.join(HEADERS[len(cells)])}, got {','.join(cells)[:80]!r}"
        )


def _is_number(cell: str) -> bool:
    if "_" in cell or not cell.isascii():  # Python takes 1_0 and digits of any script
        return False
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _number(number: int, cell: str) -> float:
    if not _is_number(cell):
        raise InitialConditionsError(f"line {number}: {cell[:40]!r} is not a number")
    value = float(cell)
    if not math.isfinite(value):
        raise InitialConditionsError(f"line {number}: {cell[:40]!r} is not a finite number")
    return value
