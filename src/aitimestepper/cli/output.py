"""What a person or a program reads of a command: results on standard output, remarks on standard error."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from aitimestepper.outputs import finite

WIDTH = 160
"""Columns of a table; in a narrower window lines are broken, numbers are not."""

_NARROW = 100

_STYLES = {"exceeded": "bold red", "unknown": "bold yellow", "kept": "green"}
"""Of verdicts, in a terminal that has colours."""


def is_first_process() -> bool:
    """Of the processes that `torchrun` starts, only the first speaks of what all of them do."""
    return os.environ.get("RANK", "0") == "0"


def note(text: str) -> None:
    """One line on standard error."""
    if is_first_process():
        print(text, file=sys.stderr, flush=True)


def is_narrow() -> bool:
    """Whether the window has less than 100 columns; what is not shown in one never is."""
    return shutil.get_terminal_size(fallback=(WIDTH, 24)).columns < _NARROW


def print_json(value: Any) -> None:
    """A result as one line of JSON; a number that is not finite is null in it."""
    print(json.dumps(finite(value), allow_nan=False))


def print_table(
    title: str,
    rows: Iterable[Sequence[str]],
    *,
    head: Sequence[str] = (),
    left: int = 1,
    remarks: Iterable[str] = (),
) -> None:
    """A result as a table, with remarks below it.

    Args:
        title: in bold over the table.
        rows: their cells.
        head: names of the columns, if they have any.
        left: columns that are flush left, if columns have names; the others are flush right.
        remarks: a line for each; may grow while `rows` are gone through.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=bool(head), box=None, pad_edge=False, header_style="")
    for number, name in enumerate(head):
        table.add_column(name, justify="left" if number < left else "right", no_wrap=True)
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    console = Console(highlight=False, markup=False)
    console.width = max(console.width, WIDTH)
    console.print(title, style="bold", soft_wrap=True)
    for part in (table, *remarks):
        console.print(part, soft_wrap=True)


def default_output(path: str, name: str) -> str:
    """`RUN.png` beside `RUN.h5`; in a directory, the name."""
    beside = Path(path)
    return str(beside / name if beside.is_dir() else beside.with_suffix(Path(name).suffix))
