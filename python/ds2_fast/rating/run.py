"""A rating run from the pool to the frame: what `rate` and `plan_rating` do."""

from __future__ import annotations

import inspect
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ds2_fast.errors import BudgetReachedError, RatingError, RunError
from ds2_fast.rating.chances import EXPECTED, AskChances, Expected
from ds2_fast.rating.drive import Drive
from ds2_fast.rating.endpoint import Endpoint, open_endpoint
from ds2_fast.rating.engine import Engine
from ds2_fast.rating.header import write_header
from ds2_fast.rating.jobs import Asking, Jobs, build_jobs
from ds2_fast.rating.journal import Journal, Loaded, load_journal
from ds2_fast.rating.lock import run_lock
from ds2_fast.rating.money import Price, Spending, find_price
from ds2_fast.rating.plan import RatingPlan, make_plan
from ds2_fast.rating.probe import probe_injection
from ds2_fast.rating.progress import RatingProgress, Watch
from ds2_fast.rating.prompt import Prompt, load_prompt
from ds2_fast.rating.render import BYTES_PER_TOKEN, Conversation
from ds2_fast.rating.result import RATED, SKIPPED, Ratings, build_frame, count_status
from ds2_fast.rating.rules import Rules, Stop
from ds2_fast.rating.sketch import SKETCH_FROM, sketch_plan
from ds2_fast.rating.stored import Stored, find_stored
from ds2_fast.rating.summary import summarize
from ds2_fast.rating.transport import Transport

if TYPE_CHECKING:
    import polars as pl

_OWN = {"temperature", "max_tokens", "model", "messages", "logprobs", "top_logprobs"}
TRANSPORTS = ("litellm", "direct")
RESUME = "the same command resumes; nothing that is stored is bought again"


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
    loaded = load_journal(journal_path) if journal_path is not None else Loaded()
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
    limits.check(setup.price, setup.asking.model)
    start = time.monotonic()
    with run_lock(journal_path):
        jobs = setup.jobs(conversations)
        loaded = load_journal(journal_path)
        stored = setup.stored(jobs, loaded)
        plan = make_plan(jobs, stored, setup.endpoint, setup.price)
        spending = Spending(
            setup.price, limits.max_cost, stored.spent(setup.price), possible=loaded.possible
        )
        spent_before = spending.spent
        with _open_journal(journal_path) as journal:
            engine = Engine(
                jobs,
                journal,
                spending,
                limits.rules,
                ceiling=limits.max_concurrency,
                rpm=limits.rpm,
                tpm=limits.tpm,
            )
            if stored.todo:
                with _disk_of(journal_path):
                    write_header(journal, setup, plan, setup.price)
                _drive(engine, setup, stored, rater, Watch(engine, plan, spending, on_progress))
    results = {**stored.results, **engine.results}
    _raise_if_stopped(engine, len(jobs), results)
    frame = build_frame(jobs, results)
    _check_nulls(count_status(frame), limits.max_null)
    summary = summarize(
        frame=frame,
        setup=setup,
        plan=plan,
        engine=engine,
        spending=spending,
        results=results,
        loaded=loaded,
    )
    summary["cost"]["this_run"] = spending.spent - spent_before
    summary["seconds"] = round(time.monotonic() - start, 3)
    return Ratings(frame, jobs.asking.prompt.num_classes, summary)


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


def _drive(
    engine: Engine, setup: Setup, stored: Stored, rater: Transport | None, watch: Watch
) -> None:
    async def work() -> None:
        if rater is not None:
            await engine.run(stored.todo, rater, proven=stored.proven)
            return
        async with _open_transport(setup, engine.rules.timeout) as transport:
            asked = transport
            if setup.expected != "off":
                asked = AskChances(transport, setup.expected)
            await engine.run(stored.todo, asked, proven=stored.proven)

    Drive(work, lambda: engine.stop(Stop.INTERRUPTED), watch.poll).run()
    watch.poll()


def _open_transport(setup: Setup, timeout: float) -> AbstractAsyncContextManager[Transport]:
    asking = setup.asking
    if setup.transport == "direct":
        from ds2_fast.rating.transport_direct import open_direct

        return open_direct(asking.model, setup.endpoint)
    from ds2_fast.rating.transport_litellm import open_litellm

    return open_litellm(asking.model, setup.endpoint, timeout, asking.params)


@contextmanager
def _open_journal(path: Path) -> Iterator[Journal]:
    """The journal, closed at the end; a disk that refuses it is said in one sentence."""
    with _disk_of(path):
        journal = Journal(path)
    try:
        yield journal
    except BaseException:
        with suppress(OSError):  # what went wrong first is what is told
            journal.close()
        raise
    with _disk_of(path):
        journal.close()


@contextmanager
def _disk_of(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _cannot_write(path, (error.strerror or str(error)).lower()) from error


def _cannot_write(path: Path, reason: str) -> RunError:
    return RunError(
        f"cannot write the journal `{path}`: {reason}", f"make room or rights; {RESUME}"
    )


def _raise_if_stopped(engine: Engine, total: int, results: Mapping[str, object]) -> None:
    """Turn the reason a run stopped into the exception a caller can mend."""
    message, hint = engine.stop_message, engine.stop_hint
    kept = f"{len(results):,} of {total:,} samples are stored"
    match engine.stop_reason:
        case None | Stop.BUG:  # a bug has raised its own exception
            return
        case Stop.INTERRUPTED:
            raise KeyboardInterrupt(f"{kept}; {RESUME}")
        case Stop.BUDGET:
            raise BudgetReachedError(
                f"`--max-cost` is reached; {kept}", f"raise `--max-cost`; {RESUME}"
            )
        case Stop.DISK:
            raise RunError(
                f"the journal cannot be written: {message}; {kept}", f"make room; {RESUME}"
            )
        case Stop.HOPELESS:
            raise RatingError(
                message, "read `raw` in the journal; cut answers want a higher `--max-tokens`"
            )
        case Stop.FATAL:
            raise RatingError(f"the provider refuses: {message}", hint)
        case Stop.DOWN | Stop.GIVE_UP:
            raise RatingError(f"the endpoint does not answer: {message}; {kept}", RESUME)


def _check_nulls(rows: Counter[str], max_null: float) -> None:
    """Refuse a result with too many rows without a rating; rows beyond the limit do not count."""
    reasons = Counter({why: n for why, n in rows.items() if why not in (RATED, SKIPPED)})
    count, total = reasons.total(), rows.total() - rows[SKIPPED]
    if count <= max_null * total:
        return
    detail = ", ".join(f"{why} {n:,}" for why, n in reasons.most_common())
    raise RatingError(
        f"{count:,} of {total:,} rows have no rating ({detail}), "
        f"more than the {max_null:.1%} allowed",
        "`--retry-null` asks them again, `--max-null` allows more",
    )


def _at_least(name: str, value: int, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}")
