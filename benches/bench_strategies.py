"""Time other ways to select against published code: same rows, same run, same answer?

    python benches/bench_strategies.py --pool pool.parquet --embeddings rows.npy
    python benches/bench_strategies.py --fast          # made rows, seconds; keeps it alive

Every round runs every program once, in turn and in a process of its own, first on the first 2,048
rows off the clock. The clock runs from arrays in memory to the rows chosen. `--repositories FOLDER`
holds copies of published code that is no package (`deita`: hkust-nlp/deita, `active-learning`:
google/active-learning), each run unchanged. README.md in this folder says how to read the table.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from knn_run import THREAD_VARIABLES
from machine import describe_machine, describe_versions
from strategy_inputs import DENSE_SHARE, Inputs, Source, make_pool, read_pool, write_inputs
from strategy_programs import CASES, Program

WARM_ROWS = 2048


@dataclass
class Record:
    """The runs of one program: seconds, and what it answered last."""

    program: Program
    wall: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    answer: NDArray[Any] | None = None


def time_program(case: str, name: str, source: Source) -> tuple[float, float, NDArray[Any]]:
    """Run a program warm, in this process: wall and processor seconds, and the answer."""
    prepare = CASES[case][name].prepare
    with (
        Path(os.devnull).open("w", encoding="utf-8") as silence,
        redirect_stdout(silence),
        redirect_stderr(silence),
    ):
        prepare(Inputs.load(source, WARM_ROWS))()
        run = prepare(Inputs.load(source, None))
        wall, cpu = time.perf_counter(), time.process_time()
        answer = run()
        seconds = time.perf_counter() - wall, time.process_time() - cpu
    return *seconds, np.asarray(answer)


def measure(
    options: argparse.Namespace, folder: Path
) -> tuple[dict[str, dict[str, Record]], list[str]]:
    """Run everything that can be run, and say what cannot; return the records, and what failed."""
    failures: list[str] = []
    records: dict[str, dict[str, Record]] = {}
    for case in options.cases:
        records[case] = {}
        for name, program in CASES[case].items():
            if lacking := program.lacks(options.repositories):
                print(f"{case}: {name} skipped, {lacking}")
            else:
                records[case][name] = Record(program)
    os.environ |= dict.fromkeys(THREAD_VARIABLES, str(options.threads))
    source = Source(folder, options.n, options.threads, options.repositories)
    for turn in range(options.rounds):
        for case, programs in records.items():
            names = list(programs)
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                try:
                    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                        run = process.submit(time_program, case, name, source).result()
                except Exception as error:
                    failures.append(f"{case}: {name}: {type(error).__name__}: {error}")
                    del programs[name]
                    continue
                record = programs[name]
                record.wall.append(run[0])
                record.cpu.append(run[1])
                record.answer = run[2]
    return records, failures


def compare(ours: NDArray[Any], theirs: NDArray[Any], n: int) -> dict[str, Any]:
    """Say how two answers differ: of chosen rows, or of weights."""
    if theirs.dtype.kind == "f":
        ranks = [np.argsort(np.argsort(weights)) for weights in (ours, theirs)]
        top = [set(np.argsort(-weights, kind="stable")[:n].tolist()) for weights in (ours, theirs)]
        correlation = float(np.corrcoef(*ranks)[0, 1])
        return {"rank_correlation": round(correlation, 4), "common": len(top[0] & top[1]), "of": n}
    shorter = min(len(ours), len(theirs))
    different = np.flatnonzero(ours[:shorter].astype(np.int64) != theirs[:shorter])
    equal = len(ours) == len(theirs) and not len(different)
    place = None if equal else int(different[0]) if len(different) else shorter
    common = len(set(ours.tolist()) & set(theirs.tolist()))
    return {"equal": equal, "first_difference": place, "common": common, "of": len(theirs)}


def coverage(rows: NDArray[np.float32], chosen: NDArray[Any]) -> float:
    """Mean over the rows of the largest cosine to a chosen row."""
    centers = rows[chosen.astype(np.int64)].T
    most = [(part @ centers).max(axis=1) for part in np.array_split(rows, len(rows) // 4096 + 1)]
    return float(np.concatenate(most).astype(np.float64).mean())


def table(records: dict[str, dict[str, Record]], folder: Path, n: int) -> list[dict[str, Any]]:
    """Return a line per case and program; the others are compared with ours, which comes first."""
    rows = np.load(folder / "rows.npy")
    lines = []
    for case, programs in records.items():
        base = programs.get("ds2-fast")
        if base is None:
            continue
        for name, record in programs.items():
            wall, cpu = statistics.median(record.wall), statistics.median(record.cpu)
            line: dict[str, Any] = {
                "case": case,
                "program": name,
                "settings": record.program.settings,
                "wall_s": round(wall, 4),
                "wall_s_rounds": [round(seconds, 4) for seconds in record.wall],
                "times_base_wall": round(wall / statistics.median(base.wall), 2),
                "cpu_s": round(cpu, 4),
                "times_base_cpu": round(cpu / statistics.median(base.cpu), 2),
            }
            if name != "ds2-fast":
                line |= compare(base.answer, record.answer, n)
            if case.startswith("facility"):
                part = rows if "graph" in case else rows[: len(rows) // DENSE_SHARE]
                line["coverage"] = round(coverage(part, record.answer), 6)
            lines.append(line)
    return lines


def print_table(lines: list[dict[str, Any]]) -> None:
    print(
        f"{'case':<30}{'program':<16}{'settings':<30}"
        f"{'wall s':>9}{'ratio':>9}{'cpu s':>9}{'ratio':>9}  answer"
    )
    shown = ("equal", "first_difference", "common", "of", "rank_correlation", "coverage")
    for line in lines:
        answer = ", ".join(f"{name} {line[name]}" for name in shown if line.get(name) is not None)
        print(
            f"{line['case']:<30}{line['program']:<16}{line['settings']:<30}{line['wall_s']:>9.3f}"
            f"{line['times_base_wall']:>9.2f}{line['cpu_s']:>9.3f}{line['times_base_cpu']:>9.2f}"
            f"  {answer}"
        )


def commits(repositories: Path | None) -> dict[str, str]:
    """Return the commit of every copy of published code."""
    found = {}
    for folder in sorted(repositories.iterdir()) if repositories else []:
        git = ["git", "-C", str(folder), "rev-parse", "HEAD"]
        result = subprocess.run(git, capture_output=True, text=True, check=False)
        found[folder.name] = result.stdout.strip() or "unknown"
    return found


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pool", type=Path, help="parquet with instruction, input and output")
    parser.add_argument("--embeddings", type=Path, help="its rows, .npy")
    parser.add_argument("--score-col", default="rating_gpt4o_mini")
    parser.add_argument("--repositories", type=Path, help="folder with copies of published code")
    parser.add_argument("-n", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cases", default=",".join(CASES), type=lambda text: text.split(","))
    parser.add_argument("--json", type=Path, help="write the result here")
    parser.add_argument("--fast", action="store_true", help="made rows, one round")
    options = parser.parse_args()
    options.cases = [name for name in CASES if any(name.startswith(case) for case in options.cases)]
    if options.fast:
        options.n, options.rounds = 50, 1
    elif not (options.pool and options.embeddings):
        parser.error("--pool and --embeddings, or --fast")
    return options


def main() -> int:
    options = parse_options()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        if options.fast:
            pool = make_pool(folder, 2500, 32)
        else:
            pool = read_pool(options.pool, options.embeddings, options.score_col)
        write_inputs(folder, *pool, options.threads)
        records, failures = measure(options, folder)
        lines = table(records, folder, options.n)
    count, dim = pool[0].shape
    print(f"{count:,} x {dim}, n = {options.n}; {options.threads} threads, {options.rounds} rounds")
    print_table(lines)
    for failure in failures:
        print(f"failed: {failure}")
    if options.json:
        programs = [record.program for case in records.values() for record in case.values()]
        result = describe_machine() | {"commits": commits(options.repositories)}
        result["versions"] = describe_versions(program.distribution for program in programs)
        result |= {"rows": count, "dim": dim, "n": options.n, "threads": options.threads}
        result |= {"rounds": options.rounds, "programs": lines, "failures": failures}
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return len(failures) > 0


if __name__ == "__main__":
    sys.exit(main())
