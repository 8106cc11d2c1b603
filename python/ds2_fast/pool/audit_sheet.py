"""Rows of a pool as a CSV file that a person fills in, in any spreadsheet."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING

from ds2_fast.atomic import atomic_path
from ds2_fast.errors import PoolError
from ds2_fast.pool.audit_file import ID, KEY, ROW, SCORE, WEIGHT, guarded, sample_key
from ds2_fast.pool.conversation import conversations_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ds2_fast.pool.pool import Pool

LONGEST = 30_000
"""Characters of a text; a spreadsheet cell holds 32,767 and spills what is more over other rows."""

UNIT = 1000
"""Weights are written in thousandths, as whole numbers: a spreadsheet makes a date of 21.4."""

LINE_END = " ⏎ "
"""Stands for a line end: a cell of several lines is torn apart by some spreadsheets."""


def write_audit_sheet(
    pool: Pool,
    rows: NDArray[np.uint32],
    weights: NDArray[np.float64],
    path: Path,
    *,
    scale: str,
) -> None:
    """Write rows of a pool for a person to score; `read_hand_scores` reads the file back.

    Columns: `row`, `key` (8 letters that prove the row is this sample), `id` if the pool has ids,
    `weight` (in thousandths), `score (<scale>)`, empty, and `text`, the conversation in one line,
    at most 30,000 characters of it. No cell can be taken for a formula. The pool's own rating is
    not shown, so that it cannot sway anybody. UTF-8 with a byte order mark, as spreadsheets want
    it.

    Args:
        pool: the pool.
        rows: uint32 `(m,)`, which samples.
        weights: float64 `(m,)`, one over the probability of each.
        path: the file, which must not exist yet: it might hold somebody's work.
        scale: the scale in words, `1 to 10`.

    Raises:
        PoolError: the file exists, or is no .csv file.
    """
    if path.suffix.lower() != ".csv":
        raise PoolError(f"`{path}` is no .csv file", "name one with `-o audit.csv`")
    if path.exists():
        raise PoolError(
            f"`{path}` exists, and may hold scores", "name another file with `-o`, or move it away"
        )
    ids = None if pool.ids is None else pool.ids[rows].to_list()
    conversations = conversations_of(pool.frame[rows], pool.schema)
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8-sig", newline="") as f:
        writer = csv.writer(f)
        identity = [ROW, KEY] if ids is None else [ROW, KEY, ID]
        writer.writerow([*identity, WEIGHT, f"{SCORE} ({scale})", "text"])
        for place, (row, weight) in enumerate(zip(rows.tolist(), weights.tolist(), strict=True)):
            cells = [row, sample_key(row, pool.text[row])]
            if ids is not None:
                cells.append(guarded(_line(ids[place] or "")))
            text = " ".join(f"[{turn.role}] {turn.content}" for turn in conversations[place])
            writer.writerow([*cells, round(UNIT * weight), "", guarded(_cut(_line(text)))])


def _line(text: str) -> str:
    """Make one printable line of a text."""
    lines = re.sub(r"\r\n|[\r\n\v\f\x85\u2028\u2029]", LINE_END, text)
    return re.sub(r"[\x00-\x1f\x7f]", " ", lines)


def _cut(text: str) -> str:
    more = len(text) - LONGEST
    return text if more <= 0 else f"{text[:LONGEST]} ... ({more:,} characters more)"
