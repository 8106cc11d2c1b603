"""Long Is More for Alignment: the longest responses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ds2_fast.errors import PoolError
from ds2_fast.strategies.strategy import Strategy, option

if TYPE_CHECKING:
    from ds2_fast.strategies.inputs import Inputs


@dataclass(frozen=True)
class Longest(Strategy):
    """The longest responses (Long Is More for Alignment).

    The score is the length of what the assistant says in all its turns, or of the whole text. The
    paper counts tokens of its model; without a tokenizer, characters are counted. The baseline
    `completion length` of DS2 is `--length-of all`.
    """

    name = "longest"
    source = "Zhao et al., ICML 2024, arXiv 2402.04833"
    needs = "texts"

    length_of: Literal["response", "all"] = option(
        "response", "What is measured.", choices=("response", "all")
    )
    unit: Literal["chars", "words", "tokens"] | None = option(
        None,
        "What is counted.  [default: tokens with a tokenizer, else chars]",
        choices=("chars", "words", "tokens"),
    )
    tokenizer: str | None = option(
        None, "A tokenizer.json, or a folder with one; for tokens.", file=True
    )

    def score(self, inputs: Inputs) -> NDArray[np.float64]:
        """Give the lengths; a sample without a response has none."""
        texts = inputs.texts if self.length_of == "all" else inputs.responses
        unit = self.unit or ("chars" if self.tokenizer is None else "tokens")
        if unit == "tokens":
            if self.tokenizer is None:
                raise PoolError(
                    "`longest` counts tokens with a tokenizer, and none is named",
                    "name a tokenizer.json with `--tokenizer`, or count with `--unit chars`",
                )
            from ds2_fast.embedding import count_tokens

            lengths = count_tokens(texts, self.tokenizer)
        elif unit == "words":
            lengths = np.array([len(text.split()) for text in texts], dtype=np.float64)
        else:
            lengths = np.array([len(text) for text in texts], dtype=np.float64)
        return np.where(lengths > 0, lengths, np.nan)
