"""Does curating one rater's scores bring them closer to what two other raters say?

    python benches/bench_alpaca_agreement.py --ratings alpaca52k_rated.parquet \
        --embeddings alpaca52k_minilm_f16.npy
    python benches/bench_alpaca_agreement.py --fast            # a made pool, seconds

Three raters have scored the same samples. The scores of each are curated in every mode, and the
table gives the Spearman correlation of the outcome with the mean of the two other raters' raw
scores. `bayes` rows are the expected score (soft); the published modes know only the curated one.
Other raters are not the truth, and what all three owe to a sample's topic counts as agreement.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ds2_fast.curation import curate
from ds2_fast.knn import Neighbors, find_neighbors, map_embeddings
from ds2_fast.published import fit_transition_reference
from ds2_fast.transition import fit_transition

Scores = NDArray[np.int8]
Values = NDArray[np.float64]

NUM_CLASSES = 6
RATING_PREFIX = "rating_"
METHODS = ("raw", "paper", "reference", "bayes a=0.5 soft", "bayes a=1 soft")
RESULTS = Path(__file__).resolve().parent / "results"


@dataclass(frozen=True)
class Pool:
    """Samples that several raters scored, and their neighbors."""

    name: str
    neighbors: Neighbors
    ratings: dict[str, Scores]


def read_pool(ratings: Path, embeddings: Path, k: int, rows: int | None) -> Pool:
    frame = pl.read_parquet(ratings, n_rows=rows)
    columns = [name for name in frame.columns if name.startswith(RATING_PREFIX)]
    found = {name.removeprefix(RATING_PREFIX): frame[name].to_numpy() for name in columns}
    neighbors = find_neighbors(np.array(map_embeddings(embeddings)[:rows]), k)
    return Pool(
        f"{ratings.stem}, {embeddings.stem}",
        neighbors,
        {name: values.astype(np.int8) for name, values in found.items()},
    )


def make_pool(n: int, k: int) -> Pool:
    """Clusters of 25 samples that share a true score, and raters right in 5, 6, 7 of 10 cases."""
    rng = np.random.default_rng(42)
    cluster = rng.integers(0, n // 25, n)
    centers = rng.standard_normal((n // 25, 32))
    truth = rng.integers(0, NUM_CLASSES, n // 25)[cluster]
    rows = centers[cluster] + 0.3 * rng.standard_normal((n, 32))

    def rate(share: float) -> Scores:
        anything = rng.integers(0, NUM_CLASSES, n)
        return np.where(rng.random(n) < share, truth, anything).astype(np.int8)

    raters = {f"right {share:.0%}": rate(share) for share in (0.5, 0.6, 0.7)}
    return Pool("made", find_neighbors(rows.astype(np.float32), k), raters)


def ranks(values: Values) -> Values:
    """Ranks from 0; ties share their mean."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    return ((ends - counts + ends - 1) / 2)[places]


def spearman(x: Values, y: Values) -> float:
    return float(np.corrcoef(ranks(x), ranks(y))[0, 1])


def outcomes(scores: Scores, neighbors: Neighbors) -> dict[str, tuple[Values, dict[str, Any]]]:
    """What each method makes of the scores, and what is to be known about it."""
    bayes = fit_transition(scores, neighbors, num_classes=NUM_CLASSES)
    paper = fit_transition(
        scores, neighbors, num_classes=NUM_CLASSES, k=2, prior="uniform", strength=1.0
    )
    reference = fit_transition_reference(scores, neighbors.indices, NUM_CLASSES)
    runs = {
        "paper": (paper, {"mode": "paper"}),
        "reference": (reference, {"mode": "reference"}),
        "bayes a=0.5 soft": (bayes, {"noise_share": 0.5}),
        "bayes a=1 soft": (bayes, {"noise_share": 1.0}),
    }
    found = {"raw": (scores.astype(np.float64), {})}
    for method, (transition, options) in runs.items():
        start = time.perf_counter()
        curated = curate(scores, neighbors, transition, **options)
        seconds = time.perf_counter() - start
        facts = {
            "seconds": round(seconds, 3),
            "changed": curated.changed,
            "vanished": list(curated.vanished),
            "information": curated.information,
            "k": curated.neighbor_k,
            "beta": curated.beta,
            "switched_off": curated.switched_off,
        }
        found[method] = (curated.expected, facts)
    return found


def measure(pool: Pool) -> list[dict[str, Any]]:
    lines = []
    for rater, scores in pool.ratings.items():
        others = [other for name, other in pool.ratings.items() if name != rater]
        target = np.mean(others, axis=0)
        found = outcomes(scores, pool.neighbors)
        lines.append(
            {
                "rater": rater,
                "spearman": {m: round(spearman(found[m][0], target), 4) for m in METHODS},
                "facts": {m: found[m][1] for m in METHODS},
            }
        )
    return lines


def processor() -> str:
    """Name of the processor, as well as the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def as_markdown(result: dict[str, Any]) -> str:
    head = f"| rater | {' | '.join(METHODS)} |\n|---|{'---|' * len(METHODS)}\n"
    rows = []
    for line in result["raters"]:
        best = max(line["spearman"].values())
        cells = [
            f"**{value:.3f}**" if value == best else f"{value:.3f}"
            for value in line["spearman"].values()
        ]
        rows.append(f"| {line['rater']} | {' | '.join(cells)} |")
    return (
        "# Spearman correlation with the mean of the two other raters\n\n"
        f"{result['pool']}: {result['n']:,} samples, {result['neighbors']} neighbors; "
        f"{result['date']}, {result['processor']}, {result['cores']} cores.\n\n"
        + head
        + "\n".join(rows)
        + "\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ratings", type=Path, help=".parquet with columns rating_*, 0..5")
    parser.add_argument("--embeddings", type=Path, help=".npy, float32 or float16 (N, d)")
    parser.add_argument("--rows", type=int, help="use the first rows only")
    parser.add_argument("-k", type=int, default=50, help="neighbors per sample")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--fast", action="store_true", help="a small made pool; nothing is written")
    options = parser.parse_args()
    if options.fast:
        pool = make_pool(3000, options.k)
    elif options.ratings and options.embeddings:
        pool = read_pool(options.ratings, options.embeddings, options.k, options.rows)
    else:
        parser.error("give --ratings and --embeddings, or --fast")
    date = datetime.datetime.now(tz=datetime.UTC).date().isoformat()
    result = {
        "pool": pool.name,
        "n": len(pool.neighbors.indices),
        "neighbors": options.k,
        "date": date,
        "processor": processor(),
        "cores": os.cpu_count(),
        "raters": measure(pool),
    }
    print(as_markdown(result))
    if not options.fast:
        options.out.mkdir(parents=True, exist_ok=True)
        stem = options.out / f"{date}-alpaca-agreement-{options.embeddings.stem}"
        stem.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        stem.with_suffix(".md").write_text(as_markdown(result), encoding="utf-8")


if __name__ == "__main__":
    main()
