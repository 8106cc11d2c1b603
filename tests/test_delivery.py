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
from ds2_fast.figures.projection import project_pool, project_rows

POOL = Path(__file__).parent.parent / "examples" / "sample_pool.parquet"
SELECT = ("select", "pool.parquet", "-n", "20", "--score-col", "rating", "--space", "lexical")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pl.read_parquet(POOL).head(400).drop("truth").write_parquet("pool.parquet")
    return tmp_path


def run(*more):
    return main([*SELECT, "--no-html", "-q", *more])


def test_the_atlas_has_places_and_neighbors_of_every_sample(folder):
    assert run("--atlas", "atlas.parquet") == 0
    atlas, pool = pl.read_parquet("atlas.parquet"), ds2_fast.read_pool("pool.parquet")
    assert atlas["text"].to_list() == pool.texts()
    assert atlas["ds2_selected"].sum() == 20
    indices = np.load("pool.ds2/neighbors.npy")
    similarities = np.load("pool.ds2/similarities.npy")
    near = atlas["neighbors"].struct
    assert near.field("ids").to_list() == indices[:, :15].tolist()
    distances = np.array(near.field("distances").to_list())
    assert np.allclose(distances, np.maximum(1 - similarities[:, :15], 0), atol=1e-7)
    rows = np.load("pool.ds2/lexical.npy").astype(np.float64)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    values = np.linalg.svd(unit - unit.mean(axis=0), compute_uv=False)
    spread = [np.square(atlas[name] - atlas[name].mean()).sum() for name in
              ("projection_x", "projection_y")]  # fmt: skip
    assert np.allclose(spread, values[:2] ** 2, rtol=0.01)


def test_the_map_and_the_atlas_agree():
    rows = np.random.default_rng(3).standard_normal((5000, 12)).astype(np.float32)
    rows[:, 0] *= 6
    rows[:, 1] *= 3
    shown = project_pool(rows, np.zeros(5000, np.bool_), seed=4)
    places = project_rows(rows, seed=4)
    # The map draws what it shows between the rows and the start: the same axes up to their sign.
    for axis, name in enumerate("xy"):
        part = places[shown["rows"], axis]
        assert abs(np.corrcoef(part, shown[name])[0, 1]) > 0.99


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
