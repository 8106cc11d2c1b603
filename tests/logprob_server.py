"""A completions server on the loopback that tells the log-probabilities of a prompt, or does not.

The model is the bigram table of `tiny_causal`. Alone, `python tests/logprob_server.py` prints its
address, hands out how often each text was asked at `/ledger`, and ends with its standard input.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

import numpy as np

from tiny_causal import IDS, bigram_logits

KINDS = ("echo", "echo-one-more", "prompt_logprobs", "no-echo", "chat-only", "null-logprobs")
LONGEST = 2000
_TOKEN = re.compile(r"\S+|\s")


def tokens_of(text: str) -> list[str]:
    """Words and single white spaces: together they are the text."""
    return _TOKEN.findall(text)


def logprobs_of(tokens: list[str]) -> list[float | None]:
    """Of each token given the one before it; white space is the unknown word, as all others."""
    table = bigram_logits().astype(np.float64)
    ids = [IDS.get(token, 0) for token in tokens]
    chances = table - np.log(np.exp(table).sum(axis=1, keepdims=True))
    return [None, *(float(chances[a, b]) for a, b in pairwise(ids))]


@dataclass
class LogprobServer:
    """The server, as a context manager in threads of the test.

    `kind` is what it knows, one of `KINDS`; `head` puts `<s>` before every text; `split` tells
    tokens that do not spell out the text, as parts of a character do; `faults` maps the number of a
    request to a status; `key` is the only one it takes.
    """

    kind: str = "echo"
    head: bool = False
    split: bool = False
    faults: dict[int, int] = field(default_factory=dict)
    always: int = 0
    key: str = ""
    latency: float = 0.0
    port: int = 0

    def __post_init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.requests = 0
        self.in_flight = self.most_in_flight = 0
        self._lock = threading.Lock()

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> LogprobServer:
        outer = self

        class Handler(_Handler):
            server_state = outer

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

        self._server = Server(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, authorization: str, body: dict) -> tuple[int, dict]:
        with self._lock:
            self.requests += 1
            fault = self.faults.get(self.requests, self.always)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        time.sleep(self.latency)
        try:
            return self._answer(path, authorization, body, fault)
        finally:
            with self._lock:
                self.in_flight -= 1

    def _answer(self, path: str, authorization: str, body: dict, fault: int) -> tuple[int, dict]:
        wrong = {
            404: self.kind == "chat-only" or path != "/v1/completions",
            401: self.key and authorization != f"Bearer {self.key}",
            fault: fault,
        }
        for status, applies in wrong.items():
            if applies:
                return status, {"error": {"message": f"fault {status}"}}
        text, made = body["prompt"], body["max_tokens"]
        if len(text) > LONGEST:
            return 400, {"error": {"message": "This model's maximum context length is 2000"}}
        if made < 1 and self.kind in ("echo-one-more", "prompt_logprobs"):
            return 500, {"error": {"message": "Internal Server Error"}}
        tokens = [*(["<s>"] if self.head else []), *tokens_of(text)]
        choice = {"index": 0, "text": text, **self._told(tokens, made, body)}
        with self._lock:
            self.asked[text] += 1
        usage = {"prompt_tokens": len(tokens), "completion_tokens": made}
        return 200, {"object": "text_completion", "choices": [choice], "usage": usage}

    def _told(self, tokens: list[str], made: int, body: dict) -> dict:
        logprobs = logprobs_of(tokens)
        ids = [IDS.get(token, 0) for token in tokens]
        if self.split:
            tokens = ["\ufffd" if token in ("blue", " ") else token for token in tokens]
        if self.kind == "prompt_logprobs":
            if "prompt_logprobs" not in body:
                return {"logprobs": {"tokens": ["x"], "token_logprobs": [-0.5]}}
            entries = [
                {str(word): {"logprob": value, "rank": 7, "decoded_token": token}}
                for token, word, value in zip(tokens, ids, logprobs, strict=True)
            ]
            best = {"logprob": -0.01, "rank": 1, "decoded_token": "best"}
            return {"prompt_logprobs": [None, *({**e, "99": best} for e in entries[1:])]}
        if self.kind == "no-echo":
            return {"logprobs": {"tokens": ["x"] * made, "token_logprobs": [-0.5] * made}}
        if self.kind == "null-logprobs":
            logprobs = [None] * len(tokens)
        return {
            "logprobs": {
                "tokens": tokens + ["x"] * made,
                "token_logprobs": logprobs + [-0.5] * made,
            }
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_state: LogprobServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._send(
            *self.server_state.answer(self.path, self.headers.get("Authorization", ""), body)
        )

    def do_GET(self) -> None:
        self._send(200, dict(self.server_state.asked))

    def _send(self, status: int, value: dict) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if status == 429:
            self.send_header("Retry-After", "0.05")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--latency", type=float, default=0.0)
    with LogprobServer(latency=parser.parse_args().latency) as server:
        print(server.base, flush=True)
        sys.stdin.read()
