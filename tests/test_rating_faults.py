"""The table of failures, row by row: whole runs against a faulty server, both transports."""

from __future__ import annotations

import errno

import numpy as np
import pytest

from ds2_fast.errors import RatingError
from ds2_fast.rating import rate
from ds2_fast.rating.journal import load_journal
from rating_runs import MODEL, USED, no_more_than, pool, run, statuses
from rating_server import RatingServer

pytestmark = pytest.mark.usefixtures("transport")


def test_capacity_never_uses_up_a_samples_tries(journal):
    with RatingServer(per_sample=("429", "503", "529") * 4, retry_after="0.01") as server:
        ratings = run(server, journal, pool(3))
    assert statuses(ratings) == ["ok"] * 3
    assert server.kinds() == {"429": 12, "503": 12, "529": 12, "ok": 3}


def test_retry_after_is_honored(journal):
    with RatingServer(script=("429", "429"), retry_after="0.4") as server:
        run(server, journal, pool(1))
        gaps = np.diff([entry.at for entry in server.ledger])
    assert len(gaps) == 2 and gaps.min() >= 0.4


@pytest.mark.parametrize("kind", ["500", "408", "cut", "reset"])
def test_transport_is_tried_six_times(journal, impatient, kind):
    with RatingServer(per_sample=(kind,) * 5) as server:
        ratings = run(server, journal, pool(1))
        assert statuses(ratings) == ["ok"] and server.requests == 6
    other = journal.with_name("other.jsonl")
    with RatingServer(always=kind) as server:
        ratings = run(server, other, pool(1))
        assert statuses(ratings) == ["transport"] and server.requests == 6
        server.always = ""
        assert statuses(run(server, other, pool(1))) == ["ok"], (
            "no answer is no answer: asked again"
        )


@pytest.mark.parametrize("kind", ["slow", "hang"])
def test_the_deadline_is_one_and_is_tried_three_times(journal, kind):
    soon = no_more_than(20)
    with RatingServer(always=kind) as server:
        ratings = run(server, journal, pool(1), timeout=0.5, price_in=1, price_out=1)
        assert server.requests == 3
    assert statuses(ratings) == ["deadline"]
    assert ratings.summary["cost"]["possible"] > 0, "each may have been billed"
    assert soon()


@pytest.mark.parametrize(
    ("kind", "hint"),
    [("401", "--api-key-env"), ("402", "plan"), ("403", "--api-key-env"), ("404", "--model"),
     ("quota", "plan")],
)  # fmt: skip
def test_a_fatal_answer_stops_after_one_request(journal, kind, hint):
    soon = no_more_than(15)
    with RatingServer(always=kind) as server, pytest.raises(RatingError) as refused:
        run(server, journal, pool(300))
    assert server.requests == 1
    assert "the provider refuses" in refused.value.message and hint in refused.value.hint
    assert soon()


def test_a_quota_spent_midway_stops_with_what_is_in_flight(journal):
    with RatingServer(script=("ok",) * 50, always="", latency=0.02) as server:
        server.kind_of = lambda key, attempt: "ok" if len(server.ledger) < 50 else "quota"
        with pytest.raises(RatingError, match="the provider refuses"):
            run(server, journal, pool(300), max_concurrency=16)
        assert server.requests <= 50 + 16
        server.kind_of = lambda key, attempt: "ok"
        ratings = run(server, journal, pool(300))
        assert statuses(ratings) == ["ok"] * 300
    assert set(server.answered().values()) == {1}


def test_a_rejected_or_filtered_sample_is_null_at_once(journal):
    with RatingServer(script=("ok", "400", "422", "filter", "filtered")) as server:
        ratings = run(server, journal, pool(8), max_concurrency=1)
        assert server.requests == 8
    reasons = ["rejected", "rejected", "content_filter", "content_filter"]
    assert statuses(ratings) == ["ok", *reasons, "ok", "ok", "ok"]


def test_a_context_overflow_is_tried_once_at_half_the_length(journal):
    sample = [("user", "word " * 3000), ("assistant", "yes")]
    with RatingServer(script=("context",)) as server:
        ratings = run(server, journal, [sample])
        sizes = [len(entry.messages[1]["content"]) for entry in server.ledger]
    assert statuses(ratings) == ["ok"] and len(sizes) == 2
    assert sizes[1] < 0.6 * sizes[0]
    assert ratings.frame["truncated"].to_list() == [True]
    with RatingServer(always="context") as server:
        ratings = run(server, journal.with_name("b.jsonl"), [sample])
        assert statuses(ratings) == ["context_length"] and server.requests == 2


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("empty", "empty"), ("truncated", "length"), ("missing", "missing_key"),
     ("range", "out_of_range"), ("refusal", "refusal")],
)  # fmt: skip
def test_an_unreadable_answer_is_asked_once_more_then_null(journal, kind, reason):
    with RatingServer(per_sample=(kind,)) as server:
        assert statuses(run(server, journal, pool(3))) == ["ok"] * 3
        assert server.requests == 6
        first, second = (e for e in server.ledger if e.key == server.ledger[0].key)
        assert second.messages[1]["content"].startswith(first.messages[1]["content"])
        assert len(second.messages) == 2, "a fresh conversation, not a growing one"
        assert second.params["max_tokens"] == (256 if kind == "truncated" else 128)
    null = journal.with_name("null.jsonl")
    with RatingServer(always=kind) as server:
        assert statuses(run(server, null, pool(3))) == [reason] * 3
        assert server.requests == 6
        run(server, null, pool(3))
        assert server.requests == 6, "an answer that was paid is not bought again unasked"
        server.always = ""
        assert statuses(run(server, null, pool(3), retry_null=True)) == ["ok"] * 3
        assert statuses(run(server, null, pool(3), reask=0, temperature=1.0)) == ["ok"] * 3


def test_a_dead_endpoint_is_noticed(journal, impatient):
    with RatingServer() as server:
        base = server.base
    calls = []

    async def dead(messages, params):
        calls.append(1)
        raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    with pytest.raises(
        RatingError, match="50 requests in a row failed, the last: Connection refused"
    ):
        rate(pool(500), MODEL, journal_path=journal, rater=dead)
    assert 50 <= len(calls) <= 50 + 8
    with pytest.raises(RatingError, match="does not answer"):
        rate(pool(500), MODEL, api_base=base, journal_path=journal, **USED)


def test_no_answer_for_too_long_is_given_up(journal):
    soon = no_more_than(15)
    patient = pytest.raises(RatingError, match="no answer for 1 s")
    with RatingServer(always="429", retry_after="30") as server, patient:
        run(server, journal, pool(20), give_up=1)
    assert soon(), "the sleepers must be woken"


def test_hopeless_answers_stop_early(journal):
    with RatingServer(always="400") as server:
        with pytest.raises(RatingError, match=r"none of the first 20 .*rejected 20.*is wrong"):
            run(server, journal, pool(500))
        assert server.requests <= 20 + 8


def test_many_bad_samples_do_not_stop_a_run_that_has_rated(journal):
    with RatingServer() as server:
        run(server, journal, pool(1))
        server.always = "400"
        ratings = run(server, journal, pool(30))
    assert statuses(ratings) == ["ok"] + ["rejected"] * 29


def test_a_storm_of_faults_is_weathered(journal, impatient):
    faults = {"429": 0.03, "500": 0.02, "malformed": 0.1, "truncated": 0.02, "cut": 0.01,
              "hang": 0.005}  # fmt: skip
    with RatingServer(faults=faults, latency=0.02) as server:
        ratings = run(server, journal, pool(400), timeout=2, reask=3)
    assert statuses(ratings) == ["ok"] * 400
    assert server.requests < 400 * 1.4
    assert len(load_journal(journal).records) == 400


def test_a_wall_of_requests_a_minute_is_met(journal):
    with RatingServer(rpm=2400, retry_after="0.2") as server:
        ratings = run(server, journal, pool(120))
    assert statuses(ratings) == ["ok"] * 120


def test_limits_in_headers_are_kept(journal):
    with RatingServer(headers={"x-ratelimit-limit-requests": "1200"}, latency=0.001) as server:
        run(server, journal, pool(60))
        times = [entry.at for entry in server.ledger]
    assert times[-1] - times[8] > (60 - 9 - 20) / 20
