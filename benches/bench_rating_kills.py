"""Kill a rating run ten times at random, let it end, and account for every answer, key by key.

The provider's ledger says what was bought and when, the journal (whose size is noted at each kill)
what was stored. Every answer bought twice must have been in flight at a kill: asked before it, and
not in the journal after it, nor sent by the server long before. `--samples 300000` is the large
run; its targets are 120 s and 400 MiB.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from machine import describe_machine, describe_versions
from rating_child import MODEL, MadePool
from rating_provider_process import TESTS, serving

sys.path.insert(0, str(TESTS))

from ds2_fast.rating.endpoint import open_endpoint
from ds2_fast.rating.jobs import Asking, build_jobs
from ds2_fast.rating.prompt import load_prompt
from rating_provider import content_key

HERE = Path(__file__).resolve().parent
FAULTS = {"429": 0.03, "500": 0.02}
ON_THE_WIRE = 1.0  # seconds from the server's last byte to the journal, on a busy machine
RECORD_BYTES = 290  # of this server's answers; only decides when a kill comes


@dataclass
class Killed:
    """One kill: when, how much of the journal there was, and when the next run started.

    What the killed run had sent, the server may read after the kill, but not after that start.
    """

    at: float
    journal_bytes: int
    peak_mb: float
    next_start: float = 0.0


@dataclass
class Account:
    """What came of the runs."""

    lost: int = 0
    duplicates: int = 0
    bought_again_though_stored: int = 0
    answered_twice: int = 0
    not_in_flight: int = 0
    oldest_in_flight: float = 0.0
    kills: list[Killed] = field(default_factory=list)


def run_until(command: list[str], journal: Path, size: int) -> Killed | None:
    """Run until the journal has `size` bytes, then kill -9; None if it ended before."""
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while not journal.exists() or journal.stat().st_size < size:
            if process.poll() is not None:
                return None
            time.sleep(0.002)
        peak = _peak_mb(process.pid)
        process.kill()
        at = time.monotonic()
        process.wait()
    return Killed(at, journal.stat().st_size, peak)


def _peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def names(count: int, base: str) -> dict[str, str]:
    """Key in the journal by the provider's name of a sample."""
    asking = Asking(
        MODEL, open_endpoint(base).id, load_prompt("ds2-fast-v1"), {"temperature": 0.0}, 10_800
    )
    jobs = build_jobs(MadePool(count), asking)
    return {content_key(asking.messages(jobs.user(job))): key for job, key in enumerate(jobs.keys)}


def account(
    ledger: list[list[Any]], journal: Path, kills: list[Killed], key_of: dict[str, str]
) -> Account:
    """Compare both sides for every key."""
    out = Account(kills=kills)
    stored_at: dict[str, int] = {}
    offset = 0
    with journal.open("rb") as lines:
        for line in lines:
            offset += len(line)
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if entry.get("r") is not None:
                out.duplicates += entry["k"] in stored_at
                stored_at.setdefault(entry["k"], offset)
    out.lost = len(key_of) - len(stored_at)
    asked: dict[str, list[list[Any]]] = defaultdict(list)
    for row in ledger:
        asked[row[0]].append(row)
    for name, rows in asked.items():
        stored = stored_at.get(key_of[name], 1 << 62)
        for kill in kills:
            if stored <= kill.journal_bytes:
                out.bought_again_though_stored += sum(row[4] > kill.next_start for row in rows)
        answers = sorted((row for row in rows if row[3]), key=lambda row: row[4])
        for first, second in pairwise(answers):
            out.answered_twice += 1
            between = [
                kill
                for kill in kills
                if first[4] < kill.next_start <= second[4]
                and kill.at - first[5] < ON_THE_WIRE
                and stored > kill.journal_bytes
            ]
            if not between:
                out.not_in_flight += 1
            else:
                out.oldest_in_flight = max(out.oldest_in_flight, between[0].at - first[5])
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=9_000)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--transport", choices=["direct", "litellm"], default="direct")
    parser.add_argument("--latency", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fast", action="store_true", help="600 samples, two kills")
    parser.add_argument("--json", type=Path, help="where the figures go")
    options = parser.parse_args()
    if options.fast:
        options.samples, options.kills = 600, 2
    draw = random.Random(options.seed)
    shares = sorted(draw.uniform(0.02, 0.97) for _ in range(options.kills))
    provider = {"latency": options.latency, "faults": FAULTS, "retry_after": "0.05"}
    with tempfile.TemporaryDirectory() as folder, serving(provider) as server:
        journal = Path(folder) / "ratings.jsonl"
        command = [sys.executable, str(HERE / "rating_child.py"), server.base, str(journal),
                   str(options.samples), options.transport]  # fmt: skip
        start = time.monotonic()
        kills = []
        for share in shares:
            size = int(share * options.samples * RECORD_BYTES)
            killed = run_until(command, journal, size)
            if killed is not None:
                kills.append(killed)
                killed.next_start = time.monotonic()
        last = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        seconds = time.monotonic() - start
        again = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        ledger = server.ledger()
        out = account(ledger, journal, kills, names(options.samples, server.base))
    return report(options, out, last, again, seconds=seconds, requests=len(ledger))


def report(
    options: argparse.Namespace, out: Account, last: dict[str, Any], again: dict[str, Any],
    *, seconds: float, requests: int,
) -> int:  # fmt: skip
    """Print and record; the exit code says whether everything is accounted for."""
    cap = 512 if options.transport == "direct" else 64
    figures = {
        "transport": options.transport,
        "samples": options.samples,
        "kills": len(out.kills),
        "seconds": round(seconds, 1),
        "requests": requests,
        "lost": out.lost,
        "duplicate_records": out.duplicates,
        "stored_and_bought_again": out.bought_again_though_stored,
        "answered_twice": out.answered_twice,
        "of_these_not_in_flight": out.not_in_flight,
        "bound": cap * len(out.kills),
        "oldest_in_flight_seconds": round(out.oldest_in_flight, 3),
        "peak_mb": max([last["peak_mb"], *(kill.peak_mb for kill in out.kills)]),
        "requests_of_another_run": again["requests"],
        "load": round(os.getloadavg()[0], 2),
    }
    for name, value in figures.items():
        print(f"{name:28s}{value}")
    if not options.fast:
        day = datetime.now(UTC).date().isoformat()
        name = f"{day}-rating-kills-{options.transport}-{options.samples}.json"
        path = options.json or HERE / "results" / name
        versions = describe_versions(["aiohttp", "litellm"])
        told = {"machine": describe_machine(), "versions": versions, "figures": figures}
        path.write_text(json.dumps(told, indent=1) + "\n")
    wrong = (
        out.lost or out.duplicates or out.bought_again_though_stored or out.not_in_flight
        or again["requests"] or last["rated"] != options.samples
        or out.answered_twice > figures["bound"]
    )  # fmt: skip
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
