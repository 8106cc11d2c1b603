"""An OpenAI-compatible chat server on the loopback, with faults that repeat and a ledger.

The faults are drawn from `hash(seed, content, attempt)`: the same run meets the same faults, and a
retry draws anew. The ledger is the provider's side of the story: which sample was asked how often,
and what it got.

As a context manager it serves from a thread; `python tests/rating_server.py --port 8765` serves
alone.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

CRITERIA = ("Rarity", "Complexity", "Informativeness", "Overall rating")
MALFORMED = (
    '{"Rarity": 3, "Complexity": 4, "Informativeness": 5}',
    '{"Rarity": 3, "Complexity": 4, "Informativeness": 5, "Overall rating": 42}',
    "I would rather talk about the weather.",
    '{"Rarity": null, "Complexity": null, "Informativeness": null, "Overall rating": null}',
    '{"Rarity": 3, "Complexity": 4, "Informativeness": 5, "Overall rating": tr',
)
# kind -> (status, message, type, code)
REFUSALS = {
    "429": (429, "Rate limit reached", "requests", "rate_limit_exceeded"),
    "500": (500, "The server had an error", "server_error", None),
    "503": (503, "Overloaded", "overloaded_error", None),
    "529": (529, "Overloaded", "overloaded_error", None),
    "408": (408, "Request timed out upstream", "timeout", None),
    "401": (401, "Incorrect API key provided", "invalid_request_error", "invalid_api_key"),
    "402": (402, "Payment required", "billing_error", None),
    "403": (403, "You are not allowed to use this model", "permission_error", None),
    "404": (404, "The model `nope` does not exist", "invalid_request_error", "model_not_found"),
    "quota": (
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
        "insufficient_quota",
    ),
    "400": (400, "Something about this request is wrong", "invalid_request_error", None),
    "422": (422, "Unprocessable sample", "invalid_request_error", None),
    "logprobs": (400, "Invalid value for top_logprobs", "invalid_request_error", "invalid_value"),
    "context": (
        400,
        "This model's maximum context length is 8192 tokens.",
        "invalid_request_error",
        "context_length_exceeded",
    ),
    "filter": (
        400,
        "The response was filtered due to the prompt triggering content management policy.",
        "invalid_request_error",
        "content_filter",
    ),
}
FAST = 0.003
REASK = "\n\nReturn only the JSON object."


def content_key(messages: list[dict[str, str]]) -> str:
    """Name a sample by its messages; the line a re-ask adds does not make it another sample."""
    text = json.dumps([m.get("content", "").removesuffix(REASK) for m in messages])
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def ratings_of(key: str, low: int = 0, high: int = 5) -> list[int]:
    """The four ratings this server gives a sample: a function of its key alone."""
    digest = hashlib.blake2b(key.encode(), digest_size=4).digest()
    return [low + byte % (high - low + 1) for byte in digest]


@dataclass
class Bought:
    """One request as the provider saw it."""

    key: str
    attempt: int
    kind: str
    answered: bool
    messages: list[dict[str, str]]
    params: dict[str, object]
    authorization: str
    at: float


@dataclass
class RatingServer:
    """The server; every argument is a fault or a limit, off by default."""

    latency: float = 0.005
    faults: dict[str, float] = field(default_factory=dict)
    script: tuple[str, ...] = ()  # kinds of the first requests, in order of arrival; then `faults`
    per_sample: tuple[str, ...] = ()  # kinds of the first attempts of every sample
    always: str = ""  # every request gets this kind
    retry_after: str | None = "0.05"
    rpm: float = 0.0
    slow_seconds: float = 20.0
    seed: int = 0
    scale: tuple[int, int] = (0, 5)
    answer: str | None = None  # the text of every good answer
    usage: bool = True
    echo_key: bool = False  # refusals repeat the key they were sent
    headers: dict[str, str] = field(default_factory=dict)
    port: int = 0

    def __post_init__(self) -> None:
        self.ledger: list[Bought] = []
        self.attempts: Counter[str] = Counter()
        self.in_flight = 0
        self.peak = 0
        self._bucket = [max(1.0, self.rpm / 60), time.monotonic()]
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections: set[asyncio.Transport] = set()

    # -- what tests ask
    # -----------------------------------------------------------------------------
    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def requests(self) -> int:
        return len(self.ledger)

    def answered(self) -> Counter[str]:
        """How often each sample was answered, hence paid."""
        return Counter(entry.key for entry in self.ledger if entry.answered)

    def kinds(self) -> Counter[str]:
        return Counter(entry.kind for entry in self.ledger)

    # -- life
    # ---------------------------------------------------------------------------------------
    def __enter__(self) -> RatingServer:
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await self._loop.create_server(
            lambda: _Connection(self), "127.0.0.1", self.port, backlog=4096
        )
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for transport in list(self.connections):
            transport.abort()
        await asyncio.sleep(0)

    # -- one request
    # ----------------------------------------------------------------------------------
    def kind_of(self, key: str, attempt: int) -> str:
        """What this request gets."""
        if self.always:
            return self.always
        if len(self.ledger) < len(self.script):
            return self.script[len(self.ledger)]
        if attempt <= len(self.per_sample):
            return self.per_sample[attempt - 1]
        if self.rpm and not self._take():
            return "429"
        digest = hashlib.blake2b(f"{self.seed}|{key}|{attempt}".encode(), digest_size=8).digest()
        left = int.from_bytes(digest, "big") / 2**64
        for kind, share in self.faults.items():
            if left < share:
                return kind
            left -= share
        return "ok"

    def _take(self) -> bool:
        now, rate = time.monotonic(), self.rpm / 60
        self._bucket[0] = min(max(1.0, rate), self._bucket[0] + (now - self._bucket[1]) * rate)
        self._bucket[1] = now
        if self._bucket[0] < 1:
            return False
        self._bucket[0] -= 1
        return True

    def handle(self, connection: _Connection, authorization: str, body: bytes) -> None:
        request = json.loads(body)
        messages = request.pop("messages")
        key = content_key(messages)
        self.attempts[key] += 1
        attempt = self.attempts[key]
        kind = self.kind_of(key, attempt)
        entry = Bought(
            key, attempt, kind, False, messages, request, authorization, time.monotonic()
        )
        self.ledger.append(entry)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        delay = FAST if kind in REFUSALS else self.latency
        self._loop.call_later(delay, self._finish, connection, entry)

    def _finish(self, connection: _Connection, entry: Bought) -> None:
        self.in_flight -= 1
        kind = entry.kind
        if kind in REFUSALS:
            connection.send(REFUSALS[kind][0], *self._refusal(entry))
            return
        if kind == "hang":
            return
        if kind == "reset":
            connection.transport.abort()
            return
        entry.answered = connection.alive
        body = json.dumps(self._completion(entry)).encode()
        if kind == "cut":
            connection.send(200, body, cut=len(body) // 2)
        elif kind == "slow":
            task = self._loop.create_task(connection.drip(body, self.slow_seconds))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            connection.send(200, body, dict(self.headers))

    def _refusal(self, entry: Bought) -> tuple[bytes, dict[str, str]]:
        kind = entry.kind
        _, message, type_, code = REFUSALS[kind]
        if self.echo_key:
            message += f": {entry.authorization} \x1b[31m"
        error = {"error": {"message": message, "type": type_, "param": None, "code": code}}
        headers = {}
        if kind in ("429", "503", "529") and self.retry_after is not None:
            headers["Retry-After"] = self.retry_after
        return json.dumps(error).encode(), headers

    def _text(self, entry: Bought) -> tuple[str | None, str]:
        good = self.answer or json.dumps(
            dict(zip(CRITERIA, ratings_of(entry.key, *self.scale), strict=True))
        )
        draw = int(entry.key[:4], 16) + entry.attempt
        return {
            "malformed": (MALFORMED[draw % len(MALFORMED)], "stop"),
            "truncated": (good[: len(good) // 2], "length"),
            "empty": ("", "stop"),
            "refusal": ("I'm sorry, but I can't help with that.", "stop"),
            "filtered": (None, "content_filter"),
            "missing": (MALFORMED[0], "stop"),
            "range": (MALFORMED[1], "stop"),
        }.get(entry.kind, (good, "stop"))

    def _completion(self, entry: Bought) -> dict[str, object]:
        text, finish = self._text(entry)
        out: dict[str, object] = {
            "id": "chatcmpl-" + entry.key,
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": f"{entry.params.get('model')}-2024",
            "system_fingerprint": "fp_test",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": finish,
                }
            ],
        }
        if self.usage:
            prompt = sum(len(str(m.get("content")).encode()) for m in entry.messages) // 4
            out["usage"] = {
                "prompt_tokens": prompt,
                "completion_tokens": 36,
                "total_tokens": prompt + 36,
                "prompt_tokens_details": {"cached_tokens": 0},
            }
        return out


class _Connection(asyncio.Protocol):
    """One keep-alive connection: enough HTTP/1.1 for the clients at hand."""

    def __init__(self, server: RatingServer) -> None:
        self.server = server
        self.buffer = b""
        self.alive = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self.alive = False
        self.server.connections.discard(self.transport)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        end = self.buffer.find(b"\r\n\r\n")
        while end >= 0:
            head = self.buffer[:end].decode("latin-1")
            fields = dict(
                line.lower().split(": ", 1)
                if "authorization" not in line.lower()
                else ("authorization", line.split(": ", 1)[1])
                for line in head.split("\r\n")[1:]
            )
            length = int(fields.get("content-length", "0"))
            if len(self.buffer) < end + 4 + length:
                return
            body = self.buffer[end + 4 : end + 4 + length]
            self.buffer = self.buffer[end + 4 + length :]
            if "/chat/completions" in head.split("\r\n", 1)[0]:
                self.server.handle(self, fields.get("authorization", ""), body)
            else:
                self.send(404, b'{"error": {"message": "no such path"}}')
            end = self.buffer.find(b"\r\n\r\n")

    def send(
        self,
        status: int,
        body: bytes,
        headers: dict[str, str] | None = None,
        cut: int | None = None,
    ) -> None:
        if not self.alive:
            return
        extra = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        head = (
            f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n{extra}\r\n"
        )
        self.transport.write(head.encode() + body[:cut])
        if cut is not None:
            self.transport.close()

    async def drip(self, body: bytes, seconds: float) -> None:
        """Send a byte every 100 ms: alive for a socket timeout, dead for a deadline."""
        self.transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            + f"Content-Length: {len(body)}\r\n\r\n".encode()
        )
        for index in range(min(len(body), int(seconds * 10))):
            if not self.alive:
                return
            self.transport.write(body[index : index + 1])
            await asyncio.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8765)
    parser.add_argument("--latency", type=float, default=0.1)
    parser.add_argument("--rpm", type=float, default=0.0)
    parser.add_argument("--faults", type=json.loads, default={})
    options = parser.parse_args()
    with RatingServer(**vars(options)) as server:
        print(server.base, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
