"""What the other commands make of runs of other strategies: they work, or say why not."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

import ds2_fast
from chromium import open_browser
from ds2_fast.cli import main
from ds2_fast.errors import PoolError, RunError, TrustError
from ds2_fast.progress import Narrator
from strategy_pools import ROWS, select_by, write_pool
from test_page import EVIL, Page, look


class Told(Narrator):
    """Keeps what it is told."""

    def __init__(self):
        self.warned, self.lines = [], []

    def warn(self, text):
        self.warned.append(text)

    def done(self, name, text):
        self.lines.append(text)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strategies")
    write_pool(folder)
    return folder


@pytest.fixture(scope="module")
def drawn(made):
    run = made / "drawn"
    result = select_by("deita", made, run, html=True, n=[20, 60])
    return run, result.report, Page((run / "report.html").read_text("utf-8"))


def test_the_page_tells_what_the_report_holds(drawn):
    _, report, page = drawn
    lengths = report["figures"]["length"]
    for told in (
        "Selected 20 and 60 of 400 samples by deita",
        "Complexity times quality, then a greedy filter",
        "Liu et al., ICLR 2024",
        "threshold 0.9",
        "scores (one column, or complexity and quality), embeddings",
        f"{report['selection']['candidates']:,}",
        f"{report['selection']['means']['strategy_score']['selected']:.4g}",
        f"score below the cut {report['selection']['reasons']['score below the cut']:,}",
        f"{report['selection']['reasons']['score at the cut, behind equal ones']:,}",
        f"{lengths['selected']['quarters'][1]:.0f} characters",
        f"of length and score is {lengths['pool']['spearman']:.2f} in the pool",
        "By source",
        "By length in characters",
        "given: ",
    ):
        assert told in page.text, told
    examples = report["figures"]["examples"]
    assert len(examples["selected"]) == len(examples["missed"]) == 20
    assert page.tags.count("article") == 40
    assert page.tags.count("svg") == 1
    assert "Transition" not in page.text
    assert [link for link in page.links if not link.startswith(("data:", "#"))] == []
    assert len(page.ids) == len(set(page.ids))


def test_the_examples_are_the_best_that_were_left(drawn):
    run, report, _ = drawn
    sheet = pl.read_parquet(run / "scores.parquet")
    left = sheet.filter(~pl.col("ds2_selected")).sort(
        "ds2_strategy_score", "ds2_index", descending=[True, False]
    )
    assert report["figures"]["examples"]["missed"] == left["ds2_index"][:20].to_list()


def test_the_page_is_drawn_again_the_same_and_without_features_has_no_map(made, drawn, tmp_path):
    run, _, _ = drawn
    again = tmp_path / "again.html"
    assert main(["report", str(run), "--html", str(again)]) == 0
    assert again.read_bytes() == (run / "report.html").read_bytes()
    result = select_by("random", made, tmp_path / "run", html=True)
    page = Page((tmp_path / "run" / "report.html").read_text("utf-8"))
    assert result.report["figures"]["map"] is None
    assert page.tags.count("svg") == 0
    assert "map" not in page.ids


def test_a_curated_page_has_the_trust_check(made, tmp_path):
    result = select_by("deita", made, tmp_path, curate=True, html=True)
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert f"Trust check {result.report['trust']['verdict']}" in page.text
    assert result.trust.verdict == result.report["trust"]["verdict"]


def test_a_browser_shows_the_page_and_nothing_of_the_pool_runs(made, drawn, tmp_path):
    frame = pl.read_parquet(made / "pool.parquet").with_columns(
        instruction=pl.lit(EVIL) + pl.col("instruction"), source=pl.lit(EVIL) + pl.col("source")
    )
    frame.write_parquet(tmp_path / "pool.parquet")
    select_by("deita", tmp_path, tmp_path / "evil", embeddings=made / "rows.npy", html=True)
    evil = tmp_path / "evil" / "report.html"
    assert "window.hacked=1</script>" not in evil.read_text("utf-8")
    with open_browser() as browser:
        look(browser, drawn[0] / "report.html", tmp_path, "strategy", (390, 1280))
        look(browser, evil, tmp_path, "evil", (390,))


def test_the_report_is_printed(drawn, capsys):
    run, report, _ = drawn
    assert main(["report", str(run)]) == 0
    out, _ = capsys.readouterr()
    assert "Selected 20 and 60 of 400 samples by deita" in out
    assert "report.html: all of this and more" in out
    assert main(["report", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == report


def test_neighbors_are_found_where_there_are_features(made, drawn, tmp_path, capsys):
    found = ds2_fast.PoolIndex.open(drawn[0]).search(row=3, k=2)
    assert found.rows.shape == (1, 2)
    select_by("longest", made, tmp_path / "run")
    assert main(["neighbors", str(tmp_path / "run"), "--row", "3"]) == 1
    err = capsys.readouterr().err
    assert "has no features: its strategy `longest` did not look at any" in err
    assert "ds2-fast embed POOL --run-dir" in err


def test_rerating_is_refused_in_a_sentence(drawn):
    with pytest.raises(RunError, match="selected by the strategy `deita`") as caught:
        ds2_fast.rerate(drawn[0], "openai/other", 10)
    assert "--strategy ds2" in caught.value.hint


def test_an_audit_is_of_the_scores_of_the_pool(made, drawn, tmp_path):
    file = tmp_path / "audit.csv"
    found = ds2_fast.sample_audit(drawn[0], 60, output=file)
    assert (len(found.rows), found.near_cut) == (60, 0)
    rating = pl.read_parquet(made / "pool.parquet")["rating"]
    sheet = pl.read_csv(file)
    sheet.with_columns(score=rating[found.rows.tolist()]).write_csv(file)
    checked = ds2_fast.check_audit(file, drawn[0])
    assert (checked["scored"], checked["enough"], checked["equal"]) == (60, True, 1.0)


def test_curated_scores_are_on_the_scale_of_the_ratings(made, tmp_path):
    frame = pl.read_parquet(made / "pool.parquet")
    # 1-10, of which DS2 makes six classes.
    frame = frame.with_columns(rating=pl.col("rating") * 2 - (pl.col("rating") > 0).cast(int) + 1)
    frame.write_parquet(tmp_path / "pool.parquet")
    options = {"scale": "1-10", "space": "lexical", "embeddings": None, "n": 60}
    plain = select_by("column", tmp_path, tmp_path / "plain", **options)
    for name in ("alpagasus", "deita", "column", "column+kcenter"):
        given = {"threshold": 8.0} if name == "alpagasus" else {}
        result = select_by(
            name, tmp_path, tmp_path / name, curate=True, strategy_options=given,
            noise_share=1.0, **options,
        )  # fmt: skip
        scores = result.scores["ds2_strategy_score"].drop_nulls().to_numpy()
        assert scores.min() >= 1
        assert scores.max() <= 10
        assert len(np.unique(scores)) > 10, "expected scores, not classes"
        assert not np.isin(scores, frame["rating"]).all()
        assert result.report["strategy"]["curated"]
    curated = ds2_fast.select(
        tmp_path / "pool.parquet", 60, score_col="rating", scale="1-10", space="lexical",
        noise_share=1.0, run_dir=tmp_path / "ds2",
    )  # fmt: skip
    order = curated.scores["ds2_score_expected"].arg_sort().to_numpy()
    assert (np.diff(scores[order]) >= 0).all(), "the order of the expected scores of DS2"
    assert abs(scores.mean() - frame["rating"].mean()) < 1
    assert plain.scores["ds2_strategy_score"].to_list() == frame["rating"].to_list()


def test_strict_stops_where_neighbors_know_nothing(made, tmp_path):
    rng = np.random.default_rng(0)
    frame = pl.read_parquet(made / "pool.parquet")
    frame.with_columns(rating=pl.Series(rng.integers(0, 6, ROWS))).write_parquet(
        tmp_path / "pool.parquet"
    )
    np.save(tmp_path / "rows.npy", rng.standard_normal((ROWS, 16)).astype(np.float32))
    for name in ("alpagasus", "deita", "ds2+mmr"):
        given = {"threshold": 3.0} if name == "alpagasus" else {}
        options = {"strategy_options": given, "curate": name != "ds2+mmr"}
        with pytest.raises(TrustError, match="the trust check says not to curate"):
            select_by(name, tmp_path, tmp_path / name, strict=True, **options)
        assert select_by(name, tmp_path, tmp_path / name, **options).trust is not None


def test_subsets_are_written_as_those_of_ds2(made, tmp_path):
    result = select_by(
        "deita", made, tmp_path / "run", n=[10, 30], output=f"{tmp_path}/set/",
        add_columns=True, to="messages",
    )  # fmt: skip
    assert [file.name for file in result.files] == ["set-10", "set-30"]
    for size, folder in zip((10, 30), result.files, strict=True):
        (data,) = (folder / "data").glob("*.parquet")
        frame = pl.read_parquet(data)
        assert frame["ds2_index"].to_list() == result.indices[:size].tolist()
        assert {"messages", "ds2_strategy_score", "ds2_reason"} <= set(frame.columns)
        card = (folder / "README.md").read_text("utf-8")
        assert f"{size:,} of the 400 instruction samples" in card
        assert "selection strategy `deita`" in card
        assert "| strategy | deita |" in card
        assert "| deita.threshold | 0.9 |" in card
        assert "{" not in card
        assert "\n\n## Columns\n" in card


def test_sizes_that_are_not_reached_are_written_with_what_there_is(made, tmp_path):
    told = Told()
    # All rows are one of three points: three samples are left.
    np.save(tmp_path / "rows.npy", np.eye(4, dtype=np.float32)[np.arange(ROWS) % 3])
    result = select_by(
        "deita", made, tmp_path / "run", n=[2, 5, 9], embeddings=tmp_path / "rows.npy",
        output=tmp_path / "set.jsonl", card=tmp_path / "card.md", narrator=told,
    )  # fmt: skip
    assert result.report["selection"]["sizes"] == [2, 3]
    found = {file.name: len(pl.read_ndjson(file)) for file in result.files}
    assert found == {"set-2.jsonl": 2, "set-5.jsonl": 3, "set-9.jsonl": 3}
    assert any("3 samples are selected, not 9" in line for line in told.warned)
    named = [line for line in told.warned if "is named for" in line]
    assert [line.partition(" is named ")[2] for line in named] == [
        "for 5 samples, and holds the 3 there are",
        "for 9 samples, and holds the 3 there are",
    ]
    assert sorted(file.name for file in tmp_path.glob("card*")) == [
        "card-2.md", "card-5.md", "card-9.md",
    ]  # fmt: skip
    assert "3 of the 400 instruction samples" in (tmp_path / "card-9.md").read_text("utf-8")


@pytest.mark.parametrize("strategy", ["deita", "longest"])
def test_an_atlas_is_written_with_features_made_for_it(made, tmp_path, strategy):
    result = select_by(strategy, made, tmp_path / "run", atlas=tmp_path / "atlas.parquet")
    atlas = pl.read_parquet(tmp_path / "atlas.parquet")
    assert len(atlas) == ROWS
    assert {"projection_x", "neighbors", "ds2_strategy_score", "ds2_selected"} <= set(atlas.columns)
    assert result.report["settings"]["space"] == "given"
    assert atlas["neighbors"].struct.field("ids").list.len().unique().to_list() == [10]
    assert ds2_fast.verify_run(tmp_path / "run", deep=True).repeated[-1] == "selection"


def test_a_plan_says_what_a_strategy_needs(made, tmp_path, capsys):
    pool = str(made / "pool.parquet")
    plan = ds2_fast.plan_run(pool, 30, strategy="longest", run_dir=tmp_path)
    assert [step.name for step in plan.steps] == ["pool", "selection", "report"]
    assert plan.notes == ("`longest` needs texts",)
    rows = str(made / "rows.npy")
    plan = ds2_fast.plan_run(
        pool, 30, strategy="longest+facility", embeddings=rows, run_dir=tmp_path
    )
    assert [step.name for step in plan.steps] == ["pool", "neighbors", "selection", "report"]
    plan = ds2_fast.plan_run(
        pool, 30, strategy="deita", curate=True, embeddings=rows, score_col="rating",
        run_dir=tmp_path,
    )  # fmt: skip
    assert [step.name for step in plan.steps][1:4] == ["neighbors", "curation", "selection"]
    select_by("facility", made, tmp_path / "run")
    plan = ds2_fast.plan_run(
        pool, 30, strategy="facility", embeddings=rows, run_dir=tmp_path / "run"
    )
    assert [step.action for step in plan.steps] == ["read", "reuse", "compute", "compute"]
    with pytest.raises(PoolError, match="`--dedup` belongs to the strategy `ds2`"):
        ds2_fast.plan_run(pool, 30, strategy="deita", dedup=0.9)
    common = [pool, "-n", "30", "--strategy", "deita", "--threshold", "0.5", "--embeddings", rows]
    for command in (["plan", *common], ["select", *common, "--dry-run"]):
        assert main(command) == 0
        out = capsys.readouterr().out
        assert "`deita` needs scores" in out
        assert "and what the strategy takes" in out
    assert not (made / "pool.ds2").exists()


def test_a_strategy_that_ranks_nothing_tells_no_mean_score(made, tmp_path, capsys):
    for strategy, said in (("kcenter", False), ("longest+kcenter", True)):
        run = tmp_path / strategy
        means = select_by(strategy, made, run, html=True).report["selection"]["means"]
        assert (means["strategy_score"]["selected"] is not None) is said
        assert main(["report", str(run)]) == 0
        assert ("mean score" in capsys.readouterr().out) is said
        assert ("mean score" in (run / "report.html").read_text("utf-8")) is said
