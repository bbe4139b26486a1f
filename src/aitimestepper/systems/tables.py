"""Bodies as rows of numbers `[m, x..., v...]`: NumPy arrays, and tables of text as N-body programs write them."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from aitimestepper.arrays import Floats
from aitimestepper.errors import InitialConditionsError
from aitimestepper.systems.initial import InitialConditions
from aitimestepper.systems.units import Units

HEADERS = {
    3: ("m", "x", "vx"),
    5: ("m", "x", "y", "vx", "vy"),
    7: ("m", "x", "y", "z", "vx", "vy", "vz"),
}
"""Columns of a row in one, two and three dimensions."""

EXPECTED = " or ".join(",".join(header) for header in HEADERS.values())

_NAME, _RADIUS = "name", "radius"
_MEANINGS = {"mass": "m"} | dict.fromkeys(("name", "names", "id", "index", "body", "particle"), _NAME)
_KNOWN = {column: column for column in (*HEADERS[7], _RADIUS)} | _MEANINGS
"""What a header may call a column, in lower case, and what it then is."""

_NUMBER = re.compile(r"[+-]?((\d+\.?\d*|\.\d+)([ed][+-]?\d+)?|nan|inf|infinity)", re.IGNORECASE | re.ASCII)
"""Also as Fortran writes it, 1.0D+00; not the 1_000 that Python takes for one."""

_QUOTED = re.compile(r'"[^"]*"')
_UNQUOTED = re.compile(r'(?:[^"#]|"[^"]*"?)*')
"""What stands before a comment."""

_WITH_UNIT = re.compile(r"([^\[(]+)(?:\[(.+)\]|\((.+)\))")
"""A column with its unit behind it."""

_COMMENT_MARK = re.compile(r"^[\s#]*(\w+:)?")


class Line(NamedTuple):
    """A line with something in it, by its number in the file."""

    number: int
    cells: list[str]


def bodies_from_rows(
    rows: np.ndarray[Any, Any],
    names: Sequence[str] = (),
    note: str = "",
    units: tuple[str, str, str] | None = None,
    radius: ArrayLike = 0.0,
) -> InitialConditions:
    """Bodies from an array (N, 1 + 2 D) of rows `[m, x..., v...]`.

    Raises:
        InitialConditionsError: not a table of such rows, or bodies that are refused.
    """
    if rows.ndim != 2 or rows.shape[1] not in HEADERS:
        raise InitialConditionsError(
            f"an array of bodies has shape (N, 3), (N, 5) or (N, 7), rows {EXPECTED}; got {rows.shape}"
        )
    dims = rows.shape[1] // 2
    return InitialConditions(
        rows[:, 0],
        rows[:, 1 : 1 + dims],
        rows[:, 1 + dims :],
        names=tuple(names),
        note=note,
        units=units,
        radius=np.asarray(radius),
    )


def bodies_from_text(text: str) -> InitialConditions:
    """Bodies from a table: a line for each, with commas, blanks or tabs between the columns.

    A first line, also one behind `#`, may name the columns in any order, with their units behind each but that of
    names, as in `name, m [Msun], x [pc], ..., vx [km/s], radius [km]`; the header of an ECSV file is read too. Radii
    may be left out, or be in a unit of their own. Without such a line the columns are `m, x..., v...`, perhaps behind
    a column of names, or of the numbers 0, 1, 2, ... or 1, 2, 3, ...; the note says so.
    A line with the number of bodies may come before all others; lines of whole numbers alone may then follow the bodies
    (trees of groups).

    Raises:
        InitialConditionsError: names the line that is wrong, or says what could be read in two ways.
    """
    header, lines = _lines_in(text)
    units = _units_in_yaml(text)
    count = int(lines[0].cells[0]) if lines and len(lines[0].cells) == 1 and lines[0].cells[0].isdecimal() else None
    begin = 0 if count is None else 1
    if len(lines) > begin and not any(map(_is_number, lines[begin].cells)):
        header, begin = lines[begin], begin + 1
    bodies = lines[begin:] if count is None else _counted(lines[begin:], count, lines[0].number)
    if header is not None:
        header, in_header = _without_units(header)
        units = units or in_header
    columns = () if header is None else _named(header)
    if not bodies:
        raise InitialConditionsError(f"no body in it: there must be one line for each body, {EXPECTED}")
    columns = columns or _columns_of(bodies)
    for line in bodies:
        if len(line.cells) != len(columns):
            above = "lines above have" if header is None else "header has"
            raise InitialConditionsError(
                f"line {line.number}: {len(line.cells)} columns, but the {above} {len(columns)}"
            )
    wanted = [columns.index(name) for name in HEADERS[len(columns) - (_NAME in columns) - (_RADIUS in columns)]]
    rows = np.array([[_number(line, line.cells[column]) for column in wanted] for line in bodies])
    names = [line.cells[columns.index(_NAME)] for line in bodies] if _NAME in columns else []
    note = "" if header is not None else f"no header: columns read as {', '.join(columns)}"
    of_bodies = _units_of(units, columns)
    radius = _radii(bodies, columns.index(_RADIUS), units, of_bodies) if _RADIUS in columns else 0.0
    return bodies_from_rows(rows, names, note, of_bodies, radius)


def numbers_in(text: str) -> Floats:
    """The numbers of a column, (M,): one a line, `#` begins a comment.

    Raises:
        InitialConditionsError: names the line that is wrong.
    """
    _, lines = _lines_in(text)
    for line in lines:
        if len(line.cells) > 1:
            raise InitialConditionsError(f"line {line.number}: {len(line.cells)} columns, where one number is wanted")
    return np.array([_number(line, line.cells[0]) for line in lines])


def _lines_in(text: str) -> tuple[Line | None, list[Line]]:
    """The last comment before all other lines that is a header, and these lines."""
    header, lines = None, []
    for number, line in enumerate(text.splitlines(), start=1):
        cells = _cells(_UNQUOTED.match(line)[0] if '"' in line else line.partition("#")[0])  # type: ignore[index]
        if cells:
            lines.append(Line(number, cells))
        elif not lines and line.lstrip().startswith("#"):
            comment = _joined(_cells(_COMMENT_MARK.sub("", line)))
            if {_KNOWN.get(re.split(r"[\[(]", cell)[0].strip().lower()) for cell in comment} >= {*HEADERS[3]}:
                header = Line(number, comment)
    return header, lines


def _cells(content: str) -> list[str]:
    content = content.strip()
    if '"' not in content:
        return [cell.strip() for cell in content.split(",")] if "," in content else content.split()
    separator = "," if "," in _QUOTED.sub("", content) else " "
    row = next(csv.reader([content.replace("\t", " ")], delimiter=separator, skipinitialspace=True))
    return [cell.strip() for cell in row]


def _joined(cells: list[str]) -> list[str]:
    """Cells of a header, with units that a blank has parted from their column."""
    joined: list[str] = []
    for cell in cells:
        if cell.startswith(("[", "(")) and joined:
            joined[-1] += cell
        else:
            joined.append(cell)
    return joined


def _without_units(header: Line) -> tuple[Line, dict[str, str]]:
    """A header without the units that stand in brackets, and these by column."""
    cells, units = [], {}
    for cell in _joined(header.cells):
        match = _WITH_UNIT.fullmatch(cell)
        if match is not None and match[1].strip().lower() in _KNOWN:
            units[_KNOWN[match[1].strip().lower()]] = (match[2] or match[3]).strip()
            cell = match[1].strip()
        cells.append(cell)
    return header._replace(cells=cells), units


def _units_in_yaml(text: str) -> dict[str, str]:
    """Units of columns in the header of an ECSV file."""
    if not text.startswith("# %ECSV"):
        return {}
    return {
        _KNOWN.get(name.lower(), name): unit.strip()
        for name, unit in re.findall(r"^# - \{name: (\w+), unit: ([^,}]+)", text, re.MULTILINE)
    }


def _units_of(units: dict[str, str], columns: Sequence[str]) -> tuple[str, str, str] | None:
    """Units of length, velocity and mass, from those of the columns.

    Raises:
        InitialConditionsError: some columns have units and others have none, or they differ.
    """
    if not {*units} - {_RADIUS}:
        return None
    found = []
    for kind in ("xyz", ("vx", "vy", "vz"), "m"):
        there = {units.get(column, "") for column in columns if column in kind}
        if len(there) > 1 or "" in there:
            raise InitialConditionsError(
                f"columns {', '.join(c for c in columns if c in kind)} need one unit, got "
                + ", ".join(repr(units.get(c, "none")) for c in columns if c in kind)
            )
        found.append(there.pop())
    return (found[0], found[1], found[2])


def _radii(bodies: list[Line], column: int, units: dict[str, str], of_bodies: tuple[str, str, str] | None) -> Floats:
    """Radii (N,) of a column, in the unit of positions."""
    radius = np.array([_number(line, line.cells[column]) for line in bodies])
    if of_bodies is None:
        return radius
    if _RADIUS not in units:
        raise InitialConditionsError("column radius needs a unit, as the others have")
    return radius / Units.of(of_bodies).in_other(units[_RADIUS], "length")


def _counted(lines: list[Line], count: int, number: int) -> list[Line]:
    """The lines of so many bodies."""
    bodies, rest = lines[:count], lines[count:]
    width = len(bodies[0].cells) if bodies else 0
    if len(bodies) < count or any(len(line.cells) == width for line in rest):
        raise InitialConditionsError(f"line {number} says {count} bodies, but there are {len(lines)} lines behind it")
    for line in rest:
        if not all(cell.isdecimal() for cell in line.cells):
            raise InitialConditionsError(f"line {line.number}: it stands behind the {count} bodies of line {number}")
    return bodies


def _columns_of(bodies: list[Line]) -> tuple[str, ...]:
    """What the columns are, without a header."""
    first = bodies[0]
    width = len(first.cells)
    if width in HEADERS:
        return HEADERS[width]
    labels = [line.cells[0] for line in bodies]
    if width - 1 in HEADERS and not all(map(_is_number, labels)):
        return (_NAME, *HEADERS[width - 1])
    seen = f"line {first.number}: {width} columns, but a body has 3, 5 or 7 numbers, {EXPECTED}"
    way_out = "; let a first line name the columns, in any order"
    if width != 8:
        # Four may be x y vx vy, and six x y z vx vy vz: without masses.
        raise InitialConditionsError(f"{seen}, or a name and these{way_out}")
    last = [line.cells[-1] for line in bodies if len(line.cells) == width]
    if not _counts(labels) or (len(bodies) > 1 and _counts(last)):
        raise InitialConditionsError(
            f"{seen}, or the number of a body (0, 1, 2, ... or 1, 2, 3, ...) and these{way_out}"
        )
    return (_NAME, *HEADERS[7])


def _counts(cells: list[str]) -> bool:
    """Whether numbers count the bodies in their order, from 0 or 1."""
    numbers = [_value(cell) for cell in cells if _is_number(cell)]
    return numbers in ([*range(len(cells))], [*range(1, len(cells) + 1)])


def _named(header: Line) -> tuple[str, ...]:
    """What the columns are that a header names."""
    columns = tuple(_KNOWN.get(cell.lower(), "") for cell in header.cells)
    said = f"line {header.number}: {len(header.cells)} columns named {','.join(header.cells)[:80]!r}"
    for cell, column in zip(header.cells, columns, strict=True):
        if not column:
            raise InitialConditionsError(f"{said}, and {cell[:40]!r} is none of {', '.join(_KNOWN)}")
        if columns.count(column) > 1:
            raise InitialConditionsError(f"{said}, where {column} is there twice")
    numbers = [column for column in columns if column not in (_NAME, _RADIUS)]
    if len(numbers) not in HEADERS or {*numbers} != {*HEADERS[len(numbers)]}:
        raise InitialConditionsError(f"{said}, but a body has {EXPECTED}, in any order")
    return columns


def _is_number(cell: str) -> bool:
    return _NUMBER.fullmatch(cell) is not None


def _value(cell: str) -> float:
    return float(re.sub("[dD]", "e", cell))


def _number(line: Line, cell: str) -> float:
    if not _is_number(cell):
        raise InitialConditionsError(f"line {line.number}: {cell[:40]!r} is not a number")
    value = _value(cell)
    if not math.isfinite(value):
        raise InitialConditionsError(f"line {line.number}: {cell[:40]!r} is not a finite number")
    return value
