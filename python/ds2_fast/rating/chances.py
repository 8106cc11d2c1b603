"""How sure a model was: the probabilities of tokens as a distribution over the scale.

Algorithm `chances-v1`. The number of the overall rating is found by its place in the answer, never
by its looks: the same digit stands elsewhere too. If one token writes it, the probabilities of all
tokens that are, white space aside, a rating of the scale are taken and scaled to sum 1, provided
they cover 0.9 of the whole.

A tokenizer that splits digits writes 10 as two tokens, and its token `1` may become 1 or 10. So the
probability of a rating that begins another one counts only if the longer one is itself among the
alternatives, which shows that it is a token.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ds2_fast import _core
from ds2_fast.rating.prompt import Prompt
from ds2_fast.rating.transport import Answer, CallError, Failure, Messages, Params, Transport

Expected = Literal["auto", "off", "require"]
EXPECTED: tuple[Expected, ...] = ("auto", "off", "require")

LEAST_COVERED = 0.9
# The most a provider takes is 20 or, on some, 5; none at all is the last step.
_STEPS = (20, 5, 0)
_NO_CHANCES = b""


def read_chances(answer: Answer, prompt: Prompt) -> bytes | None:
    """Read the distribution of the overall rating from an answer's token probabilities.

    Args:
        answer: what the model said.
        prompt: names and scale.

    Returns:
        float32 probabilities of the ratings from low to high, as bytes (a run holds hundreds of
        thousands of them); empty if the probabilities do not tell (several tokens, less than 0.9
        covered, text and tokens differ); None if the provider gave none.

    Source: the softmax-weighted score of DEITA (arXiv 2312.15685), with the token found by place.
    """
    if not answer.logprobs:
        return None
    token = _find_token(answer, prompt)
    if token is None:
        return _NO_CHANCES
    low, high = prompt.scale
    legal = {str(rating): rating - low for rating in range(low, high + 1)}
    masses = _masses(token)
    split = {
        name
        for name in legal
        if any(other != name and other.startswith(name) and other not in masses for other in legal)
    }
    chances = np.zeros(len(legal))
    for name, place in legal.items():
        if name not in split:
            chances[place] = masses.get(name, 0.0)
    covered = chances.sum()
    if covered < LEAST_COVERED:
        return _NO_CHANCES
    return bytes((chances / covered).astype(np.float32).tobytes())


def _find_token(answer: Answer, prompt: Prompt) -> Any | None:  # noqa: ANN401
    """The one token that writes the overall rating."""
    low, high = prompt.scale
    text = answer.text.encode("utf-8", "replace")
    place = _core.locate_overall(text.decode(), list(prompt.names), float(low), float(high))
    pieces = [_piece(token) for token in answer.logprobs or ()]
    # Thinking, or white space, may have been cut from the text.
    shift = b"".join(pieces).rfind(text)
    if place is None or shift < 0:
        return None
    start, end = place[0] + shift, place[1] + shift
    at = 0
    for token, piece in zip(answer.logprobs or (), pieces, strict=True):
        if at <= start < at + len(piece):
            return token if end <= at + len(piece) else None
        at += len(piece)
    return None


def _masses(token: Any) -> dict[str, float]:  # noqa: ANN401
    """Probability of each text that could stand in the token's place, white space aside."""
    said: dict[str, float] = {}
    for choice in (*(_field(token, "top_logprobs") or ()), token):
        said.setdefault(str(_field(choice, "token")), float(_field(choice, "logprob")))
    masses: dict[str, float] = {}
    for name, logprob in said.items():
        if logprob == logprob and logprob <= math.log(1.01):  # noqa: PLR0124 - NaN says nothing
            masses[name.strip()] = masses.get(name.strip(), 0.0) + math.exp(logprob)
    return masses


def _piece(token: Any) -> bytes:  # noqa: ANN401
    data = _field(token, "bytes")
    return bytes(data) if data else str(_field(token, "token")).encode("utf-8", "replace")


def _field(item: Any, name: str) -> Any:  # noqa: ANN401
    return item.get(name) if isinstance(item, Mapping) else getattr(item, name, None)


def to_scale(chances: bytes | Sequence[float]) -> NDArray[np.float64]:
    """Stored probabilities as float64 that sum to 1."""
    raw = np.frombuffer(chances, np.float32) if isinstance(chances, bytes) else np.array(chances)
    wide = raw.astype(np.float64)
    return np.asarray(wide / wide.sum())


def to_classes(chances: NDArray[np.float64], prompt: Prompt) -> NDArray[np.float64]:
    """Add up the probabilities of ratings of one class: float64 `(K,)`."""
    low, _ = prompt.scale
    classes = [prompt.class_of(low + place) for place in range(len(chances))]
    total = np.bincount(classes, weights=chances, minlength=prompt.num_classes)
    return total.astype(np.float64)


def count_ratings(overall: Iterable[float], prompt: Prompt) -> NDArray[np.float64]:
    """The distribution of several answers to one sample, over the scale; rounded half up."""
    low, high = prompt.scale
    places = [math.floor(rating + 0.5) - low for rating in overall]
    counts = np.bincount(places, minlength=high - low + 1)
    return np.asarray(counts / counts.sum())


@dataclass
class AskChances:
    """A transport that asks for token probabilities as far as the model gives them.

    The first refusal that names the parameter lowers what is asked for, for the whole run: it costs
    nothing, since nothing was answered.

    Attributes:
        transport: what makes the request.
        mode: `auto` does without where the model gives none, `require` stops the run.
    """

    transport: Transport
    mode: Expected
    _step: int = 0

    async def __call__(self, messages: Messages, params: Params) -> Answer:
        """Make one request.

        Raises:
            CallError: as the transport, and fatal if the probabilities are required and not given.
        """
        while True:
            step = self._step
            most = _STEPS[step]
            asked = {"logprobs": True, "top_logprobs": most} if most else {}
            try:
                answer = await self.transport(messages, {**params, **asked})
            except CallError as error:
                if not (most and refuses_chances(error)):
                    raise
                self._step = max(self._step, step + 1)
                self._check(_STEPS[self._step] > 0)
                continue
            self._check(bool(answer.logprobs) or not answer.text)
            return answer

    def _check(self, given: bool) -> None:
        if self.mode == "require" and not given:
            raise CallError(
                Failure.FATAL,
                "the model gives no probabilities of tokens",
                billed=True,
                hint="`--repeats 3 --temperature 1` asks several times instead, at as many times "
                "the price; `--expected auto` does without",
            )


def refuses_chances(error: CallError) -> bool:
    """Whether a refusal is about the probabilities of tokens."""
    of_parameter = error.kind in (Failure.REJECTED, Failure.FATAL)
    return of_parameter and "logprob" in error.message.lower()
