"""A made rating provider: what each request gets, when, and a ledger of it; no wires.

The faults are drawn from `hash(seed, content, attempt)`: the same run meets the same faults, and a
retry draws anew. The ledger is the provider's side of the story: which sample was asked how often,
when, and what it got. `rating_server` puts it on a socket, `rating_virtual` on a made clock.
"""

from __future__ import annotations

import hashlib
import heapq
import json
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
WAITING = frozenset({"429", "503", "529"})
FAST = 0.003
MINUTE = 60.0
REASKS = ("\n\nReturn only the JSON object.", "\n\nReturn only the JSON list.")
INTENTIONS = ("creative writing", "code review", "unit conversion", "summary", "translation")


def content_key(messages: list[dict[str, str]]) -> str:
    """Name a sample by its messages; the line a re-ask adds does not make it another sample."""
    contents = [m.get("content", "") for m in messages]
    for reask in REASKS:
        contents = [content.removesuffix(reask) for content in contents]
    text = json.dumps(contents)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def ratings_of(key: str, low: int = 0, high: int = 5) -> list[int]:
    """The four ratings this server gives a sample: a function of its key alone."""
    digest = hashlib.blake2b(key.encode(), digest_size=4).digest()
    return [low + byte % (high - low + 1) for byte in digest]


def tags_of(key: str) -> list[str]:
    """The one to three tags this server gives a request: a function of its key alone."""
    first, count = int(key[:4], 16), 1 + int(key[4:6], 16) % 3
    return [INTENTIONS[(first + place) % len(INTENTIONS)] for place in range(count)]


def asks_for_tags(messages: list[dict[str, str]]) -> bool:
    """Whether a request is for intention tags, by its instructions."""
    return bool(messages) and "intentions" in messages[0]["content"]


@dataclass(slots=True)
class Bought:
    """One request as the provider saw it; `done` is when its last byte was sent, 0 if never."""

    key: str
    attempt: int
    kind: str
    answered: bool
    messages: list[dict[str, str]]
    params: dict[str, object]
    authorization: str
    at: float
    done: float = 0.0
    retry_after: str | None = None


@dataclass
class Provider:
    """The provider; every argument is a fault or a limit, off by default.

    `rpm` is a hard wall: a token bucket of `burst` requests (a second's worth, at least one), or
    with `minute_wall` a count that is set back every sixty seconds. `slots` are served at once, the
    rest waits unseen; above `cap` in flight it refuses. `latencies` are (share, seconds) drawn for
    each request in place of `latency`.
    """

    latency: float = 0.005
    faults: dict[str, float] = field(default_factory=dict)
    script: tuple[str, ...] = ()  # kinds of the first requests, in order of arrival; then `faults`
    per_sample: tuple[str, ...] = ()  # kinds of the first attempts of every sample
    always: str = ""  # every request gets this kind
    retry_after: str | None = "0.05"  # a header's text, or `honest`: what the wall would say
    rpm: float = 0.0
    burst: float = 0.0
    minute_wall: bool = False
    slots: int = 0
    cap: int = 0
    latencies: tuple[tuple[float, float], ...] = ()
    slow_seconds: float = 20.0
    seed: int = 0
    scale: tuple[int, int] = (0, 5)
    answer: str | None = None  # the text of every good answer
    usage: bool = True
    echo_key: bool = False  # refusals repeat the key they were sent
    headers: dict[str, str] = field(default_factory=dict)
    keep_messages: bool = True  # in the ledger

    def __post_init__(self) -> None:
        self.ledger: list[Bought] = []
        self.attempts: Counter[str] = Counter()
        self.in_flight = 0
        self.peak = 0
        self._level: float | None = None
        self._level_at = 0.0
        self._free = [0.0] * self.slots

    def now(self) -> float:
        return time.monotonic()

    # -- what tests ask
    # -----------------------------------------------------------------------------
    @property
    def requests(self) -> int:
        return len(self.ledger)

    def answered(self) -> Counter[str]:
        """How often each sample was answered, hence paid."""
        return Counter(entry.key for entry in self.ledger if entry.answered)

    def kinds(self) -> Counter[str]:
        return Counter(entry.kind for entry in self.ledger)

    # -- one request
    # ----------------------------------------------------------------------------------
    def receive(
        self, messages: list[dict[str, str]], params: dict[str, object], authorization: str
    ) -> tuple[Bought, float]:
        """Write a request down; returns its entry and the seconds until it is dealt with."""
        key = content_key(messages)
        self.attempts[key] += 1
        kind = self.kind_of(key, self.attempts[key])
        now = self.now()
        kept = messages if self.keep_messages else []
        entry = Bought(key, self.attempts[key], kind, False, kept, params, authorization, now)
        if kind in WAITING and self.retry_after is not None:
            honest = self.retry_after == "honest"
            entry.retry_after = f"{self._next_token():.3f}" if honest else self.retry_after
        self.ledger.append(entry)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        if kind in REFUSALS:
            return entry, FAST
        service = self._service(entry)
        if not self.slots:
            return entry, service
        end = max(now, heapq.heappop(self._free)) + service
        heapq.heappush(self._free, end)
        return entry, end - now

    def kind_of(self, key: str, attempt: int) -> str:
        """What this request gets."""
        if self.always:
            return self.always
        if len(self.ledger) < len(self.script):
            return self.script[len(self.ledger)]
        if attempt <= len(self.per_sample):
            return self.per_sample[attempt - 1]
        crowded = self.cap and self.in_flight >= self.cap
        if crowded or (self.rpm and not self._take()):
            return "429"
        left = self._draw(key, attempt, "")
        for kind, share in self.faults.items():
            if left < share:
                return kind
            left -= share
        return "ok"

    def _draw(self, key: str, attempt: int, what: str) -> float:
        text = f"{self.seed}|{key}|{attempt}{what}"
        digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64

    def _service(self, entry: Bought) -> float:
        if not self.latencies:
            return self.latency
        left = self._draw(entry.key, entry.attempt, "|latency")
        for share, seconds in self.latencies:
            if left < share:
                return seconds
            left -= share
        return self.latencies[-1][1]

    def _take(self) -> bool:
        """Whether the wall lets a request through; refused ones do not count against it."""
        now, rate = self.now(), self.rpm / 60
        full = self.rpm if self.minute_wall else max(1.0, self.burst or rate)
        if self._level is None:
            self._level, self._level_at = full, now
        if not self.minute_wall:
            self._level = min(full, self._level + (now - self._level_at) * rate)
            self._level_at = now
        elif now - self._level_at >= MINUTE:
            self._level = full
            self._level_at += MINUTE * ((now - self._level_at) // MINUTE)
        if self._level < 1:
            return False
        self._level -= 1
        return True

    def _next_token(self) -> float:
        if self._level is None:
            return 0.0
        if self.minute_wall:
            return max(0.0, self._level_at + MINUTE - self.now())
        return max(0.0, (1 - self._level) / (self.rpm / 60))

    def refusal(self, entry: Bought) -> tuple[bytes, dict[str, str]]:
        """Body and headers of a refused request."""
        _, message, type_, code = REFUSALS[entry.kind]
        if self.echo_key:
            message += f": {entry.authorization} \x1b[31m"
        error = {"error": {"message": message, "type": type_, "param": None, "code": code}}
        headers = {} if entry.retry_after is None else {"Retry-After": entry.retry_after}
        return json.dumps(error).encode(), headers

    def text(self, entry: Bought) -> tuple[str | None, str]:
        good = self.answer or (
            json.dumps([{"tag": tag.title(), "explanation": "Yes."} for tag in tags_of(entry.key)])
            if asks_for_tags(entry.messages)
            else json.dumps(dict(zip(CRITERIA, ratings_of(entry.key, *self.scale), strict=True)))
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

    def completion(self, entry: Bought, size: int = 0) -> dict[str, object]:
        """The body of an answer; `size` is that of its messages where they were not kept."""
        text, finish = self.text(entry)
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
            prompt = (size or sum(len(m["content"].encode()) for m in entry.messages)) // 4
            out["usage"] = {
                "prompt_tokens": prompt,
                "completion_tokens": 36,
                "total_tokens": prompt + 36,
                "prompt_tokens_details": {"cached_tokens": 0},
            }
        return out
