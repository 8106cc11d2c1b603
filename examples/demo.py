"""`make demo`: select from the sample pool, then compare what was found with the truth."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
POOL = HERE / "sample_pool.parquet"
TRUTH = HERE / "sample_pool_truth.json"
DEMO = ROOT / ".demo"
MODEL = "all-MiniLM-L6-v2"
CHOSEN = 200


def main(model: str) -> None:
    program = str(Path(sys.executable).with_name("ds2-fast"))
    DEMO.mkdir(exist_ok=True)
    if Path(model, "tokenizer.json").is_file():
        subprocess.run(
            [program, "model", "import", model, "--name", MODEL, "--replace"],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        space = "embedding"
    else:
        print(f"{MODEL} is not here: the demo runs in the lexical space, which needs no model\n")
        space = "lexical"
    # The pool was made so that neighbors share their true quality: all disagreement is noise.
    command = ["select", str(POOL), "--score-col", "rating", "-n", str(CHOSEN), "--space", space]
    command += ["--noise-share", "1", "-o", str(DEMO / "subset.jsonl")]
    command += ["--run-dir", str(DEMO / f"run-{space}")]
    print("$ ds2-fast", *(part.replace(f"{ROOT}/", "") for part in command), flush=True)
    subprocess.run([program, *command], check=True)
    compare(DEMO / f"run-{space}")


def compare(run: Path) -> None:
    """Print how near T and the scores came to the truth, before and after curation."""
    truth = json.loads(TRUTH.read_text())
    planted = np.array(truth["T"])
    fitted = np.array(json.loads((run / "transition.json").read_text())["T"])
    sheet = pl.read_parquet(run / "scores.parquet")
    quality = pl.read_parquet(POOL)["truth"].to_numpy()
    raw = sheet["ds2_score"].to_numpy()

    print("\nThe sample pool was made from a known truth, so the result can be checked.\n")
    print("T, mean distance of its rows to the planted matrix (total variation, 0 = equal)")
    print(f"  ratings taken as true   {distance(np.eye(len(planted)), planted):.3f}")
    print(f"  T as recovered          {distance(fitted, planted):.3f}")
    print("\nScores                    right    mean error   rank correlation with the truth")
    for name, scores, decimals in (
        ("raw ratings", raw, 0),
        ("curated", sheet["ds2_score_curated"].to_numpy(), 0),
        ("expected", sheet["ds2_score_expected"].to_numpy(), 2),
    ):
        right = f"{(scores == quality).mean():.1%}" if decimals == 0 else ""
        error, rank = np.abs(scores - quality).mean(), spearman(scores, quality)
        print(f"  {name:<22} {right:>6}   {error:>10.3f}   {rank:>10.3f}")
    best_raw = np.argsort(-raw, kind="stable")[:CHOSEN]
    chosen = sheet["ds2_selected"].to_numpy()
    print("\nMean true quality")
    print(f"  of the pool             {quality.mean():.2f}")
    print(f"  of the {CHOSEN} best rated    {quality[best_raw].mean():.2f}")
    print(f"  of the {CHOSEN} selected      {quality[chosen].mean():.2f}")


def distance(fitted: NDArray[np.float64], planted: NDArray[np.float64]) -> float:
    """Mean over rows of half the L1 distance."""
    return float(0.5 * np.abs(fitted - planted).sum(axis=1).mean())


def spearman(scores: NDArray[Any], truth: NDArray[Any]) -> float:
    """Rank correlation, ties shared."""
    ranks = [pl.Series(values).rank("average").to_numpy() for values in (scores, truth)]
    return float(np.corrcoef(*ranks)[0, 1])


if __name__ == "__main__":
    main(*sys.argv[1:])
