"""Rating: ask a language model what every sample of a pool is worth.

Crash-safe (each paid answer is in the journal before it counts), resumable (a stored answer is
never bought again) and honest about money (a cap that holds, an unknown price that is not 0). A
sample without a readable answer has no rating and a reason, never a made-up number.

Importing this package is cheap; litellm is imported when the first request is about to be made.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ds2_fast.rating.chances import Expected
    from ds2_fast.rating.plan import RatingPlan
    from ds2_fast.rating.progress import RatingProgress
    from ds2_fast.rating.prompt import Prompt
    from ds2_fast.rating.result import Ratings
    from ds2_fast.rating.transport import Transport

__all__ = ["plan_rating", "rate"]

DEFAULT_PROMPT = "ds2-fast-v1"


def plan_rating(
    conversations: Sequence[Sequence[tuple[str, str]]],
    model: str,
    *,
    journal_path: str | os.PathLike[str] | None = None,
    prompt: str | Path | Prompt = DEFAULT_PROMPT,
    api_base: str | None = None,
    endpoint_label: str | None = None,
    temperature: float | None = 0.0,
    params: Mapping[str, Any] | None = None,
    max_sample_tokens: int = 3000,
    price_in: float | None = None,
    price_out: float | None = None,
    limit: int | None = None,
    retry_null: bool = False,
    expected: Expected = "auto",
    repeats: int = 1,
) -> RatingPlan:
    """Say what `rate` would ask and cost: no network, no key, litellm not imported.

    Args:
        conversations: the pool, see `rate`.
        model: see `rate`, as all other arguments.
        journal_path: journal of earlier runs, whose answers are not bought again; may not exist
            yet.
        prompt: see `rate`.
        api_base: see `rate`.
        endpoint_label: see `rate`.
        temperature: see `rate`.
        params: see `rate`.
        max_sample_tokens: see `rate`.
        price_in: see `rate`.
        price_out: see `rate`.
        limit: see `rate`.
        retry_null: see `rate`.
        expected: see `rate`.
        repeats: see `rate`.

    Returns:
        Counts, and estimates of tokens (bytes / 3.6, corrected by stored answers) and dollars.

    Raises:
        RatingError: if the prompt or the endpoint cannot be used.
        ValueError: if an argument is out of its range.
    """
    from ds2_fast.rating.run import plan_run, set_up

    setup = set_up(
        model,
        prompt=prompt,
        api_base=api_base,
        api_key_env=None,
        endpoint_label=endpoint_label,
        insecure_http=False,
        temperature=temperature,
        params=params,
        max_sample_tokens=max_sample_tokens,
        price_in=price_in,
        price_out=price_out,
        limit=limit,
        retry_null=retry_null,
        expected=expected,
        repeats=repeats,
    )
    return plan_run(setup, conversations, None if journal_path is None else Path(journal_path))


def rate(
    conversations: Sequence[Sequence[tuple[str, str]]],
    model: str,
    *,
    journal_path: str | os.PathLike[str],
    prompt: str | Path | Prompt = DEFAULT_PROMPT,
    api_base: str | None = None,
    api_key_env: str | None = None,
    endpoint_label: str | None = None,
    insecure_http: bool = False,
    transport: str = "litellm",
    temperature: float | None = 0.0,
    max_tokens: int | None = 128,
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
    limit: int | None = None,
    retry_null: bool = False,
    expected: Expected = "auto",
    repeats: int = 1,
    injection_probe: int = 0,
    keep_raw: bool = True,
    on_progress: Callable[[RatingProgress], None] | None = None,
    rater: Transport | None = None,
) -> Ratings:
    """Rate every sample of a pool with a language model.

    Equal samples are asked once. Each answer is written to the journal before it counts, so the
    same call after a crash, a stop or a reached cap goes on where it was; rows may be reordered or
    added in between. At a kill, answers in flight are paid and lost: at most `max_concurrency` of
    them.

    Args:
        conversations: N samples, each a sequence of (role, content).
        model: litellm name, `provider/model`.
        journal_path: file of the answers; made if it does not exist. Its folder must exist.
        prompt: `ds2-fast-v1`, `ds2-poster-0-5`, `ds2-code-1-10`, a `.toml` file or a `Prompt`.
        api_base: address of an OpenAI-compatible server; None = the provider's own.
        api_key_env: environment variable with the key; None = the provider's usual one.
        endpoint_label: identity of the endpoint in place of its address (a tunnel that changes its
            port).
        insecure_http: send a key over plain http to another machine.
        transport: `litellm`, any provider it knows; or `direct`, OpenAI-compatible servers alone
            (`openai/...`, `hosted_vllm/...`) at a fraction of the processor time. Not part of a
            sample's identity.
        temperature: of sampling; None leaves it to the model.
        max_tokens: longest answer; an answer takes 30 to 60. Not part of a sample's identity.
        params: further parameters of a request, by their OpenAI names.
        max_sample_tokens: longer samples are cut in the middle (by 3.6 bytes a token).
        max_concurrency: most requests in flight; the run starts with 8 and adapts. None = 64
            through litellm, which is no faster with more, else 512.
        rpm: requests a minute; None = as the provider's headers say, if they do.
        tpm: tokens a minute; None = as the provider's headers say, if they do.
        timeout: seconds a request may take in all.
        reask: how often an unreadable answer is asked again.
        give_up: seconds without any answer after which the run stops.
        max_cost: cap in dollars on all answers in the journal, never exceeded: a request goes out
            only if its worst case fits.
        price_in: dollars per million input tokens; None = from litellm's list, 0 on the loopback.
        price_out: dollars per million output tokens; None as for `price_in`.
        max_null: largest share of rows without a rating, 0..1.
        limit: rate only the first rows; the others get the status `skipped`.
        retry_null: ask again for samples whose answers could not be read.
        expected: whether to ask for the probabilities of tokens, which make the columns `expected`
            and `chances`: `auto` where the model gives them, `off`, or `require`, which stops where
            it does not and asks again for stored answers without them.
        repeats: how often each sample is asked, for the mean and the spread of its answers; needs a
            temperature above 0.
        injection_probe: rate so many samples once more with a plea for the maximum rating, and say
            in the summary by how much that raises them.
        keep_raw: store the text of answers in the journal.
        on_progress: called a few times a second, in this thread.
        rater: any async function (messages, params) -> `Answer`, in place of litellm; raises
            `CallError`.

    Returns:
        Ratings aligned with the pool, and a summary.

    Raises:
        RatingError: if the provider refuses, does not answer, or too many samples have no rating.
        BudgetReachedError: if the cap is reached; resumable.
        RunError: if the journal is in use or cannot be written.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once what was in flight is stored.
        ValueError: if an argument is out of its range.

    Cost: one request for each distinct sample without a stored answer.

    Source: DS2 paper (arXiv 2410.10877), LLM-based quality rating; criteria and scales of its
        prompts.

    Example:
        >>> import tempfile
        >>> from ds2_fast.rating.transport import Answer
        >>> said = '{"Rarity": 1, "Complexity": 2, "Informativeness": 3, "Overall rating": 4}'
        >>> async def rater(messages, params):
        ...     return Answer(said)
        >>> journal = tempfile.mkdtemp() + "/ratings.jsonl"
        >>> pool = [[("user", "2 + 2?"), ("assistant", "4")]]
        >>> rate(pool, "mine", journal_path=journal, rater=rater).scores.tolist()
        [4]
    """
    from ds2_fast.rating.rules import Rules
    from ds2_fast.rating.run import Limits, run_rating, set_up

    setup = set_up(
        model,
        prompt=prompt,
        api_base=api_base,
        api_key_env=api_key_env,
        endpoint_label=endpoint_label,
        insecure_http=insecure_http,
        temperature=temperature,
        params=params,
        max_sample_tokens=max_sample_tokens,
        price_in=price_in,
        price_out=price_out,
        limit=limit,
        retry_null=retry_null,
        expected=expected,
        repeats=repeats,
        transport=transport,
    )
    rules = Rules(timeout, reask, give_up, max_tokens, keep_raw)
    if max_concurrency is None:
        max_concurrency = 64 if transport == "litellm" else 512
    limits = Limits(max_concurrency, rpm, tpm, max_cost, max_null, rules)
    path = Path(journal_path)
    ratings = run_rating(setup, limits, conversations, path, rater=rater, on_progress=on_progress)
    if injection_probe:
        from ds2_fast.rating.run import run_probe

        ratings.summary["injection_probe"] = run_probe(
            setup, limits, conversations, path, ratings=ratings, count=injection_probe, rater=rater
        )
    return ratings
