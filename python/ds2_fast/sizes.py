"""How many samples to select: a number, a share of the pool, or several for nested subsets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path

from ds2_fast.errors import PoolError


def parse_sizes(n: int | str | Sequence[int | str] | None, rows: int) -> tuple[int, ...]:
    """Turn `1000`, `"5%"`, `"1000,3000"` or `[1000, "5%"]` into ascending distinct sizes.

    A share is rounded down, but is at least one sample.

    Args:
        n: what was asked for; None for nothing.
        rows: samples in the pool.

    Raises:
        PoolError: for a size below 1, above `rows`, or that is not a number or a share.
    """
    if n is None:
        return ()
    parts = n.split(",") if isinstance(n, str) else n if isinstance(n, Iterable) else [n]
    sizes = sorted({_size(part, rows) for part in parts})
    if not sizes:
        raise PoolError("no size was given", "give `-n 1000`, `-n 5%` or `-n 1000,3000,10000`")
    return tuple(sizes)


def sized(path: Path, size: int) -> Path:
    """`subset.jsonl.gz` and 1000 give `subset-1000.jsonl.gz`."""
    stem, dot, rest = path.name.partition(".")
    return path.with_name(f"{stem}-{size}{dot}{rest}")


def _size(part: int | str, rows: int) -> int:
    text = str(part).strip()
    try:
        if text.endswith("%"):
            # Decimal: 2.3 % of 3,000 are 69, not 68.99999.
            share = Decimal(text[:-1])
            size = max(int(rows * share / 100), 1) if 0 < share <= 100 else 0  # noqa: PLR2004
        else:
            size = int(text)
    except (ValueError, InvalidOperation):
        raise PoolError(
            f"`{text}` is not a number of samples",
            "give `-n 1000`, `-n 5%` or `-n 1000,3000,10000`",
        ) from None
    if size < 1:
        raise PoolError(
            f"cannot select {text} of {rows:,} samples",
            "give a number from 1 up, or a share up to 100%",
        )
    if size > rows:
        raise PoolError(
            f"cannot select {size:,} samples: the pool has {rows:,}", f"give `-n {rows}` or less"
        )
    return size
