"""Samples that a person, or another program, has named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ds2_fast.errors import PoolError
from ds2_fast.strategies.strategy import Strategy, option

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs


@dataclass(frozen=True)
class Ids(Strategy):
    """The samples of a list, in its order: picks made by hand (as LIMA's) or by another program.

    The list is a text file with an id of the pool, or without an id column a row number from 0, on
    each line; empty lines are skipped.
    """

    name = "ids"
    source = "human picks, as Zhou et al., NeurIPS 2023 (LIMA), arXiv 2305.11206"
    needs = "a list of ids or rows"

    keep_ids: str | None = option(None, "File with an id, or a row, on each line.", file=True)

    def score(self, inputs: Inputs) -> NDArray[np.float64]:
        """Score by the place in the list, the first highest; NaN for what is not listed."""
        if self.keep_ids is None:
            raise PoolError("`ids` needs the list of samples", "name the file with `--keep-ids`")
        rows = _read(Path(self.keep_ids), inputs)
        scores = np.full(len(inputs), np.nan)
        scores[rows] = np.arange(len(rows), 0, -1)
        return scores


def _read(file: Path, inputs: Inputs) -> list[int]:
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PoolError(
            f"cannot read `{file}` (`--keep-ids`): {reason}", "name a text file of ids"
        ) from None
    ids = inputs.pool.ids
    names = range(len(inputs)) if ids is None else ids.to_list()
    row_of = {str(name): row for row, name in reversed(list(enumerate(names)))}
    rows: dict[int, int] = {}
    for number, line in enumerate(lines, 1):
        name = line.strip()
        if not name:
            continue
        row = row_of.get(name)
        if row is None:
            what = "row" if ids is None else "id"
            raise PoolError(
                f"line {number} of `{file}` names the {what} `{name[:40]}`, which the pool does "
                "not have",
                "name the column of ids with `--id-col`, or mend the list",
            )
        if row in rows:
            raise PoolError(
                f"lines {rows[row]} and {number} of `{file}` name the same sample `{name[:40]}`",
                "remove one of them",
            )
        rows[row] = number
    if not rows:
        raise PoolError(f"`{file}` (`--keep-ids`) names no sample", "put an id on each line")
    return list(rows)
