"""Damage to files: of bytes, whatever they mean, and of what a format is made of."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
from numpy.random import Generator

NASTY = (
    *(None, True, "", "x", [], {}, [[]], 0, -1, 0.0, -0.5, 1e-300, 1e300, 2**31, 2**63, -(2**63), 10**30),
    *(float("nan"), float("inf"), "é", "\ud800", "9" * 5000, "[" * 20000, {"a": {"b": [1]}}),
)
"""Values of JSON where others are expected."""

WORDS = (
    *("nan", "inf", "-inf", "1e999", "-1e149", "1e-320", "0x10", "1_0", "٣", "", "''", '"', "\x00", "9" * 5000),
    *("[" * 2000, "a." * 500, "{", "]", "=", ",", "#", "\n", "true", "1979-05-27", "é", "1e149"),
)
"""Pieces of text where others are expected."""


def bytes_damaged(content: bytes, rng: Generator) -> bytes:
    """Bytes flipped, replaced, zeroed, filled, cut off, inserted or repeated, in one to three places."""
    data = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        begin = int(rng.integers(0, max(len(data), 1)))
        end = min(begin + int(2 ** rng.uniform(0, 10)), len(data))
        kind = rng.integers(0, 8)
        if kind <= 1 and begin < len(data):
            data[begin] ^= 1 << int(rng.integers(0, 8))
        elif kind == 2 and begin < len(data):
            data[begin] = int(rng.integers(0, 256))
        elif kind == 3:
            data[begin:end] = bytes(end - begin)
        elif kind == 4:
            data[begin:end] = bytes([int(rng.choice([0x7F, 0xFF]))]) * min(end - begin, 8) + data[begin + 8 : end]
        elif kind == 5:
            del data[begin:]
        elif kind == 6:
            data[begin:begin] = rng.bytes(int(rng.integers(1, 17)))
        else:
            data[begin:begin] = data[begin:end]
    return bytes(data)


def text_damaged(content: bytes, rng: Generator) -> bytes:
    """A word replaced by a nasty one."""
    text = content.decode()
    pieces = text.replace(",", " ").split()
    return text.replace(str(rng.choice(pieces)), str(rng.choice(WORDS)), int(rng.integers(1, 3))).encode()


def json_damaged(value: object, rng: Generator) -> object:
    """A tree of JSON with one value replaced, taken away or put elsewhere; a text that is JSON is a tree, too."""
    if isinstance(value, str) and value[:1] in ("{", "[") and rng.random() < 0.8:
        return json.dumps(json_damaged(json.loads(value), rng))
    if not isinstance(value, (dict, list)) or not value or rng.random() < 0.1:
        return NASTY[rng.integers(0, len(NASTY))]
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key = keys[rng.integers(0, len(keys))]
    changed = dict(value) if isinstance(value, dict) else list(value)
    if rng.random() < 0.1:
        del changed[key]
    elif rng.random() < 0.1 and isinstance(changed, dict):
        changed[f"{key}x"] = changed[key]
    else:
        changed[key] = json_damaged(changed[key], rng)
    return changed


def safetensors_damaged(content: bytes, rng: Generator) -> bytes:
    """The header changed as JSON."""
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(json_damaged(json.loads(content[8 : 8 + length]), rng)).encode()
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


def journal_damaged(content: bytes, rng: Generator) -> bytes:
    """A line changed as JSON, taken away, repeated, or put elsewhere."""
    lines = content.splitlines()
    at, kind = int(rng.integers(0, len(lines))), rng.integers(0, 6)
    if kind == 0:
        del lines[at]
    elif kind == 1:
        lines.insert(int(rng.integers(0, len(lines))), lines[at])
    else:
        lines[at] = json.dumps(json_damaged(json.loads(lines[at]), rng)).encode()
    return b"\n".join(lines) + b"\n"


def zip_damaged(content: bytes, rng: Generator) -> bytes:
    """One file in the archive damaged, with checksums that fit."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(made, "w") as other:
        names = archive.namelist()
        first = [name for name in names if name.endswith("data.pkl")] or names
        chosen = first[0] if rng.random() < 0.7 else names[rng.integers(0, len(names))]
        for name in names:
            part = archive.read(name)
            other.writestr(name, bytes_damaged(part, rng) if name == chosen else part)
    return made.getvalue()


def hdf5_damaged(content: bytes, rng: Generator) -> bytes:
    """A dataset or an attribute replaced by something else."""
    made = io.BytesIO(content)
    with h5py.File(made, "r+") as file:
        if rng.random() < 0.1:
            _fill_with_bodies(file)
        elif file.attrs and rng.random() < 0.4:
            name = str(rng.choice(list(file.attrs)))
            value = file.attrs[name]
            file.attrs[name] = _attribute(value, rng)
        else:
            name = str(rng.choice(list(file)))
            if name == "summary" and rng.random() < 0.7:
                tree = json.loads(file[name][()])
                file[name][()] = json.dumps(json_damaged(tree, rng)).encode()[:2000]
            else:
                _replace(file, name, rng)
    return made.getvalue()


def _fill_with_bodies(file: h5py.File) -> None:
    """Fifty million bodies, of whose numbers none is stored."""
    for name in {"mass", "position", "velocity"} & set(file):
        rest = file[name].shape[1:] if name == "mass" else file[name].shape[-1:]
        del file[name]
        file.create_dataset(name, (50_000_000, *rest), "f8", chunks=(1000, *rest), fillvalue=1.0)


def _attribute(value: object, rng: Generator) -> object:
    if isinstance(value, str) and value[:1] == "{":
        return json.dumps(json_damaged(json.loads(value), rng))
    choices = [0, -1, 0.0, np.nan, np.inf, -1.0, 1e300, "", "x", np.zeros(3), np.zeros(0), [b"a", b"b"], True]
    return choices[rng.integers(0, len(choices))]


def _replace(file: h5py.File, name: str, rng: Generator) -> None:
    old = file[name][()] if isinstance(file[name], h5py.Dataset) else np.zeros(2)
    numbers = isinstance(old, np.ndarray) and old.dtype.kind == "f"
    del file[name]
    other = np.array(old, dtype=float) if numbers else np.ones(2)
    kind = rng.integers(0, 14)
    if kind == 0:
        file.create_group(name)
    elif kind == 1:
        file[name] = h5py.SoftLink("/" + str(rng.choice(["mass", "nothing", name])))
    elif kind == 2:
        file[name] = h5py.ExternalLink(str(rng.choice(["/dev/zero", "fifo", "bodies.h5"])), "/mass")
    elif kind == 3:
        file.create_dataset(name, (300_000_000, *other.shape[1:]), chunks=(1000, *other.shape[1:]), dtype="f8")
    elif kind == 4:
        file.create_dataset(name, (200_000_000,), "S8", chunks=(1000,))
    elif kind == 5:
        file.create_dataset(name, data=np.zeros(other.shape, [("a", "f8"), ("b", "i4")]))
    elif kind == 6:
        file.create_dataset(name, other.shape, h5py.vlen_dtype(np.float64))
    elif kind == 7:
        file[name] = ["text"] * max(len(np.atleast_1d(other)), 1)
    elif kind == 8:
        file.create_dataset(name, other.shape, "f8", external=[("/dev/zero", 0, h5py.h5f.UNLIMITED)])
    elif kind == 9:
        file[name] = h5py.Empty("f8")
    elif kind == 10:
        file[name] = other[..., None] if rng.random() < 0.5 else other.reshape(-1)
    elif kind == 11:
        file[name] = other[: len(np.atleast_1d(other)) // 2] if other.ndim else np.zeros(0)
    else:
        flat = np.array(other).reshape(-1)
        if len(flat):
            flat[rng.integers(0, len(flat))] = rng.choice([np.nan, np.inf, -1.0, 0.0, 1e300, -1e149, 1e-300])
        file[name] = flat.reshape(other.shape)


Damage = Callable[[bytes, Generator], bytes]
OF_FORMATS: dict[str, Damage] = {
    ".csv": text_damaged,
    ".toml": text_damaged,
    ".h5": hdf5_damaged,
    ".safetensors": safetensors_damaged,
    ".journal": journal_damaged,
    ".pt": zip_damaged,
    ".npz": zip_damaged,
}


def damage(path: Path, rng: Generator) -> None:
    """Damage a file: its bytes, or what its format is made of."""
    content = path.read_bytes()
    own = OF_FORMATS.get(path.suffix)
    how = own if own is not None and rng.random() < 0.5 else bytes_damaged
    path.write_bytes(how(content, rng))
