"""Time of reading a pool, its texts, and writing a subset of it.

    python benches/bench_pool.py [FOLDER]

FOLDER holds `pool_mixed_340k.parquet` and `alpaca52k_rated.parquet` (default: $DS2_FAST_DATA, or
`shared/data` beside the repository). Prints one JSON object: seconds, best of three rounds.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import polars as pl

from ds2_fast.pool import Pool, read_pool, write_subset

ROUNDS = 3
ROOT = Path(__file__).resolve().parent.parent


def best(call: Callable[[], object]) -> float:
    """Seconds of the fastest of the rounds."""
    seconds = []
    for _ in range(ROUNDS):
        start = perf_counter()
        call()
        seconds.append(perf_counter() - start)
    return round(min(seconds), 3)


def as_messages(frame: pl.DataFrame) -> pl.DataFrame:
    """The same samples as lists of turns."""
    question = pl.concat_str("instruction", pl.lit("\n"), pl.col("input").fill_null(""))
    user = pl.struct(role=pl.lit("user"), content=question)
    assistant = pl.struct(role=pl.lit("assistant"), content=pl.col("output"))
    return frame.select("id", messages=pl.concat_list(user, assistant))


def read_and_write(name: str, path: Path, folder: Path) -> dict[str, float]:
    pool: Pool = read_pool(path)
    rows = np.random.default_rng(42).permutation(len(pool))[:10_000]
    return {
        f"{name}: read and texts": best(lambda: read_pool(path).texts()),
        f"{name}: digest": best(pool.digest),
        f"{name}: conversations": best(pool.conversations),
        f"{name}: write 10,000": best(lambda: write_subset(pool, rows, folder / "out.jsonl")),
    }


def main() -> None:
    default = os.environ.get("DS2_FAST_DATA", ROOT.parent / "shared" / "data")
    data = Path(sys.argv[1] if len(sys.argv) > 1 else default)
    large, small = data / "pool_mixed_340k.parquet", data / "alpaca52k_rated.parquet"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds = read_and_write("alpaca 52k .parquet", small, folder)
        frame = pl.read_parquet(large)
        frame.write_ndjson(folder / "pool.jsonl")
        as_messages(frame).write_ndjson(folder / "messages.jsonl")
        as_messages(frame).write_parquet(folder / "messages.parquet")
        del frame
        seconds |= read_and_write("340k .parquet", large, folder)
        for each in ("pool.jsonl", "messages.jsonl", "messages.parquet"):
            seconds |= read_and_write(f"340k {each}", folder / each, folder)
    print(json.dumps({"machine": platform.platform(), "seconds": seconds}, indent=1))


if __name__ == "__main__":
    main()
