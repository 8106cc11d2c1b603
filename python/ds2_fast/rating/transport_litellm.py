"""The transport through litellm: any provider it knows, one request a call, no own retries.

litellm is imported here and nowhere else, when the first request is about to be made: that takes
seconds, and without the two variables set below it would ask the network for prices and read `.env`
files.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from ds2_fast.errors import RatingError
from ds2_fast.rating.endpoint import Endpoint, make_scrubber
from ds2_fast.rating.limits import retry_after
from ds2_fast.rating.refusal import UNSENT, hint_for
from ds2_fast.rating.transport import (
    Answer,
    CallError,
    Failure,
    Messages,
    Params,
    Transport,
    classify,
)

# The engine's deadline is the one that counts; litellm's is not a deadline but a limit per read.
_SLACK_SECONDS = 5.0
_CALLBACK_LISTS = (
    "callbacks",
    "input_callback",
    "success_callback",
    "failure_callback",
    "service_callback",
    "_async_input_callback",
    "_async_success_callback",
    "_async_failure_callback",
)


@asynccontextmanager
async def open_litellm(
    model: str, endpoint: Endpoint, timeout: float, params: Params
) -> AsyncIterator[Transport]:
    """Open a transport to `model`; its connections are closed at the end.

    Args:
        model: litellm name, `provider/model`.
        endpoint: where requests go.
        timeout: the engine's deadline in seconds.
        params: parameters every request will have, checked against what the model takes.

    Yields:
        The transport.

    Raises:
        RatingError: if litellm would report to a callback, knows no such provider, or the model
            does not take a parameter.
    """
    litellm = import_litellm()
    scrub = make_scrubber(endpoint.api_key)
    _check_params(litellm, model, params)
    where: dict[str, Any] = {}
    if endpoint.api_base is not None:
        where["api_base"] = endpoint.api_base
    if endpoint.api_key is not None:
        where["api_key"] = endpoint.api_key

    async def call(messages: Messages, params: Params) -> Answer:
        try:
            response = await litellm.acompletion(
                model=model,
                messages=messages,
                num_retries=0,
                max_retries=0,
                timeout=timeout + _SLACK_SECONDS,
                **where,
                **params,
            )
        except Exception as error:
            raise call_error(error, scrub) from None
        return to_answer(response)

    try:
        yield call
    finally:
        await _close(litellm)


def import_litellm() -> Any:  # noqa: ANN401 - an untyped library
    """Import litellm so that it asks nothing of the network and tells nobody anything.

    Raises:
        RatingError: if a callback is set, through which texts or keys could leave.
    """
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    os.environ["LITELLM_MODE"] = "PRODUCTION"
    import litellm

    litellm.suppress_debug_info = True
    litellm.drop_params = False
    for name in _CALLBACK_LISTS:
        if getattr(litellm, name, None):
            raise RatingError(
                f"litellm would report every request to `{name}`: {getattr(litellm, name)!r:.100}",
                f"empty `litellm.{name}` before rating",
            )
    return litellm


def _check_params(litellm: Any, model: str, params: Params) -> None:  # noqa: ANN401
    """Refuse what the model would not take: litellm drops it silently or fails on every sample."""
    try:
        supported = litellm.get_supported_openai_params(model=model)
    except Exception:
        return
    known = set(supported or params)
    standard = {"temperature", "max_tokens", "top_p", "seed", "response_format"}
    if unknown := sorted((set(params) & standard) - known):
        raise RatingError(
            f"the model `{model}` does not take the parameter `{unknown[0]}`",
            "`--temperature none` leaves the temperature to the model"
            if unknown[0] == "temperature"
            else f"leave `{unknown[0]}` out",
        )


def call_error(error: Exception, scrub: Callable[[str], str]) -> CallError:
    """An exception of litellm as one of our classes.

    A status without response headers is invented by the client (a broken connection is "500"): then
    the provider may have answered, and billed, what never arrived.
    """
    status = getattr(error, "status_code", None)
    headers: Mapping[str, str] = getattr(error, "litellm_response_headers", None) or {}
    text = str(error)
    answered = bool(headers)
    kind = classify(status, f"{type(error).__name__} {getattr(error, 'code', '')} {text}")
    if type(error).__name__ == "Timeout" and not answered:
        kind = Failure.DEADLINE
    return CallError(
        kind,
        scrub(text.removeprefix("litellm.")),
        retry_after=retry_after(headers),
        billed=not answered and kind not in UNSENT,
        hint=hint_for(kind, status, text),
    )


def to_answer(response: Any) -> Answer:  # noqa: ANN401
    """Litellm's response as an `Answer`; what the provider does not tell is None or empty."""
    choices = response.choices
    choice = choices[0] if choices else None
    usage = getattr(response, "usage", None)
    details = getattr(usage, "prompt_tokens_details", None)
    tokens_in = getattr(usage, "prompt_tokens", None)
    tokens_out = getattr(usage, "completion_tokens", None)
    told = bool(tokens_in or tokens_out)
    hidden = getattr(response, "_hidden_params", None) or {}
    return Answer(
        text=(choice.message.content or "") if choice else "",
        finish=(choice.finish_reason or "stop") if choice else "stop",
        input_tokens=tokens_in if told else None,
        output_tokens=tokens_out if told else None,
        cached_tokens=getattr(details, "cached_tokens", None) or 0,
        model=response.model or "",
        fingerprint=getattr(response, "system_fingerprint", None) or "",
        headers=hidden.get("additional_headers") or {},
        logprobs=getattr(getattr(choice, "logprobs", None), "content", None),
    )


async def _close(litellm: Any) -> None:  # noqa: ANN401
    """Close the clients litellm made for this event loop and forget them.

    It caches them by the loop's address; a later loop at that address would find dead connections.
    """
    cache = litellm.in_memory_llm_clients_cache
    suffix = f"-{id(asyncio.get_running_loop())}"
    for key in [key for key in cache.cache_dict if str(key).endswith(suffix)]:
        client = cache.cache_dict.pop(key)
        close = getattr(client, "aclose", None) or getattr(client, "close", None)
        if close is None:
            continue
        # The answers are stored: a client that fails to say goodbye changes nothing.
        with contextlib.suppress(OSError, RuntimeError):
            closing = close()
            if inspect.isawaitable(closing):
                await closing
