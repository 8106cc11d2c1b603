"""The bake-off on Alpaca: each rater as the score in turn, the others held out as judges.

    python benches/bench_bakeoff.py --ratings POOL --embeddings FILE.npy [--strategies ds2,...]
    python benches/bench_bakeoff.py --fast                  # the sample pool, seconds

Every strategy chooses n samples from the same pool, in the space of the embeddings given (`ds2`,
too: where embeddings are named, it compares no spaces). What a strategy is worth is what the two
raters say that it did not look at; a rater is not the truth. Random draws are the control, over
five seeds. Writes a table and all figures to `benches/results`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ds2_fast import compare_strategies
from ds2_fast.bakeoff.columns import COLUMNS
from ds2_fast.bakeoff.entries import read_settings
from ds2_fast.terminal import TerminalNarrator
from machine import describe_machine

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "examples" / "sample_pool.parquet"
RESULTS = Path(__file__).resolve().parent / "results"
RATERS = ("rating_gpt4o_mini", "rating_llama31_8b", "rating_mistral_7b")
STRATEGIES = (
    "ds2,ds2-raw,alpagasus,alpagasus-4=alpagasus,deita,column,longest,qurating,knn,kcenter,mmr,"
    "facility,tree,dq,zip,mods,ds2+mmr,ds2+kcenter,ds2+deita,ds2+facility,ds2+tree,semdedup+ds2"
)
"""All that need no more than scores, texts and embeddings."""
SETTINGS = ("alpagasus-4.threshold=4", "mods.threshold=2")
"""Thresholds that the raters of Alpaca give to a thousand samples and more: `mods` was made for
rewards around 0, and takes the ratings for them here."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--ratings", type=Path, default=SAMPLE)
    parser.add_argument("--embeddings", type=Path, help="default: the lexical space")
    parser.add_argument("--raters", nargs="+", default=list(RATERS))
    parser.add_argument("--strategies", default=STRATEGIES, help="names with commas")
    parser.add_argument("--set", action="append", help="NAME.OPTION=VALUE")
    parser.add_argument("-n", default="1000")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--run-dir", type=Path, help="default: one that is removed")
    parser.add_argument("--name", default="bakeoff", help="of the result files")
    parser.add_argument("--fast", action="store_true", help="the sample pool; nothing is written")
    options = parser.parse_args()
    settings = options.set or (SETTINGS if options.strategies == STRATEGIES else ())
    if options.fast:
        options.ratings, options.embeddings, options.n = SAMPLE, None, "100"
        options.raters, options.seeds = ["rating", "truth"], 2
    with tempfile.TemporaryDirectory() as folder:
        reports = {
            rater: without_folders(
                compare_strategies(
                    options.ratings,
                    options.strategies,
                    options.n,
                    score_col=rater,
                    held_out=[other for other in options.raters if other != rater],
                    seeds=options.seeds,
                    strategy_options=read_settings(settings, options.strategies),
                    embeddings=options.embeddings,
                    space=None if options.embeddings else "lexical",
                    run_dir=options.run_dir or folder,
                    narrator=TerminalNarrator(),
                ).to_dict()
            )
            for rater in options.raters
        }
    found = {"machine": describe_machine(), "pool": options.ratings.name, "raters": reports}
    text = as_markdown(found)
    print(text)
    if not options.fast:
        stem = f"{found['machine']['date']}-{options.name}"
        (RESULTS / f"{stem}.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        (RESULTS / f"{stem}.md").write_text(text, "utf-8")


def without_folders(report: dict[str, Any]) -> dict[str, Any]:
    """Keep of every file its name: where it lay is of no use elsewhere."""
    report["pool"]["sources"] = [Path(name).name for name in report["pool"]["sources"]]
    report["space"]["source"] = Path(report["space"]["source"]).name
    return report


def as_markdown(found: dict[str, Any]) -> str:
    """The summary over all raters, then a table for each as the score."""
    machine, reports = found["machine"], found["raters"]
    first = next(iter(reports.values()))
    lines = [
        f"# Bake-off on {found['pool']}, {machine['date']}",
        "",
        f"Commit {machine['commit']}, {machine['processor']}, {machine['cores']} cores. "
        f"{first['pool']['samples']:,} samples, space `{first['space']['name']}` of "
        f"`{first['space']['source']}` for every strategy and every distance. "
        f"Random strategies: means over {len(first['seeds'])} seeds.",
    ]
    for place, table in enumerate(first["tables"]):
        tables = {rater: report["tables"][place] for rater, report in reports.items()}
        lines += ["", f"## n = {table['n']:,}, over all {len(reports)} raters as the score", ""]
        lines += _summary(tables)
        for rater, own in tables.items():
            lines += ["", f"## n = {table['n']:,}, scores of `{rater}`", "", *_one(own)]
    return "\n".join(lines) + "\n"


def _summary(tables: dict[str, dict[str, Any]]) -> list[str]:
    """Means over the raters; gains in standard deviations, as raters have their own scales."""
    first = next(iter(tables.values()))
    names = ("coverage_mean", "coverage_max", "vendi", "near_duplicates", "longtail", "length")
    columns = [column for column in COLUMNS if column.name in names]
    rows = []
    for place, row in enumerate(first["strategies"]):
        same = [table["strategies"][place] for table in tables.values()]
        if any(each["failed"] for each in same):
            continue
        gains = [each["held_out_gain"] for each in same if each["held_out_gain"] is not None]
        means = [
            column.write(float(np.mean([e["measures"][column.name]["value"] for e in same])))
            for column in columns
        ]
        gain = f"{np.mean(gains):+.3f}" if gains else "0"
        fewest = min(each["selected"] for each in same)
        rows.append(
            (float(np.mean(gains)) if gains else 0.0, [row["strategy"], gain, fewest, *means])
        )
    rows[1:] = sorted(rows[1:], key=lambda pair: -pair[0])
    return _grid(
        ["strategy", "held out, sd over random", "samples", *(column.title for column in columns)],
        [cells for _, cells in rows],
    )


def _one(table: dict[str, Any]) -> list[str]:
    """One rater as the score: what each rater says, with intervals; * where it was looked at."""
    chose = [row for row in table["strategies"] if row["failed"] is None]
    raters = list(chose[0]["raters"])
    rows = []
    for row in chose:
        cells = [row["strategy"]]
        for rater in raters:
            judged = row["raters"][rater]
            apart, mean = judged["over_control"], judged["mean"]
            text = f"{mean['value']:.3f}" + (
                "" if mean["half"] is None else f" ± {mean['half']:.3f}"
            )
            if apart is not None:
                text += f", {apart['value']:+.3f} [{apart['low']:+.3f}, {apart['high']:+.3f}]"
            cells.append(text + (" *" if judged["used"] else ""))
        rows.append([*cells, f"{row['measures']['seconds']['value']:.2f}"])
    lines = _grid(["strategy", *raters, "seconds"], rows)
    for row in table["strategies"]:
        if row["failed"] is not None:
            lines.append(f"\n{row['strategy']}: {row['failed']['message']}")
        if row["why_fewer"]:
            lines.append(f"\n{row['strategy']}: {row['selected']:,} samples, {row['why_fewer']}")
    return [*lines, "", "\\* looked at by the strategy itself."]


def _grid(head: list[str], rows: list[list[Any]]) -> list[str]:
    ruled = ["---", *("---:" for _ in head[1:])]
    return ["| " + " | ".join(map(str, row)) + " |" for row in (head, ruled, *rows)]


if __name__ == "__main__":
    main()
