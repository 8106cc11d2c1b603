"""What a run leaves behind when things go wrong: full disks, kills, and what leaks."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ds2_fast.errors import RatingError
from ds2_fast.rating import rate
from ds2_fast.rating.endpoint import hide_sample
from ds2_fast.rating.journal import load_journal
from ds2_fast.rating.transport import CallError, Failure
from rating_server import RatingServer

BENCHES = Path(__file__).parent.parent / "benches"
MODEL = "openai/rater"
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals and limits of POSIX")

FULL = """
import resource, sys
from ds2_fast.errors import Ds2Error
from ds2_fast.rating import rate
pool = [[("user", f"Question {i}?")] for i in range(400)]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    rate(pool, "openai/rater", api_base=sys.argv[1], journal_path=sys.argv[2],
         transport="direct", max_concurrency=16)
except Ds2Error as error:
    print(type(error).__name__, error)
"""


@POSIX
@pytest.mark.parametrize("room", [10, 200, 20_000, 20_001, 20_123])
def test_a_full_disk_is_said_in_one_sentence_and_loses_nothing(tmp_path, room):
    journal = tmp_path / "j.jsonl"
    with RatingServer(latency=0.02) as server:
        command = [sys.executable, "-c", FULL, server.base, str(journal)]
        done = subprocess.run(
            [*command, str(room)], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0 and done.stderr == "", done.stderr
        (line,) = done.stdout.splitlines()
        assert line.startswith("RunError") and "no space left on device" in line
        stored = load_journal(journal)
        if room < 1000:
            assert server.requests == 0, "what cannot be stored is not bought"
        else:
            assert f"{len(stored.records)} of 400 samples are stored" in line
            assert server.requests <= len(stored.records) + 2 * 16
        subprocess.run([*command, str(1 << 30)], check=True, timeout=60)
        assert len(load_journal(journal).records) == 400
        answered = server.answered()
    assert len(answered) == 400 and sum(answered.values()) <= 400 + 2 * 16


@POSIX
def test_every_answer_bought_twice_was_in_flight_at_a_kill():
    """The accounting of the benchmark, on a small run."""
    command = [sys.executable, str(BENCHES / "bench_rating_kills.py"), "--fast", "--seed", "7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    told = dict(line.split(maxsplit=1) for line in done.stdout.splitlines())
    assert done.returncode == 0, done.stdout + done.stderr
    assert told["kills"] == "2" and told["samples"] == "600"
    for name in ("lost", "duplicate_records", "of_these_not_in_flight", "requests_of_another_run"):
        assert told[name] == "0", name


@POSIX
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_the_direct_transport_stops_in_order(tmp_path, stop):
    journal = tmp_path / "j.jsonl"
    child = BENCHES / "rating_child.py"
    with RatingServer(latency=0.3) as server:
        command = [sys.executable, str(child), server.base, str(journal), "20000", "direct"]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
            while server.requests < 60:
                assert process.poll() is None
                time.sleep(0.01)
            process.send_signal(stop)
            _, err = process.communicate(timeout=30)
        assert "KeyboardInterrupt" in err and "samples are stored" in err
        loaded = load_journal(journal)
        assert len(loaded.records) == sum(server.answered().values()), "in flight came home"
        assert loaded.in_flight == 0


SECRET = "The patient Alma Quist of 12 Harbor Lane takes lithium every morning."


@pytest.mark.parametrize("kind", [Failure.FATAL, Failure.REJECTED, Failure.TRANSPORT])
def test_no_sample_text_and_no_path_leaks(tmp_path, kind):
    """A provider that repeats what it was sent does not get it into messages and files."""
    journal = tmp_path / "j.jsonl"

    async def parrot(messages, params):
        said = " ".join(messages[-1]["content"].split())
        raise CallError(kind, f"400: cannot rate {said[-200:]} today", retry_after=0.0)

    pool = [[("user", f"{i}. {SECRET}")] for i in range(60)]
    with pytest.raises(RatingError) as refused:
        rate(pool, "m", journal_path=journal, rater=parrot)
    texts = [str(refused.value), refused.value.hint or ""]
    texts += [path.read_text() for path in tmp_path.iterdir()]
    for text in texts:
        for part in ("Alma Quist", "Harbor Lane", "lithium"):
            assert part not in text
        assert str(tmp_path) not in text
    assert "[sample]" in texts[0] and "cannot rate" in texts[0]


@pytest.mark.parametrize("transport", ["direct", "litellm"])
def test_summary_and_journal_name_no_path_and_no_sample(tmp_path, transport):
    journal = tmp_path / "j.jsonl"
    with RatingServer() as server:
        ratings = rate(
            [[("user", SECRET)]],
            MODEL,
            api_base=server.base,
            journal_path=journal,
            transport=transport,
        )
    for text in (json.dumps(ratings.summary), journal.read_text()):
        assert "Alma" not in text and str(tmp_path) not in text and str(Path.home()) not in text


def test_what_repeats_a_sample_is_cut_out():
    sample = "one two three four\nfive six seven eight nine ten"
    assert hide_sample("bad: three four five six!", sample) == "bad:[sample]!"
    assert hide_sample("five six", sample) == "five six", "a few words may be anybody's"
    assert hide_sample("", sample) == "" and hide_sample("all is well, no harm", "") == (
        "all is well, no harm"
    )
    draw = random.Random(0)
    for _ in range(200):
        text = "".join(draw.choice("ab ") for _ in range(60))
        left = hide_sample(text, sample + text[10:40])
        assert text[10:40] not in left


def test_the_fuzzer_runs():
    command = [sys.executable, str(BENCHES / "fuzz_rating.py"), "--fast", "--seed", "3"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"[1-9][\d,]* answers.*\n[1-9][\d,]* journals", done.stdout)
