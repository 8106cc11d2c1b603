"""Does curation help, and where does it harm? Every mode in every space, on what is known.

    python benches/bench_curation.py --data shared/data --model .models/all-MiniLM-L6-v2
    python benches/bench_curation.py --fast                    # small made pools, seconds

Alpaca: three raters; Spearman of one rater's expected score with the mean of the two others' raw
scores. Other raters are not the truth. TREC: six raters against the human label. SST-5: noise of
four shapes put on the true sentiment, several seeds. Made: the clustered pools of the tests, whose
T is known. Gains are over the raw score; intervals are of 95 %, bootstrapped over samples (TREC:
over queries) or by Student's t over seeds. A part whose data is absent is skipped, with a line.

Where the noise share need not be assumed: every other rater as the second, and audits of 100 and
300 samples of the truth, ten of each rater.

The curation of a preset is that of its mode: `default` is `bayes` at `noise_share` 0.5, `paper`
and `reference` are the modes of these names.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation_evidence import measure_evidence
from curation_measures import (
    DEFAULT,
    METHODS,
    PRESET_OF,
    Outcome,
    against,
    calibration_error,
    f1,
    outcomes,
    row_tv,
    seed_interval,
    shared_error,
)
from curation_pools import (
    Gold,
    Store,
    Told,
    depth_of,
    make_gold,
    read_alpaca,
    read_sst,
    read_trec,
    synthetic,
)
from curation_tables import as_markdown
from ds2_fast.longtail import score_longtail
from ds2_fast.selection import rank_samples
from ds2_fast.spaces import compare_spaces, sample_rated
from machine import describe_machine

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
Values = NDArray[Any]
Lines = list[dict[str, Any]]

SHARE_SELECTED = 10
"""One sample in so many is selected where the presets are compared."""

THIN = 12
"""One copy in so many is drawn in the thin regime, as the published code does of 300,000 rows."""


def measure_raters(gold: Gold, store: Store) -> Lines:
    """Every rater in every space, against the truth or the other raters."""
    lines = []
    for space, rows in gold.rows.items():
        neighbors = store.neighbors(rows, depth_of(len(rows)))
        for rater, scores in gold.ratings.items():
            found = outcomes(scores, neighbors, gold.num_classes)
            line: dict[str, Any] = {"rater": rater, "space": space}
            if gold.truth is None:
                others = [other for name, other in gold.ratings.items() if name != rater]
                target = np.mean(others, axis=0)
                line |= against(found, target, gold.groups)
                line["selected"] = selected_means(found, neighbors.similarities, target)
            else:
                target = gold.truth.astype(np.float64)
                line |= against(found, target, gold.groups, num_classes=gold.num_classes)
                line["shared_error"] = round(shared_error(scores, gold.truth, neighbors), 4)
            lines.append(line | {"facts": facts_of(found)})
    return lines


def facts_of(found: dict[str, Outcome]) -> dict[str, Any]:
    """How the default came to its result."""
    curated = found[DEFAULT].curated
    return {
        "information": curated.information,
        "k": curated.neighbor_k,
        "beta": curated.beta,
        "switched_off": curated.switched_off,
        "changed": {method: outcome.curated.changed for method, outcome in found.items()},
    }


def selected_means(
    found: dict[str, Outcome], similarities: Values, target: Values
) -> dict[str, float]:
    """What the other raters say of the tenth that each preset selects, k = 10."""
    n = len(target) // SHARE_SELECTED
    means = {"pool": round(float(target.mean()), 4)}
    for preset, method in PRESET_OF.items():
        definition = "reference" if preset == "reference" else "paper"
        longtail = score_longtail(similarities, k=10, definition=definition)
        curated = found[method].curated
        ranking = rank_samples(curated.curated, curated.expected, longtail, preset=preset, n=n)
        means[preset] = round(float(target[ranking.order[:n]].mean()), 4)
    return means


def over_seeds(lines: Lines) -> Lines:
    """Fold the lines of `shape seed` raters into one line per shape and space."""
    folded: dict[tuple[str, str], Lines] = {}
    for line in lines:
        folded.setdefault((line["rater"].split()[0], line["space"]), []).append(line)
    return [
        {"shape": shape, "space": space, "seeds": len(group)}
        | {
            figure: {
                method: seed_interval([line[figure][method]["value"] for line in group])
                | {"gain": seed_interval([line[figure][method]["gain"] for line in group])}
                for method in METHODS
            }
            for figure in ("qwk", "spearman")
        }
        | {"shared_error": round(float(np.mean([line["shared_error"] for line in group])), 4)}
        for (shape, space), group in folded.items()
    ]


def measure_auto(gold: Gold, lines: Lines, threads: int | None) -> Lines:
    """The space `auto` takes for each rater, and how the default does in every space.

    Of several draws of a rater the first stands for all.
    """
    told = []
    for rater, scores in gold.ratings.items():
        if gold.seeds and not rater.endswith(" 0"):
            continue
        sample = sample_rated(scores)
        start = time.perf_counter()
        found = compare_spaces(
            {space: np.ascontiguousarray(rows[sample]) for space, rows in gold.rows.items()},
            scores[sample],
            gold.num_classes,
            threads=threads,
        )
        seconds = time.perf_counter() - start
        told.append(
            {"pool": gold.name, "rater": rater, "auto": found.chosen, "ahead": found.ahead}
            | {"seconds": round(seconds, 2)}
            | {"information": {space.space: space.information for space in found.spaces}}
            | {
                "spearman": {
                    line["space"]: line["spearman"][DEFAULT]["value"]
                    for line in lines
                    if line["rater"] == rater
                }
            }
        )
    return told


def measure_made(samples: int, seeds: int, store: Store) -> Lines:
    """The pools of the tests: T, detection, accuracy and calibration, shape by shape."""
    lines = []
    for shape in synthetic.RATERS:
        for regime, size, drawn in (
            ("dense", synthetic.CLUSTER_SIZE, 50_000),
            ("thin", samples // 50, 2 * samples // THIN),
        ):
            each: dict[str, dict[str, list[float]]] = {}
            for seed in range(seeds):
                pool = synthetic.make_pool(samples, shape, seed=seed, cluster_size=size)
                depth = 128 if regime == "thin" else depth_of(samples)
                neighbors = store.neighbors(pool.embeddings, min(depth, samples - 1))
                found = outcomes(pool.scores, neighbors, synthetic.NUM_CLASSES, sample_size=drawn)
                for method, outcome in found.items():
                    for figure, value in made_figures(outcome, pool).items():
                        each.setdefault(method, {}).setdefault(figure, []).append(value)
            lines += [
                {"shape": shape, "regime": regime, "method": method}
                | {figure: seed_interval(values) for figure, values in figures.items()}
                for method, figures in each.items()
            ]
    return lines


def made_figures(outcome: Outcome, pool: synthetic.Pool) -> dict[str, float]:
    curated = outcome.curated
    right = curated.curated == pool.truth
    figures = {
        "tv": row_tv(outcome.transition.T, pool.T),
        "f1": f1(curated.misrated, pool.scores != pool.truth),
        "accuracy": float(right.mean()),
    }
    if curated.mode == "bayes" and not curated.switched_off:
        suggested = curated.suggested == pool.truth
        figures["ece"] = calibration_error(curated.confidence, suggested)
    return figures


def measure(options: argparse.Namespace, store: Store) -> dict[str, Any]:
    """All parts whose data is there."""
    result: dict[str, Any] = {"machine": describe_machine(), "skipped": []}

    def say(text: str) -> None:
        result["skipped"].append(text)
        print(f"skipped: {text}", flush=True)

    golds = [make_gold(2_000, 2)] if options.fast else list(read_golds(options, store, say))
    result["auto"], result["evidence"] = [], []
    for gold in golds:
        start = time.perf_counter()
        lines = measure_raters(gold, store)
        result[gold.name] = over_seeds(lines) if gold.seeds else lines
        result["evidence"] += measure_evidence(gold, store)
        print(f"{gold.name}: {time.perf_counter() - start:.0f} s", flush=True)
        result["auto"] += measure_auto(gold, lines, options.threads)
    samples, seeds = (2_000, 2) if options.fast else (20_000, options.seeds)
    result["clusters"] = measure_made(samples, seeds, store)
    return result


def read_golds(options: argparse.Namespace, store: Store, say: Told) -> Iterator[Gold]:
    readers = {
        "alpaca52k_rated.parquet": lambda: read_alpaca(options.data, store),
        "gold_trec_relevance.parquet": lambda: read_trec(options.data, store, say),
        "gold_sst5.parquet": lambda: read_sst(options.data, store, say, options.seeds),
    }
    for file, read in readers.items():
        if options.data is None or not (options.data / file).exists():
            say(f"there is no {file}; name its folder with --data")
        else:
            yield read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder of the real pools")
    parser.add_argument("--model", default=str(ROOT / ".models" / "all-MiniLM-L6-v2"))
    parser.add_argument("--seeds", type=int, default=5, choices=(2, 3, 4, 5, 6, 10))
    parser.add_argument("--threads", type=int, help="of embedding and neighbors")
    parser.add_argument("--cache", type=Path, default=ROOT / "target" / "bench-curation")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--fast", action="store_true", help="small made pools; nothing is written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if options.fast else options.cache
        folder.mkdir(parents=True, exist_ok=True)
        result = measure(options, Store(folder, options.model, options.threads))
    print(as_markdown(result))
    if not options.fast:
        options.out.mkdir(parents=True, exist_ok=True)
        stem = options.out / f"{result['machine']['date']}-curation"
        stem.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        stem.with_suffix(".md").write_text(as_markdown(result), encoding="utf-8")


if __name__ == "__main__":
    main()
