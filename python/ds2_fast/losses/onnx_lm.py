"""A causal language model in an ONNX file: exchanges to losses."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ds2_fast.embedding.onnx_engine import (
    has_dynamic_int8,
    open_session,
    plan_batches,
    session_errors,
)
from ds2_fast.embedding.opening import count_threads
from ds2_fast.errors import ModelError
from ds2_fast.losses.exchange import Exchange
from ds2_fast.losses.feeds import read_feeds
from ds2_fast.losses.keeping import Keep
from ds2_fast.losses.likelihood import mean_loss
from ds2_fast.losses.lm_folder import LmFolder, find_lm
from ds2_fast.losses.result import EMPTY, MEASURED, ONE_TOKEN, TRUNCATED, Losses, make_losses
from ds2_fast.losses.spans import Span, Spans, SpanTokenizer
from ds2_fast.progress import Progress, silent

MAX_TOKENS = 1024
"""Tokens kept of prompt and response where nobody says otherwise and the model takes as many: what
GPT-2 takes, and Superfiltering keeps. Cherry LLM keeps 512."""

BLOCK_ROWS = 256
"""Samples of a block: wide enough to sort by length, soon enough done that a kill loses little."""

LOSS_VERSION = 1
"""Part of every key; raised when this package changes a loss by more than rounding."""

# Logits of one call of the network, in bytes: its largest array by far. A network of GPT-2's shape
# takes the same processor time at 32 and 128 MiB (200 Alpaca samples, 2026-11-21).
_LOGIT_BYTES = 1 << 26
# A causal network gives earlier tokens the same logits whatever follows, up to rounding (1e-5).
_CAUSAL = 1e-3


class OnnxLm:
    """Losses by a causal network, run on the CPU by several callers of one session.

    Sequences of a block are sorted by length and cut into batches by their number of tokens. The
    batches depend on the samples of the block alone, and each call of the network has one thread,
    so the losses of a block are the same bytes for any number of callers. Beside other sequences a
    loss differs by rounding (1e-5 nats a token); a graph that quantizes activations by the batch
    gets one sequence at a time.

    Args:
        folder: the model's files.
        max_tokens: tokens kept of prompt and response; None for 1,024 or the model's own limit.
        threads: number of callers; None for all processors. Each holds its own logits: up to
            64 MiB, or those of one text.

    Attributes:
        name: what the user calls the model.
        key: sha256 in hex of everything that decides a loss.
        max_tokens: tokens kept.
        unit_rows: samples of a block.

    Raises:
        ModelError: the model cannot be loaded or run, is not causal, or takes fewer tokens.
    """

    unit_rows = BLOCK_ROWS

    def __init__(
        self, folder: LmFolder, *, max_tokens: int | None = None, threads: int | None = None
    ) -> None:
        if threads is not None and threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        self.name = folder.name
        self.max_tokens = _choose_length(folder, max_tokens)
        self._tokenizer = SpanTokenizer(folder.tokenizer, self.max_tokens)
        self._path = folder.onnx
        self._session = open_session(folder.onnx)
        self._feeds = read_feeds(self._session, folder.config, folder.onnx)
        self._callers = ThreadPoolExecutor(
            count_threads() if threads is None else threads, thread_name_prefix="losses"
        )
        alone = has_dynamic_int8(folder.onnx)
        vocabulary = self._check(alone)
        # One token is always let through: then each sequence is a batch of its own.
        self._budget = 1 if alone else max(1, _LOGIT_BYTES // (4 * vocabulary))
        parts = [LOSS_VERSION, folder.digest(), self.max_tokens, BLOCK_ROWS, self._budget]
        self.key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def measure(
        self,
        exchanges: Sequence[Exchange],
        begins: Sequence[int],
        keep: Keep,
        progress: Progress = silent,
    ) -> None:
        """Measure exchanges block by block, in order.

        Args:
            exchanges: N samples.
            begins: first rows of the blocks to measure, multiples of `BLOCK_ROWS`.
            keep: is given each of them and the losses of its block.
            progress: called with `(done, total)` samples while a block is measured.

        Raises:
            ModelError: the network gives logits that are not finite.
        """
        for begin in begins:
            keep(begin, self.measure_block(exchanges, begin, progress))

    def measure_block(
        self, exchanges: Sequence[Exchange], begin: int, progress: Progress = silent
    ) -> Losses:
        """Measure the block that begins at `begin`.

        Args:
            exchanges: N samples.
            begin: first row of the block, a multiple of `BLOCK_ROWS`.
            progress: called with `(done, total)` samples while it is measured.

        Returns:
            The losses of `BLOCK_ROWS` samples; of the last block, of those that are left.

        Raises:
            ModelError: the network gives logits that are not finite.
        """
        block = exchanges[begin : begin + BLOCK_ROWS]
        spans = self._tokenizer.encode(block)
        both = [span for pair in spans for span in (pair.conditioned, pair.direct)]
        # Of a sample without a token given its prompt, nothing is counted.
        wanted = [
            place
            for place, span in enumerate(both)
            if span.counted and spans[place // 2].conditioned.counted
        ]
        means = np.full(len(both), np.nan)
        total = sum(len(both[place].ids) for place in wanted)

        def tokens_done(done: int) -> None:
            progress(begin + len(block) * done // max(1, total), len(exchanges))

        means[wanted] = self._means([both[place] for place in wanted], tokens_done)
        bad = [place for place in wanted if not math.isfinite(means[place])]
        if bad:
            raise ModelError(
                f"{self.name} gives a loss that is not finite for sample {begin + bad[0] // 2}",
                "the model's file is probably damaged, or its weights overflow",
            )
        return make_losses([
            (means[2 * row], means[2 * row + 1], pair.conditioned.counted, _status(pair))
            for row, pair in enumerate(spans)
        ])  # fmt: skip

    def _means(self, spans: list[Span], tokens_done: Callable[[int], None]) -> NDArray[np.float64]:
        lengths = np.array([len(span.ids) - 1 for span in spans], np.int64)
        futures = [
            (batch, self._callers.submit(self._run, [spans[row] for row in batch]))
            for batch in plan_batches(lengths, self._budget)
        ]
        means = np.empty(len(spans))
        done = 0
        try:
            for batch, future in futures:
                means[batch] = future.result()
                done += int(lengths[batch].sum()) + len(batch)
                tokens_done(done)
        finally:
            # After an error or Ctrl-C what has not begun need not run.
            for _, future in futures:
                future.cancel()
        return means

    def _run(self, spans: list[Span]) -> list[float]:
        """Run the network on one batch; the last token of a sequence predicts none of ours."""
        logits = self._logits([span.ids[:-1] for span in spans])
        return [
            mean_loss(logits[row, span.first - 1 : len(span.ids) - 1], span.ids[span.first :])
            for row, span in enumerate(spans)
        ]

    def _logits(self, token_ids: Sequence[NDArray[np.int64]]) -> NDArray[Any]:
        try:
            (logits,) = self._session.run(["logits"], self._feeds.make(token_ids))
        except session_errors() as error:
            raise ModelError(f"onnxruntime cannot run `{self._path}`: {error}") from error
        return np.asarray(logits)

    def _check(self, quantized: bool) -> int:
        """Make sure that the network is a causal language model; return the width of its logits."""
        outputs = [output.name for output in self._session.get_outputs()]
        if "logits" not in outputs:
            raise _not_causal(self._path, f"it has the outputs {', '.join(outputs)}, not `logits`")
        ids = np.arange(6, dtype=np.int64) % self._tokenizer.words
        changed = np.append(ids[:-1], (ids[-1] + 1) % self._tokenizer.words)
        logits = self._logits([ids, changed])
        if logits.ndim != 3 or logits.shape[:2] != (2, len(ids)):  # noqa: PLR2004
            raise _not_causal(
                self._path, f"its logits have the shape {logits.shape}, not one row a token"
            )
        if logits.shape[2] < self._tokenizer.words:
            raise ModelError(
                f"`{self._path}` knows {logits.shape[2]:,} tokens, its tokenizer "
                f"{self._tokenizer.words:,}",
                "use the tokenizer.json the model was published with",
            )
        one, other = logits[:, :-1].astype(np.float64)
        moved = np.abs(one - other).max() > _CAUSAL * (1 + np.abs(one).max())
        # Where activations are quantized by the largest of them, every token moves every other.
        if moved and not quantized:
            raise _not_causal(self._path, "a token changes the logits of those before it")
        return int(logits.shape[2])


def open_causal_lm(
    name_or_dir: str | os.PathLike[str],
    *,
    max_tokens: int | None = None,
    threads: int | None = None,
) -> OnnxLm:
    """Open a causal language model in an ONNX file; see `find_lm` for what may be named.

    Args:
        name_or_dir: its folder, or the ONNX file.
        max_tokens: tokens kept of prompt and response, the special ones included; None for 1,024 or
            the model's own limit, whichever is less.
        threads: callers of the network; None for all processors. Never changes a loss.

    Raises:
        ModelError: it is not there, cannot be run, or is not a causal language model.
    """
    return OnnxLm(find_lm(name_or_dir), max_tokens=max_tokens, threads=threads)


def _choose_length(folder: LmFolder, asked: int | None) -> int:
    if asked is None:
        return min(MAX_TOKENS, folder.positions or MAX_TOKENS)
    if asked < 2:  # noqa: PLR2004
        raise ValueError(f"max_tokens must be at least 2, got {asked}")
    if folder.positions is not None and asked > folder.positions:
        raise ModelError(
            f"a length of {asked} tokens is more than the {folder.positions} that {folder.name} "
            "takes",
            f"ask for at most {folder.positions}",
        )
    return asked


def _status(pair: Spans) -> str:
    if pair.crowded:
        return TRUNCATED
    if not pair.conditioned.counted:
        return EMPTY
    return MEASURED if pair.direct.counted else ONE_TOKEN


def _not_causal(path: Path, why: str) -> ModelError:
    return ModelError(
        f"`{path}` is not a causal language model: {why}",
        "name a model that continues text, such as GPT-2 or SmolLM2, exported with "
        "`optimum-cli export onnx --task text-generation`",
    )
