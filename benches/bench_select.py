"""The whole line as a user runs it: first run, second run with another n, help.

    python benches/bench_select.py --pool POOL --score-col COLUMN --embeddings FILE.npy

Every run is a process of its own, timed from start to exit. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

SAMPLE = Path(__file__).resolve().parent.parent / "examples" / "sample_pool.parquet"


def seconds(*arguments: object) -> float:
    """Wall time of `ds2-fast` with these arguments."""
    start = perf_counter()
    subprocess.run(
        [sys.executable, "-m", "ds2_fast", *map(str, arguments)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pool", type=Path, default=SAMPLE)
    parser.add_argument("--score-col", default="rating")
    parser.add_argument("--embeddings", type=Path, help="default: the lexical space")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fast", action="store_true", help="the sample pool, one round")
    options = parser.parse_args()
    if options.fast:
        options.pool, options.score_col, options.embeddings = SAMPLE, "rating", None
        options.rounds = 1
    features = ("--space", "lexical")
    if options.embeddings:
        features = ("--embeddings", options.embeddings)
    first, second, help_ = [], [], []
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as folder:
            select = ["select", options.pool, "--score-col", options.score_col, *features]
            select += ["-o", f"{folder}/out.parquet", "--run-dir", f"{folder}/run"]
            first.append(seconds(*select, "-n", 1000))
            second.append(seconds(*select, "-n", 2000))
        help_.append(min(seconds("--help") for _ in range(5)))
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    report = {
        "machine": platform.platform(),
        "cores": os.cpu_count(),
        "pool": options.pool.name,
        "rounds": options.rounds,
        "first run, -n 1000 (s)": round(statistics.median(first), 2),
        "second run, -n 2000 (s)": round(statistics.median(second), 2),
        "--help (ms)": round(1000 * statistics.median(help_)),
        "peak memory of a run (MiB)": round(peak),
    }
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
