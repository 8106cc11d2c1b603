"""Explaining one sample of a run that another strategy than DS2 selected."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2_fast.explaining.layout import (
    INDENT,
    LEAST_TEXT,
    in_one_line,
    name_sample,
    shorten_turn,
    wrap_line,
)
from ds2_fast.terminal import printable

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.explaining.chosen import ChosenRun
    from ds2_fast.pool_index.samples import Samples


@dataclass(frozen=True)
class Rival:
    """A selected sample that the explained one is held against.

    Attributes:
        row: its row.
        id: its id; None if it has none.
        rank: 1 = best.
        score: the strategy's score of it; None if it has none.
        similarity: cosine with the explained sample; None where it was not computed.
        text: its text; None where the pool cannot be read any more.
    """

    row: int
    id: str | None
    rank: int
    score: float | None
    similarity: float | None
    text: str | None


@dataclass(frozen=True)
class ChoiceExplanation:
    """What a strategy found about one sample, and why it took or left it.

    Attributes:
        row: its row.
        id: its id; None if it has none.
        turns: its turns, `(role, content)`; None where the pool cannot be read any more.
        strategy: the strategy's name.
        curated: whether the scores were corrected before it looked at them.
        score: its score; None if it has none.
        above: share of the scored samples that have a lower score; None without a score.
        rank: its place among the selected; None if it was not selected.
        selected: whether it was.
        n: how many were selected.
        reason: why, or why not.
        last_in: the last sample that was selected.
        nearest: the most similar other samples that were selected, nearest first; empty where the
            strategy looked at no features.
    """

    row: int
    id: str | None
    turns: tuple[tuple[str, str], ...] | None
    strategy: str
    curated: bool
    score: float | None
    above: float | None
    rank: int | None
    selected: bool
    n: int
    reason: str
    last_in: Rival | None
    nearest: tuple[Rival, ...]

    def to_dict(self) -> dict[str, Any]:
        """Write it as JSON-able values."""
        return asdict(self)


def explain_choice(
    run: ChosenRun,
    samples: Samples,
    row: int,
    turns: tuple[tuple[str, str], ...] | None,
    k: int,
) -> ChoiceExplanation:
    """Say what a strategy made of a sample.

    Args:
        run: the run.
        samples: the samples of its pool.
        row: the sample.
        turns: its turns, if they can be read.
        k: similar samples to name.

    Raises:
        RunError: if its features are gone or have changed.

    Cost: one comparison with every selected sample.
    """
    own = run.sheet.row(row, named=True)
    scores, score = run.sheet["ds2_strategy_score"].drop_nulls(), own["ds2_strategy_score"]
    chosen = run.sheet.filter(run.sheet["ds2_selected"]).sort("ds2_rank")
    last = chosen["ds2_index"][-1]
    return ChoiceExplanation(
        row=row,
        id=samples.about(row)["id"],
        turns=turns,
        strategy=run.report["strategy"]["name"],
        curated=run.report["strategy"]["curated"],
        score=score,
        above=None if score is None else float((scores < score).sum() / len(scores)),
        rank=own["ds2_rank"],
        selected=own["ds2_selected"],
        n=len(chosen),
        reason=own["ds2_reason"],
        last_in=None if last == row else _rival(run.sheet, samples, last, None),
        nearest=_nearest(run, samples, row, chosen, k),
    )


def _nearest(
    run: ChosenRun, samples: Samples, row: int, chosen: pl.DataFrame, k: int
) -> tuple[Rival, ...]:
    """The selected samples that are most similar; ties by row."""
    if "features" not in run.report or "features" not in run.manifest:
        return ()
    from ds2_fast.knn.cosine import cosines
    from ds2_fast.source import reopen_features

    rows = reopen_features(run.path, run.manifest).rows
    others = np.sort(chosen["ds2_index"].to_numpy())
    others = others[others != row].astype(np.int64)
    similar = cosines(np.asarray(rows[row : row + 1]), rows, others[None])[0]
    order = np.argsort(-similar, kind="stable")[:k]
    return tuple(
        _rival(run.sheet, samples, int(others[place]), float(similar[place])) for place in order
    )


def _rival(sheet: pl.DataFrame, samples: Samples, row: int, similarity: float | None) -> Rival:
    about, own = samples.about(row), sheet.row(row, named=True)
    return Rival(
        row, about["id"], own["ds2_rank"], own["ds2_strategy_score"], similarity, about["text"]
    )


def lay_out_choice(found: ChoiceExplanation, width: int) -> Iterator[tuple[str, str]]:
    """Write it as lines: a style (`bold`, `dim` or none) and the text.

    Args:
        found: what is explained.
        width: of the terminal, in characters; lines are at most so long where that can be.
    """
    fate = f"not selected: {found.reason}"
    if found.selected:
        fate = f"selected by {found.strategy}, rank {found.rank:,} of {found.n:,}"
    head = printable(f"{name_sample(found.row, found.id)}: {fate}")
    for line in textwrap.wrap(head, max(width, LEAST_TEXT)):
        yield "bold", line
    for role, content in found.turns or ():
        yield "", ""
        yield "dim", f"[{role}]"
        yield from shorten_turn(content, width)
    yield "", ""
    yield "bold", f"Score by {printable(found.strategy)}"
    if found.score is None or found.above is None:
        yield "", f"{INDENT}none"
    else:
        curated = ", of curated scores" if found.curated else ""
        told = f"{found.score:.6g}{curated}: above {found.above:.1%} of all that have a score"
        yield from wrap_line(told, width)
    if found.last_in is not None:
        yield from _rival_lines(f"rank {found.last_in.rank:,}, last in", found.last_in, width)
    if found.nearest:
        yield "", ""
        yield "bold", "Most similar samples that were selected"
    for rival in found.nearest:
        yield from _rival_lines(f"{rival.similarity:.4f}  rank {rival.rank:,}", rival, width)


def _rival_lines(head: str, rival: Rival, width: int) -> Iterator[tuple[str, str]]:
    score = "" if rival.score is None else f", score {rival.score:.6g}"
    yield "", f"{INDENT}{head}{score}"
    text = f"{name_sample(rival.row, rival.id)}  {rival.text or ''}"
    yield "dim", INDENT * 2 + in_one_line(text, width - 4)
