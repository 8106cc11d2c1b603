"""Time what a rating run does before its first request: plan, load the journal, match both.

Samples are made, of about 1.2 kB, and each is answered in the journal. Beside planning and loading
stands the long way round in the same run: the same pool with an opening tag in every sample, which
needs a closer look, and the same journal with a space before every line, which is then read as full
JSON.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from array import array
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ds2_fast.rating.endpoint import open_endpoint
from ds2_fast.rating.jobs import Asking, Jobs, build_jobs
from ds2_fast.rating.journal import Journal, Record, load_journal
from ds2_fast.rating.money import Spending
from ds2_fast.rating.patience import Sample
from ds2_fast.rating.plan import make_plan
from ds2_fast.rating.prompt import load_prompt
from ds2_fast.rating.recorder import Recorder
from ds2_fast.rating.stored import find_stored
from ds2_fast.rating.transport import Answer
from machine import describe_machine
from rating_child import MODEL, MadePool

RATINGS = "Rarity", "Complexity", "Informativeness", "Overall rating"
TARGETS = {"plan": 1.5, "load": 1.0}  # seconds for 300,000 on an idle core


def write_journal(path: Path, jobs: Jobs) -> None:
    """Answer every job, as the engine writes it down."""
    journal = Journal(path)
    recorder = Recorder(journal, Spending(), keep_raw=True)
    for job, key in enumerate(jobs.keys):
        ratings = tuple(float((job // 6**place) % 6) for place in range(4))
        text = json.dumps(dict(zip(RATINGS, ratings, strict=True)))
        chances = array("f", [0.1, 0.1, 0.1, 0.1, 0.25, 0.35]).tobytes() if job % 2 else None
        record = Record(ratings, None, True, False, "rater-2026", (612, 31, 512), chances)
        sample = Sample(job, "", None, 0, requests=1)
        recorder.answer(key, sample, record, Answer(text), cost=1.1e-4, seconds=0.412)
    journal.close()


def measure(rows: int, rounds: int) -> dict[str, list[float]]:
    """Processor seconds of every step in every round."""
    pool = list(MadePool(rows))
    careful = [[*turns[:-1], ("assistant", f"<s>{turns[-1][1]}")] for turns in pool]
    endpoint = open_endpoint(None)
    asking = Asking(MODEL, endpoint.id, load_prompt("ds2-fast-v1"), {"temperature": 0.0}, 10_800)
    seconds: dict[str, list[float]] = defaultdict(list)

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        start = time.process_time()
        yield
        seconds[name].append(time.process_time() - start)

    with tempfile.TemporaryDirectory() as folder:
        path, spaced = Path(folder) / "ratings.jsonl", Path(folder) / "spaced.jsonl"
        write_journal(path, build_jobs(pool, asking))
        with path.open("rb") as lines, spaced.open("wb") as file:
            file.writelines(b" " + line for line in lines)
        for _ in range(rounds):
            with timed("plan"):
                jobs = build_jobs(pool, asking)
            with timed("plan, the long way"):
                build_jobs(careful, asking)
            with timed("load"):
                loaded = load_journal(path)
            with timed("load, the long way"):
                twin = load_journal(spaced)
            with timed("match"):
                stored = find_stored(jobs, loaded)
            with timed("estimate"):
                make_plan(jobs, stored, endpoint, None)
            if loaded != twin or stored.todo:
                raise SystemExit("both ways must load the same, and every sample is answered")
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--fast", action="store_true", help="3,000 samples, one round")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    options = parser.parse_args()
    if options.fast:
        options.rows, options.rounds = 3_000, 1
    medians = {
        name: statistics.median(times)
        for name, times in measure(options.rows, options.rounds).items()
    }
    if options.json:
        head = {"machine": describe_machine(), "rows": options.rows, "rounds": options.rounds}
        print(json.dumps({**head, "cpu_seconds": medians, "targets": TARGETS}, indent=1))
        return
    print(f"{options.rows:,} samples, median of {options.rounds}")
    print(f"{'':22}{'CPU, s':>8}{'us each':>9}{'target, s':>11}")
    for name, value in medians.items():
        target = f"{TARGETS[name] * options.rows / 300_000:.2f}" if name in TARGETS else ""
        print(f"{name:22}{value:>8.3f}{1e6 * value / options.rows:>9.2f}{target:>11}")


if __name__ == "__main__":
    main()
