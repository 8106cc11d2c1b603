"""Token losses of responses, one entry a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MEASURED, EMPTY, TRUNCATED, ONE_TOKEN, REFUSED = (
    "measured", "empty", "truncated", "one_token", "refused",
)  # fmt: skip
STATUSES = (MEASURED, EMPTY, TRUNCATED, ONE_TOKEN, REFUSED)
"""What became of a sample: see `Losses.status`."""


@dataclass(frozen=True)
class Losses:
    """Mean negative log-likelihood of the tokens of each response, in nats a token.

    `exp(conditioned)` is the perplexity of the response given its prompt, `exp(direct)` that of the
    response alone.

    Attributes:
        conditioned: float64 `(N,)`, given the prompt; >= 0, low = the model expects it; NaN where
            there is none.
        direct: float64 `(N,)`, without the prompt; NaN where there is none.
        tokens: int32 `(N,)`, tokens of the response that `conditioned` is the mean of; 0 for none.
        status: `(N,)` words: `measured`; `empty`, there is no token of a response; `truncated`,
            the prompt alone takes all tokens that are kept; `one_token`, the response is so short
            that alone it has no token with another before it, so only `conditioned` is known;
            `refused`, the server takes no such text (too long for it, for example).
    """

    conditioned: NDArray[np.float64]
    direct: NDArray[np.float64]
    tokens: NDArray[np.int32]
    status: NDArray[np.str_]

    def __post_init__(self) -> None:
        """Check that all columns have one length."""
        lengths = {len(self.conditioned), len(self.direct), len(self.tokens), len(self.status)}
        if len(lengths) > 1:
            raise ValueError(f"the columns of losses have different lengths: {sorted(lengths)}")

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.conditioned)

    def take(self, rows: Sequence[int] | NDArray[np.int64]) -> Losses:
        """Give the entries of some rows, in their order."""
        index = np.asarray(rows, np.int64)
        return Losses(
            self.conditioned[index], self.direct[index], self.tokens[index], self.status[index]
        )


def make_losses(rows: Sequence[tuple[float, float, int, str]]) -> Losses:
    """Make columns of (conditioned, direct, tokens, status)."""
    conditioned, direct, tokens, status = zip(*rows, strict=True) if rows else ((), (), (), ())
    return Losses(
        np.array(conditioned, np.float64),
        np.array(direct, np.float64),
        np.array(tokens, np.int32),
        np.array(status, np.str_),
    )
