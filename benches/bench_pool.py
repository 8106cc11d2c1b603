"""Time of reading a pool, its texts, and writing a subset of it.

    python benches/bench_pool.py --small POOL.parquet --large POOL.parquet

Both have the columns instruction, input, output; the large one is also measured as JSON Lines and
as messages. Prints one JSON object: seconds, best of three rounds.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np
import polars as pl

from ds2_fast.pool import Pool, read_pool, write_subset

ROUNDS = 3
SAMPLE = Path(__file__).resolve().parent.parent / "examples" / "sample_pool.parquet"


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
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", type=Path, default=SAMPLE)
    parser.add_argument("--large", type=Path, default=SAMPLE)
    parser.add_argument("--fast", action="store_true", help="the sample pool for both")
    options = parser.parse_args()
    small, large = (SAMPLE, SAMPLE) if options.fast else (options.small, options.large)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        seconds = read_and_write(f"{small.stem} .parquet", small, folder)
        frame = pl.read_parquet(large)
        frame.write_ndjson(folder / "pool.jsonl")
        as_messages(frame).write_ndjson(folder / "messages.jsonl")
        as_messages(frame).write_parquet(folder / "messages.parquet")
        del frame
        seconds |= read_and_write(f"{large.stem} .parquet", large, folder)
        for each in ("pool.jsonl", "messages.jsonl", "messages.parquet"):
            seconds |= read_and_write(f"{large.stem} {each}", folder / each, folder)
    print(json.dumps({"machine": platform.platform(), "seconds": seconds}, indent=1))


if __name__ == "__main__":
    main()
