"""What a run writes besides the run directory: folders, cards, the atlas, and what is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import ds2_fast
from ds2_fast.cli import main
from ds2_fast.errors import Ds2Error, PoolError
from ds2_fast.scoresheet import NEIGHBORS_SHOWN

POOL = Path(__file__).parent.parent / "examples" / "sample_pool.parquet"
SELECT = ("select", "pool.parquet", "-n", "20", "--score-col", "rating", "--space", "lexical")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pl.read_parquet(POOL).head(400).drop("truth").write_parquet("pool.parquet")
    return tmp_path


def run(*more):
    return main([*SELECT, "--no-html", "-q", *more])


def test_the_scores_file_has_places_and_neighbors_of_every_sample(folder):
    assert run("--atlas", "atlas.parquet", "--add-columns", "-o", "subset.csv") == 0
    sheet, pool = pl.read_parquet("pool.ds2/scores.parquet"), ds2_fast.read_pool("pool.parquet")
    indices = np.load("pool.ds2/neighbors.npy")
    similarities = np.load("pool.ds2/similarities.npy")
    near = sheet["neighbors"].struct
    assert near.field("ids").to_list() == indices[:, :NEIGHBORS_SHOWN].tolist()
    distances = np.array(near.field("distances").to_list())
    exact = np.maximum(1 - similarities[:, :NEIGHBORS_SHOWN], 0)
    assert np.array_equal(distances.astype(np.float32), exact)
    rows = np.load("pool.ds2/lexical.npy").astype(np.float64)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    values = np.linalg.svd(unit - unit.mean(axis=0), compute_uv=False)
    spread = [np.square(sheet[name] - sheet[name].mean()).sum() for name in
              ("projection_x", "projection_y")]  # fmt: skip
    assert np.allclose(spread, values[:2] ** 2, rtol=0.01)
    # The atlas is the same with the samples; a subset gets what was found out, and no map.
    atlas = pl.read_parquet("atlas.parquet")
    assert atlas["text"].to_list() == pool.texts()
    assert atlas.select(sheet.columns).equals(sheet)
    added = [name for name in pl.read_csv("subset.csv").columns if name not in pool.frame.columns]
    assert added == [name for name in sheet.columns if name.startswith("ds2_")]


def test_the_map_of_the_report_is_that_of_the_scores_file(folder):
    result = ds2_fast.select("pool.parquet", 20, score_col="rating", space="lexical", html=False)
    shown = result.report["figures"]["map"]
    for axis in "xy":
        known = result.scores[f"projection_{axis}"][shown["rows"]].to_numpy()
        assert np.allclose(known, shown[axis], atol=5.1e-5)


def test_a_slash_makes_a_folder_with_a_card(folder, capsys):
    assert run("-o", "subset/", "--to", "messages", "--emit", "trl") == 0
    said = capsys.readouterr().err
    assert 'load_dataset("subset", split="train")' in said
    card = Path("subset/README.md").read_text("utf-8")
    assert card.startswith("---\nconfigs:\n")
    assert "20 of the 400 instruction samples of `pool.parquet`" in card
    assert "converted from `alpaca` to `messages`" in card
    assert str(folder) not in card
    stages = json.loads(Path("pool.ds2/manifest.json").read_text("utf-8"))["stages"]
    assert stages["selection"]["digest"] in card
    assert len(ds2_fast.read_pool("subset")) == 20
    # The folder is there now: it is written anew without the slash, too.
    assert run("-o", "subset") == 0
    assert ds2_fast.read_pool("subset").schema.name == "alpaca"


def test_every_size_gets_its_card(folder):
    assert run("-n", "10,20", "-o", "out.jsonl", "--card", "card.md") == 0
    cards = {size: Path(f"card-{size}.md").read_text("utf-8") for size in (10, 20)}
    assert "# out-10.jsonl" in cards[10]
    assert "| score |" in cards[20]
    assert "| score |" not in cards[10], "the means are those of the largest"
    assert "`topic`" in cards[10]


def test_the_card_tells_of_several_raters(folder):
    frame = pl.read_parquet("pool.parquet")
    second = pl.Series("second", np.roll(frame["rating"].to_numpy(), 1))
    frame.with_columns(second).write_parquet("two.parquet")
    ds2_fast.select(
        "two.parquet", 20, score_col=["rating", "second"], space="lexical", card="card.md"
    )
    card = Path("card.md").read_text("utf-8")
    assert "trust check for `rating`" in card
    assert "trust check for `second`" in card


def test_what_cannot_be_written_is_said_before_any_work(folder):
    pool = "pool.parquet"
    for options, error in (
        ({"atlas": "atlas.csv"}, "no .parquet file"),
        ({"card": "card.txt"}, "no .md file"),
        ({"atlas": pool}, "file of the pool"),
        ({"output": "missing/folder/"}, "missing"),
    ):
        with pytest.raises(Ds2Error, match=error):
            ds2_fast.select(pool, 20, score_col="rating", space="lexical", **options)
    assert not Path("pool.ds2").exists()
    pl.DataFrame({"text": ["a", "b", "c", "d"], "rating": [1, 2, 1, 2]}).write_parquet("t.parquet")
    with pytest.raises(PoolError, match="without prompt and response"):
        ds2_fast.select("t.parquet", 2, score_col="rating", space="lexical", to="messages")


def test_a_snippet_needs_a_conversion_and_a_tool_that_loads_it(folder, capsys):
    assert run("--emit", "trl", "-o", "s.jsonl") == 2
    assert "give `--to` and `-o`" in capsys.readouterr().err
    assert run("--emit", "trl", "--to", "alpaca", "-o", "s.jsonl") == 1
    assert "trl does not load `alpaca`" in capsys.readouterr().err
    assert not Path("pool.ds2").exists()


def test_what_a_conversion_leaves_out_is_said(folder, capsys):
    assert main([*SELECT, "--no-html", "-o", "s.jsonl", "--to", "sharegpt"]) == 0
    assert "sharegpt: left out: the columns `topic`, `rating`" in capsys.readouterr().err
