"""How far does a budget get? Replays the scores of a rated pool as the rater.

    python benches/bench_budget.py --ratings alpaca52k_rated.parquet \
        --embeddings alpaca52k_minilm_f16.npy --scale 341612
    python benches/bench_budget.py --fast            # a made pool, seconds

For every rater (columns `rating_*`), budget and seed, `select` runs as a user would run it, with
the default preset. The gain of a selection is its mean score over that of the pool, as a share of
what the n best scores would give: 100 % needs an oracle. Curation moves scores toward those of the
neighbors, which costs such a gain even with all ratings (`--curation none` leaves them); what the
other raters think of the selection is in `others`. Beside both stand the same `select` with all
ratings; `random` is the gain of the n best of as many random ratings, `best rated` that of the n
best of those that were bought. `precision` is how many of those would be among the n best had all
been rated, against what the run itself says of it from its random share (`inside`: how often the
truth lies in the stated 95 % interval). Intervals are those of the mean over the seeds (Student).

`--scale N` adds what a budget costs in seconds on a pool of N made samples, rater aside.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

import ds2_fast
from ds2_fast.budget import Answers, describe_shape, spend
from ds2_fast.budget.design import Design
from ds2_fast.budget.gate import best_classes
from machine import describe_machine

RATING_PREFIX = "rating_"
RESULTS = Path(__file__).resolve().parent / "results"
CLASSES = 6
# Student's t, 97.5 %, by degrees of freedom.
STUDENT = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}


def gain(selected: NDArray[np.int8], scores: NDArray[np.int8]) -> float:
    best = np.sort(scores)[::-1][: len(selected)].mean()
    return float((selected.mean() - scores.mean()) / (best - scores.mean()))


def precision(rated: NDArray[np.int8], scores: NDArray[np.int8], n: int) -> float:
    found, best = (
        best_classes(np.bincount(part, minlength=CLASSES)[None].astype(float), n)
        for part in (rated, scores)
    )
    return float(np.minimum(found, best).sum() / n)


def mean(values: list[float]) -> dict[str, float]:
    half = 0.0
    if len(values) > 1:
        half = STUDENT[len(values) - 1] * float(np.std(values, ddof=1)) / len(values) ** 0.5
    return {"mean": float(np.mean(values)), "half": half}


def choose(
    frame: pl.DataFrame, rater: str, rows: NDArray[Any], n: int, folder: Path, **options: int | str
) -> ds2_fast.Result:
    return ds2_fast.select(
        frame,
        n,
        score_col=rater,
        scale="0-5",
        embeddings=rows,
        run_dir=folder,
        **options,
    )


def opinion(frame: pl.DataFrame, rater: str, result: ds2_fast.Result) -> float:
    """Mean score of the selection by the other raters; by the same one if it is the only."""
    raters = [column for column in frame.columns if column.startswith(RATING_PREFIX)]
    others = [column for column in raters if column != rater] or [rater]
    return float(frame.select(others)[result.indices].mean_horizontal().mean() or 0.0)


def measure(
    frame: pl.DataFrame,
    rater: str,
    rows: NDArray[Any],
    run: Path,
    *,
    n: int,
    budget: str,
    seeds: int,
    curation: str,
) -> dict[str, Any]:
    scores = frame[rater].to_numpy().astype(np.int8)
    found: dict[str, list[float]] = {
        "gain": [],
        "others": [],
        "best_rated": [],
        "precision": [],
        "seconds": [],
    }
    said, inside, passed, asked = [], 0, 0, 0
    chance: list[float] = []
    for seed in range(seeds):
        started = time.perf_counter()
        result = choose(frame, rater, rows, n, run, budget=budget, seed=seed, curation=curation)
        found["seconds"].append(time.perf_counter() - started)
        account = result.report["selection"]["budget"]
        rated = (result.scores["ds2_rating_source"] == "rated").to_numpy()
        asked = int(rated.sum())
        top = np.sort(scores[rated])[::-1][:n]
        truth = precision(scores[rated], scores, n)
        found["gain"].append(gain(scores[result.indices], scores))
        found["others"].append(opinion(frame, rater, result))
        found["best_rated"].append(gain(top, scores))
        found["precision"].append(truth)
        value, low, high = account["check"]["precision"]
        said.append({"truth": truth, "value": value, "low": low, "high": high})
        inside += low - 1e-9 <= truth <= high + 1e-9
        passed += account["check"]["passed"]
        some = np.random.default_rng(seed).choice(scores, asked, replace=False)
        chance.append(gain(np.sort(some)[::-1][:n], scores))
    return {
        "rater": rater.removeprefix(RATING_PREFIX),
        "budget": budget,
        "asked": asked,
        **{name: mean(values) for name, values in found.items()},
        "random": mean(chance),
        "said": said,
        "inside": f"{inside}/{seeds}",
        "passed": f"{passed}/{seeds}",
        "spearman": account["check"]["spearman"][0],
        "calibration_error": account["check"]["calibration_error"][0],
    }


def measure_scale(total: int, dim: int, share: float, seed: int = 0) -> dict[str, Any]:
    """Seconds of a budget on made samples of about 600 characters with made scores."""
    rng = np.random.default_rng(seed)
    rows = np.empty((total, dim), np.float16)
    for start in range(0, total, 8192):
        block = rng.standard_normal((min(8192, total - start), dim))
        rows[start : start + 8192] = block / np.linalg.norm(block, axis=1, keepdims=True)
    words = rng.integers(5, 200, total)
    text = "word, two 3 four? " * 80
    pool = [
        [("user", text[: 6 * (i % 30)]), ("assistant", text[: 6 * count])]
        for i, count in enumerate(words.tolist())
    ]
    worth = np.log(words) + 10 * rows[:, 0] + 0.5 * rng.standard_normal(total)
    scores = np.clip(np.round(worth - 2), 0, CLASSES - 1).astype(np.int8)
    started = time.perf_counter()
    shape = describe_shape(pool)
    shaped = time.perf_counter()
    design = Design(rows, shape)
    spent = spend(
        lambda at: Answers(scores[at], np.ones(len(at), np.bool_)),
        design,
        int(share * total),
        total // 30,
        num_classes=CLASSES,
        seed=seed,
    )
    done = time.perf_counter()
    return {
        "samples": total,
        "dimensions": dim,
        "asked": int(spent.asked.sum()),
        "rounds": spent.rounds,
        "stopped": spent.stopped,
        "shape_seconds": round(shaped - started, 1),
        "spend_seconds": round(done - shaped, 1),
    }


def make_pool(count: int) -> tuple[pl.DataFrame, NDArray[Any]]:
    rng = np.random.default_rng(0)
    rows = rng.standard_normal((count, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    words = rng.integers(1, 60, count)
    worth = np.log(words) + 3 * rows[:, 0] + 0.3 * rng.standard_normal(count)
    scores = np.clip(np.round(worth - 1), 0, CLASSES - 1).astype(np.int8)
    texts = [" ".join(["word"] * length) for length in words]
    columns = {"instruction": [f"question {i}" for i in range(count)], "output": texts}
    return pl.DataFrame({**columns, f"{RATING_PREFIX}made": scores}), rows


def span(figure: dict[str, float]) -> str:
    return f"{100 * figure['mean']:.1f} ± {100 * figure['half']:.1f}"


def as_markdown(result: dict[str, Any]) -> str:
    machine = result["machine"]
    lines = [
        "# How far a budget gets",
        "",
        f"{result['pool']}: {result['samples']:,} samples, n = {result['n']:,}, curation "
        f"{result['curation']}, {result['seeds']} seeds; {machine['date']}, "
        f"{machine['processor']}, {machine['cores']} cores. Gains in % "
        "of the attainable, ± half the 95 % interval of the mean.",
        "",
        "| rater | budget | gain of `select` | all ratings | others | others, all ratings "
        "| random | best rated "
        "| precision | said, first seed | inside | check passed | Spearman | calibration error "
        "| seconds |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for line in result["raters"]:
        said = line["said"][0]
        lines.append(
            f"| {line['rater']} | {line['budget']} | **{span(line['gain'])}** "
            f"| {100 * line['all_ratings']:.1f} | {line['others']['mean']:.3f} "
            f"| {line['others_all']:.3f} | {span(line['random'])} "
            f"| {span(line['best_rated'])} | {span(line['precision'])} "
            f"| {said['value']:.3f} ({said['low']:.3f} to {said['high']:.3f}) | {line['inside']} "
            f"| {line['passed']} | {line['spearman']:.2f} | {line['calibration_error']:.3f} "
            f"| {line['seconds']['mean']:.1f} |"
        )
    if scale := result.get("scale"):
        lines += [
            "",
            f"{scale['samples']:,} made samples, {scale['dimensions']} dimensions, "
            f"{scale['asked']:,} asked in {scale['rounds']} rounds ({scale['stopped']}): shapes "
            f"{scale['shape_seconds']} s, everything else {scale['spend_seconds']} s.",
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ratings", type=Path, help=".parquet with columns rating_*, 0..5")
    parser.add_argument("--embeddings", type=Path, help=".npy, float32 or float16 (N, d)")
    parser.add_argument("-n", type=int, default=1000, help="size of the selection")
    parser.add_argument("--budgets", default="20%,30%")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--curation", default="bayes")
    parser.add_argument("--raters", help="only these columns, separated by commas")
    parser.add_argument("--scale", type=int, help="samples of the made pool for seconds")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    parser.add_argument("--fast", action="store_true", help="a small made pool; nothing is written")
    options = parser.parse_args()
    if options.fast:
        frame, rows = make_pool(1500)
        options.n, options.seeds, options.budgets, name = 50, 2, "30%", "made"
    elif options.ratings and options.embeddings:
        frame, rows = pl.read_parquet(options.ratings), np.load(options.embeddings, mmap_mode="r")
        name = f"{options.ratings.stem}, {options.embeddings.stem}"
    else:
        parser.error("give --ratings and --embeddings, or --fast")
    raters = [column for column in frame.columns if column.startswith(RATING_PREFIX)]
    raters = options.raters.split(",") if options.raters else raters
    lines = []
    with TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        for rater in raters:
            scores = frame[rater].to_numpy().astype(np.int8)
            full = choose(frame, rater, rows, options.n, run, curation=options.curation)
            with_all = {
                "all_ratings": gain(scores[full.indices], scores),
                "others_all": opinion(frame, rater, full),
            }
            for budget in options.budgets.split(","):
                line = measure(
                    frame,
                    rater,
                    rows,
                    run,
                    n=options.n,
                    budget=budget,
                    seeds=options.seeds,
                    curation=options.curation,
                )
                lines.append({**line, **with_all})
    result: dict[str, Any] = {
        "pool": name,
        "samples": len(frame),
        "n": options.n,
        "curation": options.curation,
        "seeds": options.seeds,
        "machine": describe_machine(),
        "raters": lines,
    }
    if options.scale or options.fast:
        result["scale"] = measure_scale(options.scale or 5000, 384, 0.2)
    print(as_markdown(result))
    if not options.fast:
        options.out.mkdir(parents=True, exist_ok=True)
        stem = (
            options.out
            / f"{result['machine']['date']}-budget-{options.ratings.stem}-{options.curation}"
        )
        stem.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        stem.with_suffix(".md").write_text(as_markdown(result), encoding="utf-8")


if __name__ == "__main__":
    main()
