"""Two runs of one pool, compared."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import ds2_fast
from ds2_fast.cli import main
from ds2_fast.errors import RunError

POOL = Path(__file__).parent.parent / "examples" / "sample_pool.parquet"
OPTIONS = {"score_col": "rating", "space": "lexical", "html": False}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Run A believes few ratings, run B all of them and selects more."""
    folder = tmp_path_factory.mktemp("runs")
    frame = pl.read_parquet(POOL).head(800)
    frame = frame.with_columns(source=pl.col("topic").str.split("/").list.first())
    frame.write_parquet(folder / "pool.parquet")
    a = ds2_fast.select(
        folder / "pool.parquet", 80, run_dir=folder / "a", noise_share=0.9, **OPTIONS
    )
    b = ds2_fast.select(
        folder / "pool.parquet", 120, run_dir=folder / "b", noise_share=0.0, k=5, **OPTIONS
    )
    return folder, a, b


def test_every_selected_row_is_in_both_or_one(runs):
    folder, a, b = runs
    found = ds2_fast.compare_runs(folder / "a", folder / "b")
    first, second = set(a.indices.tolist()), set(b.indices.tolist())
    assert found.selected == (80, 120)
    assert found.both == len(first & second)
    assert found.jaccard == len(first & second) / len(first | second)
    assert sum(found.out.values()) == len(first - second)
    assert sum(found.into.values()) == len(second - first)
    reasons = b.scores["ds2_reason"].to_list()
    assert found.out == {
        reason: sum(reasons[row] == reason for row in first - second) for reason in found.out
    }
    assert "selected" not in found.out
    for rows, own, other in (
        (found.out_rows, a, first - second),
        (found.into_rows, b, second - first),
    ):
        listed = [each["row"] for each in rows]
        assert listed == [row for row in own.indices.tolist() if row in other][:20]
    one = found.out_rows[0]
    assert one["score_expected"] == tuple(
        run.scores["ds2_score_expected"][one["row"]] for run in (a, b)
    )


def test_scores_settings_and_matrices_are_compared(runs):
    folder, a, b = runs
    found = ds2_fast.compare_runs(folder / "a", folder / "b")
    assert found.settings == {"n": ([80], [120]), "noise_share": (0.9, 0.0), "k": (10, 5)}
    shift = (b.scores["ds2_score_expected"] - a.scores["ds2_score_expected"]).to_numpy()
    assert found.scores["mean_shift"] == pytest.approx(shift.mean())
    assert abs(found.scores["largest_shift"]) == np.abs(shift).max()
    assert found.scores["rated_differently"] == 0
    changed = a.scores["ds2_score_curated"] != b.scores["ds2_score_curated"]
    assert found.scores["curated_differently"] == changed.sum() > 0
    assert np.allclose(found.transition["T"], b.transition.T - a.transition.T)
    assert found.transition["largest"] == np.abs(b.transition.T - a.transition.T).max()
    assert found.transition["noise_share"] == (0.9, 0.0)
    (table,) = [each for each in found.shares if each["column"] == "source"]
    frame = pl.read_parquet(folder / "pool.parquet")
    for group in table["groups"]:
        members = (frame["source"] == group["group"]).arg_true().to_list()
        assert group["samples"] == len(members)
        assert group["selected"] == tuple(
            len(set(members) & set(run.indices.tolist())) for run in (a, b)
        )


def test_a_run_is_like_itself_and_order_turns_the_signs(runs):
    folder, _, _ = runs
    same = ds2_fast.compare_runs(folder / "a", folder / "a")
    assert (same.jaccard, same.out, same.into, same.settings) == (1.0, {}, {}, {})
    assert same.scores["spearman"] == pytest.approx(1)
    there = ds2_fast.compare_runs(folder / "a", folder / "b")
    back = ds2_fast.compare_runs(folder / "b", folder / "a")
    assert back.scores["mean_shift"] == -there.scores["mean_shift"]
    assert [each["row"] for each in back.out_rows] == [each["row"] for each in there.into_rows]


def test_several_raters_and_runs_without_a_selection_are_compared(runs, tmp_path):
    folder, _, _ = runs
    ds2_fast.select(folder / "pool.parquet", None, run_dir=tmp_path / "none", **OPTIONS)
    found = ds2_fast.compare_runs(tmp_path / "none", folder / "a")
    assert (found.selected, found.out, found.into) == (
        (0, 80), {}, {"nothing was to be selected": 80},
    )  # fmt: skip
    options = {**OPTIONS, "score_col": ["rating", "truth"]}
    ds2_fast.select(folder / "pool.parquet", 80, run_dir=tmp_path / "two", **options)
    found = ds2_fast.compare_runs(folder / "a", tmp_path / "two")
    assert found.transition is None
    assert found.settings["scores"][1].startswith("scores of 2 raters")


def test_runs_of_other_pools_are_refused(runs, tmp_path):
    folder, _, _ = runs
    frame = pl.read_parquet(folder / "pool.parquet")
    ds2_fast.select(frame.head(700), 20, run_dir=tmp_path / "short", **OPTIONS)
    with pytest.raises(RunError, match=r"of 800 samples, .* of 700"):
        ds2_fast.compare_runs(folder / "a", tmp_path / "short")
    ds2_fast.select(frame.reverse(), 20, run_dir=tmp_path / "turned", **OPTIONS)
    with pytest.raises(RunError, match=r"row 0 is `sample-0001` in .* and `sample-"):
        ds2_fast.compare_runs(folder / "a", tmp_path / "turned")
    with pytest.raises(RunError, match="is not a run directory"):
        ds2_fast.compare_runs(folder / "a", tmp_path)


def test_the_command_line_prints_and_draws(capsys, runs, tmp_path):
    folder, _, _ = runs
    command = ["compare", str(folder / "a"), str(folder / "b")]
    found = ds2_fast.compare_runs(folder / "a", folder / "b")
    page = tmp_path / "difference.html"
    assert main([*command, "--html", str(page)]) == 0
    out, err = capsys.readouterr()
    assert f"A selected 80, B 120 of 800; both {found.both}" in out
    assert "noise share 90% -> 0%" in out
    assert "T of B less T of A" in out
    assert "By source" in out
    assert str(page) in err
    text = page.read_text("utf-8")
    assert f"{found.both} samples in both selections" in text
    assert "B less A" in text
    words = pl.read_parquet(folder / "pool.parquet")["instruction"][found.out_rows[0]["row"]]
    assert words[:12] in text
    assert main([*command, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["both"] == found.both
    assert printed["out"] == found.out


def test_a_browser_shows_the_comparison(runs, tmp_path):
    from chromium import open_browser
    from test_page import Page, look

    folder, _, _ = runs
    page = tmp_path / "difference.html"
    assert main(["compare", str(folder / "a"), str(folder / "b"), "--html", str(page)]) == 0
    assert Page(page.read_text("utf-8")).links == ["data:,"]
    with open_browser() as browser:
        look(browser, page, tmp_path, "difference", (390, 1280))
