"""Runs of other strategies are as good as those of DS2: verified, explained, compared, drawn."""

from __future__ import annotations

import json
import shutil

import numpy as np
import polars as pl
import pytest

import ds2_fast
from ds2_fast.cli import main
from ds2_fast.errors import PoolError, RunError, VerifyError
from ds2_fast.rundir import digest_files, digest_json, json_bytes
from ds2_fast.strategies import find_strategy
from rating_server import RatingServer
from strategy_pools import ROWS, select_by, write_pool

KINDS = {
    "alpagasus": {"strategy_options": {"threshold": 3}},
    "deita": {"strategy_options": {"complexity_col": "complexity", "quality_col": "rating"}},
    "deita+kcenter": {},
    "less": {
        "strategy_options": {
            "train_features": "gradients.npy",
            "target_features": "target_gradients.npy",
        }
    },
    "longest": {},
    "perplexity": {},
    "ifd": {},
    "superfiltering": {},
    "instag": {},
    "knn": {"k": 5},
    "random": {"strategy_options": {"stratify": "source"}},
    "all": {},
    "ids": {"strategy_options": {"keep_ids": "picks.txt"}},
    "column": {"score_col": "second"},
    "kcenter": {},
    "mmr": {},
    "facility": {"strategy_options": {"neighbors": 10}},
    "qurating": {},
    "tree": {},
    "dq": {},
    "mods": {},
    "zip": {},
    "dsir": {"strategy_options": {"target": "target.jsonl"}},
    "target": {"strategy_options": {"target_embeddings": "target_rows.npy"}},
    "semdedup+longest": {},
    "ds2+mmr": {"noise_share": 0.9},
    "ds2-raw+kcenter": {},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("strategies")
    write_pool(folder)
    return folder


@pytest.fixture
def own(made, tmp_path):
    """A pool of one's own, to be damaged."""
    shutil.copytree(made, tmp_path / "in")
    return tmp_path / "in"


def options_of(kind, folder):
    options = json.loads(json.dumps(KINDS[kind]))
    given = options.get("strategy_options", {})
    files = ("keep_ids", "target", "target_embeddings", "train_features", "target_features")
    for name in set(files) & set(given):
        given[name] = str(folder / given[name])
    return options


def flip(file, at=-20):
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("curate", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_of_every_strategy_is_verified(made, tmp_path, kind, curate):
    run, options = tmp_path / "run", options_of(kind, made)
    if curate and kind == "deita":
        with pytest.raises(PoolError, match="`--curate` corrects one column of ratings"):
            select_by(kind, made, run, curate=True, **options)
        del options["strategy_options"]
    result = select_by(kind, made, run, curate=curate, **options)
    before = {file.name: file.read_bytes() for file in run.iterdir()}
    for deep in (False, True):
        found = ds2_fast.verify_run(run, deep=deep)
        assert found.repeated[-1] == "selection"
        assert ("transition" in found.repeated) is (result.transition is not None)
        looked = "neighbors" in result.manifest["provenance"]["stages"]
        assert ("neighbors" in found.repeated) is (deep and looked)
    assert {file.name: file.read_bytes() for file in run.iterdir()} == before


@pytest.mark.parametrize("kind", ["dsir", "ids", "less"])
def test_files_named_from_where_one_stands_are_found_again(made, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(made)
    run = tmp_path / "run"
    options = json.loads(json.dumps(KINDS[kind]))
    result = select_by(kind, made, run, **options)
    assert set(options["strategy_options"]) <= {
        name.partition(".")[2] for name in result.report["settings"]
    }
    monkeypatch.chdir(tmp_path)
    assert ds2_fast.verify_run(run).repeated == ("selection",)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "+" not in kind])
def test_a_strategy_looks_at_what_it_says_it_needs(made, tmp_path, kind):
    result = select_by(kind, made, tmp_path / "run", **options_of(kind, made))
    needs, settings = find_strategy(kind).needs, result.report["settings"]
    assert ("embeddings" in needs) is ("features" in result.manifest)
    assert ("neighbors" in needs) is ("neighbors" in result.manifest["stages"])
    assert ("scores" in needs and kind != "deita") is ("score_col" in settings), needs


def test_settings_are_those_that_had_effect(made, tmp_path):
    said = {
        "longest": {"longest.length_of": "response"},
        "knn": {"space": "given", "k": 5, "knn": "auto", "recall": 0.99},
        "column": {"column.order": "high", "score_col": "second"},
    }
    for kind, rest in said.items():
        result = select_by(kind, made, tmp_path / kind, **options_of(kind, made))
        assert result.report["settings"] == {"n": [30], "strategy": kind, **rest, "seed": 42}
        assert result.manifest["settings"] == result.report["settings"]
    curated = select_by("alpagasus", made, tmp_path / "c", curate=True, **KINDS["alpagasus"])
    assert curated.report["settings"] == {
        "n": [30], "strategy": "alpagasus", "alpagasus.threshold": 3, "score_col": "rating",
        "curate": True, "curation": "bayes", "space": "given", "k": 10, "knn": "auto",
        "recall": 0.99, "seed": 42,
    }  # fmt: skip


def test_a_changed_byte_of_every_file_of_the_run_is_named(made, tmp_path):
    given = tmp_path / "given"
    select_by("deita", made, given, curate=True)
    left = sorted(file.name for file in given.iterdir() if file.name != "lock")
    assert {"manifest.json", "transition.json", "scores.parquet", "report.json"} <= set(left)
    for name in left:
        run = tmp_path / name
        shutil.copytree(given, run)
        flip(run / name)
        with pytest.raises((VerifyError, RunError), match=name.replace(".", r"\.")) as caught:
            ds2_fast.verify_run(run)
        assert caught.value.hint


@pytest.mark.parametrize(
    ("kind", "file", "said"),
    [
        ("deita", "pool.parquet", r"the pool `.*pool\.parquet` has changed since the run"),
        ("deita", "rows.npy", r"the embeddings `.*rows\.npy` have changed since the run"),
        ("ids", "picks.txt", r"`.*picks\.txt` has changed since the run"),
        ("dsir", "target.jsonl", r"`.*target\.jsonl` has changed since the run"),
        ("longest", "pool.parquet", r"the pool `.*pool\.parquet` has changed since the run"),
    ],
)
def test_a_changed_byte_of_an_input_is_named(own, tmp_path, kind, file, said):
    run = tmp_path / "run"
    select_by(kind, own, run, **options_of(kind, own))
    ds2_fast.verify_run(run)
    flip(own / file)
    with pytest.raises(VerifyError, match=said):
        ds2_fast.verify_run(run)
    (own / file).unlink()
    with pytest.raises(VerifyError, match="gone"):
        ds2_fast.verify_run(run)


def test_a_forged_choice_with_fitting_digests_does_not_come_out_again(made, tmp_path):
    run = tmp_path / "run"
    select_by("deita", made, run)
    file = run / "selected.txt"
    first, second, *rest = file.read_text().splitlines()
    file.write_text("\n".join([second, first, *rest, ""]))
    manifest = json.loads((run / "manifest.json").read_bytes())
    entry = manifest["stages"]["selection"]
    entry["digest"] = digest_files(tuple(run / name for name in entry["files"]))
    entry["file_digests"][entry["files"].index(file.name)] = digest_files((file,))
    manifest["provenance"]["stages"]["selection"] = entry["digest"]
    del manifest["seal"]
    manifest["seal"] = digest_json(manifest)
    (run / "manifest.json").write_bytes(json_bytes(manifest))
    with pytest.raises(VerifyError, match=r"`selected\.txt` comes out differently .* other lines"):
        ds2_fast.verify_run(run)


def test_ratings_bought_for_a_strategy_are_not_bought_again(made, tmp_path):
    run = tmp_path / "run"
    with RatingServer() as server:
        options = {"api_base": server.base, "endpoint_label": "test", "max_concurrency": 8}
        result = select_by(
            "alpagasus", made, run, pool="unrated", model="openai/rater", n=5,
            rating_options=options, strategy_options={"threshold": 1},
        )  # fmt: skip
    assert result.report["settings"]["model"] == "openai/rater"
    assert sum(result.manifest["provenance"]["models_answered"].values()) > 0
    ds2_fast.verify_run(run)
    flip(run / "ratings.jsonl", 40)
    with pytest.raises(VerifyError, match=r"ratings\.jsonl` has changed since the run"):
        ds2_fast.verify_run(run)


def test_a_run_of_ds2_before_leaves_nothing_in_the_next(made, tmp_path):
    run = tmp_path / "run"
    select_by("ds2", made, run)
    result = select_by("longest", made, run, html=True)
    assert result.manifest["provenance"]["stages"].keys() == {"selection"}
    assert not {"features", "calibration", "graph"} & set(result.manifest)
    (run / "transition.json").unlink()  # is none of this run
    assert ds2_fast.verify_run(run).repeated == ("selection",)
    assert "transition" not in (run / "report.html").read_text("utf-8").lower()
    with pytest.raises(RunError, match="its strategy `longest` did not look at any"):
        ds2_fast.PoolIndex.open(run)
    again = select_by("ds2", made, run)
    assert "stages" not in again.manifest["provenance"]
    assert ds2_fast.verify_run(run).repeated[0] == "transition"
    assert (
        ds2_fast.explain(run, row=3).posterior if False else ds2_fast.explain(run, row=3).verdicts
    )


def test_parts_that_were_made_anew_are_said(made, tmp_path):
    run = tmp_path / "run"
    select_by("facility", made, run)
    ds2_fast.embed(made / "pool.parquet", run_dir=run, space="lexical")
    for look in (ds2_fast.verify_run, lambda path: ds2_fast.explain(path, row=0)):
        with pytest.raises(RunError, match="were made anew since it selected"):
            look(run)


def test_two_strategies_are_compared(made, tmp_path):
    first = select_by("ds2", made, tmp_path / "ds2")
    second = select_by("deita", made, tmp_path / "deita")
    found = ds2_fast.compare_runs(tmp_path / "ds2", tmp_path / "deita")
    a, b = set(first.indices.tolist()), set(second.indices.tolist())
    assert found.both == len(a & b)
    assert found.jaccard == len(a & b) / len(a | b)
    assert sum(found.out.values()) == len(a - b)
    below, at = "score below the cut", "score at the cut, behind equal ones"
    assert set(found.out) <= {below, at, "too similar to a better sample"}
    assert [row["row"] for row in found.into_rows] == [
        row for row in second.indices.tolist() if row not in a
    ][:20]
    sheets = (first.scores["ds2_score_expected"], second.scores["ds2_strategy_score"])
    for listed in (*found.out_rows, *found.into_rows):
        assert listed["ranked_by"] == tuple(sheet[listed["row"]] for sheet in sheets)
    assert found.settings["strategy"] == ("ds2", "deita")
    assert found.settings["deita.threshold"] == (None, 0.9)
    assert "preset" not in found.settings
    assert found.transition is None
    assert found.scores["mean_shift"] is None
    json.dumps(found.to_dict(), allow_nan=False)
    apart = ds2_fast.compare_runs(tmp_path / "deita", tmp_path / "deita")
    assert (apart.jaccard, apart.settings, apart.scores["spearman"]) == (1.0, {}, 1.0)


def test_the_command_compares_with_a_page(made, tmp_path, capsys):
    select_by("longest", made, tmp_path / "a")
    select_by("kcenter", made, tmp_path / "b")
    page = tmp_path / "page.html"
    runs = [str(tmp_path / name) for name in "ab"]
    assert main(["compare", *runs, "--html", str(page)]) == 0
    assert "strategy: longest -> kcenter" in capsys.readouterr().out
    assert "Out: in A only" in page.read_text("utf-8")


def test_a_sample_left_by_deita_is_explained_by_what_is_like_it(made, tmp_path, capsys):
    rows = np.load(made / "rows.npy")
    rows[7] = rows[3] + 0.01  # nearly the same; both rated best
    run = tmp_path / "run"
    pool = pl.read_parquet(made / "pool.parquet").with_columns(
        rating=pl.when(pl.int_range(ROWS).is_in([3, 7])).then(5).otherwise("rating")
    )
    pool.write_parquet(tmp_path / "pool.parquet")
    result = select_by("deita", tmp_path, run, embeddings=rows_file(tmp_path, rows), n=60)
    assert 3 in result.indices
    found = ds2_fast.explain(run, row=7)
    assert (found.selected, found.rank, found.score) == (False, None, 5.0)
    assert found.reason == "too similar to a better sample"
    assert found.nearest[0].row == 3
    assert found.nearest[0].similarity > 0.9
    assert found.nearest[0].rank == result.indices.tolist().index(3) + 1
    last = ds2_fast.explain(run, row=int(result.indices[-1]), k=2)
    assert (last.rank, last.last_in, len(last.nearest)) == (60, None, 2)
    assert main(["explain", str(run), "--id", result.frame["id"][0]]) == 0
    out = capsys.readouterr().out
    assert "selected by deita, rank 1 of 60" in out
    assert "Most similar samples that were selected" in out
    assert main(["explain", str(run), "--row", "7", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["strategy"] == "deita"


def rows_file(folder, rows):
    np.save(folder / "rows.npy", rows)
    return folder / "rows.npy"


def test_without_features_no_sample_is_like_another(made, tmp_path):
    select_by("longest", made, tmp_path / "run")
    found = ds2_fast.explain(tmp_path / "run", row=0)
    assert found.nearest == ()
    lengths = pl.read_parquet(made / "pool.parquet")["output"].str.len_chars()
    known = lengths.filter(lengths > 0)
    assert found.above == pytest.approx((known < found.score).mean())
