"""BERT checkpoints: which ones are understood, and their weights under fixed names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ds2_fast.embedding.safetensors import FloatTensors, read_safetensors
from ds2_fast.errors import ModelError

Gelu = Literal["none", "tanh"]

WeightPair = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Matrix and bias of a linear layer, or scale and shift of a normalization."""

# Names of the activation in config.json -> `approximate` of the ONNX operator Gelu.
_GELU: dict[str, Gelu] = {
    "gelu": "none",
    "gelu_python": "none",
    "gelu_new": "tanh",
    "gelu_fast": "tanh",
    "gelu_accurate": "tanh",
    "gelu_pytorch_tanh": "tanh",
}
# Keys whose presence (with a value that is not null, false, 0 or empty) means a different network.
_OTHER_NETWORK = (
    "auto_map",
    "is_decoder",
    "add_cross_attention",
    "pruned_heads",
    "rope_theta",
    "rope_scaling",
    "rotary_emb_fraction",
    "use_rotary",
    "rotary",
    "alibi",
    "use_alibi",
    "feed_forward_type",
    "embedding_size",
)
# Heads that training leaves behind; an embedding does not use them.
_UNUSED = re.compile(r"^(pooler|cls|classifier|qa_outputs)\.")


@dataclass(frozen=True)
class BertShape:
    """Sizes of a BERT encoder: H hidden, A heads, L layers, F feed-forward, V words, P places."""

    hidden: int
    heads: int
    layers: int
    feed_forward: int
    vocabulary: int
    positions: int
    epsilon: float
    gelu: Gelu


@dataclass(frozen=True)
class BertLayer:
    """Weights of one layer, matrices as `(in, out)`: `x @ matrix + bias`."""

    query: WeightPair
    key: WeightPair
    value: WeightPair
    attention_out: WeightPair
    attention_norm: WeightPair
    expand: WeightPair
    contract: WeightPair
    output_norm: WeightPair


@dataclass(frozen=True)
class BertCheckpoint:
    """A BERT encoder read from a folder.

    Attributes:
        shape: its sizes.
        words: float32 `(V, H)`, word embeddings.
        positions: float32 `(P, H)`, position embeddings plus the embedding of token type 0, which
            every token of a single text has.
        norm: scale and shift of the layer normalization after the embeddings.
        layers: the L layers, first to last.
    """

    shape: BertShape
    words: NDArray[np.float32]
    positions: NDArray[np.float32]
    norm: WeightPair
    layers: tuple[BertLayer, ...]


def read_bert_shape(config: Mapping[str, Any], where: str) -> BertShape:
    """Read the sizes of a BERT encoder from a parsed `config.json`, or refuse it by name.

    Args:
        config: the parsed file.
        where: the model's name for messages.

    Raises:
        ModelError: the network is not a plain BERT encoder: another `model_type`, position
            embeddings that are not absolute, an activation outside of the GELU family, custom
            code, or a size that is missing.
    """
    kind = config.get("model_type")
    if kind != "bert":
        raise _refusal(where, f"`model_type` is `{kind}`; only `bert` can be exported")
    position_type = config.get("position_embedding_type", "absolute")
    if position_type != "absolute":
        raise _refusal(where, f"`position_embedding_type` is `{position_type}`, not `absolute`")
    activation = config.get("hidden_act", "gelu")
    if activation not in _GELU:
        raise _refusal(where, f"`hidden_act` is `{activation}`, not of the gelu family")
    for key in _OTHER_NETWORK:
        if config.get(key):
            raise _refusal(where, f"`{key}` is set: a different network under the name of BERT")
    try:
        shape = BertShape(
            hidden=int(config["hidden_size"]),
            heads=int(config["num_attention_heads"]),
            layers=int(config["num_hidden_layers"]),
            feed_forward=int(config["intermediate_size"]),
            vocabulary=int(config["vocab_size"]),
            positions=int(config["max_position_embeddings"]),
            epsilon=float(config.get("layer_norm_eps", 1e-12)),
            gelu=_GELU[activation],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(f"`config.json` of {where} lacks a valid value of {error}") from error
    if shape.heads < 1 or shape.hidden % shape.heads:
        raise _refusal(where, f"hidden size {shape.hidden} is no multiple of {shape.heads} heads")
    return shape


def read_bert(config: Mapping[str, Any], weights: Path, where: str) -> BertCheckpoint:
    """Read a BERT encoder from its parsed `config.json` and its `model.safetensors`.

    Every tensor of the embeddings and the encoder must be known and of the expected shape, so a
    network that only looks like BERT is refused instead of exported wrong.

    Raises:
        ModelError: see `read_bert_shape`; or a tensor is missing, unknown, or of another shape.
    """
    shape = read_bert_shape(config, where)
    tensors = _Tensors(read_safetensors(weights), where)
    h, f = shape.hidden, shape.feed_forward
    words = tensors.take("embeddings.word_embeddings.weight", (shape.vocabulary, h))
    positions = tensors.take("embeddings.position_embeddings.weight", (shape.positions, h))
    types = tensors.take("embeddings.token_type_embeddings.weight", None)
    if not types.size or types.shape != (len(types), h):
        raise _refusal(where, f"token type embeddings have shape {types.shape}")
    norm = tensors.norm("embeddings.LayerNorm", h)
    layers = []
    for index in range(shape.layers):
        prefix = f"encoder.layer.{index}."
        attention = prefix + "attention."
        layers.append(
            BertLayer(
                query=tensors.linear(attention + "self.query", h, h),
                key=tensors.linear(attention + "self.key", h, h),
                value=tensors.linear(attention + "self.value", h, h),
                attention_out=tensors.linear(attention + "output.dense", h, h),
                attention_norm=tensors.norm(attention + "output.LayerNorm", h),
                expand=tensors.linear(prefix + "intermediate.dense", h, f),
                contract=tensors.linear(prefix + "output.dense", f, h),
                output_norm=tensors.norm(prefix + "output.LayerNorm", h),
            )
        )
    tensors.refuse_rest()
    return BertCheckpoint(shape, words, positions + types[0], norm, tuple(layers))


def _refusal(where: str, reason: str) -> ModelError:
    return ModelError(
        f"cannot export {where} to ONNX: {reason}",
        hint="use a folder that holds an ONNX file, `onnx/model.onnx`, of this model",
    )


class _Tensors:
    """Tensors of a checkpoint, taken one by one; what is left at the end is unknown."""

    def __init__(self, tensors: FloatTensors, where: str) -> None:
        # Checkpoints of a task model carry the prefix `bert.`, those converted from TensorFlow
        # the old names `gamma` and `beta`.
        self._left = {
            re.sub(
                r"\.gamma$", ".weight", re.sub(r"\.beta$", ".bias", name.removeprefix("bert."))
            ): tensor
            for name, tensor in tensors.items()
        }
        self._where = where

    def take(self, name: str, shape: tuple[int, ...] | None) -> NDArray[np.float32]:
        tensor = self._left.pop(name, None)
        if tensor is None:
            raise _refusal(self._where, f"tensor `{name}` is missing")
        if shape is not None and tensor.shape != shape:
            raise _refusal(
                self._where, f"tensor `{name}` has shape {tensor.shape}, expected {shape}"
            )
        return tensor

    def linear(self, name: str, rows: int, columns: int) -> WeightPair:
        weight = self.take(name + ".weight", (columns, rows))
        return np.ascontiguousarray(weight.T), self.take(name + ".bias", (columns,))

    def norm(self, name: str, size: int) -> WeightPair:
        return self.take(name + ".weight", (size,)), self.take(name + ".bias", (size,))

    def refuse_rest(self) -> None:
        unknown = [name for name in self._left if not _UNUSED.match(name)]
        if unknown:
            raise _refusal(self._where, f"tensor `{unknown[0]}` is not part of a BERT encoder")
