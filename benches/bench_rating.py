"""Rate a made pool under every fault of the acceptance set, and print target beside measured.

The server runs in a process of its own on the loopback; what it saw is judged, not what the client
believes. `make bench-rating` runs the set over the direct transport and the four scenarios that
matter over litellm; `--only TEXT` picks scenarios by name, `--transport` one transport.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from machine import describe_machine, describe_versions
from rating_child import MODEL, MadePool
from rating_provider_process import TESTS, serving

sys.path.insert(0, str(TESTS))

from ds2_fast.errors import Ds2Error
from ds2_fast.rating import rate
from ds2_fast.rating.endpoint import open_endpoint
from ds2_fast.rating.jobs import Asking, build_jobs
from ds2_fast.rating.journal import load_journal
from ds2_fast.rating.prompt import load_prompt
from ds2_fast.rating.transport_litellm import import_litellm
from rating_provider import content_key, ratings_of
from rating_scenarios import CLEAN, SCENARIOS, Scenario, measure, misses

RESULTS = Path(__file__).resolve().parent / "results"
CONCURRENCY = {"direct": 512, "litellm": 64}
# litellm takes 3 ms of processor a call: fewer samples, and only what differs from `direct`.
LITELLM_COUNT = 3_000
LITELLM = ("clean", "3% 429 and 2% 500", "wall of 3,000 a minute", "64 silent slots")
SHOWN = ("rated", "per_second", "of_clean", "of_allowed", "refused", "extra", "in_flight")


def run(scenario: Scenario, transport: str, count: int) -> dict[str, Any]:
    """Rate under one scenario; the measures of the ledger, and what the client took for it."""
    pool = MadePool(count)
    if transport == "litellm":
        import_litellm()  # seconds that say nothing about a request
    with tempfile.TemporaryDirectory() as folder, serving(scenario.provider) as server:
        journal = Path(folder) / "ratings.jsonl"
        options = {"max_concurrency": CONCURRENCY[transport], "max_null": 1.0, **scenario.run}
        told = ""
        start, used = time.monotonic(), time.process_time()
        try:
            rate(pool, MODEL, api_base=server.base, journal_path=journal, transport=transport,
                 **options)  # fmt: skip
        except Ds2Error as error:
            told = str(error)
        used, end = time.process_time() - used, time.monotonic()
        ledger = server.ledger()
        got = measure(scenario, ledger, count)
        first = ledger[0][4] if ledger else start
        got["seconds"] = end - first
        got["rated"], got["wrong"] = _rated(pool, server.base, journal)
    got["cpu_ms"] = 1000 * used / max(len(ledger), 1)
    return {"scenario": scenario.name, "transport": transport, "samples": count, "told": told,
            "load": round(os.getloadavg()[0], 2), "measured": got}  # fmt: skip


def _rated(pool: MadePool, base: str, journal: Path) -> tuple[float, float]:
    """Share of the samples with a rating, and how many have not the one the provider gave."""
    asking = Asking(
        MODEL, open_endpoint(base).id, load_prompt("ds2-fast-v1"), {"temperature": 0.0}, 10_800
    )
    jobs, records = build_jobs(pool, asking), load_journal(journal).records
    rated = wrong = 0
    for job, key in enumerate(jobs.keys):
        record = records.get(key)
        if record is None or record.ratings is None:
            continue
        rated += 1
        given = ratings_of(content_key(asking.messages(jobs.user(job))))
        wrong += list(record.ratings) != given
    return rated / len(pool), float(wrong)


def judge(scenario: Scenario, result: dict[str, Any], clean: float | None) -> None:
    """Add what is measured against the clean run, and every miss."""
    got = result["measured"]
    if clean and "per_second" in got:
        got["of_clean"] = got["per_second"] / clean
    result["measured"] = {name: round(value, 4) for name, value in got.items()}
    result["targets"] = {"least": dict(scenario.least), "most": dict(scenario.most)}
    result["misses"] = misses(scenario, got)


def show(result: dict[str, Any]) -> None:
    """One line: what was measured, and what it misses."""
    got = result["measured"]
    parts = [f"{name} {got[name]:.4g}" for name in SHOWN if name in got]
    if "requests" in result["targets"]["most"]:
        parts = [f"requests {got['requests']:g}", f"seconds {got['seconds']:.2f}"]
    verdict = "met" if not result.get("misses") else "MISSED: " + "; ".join(result["misses"])
    print(f"{result['transport']:8s}{result['scenario']:42s}{verdict}")
    print(f"{'':8s}{', '.join(parts)}, cpu {got['cpu_ms']:.3f} ms, load {result['load']}",
          flush=True)  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--transport", choices=["direct", "litellm"], help="one of them only")
    parser.add_argument("--only", default="", help="scenarios whose name holds this")
    parser.add_argument("--fast", action="store_true", help="a few hundred samples, no verdicts")
    parser.add_argument("--json", type=Path, help="where the figures go; default: results")
    options = parser.parse_args()
    results = []
    for transport in ("direct", "litellm"):
        if options.transport not in (None, transport):
            continue
        clean = None
        for scenario in SCENARIOS:
            if transport == "litellm" and scenario.name not in LITELLM:
                continue
            wanted = options.only in scenario.name and not (options.fast and scenario.allowed)
            if not wanted and scenario is not CLEAN:
                continue
            count = scenario.count
            if transport == "litellm":
                count = min(count, LITELLM_COUNT)
            result = run(scenario, transport, 300 if options.fast else count)
            clean = clean or result["measured"].get("per_second")
            judge(scenario, result, clean)
            if options.fast:
                del result["misses"]
            show(result)
            results.append(result)
    if not options.fast:
        _record(options.json, results)
    return 0 if options.fast else int(any(result["misses"] for result in results))


def _record(path: Path | None, results: list[dict[str, Any]]) -> None:
    path = path or RESULTS / f"{datetime.now(UTC).date().isoformat()}-rating.json"
    versions = describe_versions(["aiohttp", "litellm"])
    told = {"machine": describe_machine(), "versions": versions, "results": results}
    path.write_text(json.dumps(told, indent=1) + "\n")
    print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main())
