"""What a causal network in an ONNX file wants to be fed, and feeding it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.errors import ModelError

if TYPE_CHECKING:
    import onnxruntime

_TYPES: dict[str, np.dtype[Any]] = {
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(float)": np.dtype(np.float32),
    "tensor(float16)": np.dtype(np.float16),
}
_TOKEN_INPUTS = ("input_ids", "attention_mask", "position_ids")
_PAST = "past_key_values."
# (batch, heads, tokens of the past, size of a head)
_PAST_AXES = 4


@dataclass(frozen=True)
class Feeds:
    """The inputs of a graph: those of tokens with their type, and those of the past.

    Attributes:
        tokens: input name to integer type.
        past: input name to type, heads and size of a head.
    """

    tokens: Mapping[str, np.dtype[Any]]
    past: Mapping[str, tuple[np.dtype[Any], int, int]]

    def make(self, token_ids: Sequence[NDArray[np.int64]]) -> dict[str, NDArray[Any]]:
        """Pad sequences on the right, where a causal network does not look; no past.

        Args:
            token_ids: int64 `(tokens,)` a sequence, at least one token each.
        """
        lengths = np.array([len(ids) for ids in token_ids], np.int64)
        padded = np.zeros((len(token_ids), int(lengths.max())), np.int64)
        for row, ids in enumerate(token_ids):
            padded[row, : len(ids)] = ids
        places = np.arange(padded.shape[1])
        made = {
            "input_ids": padded,
            "attention_mask": places < lengths[:, None],
            "position_ids": np.broadcast_to(places, padded.shape),
        }
        feeds: dict[str, NDArray[Any]] = {
            name: np.ascontiguousarray(made[name], dtype) for name, dtype in self.tokens.items()
        }
        for name, (dtype, heads, size) in self.past.items():
            feeds[name] = np.zeros((len(token_ids), heads, 0, size), dtype)
        return feeds


def read_feeds(
    session: onnxruntime.InferenceSession, config: Mapping[str, Any], path: Path
) -> Feeds:
    """Read the inputs of a graph.

    The shape of the past is the graph's own; where that leaves it open, config.json's
    `num_key_value_heads` and `head_dim`, by whatever names they go there.

    Raises:
        ModelError: there is an input that we cannot feed, or no `input_ids`.
    """
    tokens: dict[str, np.dtype[Any]] = {}
    past: dict[str, tuple[np.dtype[Any], int, int]] = {}
    for entry in session.get_inputs():
        dtype = _TYPES.get(entry.type)
        if dtype is not None and entry.name in _TOKEN_INPUTS and dtype.kind == "i":
            tokens[entry.name] = dtype
        elif dtype is not None and entry.name.startswith(_PAST) and len(entry.shape) == _PAST_AXES:
            heads, size = _past_shape(entry.shape, config, path)
            past[entry.name] = (dtype, heads, size)
        else:
            raise ModelError(
                f"`{path}` has the input `{entry.name}` of type {entry.type} and shape "
                f"{entry.shape}; a causal language model has {', '.join(_TOKEN_INPUTS)} and "
                f"{_PAST}*",
                "export the model with optimum: `optimum-cli export onnx --task text-generation`",
            )
    if "input_ids" not in tokens:
        raise ModelError(f"`{path}` has no input `input_ids`")
    return Feeds(tokens, past)


def _past_shape(
    shape: Sequence[int | str | None], config: Mapping[str, Any], path: Path
) -> tuple[int, int]:
    """Heads and size of a head."""
    all_heads = config.get("num_attention_heads") or config.get("n_head")
    hidden = config.get("hidden_size") or config.get("n_embd")
    heads = shape[1] if isinstance(shape[1], int) else config.get("num_key_value_heads", all_heads)
    size = shape[3] if isinstance(shape[3], int) else config.get("head_dim")
    if size is None and isinstance(all_heads, int) and isinstance(hidden, int):
        size = hidden // all_heads
    if not isinstance(heads, int) or not isinstance(size, int):
        raise ModelError(
            f"`{path}` takes a past of the shape {list(shape)}, and its config.json does not say "
            "how many heads of what size that is",
            "write `num_key_value_heads` and `head_dim` into config.json",
        )
    return heads, size
