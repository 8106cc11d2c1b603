"""Run the benchmarks written in Python, one after another.

`--fast` runs each on small made data, to keep it alive; without it each runs on the real pools of
$DS2_FAST_DATA (or `shared/data` beside the repository), and says so where they are absent.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DATA = Path(os.environ.get("DS2_FAST_DATA", ROOT.parent / "shared" / "data"))
ALPACA = DATA / "alpaca52k_rated.parquet"
MINILM = DATA / "alpaca52k_minilm_f16.npy"
POOL = DATA / "pool_mixed_340k.parquet"
RATERS = ("rating_gpt4o_mini", "rating_llama31_8b", "rating_mistral_7b")

BENCHES: dict[str, tuple[str | Path, ...]] = {
    "bench_select.py": ("--pool", ALPACA, "--score-col", RATERS[0], "--embeddings", MINILM),
    "bench_knn.py": ("--embeddings", MINILM),
    "bench_alpaca_agreement.py": ("--ratings", ALPACA, "--embeddings", MINILM),
    "bench_curation.py": ("--data", DATA),
    "bench_bakeoff.py": ("--ratings", ALPACA, "--embeddings", MINILM),
    "bench_budget.py": ("--ratings", ALPACA, "--embeddings", MINILM, "--scale", "341612"),
    "bench_lexical.py": (
        *("--pool", ALPACA, "--embeddings", MINILM),
        *(part for rater in RATERS for part in ("--rating", rater)),
    ),
    "bench_embedding.py": ("--pool", ALPACA),
    "bench_after_graph.py": (),
    "bench_strategies.py": ("--pool", ALPACA, "--embeddings", MINILM),
    "bench_pool.py": ("--small", ALPACA, "--large", POOL),
    "bench_rating.py": (),
    "bench_rating_kills.py": (),
    "bench_rating_restart.py": (),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fast", action="store_true", help="small made data, one round")
    fast = parser.parse_args().fast
    failed = []
    for name, arguments in BENCHES.items():
        missing = [part for part in arguments if isinstance(part, Path) and not part.exists()]
        if missing and not fast:
            print(f"\n== {name}: skipped, there is no {missing[0]}; set DS2_FAST_DATA", flush=True)
            continue
        print(f"\n== {name}", flush=True)
        command = [sys.executable, str(HERE / name), *(("--fast",) if fast else arguments)]
        if subprocess.run([str(part) for part in command], check=False).returncode:
            failed.append(name)
    if failed:
        print(f"\nfailed: {', '.join(failed)}")
    return len(failed) > 0


if __name__ == "__main__":
    sys.exit(main())
