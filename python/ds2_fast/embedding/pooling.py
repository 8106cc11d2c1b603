"""From hidden states to one row a text: pooling, dense layers, unit length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

PoolingMode = Literal["cls", "max", "mean", "mean_sqrt_len"]

POOLING_MODES: tuple[PoolingMode, ...] = ("cls", "max", "mean", "mean_sqrt_len")
"""The modes we know, in the order in which sentence-transformers concatenates them."""

ACTIVATIONS: dict[str, Callable[[NDArray[Any]], NDArray[Any]]] = {
    "Identity": np.asarray,
    "Tanh": np.tanh,
}
"""Activations of a dense layer by the last part of their torch name."""


@dataclass(frozen=True)
class Dense:
    """A linear layer after the pooling: `activation(x @ weight + bias)`.

    Attributes:
        weight: float32 `(in, out)`.
        bias: float32 `(out,)`, zero where the model has none.
        activation: a key of `ACTIVATIONS`.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    activation: str

    def __call__(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Apply the layer to rows `(n, in)`; returns `(n, out)`."""
        # A matrix product's rounding may depend on the number of rows; the sum of an einsum that
        # is not optimized does not, so a row is the same in every block.
        product: NDArray[Any] = np.einsum("ni,io->no", rows, self.weight, optimize=False)
        return ACTIVATIONS[self.activation](product + self.bias)


def pool(
    hidden: NDArray[Any], lengths: NDArray[np.int64], modes: Sequence[PoolingMode]
) -> NDArray[Any]:
    """Pool the hidden states of every text into one row.

    With `n` the number of tokens of a text: `cls` is its first state, `max` and `mean` run over
    its n states, `mean_sqrt_len` is their sum divided by sqrt(n). Several modes are concatenated
    in the order given. Padding never takes part.

    Args:
        hidden: float `(batch, tokens, H)`; the first `lengths[i]` states of text i are its own.
        lengths: int64 `(batch,)`, all >= 1.
        modes: at least one mode.

    Returns:
        float `(batch, H * len(modes))`, not normalized.
    """
    own = (np.arange(hidden.shape[1]) < lengths[:, None])[:, :, None]
    parts = []
    for mode in modes:
        if mode == "cls":
            parts.append(hidden[:, 0])
        elif mode == "max":
            parts.append(np.where(own, hidden, -np.inf).max(axis=1))
        else:
            count = lengths[:, None].astype(hidden.dtype)
            total = np.where(own, hidden, 0).sum(axis=1)
            parts.append(total / (count if mode == "mean" else np.sqrt(count)))
    return np.concatenate(parts, axis=1)


def unit_rows(rows: NDArray[Any]) -> NDArray[np.float32]:
    """Divide every row by its Euclidean length.

    Args:
        rows: float `(n, d)`.

    Returns:
        float32 `(n, d)` of length 1; a row that is zero or not finite becomes NaN, which the
        caller reports.
    """
    wide = rows.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        unit = wide / np.sqrt(np.square(wide).sum(axis=1, keepdims=True))
    return np.asarray(unit, np.float32)
