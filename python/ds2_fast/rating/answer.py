"""The text of an answer as ratings, or the reason there are none."""

from __future__ import annotations

import re

from ds2_fast import _core
from ds2_fast.rating.prompt import Prompt
from ds2_fast.rating.transport import Answer

_REFUSAL = re.compile(
    r"\s*(?:i['’]?m (?:very )?sorry|i am (?:very )?sorry|sorry|i apologi[sz]e"
    r"|i can(?:['’]?t|not)|i won['’]?t|i(?:['’]m| am) (?:not able|unable)|as an ai\b)",
    re.IGNORECASE,
)

# Asking again brings the same filter again.
FINAL = frozenset({"content_filter"})


def read_answer(answer: Answer, prompt: Prompt) -> tuple[tuple[float, ...] | None, str | None]:
    """Read the ratings of an answer (algorithm `answer-v1` of the core).

    Args:
        answer: what the model said.
        prompt: names and scale.

    Returns:
        The ratings as given, in the order of `prompt.names`, and None; or None and a reason:
        `length`, `content_filter`, `refusal`, `empty`, `no_json`, `bad_json`, `missing_key`,
        `not_a_number`, `out_of_range`, `ambiguous`. A value is never clamped, rounded or made up.
    """
    if answer.finish in ("length", "max_tokens"):
        return None, "length"  # numbers in a cut answer may be a draft
    if answer.finish == "content_filter":
        return None, "content_filter"
    ratings, reason = parse_rating(answer.text, prompt)
    if reason == "no_json" and refuses(answer.text):
        reason = "refusal"
    return ratings, reason


def refuses(text: str) -> bool:
    """Whether a text begins like a refusal."""
    return _REFUSAL.match(text) is not None


def parse_rating(text: str, prompt: Prompt) -> tuple[tuple[float, ...] | None, str | None]:
    """Read the ratings of a bare text: as `read_answer`, without what only the provider knows."""
    clean = text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
    low, high = prompt.scale
    ratings, reason = _core.parse_answer(clean, list(prompt.names), float(low), float(high))
    return (None if ratings is None else tuple(ratings)), reason
