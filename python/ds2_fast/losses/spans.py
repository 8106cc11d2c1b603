"""From exchanges to the token sequences that a network reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ds2_fast.embedding.tokens import mend_surrogates, open_tokenizer
from ds2_fast.losses.exchange import Exchange, count_tokens


class Span(NamedTuple):
    """A token sequence of which those from `first` on are counted.

    Attributes:
        ids: int64 `(tokens,)`, truncated.
        first: place of the first token that is counted, at least 1; there may be none.
    """

    ids: NDArray[np.int64]
    first: int

    @property
    def counted(self) -> int:
        """Number of tokens that are counted."""
        return max(0, len(self.ids) - self.first)


class Spans(NamedTuple):
    """The two sequences of a sample.

    Attributes:
        conditioned: prompt and response.
        direct: the response alone.
        crowded: the prompt takes all tokens that are kept.
    """

    conditioned: Span
    direct: Span
    crowded: bool


class SpanTokenizer:
    """Token sequences of exchanges.

    A sequence is tokenized whole, as the published scripts do it, after the special tokens that
    the tokenizer puts first (`<s>` for Llama, none for GPT-2); what it puts last is left out. The
    tokens of the response begin where those of the text before it, tokenized alone, end.

    Args:
        path: `tokenizer.json`.
        max_tokens: tokens kept of prompt and response, the special ones included.

    Raises:
        ModelError: the file is missing or not a tokenizer.
    """

    def __init__(self, path: Path, max_tokens: int) -> None:
        self._tokenizer = open_tokenizer(path)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._max_tokens = max_tokens
        marked = self._tokenizer.encode("a", add_special_tokens=True)
        head = 0
        while head < len(marked.ids) and marked.special_tokens_mask[head]:
            head += 1
        self._head: list[int] = marked.ids[:head]

    @property
    def words(self) -> int:
        """Size of the vocabulary, added tokens included."""
        return int(self._tokenizer.get_vocab_size(with_added_tokens=True))

    def encode(self, exchanges: Sequence[Exchange]) -> list[Spans]:
        """Tokenize exchanges; halves of surrogate pairs become U+FFFD."""
        before = self._ids([exchange.before for exchange in exchanges])
        whole = self._ids([exchange.before + exchange.response for exchange in exchanges])
        # One or two texts stand before all responses alone.
        known = dict.fromkeys(exchange.alone for exchange in exchanges)
        alone = dict(zip(known, self._ids(list(known)), strict=True))
        direct = self._ids([exchange.alone + exchange.response for exchange in exchanges])
        return [
            self._spans(len(prompt), ids, len(alone[exchange.alone]), lone)
            for exchange, prompt, ids, lone in zip(exchanges, before, whole, direct, strict=True)
        ]

    def _spans(self, prompt: int, whole: list[int], alone: int, lone: list[int]) -> Spans:
        counted = count_tokens(prompt, alone, self._max_tokens)
        return Spans(
            Span(np.array(whole[: counted.conditioned.stop], np.int64), counted.conditioned.start),
            Span(np.array(lone[: counted.direct.stop], np.int64), counted.direct.start),
            crowded=prompt >= self._max_tokens and len(whole) > prompt,
        )

    def _ids(self, texts: list[str]) -> list[list[int]]:
        clean = [text if text.isascii() else mend_surrogates(text) for text in texts]
        found = self._tokenizer.encode_batch_fast(clean, add_special_tokens=False)
        return [self._head + encoding.ids for encoding in found]
