"""The border to a provider: one async function from (messages, params) to an `Answer`.

It makes one request, without retries, and raises `CallError` if there is no answer. Everything
else, that is retries, rate control, deadline, cost and the journal, is the engine's.
"""

from __future__ import annotations

import enum
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

Messages = list[dict[str, str]]
Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a model answered to one request.

    Attributes:
        text: the text of the answer.
        finish: why the model stopped: `stop`, `length`, `content_filter`, ...
        input_tokens: tokens billed for the request, cached ones included; None = not told.
        output_tokens: tokens billed for the answer; None = not told.
        cached_tokens: how many of the input tokens are billed at the cache price.
        model: the model as the provider names it.
        fingerprint: the provider's name for its own configuration.
        headers: response headers, lower case; rate limits are read from them.
        logprobs: one entry per token of the answer, as OpenAI's `choices[0].logprobs.content` has
            them (mappings or objects with `token`, `bytes`, `logprob`, `top_logprobs`); None = not
            given.
    """

    text: str
    finish: str = "stop"
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0
    model: str = ""
    fingerprint: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    logprobs: Sequence[Any] | None = None


class Failure(enum.Enum):
    """Why there is no answer; each class has its own rule in the engine."""

    CAPACITY = "capacity"
    TRANSPORT = "transport"
    DEADLINE = "deadline"
    FATAL = "fatal"
    CONTEXT = "context_length"
    FILTERED = "content_filter"
    REJECTED = "rejected"


class CallError(Exception):
    """One request without an answer.

    Args:
        kind: the class of failure.
        message: one clean line, without secrets.
        retry_after: seconds the provider asks to wait; None = it does not say.
        billed: whether the provider may have answered, and billed, all the same.
        hint: what to do about it, for the fatal ones.
    """

    def __init__(
        self,
        kind: Failure,
        message: str,
        *,
        retry_after: float | None = None,
        billed: bool = False,
        hint: str = "",
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message
        self.retry_after = retry_after
        self.billed = billed
        self.hint = hint


Transport = Callable[[Messages, Params], Awaitable[Answer]]
"""One request, one answer or `CallError`; never retries on its own."""


def classify(status: int | None, text: str) -> Failure:
    """Class of a failure from its HTTP status and its text.

    Providers share few conventions: a spent quota comes as 429 or 400, a missing key as 400, 401
    or, from a client library, as 500. So the words that end a run are looked for first, whatever
    the status.

    Args:
        status: HTTP status; None if there was no response.
        text: what the provider or the client library said, any case.

    Returns:
        The class of failure.
    """
    low = text.lower()
    if status not in _PASSING and any(words in low for words in _FATAL_WORDS):
        return Failure.FATAL
    if status in _OF_SAMPLE or status == HTTPStatus.FORBIDDEN:
        for kind, words in ((Failure.CONTEXT, _CONTEXT_WORDS), (Failure.FILTERED, _FILTER_WORDS)):
            if any(word in low for word in words):
                return kind
    crowded = (status is None or status >= HTTPStatus.INTERNAL_SERVER_ERROR) and "overloaded" in low
    for kind, statuses in _BY_STATUS.items():
        if status in statuses:
            return kind
    return Failure.CAPACITY if crowded else Failure.TRANSPORT


_PASSING = frozenset({408, 409, 425})
_OF_SAMPLE = frozenset({400, 405, 406, 410, 413, 415, 422})
_BY_STATUS = {
    Failure.FATAL: frozenset({401, 402, 403, 404}),
    Failure.CAPACITY: frozenset({429, 503, 529}),
    Failure.REJECTED: _OF_SAMPLE,
}
_FATAL_WORDS = (
    "insufficient_quota",
    "exceeded your current quota",
    "check your plan and billing",
    "credit balance is too low",
    "insufficient credits",
    "insufficient balance",
    "payment required",
    "billing_not_active",
    "api key not valid",
    "invalid api key",
    "incorrect api key",
    "invalid_api_key",
    "missing credentials",
    "api_key client option must be set",
    "llm provider not provided",
    "unsupportedparamserror",
    "model_not_found",
)
_CONTEXT_WORDS = (
    "context_length_exceeded",
    "contextwindowexceeded",
    "maximum context length",
    "prompt is too long",
    "input is too long",
    "too many tokens",
)
_FILTER_WORDS = (
    "content_filter",
    "content management policy",
    "content policy",
    "moderation",
    "flagged",
)
