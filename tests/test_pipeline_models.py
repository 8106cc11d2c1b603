"""The line with a rater and an embedder: what is bought once, what a kill costs, what is reused."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import ds2_fast
from ds2_fast.errors import RatingError
from rating_server import RatingServer
from tiny_bert import make_model

POOL = Path(__file__).parent.parent / "examples" / "sample_pool.parquet"
COUNT = 150
# When a run was made and what it cost is not what it found.
OF_THE_RUN = {"manifest.json", "lock", "ratings.json", "ratings.jsonl", "ratings.jsonl.lock"}

RUN = textwrap.dedent(
    """
    import json, os, signal, sys
    from contextlib import contextmanager
    import ds2_fast
    from ds2_fast.progress import Narrator

    pool, folder, options, stage, share = sys.argv[1:]

    def die():
        os.kill(os.getpid(), signal.SIGKILL)

    class Killer(Narrator):
        @contextmanager
        def stage(self, name, unit):
            def progress(done, total):
                if name == stage and done > float(share) * total:
                    die()
            yield progress
            if name == stage:
                die()

    ds2_fast.select(pool, 20, run_dir=folder + "/run", output=folder + "/out.jsonl",
                    narrator=Killer(), **json.loads(options))
    """
)


def contents(folder: Path) -> dict[str, str]:
    return {
        file.name: hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.iterdir())
        if file.name not in OF_THE_RUN
    }


def start(pool: Path, folder: Path, options: dict, stage: str = "", share: float = 1):
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-c", RUN, pool, folder, json.dumps(options), stage, str(share)]
    return subprocess.Popen([str(part) for part in command])


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return make_model(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def unrated(tmp_path_factory):
    file = tmp_path_factory.mktemp("pool") / "pool.parquet"
    pl.read_parquet(POOL).head(COUNT).drop("rating", "truth").write_parquet(file)
    return file


def rating(server: RatingServer) -> dict:
    # A label, because the port is another one every time.
    endpoint = {"api_base": server.base, "endpoint_label": "test", "max_concurrency": 8}
    # Without the page: it names the digest of the ratings, and these say how often was asked.
    options = {"model": "openai/rater", "rating_options": endpoint, "space": "lexical"}
    return {**options, "html": False}


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_killed_while_rating_a_rerun_gives_the_bytes_of_an_undisturbed_run(unrated, tmp_path):
    with RatingServer() as server:
        assert start(unrated, tmp_path / "calm", rating(server)).wait(120) == 0
        assert server.requests == COUNT
    with RatingServer(latency=0.05) as server:
        killed = start(unrated, tmp_path / "killed", rating(server))
        while server.requests < COUNT // 2:
            assert killed.poll() is None
        killed.kill()
        killed.wait(10)
        assert not (tmp_path / "killed" / "out.jsonl").exists()
        ended = start(unrated, tmp_path / "killed", rating(server), "rating")
        assert ended.wait(120) == -signal.SIGKILL
        bought = server.answered()
        assert len(bought) == COUNT
        assert bought.total() <= COUNT + 8, "at most what was in flight is bought twice"
        assert start(unrated, tmp_path / "killed", rating(server)).wait(120) == 0
        assert server.answered() == bought, "the stored ratings are used"
    assert contents(tmp_path / "killed" / "run") == contents(tmp_path / "calm" / "run")
    assert (tmp_path / "killed" / "out.jsonl").read_bytes() == (
        tmp_path / "calm" / "out.jsonl"
    ).read_bytes()


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_killed_while_embedding_a_rerun_gives_the_bytes_of_an_undisturbed_run(model, tmp_path):
    options = {"score_col": "rating", "embedder": str(model), "offline": True}
    assert start(POOL, tmp_path / "calm", options).wait(120) == 0
    run = tmp_path / "killed" / "run"
    # The first block is written when more than 0.95 of the 2,160 samples are done, not the second.
    for share, left in ((0.3, 0), (0.95, 1), (1, None)):
        killed = start(POOL, tmp_path / "killed", options, "embedding", share)
        assert killed.wait(120) == -signal.SIGKILL
        if left is not None:
            note = run / "embeddings.partial.npy.part.json"
            assert note.exists() == bool(left)
            assert not (run / "embeddings.npy").exists()
    assert start(POOL, tmp_path / "killed", options).wait(120) == 0
    assert contents(run) == contents(tmp_path / "calm" / "run")
    assert (tmp_path / "killed" / "out.jsonl").read_bytes() == (
        tmp_path / "calm" / "out.jsonl"
    ).read_bytes()


def test_select_uses_what_rate_has_bought(unrated, tmp_path):
    with RatingServer() as server:
        asked = rating(server)
        rated = ds2_fast.rate(
            unrated,
            asked["model"],
            rating_options=asked["rating_options"],
            run_dir=tmp_path / "run",
            output=tmp_path / "ratings.parquet",
        )
        assert server.requests == COUNT
        result = ds2_fast.select(unrated, 10, run_dir=tmp_path / "run", **asked)
        assert server.requests == COUNT
    assert rated.frame["status"].unique().to_list() == ["ok"]
    assert result.scores["ds2_score"].to_list() == rated.scores.tolist()
    assert result.scores["ds2_score_raw"].to_list() == rated.frame["overall"].to_list()
    assert result.scores["ds2_rating_status"].unique().to_list() == ["ok"]
    copied = pl.read_parquet(tmp_path / "ratings.parquet")
    assert copied["id"].to_list() == pl.read_parquet(unrated)["id"].to_list()
    name = next(column for column in copied.columns if column.endswith("_raw_overall"))
    assert copied[name].to_list() == rated.frame["overall"].to_list()
    assert copied[name.removesuffix("_raw_overall")].to_list() == rated.scores.tolist()


def test_a_sample_without_a_readable_answer_says_why_and_is_not_selected(unrated, tmp_path):
    with RatingServer(faults={"refusal": 0.3}) as server:
        asked = rating(server)
        asked["rating_options"] |= {"max_null": 0.6, "reask": 0}
        result = ds2_fast.select(unrated, "20%", run_dir=tmp_path / "run", **asked)
    missing = result.scores.filter(pl.col("ds2_score").is_null())
    assert 0 < missing.height < COUNT
    assert "ok" not in missing["ds2_rating_status"]
    assert missing["ds2_score_raw"].null_count() == missing.height
    assert missing["ds2_reason"].unique().to_list() == ["unrated"]
    assert not missing["ds2_selected"].any()
    assert result.report["scores"]["unrated"] == missing.height


def test_the_hybrid_space_joins_both_and_reuses_them(model, tmp_path):
    options = {"score_col": "rating", "embedder": str(model), "run_dir": tmp_path / "run"}
    frame = pl.read_parquet(POOL).head(300)
    results = {
        space: ds2_fast.select(frame, 10, space=space, **options)
        for space in ("embedding", "lexical", "hybrid")
    }
    widths = {space: result.report["features"] for space, result in results.items()}
    assert widths["hybrid"]["dimensions"] == (
        widths["embedding"]["dimensions"] + widths["lexical"]["dimensions"]
    )
    assert {space: found["space"] for space, found in widths.items()} == {
        space: space for space in results
    }
    # Both halves weigh the same.
    rows = np.load(tmp_path / "run" / "hybrid.npy").astype(np.float64)
    semantic = np.load(tmp_path / "run" / "embeddings.npy").astype(np.float64)
    lexical = np.load(tmp_path / "run" / "lexical.npy").astype(np.float64)
    cosine = (semantic @ semantic.T + lexical @ lexical.T) / 2
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    np.testing.assert_allclose(unit @ unit.T, cosine, atol=2e-3)


def test_the_embedder_lexical_is_the_lexical_space(tmp_path):
    frame = pl.read_parquet(POOL).head(300)
    by_name = ds2_fast.select(frame, 10, score_col="rating", embedder="lexical", offline=True)
    by_space = ds2_fast.select(frame, 10, score_col="rating", space="lexical")
    assert by_name.report == by_space.report
    assert by_name.scores.equals(by_space.scores)


@pytest.mark.parametrize("kind", [pl.List(pl.Float32), pl.Array(pl.Float32, 8)])
def test_embeddings_in_a_column_are_those_in_a_file(tmp_path, kind):
    frame = pl.read_parquet(POOL).head(300)
    rows = np.random.default_rng(0).standard_normal((300, 8)).astype(np.float32)
    np.save(tmp_path / "rows.npy", rows)
    held = frame.with_columns(pl.Series("vector", rows.tolist(), dtype=kind))
    options = {"n": 10, "score_col": "rating", "offline": True}
    by_column = ds2_fast.select(held, embeddings="vector", **options)
    by_file = ds2_fast.select(frame, embeddings=tmp_path / "rows.npy", **options)
    by_space = ds2_fast.select(frame, space=str(tmp_path / "rows.npy"), **options)
    assert by_column.scores.equals(by_file.scores)
    assert by_space.report == by_file.report
    assert by_column.frame["vector"].dtype == kind


def requests_of(server: RatingServer, pool, folder: Path, **options) -> int:
    """How often a run asks."""
    before = server.requests
    asked = {"api_base": server.base, "endpoint_label": "test", **options}
    pool_options = asked.pop("pool_options", None)
    rated = ds2_fast.rate(
        pool, "openai/rater", rating_options=asked, run_dir=folder, pool_options=pool_options
    )
    assert len(rated.frame) == len(pool)
    return server.requests - before


def test_ratings_are_reused_only_for_what_was_asked(tmp_path):
    samples = pl.read_parquet(POOL).select("instruction", "output")
    frame = samples.filter(pl.col("output").str.len_chars() > 20).head(9)
    with RatingServer() as server:
        assert requests_of(server, frame, tmp_path) == 9
        assert requests_of(server, frame, tmp_path) == 0
        # What is said is what goes without saying.
        assert requests_of(server, frame, tmp_path, temperature=0.0) == 0
        assert requests_of(server, frame, tmp_path, temperature=None) == 9
        assert requests_of(server, frame, tmp_path) == 0
        # The same texts, but other turns.
        prompts = {"prompt_col": ["instruction", "output"]}
        assert requests_of(server, frame, tmp_path, pool_options=prompts) == 9
        secret = server.base.replace("//", "//user:pass-word-1@") + "?token=abcdefgh"
        requests_of(server, frame, tmp_path, api_base=secret)
    for file in tmp_path.iterdir():
        assert b"pass-word-1" not in file.read_bytes()
        assert b"abcdefgh" not in file.read_bytes()


def test_new_classes_of_a_prompt_apply_to_the_answers_at_hand(tmp_path):
    shipped = Path(ds2_fast.__file__).parent / "rating" / "prompts" / "ds2-code-1-10.toml"
    published = "classes = [[1, 0], [5, 1], [6, 2], [7, 3], [8, 4], [9, 5]]"
    text = shipped.read_text("utf-8")
    assert published in text
    own = tmp_path / "own.toml"
    frame = pl.read_parquet(POOL).head(30).select("instruction", "output")
    with RatingServer(scale=(1, 10)) as server:
        for classes, num_classes in ((published, 6), ("classes = [[1, 0], [6, 1]]", 2)):
            own.write_text(text.replace(published, classes), "utf-8")
            rated = ds2_fast.rate(
                frame,
                "openai/rater",
                rating_options={"api_base": server.base, "prompt": own},
                run_dir=tmp_path / "run",
            )
            assert rated.num_classes == num_classes
            assert rated.scores.max() < num_classes
        assert server.requests == 30


def test_a_stricter_max_null_is_not_met_by_ratings_of_a_laxer_run(tmp_path):
    frame = pl.read_parquet(POOL).head(60).select("instruction", "output")
    with RatingServer(faults={"refusal": 0.3}) as server:
        assert requests_of(server, frame, tmp_path, max_null=0.6, reask=0) == 60
        with pytest.raises(RatingError, match=r"more than the 5\.0% allowed"):
            requests_of(server, frame, tmp_path, reask=0)
        assert requests_of(server, frame, tmp_path, max_null=0.6, reask=0) == 0


def test_offline_asks_no_rater_but_uses_what_it_said(unrated, tmp_path):
    with RatingServer() as server:
        options = {**rating(server), "run_dir": tmp_path / "run", "offline": True}
        with pytest.raises(RatingError, match="offline"):
            ds2_fast.select(unrated, 10, **options)
        assert server.requests == 0
        ds2_fast.select(unrated, 10, **{**options, "offline": False})
        ds2_fast.select(unrated, 10, **options)
        assert server.requests == COUNT


def test_labels_are_what_the_rater_says(tmp_path):
    frame = pl.read_parquet(POOL).head(100).select("instruction", "output")
    with RatingServer(scale=(1, 10)) as server:
        asked = {"api_base": server.base, "prompt": "ds2-code-1-10"}
        result = ds2_fast.select(
            frame, 5, model="openai/rater", rating_options=asked, space="lexical"
        )
    assert result.report["scores"]["classes"] == ["1-4", "5", "6", "7", "8", "9-10"]
    raw = result.scores["ds2_score_raw"]
    assert (raw >= 9).sum() == result.report["scores"]["pool"][-1]
