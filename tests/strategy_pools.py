"""A small pool on which every strategy of the package runs, and runs on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

import ds2_fast

POOL = Path(__file__).parent.parent / "examples" / "sample_pool.parquet"
ROWS = 400


def write_pool(folder: Path) -> Path:
    """Write a pool with ratings, complexity, groups, picks and a target, and its embeddings."""
    rng = np.random.default_rng(4)
    frame = pl.read_parquet(POOL).head(ROWS).drop("truth")
    second = np.clip(frame["rating"].to_numpy() + rng.integers(-1, 2, ROWS), 0, 5)
    frame = frame.with_columns(
        second=pl.Series(second),
        complexity=pl.Series(rng.random(ROWS)),
        source=pl.col("topic").str.split("/").list.first(),
    )
    frame.write_parquet(folder / "pool.parquet")
    frame.drop("rating", "second").write_parquet(folder / "unrated.parquet")
    np.save(folder / "rows.npy", rng.standard_normal((ROWS, 16)).astype(np.float32))
    (folder / "picks.txt").write_text("".join(f"{name}\n" for name in frame["id"][40:120]), "utf-8")
    frame.tail(20).write_ndjson(folder / "target.jsonl")
    return folder / "pool.parquet"


def select_by(strategy: str, folder: Path, run: Path, *, n=30, pool="pool", **options):
    """Select from the pool of a folder; embeddings are those beside it."""
    score_col = None if pool != "pool" else "rating"
    usual = {"embeddings": folder / "rows.npy", "score_col": score_col, "html": False}
    return ds2_fast.select(
        folder / f"{pool}.parquet", n, strategy=strategy, run_dir=run, **{**usual, **options}
    )
