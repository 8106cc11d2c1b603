"""Which samples a map of the pool shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Mapping

    import polars as pl

SHOWN = 3000
"""Samples of the pool on the map, drawn at random."""

SHOWN_SELECTED = 1000
"""Samples of the selection that are added, drawn at random."""


SCORES = {"score": "ds2_score", "curated": "ds2_score_curated"}
"""What is told of each sample, and the columns that hold it."""


def show_map(
    sheet: pl.DataFrame,
    *,
    explained: float | None,
    seed: int,
    scores: Mapping[str, str] = SCORES,
) -> dict[str, Any]:
    """Draw the samples that the map shows, and say where they lie.

    Shown are 3,000 samples of the pool and 1,000 of the selection, drawn at random without
    replacement (all, if there are no more), where `projection_x` and `projection_y` have them.

    Args:
        sheet: the score sheet.
        explained: share of the variance that the two directions hold.
        seed: of the draw.
        scores: the columns that tell the scores.

    Returns:
        `rows`: the rows shown, ascending; `x`, `y`: their places, rounded to 4 digits; `drawn`: how
        many of them were drawn from the pool; `explained`; and of each row what `scores` names, by
        default `score` and `curated` (null = unrated), and `selected`.
    """
    rng = np.random.default_rng(seed)
    drawn = _draw(rng, np.arange(len(sheet)), SHOWN)
    chosen = np.flatnonzero(sheet["ds2_selected"].to_numpy())
    rows = np.union1d(drawn, _draw(rng, chosen, SHOWN_SELECTED))
    shown = sheet[rows]
    places = (shown[f"projection_{axis}"].to_numpy().astype(np.float64) for axis in "xy")
    x, y = (np.round(place, 4).tolist() for place in places)
    return {
        "rows": rows.tolist(),
        "x": x,
        "y": y,
        "drawn": len(drawn),
        "explained": explained,
        **{name: shown[column].to_list() for name, column in scores.items()},
        "selected": shown["ds2_selected"].to_list(),
    }


def _draw(rng: np.random.Generator, rows: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    if len(rows) <= most:
        return rows
    return np.sort(rng.choice(rows, most, replace=False))
