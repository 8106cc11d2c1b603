"""A BERT encoder in plain numpy: the slow, obviously right twin of the ONNX graph."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ds2_fast.embedding.bert import BertCheckpoint, BertLayer, BertShape, WeightPair

Matrix = NDArray[np.float64]


def bert_forward(checkpoint: BertCheckpoint, token_ids: NDArray[np.int64]) -> Matrix:
    """Compute the last hidden states of one text.

    The formulas are those of the original network (Devlin et al. 2019), in float64, one text and
    no padding; it serves to check an exported graph, not to embed a pool.

    Args:
        checkpoint: the encoder.
        token_ids: integers `(tokens,)`, at most P of them.

    Returns:
        float64 `(tokens, H)`.
    """
    shape = checkpoint.shape
    x = checkpoint.words[token_ids].astype(np.float64) + checkpoint.positions[: len(token_ids)]
    x = _normalize(x, checkpoint.norm, shape.epsilon)
    for layer in checkpoint.layers:
        x = _normalize(x + _attend(x, layer, shape), layer.attention_norm, shape.epsilon)
        wide = _gelu(_linear(x, layer.expand), shape)
        x = _normalize(x + _linear(wide, layer.contract), layer.output_norm, shape.epsilon)
    return x


def _linear(x: Matrix, linear: WeightPair) -> Matrix:
    return x @ linear[0].astype(np.float64) + linear[1]


def _normalize(x: Matrix, norm: WeightPair, epsilon: float) -> Matrix:
    centered = x - x.mean(axis=1, keepdims=True)
    variance: Matrix = np.square(centered).mean(axis=1, keepdims=True)
    return np.asarray(centered / np.sqrt(variance + epsilon) * norm[0] + norm[1], np.float64)


def _attend(x: Matrix, layer: BertLayer, shape: BertShape) -> Matrix:
    size = shape.hidden // shape.heads
    q, k, v = (_linear(x, weights) for weights in (layer.query, layer.key, layer.value))
    mixed = np.empty_like(x)
    for head in range(shape.heads):
        part = slice(head * size, (head + 1) * size)
        scores = q[:, part] @ k[:, part].T / math.sqrt(size)
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        mixed[:, part] = weights / weights.sum(axis=1, keepdims=True) @ v[:, part]
    return _linear(mixed, layer.attention_out)


def _gelu(x: Matrix, shape: BertShape) -> Matrix:
    if shape.gelu == "tanh":
        return np.asarray(
            0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))), np.float64
        )
    # numpy has no erf; calling Python's for each value is fast enough for a handful of texts.
    erf = np.asarray(np.frompyfunc(math.erf, 1, 1)(x / math.sqrt(2)), np.float64)
    return 0.5 * x * (1 + erf)
