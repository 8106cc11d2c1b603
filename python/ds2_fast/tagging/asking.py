"""Asking for the tags of many requests: the engine of ratings, with another kind of answer."""

from __future__ import annotations

import inspect
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ds2_fast.tagging.answer import TAGGING
from ds2_fast.tagging.prompt import PROMPT
from ds2_fast.tagging.result import Tags, build_tags, summarize_tags

if TYPE_CHECKING:
    from ds2_fast.rating.plan import RatingPlan
    from ds2_fast.rating.progress import RatingProgress
    from ds2_fast.rating.run import Setup
    from ds2_fast.rating.transport import Transport

_IDENTITY = ("temperature", "params", "max_sample_tokens")
_PLANNED = (*_IDENTITY, "api_base", "endpoint_label", "price_in", "price_out", "retry_null")


def tag_queries(
    queries: Sequence[Sequence[tuple[str, str]]],
    model: str,
    *,
    journal_path: str | os.PathLike[str],
    api_base: str | None = None,
    api_key_env: str | None = None,
    endpoint_label: str | None = None,
    insecure_http: bool = False,
    transport: str = "litellm",
    temperature: float | None = 0.0,
    max_tokens: int | None = 1024,
    params: Mapping[str, Any] | None = None,
    max_sample_tokens: int = 3000,
    max_concurrency: int | None = None,
    rpm: float | None = None,
    tpm: float | None = None,
    timeout: float = 120.0,
    reask: int = 1,
    give_up: float = 900.0,
    max_cost: float | None = None,
    price_in: float | None = None,
    price_out: float | None = None,
    max_null: float = 0.05,
    retry_null: bool = False,
    keep_raw: bool = True,
    on_progress: Callable[[RatingProgress], None] | None = None,
    rater: Transport | None = None,
) -> Tags:
    """Ask a model for the intention tags of each query.

    A stored answer is never bought again. A query whose answer cannot be read, once it was asked
    again, has no tags and a reason; no list is ever made up.

    Args:
        queries: N samples, each what the user says, as turns (role, content).
        model: litellm name, `provider/model`.
        journal_path: file of the answers, one JSON line each; made if it is not there.
        api_base: this and all others as in `ds2_fast.rating.rate`.
        api_key_env: see there.
        endpoint_label: see there.
        insecure_http: see there.
        transport: see there.
        temperature: see there.
        max_tokens: longest answer; one takes some 25 for each tag.
        params: see there.
        max_sample_tokens: see there.
        max_concurrency: see there.
        rpm: see there.
        tpm: see there.
        timeout: see there.
        reask: see there.
        give_up: see there.
        max_cost: see there.
        price_in: see there.
        price_out: see there.
        max_null: largest share of rows without tags, 0..1.
        retry_null: ask again for queries whose answers could not be read.
        keep_raw: store the text of answers, and with it the explanations, in the journal.
        on_progress: see there.
        rater: see there.

    Returns:
        One entry a query.

    Raises:
        RatingError: the provider refuses, does not answer, or too many queries have no tags.
        BudgetReachedError: the cap is reached; resumable.
        RunError: the journal is in use or cannot be written.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once what was in flight is stored.
        ValueError: an argument is out of its range.

    Cost: one request for each distinct query without a stored answer.

    Source: Lu et al., InsTag (arXiv 2308.07074, section 3.1): open-ended tags with explanations as
        JSON. Its normalization of tags by frequency and meaning is not part of it.
    """
    from ds2_fast.rating.rules import Rules
    from ds2_fast.rating.run import Limits, check_nulls
    from ds2_fast.rating.running import run_jobs

    setup = _set_up(
        model,
        api_base=api_base,
        api_key_env=api_key_env,
        endpoint_label=endpoint_label,
        insecure_http=insecure_http,
        transport=transport,
        temperature=temperature,
        params=params,
        max_sample_tokens=max_sample_tokens,
        price_in=price_in,
        price_out=price_out,
        retry_null=retry_null,
    )
    if max_concurrency is None:
        max_concurrency = 64 if transport == "litellm" else 512
    rules = Rules(timeout, reask, give_up, max_tokens, keep_raw)
    limits = Limits(max_concurrency, rpm, tpm, max_cost, max_null, rules)
    ran = run_jobs(setup, limits, queries, Path(journal_path), rater=rater, on_progress=on_progress)
    frame = build_tags(ran)
    check_nulls(Counter(frame["tags_status"].to_list()), max_null, "tags")
    return Tags(frame, summarize_tags(ran, frame))


def plan_tags(
    queries: Sequence[Sequence[tuple[str, str]]],
    model: str,
    *,
    journal_path: str | os.PathLike[str] | None = None,
    **options: Any,  # noqa: ANN401
) -> RatingPlan:
    """Say what `tag_queries` would ask and cost: no network, no key, litellm not imported.

    Args:
        queries: see `tag_queries`.
        model: see there.
        journal_path: journal of earlier runs; may not exist yet.
        options: further arguments of `tag_queries`.
    """
    from ds2_fast.rating.run import plan_run

    setup = _set_up(
        model,
        **{name: argument(name, options) for name in _PLANNED},
        api_key_env=None,
        insecure_http=False,
        transport="litellm",
    )
    return plan_run(setup, queries, None if journal_path is None else Path(journal_path))


def tag_identity(model: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """All that decides the tags of a query, said or left out.

    Args:
        model: the model asked.
        options: arguments of `tag_queries`.
    """
    from ds2_fast.rating.endpoint import open_endpoint

    # Its id, not its address, which may hold a secret.
    endpoint = open_endpoint(
        argument("api_base", options), label=argument("endpoint_label", options)
    )
    said = {name: argument(name, options) for name in _IDENTITY}
    return {"model": model, **said, "endpoint": endpoint.id, "prompt": PROMPT.digest}


def argument(name: str, options: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """The value that `tag_queries` will see."""
    return options.get(name, inspect.signature(tag_queries).parameters[name].default)


def _set_up(model: str, **said: Any) -> Setup:  # noqa: ANN401
    """The setup of a rating run that asks for tags, each query once."""
    from ds2_fast.rating.run import set_up

    setup = set_up(model, prompt=PROMPT, limit=None, expected="off", repeats=1, **said)
    return replace(setup, asking=replace(setup.asking, kind=TAGGING))
