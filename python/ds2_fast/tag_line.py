"""Intention tags of a pool: asked for, kept in a run directory, and found there again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ds2_fast import artifacts
from ds2_fast.atomic import atomic_path
from ds2_fast.errors import PoolError
from ds2_fast.line import Line, open_line
from ds2_fast.progress import QUIET, Narrator
from ds2_fast.source import open_pool, record_pool

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.pool import Pool
    from ds2_fast.rundir import Stage
    from ds2_fast.tagging import Tags

JOURNAL = "tags.jsonl"
STAGE = "tags"

Queries = list[list[tuple[str, str]]]


def tag(
    data: object,
    model: str,
    *,
    output: str | Path | None = None,
    run_dir: str | Path | None = None,
    pool_options: Mapping[str, Any] | None = None,
    tag_options: Mapping[str, Any] | None = None,
    ask: Callable[..., Tags] | None = None,
    narrator: Narrator = QUIET,
) -> Tags:
    """Ask a language model for the intention tags of what the user of every sample says.

    They are what the strategy `instag` selects by; it finds them in the run directory.

    Args:
        data: the pool, see `select`.
        model: litellm name, `provider/model`.
        output: `.parquet` file that gets the tags, with the samples' ids.
        run_dir: see `select`; for data in memory give one, or a killed run begins anew.
        pool_options: see `select`.
        tag_options: further arguments of `ds2_fast.tagging.tag_queries`.
        ask: what is called in place of that function, with the same arguments.
        narrator: is told what happens.

    Returns:
        The tags, one entry a sample in pool order.

    Raises:
        PoolError: the pool cannot be read, is not split into turns, or the output is the pool or no
            `.parquet`.
        RatingError: the provider refuses, does not answer, or too many answers could not be read.
        BudgetReachedError: the money is spent; what was bought is kept, and the same call goes on.
    """
    from ds2_fast.pool import check_output

    pool, folder = open_pool(data, run_dir, pool_options, narrator)
    if output is not None:
        check_output(pool, output, suffix=".parquet")
    with open_line(folder, narrator) as line:
        tags = tag_pool(line, pool, model, tag_options or {}, ask).value
        record_pool(line, pool, pool_options)
    if output is not None:
        ids = [] if pool.ids is None else [pool.ids.alias("ds2_id")]
        with atomic_path(output) as temporary:
            indexed = tags.frame.with_row_index("ds2_index")
            indexed.select("ds2_index", *ids, *tags.frame.columns).write_parquet(temporary)
        narrator.done("wrote", f"the tags of {len(tags):,} samples to {output}")
    return tags


def queries_of(pool: Pool) -> Queries:
    """What the user says in each sample of a pool, as turns.

    Raises:
        PoolError: the pool holds text that is not split into turns.
    """
    if pool.schema.text is not None:
        raise PoolError(
            f"the text `{pool.schema.text}` does not tell what the user says",
            "name the columns of both sides with `--prompt-col` and `--response-col`, or the "
            "column of turns with `--messages-col`",
        )
    return [
        [(turn.role, turn.content) for turn in turns if turn.role == "user"]
        for turns in pool.conversations()
    ]


def tag_pool(
    line: Line,
    pool: Pool,
    model: str,
    options: Mapping[str, Any],
    ask: Callable[..., Tags] | None = None,
) -> Stage[Tags]:
    """Tag a pool in a run directory; an answer that was bought before is never bought again.

    Args:
        line: where tags are kept: `tags.parquet`, and the answers in `tags.jsonl`.
        pool: the pool.
        model: who is asked.
        options: arguments of `ds2_fast.tagging.tag_queries`.
        ask: what is called in place of it.

    Raises:
        PoolError, RatingError, BudgetReachedError: see `tag`.
    """
    from ds2_fast.tagging import tag_queries
    from ds2_fast.tagging.asking import argument, tag_identity

    queries = queries_of(pool)
    if options.get("retry_null"):
        line.run.forget(STAGE)

    def stage() -> Stage[Tags]:
        return line.stage(
            STAGE,
            artifacts.TAGS,
            lambda _: (ask or tag_queries)(
                queries, model, journal_path=line.run.path / JOURNAL, **options
            ),
            inputs={"queries": artifacts.digest_rows(queries)},
            params=tag_identity(model, options),
            unit="samples",
            told=_told,
        )

    tags = stage()
    if tags.reused and tags.value.summary["null_share"] > argument("max_null", options):
        # Good enough for an earlier run; this one says why not.
        line.run.forget(STAGE)
        tags = stage()
    return tags


def stored_tags(line: Line, pool: Pool) -> pl.Series | None:
    """Find the tags that `tag_pool` left in a run directory.

    Returns:
        The column of tags, null where a sample has none; None if there are no tags, or they are of
        other samples.

    Raises:
        PoolError: their file is damaged.
    """
    made = line.run.manifest["stages"].get(STAGE)
    if made is None or pool.schema.text is not None:
        return None
    inputs = {"queries": artifacts.digest_rows(queries_of(pool))}
    if made["inputs"] != inputs:
        return None

    def damaged(_: object) -> Tags:
        raise PoolError(
            f"the tags in `{line.run.path}` are damaged or gone",
            "run the same `ds2-fast tag` again: answers that are stored are not bought again",
        )

    return line.stage(
        STAGE,
        artifacts.TAGS,
        damaged,
        inputs=inputs,
        params=made["params"],
        unit="samples",
        told=_told,
    ).value.frame["tags"]


def _told(tags: Tags) -> str:
    summary = tags.summary
    cost = summary["cost"]["total"]
    parts = [f"{summary['model']} gave {summary['tagged']:,} samples "
             f"{summary['distinct_tags']:,} tags"]  # fmt: skip
    if summary["null"]:
        reasons = ", ".join(f"{why} {count:,}" for why, count in summary["reasons"].items())
        parts.append(f"{summary['null']:,} without ({reasons})")
    parts.append("at an unknown price" if cost is None else f"${cost:,.2f}")
    return ", ".join(parts)
