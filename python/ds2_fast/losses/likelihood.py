"""From logits to the loss of the tokens that came."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Rows of the vocabulary at a time: 13 MB for GPT-2's 50,257 words, whatever the length of a text.
_ROWS = 64


def mean_loss(logits: NDArray[Any], targets: NDArray[np.int64]) -> float:
    """Average the negative log-likelihood of tokens.

    Computes `(1/n) sum_i (log sum_v exp(z[i, v]) - z[i, target i])`, with exponentials in float32
    and sums in float64, row after row.

    Args:
        logits: float32 or float16 `(n, V)`; row i predicts target i.
        targets: int64 `(n,)` in 0..V-1, n >= 1.

    Returns:
        Nats a token, >= 0; not finite if the logits are not.

    Cost: O(n V); 64 V floats of memory.

    >>> mean_loss(np.log(np.array([[0.5, 0.25, 0.25]])), np.array([1])) == np.log(4)
    True
    """
    total = 0.0
    for begin in range(0, len(targets), _ROWS):
        part = np.asarray(logits[begin : begin + _ROWS], np.float32)
        chosen = part[np.arange(len(part)), targets[begin : begin + _ROWS]]
        top = part.max(axis=1)
        # Not in place: what a session gave may be shared.
        sums = np.exp(part - top[:, None]).sum(axis=1, dtype=np.float64)
        total += float((np.log(sums) + (top.astype(np.float64) - chosen)).sum())
    return total / len(targets)
