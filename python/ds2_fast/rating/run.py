"""A rating run from the pool to the frame: what `rate` and `plan_rating` do."""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ds2_fast.errors import RatingError
from ds2_fast.rating.chances import EXPECTED, Expected
from ds2_fast.rating.endpoint import Endpoint, open_endpoint
from ds2_fast.rating.jobs import Asking, Jobs, build_jobs
from ds2_fast.rating.journal import Loaded, load_journal
from ds2_fast.rating.money import Price, find_price
from ds2_fast.rating.plan import RatingPlan, make_plan
from ds2_fast.rating.probe import probe_injection
from ds2_fast.rating.progress import RatingProgress
from ds2_fast.rating.prompt import Prompt, load_prompt
from ds2_fast.rating.render import BYTES_PER_TOKEN, Conversation
from ds2_fast.rating.result import RATED, SKIPPED, Ratings, build_frame, count_status
from ds2_fast.rating.rules import Rules
from ds2_fast.rating.running import run_jobs
from ds2_fast.rating.sketch import SKETCH_FROM, sketch_plan
from ds2_fast.rating.stored import Stored, find_stored
from ds2_fast.rating.summary import summarize
from ds2_fast.rating.transport import Transport

if TYPE_CHECKING:
    import polars as pl

_OWN = {"temperature", "max_tokens", "model", "messages", "logprobs", "top_logprobs"}
TRANSPORTS = ("litellm", "direct")


@dataclass(frozen=True)
class Setup:
    """What a plan and a run have in common: all that decides what is asked and what it costs."""

    asking: Asking
    endpoint: Endpoint
    price: Price | None
    limit: int | None
    retry_null: bool
    expected: Expected = "auto"
    repeats: int = 1
    transport: str = "litellm"

    def jobs(self, conversations: Sequence[Conversation]) -> Jobs:
        """The requests of a pool."""
        return build_jobs(conversations, self.asking, self.limit, self.repeats)

    def stored(self, jobs: Jobs, loaded: Loaded) -> Stored:
        """What a journal answers already."""
        need = self.expected == "require"
        return find_stored(jobs, loaded, retry_null=self.retry_null, need_chances=need)


def set_up(
    model: str,
    *,
    prompt: str | Path | Prompt,
    api_base: str | None,
    api_key_env: str | None,
    endpoint_label: str | None,
    insecure_http: bool,
    temperature: float | None,
    params: Mapping[str, Any] | None,
    max_sample_tokens: int,
    price_in: float | None,
    price_out: float | None,
    limit: int | None,
    retry_null: bool,
    expected: Expected,
    repeats: int,
    transport: str = "litellm",
) -> Setup:
    """Check the options that shape requests; see `rate` for their meaning.

    Raises:
        ValueError: if a number is out of its range, a parameter has an option of its own, or there
            is no such transport.
        RatingError: if the prompt or the endpoint cannot be used.
    """
    if not model:
        raise ValueError("model must name a model, got an empty text")
    if transport not in TRANSPORTS:
        raise ValueError(f"transport must be one of {', '.join(TRANSPORTS)}, got {transport!r}")
    _at_least("max_sample_tokens", max_sample_tokens, 64)
    if limit is not None:
        _at_least("limit", limit, 0)
    _at_least("repeats", repeats, 1)
    if repeats > 1 and temperature == 0:
        raise ValueError(
            f"repeats = {repeats} at temperature 0 would buy the same answer again: "
            "set temperature to 1"
        )
    if expected not in EXPECTED:
        raise ValueError(f"expected must be auto, off or require, got {expected!r}")
    sent = dict(params or {})
    if own := sorted(_OWN & set(sent)):
        raise ValueError(f"params must not hold {own[0]!r}: it has an argument of its own")
    if temperature is not None:
        sent["temperature"] = temperature
    endpoint = open_endpoint(
        api_base, api_key_env=api_key_env, insecure_http=insecure_http, label=endpoint_label
    )
    asking = Asking(
        model, endpoint.id, load_prompt(prompt), sent, int(max_sample_tokens * BYTES_PER_TOKEN)
    )
    price = find_price(model, endpoint, price_in, price_out)
    return Setup(asking, endpoint, price, limit, retry_null, expected, repeats, transport)


def set_up_from(model: str, options: Mapping[str, Any]) -> Setup:
    """`set_up` from arguments of `rate`, those left out at their defaults, the others unread."""
    from ds2_fast.rating import rate

    defaults = inspect.signature(rate).parameters
    named = [n for n, p in inspect.signature(set_up).parameters.items() if p.kind is p.KEYWORD_ONLY]
    return set_up(model, **{name: options.get(name, defaults[name].default) for name in named})


def plan_run(
    setup: Setup, conversations: Sequence[Conversation], journal_path: Path | None
) -> RatingPlan:
    """Count what a run would ask and estimate what it would cost."""
    loaded = Loaded()
    if journal_path is not None:
        loaded = load_journal(journal_path, setup.asking.kind.restore)
    if not loaded.records and len(conversations) >= SKETCH_FROM:
        return sketch_plan(setup, conversations)
    jobs = setup.jobs(conversations)
    stored = setup.stored(jobs, loaded)
    return make_plan(jobs, stored, setup.endpoint, setup.price)


@dataclass(frozen=True)
class Limits:
    """What a run may use: see `rate`."""

    max_concurrency: int
    rpm: float | None
    tpm: float | None
    max_cost: float | None
    max_null: float
    rules: Rules

    def check(self, price: Price | None, model: str) -> None:
        """Raise ValueError for a number out of range, RatingError if a cap could not be kept."""
        _at_least("max_concurrency", self.max_concurrency, 1)
        _at_least("reask", self.rules.reask, 0)
        for name, value in (
            ("rpm", self.rpm),
            ("tpm", self.tpm),
            ("timeout", self.rules.timeout),
            ("give_up", self.rules.give_up),
            ("max_tokens", self.rules.max_tokens),
        ):
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} must be positive, got {value}")
        if not 0 <= self.max_null <= 1:
            raise ValueError(f"max_null must be a share from 0 to 1, got {self.max_null}")
        if self.max_cost is None:
            return
        if not 0 <= self.max_cost < float("inf"):
            raise ValueError(f"max_cost must be 0 or more dollars, got {self.max_cost}")
        if self.rules.max_tokens is None:
            raise ValueError("max_cost needs max_tokens: an answer of any length has any price")
        if price is None:
            raise RatingError(
                f"the price of `{model}` is unknown, so `--max-cost` could not be kept",
                "give `--price-in` and `--price-out`, dollars per million tokens",
            )


def run_rating(
    setup: Setup,
    limits: Limits,
    conversations: Sequence[Conversation],
    journal_path: Path,
    *,
    rater: Transport | None,
    on_progress: Callable[[RatingProgress], None] | None,
) -> Ratings:
    """Rate a pool; see `rate`."""
    ran = run_jobs(setup, limits, conversations, journal_path, rater=rater, on_progress=on_progress)
    frame = build_frame(ran.jobs, ran.results)
    check_nulls(count_status(frame), limits.max_null)
    summary = summarize(
        frame=frame,
        setup=setup,
        plan=ran.plan,
        engine=ran.engine,
        spending=ran.spending,
        results=ran.results,
        loaded=ran.loaded,
    )
    summary["cost"]["this_run"] = ran.spending.spent - ran.spent_before
    summary["seconds"] = ran.seconds
    return Ratings(frame, setup.asking.prompt.num_classes, summary)


def run_probe(
    setup: Setup,
    limits: Limits,
    conversations: Sequence[Conversation],
    journal_path: Path,
    *,
    ratings: Ratings,
    count: int,
    rater: Transport | None,
) -> dict[str, Any]:
    """Rate `count` samples again with a plea for the maximum rating; see `probe_injection`."""
    setup = replace(setup, limit=None)
    limits = replace(limits, max_null=1.0)

    def again(samples: Sequence[Conversation]) -> pl.Series:
        found = run_rating(setup, limits, samples, journal_path, rater=rater, on_progress=None)
        cost = ratings.summary["cost"]
        cost["total"] = found.summary["cost"]["total"]
        cost["this_run"] += found.summary["cost"]["this_run"]
        return found.frame["overall"]

    return probe_injection(conversations, ratings.frame["overall"], count, again)


def check_nulls(rows: Counter[str], max_null: float, what: str = "rating") -> None:
    """Refuse a result with too many rows without a rating; rows beyond the limit do not count."""
    reasons = Counter({why: n for why, n in rows.items() if why not in (RATED, SKIPPED)})
    count, total = reasons.total(), rows.total() - rows[SKIPPED]
    if count <= max_null * total:
        return
    detail = ", ".join(f"{why} {n:,}" for why, n in reasons.most_common())
    raise RatingError(
        f"{count:,} of {total:,} rows have no {what} ({detail}), "
        f"more than the {max_null:.1%} allowed",
        "`--retry-null` asks them again, `--max-null` allows more",
    )


def _at_least(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
