"""Time the neighbor search against its peers: from a `.npy` file to k neighbors of every row.

    python benches/bench_knn.py --embeddings embeddings.npy        # the real thing
    python benches/bench_knn.py --generate 100000x384              # made rows
    python benches/bench_knn.py --fast                             # seconds; keeps it alive

Every round runs every program once, in turn and in a process of its own, so that a disturbance of
the machine meets them alike; the medians of the rounds are compared. With `--queries` a program
that compares every pair answers only so many rows, and its search is scaled up; such times are
marked `~`. Processor time is what to compare on a machine that is not idle. Every answer is judged
against similarities in float64. README.md in this folder says how to read the table.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from knn_programs import OURS, PEERS, Program
from knn_rows import make_rows
from knn_run import ProgramFailedError, Run, Task, run_program
from knn_truth import Accuracy, Truth
from machine import describe_machine, describe_versions

SEED = 42
WARM_ROWS = 2048
EXACT = 1e-5
"""How far a similarity of an exact program may be off: float32 cannot do much better."""


@dataclass
class Record:
    """The runs of one program, one per round, and how good their answers were."""

    program: Program
    scaled: bool
    runs: list[Run] = field(default_factory=list)
    accuracies: list[Accuracy] = field(default_factory=list)

    def median(self, name: str) -> float:
        """Return the median of `wall` or `cpu` over the rounds."""
        return statistics.median(getattr(run, name) for run in self.runs)

    @property
    def worst(self) -> Accuracy:
        """Judgment of the round with the lowest recall; programs with threads may differ."""
        return min(self.accuracies, key=lambda accuracy: accuracy.recall)

    @property
    def max_difference(self) -> float:
        """Largest difference of a similarity in any round."""
        return max(accuracy.max_difference for accuracy in self.accuracies)


def choose_programs(ours: Iterable[str], peers: str) -> dict[str, Program]:
    """Return the programs asked for that are installed, and say which are not."""
    wanted = {f"ds2-fast {name}": OURS[name] for name in ours}
    names = [name for name in PEERS if name != "numpy"] if peers == "all" else peers.split(",")
    wanted |= {name: PEERS[name] for name in names if name}
    chosen = {name: program for name, program in wanted.items() if program.installed}
    for name, program in wanted.items():
        if name not in chosen:
            print(f"{name}: skipped, {program.distribution} is not installed")
    has_exact_peer = any(name in chosen and PEERS[name].exact for name in PEERS)
    if peers == "all" and not has_exact_peer:
        chosen["numpy"] = PEERS["numpy"]
    return chosen


def show(status: str) -> None:
    """Say on a terminal what is going on, in place of what was said before."""
    if sys.stderr.isatty():
        print(f"\r{status:<48}\r", end="", file=sys.stderr, flush=True)


def measure(
    programs: dict[str, Program], template: Task, truth: Truth, rounds: int, scratch: Path
) -> tuple[dict[str, Record], list[str]]:
    """Run everything; return the records, and what failed."""
    total = len(truth.rows)
    records = {}
    for name, program in programs.items():
        scaled = program.exact and name in PEERS and template.queries < total
        records[name] = Record(program, scaled)
    failures = []
    for turn in range(rounds):
        names = list(records)
        first = turn % max(len(names), 1)
        for name in names[first:] + names[:first]:
            record = records[name]
            queries = template.queries if record.scaled else total
            task = replace(template, label=name, queries=queries)
            show(f"round {turn + 1} of {rounds}: {name}")
            try:
                run = run_program(task, scratch)
                record.accuracies.append(truth.judge(run.indices))
            except (ProgramFailedError, ValueError) as error:
                failures.append(f"{name}: {error}")
                del records[name]
                continue
            record.runs.append(run)
    show("")
    for name, record in records.items():
        if record.program.exact and record.max_difference > EXACT:
            off = record.max_difference
            failures.append(f"{name}: not exact, a similarity is {off:.1e} off")
    return records, failures


def table(records: dict[str, Record], shape: tuple[int, int], k: int) -> list[dict[str, Any]]:
    """Return a line per program; the first is what the others are compared with."""
    base = next(iter(records.values()))
    n, dim = shape
    lines = []
    for name, record in records.items():
        wall, cpu = record.median("wall"), record.median("cpu")
        allocated = [run.allocated for run in record.runs if run.allocated is not None]
        lines.append(
            {
                "program": name,
                "settings": record.program.settings,
                "exact": record.program.exact,
                "scaled": record.scaled,
                "wall_s": round(wall, 4),
                "wall_s_rounds": [round(run.wall, 4) for run in record.runs],
                "times_base_wall": round(wall / base.median("wall"), 3),
                "cpu_s": round(cpu, 4),
                "cpu_s_rounds": [round(run.cpu, 4) for run in record.runs],
                "times_base_cpu": round(cpu / base.median("cpu"), 3),
                # Every pair once; who computes both triangles does twice as many.
                "gop_per_s": round(n**2 * dim / wall / 1e9, 1),
                "recall": round(record.worst.recall, 6),
                "max_difference": record.max_difference,
                "rows_off": max(accuracy.rows_off for accuracy in record.accuracies),
                "peak_rss_mb": round(max(run.peak_rss for run in record.runs) / 2**20, 1),
                "allocated_mb": round(max(allocated) / 2**20, 1) if allocated else None,
                "info": record.runs[-1].info,
            }
        )
    return lines


def print_table(lines: list[dict[str, Any]]) -> None:
    print(
        f"{'program':<16}{'settings':<27}{'wall s':>9}{'ratio':>7}{'min..max':>15}"
        f"{'cpu s':>9}{'ratio':>7}{'Gop/s':>8}"
        f"{'recall':>9}{'max diff':>10}{'off':>5}{'peak MB':>9}{'own MB':>8}"
    )
    for line in lines:
        spread = f"{min(line['wall_s_rounds']):.2f}..{max(line['wall_s_rounds']):.2f}"
        wall = f"{'~' * line['scaled']}{line['wall_s']:.2f}"
        own = "-" if line["allocated_mb"] is None else f"{line['allocated_mb']:.0f}"
        print(
            f"{line['program']:<16}{line['settings']:<27}"
            f"{wall:>9}{line['times_base_wall']:>7.2f}{spread:>15}"
            f"{line['cpu_s']:>9.2f}{line['times_base_cpu']:>7.2f}{line['gop_per_s']:>8.1f}"
            f"{line['recall']:>9.5f}{line['max_difference']:>10.1e}{line['rows_off']:>5}"
            f"{line['peak_rss_mb']:>9.0f}{own:>8}"
        )


def present(text: str) -> Path:
    if not Path(text).is_file():
        raise argparse.ArgumentTypeError(f"there is no file `{text}`")
    return Path(text)


def shape(text: str) -> tuple[int, int]:
    n, _, dim = text.partition("x")
    if not (n.isdecimal() and dim.isdecimal()):
        raise argparse.ArgumentTypeError(
            f"expected rows x dimensions as in 100000x384, got `{text}`"
        )
    return int(n), int(dim)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    rows = parser.add_mutually_exclusive_group(required=True)
    rows.add_argument("--embeddings", type=present, help=".npy, float32 or float16 (N, d)")
    rows.add_argument(
        "--generate", type=shape, metavar="NxD", help="make float32 rows, such as 100000x384"
    )
    rows.add_argument("--fast", action="store_true", help="2,500 x 64 made rows, one round")
    parser.add_argument("--seed", type=int, default=SEED, help="of the made rows")
    parser.add_argument("--rows", type=int, help="use only the first rows of --embeddings")
    parser.add_argument("-k", type=int, default=10)
    parser.add_argument("--ours", default="exact", help=f"any of {','.join(OURS)}, the base first")
    parser.add_argument(
        "--peers",
        default="all",
        help=f"any of {','.join(PEERS)}; all = the installed ones, numpy if none of them is exact",
    )
    parser.add_argument(
        "--queries", type=int, help="rows that peers which compare all pairs answer"
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sample", type=int, default=2000, help="rows that are judged in float64")
    parser.add_argument("--json", type=Path, help="write the result here")
    options = parser.parse_args()
    options.ours = [name for name in options.ours.split(",") if name]
    unknown = {*options.ours} - {*OURS}
    unknown |= {*options.peers.split(",")} - {"all", "", *PEERS}
    if unknown:
        parser.error(f"there is no program {', '.join(sorted(unknown))}")
    if options.fast:
        options.generate, options.rounds, options.sample = (2500, 64), 1, 500
    return options


def provide_rows(options: argparse.Namespace, scratch: Path) -> tuple[Path, str]:
    """Return the file of rows, and what they are."""
    file = scratch / "rows.npy"
    if options.generate:
        make_rows(file, *options.generate, options.seed)
        return file, f"made rows, seed {options.seed}"
    if options.rows is None:
        return options.embeddings, options.embeddings.name
    np.save(file, np.load(options.embeddings, mmap_mode="r")[: options.rows])
    return file, f"the first rows of {options.embeddings.name}"


def bench(options: argparse.Namespace, scratch: Path) -> list[str]:
    """Measure, print and write; return what failed."""
    programs = choose_programs(options.ours, options.peers)
    file, source = provide_rows(options, scratch)
    rows = np.load(file, mmap_mode="r")
    np.save(scratch / "warm.npy", rows[:WARM_ROWS])
    queries = min(options.queries or len(rows), len(rows))
    chosen = np.random.default_rng(SEED).permutation(queries)[: options.sample]
    truth = Truth.find(file, np.sort(chosen), options.k)
    task = Task("", file, scratch / "warm.npy", options.k, options.threads, queries)
    records, failures = measure(programs, task, truth, options.rounds, scratch)
    data = {"data": source, "n": len(rows), "dim": rows.shape[1], "dtype": str(rows.dtype)}
    print(
        f"{source}: {len(rows):,} x {rows.shape[1]} {rows.dtype}, k = {options.k}; "
        f"{options.threads} threads, {options.rounds} rounds; {len(chosen):,} rows judged"
    )
    lines = table(records, rows.shape, options.k) if records else []
    print_table(lines)
    if options.json:
        settings = {name: getattr(options, name) for name in ("k", "threads", "rounds", "queries")}
        versions = describe_versions(program.distribution for program in programs.values())
        result = describe_machine() | {"versions": versions} | data | settings
        result |= {"judged": len(chosen), "programs": lines, "failures": failures}
        options.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return failures


def main() -> int:
    options = parse_options()
    with tempfile.TemporaryDirectory() as scratch:
        failures = bench(options, Path(scratch))
    for failure in failures:
        print(f"failed: {failure}")
    return len(failures) > 0


if __name__ == "__main__":
    sys.exit(main())
