"""What kind of answer the engine asks for: ratings, or another that is read from a text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ds2_fast.rating.answer import read_answer
from ds2_fast.rating.chances import read_chances
from ds2_fast.rating.prompt import Prompt
from ds2_fast.rating.transport import Answer

Values = tuple[Any, ...]


@dataclass(frozen=True)
class Kind:
    """How answers of a kind are read, and known again in a journal.

    Attributes:
        task: what is done to a sample, in the words of a plan.
        done: the same of a finished one.
        again: what is added to a request whose answer could not be read.
        read: the values of an answer, and None; or None and a reason. Values are JSON-able.
        restore: values as JSON has them; raises ValueError or TypeError where they are none.
        holds: whether stored values are such as `read` could have returned.
        chances: the probabilities of ratings that came with an answer, if it has any.
        answer_tokens: tokens of an answer, for plans; None = those of a JSON object with the names
            of the prompt.
    """

    task: str
    done: str
    again: str
    read: Callable[[Answer, Prompt], tuple[Values | None, str | None]]
    restore: Callable[[Any], Values]
    holds: Callable[[Values, Prompt], bool]
    chances: Callable[[Answer, Prompt], bytes | None]
    answer_tokens: float | None = None


def restore_ratings(stored: Any) -> tuple[float, ...]:  # noqa: ANN401
    """Ratings as JSON has them."""
    return tuple(map(float, stored))


def _within_scale(values: Values, prompt: Prompt) -> bool:
    low, high = prompt.scale
    right_count = len(values) == len(prompt.names)
    return right_count and all(low <= rating <= high for rating in values)


RATING = Kind(
    task="rate",
    done="rated",
    again="\n\nReturn only the JSON object.",
    read=read_answer,
    restore=restore_ratings,
    holds=_within_scale,
    chances=read_chances,
)
