"""A rating server that tells the probabilities of its tokens and counts them as GPT-4o would."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field

from ds2_fast.rating import tokens
from rating_server import RatingServer, ratings_of


def pieces_of(text: str) -> list[str]:
    """Tokens of an answer: every digit, and what stands between digits."""
    found: list[str] = [""]
    for letter in text:
        if letter.isdigit():
            found += [letter, ""]
        else:
            found[-1] += letter
    return [piece for piece in found if piece]


def content_of(text: str, chances: dict[str, float], most: int = 20) -> list[dict[str, object]]:
    """The log-probabilities of an answer whose last digit had these alternatives."""
    pieces = pieces_of(text)
    last = max((i for i, piece in enumerate(pieces) if piece.isdigit()), default=-1)
    out: list[dict[str, object]] = []
    for i, piece in enumerate(pieces):
        top = {piece: 1.0} if i != last else chances
        out.append(
            {
                "token": piece,
                "bytes": list(piece.encode()),
                "logprob": math.log(top.get(piece, 1e-4)),
                "top_logprobs": [
                    {"token": token, "bytes": list(token.encode()), "logprob": math.log(share)}
                    for token, share in list(top.items())[:most]
                    if share > 0
                ],
            }
        )
    return out


@dataclass
class SureServer(RatingServer):
    """Says how sure it was; `chances` is that of its overall rating and of the one above."""

    chances: tuple[float, float] = (0.75, 0.25)
    most: int = 20  # refuses to give more alternatives than this
    requests_seen: list[dict[str, object]] = field(default_factory=list)

    def kind_of(self, key: str, attempt: int) -> str:
        asked = self.requests_seen[-1].get("top_logprobs", 0)
        return "logprobs" if int(str(asked)) > self.most else super().kind_of(key, attempt)

    def handle(self, connection, authorization, body):  # type: ignore[no-untyped-def]
        self.requests_seen.append(json.loads(body))
        super().handle(connection, authorization, body)

    def completion(self, entry, size=0):  # type: ignore[no-untyped-def]
        out = super().completion(entry, size)
        choice = out["choices"][0]
        text = choice["message"]["content"]
        if entry.params.get("logprobs") and text:
            rating = ratings_of(entry.key, *self.scale)[-1]
            own, above = self.chances
            mass = {str(rating): own, str(rating + 1 if rating < 5 else 0): above}
            choice["logprobs"] = {"content": content_of(text, mass)}
        encoding = tokens._encoding()
        count = lambda content: len(encoding.encode_ordinary(content))  # noqa: E731
        out["usage"] = {
            "prompt_tokens": 3 + sum(4 + count(m["content"]) for m in entry.messages),
            "completion_tokens": count(text or ""),
            "total_tokens": 0,
            "prompt_tokens_details": {"cached_tokens": 0},
        }
        return out
