"""Querying the pool of a run, adding to it, and the index it keeps."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import ds2_fast
from ds2_fast.cli import main
from ds2_fast.errors import Ds2Error, ModelError, PoolError, RunError
from ds2_fast.knn import find_neighbors
from ds2_fast.knn.cosine import cosines
from ds2_fast.pool_index import PoolIndex
from ds2_fast.progress import Narrator
from tiny_bert import make_model

POOL = Path(__file__).parent.parent / "examples" / "sample_pool.parquet"
COUNT = 200


class Told(Narrator):
    def __init__(self):
        self.lines, self.warnings = [], []

    def done(self, name, text):
        self.lines.append((name, text))

    def warn(self, text):
        self.warnings.append(text)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def made(tmp_path_factory, model):
    """A pool and its run, embedded by the tiny model; copied by `run`, never written."""
    folder = tmp_path_factory.mktemp("made")
    frame = pl.read_parquet(POOL).head(COUNT).drop("truth")
    frame.write_parquet(folder / "pool.parquet")
    ds2_fast.select(folder / "pool.parquet", 20, score_col="rating", embedder=str(model))
    return folder


@pytest.fixture
def run(made, tmp_path):
    shutil.copytree(made / "pool.ds2", tmp_path / "run")
    return tmp_path / "run"


def texts_of(folder: Path) -> list[str]:
    return ds2_fast.read_pool(folder / "pool.parquet").texts()


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_row_finds_the_neighbors_of_the_graph(run):
    rows = np.load(run / "embeddings.npy")
    exact = find_neighbors(rows, 7)
    before = contents(run)
    opened = PoolIndex.open(run)
    assert len(opened) == COUNT
    for row in (0, 17, COUNT - 1):
        found = opened.search(row=row, k=7)
        assert found.method == "exact"
        assert np.array_equal(found.rows[0], exact.indices[row])
        assert np.array_equal(found.similarities[0], exact.similarities[row])
    assert contents(run) == before


def test_a_text_is_embedded_as_the_pool_was(made, run):
    texts = texts_of(made)
    found = PoolIndex.open(run, offline=True).search(text=texts[42], k=3)
    # Of itself the pool keeps float16.
    assert found.rows[0, 0] == 42 or texts[found.rows[0, 0]] == texts[42]
    assert found.similarities[0, 0] > 0.9999


def test_what_is_known_of_a_sample_is_told(made, run):
    pool = pl.read_parquet(made / "pool.parquet")
    sheet = pl.read_parquet(run / "scores.parquet")
    opened = PoolIndex.open(run)
    for match in opened.matches(opened.search(row=5, k=4)):
        assert match.id == str(pool["id"][match.row])
        assert match.text == texts_of(made)[match.row]
        assert match.score == sheet["ds2_score"][match.row]
        assert match.score_curated == sheet["ds2_score_curated"][match.row]
        assert match.selected == sheet["ds2_selected"][match.row]
        assert not match.added
    by_id = opened.search(id=str(pool["id"][5]), k=4)
    assert np.array_equal(by_id.rows, opened.search(row=5, k=4).rows)


def test_vectors_are_queries_of_their_own(run):
    rows = np.load(run / "embeddings.npy")
    opened = PoolIndex.open(run)
    found = opened.search(vectors=rows[:3], k=5)
    assert found.rows.shape == (3, 5)
    assert found.rows[:, 0].tolist() == [0, 1, 2] or (found.similarities[:, 0] == 1).all()
    one = opened.search(vectors=rows[0].astype(np.float32), k=5)
    assert np.array_equal(one.rows[0], found.rows[0])
    everything = opened.search(row=0, k=10_000)
    assert sorted(everything.rows[0].tolist()) == list(range(1, COUNT))


def test_the_index_is_built_once_tested_once_and_used_again(run):
    told = Told()
    opened = PoolIndex.open(run, narrator=told)
    exact = opened.search(row=3, k=10)
    found = opened.search(row=3, k=10, method="index")
    assert found.method == "index"
    assert np.isin(found.rows, exact.rows).mean() >= 0.9
    rows = np.load(run / "embeddings.npy")
    assert np.array_equal(found.similarities, cosines(rows[[3]], rows, found.rows))
    told_of_index = [text for name, text in told.lines if name == "index"]
    assert told_of_index[0].startswith("indexed 200 samples in index.usearch (")
    assert told_of_index[1].startswith("tested for 10 neighbors: recall ")
    manifest = json.loads((run / "manifest.json").read_text("utf-8"))
    record = manifest["index"]
    assert record["digest"] == manifest["stages"]["index"]["digest"]
    assert record["features"] == manifest["features"]["digest"]
    assert (record["dtype"], record["rows"], record["dimensions"]) == ("f16", COUNT, rows.shape[1])
    assert record["recall"]["rows"] == COUNT
    before = contents(run)
    told = Told()
    again = PoolIndex.open(run, narrator=told).search(row=3, k=10, method="index")
    assert np.array_equal(again.rows, found.rows)
    assert [text[-8:] for _, text in told.lines] == ["(reused)"]
    assert contents(run).keys() == before.keys()
    assert contents(run)["index.usearch"] == before["index.usearch"]


def test_an_index_of_other_embeddings_is_not_used(made, run, tmp_path, model):
    PoolIndex.open(run).build()
    old = (run / "index.usearch").read_bytes()
    other = make_model(tmp_path / "other", seed=8)
    pool = made / "pool.parquet"
    ds2_fast.select(pool, 20, score_col="rating", embedder=str(other), run_dir=run)
    told = Told()
    opened = PoolIndex.open(run, narrator=told)
    found = opened.search(row=3, k=5, method="index")
    assert told.warnings == ["`index.usearch` belongs to other embeddings, so it is built anew"]
    assert (run / "index.usearch").read_bytes() != old
    rows = np.load(run / "embeddings.npy")
    assert np.array_equal(found.similarities, cosines(rows[[3]], rows, found.rows))


def test_a_damaged_index_never_reaches_the_library(run):
    PoolIndex.open(run).build()
    good = (run / "index.usearch").read_bytes()
    (run / "index.usearch").write_bytes(good[: len(good) // 2])
    told = Told()
    assert PoolIndex.open(run, narrator=told).search(row=3, method="index").method == "index"
    assert "`index.usearch` had been damaged or changed" in told.warnings[0]
    assert (run / "index.usearch").read_bytes() == good


def test_without_the_library_every_sample_is_compared_and_that_is_said(run, monkeypatch):
    for name in ("usearch", "usearch.index"):
        monkeypatch.setitem(sys.modules, name, None)
    told = Told()
    opened = PoolIndex.open(run, narrator=told)
    found = opened.search(row=3, method="index")
    assert found.method == "exact"
    assert np.array_equal(found.rows, opened.search(row=3).rows)
    assert told.warnings[0].startswith("usearch could not be loaded: ")
    assert told.warnings[0].endswith(": every sample is compared instead")


def test_a_text_can_be_embedded_after_the_index_was_loaded(run):
    """In a process of its own: loaded in the wrong order, the two libraries end it."""
    code = (
        "import sys; from ds2_fast import PoolIndex; opened = PoolIndex.open(sys.argv[1]); "
        "opened.build(); print(opened.search(text='hello', k=3, method='index').method)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, run], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "index\n"), done.stderr


@pytest.mark.parametrize("method", ["exact", "index"])
def test_what_is_added_is_found_and_marked(made, run, method):
    texts = texts_of(made)
    rows = np.load(run / "embeddings.npy")
    sums = {name: data for name, data in contents(run).items() if name != "manifest.json"}
    opened = PoolIndex.open(run)
    if method == "index":
        assert opened.build()
        index = (run / "index.usearch").read_bytes()
    new = ["how do rivers reach the sea", texts[9]]
    assert opened.add(ids=["x0", "x1"], texts=new, source="more.jsonl") == range(COUNT, COUNT + 2)
    assert opened.add(rows[4][None], ["x2"]) == range(COUNT + 2, COUNT + 3)
    assert opened.add(rows[5:7]) == range(COUNT + 3, COUNT + 5)
    again = PoolIndex.open(run)
    for index_of in (opened, again):
        assert len(index_of) == COUNT + 5
        found = index_of.search(text=new[0], k=2, method=method)
        assert found.method == method
        first = index_of.matches(found)[0]
        assert (first.row, first.id, first.text, first.source, first.added) == (
            COUNT, "x0", new[0], "more.jsonl", True,
        )  # fmt: skip
        assert first.score is None
        # A copy of row 9, of the same similarity to it as itself, comes after the pool's own.
        copy = index_of.search(id="x1", k=1, method=method)
        assert copy.similarities[0, 0] > 0.9999
        assert copy.rows[0, 0] == 9 or texts[copy.rows[0, 0]] == texts[9]
        twin = index_of.search(row=4, k=1, method=method)
        assert (twin.rows[0, 0], twin.similarities[0, 0]) == (COUNT + 2, 1.0)
    table = pl.read_parquet(run / "added.parquet")
    assert table["ds2_id"].to_list() == ["x0", "x1", "x2", None, None]
    assert table["text"].to_list() == [*new, None, None, None]
    assert table["source"].to_list() == ["more.jsonl"] * 2 + ["added"] * 3
    # The run is what it was; the index of its pool, too.
    after = contents(run)
    assert all(after[name] == data for name, data in sums.items() if name != "lock")
    if method == "index":
        assert after["index.usearch"] == index
        assert (run / "added.usearch").is_file()
    else:
        assert "added.usearch" not in after


def test_the_index_of_what_was_added_follows_the_table(run):
    rows = np.load(run / "embeddings.npy")
    opened = PoolIndex.open(run)
    opened.build()
    opened.add(rows[:3] + np.float16(0.01))
    first = (run / "added.usearch").read_bytes()
    opened.add(rows[3:5] + np.float16(0.01))
    grown = (run / "added.usearch").read_bytes()
    assert grown != first
    expected = opened.search(row=COUNT + 4, k=5, method="index").rows
    # Killed between the table and its index, or with the index lost: it is made again.
    for state in (first, b"broken", None):
        (run / "added.usearch").unlink()
        if state is not None:
            (run / "added.usearch").write_bytes(state)
        found = PoolIndex.open(run).search(row=COUNT + 4, k=5, method="index")
        assert np.array_equal(found.rows, expected)
        assert (run / "added.usearch").read_bytes() not in (first, state)


def test_a_failed_write_leaves_what_was_there(run, monkeypatch):
    rows = np.load(run / "embeddings.npy")
    opened = PoolIndex.open(run)
    opened.add(rows[:3])
    before = (run / "added.parquet").read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises((OSError, RunError), match=r"(?i)no space left"):
        opened.add(rows[3:5])
    monkeypatch.undo()
    assert (run / "added.parquet").read_bytes() == before
    assert len(PoolIndex.open(run)) == COUNT + 3


def test_two_that_add_lose_nothing(run):
    rows = np.load(run / "embeddings.npy")
    one, two = PoolIndex.open(run), PoolIndex.open(run)
    one.add(rows[:2], ["a", "b"])
    assert two.add(rows[2:3], ["c"]) == range(COUNT + 2, COUNT + 3)
    with pytest.raises(PoolError, match=r"^a sample with the id `b` is there already$"):
        two.add(rows[:1], ["b"])
    with pytest.raises(PoolError, match=r"^a sample with the id `d` is there already$"):
        two.add(rows[:2], ["d", "d"])
    assert pl.read_parquet(run / "added.parquet")["ds2_id"].to_list() == ["a", "b", "c"]


def test_added_samples_of_other_embeddings_are_refused(made, run, tmp_path):
    rows = np.load(run / "embeddings.npy")
    stale = PoolIndex.open(run)
    stale.add(rows[:2])
    other = make_model(tmp_path / "other", seed=8)
    pool = made / "pool.parquet"
    ds2_fast.select(pool, 20, score_col="rating", embedder=str(other), run_dir=run)
    with pytest.raises(RunError, match=r"belongs to other embeddings than .* has now$"):
        PoolIndex.open(run)
    with pytest.raises(RunError, match=r"has other embeddings than when it was opened$"):
        stale.add(rows[:2])
    with pytest.raises(RunError, match=r"has other embeddings than when it was opened$"):
        stale.build()
    (run / "added.parquet").write_bytes(b"PAR1 broken")
    with pytest.raises(RunError, match=r"added\.parquet` is damaged"):
        PoolIndex.open(run)


def test_misuse_is_named(run):
    opened = PoolIndex.open(run)
    rows = np.load(run / "embeddings.npy")
    dim = rows.shape[1]
    with pytest.raises(TypeError, match=r"^give exactly one of `text`, `row`, `id` and `vectors`$"):
        opened.search()
    with pytest.raises(TypeError, match=r"^give exactly one"):
        opened.search(row=1, text="a")
    with pytest.raises(ValueError, match=r"^k must be at least 1, got 0$"):
        opened.search(row=1, k=0)
    with pytest.raises(ValueError, match=r"^method: expected exact or index, got 'fast'$"):
        opened.search(row=1, method="fast")
    with pytest.raises(PoolError, match=r"^there is no row 200: the pool has 200"):
        opened.search(row=COUNT)
    with pytest.raises(PoolError, match=r"^there is no row -1"):
        opened.search(row=-1)
    with pytest.raises(PoolError, match=r"^no sample has the id `nobody`$"):
        opened.search(id="nobody")
    for vectors, message in [
        (np.ones((2, dim + 1), np.float32), rf"^expected floats \(m, {dim}\), as the run has them"),
        (np.ones((2, dim), np.int64), r"^expected floats"),
        (np.zeros((2, dim), np.float32), r"^vector 0 is zero, and has no direction$"),
        (np.full((2, dim), np.nan, np.float32), r"^vector 0 is not finite$"),
    ]:
        with pytest.raises(ValueError, match=message):
            opened.search(vectors=vectors)
        with pytest.raises(ValueError, match=message):
            opened.add(vectors)
    with pytest.raises(TypeError, match=r"^give `embeddings` or `texts`$"):
        opened.add(ids=["a"])
    with pytest.raises(ValueError, match=r"^2 samples are added, with 1 ids$"):
        opened.add(rows[:2], ["a"])
    assert opened.add(rows[:0]) == range(COUNT, COUNT)
    assert not (run / "added.parquet").exists()


def test_ids_that_occur_twice_are_not_guessed(tmp_path):
    frame = pl.read_parquet(POOL).head(30).with_columns(pl.lit("same").alias("id"))
    frame.write_parquet(tmp_path / "pool.parquet")
    ds2_fast.select(
        tmp_path / "pool.parquet", 5, score_col="rating", space="lexical", run_dir=tmp_path / "run"
    )
    with pytest.raises(PoolError, match=r"^30 samples have the id `same`, rows 0 and 1 first$"):
        PoolIndex.open(tmp_path / "run").search(id="same")


@pytest.mark.parametrize("space", ["lexical", "hybrid"])
def test_a_space_with_words_answers_rows_and_texts(tmp_path, model, space):
    file = tmp_path / "pool.parquet"
    pl.read_parquet(POOL).head(60).write_parquet(file)
    options = {"embedder": str(model)} if space == "hybrid" else {}
    ds2_fast.select(file, 5, score_col="rating", space=space, seed=3, html=False, **options)
    opened = PoolIndex.open(tmp_path / "pool.ds2")
    rows = np.load(tmp_path / "pool.ds2" / f"{space}.npy")
    exact = find_neighbors(rows, 5, allow_zero=True)
    for method in ("exact", "index"):
        found = opened.search(row=7, k=5, method=method)
        assert np.array_equal(found.similarities[0], exact.similarities[7])
    texts = ds2_fast.read_pool(file).texts()
    found = opened.search(text=texts[7], k=6)
    assert found.rows[0, 0] == 7
    assert found.similarities[0, 0] > 0.999
    assert np.allclose(found.similarities[0, 1:], exact.similarities[7], atol=2e-3)
    added = opened.add(texts=[texts[9]], ids=["mine"])
    assert opened.search(row=9, k=1).rows[0, 0] == added[0]
    if space == "lexical":
        with pytest.raises(PoolError, match="the text `xyzzy` shares no word with the pool"):
            opened.search(text="xyzzy")


def test_texts_find_no_place_in_a_space_of_another_pool(tmp_path):
    frame, file = pl.read_parquet(POOL), tmp_path / "pool.parquet"
    frame.head(60).write_parquet(file)
    ds2_fast.select(file, 5, score_col="rating", space="lexical", html=False)
    frame[300:360].write_parquet(file)
    with pytest.raises(Ds2Error, match="pool"):
        PoolIndex.open(tmp_path / "pool.ds2").search(text="rain")
    file.unlink()
    with pytest.raises(Ds2Error, match="pool"):
        PoolIndex.open(tmp_path / "pool.ds2").search(text="rain")


@pytest.mark.parametrize("named", [True, False])
def test_given_embeddings_joined_with_words_need_their_model_named(tmp_path, model, named):
    from ds2_fast.embedding import load_embedder

    file = tmp_path / "pool.parquet"
    pl.read_parquet(POOL).head(60).write_parquet(file)
    texts = ds2_fast.read_pool(file).texts()
    np.save(tmp_path / "rows.npy", load_embedder(str(model)).embed(texts))
    ds2_fast.select(
        file, 5, score_col="rating", embeddings=tmp_path / "rows.npy", space="hybrid", html=False
    )
    if named:
        opened = PoolIndex.open(tmp_path / "pool.ds2", model=str(model))
        assert opened.search(text=texts[7], k=1).rows[0, 0] == 7
        other = make_model(tmp_path / "other", hidden=48)
        with pytest.raises(PoolError, match="give 304 dimensions, and the rows of"):
            PoolIndex.open(tmp_path / "pool.ds2", model=str(other)).search(text="rain")
        return
    with pytest.raises(PoolError, match="no model is known for them"):
        PoolIndex.open(tmp_path / "pool.ds2").search(text="rain")


def test_embeddings_that_were_given_need_a_model_named(made, tmp_path, model):
    pool, file = made / "pool.parquet", tmp_path / "rows.npy"
    rows = np.load(made / "pool.ds2" / "embeddings.npy")
    np.save(file, rows)
    folder = tmp_path / "run"
    ds2_fast.select(pool, 20, score_col="rating", embeddings=file, run_dir=folder)
    opened = PoolIndex.open(folder)
    assert opened.search(row=1, k=3).rows.shape == (1, 3)
    with pytest.raises(PoolError, match=r"were given, and no model is known for them$") as caught:
        opened.search(text="hello")
    assert "--model" in caught.value.hint
    text = texts_of(made)[42]
    found = PoolIndex.open(folder, model=str(model)).search(text=text, k=1)
    assert found.similarities[0, 0] > 0.9999
    other = make_model(tmp_path / "other", seed=8)
    with pytest.raises(PoolError, match=r"did not make the embeddings of .* has a cosine of "):
        PoolIndex.open(folder, model=str(other)).search(text=text)
    wide = make_model(tmp_path / "wide", hidden=32)
    with pytest.raises(PoolError, match=r"gives 32 dimensions, and the embeddings of .* have 64$"):
        PoolIndex.open(folder, model=str(wide)).search(text=text)
    np.save(file, rows[::-1])
    with pytest.raises(RunError, match=r"has changed since the run"):
        PoolIndex.open(folder)
    file.unlink()
    with pytest.raises(RunError, match=r"rows\.npy"):
        PoolIndex.open(folder)


@pytest.mark.parametrize("kind", ["column", "npz", "array"])
def test_embeddings_of_other_kinds(made, tmp_path, kind):
    rows = np.load(made / "pool.ds2" / "embeddings.npy").astype(np.float32)
    frame = pl.read_parquet(made / "pool.parquet").with_columns(pl.Series("emb", rows.tolist()))
    frame.write_parquet(tmp_path / "pool.parquet")
    ids = frame["id"].to_numpy()
    np.savez(tmp_path / "rows.npz", embeddings=rows[::-1], ids=ids[::-1].astype(str))
    source = {"column": "emb", "npz": tmp_path / "rows.npz", "array": rows}[kind]
    folder = tmp_path / "run"
    ds2_fast.select(
        tmp_path / "pool.parquet", 20, score_col="rating", embeddings=source, run_dir=folder
    )
    if kind == "array":
        with pytest.raises(RunError, match=r"were an array in memory$") as caught:
            PoolIndex.open(folder)
        assert "--embeddings FILE.npy" in caught.value.hint
        return
    exact = find_neighbors(rows, 5)
    assert np.array_equal(PoolIndex.open(folder).search(row=8, k=5).rows[0], exact.indices[8])


def test_a_model_that_changed_is_refused(made, run, tmp_path, model):
    other = make_model(tmp_path / "other", seed=8)
    with pytest.raises(
        PoolError, match=r"is not the model that embedded .*, or has changed since$"
    ):
        PoolIndex.open(run, model=str(other)).search(text="hello")
    with pytest.raises(ModelError):
        PoolIndex.open(run, model=str(tmp_path / "nowhere"), offline=True).search(text="hello")
    copy = shutil.copytree(model, tmp_path / "copy")
    assert PoolIndex.open(run, model=str(copy)).search(text="hello", k=1).rows.shape == (1, 1)


def test_folders_that_hold_no_pool_to_ask(run, tmp_path):
    with pytest.raises(RunError, match="is not a run directory"):
        PoolIndex.open(tmp_path / "nowhere")
    embeddings = (run / "embeddings.npy").read_bytes()
    (run / "embeddings.npy").write_bytes(embeddings[:100])
    with pytest.raises(RunError, match=r"embeddings\.npy"):
        PoolIndex.open(run)
    (run / "embeddings.npy").unlink()
    with pytest.raises(RunError, match=r"embeddings\.npy"):
        PoolIndex.open(run)
    manifest = json.loads((run / "manifest.json").read_text("utf-8"))
    del manifest["features"]
    (run / "manifest.json").write_text(json.dumps(manifest), "utf-8")
    with pytest.raises(RunError, match=r"does not tell of its features"):
        PoolIndex.open(run)


def test_a_pool_that_has_changed_is_asked_without_its_texts(made, tmp_path, model):
    folder = tmp_path / "made"
    folder.mkdir()
    shutil.copy(made / "pool.parquet", folder)
    ds2_fast.embed(folder / "pool.parquet", embedder=str(model))
    (folder / "pool.parquet").unlink()
    told = Told()
    opened = PoolIndex.open(folder / "pool.ds2", narrator=told)
    matches = opened.matches(opened.search(row=5, k=3))
    assert [match.text for match in matches] == [None] * 3
    assert len(told.warnings) == 1
    assert told.warnings[0].startswith("texts are not shown: `")
    assert "is gone or has changed since the run" in told.warnings[0]


def command(capsys, *arguments):
    code = main(["neighbors", *map(str, arguments)])
    out, err = capsys.readouterr()
    return code, out, err


def test_the_command_prints_a_table(capsys, made, run):
    code, out, err = command(capsys, run, "--row", 3, "-k", 4)
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].split() == ["rank", "row", "id", "similarity", "score", "curated", "text"]
    assert len(lines) == 5
    exact = PoolIndex.open(run).search(row=3, k=4)
    assert [int(line.split()[1]) for line in lines[1:]] == exact.rows[0].tolist()
    assert lines[1].split()[3] == f"{exact.similarities[0, 0]:.4f}"
    text = " ".join(texts_of(made)[exact.rows[0, 0]].split())
    assert text[:40] in lines[1]


def test_the_command_answers_in_json(capsys, made, run):
    text = texts_of(made)[42]
    code, out, err = command(capsys, run, "--text", text, "-k", 2, "--json", "--offline")
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert (found["query"], found["method"]) == ({"text": text}, "exact")
    assert [match["rank"] for match in found["matches"]] == [1, 2]
    assert found["matches"][0]["text"] == text


def test_the_command_adds_and_builds(capsys, run, tmp_path):
    more = pl.read_parquet(POOL)[COUNT : COUNT + 6]
    more.write_parquet(tmp_path / "more.parquet")
    code, out, err = command(
        capsys, run, "--add", tmp_path / "more.parquet", "--row", COUNT + 2, "--index", "-k", 3
    )
    assert code == 0
    assert "6 samples of" in err
    assert f"rows {COUNT} to {COUNT + 5}" in err
    assert "indexed 200 samples in index.usearch" in err
    assert "tested for 10 neighbors: recall " in err
    assert len(out.splitlines()) == 4
    code, out, _ = command(capsys, run, "--id", more["id"][1], "-k", COUNT + 10, "--json")
    added = [match for match in json.loads(out)["matches"] if match["added"]]
    assert len(added) == 5
    assert all(match["source"].endswith("more.parquet") for match in added)
    code, _, err = command(capsys, run, "--add", tmp_path / "more.parquet")
    assert code == 3
    assert "is there already" in err
    assert command(capsys, run, "--index")[:2] == (0, "")
    assert json.loads(command(capsys, run, "--index", "--json")[1]) == {"index": True}


def test_the_command_says_what_it_needs(capsys, run, tmp_path):
    for arguments, code, words in [
        ((run,), 2, "say what to look for: --text, --row or --id; or --add, or --index"),
        ((run, "--row", 1, "--id", "a"), 2, "give one of --row and --id"),
        ((run, "--row", 1, "-k", 0), 2, "-k"),
        ((run, "--row", 1000), 3, "there is no row 1000"),
        ((tmp_path / "nowhere", "--row", 1), 1, "is not a run directory"),
        ((run, "--add", tmp_path / "none.jsonl"), 3, "none.jsonl"),
    ]:
        got, out, err = command(capsys, *arguments)
        assert (got, out) == (code, ""), arguments
        assert words in err
