"""Whole runs over HTTP through both transports, against a server on the loopback."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import threading

import numpy as np
import pytest

from ds2_fast.errors import BudgetReachedError, RatingError, RunError
from ds2_fast.rating import plan_rating, rate
from ds2_fast.rating.journal import Journal, load_journal
from ds2_fast.rating.transport import Answer, CallError, Failure
from rating_runs import MODEL, pool, run, statuses
from rating_server import RatingServer, content_key, ratings_of

pytestmark = pytest.mark.usefixtures("transport")


def test_a_run_is_aligned_with_its_pool_and_resumes_for_free(journal):
    samples = [*pool(40), *pool(40), [("user", " ")], *pool(5, 100)]
    with RatingServer() as server:
        ratings = run(server, journal, samples, limit=83)
        assert server.requests == 42, "equal samples are asked once"
        assert set(server.answered().values()) == {1}
        again = run(server, journal, samples[::-1])
        assert server.requests == 45, "only the three beyond the limit were new"
        by_key = {
            content_key(e.messages): ratings_of(content_key(e.messages)) for e in server.ledger
        }
        sent = {e.messages[1]["content"]: by_key[content_key(e.messages)] for e in server.ledger}
    frame = ratings.frame
    assert frame.columns == [
        "rarity", "complexity", "informativeness", "overall", "score", "expected", "chances",
        "expected_from", "status", "truncated", "flag_delim", "flag_inject", "key",
    ]  # fmt: skip
    assert [str(t) for t in frame.dtypes[:5]] == ["Float32"] * 4 + ["Int8"]
    assert statuses(ratings) == ["ok"] * 80 + ["empty_sample"] + ["ok"] * 2 + ["skipped"] * 3
    for row, values in enumerate(
        frame.select("rarity", "complexity", "informativeness", "overall").rows()
    ):
        text = samples[row][0][1]
        expected = [r for content, r in sent.items() if f"### user: {text}\n" in content]
        assert list(values) == ([None] * 4 if row in {80, 83, 84, 85} else expected[0])
    assert frame["score"].to_list() == [
        v if v is None else int(v) for v in frame["overall"].to_list()
    ]
    assert again.scores.dtype == np.int8
    assert again.scores[::-1][:80].tolist() == ratings.scores[:80].tolist()
    assert ratings.scores[80] == -1
    assert frame[:40].drop("flag_inject").equals(frame[40:80].drop("flag_inject"))
    summary = again.summary
    assert summary["rated"] == 85 and summary["null"] == 1
    assert summary["samples"]["duplicates"] == 40 and summary["samples"]["stored"] == 42
    assert summary["requests"] == 3
    assert summary["models_answered"] == {"rater-2024": 45}
    assert summary["cost"]["total"] == 0
    assert summary["prompt"]["name"] == "ds2-fast-v1" and "Rarity" in summary["prompt"]["system"]
    json.dumps(summary)


def test_what_is_sent_is_what_was_asked_for(journal):
    with RatingServer() as server:
        run(server, journal, pool(2), params={"top_p": 0.5}, max_tokens=77, temperature=0.25)
        params = server.ledger[0].params
        assert {k: params[k] for k in ("top_p", "max_tokens", "temperature")} == {
            "top_p": 0.5, "max_tokens": 77, "temperature": 0.25,
        }  # fmt: skip
        assert server.ledger[0].authorization == "Bearer no-key-needed"
        run(server, journal, pool(2), temperature=None)
        assert "temperature" not in server.ledger[-1].params
        assert server.requests == 4, "another temperature is another rating"
        run(server, journal, pool(2), temperature=None, max_tokens=500)
        assert server.requests == 4, "a longer limit is not"


def test_a_ten_point_prompt_is_compressed_to_classes(journal):
    with RatingServer(scale=(1, 10)) as server:
        ratings = run(server, journal, pool(40), prompt="ds2-code-1-10")
    overall, score = ratings.frame["overall"].to_list(), ratings.frame["score"].to_list()
    assert max(overall) > 5
    assert score == [max(0, min(int(value), 9) - 4) for value in overall]


@pytest.mark.parametrize("samples", [[], [[("user", "")]]])
def test_a_pool_with_nothing_to_ask_asks_nothing(journal, samples):
    ratings = rate(
        samples, MODEL, api_base="http://127.0.0.1:9/v1", journal_path=journal, max_null=1
    )
    assert len(ratings.frame) == len(samples)
    assert ratings.summary["requests"] == 0


def test_the_cap_is_never_exceeded_and_the_run_resumes(journal):
    prices = {"price_in": 100.0, "price_out": 100.0}
    with RatingServer(latency=0.02) as server:
        with pytest.raises(BudgetReachedError, match="--max-cost") as reached:
            run(server, journal, pool(200), max_cost=1.5, **prices)
        assert reached.value.exit_code == 5
        tokens = [sum(len(m["content"]) for m in e.messages) // 4 + 36 for e in server.ledger]
        paid = sum(tokens) * 1e-4
        assert 0.5 < paid <= 1.5
        assert load_journal(journal).cost == pytest.approx(paid, rel=0.02)
        bought = server.requests
        with pytest.raises(BudgetReachedError):
            run(server, journal, pool(200), max_cost=1.5, **prices)
        assert server.requests <= bought + 1, "the cap holds over all runs on a journal"
        ratings = run(server, journal, pool(200), max_cost=1000, **prices)
    assert statuses(ratings) == ["ok"] * 200
    assert set(server.answered().values()) == {1}
    cost = ratings.summary["cost"]
    assert cost["total"] == pytest.approx(load_journal(journal).cost) and cost["total"] > paid


def test_a_cap_without_a_price_is_refused(journal):
    with pytest.raises(RatingError, match="unknown") as refused:
        rate(pool(1), "nobody/knows", journal_path=journal, max_cost=1)
    assert "--price-in" in refused.value.hint and "--price-out" in refused.value.hint
    assert not journal.exists()


def test_a_plan_is_honest(journal):
    samples = [*pool(30), *pool(10), [("user", "x" * 50_000)], []]
    plan = plan_rating(samples, "gpt-4o-mini", journal_path=journal)
    assert (plan.rows, plan.to_rate, plan.duplicates, plan.empty, plan.truncated) == (
        42,
        31,
        10,
        1,
        1,
    )
    assert plan.cost == pytest.approx(plan.price.cost(plan.input_tokens, plan.output_tokens))
    assert "an estimate" in plan.describe() and "litellm" in plan.describe()
    assert not journal.exists()
    unknown = plan_rating(samples, "nobody/knows")
    assert unknown.cost is None and "--price-in" in unknown.describe()
    with RatingServer() as server:
        run(server, journal, samples[:40])
        later = plan_rating(pool(60), MODEL, api_base=server.base, journal_path=journal)
        assert (later.stored, later.to_rate, later.basis) == (30, 30, "30 stored answers")
        sent = server.ledger[0].messages
        real = sum(len(m["content"]) for m in sent) // 4
        assert later.input_tokens == pytest.approx(30 * real, rel=0.02)
        assert later.output_tokens == 30 * 36


def test_a_full_disk_stops_the_buying(journal, monkeypatch):
    real = Journal.append
    count = [0]

    def append(self, entry):
        count[0] += "k" in entry
        if count[0] > 30:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, entry)

    with RatingServer(latency=0.02) as server:
        monkeypatch.setattr(Journal, "append", append)
        with pytest.raises(RunError, match="no space left"):
            run(server, journal, pool(300), max_concurrency=8)
        assert server.requests <= 30 + 8 + 8
        monkeypatch.undo()
        assert statuses(run(server, journal, pool(300))) == ["ok"] * 300
        stored = load_journal(journal)
        assert sum(n - 1 for n in server.answered().values()) <= 16
    assert len(stored.records) == 300


def test_a_locked_journal_is_refused(journal):
    entered, leave = threading.Event(), threading.Event()

    async def slow(messages, params):
        entered.set()
        while not leave.is_set():
            await asyncio.sleep(0.01)
        return Answer('{"Rarity":1,"Complexity":1,"Informativeness":1,"Overall rating":1}')

    first = threading.Thread(target=lambda: rate(pool(1), "m", journal_path=journal, rater=slow))
    first.start()
    assert entered.wait(10)
    with pytest.raises(RunError, match=f"process {os.getpid()}, started"):
        rate(pool(1), "m", journal_path=journal, rater=slow)
    leave.set()
    first.join(10)
    assert not first.is_alive()


def test_edited_ratings_are_not_believed(journal):
    with RatingServer() as server:
        run(server, journal, pool(3))
        lines = journal.read_text().splitlines()
        edited = [json.loads(line) for line in lines]
        good = [entry for entry in edited if "k" in entry]
        good[0]["r"], good[1]["r"] = [9, 9, 9, 9], [1]
        journal.write_text("\n".join(map(json.dumps, edited)))
        assert statuses(run(server, journal, pool(3))) == ["ok"] * 3
        assert server.requests == 5


def test_too_many_nulls_are_an_error_with_their_reasons(journal):
    with RatingServer(answer="no") as server:
        with pytest.raises(
            RatingError, match=r"10 of 10 rows have no rating.*no_json 10"
        ) as refused:
            run(server, journal, pool(10), max_null=0.05)
        assert refused.value.exit_code == 4
        with pytest.raises(RatingError, match=r"10 of 10 rows .*no_json 10"):
            run(server, journal, pool(10), max_null=0.05)
        ratings = run(server, journal, pool(10), max_null=1.0)
    assert any("100.0% of the rows have no rating" in w for w in ratings.summary["warnings"])


def test_answers_stay_out_of_the_journal_if_asked(journal):
    with RatingServer(
        answer='{"Rarity":1,"Complexity":1,"Informativeness":1,"Overall":1,"x":"priv"}'
    ) as server:
        run(server, journal, pool(2), keep_raw=False)
        assert "priv" not in journal.read_text()


def test_it_works_inside_a_running_loop_twice(journal):
    async def notebook(server):
        first = run(server, journal, pool(5))
        second = run(server, journal, pool(10))
        return first, second

    with RatingServer() as server:
        first, second = asyncio.run(notebook(server))
        assert statuses(first) == ["ok"] * 5 and statuses(second) == ["ok"] * 10


def test_progress_comes_in_the_callers_thread_and_may_stop_the_run(journal):
    seen = []

    def watch(now):
        seen.append((threading.current_thread(), now.done, now.total))
        if now.done > 20:
            raise ZeroDivisionError

    with RatingServer(latency=0.1) as server, pytest.raises(ZeroDivisionError):
        run(server, journal, pool(2000), max_concurrency=8, on_progress=watch)
    assert {thread for thread, _, _ in seen} == {threading.current_thread()}
    assert {total for _, _, total in seen} == {2000}
    loaded = load_journal(journal)
    assert 20 < len(loaded.records) < 2000 and loaded.in_flight == 0


def test_a_rater_of_ones_own(journal):
    async def rater(messages, params):
        if "Question 3?" in messages[-1]["content"]:
            raise CallError(Failure.REJECTED, "not this one")
        return Answer('{"Rarity":1,"Complexity":1,"Informativeness":1,"Overall rating":2}')

    ratings = rate(pool(5), "mine", journal_path=journal, rater=rater, max_null=0.5)
    assert ratings.scores.tolist() == [2, 2, 2, -1, 2]
    assert ratings.summary["cost"]["total"] is None

    async def broken(messages, params):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        rate(pool(50, 50), "mine", journal_path=journal, rater=broken)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"max_concurrency": 0}, "max_concurrency must be a whole number of at least 1"),
        ({"rpm": 0}, "rpm must be positive"),
        ({"timeout": -1}, "timeout must be positive"),
        ({"reask": -1}, "reask must be"),
        ({"max_null": 2}, "max_null must be a share"),
        ({"max_cost": -1, "price_in": 1, "price_out": 1}, "max_cost must be 0 or more"),
        ({"max_cost": 1, "max_tokens": None, "price_in": 1, "price_out": 1}, "needs max_tokens"),
        ({"limit": -1}, "limit must be"),
        ({"max_sample_tokens": 3}, "max_sample_tokens must be"),
        ({"params": {"temperature": 1}}, "params must not hold 'temperature'"),
        ({"price_in": 1}, "together"),
    ],
)
def test_misuse_is_refused_before_anything_happens(journal, options, says):
    with pytest.raises(ValueError, match=says):
        rate(pool(1), MODEL, journal_path=journal, **options)
    assert not journal.exists()
