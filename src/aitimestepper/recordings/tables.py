"""Tables in an HDF5 file: rows that are appended, and a summary that counts those that are valid."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

SLOTS = 2
"""Where a run stands is written into these in turn."""

Tables = Mapping[str, Sequence[str]]
"""Names of tables, and the datasets that each of them is made of: one row for each thing that is counted."""

Rows = Mapping[str, Sequence[NDArray[Any]]]
"""Rows of tables, for each dataset."""

_SUMMARY_BYTES = 2048


class Extent(NamedTuple):
    """Which part of a file is valid.

    Attributes:
        rows: of each table.
        tail: how many of these, the last ones, go when the run goes on.
        slot: where the state of the run stands; -1 for nowhere.
    """

    rows: Mapping[str, int]
    tail: Mapping[str, int]
    slot: int = -1

    @property
    def sure(self) -> dict[str, int]:
        """Rows of each table that stay when the run goes on."""
        return {name: count - self.tail[name] for name, count in self.rows.items()}


def extent_in(state: Mapping[str, Any], tables: Iterable[str], may_lack: Iterable[str] = ()) -> Extent:
    """The extent in the text of `summary`.

    Args:
        state: what it says.
        tables: that are counted.
        may_lack: those of them that a file may be without: they have no rows then.

    Raises:
        LookupError, TypeError, ValueError: it is none.
    """
    none = dict.fromkeys(may_lack, 0)
    rows, tail = {**none, **state}, {**none, **state["tail"]}
    extent = Extent({name: rows[name] for name in tables}, {name: tail[name] for name in tables}, state["slot"])
    counts = (*extent.rows.values(), *extent.tail.values(), *extent.sure.values())
    if any(type(number) is not int for number in (*counts, extent.slot)) or min(counts) < 0:
        raise ValueError(f"an extent that says {tuple(extent)}")
    if not -1 <= extent.slot < SLOTS:
        raise ValueError(f"a slot that is {extent.slot}")
    return extent


def hdf5_file(target: Any, mode: str) -> Any:
    """An HDF5 file in a file object; in a new one, `summary` comes to lie within one page of memory."""
    import h5py

    return h5py.File(target, mode, alignment_threshold=_SUMMARY_BYTES, alignment_interval=_SUMMARY_BYTES)


def create_tables(file: Any, tables: Tables, like: Rows, chunk_rows: Mapping[str, int]) -> None:
    """Empty tables for rows like these, and a summary."""
    for table, names in tables.items():
        for name, array in zip(names, like[table], strict=True):
            rest = array.shape[1:]
            chunks = (chunk_rows[table], *rest)
            file.create_dataset(name, (0, *rest), array.dtype, chunks=chunks, maxshape=(None, *rest))
    file.create_dataset("summary", (), f"S{_SUMMARY_BYTES}", data=b"{}")


def append_rows(file: Any, names: Iterable[str], start: int, arrays: Iterable[Any]) -> None:
    """Write rows from row `start` on; they do not count before `commit`."""
    for name, array in zip(names, arrays, strict=True):
        dataset = file[name]
        dataset.resize(start + len(array), axis=0)
        dataset[start:] = array
    file.flush()


def commit(file: Any, extent: Extent, values: Mapping[str, Any]) -> None:
    """Declare rows and state valid, with what is to be said of them."""
    text = json.dumps({**extent.rows, "tail": extent.tail, "slot": extent.slot, **values}, allow_nan=False)
    file["summary"][()] = text.encode()
    file.flush()
