"""The direct transport: OpenAI-compatible servers over HTTP/1.1, without litellm.

A call takes a fraction of litellm's processor time: what a fast local server, or a tier of many
thousand requests a minute, needs. Connections are kept and shared; nothing is retried here.
"""

from __future__ import annotations

import json
import os
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ds2_fast.errors import RatingError
from ds2_fast.rating.endpoint import Endpoint, make_scrubber
from ds2_fast.rating.limits import retry_after
from ds2_fast.rating.refusal import hint_for
from ds2_fast.rating.transport import (
    Answer,
    CallError,
    Failure,
    Messages,
    Params,
    Transport,
    classify,
)

if TYPE_CHECKING:
    import aiohttp

Post = Callable[[Mapping[str, Any]], Awaitable[tuple[bytes, Mapping[str, str]]]]

_PROVIDERS = ("openai", "hosted_vllm")
_OPENAI = "https://api.openai.com/v1"
_OPENAI_KEY = "OPENAI_API_KEY"
# An answer is some kilobytes; a server that sends more is not answering.
_LONGEST_BODY = 4 * 1024 * 1024
_CHUNK = 64 * 1024
_CONNECT_SECONDS = 30.0
# Idle connections are closed by servers after as little as 5 s of rest (uvicorn); one that is
# reused at that very moment fails, so ours go first.
_KEEP_ALIVE_SECONDS = 4.0


@asynccontextmanager
async def open_direct(model: str, endpoint: Endpoint) -> AsyncIterator[Transport]:
    """Open a transport to `model`; its connections are closed at the end.

    Args:
        model: `openai/NAME` or `hosted_vllm/NAME`.
        endpoint: where requests go; OpenAI's own for `openai/NAME` without an address.

    Yields:
        The transport.

    Raises:
        RatingError: if the provider is none of the two, or there is no address or no key.
    """
    base, key = _address(model, endpoint)
    name = model.partition("/")[2]
    scrub = make_scrubber(key)

    async with open_post(f"{base.rstrip('/')}/chat/completions", key, endpoint.shown) as post:

        async def call(messages: Messages, params: Params) -> Answer:
            said, told = await post({"model": name, "messages": messages, **params})
            return to_answer(said, told, scrub)

        yield call


@asynccontextmanager
async def open_post(url: str, key: str, shown: str) -> AsyncIterator[Post]:
    """Open connections to one address of a server; they are closed at the end.

    Args:
        url: where requests go.
        key: what is sent as the bearer's.
        shown: what messages call the server.

    Yields:
        One request, one answer with status 200: its body and headers, or `CallError`.
    """
    import aiohttp

    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    scrub = make_scrubber(key)
    proxy = _proxy(url)
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEP_ALIVE_SECONDS)
    # The caller's deadline covers the whole call.
    patience = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS)

    async with aiohttp.ClientSession(
        connector=connector,
        headers=headers,
        timeout=patience,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=True,
    ) as session:

        async def post(request: Mapping[str, Any]) -> tuple[bytes, Mapping[str, str]]:
            body = json.dumps(request).encode()
            try:
                async with session.post(
                    url, data=body, proxy=proxy, allow_redirects=False
                ) as response:
                    said = await _read(response)
                    status, told = response.status, response.headers
            except aiohttp.ClientConnectorError as error:
                reason = f"no connection to {shown}: {error.strerror or error.os_error}"
                raise CallError(Failure.TRANSPORT, scrub(reason)) from None
            except aiohttp.ClientError as error:
                # The request was out: it may have been answered, and billed.
                # `message` alone where there is one: the whole text names the path of the address.
                reason = f"{type(error).__name__}: {getattr(error, 'message', '') or error}"
                raise CallError(Failure.TRANSPORT, scrub(reason), billed=True) from None
            if status != HTTPStatus.OK:
                raise refusal(status, told, said, scrub)
            return said, told

        yield post


def _address(model: str, endpoint: Endpoint) -> tuple[str, str]:
    """Where to send, and with which key."""
    provider, slash, name = model.partition("/")
    if not slash or not name or provider not in _PROVIDERS:
        raise RatingError(
            f"the direct transport speaks to OpenAI-compatible servers, not to `{model}`",
            "name the model `openai/NAME` or `hosted_vllm/NAME`, or leave out `--transport`",
        )
    base = endpoint.api_base
    if base is None:
        if provider != "openai":
            raise RatingError(
                f"`{model}` needs the address of its server",
                "for example `--api-base http://127.0.0.1:8000/v1`",
            )
        base = _OPENAI
    key = endpoint.api_key or os.environ.get(_OPENAI_KEY)
    if not key:
        raise RatingError(
            f"there is no key for `{model}`",
            f"put it into `{_OPENAI_KEY}`, or name its variable with `--api-key-env`",
        )
    return base, key


def _proxy(base: str) -> str | None:
    """The proxy the environment names for this address; asked once, it costs more than a call."""
    url = urlsplit(base)
    if urllib.request.proxy_bypass(url.hostname or ""):
        return None
    return urllib.request.getproxies().get(url.scheme)


async def _read(response: aiohttp.ClientResponse) -> bytes:
    """The body, unless it is longer than any answer."""
    content = response.content
    body = await content.read(_CHUNK)
    while not content.at_eof():
        body += await content.read(_CHUNK)
        if len(body) > _LONGEST_BODY:
            raise CallError(Failure.TRANSPORT, "an answer longer than 4 MiB", billed=True)
    return body


def refusal(
    status: int, headers: Mapping[str, str], body: bytes, scrub: Callable[[str], str]
) -> CallError:
    """A response that is no answer, as one of our classes.

    Args:
        status: HTTP status, not 200.
        headers: of the response.
        body: of the response; OpenAI's form of an error, or any text.
        scrub: makes foreign text fit to print.

    Returns:
        The error to raise.
    """
    message, names = _error_of(body)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return CallError(
            Failure.FATAL,
            f"the server answers with a redirect ({status})",
            hint="give the address it redirects to as `--api-base`",
        )
    kind = classify(status, f"{names} {message}")
    said = f"{status}: {message}" if message else f"status {status} without a word"
    return CallError(
        kind,
        scrub(said),
        retry_after=retry_after(headers),
        hint=hint_for(kind, status, f"{names} {message}"),
    )


def _error_of(body: bytes) -> tuple[str, str]:
    """Message, and type and code, of an error's body in whatever form it comes."""
    text = body.decode("utf-8", "replace")
    try:
        error = json.loads(text)
    except ValueError:
        return text, ""
    if isinstance(error, dict):
        error = error.get("error", error)
    if not isinstance(error, dict):
        return str(error), ""
    message = error.get("message") or error.get("detail") or ""
    return str(message), f"{error.get('type') or ''} {error.get('code') or ''}"


def to_answer(body: bytes, headers: Mapping[str, str], scrub: Callable[[str], str]) -> Answer:
    """A response as an `Answer`; what the server does not tell is None or empty.

    Raises:
        CallError: of class transport, if the body is no chat completion.
    """
    try:
        said: Any = json.loads(body)
        choice = said["choices"][0]
        usage = said.get("usage") or {}
        details = usage.get("prompt_tokens_details") or {}
        return Answer(
            text=_text(choice["message"].get("content")),
            finish=choice.get("finish_reason") or "stop",
            input_tokens=_count(usage.get("prompt_tokens")),
            output_tokens=_count(usage.get("completion_tokens")),
            cached_tokens=_count(details.get("cached_tokens")) or 0,
            model=str(said.get("model") or ""),
            fingerprint=str(said.get("system_fingerprint") or ""),
            headers=headers,
            logprobs=(choice.get("logprobs") or {}).get("content"),
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        start = scrub(body[:200].decode("utf-8", "replace"))
        message = f"the server's answer is no chat completion: {start}"
        raise CallError(Failure.TRANSPORT, message, billed=True) from None


def _text(content: object) -> str:
    """The text of a message; some servers send it in parts."""
    if isinstance(content, list):
        return "".join(str(part.get("text") or "") for part in content)
    return "" if content is None else str(content)


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None
