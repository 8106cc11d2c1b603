"""The direct transport alone: what it sends, and what it makes of whatever a server says."""

from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager

import pytest

from ds2_fast.errors import RatingError
from ds2_fast.rating.endpoint import open_endpoint
from ds2_fast.rating.transport import CallError, Failure
from ds2_fast.rating.transport_direct import open_direct, refusal, to_answer
from rating_server import RatingServer

MESSAGES = [{"role": "user", "content": "Rate this."}]


def plain(text: str) -> str:
    return text


@asynccontextmanager
async def saying(*parts: bytes):
    """A server that answers every request with these bytes and hangs up."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"


def ask(*parts: bytes):
    async def main():
        async with (
            saying(*parts) as base,
            open_direct("openai/m", open_endpoint(base)) as call,
        ):
            return await call(MESSAGES, {})

    return asyncio.run(main())


def http(status: int, body: bytes, *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


GOOD = {
    "choices": [{"message": {"content": "4"}, "finish_reason": "length"}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 3,
              "prompt_tokens_details": {"cached_tokens": 5}},
    "model": "m-1", "system_fingerprint": "fp",
}  # fmt: skip


def test_it_sends_what_it_was_given_and_keeps_its_connections():
    async def main(base):
        async with open_direct("hosted_vllm/org/name", open_endpoint(base)) as call:
            for number in range(5):
                await call(MESSAGES, {"temperature": 0.5, "max_tokens": number + 1})

    with RatingServer() as server:
        made = []
        server.connections = type("Seen", (set,), {"add": lambda s, x: made.append(x)})()
        asyncio.run(main(server.base))
        params = server.ledger[4].params
    assert params == {"model": "org/name", "temperature": 0.5, "max_tokens": 5}
    assert server.ledger[0].messages == MESSAGES
    assert len(made) == 1, "one connection serves all"


def test_an_answer_is_read_whole():
    answer = ask(http(200, json.dumps(GOOD).encode(), "X-RateLimit-Limit-Requests: 7"))
    assert (answer.text, answer.finish) == ("4", "length")
    assert (answer.input_tokens, answer.output_tokens, answer.cached_tokens) == (9, 3, 5)
    assert (answer.model, answer.fingerprint) == ("m-1", "fp")
    assert answer.headers["x-ratelimit-limit-requests"] == "7"
    bare = to_answer(b'{"choices": [{"message": {"content": null}}]}', {}, plain)
    assert (bare.text, bare.finish, bare.input_tokens, bare.cached_tokens) == ("", "stop", None, 0)
    parts = {"choices": [{"message": {"content": [{"text": "a"}, {"text": "b"}]}}]}
    assert to_answer(json.dumps(parts).encode(), {}, plain).text == "ab"


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"[]", b'{"choices": []}', b'{"choices": [3]}', b"[" * 100_000, b"\xff\xfe",
     b'{"choices": [{"message": null}]}', b'{"choices": [{"message": {}}], "usage": 3}'],
)  # fmt: skip
def test_a_body_that_is_no_answer_is_a_broken_transport(body):
    with pytest.raises(CallError, match="no chat completion") as broken:
        to_answer(body, {}, plain)
    assert broken.value.kind is Failure.TRANSPORT and broken.value.billed


@pytest.mark.parametrize(
    ("sent", "says", "billed"),
    [
        (b"", "Disconnected", True),
        (b"nonsense\r\n\r\n", "(?i)bad|expected", True),
        (http(200, b"x" * 100)[:-50], "(?i)payload", True),
        (http(200, b"x" * (5 << 20)), "longer than 4 MiB", True),
    ],
)
def test_a_broken_response_may_have_been_billed(sent, says, billed):
    with pytest.raises(CallError, match=says) as broken:
        ask(sent)
    assert broken.value.kind is Failure.TRANSPORT and broken.value.billed is billed
    assert "/v1" not in broken.value.message, "what is shown of an address ends at its port"


def test_nobody_there_costs_nothing():
    async def main():
        async with open_direct("openai/m", open_endpoint("http://127.0.0.1:9/v1")) as call:
            await call(MESSAGES, {})

    with pytest.raises(CallError, match=r"no connection to http://127\.0\.0\.1:9") as refused:
        asyncio.run(main())
    assert refused.value.kind is Failure.TRANSPORT and not refused.value.billed


def test_a_redirect_is_not_followed_with_the_key():
    with pytest.raises(CallError, match="redirect") as moved:
        ask(http(307, b"", "Location: http://elsewhere.example/"))
    assert moved.value.kind is Failure.FATAL and "--api-base" in moved.value.hint


@pytest.mark.parametrize(
    ("status", "body", "kind", "says"),
    [
        (429, b'{"error": {"message": "slow", "type": "requests"}}', Failure.CAPACITY, "slow"),
        (429, b'{"error": {"message": "x", "code": "insufficient_quota"}}', Failure.FATAL, "x"),
        (401, b'{"detail": "who are you"}', Failure.FATAL, "who are you"),
        (503, b"<html>busy</html>", Failure.CAPACITY, "<html>busy"),
        (500, b"", Failure.TRANSPORT, "status 500 without a word"),
        (400, b'{"error": "maximum context length"}', Failure.CONTEXT, "maximum"),
        (400, b'["odd"]', Failure.REJECTED, "odd"),
    ],
)
def test_refusals_in_every_form(status, body, kind, says):
    error = refusal(status, {"Retry-After": "3"}, body, plain)
    assert error.kind is kind and says in error.message and error.retry_after == 3
    assert not error.billed and bool(error.hint) == (kind is Failure.FATAL)


@pytest.mark.parametrize(
    ("model", "base", "says"),
    [
        ("anthropic/claude", "http://127.0.0.1:1/v1", "not to `anthropic/claude`"),
        ("gpt-4o", None, "not to `gpt-4o`"),
        ("hosted_vllm/x", None, "needs the address"),
        ("openai/x", None, "no key for"),
    ],
)
def test_what_it_cannot_reach_is_said_at_once(monkeypatch, model, base, says):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)

    async def main():
        async with open_direct(model, open_endpoint(base)):
            pass

    with pytest.raises(RatingError, match=says) as refused:
        asyncio.run(main())
    assert refused.value.hint
