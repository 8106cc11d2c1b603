"""The pools of `bench_curation.py`: their ratings, what is known of the truth, their spaces."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ds2_fast.embedding import load_embedder, write_embeddings
from ds2_fast.errors import ModelError
from ds2_fast.knn import Neighbors, find_neighbors
from ds2_fast.lexical import embed_lexical, hybrid
from ds2_fast.pool import read_pool
from ds2_fast.published import neighbors_needed

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
import synthetic  # noqa: E402 - the generator of the tests lies beside them

Rows = NDArray[Any]
Scores = NDArray[np.int8]
Told = Callable[[str], None]

RATING = "rating_"
SST_ROWS = 20_000
SST_CLASSES = 5


@dataclass(frozen=True)
class Gold:
    """Samples with ratings, and what is known of the truth.

    Args:
        name: of the pool.
        num_classes: K.
        ratings: int8 `(N,)` by rater, -1 = unrated.
        truth: the true scores, or None where only the other raters are known.
        groups: int64 `(N,)`: samples that are drawn together when an interval is measured.
        rows: feature rows by space.
        seeds: draws of each rater, `name seed`; 0 where a rater is one column.
    """

    name: str
    num_classes: int
    ratings: dict[str, Scores]
    truth: Scores | None
    groups: NDArray[np.int64]
    rows: dict[str, Rows]
    seeds: int = 0


@dataclass(frozen=True)
class Store:
    """Where rows and graphs are kept from one run to the next.

    Args:
        folder: of the files, each named by a digest of what it was made from.
        model: folder or name of the embedding model.
        threads: at most so many.
    """

    folder: Path
    model: str
    threads: int | None

    def embeddings(self, texts: list[str], say: Told) -> Rows | None:
        """Embed texts; None, and a line, where the model is not on this machine."""
        try:
            embedder = load_embedder(self.model, offline=True, threads=self.threads)
        except ModelError as error:
            say(f"no embedding space: {error.message}")
            return None
        digest = hashlib.sha256(f"{embedder.key}\0".encode())
        for text in texts:
            digest.update(f"{len(text)} {text}".encode())
        file = self.folder / f"rows-{digest.hexdigest()[:16]}.npy"
        if file.exists():
            return np.load(file)
        return np.array(write_embeddings(embedder, texts, file))

    def neighbors(self, rows: Rows, depth: int) -> Neighbors:
        """Find neighbors, or read them."""
        digest = hashlib.sha256(f"{rows.dtype}{rows.shape}{depth}".encode())
        digest.update(np.ascontiguousarray(rows).data)
        file = self.folder / f"graph-{digest.hexdigest()[:16]}.npz"
        if file.exists():
            with np.load(file) as found:
                return Neighbors(found["indices"], found["similarities"])
        found = find_neighbors(rows, depth, allow_zero=True, threads=self.threads)
        np.savez(file, indices=found.indices, similarities=found.similarities)
        return found


def depth_of(samples: int) -> int:
    """Neighbors that every mode can do with."""
    return min(neighbors_needed(samples), samples - 1)


def spaces_of(texts: list[str], embeddings: Rows | None, threads: int | None) -> dict[str, Rows]:
    """The spaces at hand, kept as float16 as in a run."""
    words = embed_lexical(texts, threads=threads).astype(np.float16)
    if embeddings is None:
        return {"lexical": words}
    joined = hybrid(embeddings, words).astype(np.float16)
    return {"embedding": embeddings, "lexical": words, "hybrid": joined}


def read_alpaca(data: Path, store: Store) -> Gold:
    """Three raters, no truth; embeddings given."""
    frame = pl.read_parquet(data / "alpaca52k_rated.parquet")
    given = np.load(data / "alpaca52k_minilm_f16.npy")
    rows = spaces_of(read_pool(frame).texts(), given, store.threads)
    return Gold("Alpaca", 6, ratings_of(frame), None, np.arange(len(frame)), rows)


def read_trec(data: Path, store: Store, say: Told) -> Gold:
    """Six LLM raters of relevance and the human label; passages of one query belong together."""
    frame = pl.read_parquet(data / "gold_trec_relevance.parquet")
    texts = read_pool(frame).texts()
    rows = spaces_of(texts, store.embeddings(texts, say), store.threads)
    groups = frame["query_id"].cast(pl.Categorical).to_physical().to_numpy().astype(np.int64)
    return Gold("TREC", 4, ratings_of(frame), frame["gold"].to_numpy(), groups, rows)


def read_sst(data: Path, store: Store, say: Told, seeds: int) -> Gold:
    """20,000 sentences and phrases with their sentiment, and noise of four shapes."""
    frame = pl.read_parquet(data / "gold_sst5.parquet")
    rng = np.random.default_rng(0)
    frame = frame[np.sort(rng.choice(len(frame), min(SST_ROWS, len(frame)), replace=False))]
    texts, truth = read_pool(frame).texts(), frame["gold"].to_numpy()
    rows = spaces_of(texts, store.embeddings(texts, say), store.threads)
    ratings = dict(inject(truth, SST_CLASSES, seeds))
    return Gold("SST-5", SST_CLASSES, ratings, truth, np.arange(len(frame)), rows, seeds)


def make_gold(samples: int, seeds: int) -> Gold:
    """A made pool whose lexical and semantic spaces know different halves of the truth."""
    pool = synthetic.make_pool(samples, "adj")
    noise = np.random.default_rng(1).standard_normal(pool.embeddings.shape)
    rows = {
        "embedding": pool.embeddings,
        "lexical": (pool.embeddings + 0.1 * noise).astype(np.float32),
    }
    rows["hybrid"] = hybrid(rows["embedding"], rows["lexical"])
    ratings = dict(inject(pool.truth, synthetic.NUM_CLASSES, seeds))
    groups = np.arange(samples)
    return Gold("made", synthetic.NUM_CLASSES, ratings, pool.truth, groups, rows, seeds)


def ratings_of(frame: pl.DataFrame) -> dict[str, Scores]:
    columns = [name for name in frame.columns if name.startswith(RATING)]
    return {
        name.removeprefix(RATING): frame[name].fill_null(-1).to_numpy().astype(np.int8)
        for name in columns
    }


def inject(truth: Scores, num_classes: int, seeds: int) -> Iterator[tuple[str, Scores]]:
    """Rate the truth by each rater of the tests, cut to the classes there are, seed after seed."""
    for shape, table in synthetic.RATERS.items():
        T = table[:num_classes, :num_classes]
        T = T / T.sum(axis=1, keepdims=True)
        for seed in range(seeds):
            rng = np.random.default_rng([seed, len(shape), ord(shape[0])])
            yield f"{shape} {seed}", synthetic.draw_ratings(truth, T, rng)
