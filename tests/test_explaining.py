"""Why a run took or left a sample: against the slow twins, and as a person meets it."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

import ds2_fast
import reference
from ds2_fast.cli import main
from ds2_fast.errors import PoolError, RunError
from ds2_fast.explaining.layout import lay_out
from synthetic import RATERS, draw_ratings, make_pool

ROWS = 600


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """Ratings of known truth, some missing, and one sample twice."""
    folder = tmp_path_factory.mktemp("pool")
    made, rng = make_pool(ROWS, "adj", seed=4), np.random.default_rng(2)
    embeddings, scores = made.embeddings.copy(), made.scores.astype(np.int64)
    embeddings[1] = embeddings[0]
    columns = {
        "id": [f"s-{row}" for row in range(ROWS)],
        "text": [f"sample {row}\nof truth {made.truth[row]}" for row in range(ROWS)],
        "rating": pl.Series(scores).set(pl.Series(np.arange(ROWS) % 20 == 7), None),
        "other": draw_ratings(made.truth, RATERS["up"], rng),
    }
    pl.DataFrame(columns).write_parquet(folder / "pool.parquet")
    np.save(folder / "rows.npy", embeddings)
    return folder


@pytest.fixture(scope="module")
def run(pool):
    folder = pool / "run"
    result = ds2_fast.select(
        pool / "pool.parquet",
        60,
        score_col="rating",
        embeddings=pool / "rows.npy",
        dedup=0.999,
        run_dir=folder,
    )
    return folder, result.scores


def test_the_posterior_is_that_of_the_definition(run):
    folder, sheet = run
    scores = sheet["ds2_score"].fill_null(-1).to_numpy().astype(np.int8)
    stored = json.loads((folder / "transition.json").read_text())
    made = json.loads((folder / "curation.json").read_text())
    slow = reference.posterior(
        scores,
        np.load(folder / "neighbors.npy"),
        np.array(stored["T"]),
        np.array(stored["p"]),
        made["neighbor_k"],
        made["beta"],
        made["noise_share"],
    )
    for row in range(0, ROWS, 37):
        verdict = ds2_fast.explain(folder, row=row).verdicts[0]
        assert verdict.posterior == pytest.approx(slow[row], abs=1e-10)
        assert verdict.expected == pytest.approx(np.arange(6) @ np.array(verdict.posterior))
        assert sum(verdict.heard) <= made["neighbor_k"]


def test_under_an_audit_the_posterior_is_the_one_that_decided(pool, tmp_path):
    truth = make_pool(ROWS, "adj", seed=4).truth
    rows = np.arange(0, ROWS, 3)
    hand = pl.DataFrame({"row": rows, "score": truth[rows].astype(np.int64)})
    hand.write_csv(tmp_path / "audit.csv")
    result = ds2_fast.select(
        pool / "pool.parquet",
        60,
        score_col="rating",
        embeddings=pool / "rows.npy",
        audit=tmp_path / "audit.csv",
        run_dir=tmp_path / "run",
    )
    assert result.report["calibration"]["audit"]["gamma"] > 0
    sheet = result.scores
    for row in range(0, ROWS, 37):
        verdict = ds2_fast.explain(tmp_path / "run", row=row).verdicts[0]
        mean = np.arange(6) @ np.array(verdict.posterior)
        assert mean == pytest.approx(sheet["ds2_score_expected"][row])
        assert verdict.noise_share is None


def test_a_changed_and_a_kept_score_say_why(run):
    folder, sheet = run
    changed = sheet.filter(pl.col("ds2_score") != pl.col("ds2_score_curated"))["ds2_index"][0]
    kept = sheet.filter(pl.col("ds2_score") == pl.col("ds2_score_curated"))["ds2_index"][0]
    found = ds2_fast.explain(folder, row=changed).verdicts[0]
    assert found.why.startswith(f"changed from {found.score} to {found.curated}, which it deserves")
    assert max(found.posterior) == found.posterior[found.curated]
    assert ds2_fast.explain(folder, row=kept).verdicts[0].why.startswith("kept: ")


def test_the_cut_is_between_the_last_in_and_the_first_out(run):
    folder, sheet = run
    left = sheet.filter(pl.col("ds2_reason").str.contains("below the cut"))["ds2_index"][0]
    found = ds2_fast.explain(folder, row=left)
    assert (found.selected, found.n) == (False, 60)
    assert (found.last_in.rank, found.first_out.rank) == (60, 61)
    assert sheet["ds2_rank"][found.last_in.row] == 60
    last, first = ((one.bucket, one.long_tail) for one in (found.last_in, found.first_out))
    assert last >= first >= (found.bucket, found.long_tail)
    assert found.bucket == np.floor(found.expected / 0.25 + 1e-9) * 0.25


def test_a_near_duplicate_and_the_one_that_stands_for_it(run):
    folder, sheet = run
    dropped = sheet.filter(pl.col("ds2_duplicate_of").is_not_null())["ds2_index"][0]
    found = ds2_fast.explain(folder, row=dropped)
    assert found.reason == "near duplicate"
    assert found.rank is None
    assert dropped in ds2_fast.explain(folder, row=found.duplicate_of).stands_for


def test_an_unrated_sample_is_explained(run):
    found = ds2_fast.explain(run[0], id="s-7")
    assert (found.row, found.bucket, found.verdicts[0].score) == (7, None, None)
    assert found.verdicts[0].posterior == found.verdicts[0].neighbors_say
    assert "its neighbors suggest" in found.verdicts[0].why


def test_neighbors_are_the_graphs(run):
    folder, sheet = run
    found = ds2_fast.explain(folder, row=3, k=5)
    assert [heard.row for heard in found.neighbors] == np.load(folder / "neighbors.npy")[
        3, :5
    ].tolist()
    assert [heard.scores[0] for heard in found.neighbors] == [
        sheet["ds2_score"][heard.row] for heard in found.neighbors
    ]
    assert found.turns[0][1].startswith("sample 3\nof truth")


@pytest.mark.parametrize("width", [30, 60, 100, 200])
def test_lines_are_no_longer_than_the_terminal(run, width):
    found = ds2_fast.explain(run[0], row=3)
    lines = [line for _, line in lay_out(found, width)]
    assert [line for line in lines if len(line) > max(width, 60)] == []
    assert any("< rated" in line for line in lines)


def test_the_command(run, capsys):
    assert main(["explain", str(run[0]), "--id", "s-3"]) == 0
    out, _ = capsys.readouterr()
    for words in ("row 3, id s-3", "posterior", "Neighbors", "last in", "rarity"):
        assert words in out
    assert main(["explain", str(run[0]), "--row", "3", "--json"]) == 0
    told = json.loads(capsys.readouterr()[0])
    assert told == json.loads(json.dumps(ds2_fast.explain(run[0], row=3).to_dict()))
    assert main(["explain", str(run[0])]) == 2


def test_several_raters_are_explained(pool, tmp_path):
    options = {"embeddings": pool / "rows.npy", "run_dir": tmp_path}
    result = ds2_fast.select(pool / "pool.parquet", 60, score_col=["rating", "other"], **options)
    found = ds2_fast.explain(tmp_path, row=5)
    assert [verdict.rater for verdict in found.verdicts] == ["rating", "other"]
    for verdict in found.verdicts:
        own = result.scores[f"ds2_score_expected_{verdict.rater}"][5]
        assert verdict.expected == own
        assert np.arange(6) @ np.array(verdict.posterior) == pytest.approx(own)
    assert found.expected == result.scores["ds2_score_expected"][5]
    assert any("common score" in line for _, line in lay_out(found, 80))


def test_a_run_that_never_ranked_or_was_changed_is_refused(pool, run, tmp_path):
    with pytest.raises(PoolError, match="no row 600"):
        ds2_fast.explain(run[0], row=ROWS)
    with pytest.raises(RunError, match="not a run directory"):
        ds2_fast.explain(tmp_path, row=0)
    names = ["rating", "other"]
    options = {"embeddings": pool / "rows.npy", "run_dir": tmp_path}
    ds2_fast.compare_raters(pool / "pool.parquet", names, **options)
    with pytest.raises(RunError, match="has no selection"):
        ds2_fast.explain(tmp_path, row=0)
    ds2_fast.select(pool / "pool.parquet", 60, score_col=names, **options)
    ds2_fast.compare_raters(pool / "pool.parquet", names, noise_share=1.0, **options)
    with pytest.raises(RunError, match="were made anew since it selected"):
        ds2_fast.explain(tmp_path, row=0)
