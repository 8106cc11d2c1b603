"""The model that gives a new text its place among the embeddings of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ds2_fast.errors import Ds2Error, PoolError
from ds2_fast.knn.cosine import cosines
from ds2_fast.pool_index.words import place_by_words
from ds2_fast.source import reopen_pool

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ds2_fast.embedding import Embedder
    from ds2_fast.features import Features
    from ds2_fast.progress import Narrator

_PROBED = 3
_SAME = 0.95
"""Cosine that the same model always exceeds (0.99 and more, whatever rounds), another one not."""


class TextModel:
    """The model of a run, loaded when a text is first embedded.

    Args:
        run: the run directory.
        manifest: its manifest.
        features: its features.
        model: name of the model the user gives; None for the one the run recorded.
        offline: open no socket.
        threads: at most so many.
        narrator: is told what happens.
    """

    def __init__(
        self,
        run: Path,
        manifest: Mapping[str, Any],
        features: Features,
        *,
        model: str | None,
        offline: bool,
        threads: int | None,
        narrator: Narrator,
    ) -> None:
        self._run = run
        self._manifest = manifest
        self._features = features
        self._name = model
        self._offline = offline
        self._threads = threads
        self._narrator = narrator

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Give texts their places in the space of the run's pool.

        A space of words is fitted on the pool once more, which gives the same one.

        Returns:
            float32 `(n, d)`, rows of unit length.

        Raises:
            PoolError: if no model is known, or it is not the one that made the embeddings; of a
                space of words, if the pool cannot be read any more or has changed, or a text
                shares no word with it.
            RunError: if the run does not tell where its pool is.
            ModelError: if the model cannot be had.

        Cost: the model's; with words, three quarters of what making the space took.
        """
        if self._features.space in ("lexical", "hybrid"):
            return self._place(texts)
        return self._embed(self._embedder, texts)

    def _embed(self, embedder: Embedder, texts: Sequence[str]) -> NDArray[np.float32]:
        with self._narrator.stage("embedding", "samples") as progress:
            return embedder.embed(texts, progress=progress)

    def _place(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Place texts among those of the pool by words, and by a model if the space has one too."""
        pool, rows = reopen_pool(self._run, self._manifest), self._features.rows
        known = np.unique(np.linspace(0, len(rows) - 1, _PROBED).astype(np.int64))
        known = known[rows[known].any(axis=1)]  # a row of zeros has no direction to compare
        asked = [*(pool.text[int(place)] for place in known), *texts]
        seed = self._manifest["stages"]["lexical"]["params"]["seed"]
        joined = self._features.space == "hybrid"
        semantic = self._embed(self._embedder, asked) if joined else None
        with self._narrator.stage("lexical", "samples") as progress:
            made = place_by_words(
                asked,
                pool.texts(),
                semantic=semantic,
                seed=seed,
                threads=self._threads,
                progress=progress,
            )
        if made.shape[1] != rows.shape[1]:
            raise PoolError(
                f"`{self._embedder.name}` and words give {made.shape[1]} dimensions, and the rows "
                f"of `{self._run}` have {rows.shape[1]}",
                "name the model that made them with `--model`",
            )
        similar = cosines(made[: len(known)], rows, known[:, None])[:, 0]
        if (similar < _SAME).any():
            row = int(known[similar.argmin()])
            raise PoolError(
                f"row {row} of the pool has another place now than in `{self._run}`, with a cosine "
                f"of {similar.min():.2f}",
                "the pool or the model has changed since: run again",
            )
        found = made[len(known) :]
        lost = ~found.any(axis=1)
        if lost.any():
            text = texts[int(lost.argmax())]
            raise PoolError(
                f"the text `{text[:40]}` shares no word with the pool, and so has no neighbors",
                "ask in words of the pool, or by `--row` or `--id`",
            )
        return found

    @cached_property
    def _embedder(self) -> Embedder:
        from ds2_fast.embedding import load_embedder

        recorded = self._features.embedder
        name = self._name or (recorded[0] if recorded else None)
        if name is None:
            raise PoolError(
                f"the embeddings of `{self._run}` were given, and no model is known for them",
                "name the one that made them with `--model`",
            )
        with self._narrator.stage("model", "bytes") as fetched:
            embedder = load_embedder(
                name, offline=self._offline, threads=self._threads, progress=fetched
            )
        if recorded is None and self._features.space != "hybrid":
            self._probe(embedder)
        elif recorded is not None and embedder.key != recorded[1]:
            raise PoolError(
                f"`{name}` is not the model that embedded `{self._run}`, or has changed since",
                "name the same model with `--model`, or run again",
            )
        return embedder

    def _probe(self, embedder: Embedder) -> None:
        """See that a model gives some samples the embeddings they have."""
        rows = self._features.rows
        if embedder.dim != rows.shape[1]:
            raise PoolError(
                f"`{embedder.name}` gives {embedder.dim} dimensions, and the embeddings of "
                f"`{self._run}` have {rows.shape[1]}",
                "name the model that made them with `--model`",
            )
        try:
            pool = reopen_pool(self._run, self._manifest)
        except (Ds2Error, OSError) as error:
            self._narrator.warn(
                f"whether `{embedder.name}` made the embeddings cannot be seen: {error}"
            )
            return
        places = np.unique(np.linspace(0, len(rows) - 1, _PROBED).astype(np.int64))
        made = embedder.embed([pool.text[int(place)] for place in places])
        similar = cosines(made, rows, places[:, None])[:, 0]
        if similar.min() < _SAME:
            row = int(places[similar.argmin()])
            raise PoolError(
                f"`{embedder.name}` did not make the embeddings of `{self._run}`: its row {row} "
                f"has a cosine of {similar.min():.2f} with the one there",
                "name the model that made them with `--model`",
            )
