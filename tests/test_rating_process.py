"""Rating in processes of its own: killed, interrupted, watched for what it imports and leaks."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ds2_fast.rating.endpoint import open_endpoint
from ds2_fast.rating.jobs import Asking, build_jobs
from ds2_fast.rating.journal import load_journal
from ds2_fast.rating.prompt import load_prompt
from rating_server import RatingServer, content_key

COUNT = 400
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

RATE = """
import sys
from ds2_fast.rating import rate
pool = [[("user", f"Question {i}?"), ("assistant", "Answer.")] for i in range(int(sys.argv[3]))]
try:
    result = rate(pool, "openai/rater", api_base=sys.argv[1], journal_path=sys.argv[2],
                  max_concurrency=16)
except KeyboardInterrupt as stop:
    print(stop, file=sys.stderr)
    sys.exit(130)
print(result.summary["rated"], result.summary["warnings"])
"""


def start(code: str, *arguments: object, **settings: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", code, *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, **pipes, **settings)


def wait_for(condition, process, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end and process.poll() is None, process.communicate()
        time.sleep(0.005)


def stored_contents(journal: Path, server: RatingServer) -> set[str]:
    """The samples in the journal, by the names the provider's ledger has for them."""
    asking = Asking(
        "openai/rater",
        open_endpoint(server.base).id,
        load_prompt("ds2-fast-v1"),
        {"temperature": 0.0},
        10_800,
    )
    pool = [[("user", f"Question {i}?"), ("assistant", "Answer.")] for i in range(COUNT)]
    jobs = build_jobs(pool, asking)
    records = load_journal(journal).records
    assert set(records) <= set(jobs.keys)
    return {
        content_key(asking.messages(jobs.user(job)))
        for job, key in enumerate(jobs.keys)
        if key in records
    }


@POSIX
def test_kill_9_loses_nothing_stored_and_buys_nothing_stored_again(tmp_path):
    journal = tmp_path / "ratings.jsonl"
    stored: set[str] = set()
    with RatingServer(latency=0.05) as server:
        for kill in (1, 2):
            asked = server.requests
            process = start(RATE, server.base, journal, COUNT)
            wait_for(lambda: server.requests >= asked + 60 + 37 * kill, process)  # noqa: B023
            process.kill()
            process.communicate(timeout=10)
            time.sleep(0.2)  # the server still answers what was in flight
            assert not {entry.key for entry in server.ledger[asked:]} & stored
            stored = stored_contents(journal, server)
            assert len(stored) >= 60 * kill
        asked = server.requests
        last = start(RATE, server.base, journal, COUNT)
        out, err = last.communicate(timeout=120)
        assert last.returncode == 0, err
        assert out.startswith(f"{COUNT} ")
        assert "killed" in out, "the loss is told"
        assert not {entry.key for entry in server.ledger[asked:]} & stored
        bought = server.answered()
        assert len(bought) == COUNT
        assert sum(count - 1 for count in bought.values()) <= 2 * 16, "at most what was in flight"
    assert len(stored_contents(journal, server)) == COUNT


@POSIX
def test_ctrl_c_stops_in_order(tmp_path):
    journal = tmp_path / "ratings.jsonl"
    with RatingServer(latency=0.1) as server:
        process = start(RATE, server.base, journal, 5000)
        wait_for(lambda: server.requests >= 60, process)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
        assert "of 5,000 samples are stored" in err and "resumes" in err
        loaded = load_journal(journal)
        assert server.requests < 2000
        assert len(loaded.records) == sum(server.answered().values()), "in flight came home"
        assert loaded.in_flight == 0


SLOW = """
import asyncio, sys
from ds2_fast.rating import rate
from ds2_fast.rating.transport import Answer
async def slow(messages, params):
    print("asked", flush=True)
    await asyncio.sleep(0.5)
    return Answer('{"Rarity":1,"Complexity":1,"Informativeness":1,"Overall rating":1}')
try:
    rate([[("user", str(i))] for i in range(500)], "m", journal_path=sys.argv[1], rater=slow)
except KeyboardInterrupt as stop:
    print(stop)
    sys.exit(130)
"""


@POSIX
def test_sigterm_is_a_ctrl_c(tmp_path):
    process = start(SLOW, tmp_path / "j.jsonl")
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(3)] == ["asked\n"] * 3
    process.terminate()
    out, err = process.communicate(timeout=15)
    assert process.returncode == 130, err
    stored = len(load_journal(tmp_path / "j.jsonl").records)
    assert 3 <= stored < 100
    assert f"{stored:,} of 500 samples are stored" in out


HANG = """
import asyncio, sys
from ds2_fast.rating import rate
async def hang(messages, params):
    print("asked", flush=True)
    await asyncio.sleep(1000)
rate([[("user", "x")]], "m", journal_path=sys.argv[1], rater=hang, timeout=900)
"""


@POSIX
def test_a_second_ctrl_c_ends_at_once(tmp_path):
    process = start(HANG, tmp_path / "j.jsonl")
    assert process.stdout is not None
    assert process.stdout.readline() == "asked\n"
    process.send_signal(signal.SIGINT)
    time.sleep(0.6)
    assert process.poll() is None, "the first waits for what is in flight"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode != 0 and "KeyboardInterrupt" in err


GUARD = """
import socket, sys
def refuse(*_, **__):
    raise AssertionError("the network was touched")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
"""


def test_a_dry_run_imports_no_litellm_and_opens_no_socket(tmp_path):
    pool = tmp_path / "pool.jsonl"
    rows = [{"instruction": f"q{i}", "input": "", "output": "a"} for i in range(10)]
    pool.write_text("\n".join(map(json.dumps, rows)))
    code = GUARD + (
        "from ds2_fast.cli import main\n"
        "assert main(['rate', *sys.argv[1:]]) == 0\n"
        "assert not {'litellm', 'openai', 'aiohttp'} & set(sys.modules)\n"
    )
    for model in ("gpt-4o-mini", "nobody/knows"):
        process = start(code, pool, "--model", model, "--dry-run", cwd=tmp_path)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        assert "10 to rate" in out and "an estimate" in out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pool.jsonl"], "nothing is written"


def test_importing_rating_is_cheap():
    code = (
        "import sys, ds2_fast.rating\n"
        "print({'litellm', 'polars', 'numpy', 'asyncio', 'aiohttp'} & set(sys.modules))"
    )
    out, err = start(code).communicate(timeout=60)
    assert out == "set()\n", out + err


def test_litellm_is_imported_without_a_look_at_the_network():
    code = GUARD + (
        "from ds2_fast.rating.transport_litellm import import_litellm\n"
        "litellm = import_litellm()\n"
        "litellm.success_callback.append('spy')\n"
        "from ds2_fast.errors import RatingError\n"
        "try:\n    import_litellm()\nexcept RatingError as error:\n    print(error)\n"
    )
    out, err = start(code).communicate(timeout=120)
    assert "would report every request to `success_callback`" in out, err
    assert err == ""
