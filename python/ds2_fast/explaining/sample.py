"""Explaining one sample of a finished run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.errors import PoolError
from ds2_fast.explaining.choice import ChoiceExplanation, explain_choice
from ds2_fast.explaining.chosen import ChosenRun, open_selected
from ds2_fast.explaining.explanation import Explanation, Heard, Place
from ds2_fast.explaining.verdicts import reach_verdicts
from ds2_fast.pool_index.ids import Ids
from ds2_fast.pool_index.samples import Samples
from ds2_fast.progress import QUIET, Narrator
from ds2_fast.selection import rank_samples

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ds2_fast.explaining.finished import FinishedRun
    from ds2_fast.pool import Pool

SHOWN = 10
"""Neighbors that are shown."""


def explain(
    run: str | os.PathLike[str],
    *,
    row: int | None = None,
    id: str | None = None,
    k: int = SHOWN,
    narrator: Narrator = QUIET,
) -> Explanation | ChoiceExplanation:
    """Say why a finished run made of a sample what it made of it.

    The posterior is computed once more, from the T, neighbors and weights that the run kept and by
    the code that curated. Nothing is written.

    Args:
        run: the run directory, as `select` and `curate` leave it.
        row: a row of the pool.
        id: the id of a sample.
        k: neighbors to show, at least 1; fewer where the graph has fewer.
        narrator: is told what cannot be read any more.

    Returns:
        The sample, its ratings, its neighbors, and its place in the ranking; of a run by another
        strategy its score, and the selected samples most similar to it.

    Raises:
        TypeError: if not exactly one of `row` and `id` is given.
        ValueError: if `k < 1`.
        PoolError: if there is no such row or id.
        RunError: if the run did not rank its pool, or its files are gone or have changed.

    Cost: reading the run's files and the pool's, once.
    """
    if (row is None) == (id is None):
        raise TypeError("give exactly one of `row` and `id`")
    if k < 1:
        raise ValueError(f"k must be at least 1, got {k}")
    finished = open_selected(Path(run))
    samples = Samples(finished.path, finished.manifest, narrator)
    row = _find_row(len(finished.sheet), samples, row, id)
    if isinstance(finished, ChosenRun):
        return explain_choice(finished, samples, row, _turns(samples.pool, row), k)
    sheet = finished.sheet.row(row, named=True)
    tail = finished.sheet["ds2_long_tail"]
    params = finished.manifest["stages"]["selection"]["params"]
    bucket = _buckets(finished, params)
    return Explanation(
        row=row,
        id=samples.about(row)["id"],
        turns=_turns(samples.pool, row),
        verdicts=reach_verdicts(finished, row),
        classes=tuple(finished.report["scores"]["classes"]),
        expected=sheet["ds2_score_expected"],
        curated=sheet["ds2_score_curated"],
        long_tail=sheet["ds2_long_tail"],
        rarer_than=float((tail < sheet["ds2_long_tail"]).sum() / len(tail)),
        order=params["order"],
        bucket=None if np.isnan(bucket[row]) else float(bucket[row]),
        rank=sheet["ds2_rank"],
        ranked=len(finished.sheet) - finished.sheet["ds2_rank"].null_count(),
        n=params["n"],
        selected=sheet["ds2_selected"],
        reason=sheet["ds2_reason"],
        duplicate_of=sheet.get("ds2_duplicate_of"),
        stands_for=_stands_for(finished, row),
        last_in=_place(finished, samples, bucket, params["n"]),
        first_out=_place(finished, samples, bucket, params["n"] and params["n"] + 1),
        neighbors=_neighbors(finished, samples, row, k),
    )


def _find_row(total: int, samples: Samples, row: int | None, id: str | None) -> int:
    if id is not None:
        return Ids(samples, total).find(id, ())
    assert row is not None, "a sample without an id is asked for by its row"
    if not 0 <= row < total:
        raise PoolError(f"there is no row {row}: the pool has {total:,}", "rows count from 0")
    return row


def _turns(pool: Pool | None, row: int) -> tuple[tuple[str, str], ...] | None:
    if pool is None:
        return None
    from ds2_fast.pool.conversation import conversations_of

    (turns,) = conversations_of(pool.frame[row], pool.schema)
    return tuple((turn.role, turn.content) for turn in turns)


def _buckets(finished: FinishedRun, params: Mapping[str, Any]) -> NDArray[np.float64]:
    """The first sort key of every sample, as the selection saw it."""
    sheet = finished.sheet
    ranking = rank_samples(
        sheet["ds2_score_curated"].fill_null(-1).to_numpy().astype(np.int8),
        sheet["ds2_score_expected"].fill_null(np.nan).to_numpy(),
        sheet["ds2_long_tail"].to_numpy(),
        preset=params["order"],
        keep_outliers=params["keep_outliers"],
    )
    return ranking.bucket


def _stands_for(finished: FinishedRun, row: int) -> tuple[int, ...]:
    if "ds2_duplicate_of" not in finished.sheet.columns:
        return ()
    rows = (finished.sheet["ds2_duplicate_of"] == row).fill_null(False).arg_true()
    return tuple(rows.to_list())


def _place(
    finished: FinishedRun, samples: Samples, bucket: NDArray[np.float64], rank: int | None
) -> Place | None:
    """The sample with a rank; None if no sample has it."""
    if rank is None:
        return None
    rows = (finished.sheet["ds2_rank"] == rank).fill_null(False).arg_true().to_list()
    if not rows:
        return None
    row = int(rows[0])
    about = samples.about(row)
    tail = float(finished.sheet["ds2_long_tail"][row])
    return Place(row, about["id"], rank, float(bucket[row]), tail, about["text"])


def _neighbors(finished: FinishedRun, samples: Samples, row: int, k: int) -> tuple[Heard, ...]:
    scores = [finished.scores(place) for place in range(len(finished.raters))]
    graph, found = finished.graph, []
    for other, similarity in zip(
        graph.indices[row, :k].tolist(), graph.similarities[row, :k].tolist(), strict=True
    ):
        about = samples.about(other)
        given = tuple(None if column[other] < 0 else int(column[other]) for column in scores)
        selected = bool(about["selected"])
        found.append(
            Heard(
                other, about["id"], similarity, given, about["score_curated"], selected,
                about["text"],
            )
        )  # fmt: skip
    return tuple(found)
