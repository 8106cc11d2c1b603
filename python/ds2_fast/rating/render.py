"""A sample as the text a rater sees: turns joined, cut to a budget, delimiters made harmless.

Algorithm `render-v1`. A change to it changes what is sent, so it must change `RENDER_VERSION` too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from ds2_fast.rating.prompt import Prompt

RENDER_VERSION = "render-v1"
BYTES_PER_TOKEN = 3.6
"""English prose runs at about 3.6 bytes a token; code and other scripts differ."""

Conversation = Sequence[tuple[str, str]]

# A turn cut below this says too little: whole turns are left out of the middle instead.
_MIN_TURN = 400
_MIN_KEPT = 2
_HEAD_SHARE = 0.6
# What `### assistant: ` around a turn takes, so that a million empty turns are long too.
_TURN_FRAME = 16

# Text that a chat template, or our own frame, would read as structure. Found after its first
# characters, which get a visible dash: `<-sample`, `[-INST]`, `###-user:`.
_STRUCTURE = re.compile(
    r"<(?=/?sample\b|\|[\w ]{1,40}\|>|｜|/?s>|/?<?/?sys>>|/?think>"
    r"|/?(?:start|end)_of_turn>|(?:bos|eos)>)"
    r"|\[(?=/?inst\])"
    r"|^\#\#\#(?=[ \t]*(?:system|user|assistant|tool)[ \t]*:)",
    re.IGNORECASE | re.MULTILINE,
)
_INJECTION = re.compile(
    r"(?:ignore|disregard|forget) (?:all |any |the |these |your )*(?:previous|prior|above|earlier)"
    r"|(?:rate|score|grade) this (?:sample|response|answer|data|conversation|text)"
    r"|overall rating|\"rarity\"|\"informativeness\""
    r"|(?:maximum|highest|perfect|top|full) (?:possible )?(?:rating|score|marks)"
    r"|(?:as|you are) (?:a|an|the) (?:rater|grader|evaluator|judge)\b"
)
# Looked for first: plain search is several times faster than the expression over a whole pool.
_INJECTION_HINTS = (
    "ignore ", "disregard ", "forget ", "rate this", "score this", "grade this", " rating",
    " score", " marks", " rater", " grader", " evaluator", " judge", "\"rarity\"",
    "\"informativeness\"",
)  # fmt: skip


class Rendered(NamedTuple):
    """The user message for a sample and what had to be done to it."""

    user: str
    truncated: bool
    delimiters: bool  # delimiter-like text was neutralized


def render(conversation: Conversation, prompt: Prompt, max_bytes: int) -> Rendered:
    """Render a sample as the user message of `prompt`.

    Args:
        conversation: turns as (role, content).
        prompt: the template.
        max_bytes: the most UTF-8 bytes of turn contents that are sent; what is over is cut from
            the middle of the longest turns (60 % head, 40 % tail), of a conversation with too many
            turns from its middle. The instruction and the frame are never cut.

    Returns:
        The message; the same sample gives the same bytes on every machine.
    """
    turns, truncated = _fit([(role, _clean(text)) for role, text in conversation], max_bytes)
    delimiters = False
    parts = []
    for role, content in turns:
        text, count = neutralize(content)
        delimiters |= count > 0
        parts.append(prompt.fill_turn(role, text) if role else text)
    body = "\n".join(parts)
    tag = hashlib.blake2b(body.encode(), digest_size=4).hexdigest()
    return Rendered(prompt.fill_user(body, tag), truncated, delimiters)


def neutralize(text: str) -> tuple[str, int]:
    """Put a dash into all that a chat template could take for structure; returns how often too."""
    if "<" not in text and "[" not in text and "###" not in text:
        return text, 0
    return _STRUCTURE.subn(lambda match: match[0] + "-", text)


def speaks_to_rater(conversation: Conversation) -> bool:
    """Whether a sample holds phrases that address a rater: a flag to look at, not a verdict."""
    for _, content in conversation:
        lower = content.lower()
        if any(hint in lower for hint in _INJECTION_HINTS) and _INJECTION.search(lower):
            return True
    return False


def _clean(text: str) -> str:
    """Half a surrogate pair cannot be sent: a question mark stands for it."""
    if text.isascii():
        return text
    return text.encode("utf-8", "replace").decode("utf-8")


def _size(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _fit(turns: list[tuple[str, str]], max_bytes: int) -> tuple[list[tuple[str, str]], bool]:
    """Cut turns until their contents together take at most `max_bytes` (marks of the cut apart)."""
    if sum(_size(content) + _TURN_FRAME for _, content in turns) <= max_bytes:
        return turns, False
    kept = _drop_middle(turns, max(_MIN_KEPT, max_bytes // _MIN_TURN))
    sizes = [_size(content) if role else 0 for role, content in kept]
    cap = _level(sizes, max_bytes)
    cut = [
        (role, _cut(content, cap) if size > cap else content)
        for (role, content), size in zip(kept, sizes, strict=True)
    ]
    return cut, cut != turns


def _drop_middle(turns: list[tuple[str, str]], keep: int) -> list[tuple[str, str]]:
    if len(turns) <= keep:
        return turns
    # The first question (after a system turn) and the last turns carry the sample.
    head = 2 if turns[0][0] == "system" and keep > _MIN_KEPT else 1
    tail = keep - head
    omitted = len(turns) - keep
    return [*turns[:head], ("", f"[… {omitted:,} turns omitted …]"), *turns[-tail:]]


def _level(sizes: list[int], budget: int) -> int:
    """The largest c with sum(min(size, c)) <= budget: short turns stay whole."""
    left = budget
    for i, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - i)
        if size > share:
            return share
        left -= size
    return max(sizes, default=0)


def _cut(text: str, keep: int) -> str:
    data = text.encode()
    head_bytes = int(keep * _HEAD_SHARE)
    head = data[:head_bytes].decode("utf-8", "ignore")
    tail = data[len(data) - (keep - head_bytes) :].decode("utf-8", "ignore")
    omitted = len(text) - len(head) - len(tail)
    return f"{head}\n[… {omitted:,} characters omitted …]\n{tail}"
