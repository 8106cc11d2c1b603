"""`make demo`: select from the sample pool, then compare what was found with the truth."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl

HERE = Path(__file__).resolve().parent
POOL = HERE / "sample_pool.parquet"
TRUTH = HERE / "sample_pool_truth.json"
DEMO = HERE.parent / ".demo"


def main(model: str) -> int:
    """Run the command a user would run, then look at the truth."""
    program = str(Path(sys.executable).with_name("ds2-fast"))
    if Path(model, "tokenizer.json").is_file():
        subprocess.run(
            [program, "model", "import", model, "--name", "all-MiniLM-L6-v2"], check=True
        )
        space = []
    else:
        print(
            "all-MiniLM-L6-v2 is not here: the demo runs in the lexical space, which needs no model"
        )
        space = ["--space", "lexical"]
    command = [program, "select", str(POOL), "--score-col", "rating", "-n", "200"]
    command += ["-o", str(DEMO / "subset.jsonl"), "--run-dir", str(DEMO / "run"), *space]
    print(
        "$ ds2-fast",
        *(part.replace(str(HERE.parent) + "/", "") for part in command[1:]),
        flush=True,
    )
    subprocess.run(command, check=True)
    compare(DEMO / "run")
    return 0


def compare(run: Path) -> None:
    """Print how near T and the scores came to the truth, before and after curation."""
    truth = json.loads(TRUTH.read_text())
    true_t, fitted = np.array(truth["T"]), json.loads((run / "transition.json").read_text())
    pool, sheet = pl.read_parquet(POOL), pl.read_parquet(run / "scores.parquet")
    quality = pool["truth"].to_numpy()
    distance = 0.5 * np.abs(np.array(fitted["T"]) - true_t).sum(axis=1).mean()
    untouched = 0.5 * np.abs(np.eye(len(true_t)) - true_t).sum(axis=1).mean()
    print("\nThe sample pool was made from a known truth, so the result can be checked:")
    print(
        f"  T: mean row distance (total variation) to the true matrix {distance:.3f}; {untouched:.3f} if ratings were taken as true"
    )
    rows = [
        ("raw ratings", sheet["ds2_score"].to_numpy()),
        ("expected, curated", sheet["ds2_score_expected"].to_numpy()),
    ]
    for name, score in rows:
        error = np.abs(score - quality).mean()
        right = (np.rint(score) == quality).mean()
        rank = np.corrcoef(_ranks(score), _ranks(quality))[0, 1]
        print(
            f"  {name:<18} mean error {error:.3f}   nearest class right {right:6.1%}   Spearman with the truth {rank:.3f}"
        )
    chosen = sheet["ds2_selected"].to_numpy()
    top = np.argsort(-sheet["ds2_score"].to_numpy(), kind="stable")[: chosen.sum()]
    print(
        f"  mean true quality of the selected {chosen.sum()}: {quality[chosen].mean():.2f}; of the {len(top)} best raw ratings: {quality[top].mean():.2f}; of the pool: {quality.mean():.2f}"
    )


def _ranks(values: np.ndarray) -> np.ndarray:
    return pl.Series(values).rank("average").to_numpy()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
