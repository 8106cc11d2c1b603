"""A run is verified as it is, on other threads and another kernel; a changed byte is named."""

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
from ds2_fast.errors import RunError, VerifyError
from ds2_fast.rundir import digest_files, digest_json, json_bytes
from ds2_fast.verifying.differing import difference
from rating_server import RatingServer
from tiny_bert import make_model

POOL = Path(__file__).parent.parent / "examples" / "sample_pool.parquet"
ROWS = 400
KINDS = {
    "given": {"embeddings": "rows.npy", "score_col": "rating", "n": "20,50"},
    "lexical": {"space": "lexical", "score_col": "rating", "k": 5, "noise_share": 0.9},
    "auto": {"embeddings": "rows.npy", "space": "auto", "score_col": "rating"},
    "model": {"embedder": "tiny", "score_col": "rating"},
    "usearch": {"embeddings": "rows.npy", "score_col": "rating", "knn": "usearch"},
    "paper": {"embeddings": "rows.npy", "score_col": "rating", "preset": "paper"},
    "reference": {"embeddings": "rows.npy", "score_col": "rating", "preset": "reference"},
    "panel": {"embeddings": "rows.npy", "score_col": ["rating", "second"]},
    "second rater": {
        "embeddings": "rows.npy", "score_col": "rating", "second_rater": "second", "pool": "pool2",
    },
    "safe": {
        "space": "lexical", "score_col": "rating", "dedup": 0.9, "fill": "kcenter",
        "min_share": 0.2, "pool_options": {"group_col": "half"},
    },
    "budget": {"embeddings": "rows.npy", "score_col": "rating", "budget": 200},
    "curated only": {"embeddings": "rows.npy", "score_col": "rating", "n": None},
}  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a pool, its rows and a model."""
    folder = tmp_path_factory.mktemp("verifying")
    frame = pl.read_parquet(POOL).head(ROWS).drop("truth")
    rng = np.random.default_rng(4)
    frame = frame.with_columns(
        second=pl.Series(np.clip(frame["rating"].to_numpy() + rng.integers(-1, 2, ROWS), 0, 5)),
        half=pl.Series(["a", "b"] * (ROWS // 2)),
    )
    frame.write_parquet(folder / "pool.parquet")
    pl.concat([frame, frame]).write_parquet(folder / "pool2.parquet")
    frame.drop("rating", "second").write_parquet(folder / "unrated.parquet")
    rows = rng.standard_normal((2 * ROWS, 16)).astype(np.float32)
    np.save(folder / "rows2.npy", rows)
    np.save(folder / "rows.npy", rows[:ROWS])
    make_model(folder / "tiny")
    return folder


def run(made: Path, folder: Path, *, pool: str = "pool", **options) -> Path:
    for name in ("embeddings", "embedder"):
        if name in options:
            twice = "2" if pool == "pool2" else ""
            options[name] = made / options[name].replace(".npy", f"{twice}.npy")
    if "embedder" in options:
        options["embedder"] = str(options["embedder"])
    n = options.pop("n", 30)
    ds2_fast.select(made / f"{pool}.parquet", n, run_dir=folder, html=False, **options)
    return folder


@pytest.fixture(scope="module")
def given(made, tmp_path_factory):
    return run(made, tmp_path_factory.mktemp("given") / "run", **KINDS["given"])


@pytest.fixture
def own(made, tmp_path):
    """A pool, rows, a model and a run of one's own, to be damaged."""
    shutil.copytree(made, tmp_path / "in")
    folder = run(tmp_path / "in", tmp_path / "run", **KINDS["model"])
    return tmp_path / "in", folder


def flip(file: Path, at: int = -20) -> None:
    data = bytearray(file.read_bytes())
    data[at] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("deep", [False, True])
def test_a_run_of_every_kind_is_verified(made, tmp_path, kind, deep):
    folder = run(made, tmp_path / "run", **KINDS[kind])
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    found = ds2_fast.verify_run(folder, deep=deep)
    assert ("neighbors" in found.repeated) is deep
    assert found.repeated[-1] == "selection"
    assert any(name.startswith("transition") for name in found.repeated)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


def test_a_run_that_rated_is_verified_and_its_journal_may_grow(made, tmp_path):
    with RatingServer() as server:
        options = {"api_base": server.base, "endpoint_label": "test", "max_concurrency": 8}
        folder = run(
            made, tmp_path / "run", pool="unrated", model="openai/rater", rating_options=options,
            space="lexical",
        )  # fmt: skip
    manifest = json.loads((folder / "manifest.json").read_bytes())
    assert manifest["stages"]["rating"]["params"]["prompt"]
    assert sum(manifest["provenance"]["models_answered"].values()) > 0
    ds2_fast.verify_run(folder)
    journal = folder / "ratings.jsonl"
    with journal.open("ab") as file:
        file.write(b'{"later": 1}\n')
    ds2_fast.verify_run(folder)
    flip(journal, 40)
    with pytest.raises(VerifyError, match=r"ratings\.jsonl` has changed since the run"):
        ds2_fast.verify_run(folder)


@pytest.mark.parametrize(
    "environment", [{"RAYON_NUM_THREADS": "1"}, {"RAYON_NUM_THREADS": "5"},
                    {"DS2_FAST_KERNEL": "portable"}]
)  # fmt: skip
def test_other_threads_and_another_kernel_give_the_same(given, environment):
    done = subprocess.run(
        [sys.executable, "-m", "ds2_fast", "verify", given, "--deep", "--json"],
        env={**os.environ, **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["verified"]
    assert found["repeated"] == [
        "neighbors", "transition", "intervals", "curation", "long tail", "map", "selection",
    ]  # fmt: skip
    assert found["versions"]["kernel"] == environment.get(
        "DS2_FAST_KERNEL", found["versions_then"]["kernel"]
    )


def test_a_changed_byte_of_every_file_of_the_run_is_named(given, tmp_path):
    left = sorted(file.name for file in given.iterdir() if file.name != "lock")
    assert {"manifest.json", "transition.json", "scores.parquet", "neighbors.npy"} <= set(left)
    for name in left:
        folder = tmp_path / name
        shutil.copytree(given, folder)
        flip(folder / name)
        with pytest.raises((VerifyError, RunError), match=name.replace(".", r"\.")) as caught:
            ds2_fast.verify_run(folder)
        assert caught.value.hint


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("pool.parquet", r"the pool `.*pool\.parquet` has changed since the run"),
        ("tiny/tokenizer.json", r"the model `.*tiny` is another one|the model `.*tiny`: "),
        ("tiny/model.safetensors", r"the model `.*tiny` is another one"),
    ],
)
def test_a_changed_byte_of_an_input_is_named(own, file, said):
    ds2_fast.verify_run(own[1])
    flip(own[0] / file)
    with pytest.raises(VerifyError, match=said):
        ds2_fast.verify_run(own[1])


def test_changed_or_lost_embeddings_are_named(made, tmp_path):
    shutil.copytree(made, tmp_path / "in")
    folder = run(tmp_path / "in", tmp_path / "run", **KINDS["given"])
    moved = tmp_path / "moved.npy"
    (tmp_path / "in" / "rows.npy").rename(moved)
    with pytest.raises(VerifyError, match=r"rows\.npy` are gone") as caught:
        ds2_fast.verify_run(folder)
    assert "--embeddings" in caught.value.hint
    ds2_fast.verify_run(folder, embeddings=str(moved))
    flip(moved)
    with pytest.raises(VerifyError, match=r"moved\.npy` have changed since the run"):
        ds2_fast.verify_run(folder, embeddings=str(moved))


def test_a_pool_that_was_moved_is_found_where_it_is_said_to_be(own):
    source, folder = own
    moved = source / "elsewhere.parquet"
    (source / "pool.parquet").rename(moved)
    with pytest.raises(VerifyError, match=r"pool\.parquet` is gone") as caught:
        ds2_fast.verify_run(folder)
    assert "--pool" in caught.value.hint
    ds2_fast.verify_run(folder, pool=str(moved))
    flip(moved)
    with pytest.raises(VerifyError, match=r"elsewhere\.parquet` has changed since the run"):
        ds2_fast.verify_run(folder, pool=str(moved))


def test_a_pool_that_was_only_touched_is_the_same(own):
    os.utime(own[0] / "pool.parquet", (1, 1))
    ds2_fast.verify_run(own[1])


def test_an_audit_that_changed_is_named(made, tmp_path):
    audit = tmp_path / "audit.csv"
    ids = pl.read_parquet(made / "pool.parquet")["rating"].head(80)
    pl.DataFrame({"row": range(80), "score": ids}).write_csv(audit)
    folder = run(made, tmp_path / "run", embeddings="rows.npy", score_col="rating", audit=audit)
    ds2_fast.verify_run(folder)
    flip(audit, -2)
    with pytest.raises(VerifyError, match=r"audit\.csv` has changed since the run"):
        ds2_fast.verify_run(folder)


def forge(folder: Path, stage: str, file: str) -> None:
    """Make digests and seal fit a changed artifact."""
    manifest = json.loads((folder / "manifest.json").read_bytes())
    entry = manifest["stages"][stage]
    files = tuple(folder / name for name in entry["files"])
    entry["digest"] = digest_files(files)
    entry["file_digests"][entry["files"].index(file)] = digest_files((folder / file,))
    if stage == "curation":
        manifest["stages"]["selection"]["inputs"]["curation"] = entry["digest"]
    del manifest["seal"]
    manifest["seal"] = digest_json(manifest)
    (folder / "manifest.json").write_bytes(json_bytes(manifest))


def test_forged_results_with_fitting_digests_do_not_come_out_again(given, tmp_path):
    def change_t(file):
        stored = json.loads(file.read_bytes())
        stored["T"][2][2] = float(np.nextafter(stored["T"][2][2], 1))
        file.write_bytes(json_bytes(stored))

    def change_expected(file):
        frame = pl.read_parquet(file)
        expected = frame["expected"].to_numpy().copy()
        expected[7] = np.nextafter(expected[7], 9)
        frame.with_columns(expected=expected).write_parquet(file)

    def change_selected(file):
        lines = file.read_text().splitlines()
        file.write_text("\n".join([lines[1], lines[0], *lines[2:], ""]))

    for stage, name, change, said in (
        ("transition", "transition.json", change_t, r"`T\[2\]\[2\]` is"),
        ("curation", "curated.parquet", change_expected, r"`expected` is .* at row 7 \(1 of"),
        ("selection", "selected.txt", change_selected, "other lines"),
    ):
        folder = tmp_path / name
        shutil.copytree(given, folder)
        change(folder / name)
        forge(folder, stage, name)
        with pytest.raises(VerifyError, match=f"`{name}` comes out differently .*{said}"):
            ds2_fast.verify_run(folder)


def test_only_a_deep_check_finds_forged_neighbors(given, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(given, folder)
    file = folder / "similarities.npy"
    rows = np.load(file)
    rows[3, -1] = np.nextafter(rows[3, -1], np.float32(-1))
    np.save(file, rows)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    before = manifest["stages"]["neighbors"]["digest"]
    after = digest_files(tuple(folder / name for name in manifest["stages"]["neighbors"]["files"]))
    (folder / "manifest.json").write_text(
        (folder / "manifest.json").read_text().replace(before, after)
    )
    forge(folder, "neighbors", "similarities.npy")
    with pytest.raises(VerifyError, match=r"`similarities\.npy` comes out .* at row 3 \(1 of"):
        ds2_fast.verify_run(folder, deep=True)


def test_what_cannot_be_verified_is_said(made, tmp_path):
    with pytest.raises(RunError, match="is not a run directory"):
        ds2_fast.verify_run(tmp_path)
    folder = tmp_path / "run"
    frame = pl.read_parquet(made / "pool.parquet")
    ds2_fast.select(frame, 20, run_dir=folder, score_col="rating", space="lexical")
    with pytest.raises(RunError, match="was not in files"):
        ds2_fast.verify_run(folder)
    ds2_fast.embed(made / "pool.parquet", run_dir=tmp_path / "embedded", space="lexical")
    with pytest.raises(RunError, match="does not say what it was made from"):
        ds2_fast.verify_run(tmp_path / "embedded")


def test_the_command_exits_with_7(own, capsys):
    assert main(["verify", str(own[1]), "-q"]) == 0
    flip(own[0] / "pool.parquet")
    assert main(["verify", str(own[1]), "-q"]) == 7
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith("error: the pool `")
    assert "\nhint: bring back the file" in err


def test_values_are_compared_by_their_bits(tmp_path):
    for name, values in (("a", [0.0, np.nan]), ("b", [-0.0, np.nan])):
        np.save(tmp_path / f"{name}.npy", np.array(values))
        pl.DataFrame({"x": values}).write_parquet(tmp_path / f"{name}.parquet")
        (tmp_path / f"{name}.json").write_text(json.dumps({"x": values[:1], "kernel": name}))
    for end, said in (("npy", "at row 0"), ("parquet", "`x` is -0.0"), ("json", "`x[0]` is -0.0")):
        a, b = tmp_path / f"a.{end}", tmp_path / f"b.{end}"
        assert difference(a, a) is None
        assert said in str(difference(a, b))
