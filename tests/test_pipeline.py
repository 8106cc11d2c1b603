"""The whole line on the sample pool: reuse, resume after kill -9, nested subsets, what is
refused."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import ds2_fast
from ds2_fast.errors import PoolError, RunError, TrustError
from ds2_fast.progress import Narrator

POOL = Path(__file__).parent.parent / "examples" / "sample_pool.parquet"
LINE = [
    "lexical",
    "neighbors",
    "transition",
    "intervals",
    "curation",
    "long tail",
    "map",
    "selection",
]
OPTIONS = {"score_col": "rating", "space": "lexical", "html": False}


class Told(Narrator):
    """Remembers what was said."""

    def __init__(self):
        self.lines, self.warnings = [], []

    def done(self, name, text):
        self.lines.append((name, text))

    def warn(self, text):
        self.warnings.append(text)

    @property
    def reused(self):
        return [name for name, text in self.lines if text.endswith("(reused)")]


def contents(folder: Path) -> dict[str, str]:
    """Every artifact's digest; the manifest holds times and the lock a process id, so they are
    left out."""
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.iterdir())
        if file.name not in ("manifest.json", "lock")
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    result = ds2_fast.select(
        POOL, 100, run_dir=folder / "run", output=folder / "out.jsonl", **OPTIONS
    )
    return folder, result


def test_the_result_is_what_was_asked_for(undisturbed):
    folder, result = undisturbed
    pool = pl.read_parquet(POOL)
    assert len(result.indices) == len(set(result.indices.tolist())) == 100
    assert result.frame.equals(pool[result.indices])
    assert result.scores.height == pool.height
    assert result.scores["ds2_index"].to_list() == list(range(pool.height))
    assert result.scores["ds2_selected"].sum() == 100
    chosen = result.scores.filter("ds2_selected").sort("ds2_rank")["ds2_index"]
    assert chosen.to_list() == result.indices.tolist()
    assert (folder / "run" / "selected.txt").read_text().split() == [str(i) for i in result.indices]
    lines = (folder / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["id"] for line in lines] == result.frame["id"].to_list()
    assert json.loads((folder / "run" / "report.json").read_text()) == result.report


def test_a_second_run_reuses_everything_and_a_changed_parameter_only_what_comes_before(
    undisturbed, tmp_path
):
    folder, _ = undisturbed
    for options, reused in [
        ({}, LINE),
        ({"n": 200}, LINE[:-1]),
        ({"noise_share": 0.25}, [*LINE[:4], "long tail", "map"]),
        ({"k": 5}, ["lexical", "neighbors", "map"]),
    ]:
        told = Told()
        arguments = {"n": 100, **OPTIONS, **options}
        ds2_fast.select(POOL, run_dir=folder / "run", narrator=told, **arguments)
        assert told.reused == reused, options
        ds2_fast.select(POOL, 100, run_dir=folder / "run", **OPTIONS)


def test_nested_subsets_are_prefixes_of_one_ranking(undisturbed, tmp_path):
    _, result = undisturbed
    nested = ds2_fast.select(
        POOL, "50,100,200", run_dir=tmp_path / "run", output=tmp_path / "out.parquet", **OPTIONS
    )
    assert nested.sizes == (50, 100, 200)
    assert nested.indices[:100].tolist() == result.indices.tolist()
    for size in nested.sizes:
        assert pl.read_parquet(tmp_path / f"out-{size}.parquet").equals(nested.frame[:size])


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_bytes_do_not_depend_on_the_number_of_threads(undisturbed, tmp_path, threads):
    folder, _ = undisturbed
    ds2_fast.select(POOL, 100, run_dir=tmp_path / "run", threads=threads, **OPTIONS)
    assert contents(tmp_path / "run") == contents(folder / "run")


KILLER = textwrap.dedent(
    """
    import os, signal, sys
    from contextlib import contextmanager
    import ds2_fast
    from ds2_fast.progress import Narrator

    pool, folder, stage, moment = sys.argv[1:]

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    class Killer(Narrator):
        @contextmanager
        def stage(self, name, unit):
            def progress(done, total):
                if name == stage and moment == "middle" and done * 2 >= total:
                    die()
            yield progress
            if name == stage and moment == "end":
                die()
        def done(self, name, text):
            if name == stage and moment == "done":
                die()

    ds2_fast.select(pool, 100, run_dir=folder + "/run", output=folder + "/out.jsonl",
                    score_col="rating", space="lexical", narrator=Killer())
    """
)


@pytest.mark.parametrize(
    ("stage", "moment"),
    [
        ("lexical", "middle"),
        ("neighbors", "middle"),
        *((stage, "end") for stage in LINE),
        ("wrote", "done"),
    ],
)
def test_killed_in_any_stage_a_rerun_gives_the_bytes_of_an_undisturbed_run(
    undisturbed, tmp_path, stage, moment
):
    folder, _ = undisturbed
    killed = subprocess.run(
        [sys.executable, "-c", KILLER, str(POOL), str(tmp_path), stage, moment], check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert stage == "wrote" or not (tmp_path / "out.jsonl").exists()
    told = Told()
    ds2_fast.select(
        POOL, 100, run_dir=tmp_path / "run", output=tmp_path / "out.jsonl", narrator=told, **OPTIONS
    )
    assert contents(tmp_path / "run") == contents(folder / "run")
    assert (tmp_path / "out.jsonl").read_bytes() == (folder / "out.jsonl").read_bytes()
    before = LINE.index(stage) if stage in LINE else len(LINE)
    assert told.reused[:before] == LINE[:before], "finished stages are not made again"


ARTIFACTS = (
    "lexical.npy",
    "neighbors.npy",
    "similarities.npy",
    "transition.json",
    "intervals.json",
    "curated.parquet",
    "curation.json",
    "longtail.npy",
    "map.npy",
    "scores.parquet",
    "selected.txt",
)


@pytest.mark.parametrize("file", ARTIFACTS)
def test_a_damaged_artifact_is_made_anew_and_said(undisturbed, tmp_path, file):
    folder, _ = undisturbed
    run = shutil.copytree(folder / "run", tmp_path / "run")
    os.truncate(run / file, (run / file).stat().st_size // 2)
    told = Told()
    ds2_fast.select(POOL, 100, run_dir=run, narrator=told, **OPTIONS)
    assert any(f"`{file}`" in text and "damaged" in text for text in told.warnings)
    assert len(told.reused) == len(LINE) - 1
    assert contents(run) == contents(folder / "run")


@pytest.mark.parametrize("preset", ["default", "paper", "reference"])
@pytest.mark.parametrize("curation", [None, "none"])
def test_every_preset_selects(tmp_path, preset, curation):
    result = ds2_fast.select(
        POOL, 50, preset=preset, curation=curation, run_dir=tmp_path / "run", **OPTIONS
    )
    assert len(set(result.indices.tolist())) == 50


def test_a_frame_needs_no_run_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame = pl.read_parquet(POOL)
    result = ds2_fast.select(frame, "1%", **OPTIONS)
    assert result.run_dir is None
    assert len(result.indices) == frame.height // 100
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("k", [1, 256])
def test_a_number_of_neighbors_that_cannot_be_counted_is_refused(k):
    with pytest.raises(ValueError, match=f"k must lie in 2..255, got {k}"):
        ds2_fast.select(POOL, 5, k=k, **OPTIONS)


def test_the_trust_check_names_scores_as_the_user_does():
    frame = pl.read_parquet(POOL).head(300).with_columns(pl.col("rating") * 2 - 7)
    reasons = ds2_fast.select(frame, 5, scale="observed", **OPTIONS).trust.reasons
    (rare,) = (reason for reason in reasons if "too few samples" in reason)
    assert "-7" in rare
    assert " 0" not in rare


def test_given_embeddings_need_no_model(tmp_path):
    frame = pl.read_parquet(POOL)
    rows = np.random.default_rng(0).standard_normal((frame.height, 16)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    result = ds2_fast.select(
        POOL,
        10,
        score_col="rating",
        embeddings=tmp_path / "rows.npy",
        run_dir=tmp_path / "run",
        offline=True,
    )
    assert result.report["features"]["dimensions"] == 16
    # Random directions know nothing of the ratings: curation switches itself off, and says so.
    assert result.report["curation"]["switched_off"]
    assert result.report["curation"]["changed"] == 0
    with pytest.raises(TrustError, match="says not to curate"):
        ds2_fast.select(
            POOL,
            10,
            score_col="rating",
            embeddings=tmp_path / "rows.npy",
            run_dir=tmp_path / "run",
            strict=True,
        )


def test_all_but_the_outliers_can_be_selected_and_more_is_refused(tmp_path):
    rows = pl.read_parquet(POOL).height
    with pytest.raises(PoolError) as error:
        ds2_fast.select(POOL, rows, run_dir=tmp_path / "run", **OPTIONS)
    assert "set aside" in error.value.message
    result = ds2_fast.select(POOL, rows, run_dir=tmp_path / "run", keep_outliers=True, **OPTIONS)
    assert len(result.indices) == rows


def test_unrated_samples_are_neither_selected_nor_given_a_score(tmp_path):
    frame = pl.read_parquet(POOL).with_columns(
        pl.when(pl.int_range(pl.len()) % 10 == 0).then(None).otherwise("rating").alias("rating")
    )
    result = ds2_fast.select(frame, "50%", **OPTIONS)
    assert not (result.indices % 10 == 0).any()
    missing = result.scores.filter(pl.col("ds2_score").is_null())
    assert missing["ds2_index"].to_list() == list(range(0, frame.height, 10))
    assert missing["ds2_reason"].unique().to_list() == ["unrated"]
    assert missing["ds2_score_curated"].null_count() == missing.height


def test_the_score_sheet_is_that_of_this_run_even_where_the_classes_are_the_same(tmp_path):
    options = {**OPTIONS, "scale": "1-10", "run_dir": tmp_path / "run"}
    frame = pl.read_parquet(POOL).head(200).with_columns(pl.col("rating") + 4)
    ids = frame.with_columns("new-" + pl.col("id"))
    ratings = ids.with_columns(pl.col("rating").replace(9, 10))
    for pool in (frame, ids, ratings):
        result = ds2_fast.select(pool, 10, **options)
        kept = pl.read_parquet(tmp_path / "run" / "scores.parquet")
        for sheet in (result.scores, kept):
            assert sheet["ds2_id"].to_list() == pool["id"].to_list()
            assert sheet["ds2_score_raw"].to_list() == pool["rating"].to_list()


def test_too_few_rated_samples_are_said(tmp_path):
    frame = pl.read_parquet(POOL).head(200)
    few = frame.with_columns(rating=pl.when(pl.int_range(pl.len()) < 3).then("rating"))
    for preset in ("default", "paper", "reference"):
        with pytest.raises(PoolError, match="rated") as error:
            ds2_fast.select(few, 1, score_col="rating", scale="0-5", space="lexical", preset=preset)
        assert error.value.hint


def test_a_report_never_tells_of_scores_that_were_replaced(tmp_path):
    class Stopped(Narrator):
        def done(self, name, text):
            if name == "selection":
                raise KeyboardInterrupt

    run = tmp_path / "run"
    frame = pl.read_parquet(POOL).head(200)
    ds2_fast.select(frame, 10, run_dir=run, **OPTIONS)
    with pytest.raises(PoolError):
        ds2_fast.select(frame, 200, run_dir=run, **OPTIONS)
    assert (run / "report.json").exists(), "the scores it tells of are still there"
    with pytest.raises(KeyboardInterrupt):
        ds2_fast.select(frame, 20, run_dir=run, narrator=Stopped(), **OPTIONS)
    assert not (run / "report.json").exists()


ENCODINGS = """
import sys, warnings
import ds2_fast, polars, rich.console
warnings.filterwarnings("error", category=EncodingWarning, module="ds2_fast")
for preset in ("default", "reference"):
    ds2_fast.select(sys.argv[1], 5, output=sys.argv[2], score_col="größe", space="lexical",
                    preset=preset, run_dir=sys.argv[3])
from ds2_fast.cli import main
sys.exit(main(["report", sys.argv[3], "--json"]))
"""


def test_files_are_utf_8_whatever_the_system_prefers(tmp_path):
    file = tmp_path / "größe.parquet"
    pl.read_parquet(POOL).head(200).rename({"rating": "größe"}).write_parquet(file)
    arguments = [file, tmp_path / "out.jsonl", tmp_path / "run"]
    command = [sys.executable, "-X", "warn_default_encoding", "-c", ENCODINGS, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout.isascii(), "any terminal can print it"
    assert json.loads(done.stdout)["pool"]["sources"] == [str(file)]
    for kept in (tmp_path / "run").glob("*.json"):
        json.loads(kept.read_bytes().decode("utf-8"), parse_constant=pytest.fail)


def test_the_report_holds_only_numbers_that_json_has(tmp_path):
    frame = pl.read_parquet(POOL).head(60)
    for preset in ("default", "paper", "reference"):
        for ratings in (pl.col("rating"), pl.lit(3)):
            result = ds2_fast.select(
                frame.with_columns(rating=ratings), 3, preset=preset, scale="0-5", **OPTIONS
            )
            json.dumps([result.report, result.manifest], allow_nan=False)


def test_the_output_is_never_the_input(tmp_path):
    copy = tmp_path / "pool.parquet"
    copy.write_bytes(POOL.read_bytes())
    with pytest.raises(PoolError, match="never written over"):
        ds2_fast.select(copy, 10, output=copy, run_dir=tmp_path / "run", **OPTIONS)
    assert copy.read_bytes() == POOL.read_bytes()


@pytest.mark.skipif(os.name != "posix", reason="folder permissions")
def test_an_output_that_cannot_be_written_leaves_nothing(tmp_path):
    with pytest.raises(RunError, match="no folder"):
        ds2_fast.select(
            POOL, 10, output=tmp_path / "no" / "out.jsonl", run_dir=tmp_path / "run", **OPTIONS
        )
    assert not (tmp_path / "no").exists()


@pytest.mark.parametrize(
    ("given", "unused"),
    [
        ({"space": "lexical", "embeddings": True}, "`--embeddings`"),
        ({"space": "lexical", "embedder": "some-model"}, "`--embedder`"),
        ({"embeddings": True, "embedder": "some-model"}, "`--embedder`"),
        ({"space": "rows.npy", "embeddings": True}, "`--embeddings`"),
        ({"space": "rows.npy", "embedder": "some-model"}, "`--embedder`"),
        ({"space": "lexical", "embedder": "lexical"}, None),
        ({"space": "rows.npy"}, None),
        ({"space": "embedding", "embeddings": True}, None),
    ],
)
def test_what_is_given_and_not_used_is_said(tmp_path, monkeypatch, given, unused):
    monkeypatch.chdir(tmp_path)
    rows = np.random.default_rng(0).standard_normal((100, 8)).astype(np.float32)
    np.save("rows.npy", rows)
    told = Told()
    options = {**given, **({"embeddings": rows} if "embeddings" in given else {})}
    frame = pl.read_parquet(POOL).head(100)
    ds2_fast.select(frame, 5, score_col="rating", narrator=told, **options)
    said = [text for text in told.warnings if "is not used" in text]
    assert len(said) == (unused is not None)
    assert all(unused in text for text in said)


def test_the_embedder_lexical_belongs_to_its_space():
    frame = pl.read_parquet(POOL).head(100)
    with pytest.raises(PoolError, match="`lexical` is a space"):
        ds2_fast.select(frame, 5, score_col="rating", embedder="lexical", space="hybrid")


def test_no_neighbors_is_not_the_default_number_of_neighbors():
    with pytest.raises(ValueError, match="k "):
        ds2_fast.select(pl.read_parquet(POOL).head(100), 5, k=0, **OPTIONS)


@pytest.mark.parametrize("preset", ["default", "paper", "reference"])
@pytest.mark.parametrize("n", [1, 40, None])
def test_every_sample_has_its_rank_and_its_reason(preset, n):
    frame = (
        pl.read_parquet(POOL)
        .head(400)
        .with_columns(
            pl.when(pl.int_range(pl.len()) % 7 == 3).then(None).otherwise("rating").alias("rating")
        )
    )
    sheet = ds2_fast.select(frame, n, preset=preset, scale="0-5", **OPTIONS).scores
    by_default = preset == "default"
    tail = sheet["ds2_long_tail"].to_list()
    bound = sorted(tail)[-1 - len(tail) // 100]
    eligible, expected = [], {}
    for row in sheet.iter_rows(named=True):
        score = row["ds2_score_expected"] if by_default else row["ds2_score_curated"]
        if row["ds2_score"] is None:
            expected[row["ds2_index"]] = "unrated"
        elif by_default and row["ds2_long_tail"] > bound:
            expected[row["ds2_index"]] = "outlier set aside"
        else:
            bucket = score * 4 // 1 / 4 if by_default else score
            eligible.append((-bucket, -row["ds2_long_tail"], row["ds2_index"]))
    eligible.sort()
    order = [row for _, _, row in eligible]
    cut = eligible[(n or 1) - 1][0]
    for place, (bucket, _, row) in enumerate(eligible, start=1):
        if n is None:
            expected[row] = ""
        elif place <= n:
            expected[row] = "selected"
        else:
            expected[row] = (
                "score below the cut" if bucket > cut else "long-tail score below the cut"
            )
    assert sheet["ds2_reason"].to_list() == [expected[row] for row in range(sheet.height)]
    assert sheet["ds2_selected"].to_list() == [
        reason == "selected" for reason in sheet["ds2_reason"]
    ]
    ranked = sheet.drop_nulls("ds2_rank").sort("ds2_rank")
    assert ranked["ds2_rank"].to_list() == list(range(1, ranked.height + 1))
    if preset == "reference":  # a choice, in its own order
        chosen = order if n is None else order[:n]
        assert sorted(ranked["ds2_index"]) == sorted(chosen)
    else:
        assert ranked["ds2_index"].to_list() == order
