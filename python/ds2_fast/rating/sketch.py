"""The plan of a large pool nobody was asked about: at a glance, not sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ds2_fast.rating.jobs import build_jobs
from ds2_fast.rating.plan import RatingPlan
from ds2_fast.rating.render import Conversation
from ds2_fast.rating.tokens import COUNTED, TokenRate, estimate_rate

if TYPE_CHECKING:
    from ds2_fast.rating.run import Setup

SKETCH_FROM = 10_000
_Z95 = 1.96


def sketch_plan(setup: Setup, conversations: Sequence[Conversation]) -> RatingPlan:
    """Estimate what a first run over a pool would ask and cost.

    Duplicates and samples without text are counted; what rendering does to a sample (its frame, its
    cuts) is estimated from 2,000 of them, evenly drawn. Tokens are `requests * mean`, corrected by
    how long the drawn texts are against all of them: `mean(tokens) + b (mean(length) -
    mean_drawn(length))` with b the slope of tokens on length (a regression estimator).

    Args:
        setup: what would be asked.
        conversations: the pool.

    Returns:
        The plan. Cost: about 2 us a sample and 0.5 s.
    """
    within = conversations if setup.limit is None else conversations[: setup.limit]
    distinct: dict[tuple[object, ...], int] = {}
    empty = 0
    for row, conversation in enumerate(within):
        if any(content.strip() for _, content in conversation):
            distinct.setdefault(tuple(conversation), row)
        else:
            empty += 1
    rows = np.fromiter(distinct.values(), np.int64, len(distinct))
    cap = setup.asking.max_bytes
    lengths = np.array([min(cap, sum(len(text) for _, text in within[row])) for row in rows])
    places = np.unique(np.linspace(0, max(0, len(rows) - 1), COUNTED).astype(int))
    places = places[: len(rows)]
    jobs = build_jobs([within[row] for row in rows[places]], setup.asking)
    rate = estimate_rate(jobs, range(len(jobs)), len(rows))
    requests = len(rows) * setup.repeats
    sizes = np.array(jobs.sizes)[jobs.job_of_row]
    tokens, error = _total(rate, sizes, lengths, places)
    tokens_in, tokens_out = round(tokens * setup.repeats), round(rate.output * requests)
    share = float(jobs.truncated.mean()) if len(places) else 0.0
    return RatingPlan(
        model=setup.asking.model,
        endpoint=setup.endpoint.shown,
        prompt=setup.asking.prompt.name,
        repeats=setup.repeats,
        rows=len(within),
        duplicates=len(within) - empty - len(rows),
        empty=empty,
        truncated=round(share * len(within)),
        stored=0,
        to_rate=requests,
        input_tokens=tokens_in,
        output_tokens=tokens_out,
        price=setup.price,
        cost=None if setup.price is None else setup.price.cost(tokens_in, tokens_out),
        spent=0.0,
        basis=rate.basis,
        error=error,
        task=setup.asking.kind.task,
    )


def _total(
    rate: TokenRate, sizes: np.ndarray, lengths: np.ndarray, places: np.ndarray
) -> tuple[float, float | None]:
    """Input tokens of all distinct samples, and the half width of their interval as a share."""
    if not len(places):
        return 0.0, None
    drawn, tokens = lengths[places], sizes * rate.per_byte + rate.frame
    spread = drawn.var()
    slope = (
        float(((drawn - drawn.mean()) * (tokens - tokens.mean())).mean() / spread)
        if spread
        else 0.0
    )
    mean = tokens.mean() + slope * (lengths.mean() - drawn.mean())
    rest = tokens - tokens.mean() - slope * (drawn - drawn.mean())
    share = _Z95 * rest.std() / np.sqrt(len(tokens)) / mean
    counted = rate.error or 0.0
    return float(mean * len(lengths)), float(np.hypot(share, counted))
