"""The embedder: texts to unit rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ds2_fast.embedding.onnx_engine import Engine
from ds2_fast.embedding.pooling import Dense, unit_rows
from ds2_fast.embedding.tokens import TextTokenizer
from ds2_fast.errors import ModelError
from ds2_fast.progress import Progress, silent

BLOCK_ROWS = 2048
"""Rows of a block: wide enough to sort by length (0.66 % padding on Alpaca)."""


class Embedder:
    """Turns texts into unit rows; made by `load_embedder`.

    Attributes:
        name: what the user calls the model.
        key: sha256 in hex of everything that decides the vectors: network, tokenizer, length,
            pooling, dense layers, prompt, and the version of this code. Equal keys give equal
            vectors up to rounding (about 1e-7, between versions of onnxruntime or processors).
        dim: columns of a row.
        max_length: tokens kept of a text.
        notes: warnings for the user, one sentence each.
    """

    def __init__(
        self,
        name: str,
        key: str,
        *,
        tokenizer: TextTokenizer,
        engine: Engine,
        dense: Sequence[Dense],
        max_length: int,
        notes: Sequence[str],
    ) -> None:
        self.name = name
        self.key = key
        self.max_length = max_length
        self.notes = tuple(notes)
        self._tokenizer = tokenizer
        self._engine = engine
        self._dense = tuple(dense)
        # One row tells the width, and whether the parts fit together.
        self.dim = self._encode([""], 0, silent).shape[1]

    def embed(self, texts: Sequence[str], *, progress: Progress = silent) -> NDArray[np.float32]:
        """Embed texts into one array.

        Args:
            texts: N texts.
            progress: called with `(done, total)` texts.

        Returns:
            float32 `(N, dim)`, rows of length 1; the blocks of `embed_blocks`, one below the other.

        Raises:
            ModelError: the network gives a vector that is zero or not finite.
            TypeError: an element is not a string.
        """
        rows = np.empty((len(texts), self.dim), np.float32)
        done = 0
        for block in self.embed_blocks(texts, progress=progress):
            rows[done : done + len(block)] = block
            done += len(block)
        return rows

    def embed_blocks(
        self,
        texts: Sequence[str],
        *,
        start: int = 0,
        block_rows: int = BLOCK_ROWS,
        progress: Progress = silent,
    ) -> Iterator[NDArray[np.float32]]:
        """Embed texts block by block, in order.

        The rows of a block depend on the texts of that block alone. So a run that goes on at a
        block boundary gives the same bytes as one that was never interrupted, with any number of
        threads. A text that occurs twice in a block is computed once.

        Args:
            texts: N texts.
            start: first row to embed, a multiple of `block_rows`.
            block_rows: rows a block; part of what decides the last bit of a vector.
            progress: called with `(done, total)` texts while a block is computed.

        Yields:
            float32 `(block_rows, dim)`, the last one shorter; rows of length 1.

        Raises:
            ModelError: the network gives a vector that is zero or not finite.
            TypeError: an element is not a string.
            ValueError: `start` is not a multiple of `block_rows`.
        """
        if block_rows < 1:
            raise ValueError(f"block_rows must be at least 1, got {block_rows}")
        if start < 0 or start % block_rows:
            raise ValueError(f"start must be a multiple of {block_rows}, got {start}")
        total = len(texts)
        for begin in range(start, total, block_rows):
            block = list(texts[begin : begin + block_rows])

            def tokens_done(
                done: int, tokens: int, begin: int = begin, n: int = len(block)
            ) -> None:
                progress(begin + n * done // tokens, total)

            yield self._encode(block, begin, tokens_done)

    def _encode(self, texts: list[str], first: int, progress: Progress) -> NDArray[np.float32]:
        """Return the unit rows of one block, whose first text is row `first` of the pool."""
        places: dict[str, int] = {}
        for row, text in enumerate(texts):
            if not isinstance(text, str):
                raise TypeError(f"text {first + row} is a {type(text).__name__}, not a string")
            places.setdefault(text, len(places))
        rows = self._engine.rows(self._tokenizer.encode(list(places)), progress)
        for layer in self._dense:
            if rows.shape[1] != layer.weight.shape[0]:
                raise ModelError(
                    f"{self.name}: a dense layer takes {layer.weight.shape[0]} columns, "
                    f"but gets {rows.shape[1]}"
                )
            rows = layer(rows)
        unit = unit_rows(rows)[[places[text] for text in texts]]
        bad = np.flatnonzero(~np.isfinite(unit).all(axis=1))
        if bad.size:
            raise ModelError(
                f"{self.name} gives a vector that is zero or not finite for text {first + bad[0]}",
                hint="the model's file is probably damaged, or its weights overflow",
            )
        return unit
