"""The stage that chooses: the ranking, its safeguards, and the account of both."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

from ds2_fast import artifacts
from ds2_fast.account import make_account
from ds2_fast.kcenter import Centers, choose_centers, most_seconds
from ds2_fast.progress import Progress
from ds2_fast.quotas import Groups
from ds2_fast.safeguards import Safeguards, Tie, apply_safeguards
from ds2_fast.scoresheet import score_sheet
from ds2_fast.selection import Preset, rank_samples
from ds2_fast.terminal import duration

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.analysis import Analysis
    from ds2_fast.bought import Bought
    from ds2_fast.line import Line
    from ds2_fast.pool import Pool
    from ds2_fast.rundir import Stage

_LONG = 60
"""Seconds from which on the user is told beforehand."""


class Choice(NamedTuple):
    """What the stage makes.

    Attributes:
        sheet: one row per pool row with everything found about it.
        account: what each step of the selection removed or moved, JSON-able; `budget` is what a
            budget brought.
    """

    sheet: pl.DataFrame
    account: dict[str, Any]


def make_choice(
    line: Line,
    pool: Pool,
    found: Analysis,
    *,
    n: int | None,
    order: Preset,
    keep_outliers: bool,
    safeguards: Safeguards,
    groups: Groups | None,
    threads: int | None,
    starting: tuple[str, ...],
    bought: Stage[Bought] | None = None,
) -> Choice:
    """Rank, trim, drop duplicates, keep quotas, fill, and take the first n.

    Args:
        line: where the artifacts go.
        pool: the pool.
        found: what the stages before found.
        n: how many samples; None for none.
        order: order of the dual sort.
        keep_outliers: set no outliers aside.
        safeguards: what is asked for beyond the dual sort.
        groups: the group of every sample, if the pool has groups.
        threads: for k-center, at most so many.
        starting: names of the files that tell of the choice before, removed when a new one is made.
        bought: what a budget brought, if there is one.

    Raises:
        PoolError: if fewer than n samples are left, or the quotas cannot be.
    """
    curated, tail = found.curated.value, found.longtail.value

    def compute(progress: Progress) -> Choice:
        def fill(tie: Tie) -> Centers:
            return _fill(line, found, tie, threads, progress)

        ranking = rank_samples(
            curated.curated,
            curated.expected,
            tail,
            preset=order,
            n=n,
            keep_outliers=keep_outliers,
        )
        chosen = apply_safeguards(
            ranking, found.neighbors, safeguards, n=n, groups=groups, fill=fill
        )
        for name in starting:
            (line.run.path / name).unlink(missing_ok=True)
        sheet = score_sheet(
            pool,
            scores=found.scores,
            status=found.status,
            curated=curated,
            longtail=tail,
            chosen=chosen,
            projection=found.projection.value,
            graph=found.neighbors,
            bought=None if bought is None else bought.value.frame,
        )
        if found.panel is not None:
            sheet = sheet.hstack(found.panel.columns())
        account = make_account(chosen, safeguards, groups)
        if bought is not None:
            account["budget"] = bought.value.account
        return Choice(sheet, account)

    inputs = {
        "curation": found.curated.digest,
        "longtail": found.longtail.digest,
        "scores": artifacts.digest_array(found.scores.values),
        "map": found.projection.digest,
        "neighbors": artifacts.digest_array(found.neighbors.indices),
        "similarities": artifacts.digest_array(found.neighbors.similarities),
        "sheet": artifacts.digest_columns(pool.ids, found.scores.raw, found.status),
    }
    if bought is not None:
        inputs["budget"] = bought.digest
    if safeguards.fill == "kcenter":
        inputs["features"] = found.features.digest
    if groups is not None:
        inputs["groups"] = artifacts.digest_rows([groups.names, groups.codes.tolist()])
    return line.stage(
        "selection",
        artifacts.SELECTION,
        compute,
        inputs=inputs,
        params={"n": n, "order": order, "keep_outliers": keep_outliers, **safeguards.params()},
        unit="rows",
        told=lambda choice: (
            "ranked the pool" if n is None else f"selected {n:,} of {len(choice.sheet):,} samples"
        ),
    ).value


def _fill(
    line: Line, found: Analysis, tie: Tie, threads: int | None, progress: Progress
) -> Centers:
    rows, compared = found.features.rows, len(tie.above) + sum(tie.seats)
    cores = os.cpu_count() or 1
    seconds = most_seconds(
        len(tie.candidates), compared, rows.shape[1], min(threads or cores, cores)
    )
    if seconds >= _LONG:
        line.narrator.note(
            f"k-center compares {len(tie.candidates):,} samples with {compared:,} others, which "
            f"should take {duration(seconds)} at most"
        )
    return choose_centers(
        rows,
        tie.above,
        tie.candidates,
        groups=tie.groups,
        seats=tie.seats,
        allow_zero=found.features.allow_zero,
        threads=threads,
        progress=progress,
    )
