"""How sure a rater is: token probabilities, repeats, and the probe of its gullibility."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ds2_fast.errors import RatingError
from ds2_fast.rating import rate
from ds2_fast.rating.chances import count_ratings, read_chances, to_classes, to_scale
from ds2_fast.rating.probe import PLEA
from ds2_fast.rating.prompt import load_prompt
from ds2_fast.rating.transport import Answer
from rating_chances import SureServer, content_of

FAST, TEN = load_prompt("ds2-fast-v1"), load_prompt("ds2-code-1-10")
MODEL = "openai/rater"


def said(overall: object) -> str:
    return json.dumps(
        {"Rarity": 4, "Complexity": 4, "Informativeness": 4, "Overall rating": overall}
    )


def read(text: str, chances: dict[str, float], prompt=FAST):
    return read_chances(Answer(text, logprobs=content_of(text, chances)), prompt)


def test_the_token_is_found_by_its_place_not_by_its_looks():
    found = to_scale(read(said(4), {"4": 0.6, "5": 0.3, " 3": 0.1}))
    assert found == pytest.approx([0, 0, 0, 0.1, 0.6, 0.3])
    assert read_chances(Answer(said(4)), FAST) is None, "nothing was given"


@given(st.lists(st.floats(1e-6, 1), min_size=6, max_size=6))
def test_what_is_covered_is_scaled_to_one(weights):
    masses = np.array(weights) / sum(weights)
    stored = read(said(4), {str(i): float(mass) for i, mass in enumerate(masses)})
    assert to_scale(stored) == pytest.approx(masses, abs=1e-6)


@pytest.mark.parametrize(
    ("overall", "chances", "why"),
    [
        (4, {"4": 0.5, "x": 0.5}, "half of the mass is no rating"),
        (4, {"4": 0.89}, "less than 0.9 is covered"),
        (4.5, {"5": 1.0}, "several tokens write the number"),
        (4, {"4}": 1.0}, "the token is more than a rating"),
    ],
)
def test_what_does_not_tell_is_no_distribution(overall, chances, why):
    assert read(said(overall), chances) == b"", why


def test_other_tokens_than_the_text_are_no_distribution():
    other = content_of(said(3), {"3": 1.0})
    assert read_chances(Answer(said(4), logprobs=other), FAST) == b""
    cut = content_of("<think>4</think>" + said(3), {"3": 1.0})
    assert read_chances(Answer(said(3), logprobs=cut), FAST) != b"", (
        "thinking was cut from the text"
    )


def test_a_split_ten_is_not_taken_for_a_one():
    whole = read(said(9), {"9": 0.6, "10": 0.2, "1": 0.2}, TEN)
    assert to_scale(whole)[[0, 8, 9]] == pytest.approx([0.2, 0.6, 0.2])
    assert read(said(9), {"9": 0.8, "1": 0.2}, TEN) == b"", "1 may go on to 10"
    assert to_scale(read(said(9), {"9": 0.95, "1": 0.05}, TEN))[8] == pytest.approx(1.0)


def test_probabilities_are_compressed_as_ratings_are():
    assert to_classes(np.full(10, 0.1), TEN) == pytest.approx([0.4, 0.1, 0.1, 0.1, 0.1, 0.2])
    assert count_ratings([4, 4.5, 1], FAST) == pytest.approx([0, 1 / 3, 0, 0, 1 / 3, 1 / 3])


def pool(count: int) -> list[list[tuple[str, str]]]:
    return [[("user", f"Question {i}?"), ("assistant", f"Answer {i}. " * 5)] for i in range(count)]


def run(server, tmp_path, samples, **options):
    journal = tmp_path / "ratings.jsonl"
    return rate(samples, MODEL, api_base=server.base, journal_path=journal, **options)


def test_expected_ratings_come_through_litellm(tmp_path):
    with SureServer() as server:
        frame = run(server, tmp_path, pool(30)).frame
        assert server.requests == 30
        assert frame["expected_from"].unique().to_list() == ["logprobs"]
        assert frame.schema["chances"].shape == (6,)
        for score, expected, chances in frame.select("score", "expected", "chances").iter_rows():
            assert max(chances) == chances[score] == pytest.approx(0.75)
            assert sum(chances) == pytest.approx(1)
            assert expected == pytest.approx(sum(i * p for i, p in enumerate(chances)))
        again = run(server, tmp_path, pool(30)).frame
        assert server.requests == 30
        assert again.equals(frame), "the journal keeps all of it"


def test_a_provider_that_gives_fewer_is_asked_for_fewer(tmp_path):
    with SureServer(most=5) as server:
        ratings = run(server, tmp_path, pool(20))
        assert server.kinds() == {"logprobs": 1, "ok": 20}
        assert {e.params.get("top_logprobs") for e in server.ledger[1:]} == {5}
        assert ratings.summary["failures"] == {}
        assert ratings.frame["expected"].null_count() == 0


def test_auto_does_without_and_require_stops(tmp_path):
    with SureServer(most=0) as server:
        ratings = run(server, tmp_path, pool(10))
        assert ratings.frame["expected"].null_count() == 10
        assert ratings.summary["rated"] == 10
        before = server.requests
        with pytest.raises(RatingError, match="no probabilities of tokens") as refused:
            run(server, tmp_path, pool(10), expected="require")
        assert "--repeats 3" in refused.value.hint
        assert server.requests - before <= 2 * 10
    with SureServer() as server:
        off = run(server, tmp_path, pool(10), expected="off", endpoint_label="b")
        assert all("logprobs" not in entry.params for entry in server.ledger)
        assert off.frame["expected"].null_count() == 10
        again = run(server, tmp_path, pool(10), expected="require", endpoint_label="b")
        assert server.requests == 20, "answers without probabilities are asked for again"
        assert again.frame["expected"].null_count() == 0


def test_repeats_give_a_mean_and_a_spread(tmp_path):
    answers = {}

    async def rater(messages, params):
        text = messages[1]["content"]
        answers[text] = answers.get(text, 1) + 1
        return Answer(said(answers[text]), input_tokens=10, output_tokens=10)

    options = {"journal_path": tmp_path / "j", "rater": rater, "temperature": 1.0}
    ratings = rate(pool(7), "mine", repeats=3, **options)
    frame = ratings.frame
    assert set(answers.values()) == {4} and len(answers) == 7
    assert frame["overall"].to_list() == [3.0] * 7
    assert frame["chances"].to_list() == [pytest.approx([0, 0, 1 / 3, 1 / 3, 1 / 3, 0])] * 7
    assert frame["expected_from"].unique().to_list() == ["repeats"]
    once = rate(pool(7), "mine", **options)
    assert set(answers.values()) == {4}, "the first of the repeats is the rating itself"
    assert once.frame["overall"].to_list() == [2.0] * 7
    with pytest.raises(ValueError, match="repeats = 2 at temperature 0"):
        rate(pool(7), "mine", journal_path=tmp_path / "j", repeats=2)


@pytest.mark.parametrize(("swayed", "uplift"), [(0, 0.0), (2, 2.0)])
def test_the_probe_measures_what_a_plea_brings(tmp_path, swayed, uplift):
    async def rater(messages, params):
        return Answer(said(2 + swayed * (PLEA in messages[1]["content"])))

    ratings = rate(pool(30), "mine", journal_path=tmp_path / "j", rater=rater, injection_probe=12)
    assert ratings.summary["injection_probe"] == {
        "samples": 12, "uplift": uplift, "uplift_error": 0.0, "raised": float(swayed > 0),
    }  # fmt: skip
    assert len(ratings.frame) == 30 and ratings.frame["overall"].to_list() == [2.0] * 30


def test_a_large_pool_is_planned_at_a_glance_and_rightly(monkeypatch):
    from ds2_fast.rating import plan_rating, sketch
    from ds2_fast.rating import run as running

    rng = np.random.default_rng(0)
    samples = [
        [("user", f"Question {i}?"), ("assistant", "word " * int(rng.lognormal(4, 1)))]
        for i in range(12_000)
    ]
    samples[7], samples[8] = samples[6], []
    quick = plan_rating(samples, "openai/gpt-4o-mini")
    assert 0 < quick.error < 0.02
    monkeypatch.setattr(running, "SKETCH_FROM", len(samples) + 1)
    whole = plan_rating(samples, "openai/gpt-4o-mini")
    exact = ("rows", "to_rate", "duplicates", "empty", "output_tokens", "stored")
    assert [getattr(quick, n) for n in exact] == [getattr(whole, n) for n in exact]
    monkeypatch.setattr(sketch, "COUNTED", len(samples))
    monkeypatch.setattr("ds2_fast.rating.tokens.COUNTED", len(samples))
    counted = plan_rating(samples, "openai/gpt-4o-mini").input_tokens
    assert abs(quick.input_tokens / counted - 1) < 2 * quick.error
    assert abs(whole.input_tokens / counted - 1) < 2 * whole.error
    assert whole.batch_cost == pytest.approx(whole.cost / 2)


def test_the_estimate_is_within_five_percent_of_real_usage(tmp_path):
    from ds2_fast.rating import plan_rating

    samples = [
        *pool(40),
        [("user", "def f(x):\n    return x ** 2  # ünï" * 60), ("assistant", "ok")],
    ]
    with SureServer() as server:
        prices = {"price_in": 0.15, "price_out": 0.6}
        plan = plan_rating(samples, MODEL, api_base=server.base, **prices)
        summary = run(server, tmp_path, samples, **prices).summary
    assert plan.input_tokens == pytest.approx(summary["tokens"]["input"], rel=0.05)
    assert plan.cost == pytest.approx(summary["cost"]["total"], rel=0.05)
    assert math.isclose(plan.error or 0.0, 0.0, abs_tol=1e-9), "all samples were counted"
