"""The text of an answer as tags, or the reason there are none."""

from __future__ import annotations

import json
import re
from typing import Any

from ds2_fast.rating.answer import refuses
from ds2_fast.rating.kind import Kind, Values
from ds2_fast.rating.prompt import Prompt
from ds2_fast.rating.transport import Answer

LONGEST_TAG = 100
"""Characters of a tag at most: what is longer is a sentence."""

# `[1]` and `[see below]` are no lists of ours.
_START = re.compile(r"\[(?=\s*[\"{\[\]])")
_NEW_START = re.compile(r"^" + _START.pattern, re.MULTILINE)
# A tag and its explanation take some 25 tokens, and a request has four or so.
_ANSWER_TOKENS = 110.0


def parse_tags(text: str) -> tuple[tuple[str, ...] | None, str | None]:
    """Read the tags of a text that holds a JSON list, bare, in a fence or after other words.

    Of several lists the last counts, and of a list inside another the outer. An element is a text,
    or an object with the field `tag`. Tags are lower-cased, white space in them is one blank, and
    each is kept once, in the order of the list.

    Args:
        text: what a model said.

    Returns:
        The tags, at least one, and None; or None and a reason: `empty`, `no_json`, `bad_json` (the
        list is broken, or an element is something else or longer than 100 characters), `no_tags`
        (it is empty). A part of a list is never taken for the whole.

    Example:
        >>> parse_tags('Here: [{"tag": "Code  Review", "explanation": "..."}, {"tag": "python"}]')
        (('code review', 'python'), None)
    """
    if not text.strip():
        return None, "empty"
    found = _last_list(text)
    if found is None:
        return None, "bad_json" if "[" in text else "no_json"
    tags: dict[str, None] = {}
    for element in found:
        tag = element.get("tag") if isinstance(element, dict) else element
        if not isinstance(tag, str) or len(tag) > LONGEST_TAG:
            return None, "bad_json"
        # Half a surrogate pair can be in JSON, but in no text that is kept.
        whole = tag.encode("utf-8", "replace").decode()
        if name := " ".join(whole.lower().split()):
            tags.setdefault(name)
    return (tuple(tags), None) if tags else (None, "no_tags")


def _last_list(text: str) -> list[Any] | None:
    """The last JSON list in a text that is in no other; None if there is none, or it is broken.

    A list inside a broken one is only a part of what was meant, and counts for nothing unless it
    begins a line: then it is a new beginning.
    """
    decode = json.JSONDecoder().raw_decode
    found: list[Any] | None = None
    start = _START.search(text)
    while start is not None:
        try:
            found, end = decode(text, start.start())
        except (ValueError, RecursionError):
            found = None
            start = _NEW_START.search(text, start.end())
        else:
            start = _START.search(text, end)
    return found


def _read(answer: Answer, _prompt: Prompt) -> tuple[Values | None, str | None]:
    """The tags of an answer; one that was cut or filtered has none."""
    if answer.finish in ("length", "max_tokens"):
        return None, "length"
    if answer.finish == "content_filter":
        return None, "content_filter"
    tags, reason = parse_tags(answer.text)
    if reason == "no_json" and refuses(answer.text):
        reason = "refusal"
    return tags, reason


def _restore(stored: Any) -> Values:  # noqa: ANN401
    if not isinstance(stored, list) or not all(isinstance(tag, str) for tag in stored):
        raise ValueError
    return tuple(stored)


def _holds(tags: Values, _prompt: Prompt) -> bool:
    return bool(tags) and parse_tags(json.dumps(tags))[0] == tags


TAGGING = Kind(
    task="tag",
    done="tagged",
    again="\n\nReturn only the JSON list.",
    read=_read,
    restore=_restore,
    holds=_holds,
    chances=lambda _answer, _prompt: None,
    answer_tokens=_ANSWER_TOKENS,
)
