"""The shape of a text: what can be counted in it without understanding it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import polars as pl
    from numpy.typing import NDArray

_COUNTED = (
    r"\S+",
    r"\n",
    r"\p{Nd}",
    r"\?",
    r"\p{Lu}",
    r"[^\w\s]",
    r",",
    r"\.",
    r"[^\x00-\x7F]",
    r"```|\bdef |;",
    r"(?m)^\s*(?:[-*•]|\d+[.)])\s",
)
"""Words, lines, digits, questions, capitals, marks, commas, full stops, letters beyond ASCII, code,
items of lists."""


def describe_shape(
    conversations: Sequence[Sequence[tuple[str, str]]],
) -> NDArray[np.float32]:
    """Count what a sample's question and answer are made of.

    Of the answer (the assistant's turns) and of the question (all others): log(1 + characters),
    log(1 + count) for each of words, lines, digits, question marks, capitals, marks, commas, full
    stops, non-ASCII characters, signs of code and items of lists, and characters per word. Besides,
    the log of the ratio of the lengths and log(1 + turns).

    Args:
        conversations: N samples, each a sequence of (role, content).

    Returns:
        float32 `(N, 28)`, finite.

    Cost: O(characters).
    """
    import polars as pl

    questions, answers, turns = [], [], []
    for conversation in conversations:
        said = [content for role, content in conversation if role == "assistant"]
        asked = [content for role, content in conversation if role != "assistant"]
        questions.append("\n".join(asked))
        answers.append("\n".join(said))
        turns.append(len(conversation))
    first, second = _counts(pl.Series(questions)), _counts(pl.Series(answers))
    rest = np.stack([second[:, 0] - first[:, 0], np.log1p(np.array(turns, np.float64))], axis=1)
    return np.concatenate([first, second, rest], axis=1).astype(np.float32)


def _counts(texts: pl.Series) -> NDArray[np.float64]:
    texts = texts.cast(str)
    length = texts.str.len_chars().to_numpy().astype(np.float64)
    counts = [texts.str.count_matches(sign).to_numpy().astype(np.float64) for sign in _COUNTED]
    per_word = length / np.maximum(counts[0], 1)
    columns = [np.log1p(length), *(np.log1p(count) for count in counts), np.log1p(per_word)]
    return np.stack(columns, axis=1)
