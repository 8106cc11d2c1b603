"""The pool of a finished run, to be queried and added to."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ds2_fast import _core
from ds2_fast.errors import PoolError
from ds2_fast.features import Features
from ds2_fast.knn.cosine import cosines, first_of, nearest
from ds2_fast.pool_index.added import Added, load_added, save_added
from ds2_fast.pool_index.ids import Ids
from ds2_fast.pool_index.matches import Match, Matches
from ds2_fast.pool_index.model import TextModel
from ds2_fast.pool_index.samples import Samples
from ds2_fast.pool_index.stored import (
    StoredIndexes,
    check_current,
    open_indexes,
    update_added_index,
)
from ds2_fast.progress import QUIET, Narrator
from ds2_fast.rundir import open_run, read_manifest
from ds2_fast.source import reopen_features

if TYPE_CHECKING:
    from collections.abc import Mapping

Method = Literal["exact", "index"]


class PoolIndex:
    """The pool of a run, by similarity; made by `PoolIndex.open`.

    Rows below N are the pool's; those from N on were added.

    Attributes:
        run: the run directory.
        features: the rows of the pool, and what made them.
    """

    def __init__(
        self,
        run: Path,
        manifest: Mapping[str, Any],
        features: Features,
        added: Added,
        *,
        model: TextModel,
        narrator: Narrator,
        threads: int | None,
    ) -> None:
        self.run = run
        self.features = features
        self._added = added
        self._model = model
        self._narrator = narrator
        self._threads = threads
        self._samples = Samples(run, manifest, narrator)
        self._ids = Ids(self._samples, len(features.rows))
        self._indexes: StoredIndexes | None = None

    @classmethod
    def open(
        cls,
        run: str | os.PathLike[str],
        *,
        model: str | None = None,
        offline: bool = False,
        threads: int | None = None,
        narrator: Narrator = QUIET,
    ) -> PoolIndex:
        """Open the pool of a run. Nothing is written, and no model loaded, before it is needed.

        Args:
            run: the run directory, as `select` and `embed` leave it.
            model: the model that made the embeddings, for a run whose embeddings were given.
            offline: open no socket.
            threads: at most so many; None for all.
            narrator: is told what happens.

        Raises:
            RunError: if it is no run directory, or its features are gone or have changed.
            PoolError: if features that were given cannot be read any more.
        """
        folder = Path(run)
        manifest = read_manifest(folder)
        features = reopen_features(folder, manifest)
        added = load_added(folder, features.rows.shape[1], features.digest)
        texts = TextModel(
            folder, manifest, features, model=model, offline=offline, threads=threads,
            narrator=narrator,
        )  # fmt: skip
        return cls(
            folder, manifest, features, added, model=texts, narrator=narrator, threads=threads
        )

    def __len__(self) -> int:
        """Count the samples, added ones included."""
        return len(self.features.rows) + len(self._added)

    def search(
        self,
        *,
        text: str | None = None,
        row: int | None = None,
        id: str | None = None,
        vectors: NDArray[Any] | None = None,
        k: int = 10,
        method: Method = "exact",
    ) -> Matches:
        """Find the samples most similar to a query.

        `exact` compares the query with every sample: the best there is for a few queries, 0.15
        seconds among 52,002 samples of 384 dimensions. `index` asks the run's usearch index, which
        is built when first asked for; similarities are true either way.

        Args:
            text: a text, embedded by the run's model.
            row: a row of the pool, or of an added sample; it is left out itself.
            id: the id of a sample; it is left out itself.
            vectors: float32 or float16 `(m, d)` or `(d,)`: m queries in the space of the run.
            k: how many, at least 1; fewer are found where there are fewer.
            method: `exact` or `index`.

        Returns:
            `(m, min(k, samples))`, m = 1 but for `vectors`.

        Raises:
            TypeError: if not exactly one of `text`, `row`, `id` and `vectors` is given.
            ValueError: if `k`, `method` or `vectors` is not fit.
            PoolError: if there is no such row or id, or the text cannot be embedded.
            ModelError: if the model cannot be had.
        """
        if k < 1:
            raise ValueError(f"k must be at least 1, got {k}")
        if method not in ("exact", "index"):
            raise ValueError(f"method: expected exact or index, got {method!r}")
        if sum(query is not None for query in (text, row, id, vectors)) != 1:
            raise TypeError("give exactly one of `text`, `row`, `id` and `vectors`")
        own = self._row_of(row, id)
        if text is not None:
            queries: NDArray[Any] = self._model.embed([text])
        elif vectors is not None:
            queries = self._checked(vectors)
        else:
            queries = self._row(own)[None, :]
        k = min(k, len(self) - (own is not None))
        if k < 1:
            empty = np.empty((len(queries), 0), np.float32)
            return Matches(empty.astype(np.uint32), empty, method)
        indexes = self._open_indexes() if method == "index" else None
        if indexes is not None:
            found = self._ask(indexes, queries, own, k)
            if found is not None:
                return found
        return self._compare(queries, own, k)

    def matches(self, found: Matches, query: int = 0) -> list[Match]:
        """Say what the run knows about the samples a query found.

        Args:
            found: what `search` gave.
            query: which of its queries.

        Returns:
            One entry per sample, nearest first.

        Cost: reading the pool's files, once.
        """
        rows, similarities = found.rows[query].tolist(), found.similarities[query].tolist()
        return [
            self._match(rank, row, similarity)
            for rank, (row, similarity) in enumerate(zip(rows, similarities, strict=True), 1)
        ]

    def add(
        self,
        embeddings: NDArray[Any] | None = None,
        ids: Sequence[str | None] | None = None,
        *,
        texts: Sequence[str] | None = None,
        source: str = "added",
    ) -> range:
        """Add samples, without running again and without rebuilding an index.

        They are kept in `added.parquet` of the run directory, which is replaced in one step; where
        the run has an index, its index of added samples grows. A query finds them at once. The run
        itself, its scores and its selection, stays what it is.

        Args:
            embeddings: float32 or float16 `(n, d)`, in the space of the run; None to embed `texts`
                with its model.
            ids: their ids; None for none.
            texts: their texts; None if only the embeddings are known.
            source: where they come from, in a word or a file name.

        Returns:
            Their rows.

        Raises:
            TypeError: if neither embeddings nor texts are given.
            ValueError: if the numbers of embeddings, ids and texts differ.
            PoolError: if an id is there already, or the texts cannot be embedded.
            RunError: if the run directory is in use or cannot be written.
        """
        if embeddings is None:
            if texts is None:
                raise TypeError("give `embeddings` or `texts`")
            embeddings = self._model.embed(list(texts))
        rows = self._checked(embeddings).astype(np.float32)
        given: list[Sequence[str | None]] = [
            [None] * len(rows) if values is None else values for values in (ids, texts)
        ]
        for name, values in zip(("ids", "texts"), given, strict=True):
            if len(values) != len(rows):
                raise ValueError(f"{len(rows)} samples are added, with {len(values)} {name}")
        if not len(rows):
            return range(len(self), len(self))
        with open_run(self.run, _core.__version__) as opened:
            check_current(opened, self.features)
            # Another process may have added some.
            self._added = load_added(self.run, rows.shape[1], self.features.digest)
            self._ids.check_new(given[0], self._added.ids)
            first = len(self)
            self._added = self._added.with_more(rows, given[0], given[1], source)
            save_added(self.run, self._added, self.features.digest)
            self._indexes = None
            update_added_index(opened, self._added, self._narrator)
        return range(first, len(self))

    def build(self) -> bool:
        """Build the run's index if it is not there; say whether there is one now.

        Raises:
            RunError: if the run directory is in use or cannot be written, or there is no room.
        """
        return self._open_indexes() is not None

    def _open_indexes(self) -> StoredIndexes | None:
        if self._indexes is None:
            self._indexes = open_indexes(
                self.run, self.features, self._added, self._narrator, self._threads
            )
        return self._indexes

    def _compare(self, queries: NDArray[Any], own: int | None, k: int) -> Matches:
        """Compare queries with every sample."""
        parts: list[tuple[NDArray[np.int64], NDArray[np.float32]]] = []
        first = 0
        for rows in (self.features.rows, self._added.rows):
            inside = own is not None and first <= own < first + len(rows)
            count = min(k, len(rows) - inside)
            if count > 0:
                left_out = np.array([own]) - first if inside else None
                found, similarities = nearest(queries, rows, count, own=left_out)
                parts.append((found.astype(np.int64) + first, similarities))
            first += len(rows)
        candidates = np.concatenate([part[0] for part in parts], axis=1)
        similarities = np.concatenate([part[1] for part in parts], axis=1)
        return Matches(*first_of(candidates, similarities, k), "exact")

    def _ask(
        self, indexes: StoredIndexes, queries: NDArray[Any], own: int | None, k: int
    ) -> Matches | None:
        """Ask the indexes; None if they name fewer than k samples, so that all are compared."""
        if not queries.any(axis=1).all():  # a row of zeros has no direction to go in
            return None
        total = len(self.features.rows)
        # The sample itself may come back, and float16 swaps near equals.
        keys = indexes.candidates(queries, k + 1 + max(4, k // 8), total, self._threads)
        similarities = np.full(keys.shape, -np.inf, np.float32)
        for first, rows in ((0, self.features.rows), (total, self._added.rows)):
            inside = (keys >= first) & (keys < first + len(rows))
            if inside.any():
                places = np.where(inside, keys - first, 0)
                similarities = np.where(inside, cosines(queries, rows, places), similarities)
        if own is not None:
            similarities[keys == own] = -np.inf
        if np.any(np.count_nonzero(similarities > -np.inf, axis=1) < k):
            return None
        return Matches(*first_of(keys, similarities, k), "index")

    def _match(self, rank: int, row: int, similarity: float) -> Match:
        place = row - len(self.features.rows)
        if place < 0:
            return Match(
                rank, row, similarity=similarity, added=False, source=None,
                **self._samples.about(row),
            )  # fmt: skip
        return Match(
            rank, row, self._added.ids[place], similarity, None, None, None, True,
            self._added.sources[place], self._added.texts[place],
        )  # fmt: skip

    def _row_of(self, row: int | None, id: str | None) -> int | None:
        if id is not None:
            return self._ids.find(id, self._added.ids)
        if row is not None and not 0 <= row < len(self):
            raise PoolError(
                f"there is no row {row}: the pool has {len(self):,}, added ones included",
                "rows count from 0",
            )
        return row

    def _row(self, row: int | None) -> NDArray[Any]:
        assert row is not None, "a query without text and vectors is a row"
        place = row - len(self.features.rows)
        found: NDArray[Any] = self.features.rows[row] if place < 0 else self._added.rows[place]
        return found

    def _checked(self, vectors: NDArray[Any]) -> NDArray[Any]:
        """Take vectors to `(m, d)`; refuse what has no place in the space."""
        dim = self.features.rows.shape[1]
        array = np.atleast_2d(np.asarray(vectors))
        if array.dtype.kind != "f" or array.ndim != 2 or array.shape[1] != dim:  # noqa: PLR2004
            raise ValueError(
                f"expected floats (m, {dim}), as the run has them, got {array.dtype} {array.shape}"
            )
        for name, bad in (
            ("not finite", ~np.isfinite(array).all(axis=1)),
            ("zero, and has no direction", ~array.any(axis=1)),
        ):
            if bad.any():
                raise ValueError(f"vector {int(bad.argmax())} is {name}")
        return array.astype(np.float32) if array.dtype != np.float16 else array
