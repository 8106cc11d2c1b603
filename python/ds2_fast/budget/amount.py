"""How much may be rated: a number of samples, a share of the pool, or dollars."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from ds2_fast.errors import PoolError

FEWEST = 200
"""Samples without which neither a model nor a check means anything."""

_HINT = "give `--budget 5000`, `--budget 20%` or `--budget '$3'`"
_CUT_SHARE = 4


@dataclass(frozen=True)
class Budget:
    """What may be spent; one of the two is None.

    Attributes:
        samples: samples that may be rated.
        dollars: what all answers in the journal may cost.
    """

    samples: int | None
    dollars: float | None = None


def parse_budget(budget: int | str, rows: int) -> Budget:
    """Turn `5000`, `"20%"` or `"$3"` into a budget.

    A share is rounded down. A number above `rows` is the whole pool.

    Args:
        budget: what was asked for.
        rows: samples in the pool.

    Raises:
        PoolError: if it is no amount, not positive, or too small to learn from (200 samples).

    Example:
        >>> parse_budget("20%", 52_002), parse_budget("$3", 52_002).dollars
        (Budget(samples=10400, dollars=None), 3.0)
    """
    text = str(budget).strip()
    try:
        if text.startswith("$"):
            dollars = float(text[1:])
            if not 0 < dollars < float("inf"):
                raise PoolError(f"`{text}` is no budget: it must be more than $0", _HINT)
            return Budget(None, dollars)
        if text.endswith("%"):
            share = Decimal(text[:-1])
            if not 0 < share <= 100:  # noqa: PLR2004
                raise PoolError(
                    f"`{text}` is no budget: a share lies above 0% and up to 100%", _HINT
                )
            samples = int(rows * share / 100)
        else:
            samples = int(text)
    except (ValueError, InvalidOperation):
        raise PoolError(f"`{text}` is no budget", _HINT) from None
    samples = min(samples, rows)
    if samples < min(FEWEST, rows):
        raise PoolError(
            f"a budget of {samples:,} samples is too small to learn from",
            f"give at least {min(FEWEST, rows)}, or rate all without `--budget`",
        )
    return Budget(samples)


def default_cut(samples: int) -> int:
    """The size of the selection a budget aims at where none is named: a quarter of it."""
    return max(samples // _CUT_SHARE, 1)
