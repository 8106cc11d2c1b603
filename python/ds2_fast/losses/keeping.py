"""What was measured, kept as it comes: a journal of lines, one a block or a sample.

    {"v":1,"k":key,"c":[conditioned|null],"d":[direct|null],"n":[tokens],"s":[status]}

Append-only; a line that was cut by a kill is passed over.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from ds2_fast.losses.exchange import Exchange, digest_exchanges
from ds2_fast.losses.result import STATUSES, Losses
from ds2_fast.rating.journal import VERSION, Journal

Keep = Callable[[int, Losses], None]
"""Called with the first row of what was measured, and its losses."""


def unit_key(model: str, exchanges: Sequence[Exchange]) -> str:
    """The key of exchanges measured together by the model of that key."""
    return hashlib.blake2b(
        f"{model} {digest_exchanges(exchanges)}".encode(), digest_size=16
    ).hexdigest()


def load_losses(path: Path) -> dict[str, Losses]:
    """Read a journal by its keys; a missing file is an empty one. The last line of a key counts."""
    known = {}
    try:
        with path.open("rb") as file:
            for line in file:
                try:
                    entry = json.loads(line)
                    if entry["v"] == VERSION:
                        known[str(entry["k"])] = _read(
                            entry["c"], entry["d"], entry["n"], entry["s"]
                        )
                except (ValueError, LookupError, TypeError, RecursionError):
                    continue
    except FileNotFoundError:
        pass
    return known


def write_losses(journal: Journal, key: str, losses: Losses) -> None:
    """Append a line to a journal, and see that it reaches the disk.

    Raises:
        OSError: the disk is full, or refuses it.
    """
    journal.append({
        "k": key,
        "c": _numbers(losses.conditioned.tolist()),
        "d": _numbers(losses.direct.tolist()),
        "n": losses.tokens.tolist(),
        "s": losses.status.tolist(),
    })  # fmt: skip


def _numbers(values: list[float]) -> list[float | None]:
    """JSON has no NaN; all other floats come back to the bit."""
    return [None if value != value else value for value in values]  # noqa: PLR0124


def _read(
    conditioned: list[float | None],
    direct: list[float | None],
    tokens: list[int],
    status: list[str],
) -> Losses:
    if not set(status) <= set(STATUSES):
        raise ValueError
    return Losses(
        np.array(conditioned, np.float64),
        np.array(direct, np.float64),
        np.array(tokens, np.int32),
        np.array(status, np.str_),
    )
