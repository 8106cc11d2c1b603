"""Journal, lock, money, limits, admission, endpoint, classification: each part alone."""

from __future__ import annotations

import asyncio
import errno
import heapq
import json
import os
import random
import stat
from datetime import UTC, datetime

import pytest

from ds2_fast.errors import RatingError, RunError
from ds2_fast.rating import limits
from ds2_fast.rating.admission import Admission, StoppedError
from ds2_fast.rating.crowd import Crowd
from ds2_fast.rating.endpoint import make_scrubber, open_endpoint
from ds2_fast.rating.journal import Journal, load_journal
from ds2_fast.rating.lock import run_lock
from ds2_fast.rating.money import Price, Spending, find_price
from ds2_fast.rating.pace import Pace
from ds2_fast.rating.transport import Answer, Failure, classify


def entry(key: str, ratings: list[float] | None = None, **more: object) -> dict[str, object]:
    why = None if ratings else "no_json"
    rest = {"u": [100, 20, 10], "c": 0.5, "m": "m", "raw": "{}", "n": 1, "ms": 1, "fp": ""}
    return {"k": key, "t": 1.0, "r": ratings, "why": why, **rest, **more}


def write(path, *entries):
    journal = Journal(path)
    for one in entries:
        journal.append(one)
    journal.close()


# -- journal ---------------------------------------------------------------------------------


def test_what_is_written_is_loaded(tmp_path):
    path = tmp_path / "j.jsonl"
    write(path, entry("a", [1, 2, 3, 4.5]), entry("b"), entry("c", more=1, half=1))
    loaded = load_journal(path)
    assert loaded.records["a"].ratings == (1.0, 2.0, 3.0, 4.5)
    assert loaded.records["b"].why == "no_json" and loaded.records["b"].final
    assert not loaded.records["c"].final and loaded.records["c"].half
    assert loaded.records["a"].usage == (100, 20, 10)
    assert (loaded.cost, loaded.unreadable) == (1.5, 0)
    assert load_journal(tmp_path / "none").records == {}
    if os.name == "posix":
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_tail_torn_at_any_byte_loses_that_record_only(tmp_path):
    path = tmp_path / "j.jsonl"
    write(path, entry("a", [1, 2, 3, 4]))
    first = path.read_bytes()
    write(path, entry("b", [2, 2, 2, 2], raw='{"r": [5]}\n é'))
    whole = path.read_bytes()
    for cut in range(len(first), len(whole)):
        path.write_bytes(whole[:cut])
        write(path, entry("c", [3, 3, 3, 3]))
        loaded = load_journal(path)
        complete = cut >= len(whole) - 1  # all but its line end
        assert set(loaded.records) == ({"a", "b", "c"} if complete else {"a", "c"}), cut
        assert loaded.unreadable == (0 if complete or cut == len(first) else 1), cut
        assert path.read_bytes().startswith(whole[:cut]), "what was there is never cut"


def test_the_last_good_record_wins_but_a_null_replaces_nothing(tmp_path):
    path = tmp_path / "j.jsonl"
    write(
        path, entry("a"), entry("a", [1, 1, 1, 1]), entry("a"), entry("a", [2, 2, 2, 2]), entry("a")
    )
    loaded = load_journal(path)
    assert loaded.records["a"].ratings == (2.0, 2.0, 2.0, 2.0)
    assert loaded.cost == 2.5, "every answer was paid"


@pytest.mark.parametrize(
    "line",
    ["garbage", "[]", "3", '{"v":2,"k":"x"}', '{"v":1,"k":"x"}', '{"v":1,"k":"x","r":"abc"}',
     '{"v":1,"hb":1}', "\x00\xff", '{"v":1,"k":"x","t":0,"r":[1],"why":null,"u":[1],"c":0,"m":""}'],
)  # fmt: skip
def test_lines_that_are_no_record_are_counted_and_skipped(tmp_path, line):
    path = tmp_path / "j.jsonl"
    path.write_bytes(line.encode("latin-1") + b"\n\n")
    write(path, entry("a", [1, 1, 1, 1]))
    loaded = load_journal(path)
    assert (set(loaded.records), loaded.unreadable) == ({"a"}, 1)


def test_a_killed_run_leaves_what_it_owes(tmp_path):
    path = tmp_path / "j.jsonl"
    beat = {"hb": 1.0, "inflight": 5, "usd": 0.25}
    write(path, {"run": {}}, beat, entry("a", [1, 1, 1, 1]), {**beat, "inflight": 57, "usd": 0.5})
    loaded = load_journal(path)
    assert (loaded.in_flight, loaded.possible) == (57, 0.5)
    write(path, {"run": {}}, beat, {**beat, "inflight": 0, "usd": 0.125})
    loaded = load_journal(path)
    assert (loaded.in_flight, loaded.possible) == (0, 0.625)


def test_records_without_a_price_are_priced_later(tmp_path):
    path = tmp_path / "j.jsonl"
    write(path, entry("a", [1, 1, 1, 1], c=None), entry("b", c=None))
    loaded = load_journal(path)
    assert (loaded.unpriced, loaded.cost) == ((200, 40, 20), 0.0)


def test_a_short_write_is_an_error_and_swallows_nothing(tmp_path, monkeypatch):
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:10]))
    with pytest.raises(OSError, match="No space left") as full:
        journal.append(entry("a", [1, 1, 1, 1]))
    assert full.value.errno == errno.ENOSPC
    monkeypatch.undo()
    journal.append(entry("b", [1, 1, 1, 1]))
    journal.close()
    journal.close()
    loaded = load_journal(path)
    assert (set(loaded.records), loaded.unreadable) == ({"b"}, 1)


# -- lock ------------------------------------------------------------------------------------


def test_a_second_run_is_refused_with_the_first_ones_id(tmp_path):
    path = tmp_path / "j.jsonl"
    with run_lock(path), pytest.raises(RunError) as refused, run_lock(path):
        pass
    assert f"process {os.getpid()}, started 20" in refused.value.message
    with run_lock(path):
        pass
    with pytest.raises(RunError, match="cannot write the lock"), run_lock(tmp_path / "no" / "j"):
        pass


# -- money -----------------------------------------------------------------------------------

NAMED = open_endpoint(None)


def test_a_price_is_given_or_listed_or_unknown():
    assert find_price("x/y", NAMED, 1.0, 2.0) == Price(1e-6, 2e-6, 1e-6, "given")
    listed = find_price("openai/gpt-4o-mini", NAMED, None, None)
    assert listed is not None and listed == find_price("gpt-4o-mini", NAMED, None, None)
    assert 0 < listed.cached < listed.input < listed.output
    assert "litellm" in listed.source
    assert find_price("nobody/knows-this", NAMED, None, None) is None
    loopback = open_endpoint("http://127.0.0.1:1/v1")
    assert find_price("openai/gpt-4o-mini", loopback, None, None).cost(10**6, 10**6) == 0
    elsewhere = open_endpoint("https://example.org/v1")
    assert find_price("openai/gpt-4o-mini", elsewhere, None, None) is None
    for prices, says in (((1.0, None), "together"), ((1.0, -2.0), "price_out must be 0 or more")):
        with pytest.raises(ValueError, match=says):
            find_price("m", NAMED, *prices)


def test_cached_tokens_cost_their_own_price():
    price = Price(2e-6, 10e-6, 0.5e-6, "")
    assert price.cost(1000, 100, 600) == pytest.approx(400 * 2e-6 + 600 * 0.5e-6 + 100 * 10e-6)
    assert price.cost(100, 0, 600) == pytest.approx(100 * 0.5e-6), "no more cached than sent"


def test_an_answer_without_usage_is_charged_at_its_bound():
    spending = Spending(Price(1.0, 1.0, 1.0, ""), cap=100)
    assert spending.book(Answer("x"), 7, 5) == ((7, 5, 0), 12.0)
    assert spending.book(Answer("x", input_tokens=3, output_tokens=2), 7, 5) == ((3, 2, 0), 5.0)
    assert spending.spent == 17
    spending.reserved, spending.possible = 50, 3
    assert spending.fits(30) and not spending.fits(30.5)


# -- limits ----------------------------------------------------------------------------------


def test_a_bucket_lets_its_rate_through_whatever_the_sizes():
    now = [0.0]
    bucket = limits.Bucket(120, lambda: now[0])
    passed = 0
    while now[0] < 60:
        if wait := bucket.wait():
            now[0] += wait
        else:
            bucket.take(1)
            passed += 1
    assert 118 <= passed <= 123
    big = limits.Bucket(60, lambda: now[0])
    big.take(30)
    assert big.wait() == pytest.approx(30)
    big.take(-10)
    assert big.wait() == pytest.approx(20)
    assert limits.Bucket(None).wait() == 0


def test_headers_say_how_long_to_wait():
    assert limits.retry_after({"Retry-After": "2"}) == 2
    assert limits.retry_after({"retry-after-ms": "250", "retry-after": "9"}) == 0.25
    assert limits.retry_after({"retry-after": "Wed, 21 Oct 2015 07:28:10 GMT"}, 1445412480) == 10
    assert limits.retry_after({"retry-after": "soon"}) is None
    assert limits.retry_after({}) is None
    now = datetime(2025, 1, 31, 12, tzinfo=UTC).timestamp()
    for text, seconds in (
        ("6ms", 0.006), ("1m2.5s", 62.5), ("2h", 7200), ("12", 12), ("soon", 0),
        ("2025-01-31T12:00:30Z", 30),
    ):  # fmt: skip
        headers = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": text}
        assert limits.header_pause(headers, "tokens", now) == pytest.approx(seconds), text
        assert limits.header_pause(headers, "requests", now) == 0
    anthropic = {"llm_provider-anthropic-ratelimit-requests-limit": "50"}
    assert limits.header_limit(anthropic, "requests") == 50
    assert limits.header_limit({"x-ratelimit-limit-requests": "many"}, "requests") is None


# -- admission -------------------------------------------------------------------------------


def test_admission_keeps_limit_cap_and_order():
    async def main():
        spending = Spending(Price(1.0, 1.0, 1.0, ""), cap=10)
        stops = []
        admission = Admission(spending, ceiling=2, on_budget=lambda: stops.append(1))
        first = await admission.enter(1, 4)
        second = await admission.enter(1, 4)
        third = asyncio.create_task(admission.enter(1, 4))
        await asyncio.sleep(0)
        assert not third.done() and admission.in_flight == 2
        spending.spent += 1
        admission.leave(first)
        ticket = await asyncio.wait_for(third, 1)  # 1 spent + 4 in flight + 4
        spending.spent += 4
        fourth = asyncio.create_task(admission.enter(1, 4))
        admission.leave(second)
        await asyncio.sleep(0)
        assert not fourth.done() and not stops, (
            "5 + 4 + 4 > 10, but what is in flight may cost less"
        )
        spending.spent += 4
        admission.leave(ticket)
        await asyncio.sleep(0)
        assert stops == [1] and not fourth.done()
        admission.close()
        with pytest.raises(StoppedError):
            await fourth
        with pytest.raises(StoppedError):
            await admission.enter(1, 0)
        assert spending.reserved == 0

    asyncio.run(main())


def test_refusals_that_follow_the_pace_set_one_and_others_do_not():
    def run(refuses, seconds):
        """A client that always has more to send, and hears of a refusal after 5 ms."""
        now, heard = [0.0], []
        pace = Pace(lambda: now[0])
        while now[0] < seconds:
            while heard and heard[0] + 0.005 <= now[0]:
                pace.refused(heard.pop(0), None)
            wait = pace.wait()
            if wait == 0:
                pace.sent()
                if refuses(now[0]):
                    heard.append(now[0])
            now[0] += min(max(wait, 0.001), 0.005)
        return pace

    bucket = [100.0, 0.0]

    def wall(at):
        bucket[0] = min(100.0, bucket[0] + 100 * (at - bucket[1]))
        bucket[1] = at
        taken = bucket[0] >= 1
        bucket[0] -= taken
        return not taken

    assert run(wall, 10).rate == pytest.approx(100, rel=0.1)
    draw = random.Random(1)
    assert run(lambda _: draw.random() < 0.2, 10).rate is None
    assert run(lambda _: False, 3).rate is None


def test_the_crowd_is_what_is_served_and_some_room():
    now = [0.0]
    crowd = Crowd(8, 512, lambda: now[0])
    out: list[tuple[float, float]] = []  # (done, sent) of what is in flight; 20 are served at once
    free = [0.0] * 20
    while now[0] < 20:
        while out and out[0][0] <= now[0]:
            crowd.answered(now[0] - heapq.heappop(out)[1], len(out))
        while len(out) < int(crowd.limit):
            done = max(now[0], heapq.heappop(free)) + 0.1
            heapq.heappush(free, done)
            heapq.heappush(out, (done, now[0]))
            crowd.entered(len(out))
        now[0] += 0.001
    assert 20 <= crowd.limit <= 40


def test_requests_a_minute_hold():
    async def main():
        admission = Admission(Spending(), ceiling=100, rpm=1200)
        loop = asyncio.get_running_loop()
        start = loop.time()
        for _ in range(40):
            admission.leave(await asyncio.wait_for(admission.enter(1, 0), 5))
        assert loop.time() - start > 40 / 20 - 0.3

    asyncio.run(main())


# -- endpoint and secrets --------------------------------------------------------------------


def test_keys_come_from_the_environment_and_stay_home():
    environ = {"MY_KEY": "abcdefghijkl"}
    named = open_endpoint(None, api_key_env="MY_KEY", environ=environ)
    assert (named.id, named.api_key) == ("", "abcdefghijkl")
    assert "abcdefghijkl" not in repr(named)
    with pytest.raises(RatingError, match="`NONE` holds no key"):
        open_endpoint(None, api_key_env="NONE", environ=environ)
    with pytest.raises(RatingError, match=r"unencrypted to example\.org"):
        open_endpoint("http://example.org/v1", api_key_env="MY_KEY", environ=environ)
    forced = {"api_key_env": "MY_KEY", "environ": environ, "insecure_http": True}
    assert open_endpoint("http://example.org/v1", **forced).api_key == "abcdefghijkl"
    for free in ("http://127.0.0.1:8000/v1", "http://[::1]:8000", "http://localhost/v1"):
        endpoint = open_endpoint(free, environ=environ)
        assert endpoint.loopback and endpoint.api_key == "no-key-needed"
    assert open_endpoint("http://example.org", environ=environ).api_key == "no-key-needed"
    assert open_endpoint("https://example.org", environ=environ).api_key is None
    for bad in ("ftp://x", "127.0.0.1:80", "http://", "http://x:port/"):
        with pytest.raises(RatingError, match="is not an address"):
            open_endpoint(bad)


def test_an_endpoint_is_its_address_without_user_and_query():
    one = open_endpoint("https://user:secret@host.example:444/v1/?key=secret")
    same = open_endpoint("https://host.example:444/v1")
    assert one.id == same.id and one.shown == "https://host.example:444"
    assert open_endpoint("https://host.example/v1").id != one.id
    assert open_endpoint("https://host.example/v1", label="lab").id == "lab"


def test_the_scrubber_hides_keys_and_tames_text():
    scrub = make_scrubber(
        "topsecretvalue", environ={"SOME_API_KEY": "longenoughkey", "HOME": "/root"}
    )
    dirty = (
        "topsecretvalue longenoughkey sk-abcdefgh1234 Bearer abcdefgh.ijkl AIza" + "b" * 30
        + " https://me:pw@host/x?key=1 \x1b[31mred\u202e\n/root"
    )  # fmt: skip
    clean = scrub(dirty)
    for secret in ("topsecret", "longenough", "sk-abc", "abcdefgh.ijkl", "bbbb", "me:pw", "key=1"):
        assert secret not in clean
    assert "\x1b" not in clean and "\n" not in clean and "\u202e" not in clean
    assert clean.endswith("/root")
    assert len(scrub("a " * 1000)) == 300


# -- classes of failure ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (429, "Rate limit reached", Failure.CAPACITY),
        (503, "Service Unavailable", Failure.CAPACITY),
        (529, "overloaded_error", Failure.CAPACITY),
        (500, "The model is Overloaded", Failure.CAPACITY),
        (500, "server error", Failure.TRANSPORT),
        (502, "bad gateway", Failure.TRANSPORT),
        (408, "timeout", Failure.TRANSPORT),
        (409, "conflict", Failure.TRANSPORT),
        (425, "too early", Failure.TRANSPORT),
        (None, "connection reset", Failure.TRANSPORT),
        (401, "no", Failure.FATAL),
        (402, "no", Failure.FATAL),
        (403, "no", Failure.FATAL),
        (404, "no such model", Failure.FATAL),
        (429, "You exceeded your current quota, please check your plan", Failure.FATAL),
        (400, "Your credit balance is too low", Failure.FATAL),
        (400, "API key not valid. Please pass a valid API key.", Failure.FATAL),
        (500, "Missing credentials. Please pass an `api_key`", Failure.FATAL),
        (400, "LLM Provider NOT provided.", Failure.FATAL),
        (400, "UnsupportedParamsError no temperature", Failure.FATAL),
        (400, "maximum context length is 8192 tokens", Failure.CONTEXT),
        (413, "prompt is too long", Failure.CONTEXT),
        (400, "content management policy", Failure.FILTERED),
        (403, "input was flagged by moderation", Failure.FILTERED),
        (400, "bad", Failure.REJECTED),
        (422, "bad", Failure.REJECTED),
        (413, "too large", Failure.REJECTED),
    ],
)
def test_failures_by_status_and_words(status, text, kind):
    assert classify(status, text) is kind


def test_a_record_is_one_line_of_json(tmp_path):
    path = tmp_path / "j.jsonl"
    write(path, entry("a", [1, 1, 1, 1], raw="line\nline\u2028\x85 \ud800"))
    lines = path.read_bytes().split(b"\n")
    assert len(lines) == 2 and json.loads(lines[0])["k"] == "a"
