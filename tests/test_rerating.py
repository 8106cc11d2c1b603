"""A stronger rater where it can change a selection: whom it is asked about, and what it brings."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ds2_fast
from ds2_fast.cli import main
from ds2_fast.errors import RatingError, RunError
from ds2_fast.rating.transport import Answer
from ds2_fast.rerate_line import Budget, describe, rerate
from ds2_fast.rerating import find_gain, pick_rows, weigh

POOL = Path(__file__).parent.parent / "examples" / "sample_pool.parquet"
N = 200


def beliefs(count: int, seed: int, classes: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(classes, 0.5), count)


# -- the numbers -----------------------------------------------------------------------------


@given(st.integers(0, 1000), st.floats(0, 5))
def test_gain_is_the_expected_improvement(seed, cut):
    posteriors = beliefs(20, seed)
    selected = np.arange(20) % 2 == 0
    for row, gain in enumerate(find_gain(posteriors, selected, cut)):
        ways = [max(0, cut - y) if selected[row] else max(0, y - cut) for y in range(6)]
        assert gain == pytest.approx(sum(posteriors[row] * ways))


def test_who_cannot_move_is_not_asked():
    sure = np.eye(6)[[5, 0, 4, 3]]
    doubtful = np.array([[0, 0, 0, 0.5, 0, 0.5]] * 2)
    selected = np.array([True, False, True, False, True, False])
    gain = find_gain(np.vstack([sure, doubtful]), selected, 4.0)
    assert gain.tolist() == [0, 0, 0, 0, 0.5, 0.5]
    assert pick_rows(gain, 10).tolist() == [4, 5]
    assert pick_rows(gain, 1).tolist() == [4]


def test_T_of_a_known_rater_is_found():
    rng = np.random.default_rng(1)
    T = np.array([[0.8, 0.15, 0.05], [0.1, 0.7, 0.2], [0.02, 0.08, 0.9]])
    posteriors = beliefs(20_000, 2, 3)
    truth = (posteriors.cumsum(1) > rng.random((20_000, 1))).argmax(1)
    ratings = (T[truth].cumsum(1) > rng.random((20_000, 1))).argmax(1).astype(np.int8)
    verdict = weigh(posteriors, ratings)
    assert np.abs(verdict.T - T).max() < 0.02
    assert verdict.posteriors.sum(1) == pytest.approx(1)
    before = np.abs(posteriors @ np.arange(3) - truth).mean()
    assert np.abs(verdict.expected - truth).mean() < 0.6 * before


def test_a_rater_of_few_ratings_is_mostly_believed():
    verdict = weigh(np.array([[0.5, 0.0, 0.0, 0.5]]), np.array([3], np.int8))
    assert verdict.expected[0] > 2.5
    assert weigh(np.empty((0, 3)), np.empty(0, np.int8)).T.shape == (3, 3)
    with pytest.raises(ValueError, match="classes 0 to 2"):
        weigh(beliefs(1, 0, 3), np.array([3], np.int8))
    with pytest.raises(ValueError, match="expected shape"):
        weigh(beliefs(2, 0, 3), np.array([1], np.int8))


# -- the line --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A selection from the sample pool, whose true scores are known."""
    folder = tmp_path_factory.mktemp("rerate")
    ds2_fast.select(POOL, N, score_col="rating", space="lexical", run_dir=folder / "run")
    return folder / "run"


@pytest.fixture
def run(finished, tmp_path):
    import shutil

    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


FRAME = pl.read_parquet(POOL)
TRUTH = FRAME["truth"].to_numpy()
BEST = np.sort(TRUTH)[-N:].mean()


def true_rater(seen: list[int] | None = None, wrong: float = 0.0):
    """Knows the truth by the sample's words, and is off by one with probability `wrong`."""
    rows = {}
    for row, (question, output) in enumerate(FRAME.select("instruction", "output").iter_rows()):
        rows.setdefault((question.strip(), output.strip()), row)
    rng = np.random.default_rng(3)

    async def rater(messages, params):
        text = messages[1]["content"]
        row = next(row for (q, o), row in rows.items() if q in text and o in text)
        if seen is not None:
            seen.append(row)
        overall = int(np.clip(TRUTH[row] + (rng.random() < wrong) * rng.choice([-1, 1]), 0, 5))
        said = {"Rarity": 1, "Complexity": 1, "Informativeness": 1, "Overall rating": overall}
        return Answer(json.dumps(said), input_tokens=500, output_tokens=30)

    return rater


def test_a_rater_that_knows_lifts_the_truth_of_the_selection(run, tmp_path):
    seen: list[int] = []
    before = pl.read_parquet(run / "scores.parquet").filter("ds2_selected")["ds2_index"].to_numpy()
    options = {"rater": true_rater(seen), "price_in": 1.0, "price_out": 1.0}
    output = tmp_path / "better.parquet"
    found = rerate(run, "mine", Budget(300), output=output, rating_options=options)
    report = found.report
    assert report["rated"] == len(found.rows) == 300 and len(seen) <= 300
    assert report["cost"] == pytest.approx(len(seen) * 530e-6)
    gained = TRUTH[found.chosen].mean() - TRUTH[before].mean()
    assert gained > 0.7 * (BEST - TRUTH[before].mean()), "an eighth of the pool is rated again"
    assert report["replaced"] == len(np.setdiff1d(found.chosen, before)) > 20
    assert found.verdict.T.argmax(axis=1).tolist() == [0, 1, 2, 3, 4, 5], "it is mostly right"
    assert pl.read_parquet(output)["id"].to_list() == FRAME[found.chosen]["id"].to_list()
    sheet = pl.read_parquet(run / "rerated.parquet")
    assert sheet["ds2_score_rerated"].to_list() == TRUTH[found.rows].tolist()
    assert json.loads((run / "rerated.json").read_text()) == report
    text = describe(report)
    assert "replaced (" in text and "per dollar" in text and "T of mine" in text
    again = rerate(run, "mine", Budget(300), rating_options=options)
    assert len(seen) <= 300 and again.chosen.tolist() == found.chosen.tolist()
    assert again.report["cost"] == 0


def test_asking_where_it_matters_beats_asking_anybody(run):
    asked = 100
    guided = rerate(run, "mine", Budget(asked), rating_options={"rater": true_rater(wrong=0.1)})
    scores = pl.read_parquet(run / "scores.parquet")
    expected = scores["ds2_score_expected"].to_numpy().copy()
    anybody = np.random.default_rng(0).choice(len(expected), asked, replace=False)
    expected[anybody] = TRUTH[anybody]
    curated = scores["ds2_score_curated"].to_numpy().astype(np.int8)
    tail = scores["ds2_long_tail"].to_numpy()
    random = ds2_fast.rank_samples(curated, expected, tail).order[:N]
    before = TRUTH[scores.filter("ds2_selected")["ds2_index"].to_numpy()].mean()
    gains = [(TRUTH[rows].mean() - before) / (BEST - before) for rows in (guided.chosen, random)]
    assert gains[0] > 0.3 > gains[1], "shares of the gain that is to be had"


def test_money_ends_it_and_what_was_bought_counts(run):
    options = {"rater": true_rater(), "price_in": 100.0, "price_out": 100.0, "max_concurrency": 1}
    found = rerate(run, "mine", Budget(dollars=5.0), rating_options=options)
    assert found.report["stopped_by_budget"]
    assert 0 < found.report["cost"] <= 5.0
    assert found.report["rated"] == round(found.report["cost"] / 0.053)
    assert found.report["asked"] > found.report["rated"]


def test_raters_that_disagree_are_asked_about_first(run):
    from ds2_fast.rating import rate

    before = rerate(run, "mine", Budget(20), rating_options={"rater": true_rater()})
    pool = ds2_fast.read_pool(str(POOL))
    sheet = pl.read_parquet(run / "scores.parquet")
    calm = sheet.filter(pl.col("ds2_selected") & (pl.col("ds2_score_expected") > 4.9))["ds2_index"]
    row = next(int(r) for r in calm if r not in set(before.rows.tolist()))

    async def grumbler(messages, params):
        return Answer('{"Rarity":0,"Complexity":0,"Informativeness":0,"Overall rating":0}')

    only = [turn if i == row else [] for i, turn in enumerate(pool.conversations())]
    rate(only, "other", journal_path=run / "ratings.jsonl", rater=grumbler, max_null=1.0)
    after = rerate(run, "mine", Budget(20), rating_options={"rater": true_rater()})
    assert row in after.rows


def test_a_panel_of_raters_is_rerated_too(tmp_path):
    noise = np.random.default_rng(5).choice([-1, 0, 0, 0, 1], len(TRUTH))
    second = pl.Series("second", np.clip(TRUTH + noise, 0, 5).astype(np.int8))
    FRAME.with_columns(second).write_parquet(tmp_path / "pool.parquet")
    run, columns = tmp_path / "run", ["rating", "second"]
    ds2_fast.select(tmp_path / "pool.parquet", N, score_col=columns, space="lexical", run_dir=run)
    before = pl.read_parquet(run / "scores.parquet").filter("ds2_selected")["ds2_index"].to_numpy()
    found = rerate(run, "mine", Budget(100), rating_options={"rater": true_rater()})
    assert TRUTH[found.chosen].mean() > TRUTH[before].mean()


def test_what_cannot_be_rerated_says_why(run, tmp_path):
    with pytest.raises(RatingError, match="has 3 classes, the run has 6"):
        prompt = tmp_path / "p.toml"
        prompt.write_text('name="x"\nuser="{sample}"\noverall="Sum"\nscale=[1,3]\n')
        rerate(run, "mine", Budget(5), rating_options={"prompt": str(prompt)})
    report = json.loads((run / "report.json").read_text())
    report["settings"]["preset"] = "paper"
    (run / "report.json").write_text(json.dumps(report))
    with pytest.raises(RunError, match="the preset `paper` does not rank by expected scores"):
        rerate(run, "mine", Budget(5))


def test_the_command_plans_and_refuses(run, capsys):
    model = ["--model", "openai/gpt-4o", "--budget"]
    assert main(["rerate", str(run), *model, "50", "--dry-run"]) == 0
    plan = capsys.readouterr().out
    assert re.search(r"50 rows, 50 to rate", plan) and "about $0." in plan
    for budget in ("0", "many", "-1usd"):
        assert main(["rerate", str(run), *model, budget]) == 2
        assert "is no budget" in capsys.readouterr().err
    assert main(["rerate", str(run), *model, "2usd", "--max-cost", "1"]) == 2
    assert main(["rerate", str(run / "nowhere"), *model, "5"]) == 1
