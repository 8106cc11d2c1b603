"""What is measured of a sample: the response, and what stands before it with and without prompt."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import NamedTuple

TEMPLATES = {
    "plain": ("{prompt}\n", ""),
    "response": ("{prompt}\n\n### Response:", "### Response:"),
}
"""How prompt and response are joined: what stands before a response that is conditioned, and before
one alone. `plain` is that of Superfiltering (arXiv 2402.00530), `response` that of Cherry LLM
(arXiv 2308.12032), in the published scripts of both."""


class Exchange(NamedTuple):
    """One sample: `response` follows `before` (the prompt in its template), and `alone`."""

    before: str
    alone: str
    response: str


class Counted(NamedTuple):
    """Which tokens of two sequences are counted: from a place on, and up to one."""

    conditioned: slice
    direct: slice


def make_exchanges(
    prompts: Sequence[str], responses: Sequence[str], template: str
) -> list[Exchange]:
    """Put prompts and responses into a template.

    Args:
        prompts: N texts.
        responses: N texts.
        template: one of `TEMPLATES`.

    Raises:
        TypeError: an element is not a string.
        ValueError: the lengths differ, or there is no such template.
    """
    if len(prompts) != len(responses):
        raise ValueError(f"{len(prompts)} prompts for {len(responses)} responses")
    if template not in TEMPLATES:
        raise ValueError(f"template must be one of {', '.join(TEMPLATES)}, got {template}")
    before, alone = TEMPLATES[template]
    exchanges = []
    for row, (prompt, response) in enumerate(zip(prompts, responses, strict=True)):
        if not isinstance(prompt, str) or not isinstance(response, str):
            wrong = response if isinstance(prompt, str) else prompt
            raise TypeError(f"row {row} holds a {type(wrong).__name__}, not a string")
        exchanges.append(Exchange(before.replace("{prompt}", prompt), alone, response))
    return exchanges


def count_tokens(prompt: int, alone: int, max_tokens: int) -> Counted:
    """Say which tokens of both sequences are counted.

    With P tokens before the response given its prompt, and Q before it alone (special ones
    included), the first sequence is kept up to `max_tokens` = L tokens, the second so far that it
    counts no more tokens than the first can: up to `L - P + max(Q, 1)`. Nothing predicts the first
    token of a sequence, so it is never counted.

    Source: the published Superfiltering script keeps L and `L - P + 1` tokens; with Q <= 1, as its
    template has it, that is the same.
    """
    return Counted(
        slice(max(prompt, 1), max_tokens),
        slice(max(alone, 1), max(max_tokens - prompt, 0) + max(alone, 1)),
    )


def digest_exchanges(exchanges: Sequence[Exchange]) -> str:
    """A digest of the texts that are measured, in order."""
    digest = hashlib.blake2b(digest_size=16)
    for exchange in exchanges:
        digest.update(f"{json.dumps(exchange)}\n".encode())
    return digest.hexdigest()
