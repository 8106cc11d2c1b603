"""The onnxruntime engine: token ids to rows."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ds2_fast.embedding.pooling import PoolingMode, pool
from ds2_fast.errors import ModelError
from ds2_fast.progress import Progress

if TYPE_CHECKING:
    import onnxruntime

TOKEN_BUDGET = 768
"""Padded tokens in one call of the network."""

_INTEGERS: dict[str, np.dtype[Any]] = {
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int32)": np.dtype(np.int32),
}
_INPUTS = ("input_ids", "attention_mask", "token_type_ids")
_HIDDEN_OUTPUTS = ("last_hidden_state", "token_embeddings")
# Operators that scale activations by the largest of the whole batch, so that a text's vector
# depends on the texts beside it.
_DYNAMIC_INT8 = (b"DynamicQuantize", b"MatMulInteger")


class Engine(Protocol):
    """Turns token ids into rows, nothing more."""

    def rows(
        self, token_ids: Sequence[NDArray[np.int64]], progress: Progress
    ) -> NDArray[np.float32]:
        """Return one float32 row a text, pooled and not normalized.

        Args:
            token_ids: int64 `(tokens,)` a text, at least one token each.
            progress: called with `(done, total)` tokens.
        """
        ...


class OnnxEngine:
    """A network in an ONNX file, run on the CPU by several callers of one session.

    Texts are sorted by length and cut into batches of at most `budget` padded tokens. A small
    batch stays in the cache of a core, and callers with one thread each beat one call with many.
    The batches depend on the token ids alone, so the rows do not depend on the thread count.

    Args:
        path: the ONNX file; inputs `input_ids`, `attention_mask` and, if wanted, `token_type_ids`,
            int32 or int64; output `sentence_embedding`, `last_hidden_state` or `token_embeddings`.
        pooling: modes of pooling for an output of hidden states.
        pad_id: id of the padding token.
        threads: number of callers.
        budget: padded tokens a batch; a longer text is a batch of its own.

    Raises:
        ModelError: onnxruntime cannot load the file, or it has other inputs or outputs.
    """

    def __init__(
        self,
        path: Path,
        *,
        pooling: Sequence[PoolingMode],
        pad_id: int,
        threads: int,
        budget: int = TOKEN_BUDGET,
    ) -> None:
        self._session = open_session(path)
        self._pooling = tuple(pooling)
        self._pad_id = pad_id
        self._budget = budget
        self._callers = ThreadPoolExecutor(threads, thread_name_prefix="embedding")
        self._inputs = _match_inputs(self._session, path)
        outputs = {output.name: output for output in self._session.get_outputs()}
        self.pools = "sentence_embedding" not in outputs
        """Whether the engine pools; else the graph does, with all that follows the pooling."""
        names = _HIDDEN_OUTPUTS if self.pools else ("sentence_embedding",)
        self._output = next((name for name in names if name in outputs), "")
        if not self._output:
            raise ModelError(
                f"`{path}` has the outputs {', '.join(outputs)}; expected sentence_embedding, "
                "last_hidden_state or token_embeddings"
            )

    def rows(
        self, token_ids: Sequence[NDArray[np.int64]], progress: Progress
    ) -> NDArray[np.float32]:
        """Return one float32 row a text; see `Engine.rows`. O(tokens) calls of the network."""
        lengths = np.array([len(ids) for ids in token_ids], np.int64)
        futures = [
            (batch, self._callers.submit(self._run, [token_ids[row] for row in batch]))
            for batch in plan_batches(lengths, self._budget)
        ]
        total, done = int(lengths.sum()), 0
        rows: NDArray[np.float32] | None = None
        try:
            for batch, future in futures:
                part = future.result()
                if rows is None:
                    rows = np.empty((len(token_ids), part.shape[1]), np.float32)
                rows[batch] = part
                done += int(lengths[batch].sum())
                progress(done, total)
        finally:
            # After an error or Ctrl-C what has not begun need not run.
            for _, future in futures:
                future.cancel()
        if rows is None:
            raise ValueError("token_ids is empty")
        return rows

    def _run(self, token_ids: list[NDArray[np.int64]]) -> NDArray[np.float32]:
        """Run the network on one batch, the longest text first."""
        lengths = np.array([len(ids) for ids in token_ids], np.int64)
        padded = np.full((len(token_ids), int(lengths[0])), self._pad_id, np.int64)
        for row, ids in enumerate(token_ids):
            padded[row, : len(ids)] = ids
        mask = np.arange(padded.shape[1]) < lengths[:, None]
        feeds = {"input_ids": padded, "attention_mask": mask, "token_type_ids": padded * 0}
        inputs = {name: feeds[name].astype(dtype) for name, dtype in self._inputs.items()}
        (output,) = self._session.run([self._output], inputs)
        output = np.asarray(output, np.float32)  # a graph may end in float16
        return pool(output, lengths, self._pooling) if self.pools else output


def plan_batches(lengths: NDArray[np.int64], budget: int) -> list[NDArray[np.int64]]:
    """Group texts of similar length into batches of at most `budget` padded tokens.

    Args:
        lengths: int64 `(n,)`, tokens of each text.
        budget: padded tokens a batch; a text longer than that is a batch of its own.

    Returns:
        Rows of each batch, longest text first; longest batch first, so the callers end together.
        Ties keep their order.
    """
    order = np.argsort(-lengths, kind="stable")
    batches = []
    begin = 0
    while begin < len(order):
        count = max(1, budget // max(1, int(lengths[order[begin]])))
        batches.append(order[begin : begin + count])
        begin += count
    return batches


def has_dynamic_int8(path: Path) -> bool:
    """Say whether an ONNX file quantizes activations by the batch, looking for its operators."""
    if path.stat().st_size == 0:
        return False
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return any(data.find(operator) >= 0 for operator in _DYNAMIC_INT8)


def open_session(path: Path) -> onnxruntime.InferenceSession:
    """Open an ONNX file for callers of one thread each.

    Raises:
        ModelError: onnxruntime cannot load the file.
    """
    import onnxruntime

    onnxruntime.disable_telemetry_events()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Shapes change with every batch, so a memory pattern would never be used again; the arena is
    # worth a factor 1.6 and stays small with small batches.
    options.enable_mem_pattern = False
    options.enable_cpu_mem_arena = True
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except session_errors() as error:
        raise ModelError(f"onnxruntime cannot load `{path}`: {error}") from error


def session_errors() -> tuple[type[Exception], ...]:
    """What onnxruntime raises for a file, or an input, that it cannot use."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    return (
        state.Fail,
        state.InvalidArgument,
        state.InvalidGraph,
        state.InvalidProtobuf,
        state.NoSuchFile,
        state.NotImplemented,
        state.RuntimeException,
    )


def _match_inputs(session: onnxruntime.InferenceSession, path: Path) -> dict[str, np.dtype[Any]]:
    """Return name and integer type of each input of the graph."""
    inputs = {}
    for entry in session.get_inputs():
        if entry.name not in _INPUTS or entry.type not in _INTEGERS:
            raise ModelError(
                f"`{path}` has the input `{entry.name}` of type {entry.type}; expected "
                f"{', '.join(_INPUTS)} of int32 or int64"
            )
        if any(isinstance(length, int) for length in entry.shape):
            raise ModelError(
                f"`{path}` takes inputs of the fixed shape {entry.shape}; both lengths must be free"
            )
        inputs[entry.name] = _INTEGERS[entry.type]
    if "input_ids" not in inputs:
        raise ModelError(f"`{path}` has no input `input_ids`")
    return inputs
