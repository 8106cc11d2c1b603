"""The ratings of a run directory: looked at, taken out, read again, asked for by batch files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ds2_fast.errors import RatingError, RunError
from ds2_fast.line import default_run_dir
from ds2_fast.rundir import read_manifest
from ds2_fast.scoring import JOURNAL
from ds2_fast.source import reopen_pool

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ds2_fast.pool import Pool
    from ds2_fast.rating.batch import Imported
    from ds2_fast.rating.plan import RatingPlan
    from ds2_fast.rating.result import Ratings
    from ds2_fast.rating.review import RunStatus

_RATE_FIRST = "rate with `ds2-fast rate POOL --model NAME`; it may be stopped at any time"


def find_journal(run_dir: str | Path) -> Path:
    """The journal of a run directory.

    Raises:
        RunError: if there is none.
    """
    path = Path(run_dir) / JOURNAL
    if not path.is_file():
        raise RunError(f"`{run_dir}` holds no ratings: it has no {JOURNAL}", _RATE_FIRST)
    return path


def read_ratings_status(run_dir: str | Path) -> tuple[list[RunStatus], dict[str, Any]]:
    """What a run directory has of ratings; see `ds2_fast.rating.review.read_status`.

    Raises:
        RunError: if it has none.
    """
    from ds2_fast.rating.review import read_status

    return read_status(find_journal(run_dir))


def export_ratings(
    run_dir: str | Path, output: str | Path, *, with_pool: bool = False
) -> dict[str, Ratings]:
    """Write what a run has of ratings so far, finished or not, row for row with its pool.

    Nothing is asked. Every rater of the run has columns of its own, see
    `ds2_fast.rating.columns.rating_columns`.

    Args:
        run_dir: the run directory, made by `rate` or `select`.
        output: a parquet file; with the pool, a file of any kind a pool may have.
        with_pool: write the pool's own columns too: such a file can be selected from with
            `--score-col rating_NAME`.

    Returns:
        The ratings by the name of the rater's columns.

    Raises:
        RunError: if there are no ratings, or the pool is gone or has changed.
        PoolError: if the output is the pool or of a kind that is not known.
    """
    from ds2_fast.pool import check_output

    run, journal = Path(run_dir), find_journal(run_dir)
    pool = reopen_pool(run, read_manifest(run))
    check_output(pool, output, suffix=None if with_pool else ".parquet")
    found = _collect(pool, journal)
    if not found:
        raise RunError(f"`{journal}` tells of no run whose answers are of this pool", _RATE_FIRST)
    write_ratings(pool, found, output, with_pool=with_pool)
    return found


def _collect(pool: Pool, journal: Path) -> dict[str, Ratings]:
    """The ratings of every way of asking that has answered a sample of the pool."""
    from ds2_fast.rating.columns import slugs
    from ds2_fast.rating.header import find_headers
    from ds2_fast.rating.jobs import build_jobs
    from ds2_fast.rating.journal import load_journal
    from ds2_fast.rating.result import Ratings, build_frame
    from ds2_fast.rating.stored import find_stored

    conversations, loaded = pool.conversations(), load_journal(journal)
    ratings: list[Ratings] = []
    for header in find_headers(journal).values():
        asking = header.asking
        jobs = build_jobs(conversations, asking, header.limit, header.repeats)
        stored = find_stored(jobs, loaded)
        if stored.results:
            summary = {"model": asking.model, "prompt": asking.prompt.name, "run": header.id}
            frame = build_frame(jobs, stored.results)
            ratings.append(Ratings(frame, asking.prompt.num_classes, summary))
    names = slugs([found.summary["model"] for found in ratings])
    return dict(zip(names, ratings, strict=True))


def collect_ratings(
    pool: Pool, journal: Path, *, but: Collection[str] = ()
) -> list[NDArray[np.int8]]:
    """The classes other raters of a journal gave a pool.

    Args:
        pool: the pool.
        journal: may not exist.
        but: models to leave out.

    Returns:
        int8 `(N,)` for each way of asking that has answered, -1 = unrated.
    """
    if not journal.is_file():
        return []
    found = _collect(pool, journal).values()
    return [ratings.scores for ratings in found if ratings.summary["model"] not in but]


def write_ratings(
    pool: Pool, found: Mapping[str, Ratings], output: str | Path, *, with_pool: bool = False
) -> None:
    """Write the columns of several raters of a pool.

    Args:
        pool: their pool.
        found: their ratings, by the name of their columns.
        output: the file.
        with_pool: the pool's own columns first; else the samples' ids, if they have some, and the
            summaries in the metadata of the parquet file.
    """
    import polars as pl

    from ds2_fast.atomic import atomic_path
    from ds2_fast.pool import write_subset
    from ds2_fast.rating.columns import rating_columns, sample_columns

    columns = [rating_columns(ratings.frame, name) for name, ratings in found.items()]
    flags = sample_columns([ratings.frame for ratings in found.values()])
    frame = pl.concat([*columns, flags], how="horizontal")
    if with_pool:
        write_subset(pool, range(len(pool)), output, add_columns=frame)
        return
    ids = [] if pool.ids is None else [pool.ids.alias("id").to_frame()]
    about = json.dumps({name: ratings.summary for name, ratings in found.items()})
    with atomic_path(output) as temporary:
        whole = pl.concat([*ids, frame], how="horizontal")
        whole.write_parquet(temporary, metadata={"ds2_fast": about})


def reparse_ratings(run_dir: str | Path) -> Counter[str]:
    """Read the stored answers of a run again; see `ds2_fast.rating.review.reparse`.

    Raises:
        RunError: if there is no journal, or it is in use.
    """
    from ds2_fast.rating.lock import run_lock
    from ds2_fast.rating.review import reparse

    journal = find_journal(run_dir)
    with run_lock(journal):
        return reparse(journal)


def export_batch(
    data: Sequence[str],
    model: str,
    folder: str | Path | None = None,
    *,
    run_dir: str | Path | None = None,
    pool_options: Mapping[str, Any] | None = None,
    rating_options: Mapping[str, Any] | None = None,
) -> tuple[list[Path], RatingPlan]:
    """Write what is left to rate as batch files in the OpenAI format; nothing is sent.

    Args:
        data: the pool's files.
        model: the rating model.
        folder: where the files go; None for `batch` in the run directory.
        run_dir: the run directory; None for the one beside the pool.
        pool_options: how the pool is read.
        rating_options: as `ds2_fast.rating.rate`; those of the live engine say nothing here.

    Returns:
        The files, and the plan: counts and cost.

    Raises:
        PoolError: if the pool cannot be read.
        RatingError: if everything is rated.
        RunError: if the journal is in use.
    """
    from ds2_fast.atomic import atomic_path
    from ds2_fast.line import open_line
    from ds2_fast.pool import read_pool
    from ds2_fast.progress import QUIET
    from ds2_fast.rating.batch import batch_lines, chunk_lines
    from ds2_fast.rating.columns import slug
    from ds2_fast.rating.header import write_header
    from ds2_fast.rating.journal import Journal, load_journal
    from ds2_fast.rating.lock import run_lock
    from ds2_fast.rating.plan import make_plan
    from ds2_fast.rating.run import set_up_from
    from ds2_fast.source import record_pool

    options = dict(rating_options or {})
    pool = read_pool(list(data), **(pool_options or {}))
    run = Path(run_dir) if run_dir is not None else default_run_dir(pool.inputs[0])
    setup = set_up_from(model, options)
    files: list[Path] = []
    with open_line(run, QUIET) as line, run_lock(run / JOURNAL):
        record_pool(line, pool, pool_options)
        jobs = setup.jobs(pool.conversations())
        stored = setup.stored(jobs, load_journal(run / JOURNAL))
        plan = make_plan(jobs, stored, setup.endpoint, setup.price)
        if not stored.todo:
            raise RatingError("every sample has an answer: there is nothing to export")
        price = None if setup.price is None else setup.price.by_batch
        with closing(Journal(run / JOURNAL)) as journal:
            header = write_header(journal, setup, plan, price)
        params = {**setup.asking.params, **_batch_params(options)}
        target = Path(folder) if folder is not None else run / "batch"
        target.mkdir(parents=True, exist_ok=True)
        lines = batch_lines(jobs, stored.todo, header, params)
        for number, chunk in enumerate(chunk_lines(lines), 1):
            file = target / f"{slug(model)}-{header.id}-{number:04}.jsonl"
            with atomic_path(file) as temporary:
                temporary.write_bytes(b"".join(chunk))
            files.append(file)
    return files, replace(plan, cost=plan.cost if plan.batch_cost is None else plan.batch_cost)


def _batch_params(options: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters beside those that shape a sample's identity.

    Probabilities of tokens are asked for only where they are required: a model that refuses the
    parameter would refuse every line, and nobody is there to try without.
    """
    from ds2_fast.scoring import argument

    params: dict[str, Any] = {}
    if (most := argument("max_tokens", options)) is not None:
        params["max_tokens"] = most
    if argument("expected", options) == "require":
        params |= {"logprobs": True, "top_logprobs": 20}
    return params


def import_batch(run_dir: str | Path, files: Sequence[str | Path]) -> Imported:
    """Read result files of a provider into the journal of a run.

    Raises:
        RunError: if there is no journal, it is in use, or a file cannot be read.
    """
    from ds2_fast.rating.batch import import_results
    from ds2_fast.rating.lock import run_lock

    journal = find_journal(run_dir)
    try:
        with run_lock(journal):
            return import_results(journal, [Path(file) for file in files])
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise RunError(f"cannot read or write `{error.filename}`: {reason}") from error


def import_ratings(
    data: Sequence[str],
    column: str,
    output: str | Path,
    *,
    name: str | None = None,
    scale: str = "auto",
    pool_options: Mapping[str, Any] | None = None,
) -> tuple[str, tuple[str, ...]]:
    """Write a pool whose ratings stand in a column with them in the form of this tool.

    A number, a text of one, a struct with a field `overall`, or DS2's lists of four ratings; its
    mark of an unreadable answer, `[0, 0, 0, 0]` on 1 to 10, becomes null.

    Args:
        data: the pool's files.
        column: where the ratings are.
        output: the file, with the pool's columns and `rating_NAME`, `rating_NAME_raw_overall` and
            `rating_NAME_why`.
        name: NAME; None for one made from the column's.
        scale: see `ds2_fast.pool.read_scores`.
        pool_options: how the pool is read.

    Returns:
        A sentence on the scores, and notices.

    Raises:
        PoolError: if the pool or the column cannot be read, or the output not written.
    """
    import polars as pl

    from ds2_fast.pool import check_output, read_pool, read_scores, write_subset
    from ds2_fast.rating.columns import slug

    pool = read_pool(list(data), **(pool_options or {}))
    check_output(pool, output)
    scores = read_scores(pool, column, scale)
    own = slug(name or column)
    known = scores.values >= 0
    frame = pl.DataFrame(
        {
            f"rating_{own}": pl.Series(scores.values).set(pl.Series(~known), None),
            f"rating_{own}_raw_overall": scores.raw.cast(pl.Float32),
            f"rating_{own}_why": pl.Series([None if yes else "imported_null" for yes in known],
                                           dtype=pl.String),
        }
    )  # fmt: skip
    write_subset(pool, range(len(pool)), output, add_columns=frame)
    return scores.verdict, scores.notices
