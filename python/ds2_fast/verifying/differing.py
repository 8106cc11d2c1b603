"""What differs between an artifact and the one made again, bit for bit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import polars as pl

_CIRCUMSTANCES = {"kernel", "seconds"}
"""Of a graph: how it was computed, which may differ where the result does not."""


def difference(stored: Path, again: Path) -> str | None:
    """Say where two files of one name hold different values.

    Values are compared, not files: another version of a library may pack the same values
    differently. Numbers are compared by their bits.

    Args:
        stored: the file of the run.
        again: the file of the repetition.

    Returns:
        What differs, as the end of a sentence; None if nothing does.
    """
    if stored.suffix == ".npy":
        return _rows(np.load(stored, mmap_mode="r"), np.load(again, mmap_mode="r"))
    if stored.suffix == ".json":
        return _json(json.loads(stored.read_bytes()), json.loads(again.read_bytes()))
    if stored.suffix == ".parquet":
        return _columns(stored, again)
    return None if stored.read_bytes() == again.read_bytes() else "other lines"


def _rows(stored: NDArray[Any], again: NDArray[Any]) -> str | None:
    if stored.shape != again.shape or stored.dtype != again.dtype:
        return f"an array {again.shape} of {again.dtype} instead of {stored.shape} {stored.dtype}"
    unequal = _bits(stored) != _bits(again)
    if not unequal.any():
        return None
    places = np.argwhere(unequal)
    place = tuple(places[0])
    return (
        f"{again[place]!s} instead of {stored[place]!s} at row {place[0]} "
        f"({len(places):,} of {stored.size:,} values)"
    )


def _bits(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind != "f":
        return values
    return np.ascontiguousarray(values).view(f"u{values.dtype.itemsize}")


def _json(stored: object, again: object, at: str = "") -> str | None:
    if isinstance(stored, dict) and isinstance(again, dict):
        for name in sorted((stored.keys() | again.keys()) - _CIRCUMSTANCES):
            words = _json(stored.get(name), again.get(name), f"{at}.{name}" if at else name)
            if words:
                return words
        return None
    if isinstance(stored, list) and isinstance(again, list) and len(stored) == len(again):
        pairs = enumerate(zip(stored, again, strict=True))
        found = (_json(before, after, f"{at}[{place}]") for place, (before, after) in pairs)
        return next((words for words in found if words), None)
    # JSON's text of a float is its bits; -0.0 and 0.0 differ.
    if json.dumps(stored) == json.dumps(again):
        return None
    return f"`{at}` is {_short(again)} instead of {_short(stored)}"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 40 else f"{text[:37]}..."  # noqa: PLR2004


def _columns(stored: Path, again: Path) -> str | None:
    import polars as pl

    before, after = pl.read_parquet(stored), pl.read_parquet(again)
    if before.schema != after.schema or len(before) != len(after):
        return "other columns or rows"
    for name in before.columns:
        unequal = _unequal(before[name], after[name])
        if unequal.any():
            row = int(np.argmax(unequal))
            return (
                f"`{name}` is {after[name][row]} instead of {before[name][row]} at row {row} "
                f"({np.count_nonzero(unequal):,} of {len(before):,} rows)"
            )
    return None


def _unequal(stored: pl.Series, again: pl.Series) -> NDArray[np.bool_]:
    """Which rows differ; floats by their bits."""
    if stored.dtype.is_float():
        null = (stored.is_null() != again.is_null()).to_numpy()
        bits = [_bits(column.fill_null(0.0).to_numpy()) for column in (stored, again)]
        return np.asarray(null | (bits[0] != bits[1]))
    if stored.dtype.is_nested():
        return np.array([a != b for a, b in zip(stored.to_list(), again.to_list(), strict=True)])
    return stored.ne_missing(again).to_numpy()
