"""Log-probabilities of a prompt, as completion servers tell them: what to ask, and how to read it.

Two ways are spoken: `echo` of OpenAI's legacy completions (vLLM, llama-cpp-python, text-generation
servers that follow them), where some servers must make at least one token more; and vLLM's own
`prompt_logprobs`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ds2_fast.losses.exchange import count_tokens
from ds2_fast.losses.result import EMPTY, MEASURED, ONE_TOKEN, TRUNCATED


class Echo(NamedTuple):
    """The tokens of a text and their log-probabilities.

    Nothing predicts the first token, so its log-probability is mostly None, and a server that gives
    no log-probability may leave out its text, too.
    """

    tokens: tuple[str, ...]
    logprobs: tuple[float | None, ...]


@dataclass(frozen=True)
class Dialect:
    """One way to ask for the log-probabilities of a text.

    Attributes:
        name: of the option that asks for them.
        made: tokens that the server makes after the text.
    """

    name: str
    made: int

    def request(self, model: str, text: str) -> dict[str, Any]:
        """The body of a request."""
        asked = {"echo": True, "logprobs": 1} if self.name == "echo" else {self.name: 1}
        return {"model": model, "prompt": text, "max_tokens": self.made, "temperature": 0, **asked}

    def read(self, body: bytes) -> Echo | None:
        """Read an answer; None if it does not give a log-probability of every token but the first.

        A server that knows nothing of `echo` tells the log-probabilities of what it made.
        """
        try:
            said: Any = json.loads(body)
            choice = said["choices"][0]
            if self.name == "echo":
                told = choice["logprobs"]
                pairs = list(zip(told["tokens"], told["token_logprobs"], strict=True))
            else:
                pairs = [_entry(entry) for entry in choice["prompt_logprobs"]]
            count = (said.get("usage") or {}).get("prompt_tokens")
            if count is None:  # `prompt_logprobs` has no entries but those of the text
                count = len(pairs) - (self.made if self.name == "echo" else 0)
            return _checked(pairs[:count]) if 1 <= count <= len(pairs) else None
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return None


DIALECTS = (Dialect("echo", 0), Dialect("echo", 1), Dialect("prompt_logprobs", 1))


def _entry(entry: Mapping[str, Any] | None) -> tuple[str, float | None]:
    """One token of `prompt_logprobs`: of its entries the first is that of the token there."""
    if entry is None:
        return "", None
    first = next(iter(entry.values()))
    return str(first["decoded_token"]), float(first["logprob"])


def _checked(pairs: list[tuple[Any, Any]]) -> Echo | None:
    tokens, logprobs = zip(*pairs, strict=True)
    known = [value for value in logprobs[1:] if value is not None and math.isfinite(value)]
    if len(known) < len(pairs) - 1 or any(value > 0 for value in known):
        return None
    first = logprobs[0]
    return Echo(tuple(map(str, tokens)), (None if first is None else float(first), *known))


def find_border(echo: Echo, text: str, border: int) -> int | None:
    """Count the tokens that begin before a place of the text, special ones at its head included.

    Args:
        echo: the tokens of the text.
        text: the text.
        border: number of characters before the place.

    Returns:
        The count; None where the tokens, one after another, are not the text: a part of a
        character has no text of its own.
    """
    tokens = echo.tokens
    joined = "".join(tokens)
    if not tokens[0] and text.endswith(joined):  # its text is what the others leave
        tokens = (text[: len(text) - len(joined)], *tokens[1:])
    elif not joined.endswith(text):
        return None
    place = min(0, len(text) - len(joined))  # negative: special tokens at the head
    for count, token in enumerate(tokens):
        if place >= border:
            return count
        place += len(token)
    return len(tokens)


def weigh(
    conditioned: tuple[Echo, int], direct: tuple[Echo, int], max_tokens: int
) -> tuple[float, float, int, str]:
    """Average the losses of a response's tokens.

    Args:
        conditioned: the echo of prompt and response, and the number of tokens before the response.
        direct: the same of the response alone.
        max_tokens: tokens counted up to: what follows a token changes nothing of it.

    Returns:
        Conditioned, direct, tokens, status; see `Losses`.
    """
    (echo, prompt), (alone, before) = conditioned, direct
    counted = count_tokens(prompt, before, max_tokens)
    given = [value for value in echo.logprobs[counted.conditioned] if value is not None]
    lone = [value for value in alone.logprobs[counted.direct] if value is not None]
    if not given:
        crowded = prompt >= max_tokens and len(echo.tokens) > prompt
        return math.nan, math.nan, 0, TRUNCATED if crowded else EMPTY
    loss = -math.fsum(given) / len(given)
    if not lone:
        return loss, math.nan, len(given), ONE_TOKEN
    return loss, -math.fsum(lone) / len(lone), len(given), MEASURED
