"""A budget in the line: with a rating server, with a column replayed, killed, and in print."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import polars as pl
import pytest
from click.testing import CliRunner

import ds2_fast
from ds2_fast.cli.rate import rate as rate_command
from ds2_fast.cli.select import select as select_command
from ds2_fast.errors import BudgetReachedError, PoolError, RatingError
from ds2_fast.progress import Narrator
from ds2_fast.rating.transport import Answer
from rating_server import RatingServer

ROWS = 900


class Told(Narrator):
    """Remembers what was said."""

    def __init__(self):
        self.lines, self.notes, self.warnings = {}, [], []

    def done(self, name, text):
        self.lines[name] = text

    def note(self, text):
        self.notes.append(text)

    def warn(self, text):
        self.warnings.append(text)


def made(seed=0):
    """Samples, features, and scores that the length of the answer and one direction decide."""
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((ROWS, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    words = rng.integers(1, 60, ROWS)
    worth = np.log(words) + 3 * rows[:, 0] + 0.3 * rng.standard_normal(ROWS)
    scores = np.clip(np.round(worth - 1), 0, 5).astype(np.int8)
    pool = [
        {"instruction": f"question {i}", "input": "", "output": " ".join(["word"] * count)}
        for i, count in enumerate(words)
    ]
    return pool, rows, scores


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The pool and its features in files, in the working directory."""
    monkeypatch.chdir(tmp_path)
    pool, rows, scores = made()
    (tmp_path / "pool.jsonl").write_text("\n".join(map(json.dumps, pool)))
    scored = [{**sample, "rating": int(score)} for sample, score in zip(pool, scores, strict=True)]
    (tmp_path / "scored.jsonl").write_text("\n".join(map(json.dumps, scored)))
    np.save(tmp_path / "rows.npy", rows)
    return tmp_path


def teller(scores, asked=None, price=None, stop_after=None):
    """A rater that gives the samples of `made` their scores."""
    asked = [] if asked is None else asked

    async def tell(messages, params):
        number = int(messages[-1]["content"].split("question ")[1].split()[0])
        asked.append(number)
        if stop_after is not None and len(asked) > stop_after:
            raise RuntimeError("the power is gone")
        said = dict.fromkeys(("Rarity", "Complexity", "Informativeness", "Overall rating"), 3)
        said["Overall rating"] = int(scores[number])
        return Answer(json.dumps(said), input_tokens=price, output_tokens=0)

    return tell


def rate(folder, scores, asked, budget=300, **settings):
    told = settings.pop("narrator", Told())
    options = {"rater": settings.pop("rater", teller(scores, asked))}
    return ds2_fast.rate(
        "pool.jsonl",
        "mine/m",
        embeddings="rows.npy",
        run_dir=folder,
        rating_options={**options, **settings.pop("rating_options", {})},
        budget=budget,
        narrator=told,
        **settings,
    )


def test_the_provider_sees_no_more_than_the_budget(files):
    with RatingServer() as server:
        options = ("--model", "openai/m", "--api-base", server.base, "--embeddings", "rows.npy")
        result = CliRunner().invoke(
            rate_command,
            ["pool.jsonl", *options, "--budget", "30%", "-n", "60", "-o", "rated.parquet"],
        )
        assert result.exit_code == 0, result.output
        assert server.requests == 270
        # The ratings of this server are noise.
        assert "the check of the budget fails" in result.stderr
        assert "rate all: $0.00 for 630 more samples" in result.stderr
        again = CliRunner().invoke(
            select_command,
            ["pool.jsonl", *options, "--budget", "30%", "-n", "60", "-o", "best.jsonl"],
        )
        assert again.exit_code == 0, again.output
        assert server.requests == 270, "what rate bought, select does not buy again"
    frame = pl.read_parquet("rated.parquet")
    assert frame["rating_source"].value_counts().sort("rating_source").rows() == [
        ("predicted", 630),
        ("rated", 270),
    ]
    assert len((files / "best.jsonl").read_text().splitlines()) == 60


def test_predicted_rows_carry_a_distribution_and_no_score(files):
    _, _, scores = made()
    asked = []
    frame = rate(files / "run", scores, asked).frame
    assert sorted(asked) == np.flatnonzero(frame["rating_source"] == "rated").tolist()
    rated = frame.filter(pl.col("rating_source") == "rated")
    predicted = frame.filter(pl.col("rating_source") == "predicted")
    assert rated["score"].to_list() == scores[sorted(asked)].tolist()
    assert rated["rating_p"].null_count() == len(rated) == 300
    for column in ("score", "overall", "rarity"):
        assert predicted[column].null_count() == len(predicted) == 600
    assert predicted["status"].unique().to_list() == ["predicted"]
    shares = np.array(predicted["rating_p"].to_list())
    assert shares.shape == (600, 6) and np.allclose(shares.sum(axis=1), 1, atol=1e-5)
    real = scores[np.flatnonzero(frame["rating_source"] == "predicted")]
    assert np.corrcoef(shares @ np.arange(6), real)[0, 1] > 0.6


def test_selected_rows_are_rated_and_predictions_do_not_reach_the_fit(files):
    result = ds2_fast.select(
        "scored.jsonl", 50, score_col="rating", embeddings="rows.npy", budget=300, run_dir="run"
    )
    _, _, scores = made()
    sheet = result.scores
    assert sheet.filter("ds2_selected")["ds2_rating_source"].unique().to_list() == ["rated"]
    known = sheet["ds2_rating_source"] == "rated"
    assert known.sum() == 300
    for column in ("ds2_score", "ds2_score_raw", "ds2_score_curated", "ds2_rank"):
        assert sheet.filter(~known)[column].null_count() == 600
    assert sheet.filter(known)["ds2_score"].to_list() == scores[known.to_numpy()].tolist()
    masked = np.where(known.to_numpy(), scores, np.int8(-1))
    alone = ds2_fast.fit_transition(
        masked,
        ds2_fast.find_neighbors(np.load("rows.npy"), 50),
        num_classes=result.transition.num_classes,
    )
    assert np.array_equal(alone.T, result.transition.T)
    assert result.report["selection"]["budget"]["asked"] == 300
    top = np.sort(scores)[::-1][:50].mean()
    reached = (scores[result.indices].mean() - scores.mean()) / (top - scores.mean())
    assert reached > 0.9


def test_only_the_scores_of_the_budget_are_looked_at(files):
    first = ds2_fast.select(
        "scored.jsonl", 50, score_col="rating", embeddings="rows.npy", budget=300, run_dir="a"
    )
    hidden = (first.scores["ds2_rating_source"] == "predicted").to_numpy()
    rows = [json.loads(line) for line in (files / "scored.jsonl").read_text().splitlines()]
    for row, hide in zip(rows, hidden, strict=True):
        # Any other score in the range: nobody may notice.
        row["rating"] = 5 - row["rating"] if hide else row["rating"]
    (files / "other.jsonl").write_text("\n".join(map(json.dumps, rows)))
    second = ds2_fast.select(
        "other.jsonl", 50, score_col="rating", embeddings="rows.npy", budget=300, run_dir="b"
    )
    assert second.indices.tolist() == first.indices.tolist()
    assert second.scores.equals(first.scores)


def test_an_interrupted_run_asks_on_and_ends_the_same(files):
    _, _, scores = made()
    straight, broken = [], []
    expected = rate(files / "straight", scores, straight).frame
    for stop_after in (30, 140, 260):
        with pytest.raises(RuntimeError, match="the power is gone"):
            rate(
                files / "broken",
                scores,
                broken,
                rater=teller(scores, broken, stop_after=stop_after),
                rating_options={"max_concurrency": 1},
            )
    found = rate(files / "broken", scores, broken).frame
    assert found.equals(expected)
    answered = set(broken)
    assert answered == set(straight), "not one sample more"
    assert len(broken) <= 300 + 3, "an answer that was stored is not bought again"


CHILD = """
import sys, ds2_fast
ds2_fast.rate("pool.jsonl", "openai/m", embeddings="rows.npy", run_dir="run", budget=300,
              rating_options={"api_base": sys.argv[1], "max_concurrency": 4})
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_killed_run_asks_for_the_same_samples(files):
    with RatingServer() as server:
        settings = {"api_base": server.base}
        expected = ds2_fast.rate(
            "pool.jsonl",
            "openai/m",
            embeddings="rows.npy",
            run_dir="straight",
            budget=300,
            rating_options=settings,
        ).frame
        wanted = {entry.key for entry in server.ledger}
        assert len(server.ledger) == len(wanted) == 300
    with RatingServer(latency=0.02, port=server.port) as server:
        for part in (60, 170):
            child = subprocess.Popen([sys.executable, "-c", CHILD, server.base])
            end = time.monotonic() + 60
            while len(server.ledger) < part:
                assert time.monotonic() < end and child.poll() is None
                time.sleep(0.005)
            child.send_signal(signal.SIGKILL)
            child.wait()
        found = ds2_fast.rate(
            "pool.jsonl",
            "openai/m",
            embeddings="rows.npy",
            run_dir="run",
            budget=300,
            rating_options={"api_base": server.base},
        ).frame
        assert {entry.key for entry in server.ledger} == wanted
        assert len(server.ledger) <= 300 + 2 * 4, "in flight at a kill: at most the concurrency"
    assert found.equals(expected)


def test_dollars_are_not_exceeded_and_end_a_run_well(files):
    _, _, scores = made()
    asked = []
    dollars = {"price_in": 1000.0, "price_out": 0.0, "max_tokens": 1}
    told = Told()
    ratings = rate(
        files / "run",
        scores,
        asked,
        budget="$150",
        rater=teller(scores, asked, price=400),
        rating_options=dollars,
        narrator=told,
    )
    cost = ratings.summary["cost"]["total"]
    assert cost == pytest.approx(0.4 * len(asked))
    # A request goes out if its worst case, every byte a token, fits: under $3 of them.
    assert 150 - 3 < cost <= 150
    assert (ratings.frame["rating_source"] == "rated").sum() == len(asked)
    again = rate(files / "run", scores, asked, budget="$150", rating_options=dollars)
    assert again.frame.equals(ratings.frame)


def test_a_cap_below_the_budget_stops_as_ever(files):
    _, _, scores = made()
    options = {"price_in": 1000.0, "price_out": 0.0, "max_tokens": 1, "max_cost": 60.0}
    rater = teller(scores, price=400)
    with pytest.raises(BudgetReachedError, match="`--max-cost` is reached"):
        rate(files / "run", scores, [], rater=rater, rating_options=options)


def test_what_a_budget_cannot_be(files):
    _, _, scores = made()
    with pytest.raises(RatingError, match=r"the price of `mine/m` is unknown, so a budget of \$3"):
        rate(files / "a", scores, [], budget="$3")
    with pytest.raises(PoolError, match="buys about 0 ratings, too few"):
        prices = {"price_in": 1000.0, "price_out": 0.0}
        rate(files / "b", scores, [], budget="$0.01", rating_options=prices)
    with pytest.raises(PoolError, match="cannot select 400 samples of the 300"):
        rate(files / "c", scores, [], n=400)
    with pytest.raises(PoolError, match="`--limit` takes the first samples"):
        rate(files / "d", scores, [], rating_options={"limit": 5})
    with pytest.raises(PoolError, match="a budget in dollars needs a rater"):
        ds2_fast.select(
            "scored.jsonl", 50, score_col="rating", embeddings="rows.npy", budget="$3", run_dir="e"
        )
    with pytest.raises(RatingError, match="`--offline` opens no socket"):
        rate(files / "f", scores, [], offline=True)


def test_equal_samples_are_bought_once_and_empty_ones_never(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pool, rows, scores = made()
    pool += [dict(pool[7]), {"instruction": "", "input": "", "output": ""}]
    rows = np.concatenate([rows, rows[[7]], rows[[0]]])
    (tmp_path / "pool.jsonl").write_text("\n".join(map(json.dumps, pool)))
    np.save("rows.npy", rows)
    asked = []
    told = Told()
    frame = rate(tmp_path / "run", scores, asked, budget=890, narrator=told, n=850).frame
    assert len(asked) == len(set(asked)) <= 890
    assert "of 900 samples" in told.lines["budget"]
    first, copy = frame[7], frame[ROWS]
    assert first.equals(copy)
    assert frame[ROWS + 1].select("score", "rating_source", "rating_p").row(0) == (None,) * 3
    assert frame["status"][ROWS + 1] == "empty_sample"


def test_the_price_is_told_and_asked_about(files):
    dear = ["--model", "nobody/m", "--price-in", "1000", "--price-out", "1000"]
    budget = ["--budget", "300", "--embeddings", "rows.npy"]
    plan = CliRunner().invoke(rate_command, ["pool.jsonl", *dear, *budget, "--dry-run"])
    assert plan.exit_code == 0, plan.output
    assert "budget   nobody/m: 300 of 900 samples, about $" in plan.stdout
    refused = CliRunner().invoke(rate_command, ["pool.jsonl", *dear, *budget])
    assert refused.exit_code == 2, refused.output
    assert "this would spend about $" in refused.output and "--yes or --max-cost" in refused.output
    unknown = CliRunner().invoke(
        select_command, ["pool.jsonl", "--model", "nobody/m", *budget, "-n", "50"]
    )
    assert unknown.exit_code == 2 and "an unknown sum" in unknown.output
