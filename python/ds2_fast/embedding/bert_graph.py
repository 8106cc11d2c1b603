"""A BERT encoder as an ONNX graph."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.embedding.bert import BertCheckpoint, BertLayer, WeightPair
from ds2_fast.errors import ModelError

if TYPE_CHECKING:
    import onnx

GRAPH_VERSION = 1
"""Part of the name of every exported file; raised when the graph changes a vector."""

# Gelu is an operator since opset 20; onnxruntime 1.20, the oldest we accept, reads IR 10.
_OPSET = 20
_IR_VERSION = 10
# Protocol buffers end at 2 GiB; what is not weights is a few kilobytes a layer.
_MAX_WEIGHT_BYTES = 2**31 - 2**24


def require_exporter() -> None:
    """Raise a ModelError if the package `onnx` is missing."""
    if find_spec("onnx") is None:
        raise ModelError(
            "writing the ONNX graph of a model.safetensors needs the package `onnx`",
            hint='pip install "ds2-fast[export]", or in a clone pip install ".[export]"',
        )


def build_bert_graph(checkpoint: BertCheckpoint) -> onnx.ModelProto:
    """Build the ONNX graph `input_ids, attention_mask -> last_hidden_state` of a BERT encoder.

    Inputs are int64 `(batch, tokens)`, the mask 1 for a token and 0 for padding; the output is
    float32 `(batch, tokens, H)`. Every layer computes, as in the BERT paper (Devlin et al. 2019),

        x = LayerNorm(x + softmax(q k^T / sqrt(H / A) + mask) v W + b)
        x = LayerNorm(x + gelu(x W + b) W + b)

    Only operators of the standard are used, no fused ones: onnxruntime fuses what pays.
    The scale 1 / sqrt(H / A) is folded into the query's weights. Pooling stays outside.

    Raises:
        ModelError: the package `onnx` is missing, or the weights exceed 2 GiB.
    """
    builder = _Builder(checkpoint)
    x, mask = builder.embed()
    for index, layer in enumerate(checkpoint.layers):
        x = builder.layer(f"layer.{index}.", layer, x, mask)
    return builder.model(x)


class _Builder:
    """Nodes and weights of a graph under construction; every method returns the name of a value."""

    def __init__(self, checkpoint: BertCheckpoint) -> None:
        require_exporter()
        import onnx.helper
        import onnx.numpy_helper

        self._onnx = onnx
        self._checkpoint = checkpoint
        self._shape = checkpoint.shape
        self._nodes: list[Any] = []
        self._weights: dict[str, Any] = {}
        self._weight_bytes = 0

    def embed(self) -> tuple[str, str]:
        """Add word and position embeddings and the mask; return the names of both."""
        words = self.node("Gather", self.weight("words", self._checkpoint.words), "input_ids")
        length = self.node("Shape", "input_ids", start=1, end=2)
        zero = self.weight("zero", np.array([0], np.int64))
        table = self.weight("positions", self._checkpoint.positions)
        positions = self.node("Slice", table, zero, length, zero)
        x = self.norm("embeddings.", self._checkpoint.norm, self.node("Add", words, positions))
        axes = self.weight("axes", np.array([1, 2], np.int64))
        tokens = self.node("Cast", self.node("Unsqueeze", "attention_mask", axes), to=1)
        # 0 for a token, the lowest float for padding: its weight after the softmax is exactly 0.
        lowest = self.weight("lowest", np.array(np.finfo(np.float32).min))
        one = self.weight("one", np.array(1, np.float32))
        return x, self.node("Mul", self.node("Sub", one, tokens), lowest)

    def layer(self, name: str, layer: BertLayer, x: str, mask: str) -> str:
        """Add one layer: attention and feed-forward, each with its residual and normalization."""
        scale = np.float32(1 / math.sqrt(self._shape.hidden // self._shape.heads))
        query = (layer.query[0] * scale, layer.query[1] * scale)
        q = self.heads(name + "query", query, x, [0, 2, 1, 3])
        k = self.heads(name + "key", layer.key, x, [0, 2, 3, 1])
        v = self.heads(name + "value", layer.value, x, [0, 2, 1, 3])
        scores = self.node("Add", self.node("MatMul", q, k), mask)
        mixed = self.node("MatMul", self.node("Softmax", scores, axis=-1), v)
        mixed = self.node("Transpose", mixed, perm=[0, 2, 1, 3])
        merged = self.weight("merged", np.array([0, 0, self._shape.hidden], np.int64))
        mixed = self.node("Reshape", mixed, merged)
        mixed = self.linear(name + "attention_out", layer.attention_out, mixed)
        x = self.norm(name + "attention.", layer.attention_norm, self.node("Add", mixed, x))
        wide = self.linear(name + "expand", layer.expand, x)
        wide = self.node("Gelu", wide, approximate=self._shape.gelu)
        narrow = self.linear(name + "contract", layer.contract, wide)
        return self.norm(name + "output.", layer.output_norm, self.node("Add", narrow, x))

    def heads(
        self,
        name: str,
        linear: WeightPair,
        x: str,
        order: list[int],
    ) -> str:
        """Project and split into heads."""
        heads = self._shape.heads
        split = self.weight("split", np.array([0, 0, heads, self._shape.hidden // heads], np.int64))
        return self.node(
            "Transpose", self.node("Reshape", self.linear(name, linear, x), split), perm=order
        )

    def linear(self, name: str, linear: WeightPair, x: str) -> str:
        product = self.node("MatMul", x, self.weight(name + ".weight", linear[0]))
        return self.node("Add", product, self.weight(name + ".bias", linear[1]))

    def norm(self, name: str, norm: WeightPair, x: str) -> str:
        scale = self.weight(name + "norm.weight", norm[0])
        shift = self.weight(name + "norm.bias", norm[1])
        return self.node(
            "LayerNormalization", x, scale, shift, axis=-1, epsilon=self._shape.epsilon
        )

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:  # noqa: ANN401
        output = f"{operator.lower()}_{len(self._nodes)}"
        self._nodes.append(
            self._onnx.helper.make_node(operator, list(inputs), [output], **attributes)
        )
        return output

    def weight(self, name: str, values: NDArray[Any]) -> str:
        if name not in self._weights:
            self._weights[name] = self._onnx.numpy_helper.from_array(values, name)
            self._weight_bytes += values.nbytes
            if self._weight_bytes > _MAX_WEIGHT_BYTES:
                raise ModelError("the weights exceed 2 GiB, the limit of one ONNX file")
        return name

    def model(self, output: str) -> onnx.ModelProto:
        """Close the graph: name its inputs and its output."""
        helper, kind = self._onnx.helper, self._onnx.TensorProto
        self._nodes.append(helper.make_node("Identity", [output], ["last_hidden_state"]))
        axes = ["batch", "tokens"]
        graph = helper.make_graph(
            self._nodes,
            "bert",
            [
                helper.make_tensor_value_info("input_ids", kind.INT64, axes),
                helper.make_tensor_value_info("attention_mask", kind.INT64, axes),
            ],
            [
                helper.make_tensor_value_info(
                    "last_hidden_state", kind.FLOAT, [*axes, self._shape.hidden]
                )
            ],
            list(self._weights.values()),
        )
        model: onnx.ModelProto = helper.make_model(
            graph,
            producer_name="ds2-fast",
            producer_version=str(GRAPH_VERSION),
            ir_version=_IR_VERSION,
            opset_imports=[helper.make_opsetid("", _OPSET)],
        )
        return model
