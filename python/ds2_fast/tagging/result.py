"""Tags as a column aligned with the pool, and the summary of a run."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2_fast.rating.jobs import EMPTY
from ds2_fast.rating.result import RATED

if TYPE_CHECKING:
    import polars as pl

    from ds2_fast.rating.running import Ran

OK = RATED


@dataclass(frozen=True)
class Tags:
    """Intention tags of a pool.

    Attributes:
        frame: one row for each row of the pool, in its order: `tags`, a list of texts (lower case,
            each once, at least one) or null; `tags_status`, `ok` or the reason there are none.
        summary: counts, tokens, cost, model; JSON-able.
    """

    frame: pl.DataFrame
    summary: dict[str, Any]

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.frame)


def build_tags(ran: Ran) -> pl.DataFrame:
    """Spread the tags of the distinct samples over the rows of the pool."""
    import polars as pl

    records = [ran.results.get(key) for key in ran.jobs.keys]
    tags = [None if record is None else record.ratings for record in records]
    said = [
        "not_tagged" if record is None else OK if record.ratings is not None else record.why
        for record in records
    ]
    rows = ran.jobs.job_of_row.tolist()
    return pl.DataFrame([
        pl.Series(
            "tags",
            [None if row == EMPTY else tags[row] for row in rows],
            dtype=pl.List(pl.String),
        ),
        pl.Series(
            "tags_status",
            ["empty_sample" if row == EMPTY else said[row] for row in rows],
            dtype=pl.String,
        ),
    ])  # fmt: skip


def summarize_tags(ran: Ran, frame: pl.DataFrame) -> dict[str, Any]:
    """Put the figures of a run into a JSON-able dict."""
    tags = Counter(tag for found in frame["tags"].drop_nulls().to_list() for tag in found)
    status = Counter(frame["tags_status"].to_list())
    tagged = status.pop(OK, 0)
    spending, plan, asking = ran.spending, ran.plan, ran.jobs.asking
    known = spending.price is not None
    summary: dict[str, Any] = {
        "rows": len(frame),
        "tagged": tagged,
        "null": status.total(),
        "null_share": status.total() / len(frame) if len(frame) else 0.0,
        "reasons": dict(status.most_common()),
        "distinct_tags": len(tags),
        "tags_per_sample": tags.total() / tagged if tagged else None,
        "samples": {
            "unique": plan.stored + plan.to_rate,
            "duplicates": plan.duplicates,
            "stored": plan.stored,
            "asked": plan.to_rate,
            "truncated": int(np.count_nonzero(ran.jobs.truncated)),
        },
        "requests": ran.engine.tally.requests,
        "failures": dict(ran.engine.tally.failures.most_common()),
        "tokens": {
            "input": spending.input_tokens,
            "output": spending.output_tokens,
            "cached": spending.cached_tokens,
        },
        "cost": {
            "total": spending.spent if known else None,
            "this_run": spending.spent - ran.spent_before if known else None,
            "possible": spending.possible,
            "price": None if spending.price is None else spending.price.source,
        },
        "model": asking.model,
        "endpoint": plan.endpoint,
        "params": dict(asking.params),
        "prompt": {"name": asking.prompt.name, "hash": asking.prompt.digest},
        "journal_lines_unreadable": ran.loaded.unreadable,
        "seconds": ran.seconds,
        "warnings": [],
    }
    if ran.loaded.in_flight:
        summary["warnings"].append(
            f"an earlier run was killed: about {ran.loaded.in_flight} answers may be paid and lost"
        )
    return summary
