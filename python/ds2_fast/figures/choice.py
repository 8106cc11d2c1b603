"""Figures of a run that another strategy than DS2 selected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.figures.examples import SHOWN, spread_evenly
from ds2_fast.figures.length import compare_lengths
from ds2_fast.figures.map import show_map
from ds2_fast.figures.shares import share_groups, share_lengths

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.pool import Pool

OUTSIDE = ("no score", "filtered out")
"""Reasons of samples that could not be chosen."""

_SCORES = {"score": "ds2_strategy_score"}


def gather_choice_figures(
    pool: Pool, sheet: pl.DataFrame, *, explained: float | None, seed: int
) -> dict[str, Any]:
    """Count and measure what the report of a strategy draws.

    `length` and `shares` are those of `gather_figures`, without classes of scores: the rank
    correlation is that of length and the strategy's score. `map`: samples in two dimensions, null
    without features. `examples`: 20 of the selection, evenly over the ranks, and the 20 of the best
    scores that were not chosen; none where all candidates are alike.

    Args:
        pool: the samples.
        sheet: one row per sample with what the strategy found (`ds2_fast.strategy_line`).
        explained: share of the variance that the directions of the map hold.
        seed: of everything that is drawn.

    Cost: O(N log N).
    """
    selected = sheet["ds2_selected"].to_numpy().astype(np.bool_)
    lengths = pool.text.str.len_chars().to_numpy().astype(np.int64)
    scores = sheet["ds2_strategy_score"].fill_null(np.nan).to_numpy()
    return {
        "length": compare_lengths(
            lengths,
            np.zeros(len(pool), dtype=np.int8),
            selected,
            num_classes=1,
            seed=seed,
            values=scores,
        ),
        "shares": {
            "groups": share_groups(pool, selected),
            "length": share_lengths(lengths, selected),
        },
        "map": show_map(sheet, explained=explained, seed=seed, scores=_SCORES)
        if "projection_x" in sheet.columns
        else None,
        "examples": _examples(sheet, scores, selected),
    }


def _examples(
    sheet: pl.DataFrame, scores: NDArray[np.float64], selected: NDArray[np.bool_]
) -> dict[str, Any]:
    """The rows to look at; `samples` has what is known of each."""
    chosen = sheet.filter(sheet["ds2_selected"]).sort("ds2_rank")["ds2_index"].to_numpy()
    could = ~sheet["ds2_reason"].is_in(list(OUTSIDE)).to_numpy()
    left = np.flatnonzero(could & ~selected)
    told = len(np.unique(scores[could])) > 1
    missed = left[np.argsort(-scores[left], kind="stable")][:SHOWN].tolist() if told else []
    found = {"selected": spread_evenly(chosen), "missed": missed}
    columns = ("strategy_score", "rank", "reason")
    shown = sheet[sorted({*found["selected"], *missed})]
    named = shown.select("ds2_index", *(f"ds2_{name}" for name in columns))
    named = named.rename(lambda name: name.removeprefix("ds2_")).rename({"index": "row"})
    return {**found, "samples": named.to_dicts()}
