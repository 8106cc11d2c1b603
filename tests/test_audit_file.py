"""The audit file: drawn, filled in by a spreadsheet with all its habits, and read back."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import ds2_fast
from ds2_fast.cli import main
from ds2_fast.errors import PoolError, RunError
from ds2_fast.pool import read_hand_scores, read_pool

POOL = Path(__file__).parent.parent / "examples" / "sample_pool.parquet"
OPTIONS = {"score_col": "rating", "space": "lexical", "html": False}


@pytest.fixture(scope="module")
def pool_file(tmp_path_factory):
    """A pool in a folder of its own, with a second rater who errs by himself."""
    file = tmp_path_factory.mktemp("pool") / "pool.parquet"
    frame = pl.read_parquet(POOL)
    rng = np.random.default_rng(5)
    truth = frame["truth"].to_numpy()
    second = np.where(rng.random(len(truth)) < 0.3, rng.integers(0, 6, len(truth)), truth)
    frame.with_columns(other=pl.Series(second.astype(np.int8))).write_parquet(file)
    return file


@pytest.fixture(scope="module")
def finished(pool_file):
    """A run beside the pool."""
    return ds2_fast.select(pool_file, 200, **OPTIONS)


def read_csv(file):
    return list(csv.reader(io.StringIO(file.read_text("utf-8-sig"), newline="")))


def fill_in(file, truth, write=str):
    """Score every row of a drawn file as a person who is always right would."""
    header, *rows = read_csv(file)
    place = next(i for i, name in enumerate(header) if name.startswith("score"))
    for row in rows:
        row[place] = write(int(truth[int(row[0])]))
    return [header, *rows]


def write_csv(file, table, *, delimiter=",", encoding="utf-8"):
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(table)
    file.write_bytes(text.getvalue().encode(encoding))
    return file


def test_the_same_seed_draws_the_same_samples_and_every_score_is_there(pool_file, tmp_path):
    draw = {"score_col": "rating", "run_dir": None}
    one = ds2_fast.sample_audit(pool_file, 100, output=tmp_path / "1.csv", **draw)
    two = ds2_fast.sample_audit(pool_file, 100, output=tmp_path / "2.csv", **draw)
    ds2_fast.sample_audit(pool_file, 100, output=tmp_path / "3.csv", seed=1, **draw)
    first, second, third = ((tmp_path / f"{n}.csv").read_bytes() for n in (1, 2, 3))
    assert first == second != third
    assert one.rows.tolist() == two.rows.tolist()
    frame = pl.read_parquet(pool_file)
    assert one.weights.sum() == pytest.approx(len(frame))
    assert set(frame["rating"].to_numpy()[one.rows]) == set(range(6))


def test_the_cut_of_the_selection_is_drawn_more_often(finished, tmp_path):
    drawn = ds2_fast.sample_audit(finished.run_dir, 100, output=tmp_path / "audit.csv")
    rank = finished.scores["ds2_rank"].fill_null(0).to_numpy()
    near = (rank > 100) & (rank <= 300)
    assert drawn.near_cut == np.count_nonzero(near[drawn.rows])
    assert drawn.near_cut / 100 > 1.5 * near.mean()
    assert drawn.weights.sum() == pytest.approx(len(rank))


def test_the_sheet_survives_spreadsheets(tmp_path):
    rows = [
        {
            "id": f"=cmd|{n}",
            "instruction": f"+{n}\r\nsecond\x07line",
            "output": "@SUM(A1)" + "x" * n,
        }
        for n in (*range(99), 40_000)
    ]
    frame = pl.DataFrame(rows).with_columns(score=pl.Series([n % 5 + 1 for n in range(100)]))
    file = tmp_path / "audit.csv"
    ds2_fast.sample_audit(frame, 100, output=file)
    assert file.read_bytes().startswith(b"\xef\xbb\xbf")
    header, *table = read_csv(file)
    assert header == ["row", "key", "id", "weight", "score (1 to 5)", "text"]
    assert len(table) == 100
    for row in table:
        assert all(cell[:1] not in "=+-@\t\r" or cell == "" for cell in row)
        assert not any(sign in cell for cell in row for sign in "\r\n\x07")
        assert row[2].startswith("'=cmd|")
        assert row[1].isalpha()
        # 21.4 is a date to some spreadsheets.
        assert row[3].isdigit()
        assert len(row[5]) < 32_767
        assert row[4] == ""
    assert table[3][5].startswith("[user] +3 ⏎ second line")
    assert table[-1][5].endswith("characters more)")
    # Only the id is left to tell the samples by.
    filled = [["id", "Score"], *([row[2], "3"] for row in table)]
    found = read_hand_scores(write_csv(tmp_path / "ids.csv", filled), read_pool(frame))
    assert found.rows.tolist() == list(range(100))


@pytest.mark.parametrize(
    ("delimiter", "encoding", "score"),
    [
        (",", "utf-8", str),
        (";", "utf-8-sig", "{},0".format),
        ("\t", "utf-16", " {} ".format),
        (";", "cp1252", "{}.0".format),
    ],
)
def test_what_a_spreadsheet_makes_of_it_is_read(pool_file, tmp_path, delimiter, encoding, score):
    file, truth = tmp_path / "audit.csv", pl.read_parquet(pool_file)["truth"].to_numpy()
    drawn = ds2_fast.sample_audit(pool_file, 60, output=file, score_col="rating")
    table = fill_in(file, truth, score)
    table[0][-1], table[4][4] = "text é", ""
    table = [[cell.encode(encoding, "replace").decode(encoding) for cell in row] for row in table]
    empty = [[""] * len(table[0])] * 3
    write_csv(file, [*table, *empty], delimiter=delimiter, encoding=encoding)
    found = read_hand_scores(file, read_pool(pool_file))
    kept = np.delete(drawn.rows, 3)
    assert found.rows.tolist() == kept.tolist()
    assert found.classes(range(6), 5).tolist() == truth[kept].tolist()
    np.testing.assert_allclose(found.weights, 1000 * np.delete(drawn.weights, 3), rtol=1e-3)
    assert found.unscored == 1


def test_every_bad_cell_is_named_with_its_line(tmp_path):
    pool = read_pool([{"id": f"n{n}", "instruction": "a", "output": "b"} for n in range(9)])
    file = tmp_path / "audit.csv"

    def said(text):
        file.write_text(text)
        with pytest.raises(PoolError) as raised:
            read_hand_scores(file, pool).classes(range(1, 6), 5)
        return raised.value.message.removeprefix(f"{file} holds ").removeprefix(f"`{file}` ")

    assert said("row,score\n0,x\n1,3\n\n9,2\n2,3.5\n1,4\n,1\n") == (
        "5 cells that cannot be used: line 2: score `x` is no number; line 5: row 9 is not in "
        "0..8; line 6: score `3.5` is no whole number; line 7: row 1 was scored on line 3 already; "
        "line 8: row `` is no number"
    )
    assert said("row;score\n0;7\n1;3\n") == (
        "1 cell that cannot be used: line 2: score 7 lies outside 1 to 5"
    )
    assert said("row,key,score\n0,aaaaaaaa,3\n").endswith(
        "line 2: row 0 of the pool is another sample than when the file was made"
    )
    assert said("id,score\nn1,2\nn77,3\n").endswith("line 3: the pool has no id `n77`")
    assert said("row,score,weight\n1,2,0\n").endswith("line 2: weight `0` is not above 0")
    assert said("row,score,weight\n1,2,\n").endswith("line 2: weight `` is no number")
    assert said("row,mark\n1,2\n") == "has no column `score`"
    assert said("name,score\n1,2\n") == "has neither a column `row` nor `id`"
    assert said("row,score\n" + "0,x\n" * 9).endswith("; and 4 more")
    assert said("") == "holds no rows"


def test_other_kinds_of_files_are_read(pool_file, tmp_path):
    pool, truth = read_pool(pool_file), pl.read_parquet(pool_file)["truth"]
    frame = pl.DataFrame({"id": pool.ids[:60], "score": truth[:60].cast(pl.Float64)})
    frame[5, "score"] = None
    frame.write_parquet(tmp_path / "audit.parquet")
    frame.write_ndjson(tmp_path / "audit.jsonl")
    for name in ("audit.parquet", "audit.jsonl"):
        found = read_hand_scores(tmp_path / name, pool)
        assert found.rows.tolist() == [*range(5), *range(6, 60)]
        assert found.ratings.tolist() == np.delete(truth[:60].to_numpy(), 5).tolist()
    with pytest.raises(PoolError, match="kind that is not read"):
        read_hand_scores(tmp_path / "audit.xlsx", pool)
    with pytest.raises(PoolError, match="there is no file"):
        read_hand_scores(tmp_path / "gone.csv", pool)


def test_a_compressed_scale_takes_a_persons_1_to_10(tmp_path):
    frame = pl.DataFrame({"instruction": ["a"] * 60, "output": ["b"] * 60}).with_columns(
        score=pl.Series([n % 10 + 1 for n in range(60)])
    )
    file = tmp_path / "audit.csv"
    drawn = ds2_fast.sample_audit(frame, 60, output=file)
    table = fill_in(file, frame["score"].to_numpy())
    assert table[0][3] == "score (1 to 10)"
    found = read_hand_scores(write_csv(file, table), read_pool(frame))
    scores = ds2_fast.read_scores(read_pool(frame))
    assert found.classes(scores.starts, scores.high).tolist() == scores.values[drawn.rows].tolist()
    assert ds2_fast.check_audit(file, frame)["equal"] == 1.0


def test_nothing_is_overwritten_and_too_few_are_refused(pool_file, tmp_path):
    file = tmp_path / "audit.csv"
    file.write_text("work")
    with pytest.raises(PoolError, match="exists, and may hold scores"):
        ds2_fast.sample_audit(pool_file, 60, output=file, score_col="rating")
    assert file.read_text() == "work"
    for n, words in ((49, "49 samples are too few"), (5000, "2,160 are rated")):
        with pytest.raises(PoolError, match=words):
            ds2_fast.sample_audit(pool_file, n, output=tmp_path / "a.csv", score_col="rating")
    with pytest.raises(PoolError, match=r"is no .csv file"):
        ds2_fast.sample_audit(pool_file, 60, output=tmp_path / "a.xlsx", score_col="rating")
    with pytest.raises(RunError, match="not a run directory"):
        ds2_fast.sample_audit(pool_file, 60, output=tmp_path / "a.csv", run_dir=tmp_path)


def test_select_with_an_audit_or_a_second_rater(pool_file, finished, tmp_path):
    truth = pl.read_parquet(pool_file)["truth"].to_numpy()
    file = tmp_path / "audit.csv"
    ds2_fast.sample_audit(finished.run_dir, 150, output=file)
    write_csv(file, fill_in(file, truth))
    run_dir = tmp_path / "run"
    raw = np.mean(finished.scores["ds2_score"].to_numpy() == truth)
    audited = ds2_fast.select(pool_file, 200, audit=file, run_dir=run_dir, **OPTIONS)
    found = audited.report["calibration"]
    assert (found["origin"], found["samples"]) == ("audit", 150)
    assert found["low"] <= found["noise_share"] <= found["high"]
    assert audited.report["settings"]["audit"] == str(file)
    assert audited.manifest["calibration"] == found
    assert "audit.csv` on 150 samples" in audited.trust.noise_share_origin
    assert np.mean(audited.scores["ds2_score_curated"].to_numpy() == truth) >= raw
    keys = {name: stage["key"] for name, stage in audited.manifest["stages"].items()}

    again = ds2_fast.select(pool_file, 200, audit=file, run_dir=run_dir, **OPTIONS)
    assert again.manifest["stages"]["calibration"]["key"] == keys["calibration"]
    table = read_csv(file)
    table[1][4] = "0" if table[1][4] != "0" else "5"
    other = ds2_fast.select(
        pool_file, 200, audit=write_csv(file, table), run_dir=run_dir, **OPTIONS
    )
    changed = {
        name for name, stage in other.manifest["stages"].items() if stage["key"] != keys[name]
    }
    assert changed == {"calibration", "curation", "selection"}

    second = ds2_fast.select(pool_file, 200, second_rater="other", run_dir=run_dir, **OPTIONS)
    found = second.report["calibration"]
    assert (found["origin"], found["source"]) == ("second rater", "other")
    assert found["samples"] == len(truth)
    assert len(found["shares"]) == len(found["expected"]) == 8
    assert second.report["curation"]["noise_share"] == found["noise_share"]
    assert np.mean(second.scores["ds2_score_curated"].to_numpy() == truth) >= raw
    assert finished.report["calibration"]["origin"] == "assumed"


def test_contradictions_and_useless_evidence_are_refused_at_once(pool_file, tmp_path):
    def refused(words, **options):
        with pytest.raises(PoolError, match=words):
            ds2_fast.select(pool_file, 10, run_dir=tmp_path / "run", **OPTIONS | options)
        stages = tmp_path / "run" / "manifest.json"
        assert not stages.exists() or json.loads(stages.read_text())["stages"] == {}

    few = tmp_path / "few.csv"
    few.write_text("row,score\n" + "".join(f"{n},1\n" for n in range(49)))
    refused("holds 49 scores, and an audit needs at least 50", audit=few)
    refused("both say how much is noise", audit=few, second_rater="other")
    refused("both say how much is noise", noise_share=0.3, second_rater="other")
    refused("calibrates the curation `bayes`", second_rater="other", curation="paper")
    refused("is the score column itself", second_rater="rating")
    refused("has no column `nobody`", second_rater="nobody")


def test_the_command_line_draws_checks_and_uses_an_audit(capsys, pool_file, finished, tmp_path):
    file = tmp_path / "audit.csv"
    assert finished.run_dir.is_dir()
    assert main(["audit", "sample", str(pool_file), "-n", "60", "-o", str(file)]) == 0
    assert "60 samples to" in capsys.readouterr().err
    truth = pl.read_parquet(pool_file)["truth"].to_numpy()
    table = fill_in(file, truth)
    table[1][4] = ""
    write_csv(file, table, delimiter=";")
    assert main(["audit", "check", str(file), str(pool_file)]) == 0
    out = capsys.readouterr().out
    assert "59 samples are scored, 1 are not yet" in out
    assert "enough for `--audit`" in out
    arguments = ["curate", pool_file, "--score-col", "rating", "--space", "lexical"]
    arguments += ["--audit", file, "--run-dir", tmp_path / "run"]
    assert main([str(each) for each in arguments]) == 0
    told = capsys.readouterr().err
    assert "read 59 scores from" in told
    assert "the audit: neighbors know" in told
    assert ": hard labels" in told
