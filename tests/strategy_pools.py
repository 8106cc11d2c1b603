"""A small pool on which every strategy of the package runs, and runs on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

import ds2_fast

POOL = Path(__file__).parent.parent / "examples" / "sample_pool.parquet"
ROWS = 400


def write_pool(folder: Path) -> Path:
    """Write a pool with columns and files for every strategy, and its embeddings.

    Ratings, complexity, groups, losses, perplexities and tags are columns; embeddings, gradients,
    picks and a target are files.
    """
    rng = np.random.default_rng(4)
    frame = pl.read_parquet(POOL).head(ROWS).drop("truth")
    second = np.clip(frame["rating"].to_numpy() + rng.integers(-1, 2, ROWS), 0, 5)
    frame = frame.with_columns(
        second=pl.Series(second),
        complexity=pl.Series(rng.random(ROWS)),
        source=pl.col("topic").str.split("/").list.first(),
        tags=pl.col("topic").str.split("/"),
        loss_direct=pl.Series(alone := rng.uniform(1, 3, ROWS)),
        loss_conditioned=pl.Series(alone * rng.uniform(0.5, 1.1, ROWS)),
        ppl=pl.Series(np.exp(alone)),
    )
    frame.write_parquet(folder / "pool.parquet")
    frame.drop("rating", "second").write_parquet(folder / "unrated.parquet")
    np.save(folder / "rows.npy", rng.standard_normal((ROWS, 16)).astype(np.float32))
    (folder / "picks.txt").write_text("".join(f"{name}\n" for name in frame["id"][40:120]), "utf-8")
    np.save(folder / "target_rows.npy", rng.standard_normal((5, 16)).astype(np.float32))
    np.save(folder / "gradients.npy", rng.standard_normal((ROWS, 8)).astype(np.float32))
    np.save(folder / "target_gradients.npy", rng.standard_normal((5, 8)).astype(np.float32))
    frame.tail(20).write_ndjson(folder / "target.jsonl")
    return folder / "pool.parquet"


def select_by(strategy: str, folder: Path, run: Path, *, n=30, pool="pool", **options):
    """Select from the pool of a folder; embeddings are those beside it."""
    score_col = None if pool != "pool" else "rating"
    usual = {"embeddings": folder / "rows.npy", "score_col": score_col, "html": False}
    return ds2_fast.select(
        folder / f"{pool}.parquet", n, strategy=strategy, run_dir=run, **{**usual, **options}
    )
