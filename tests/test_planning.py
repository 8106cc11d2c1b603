"""A plan says what a selection then does, and leaves no trace."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

import ds2_fast
from ds2_fast.cli import main
from ds2_fast.cli.plan import plan as plan_command
from ds2_fast.cli.select import select as select_command
from ds2_fast.errors import PoolError
from ds2_fast.planning import measuring
from rating_server import RatingServer
from tiny_bert import make_model

POOL = Path(__file__).parent.parent / "examples" / "sample_pool.parquet"
ROWS = 400


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with pools, rows, a model, and a cache of its own, in which one works."""
    monkeypatch.setenv("DS2_FAST_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)
    frame = pl.read_parquet(POOL).head(ROWS).drop("truth")
    frame.write_parquet("pool.parquet")
    frame.drop("rating").write_parquet("unrated.parquet")
    np.save("rows.npy", np.random.default_rng(3).standard_normal((ROWS, 16)).astype(np.float32))
    make_model(tmp_path / "tiny")
    return tmp_path


def everything(folder: Path) -> dict[str, tuple[int, int]]:
    """Every path, its size and time."""
    return {
        str(path.relative_to(folder)): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
    }


def actions(plan: ds2_fast.Plan) -> dict[str, str]:
    return {step.name: step.action for step in plan.steps}


CASES = {
    "given": {"embeddings": "rows.npy", "score_col": "rating"},
    "lexical": {"space": "lexical", "score_col": "rating"},
    "auto": {"score_col": "rating"},
    "auto, given": {"embeddings": "rows.npy", "space": "auto", "score_col": "rating"},
    "hybrid": {"embedder": "tiny", "space": "hybrid", "score_col": "rating"},
    "usearch": {"embeddings": "rows.npy", "score_col": "rating", "knn": "usearch"},
    "approx": {"embeddings": "rows.npy", "score_col": "rating", "knn": "approx"},
    "reference": {"embeddings": "rows.npy", "score_col": "rating", "preset": "reference"},
    "replayed budget": {"embeddings": "rows.npy", "score_col": "rating", "budget": 250},
}


@pytest.mark.parametrize("case", CASES)
def test_planning_leaves_no_trace(folder, case):
    before = everything(folder)
    plan = ds2_fast.plan_run("pool.parquet", "5%", **CASES[case])
    assert everything(folder) == before
    assert plan.rows == ROWS
    assert plan.sizes == (20,)
    assert plan.run_dir == str(folder / "pool.ds2")
    assert "reuse" not in actions(plan).values()
    assert actions(plan)["neighbors"] == "compute"
    assert plan.dollars == 0
    assert plan.seconds is not None and plan.seconds > 0
    assert plan.disk > 0
    assert plan.memory > 0
    assert all(step.basis for step in plan.steps)


@pytest.mark.parametrize("case", ["given", "lexical", "auto, given", "usearch", "reference"])
def test_what_a_run_left_is_planned_to_be_reused(folder, case):
    ds2_fast.select("pool.parquet", 20, html=False, **CASES[case])
    before = everything(folder)
    again = actions(ds2_fast.plan_run("pool.parquet", 20, **CASES[case]))
    assert again.pop("pool") == "read"
    assert again.pop("report") == "compute"
    assert set(again.values()) == {"reuse"}
    assert {"neighbors", "transition", "curation", "long tail", "map", "selection"} <= again.keys()
    other = actions(ds2_fast.plan_run("pool.parquet", 30, **CASES[case]))
    assert other["neighbors"] == other["curation"] == "reuse"
    assert other["selection"] == "compute"
    changed = {**CASES[case], "k": 7}
    other = actions(ds2_fast.plan_run("pool.parquet", 20, **changed))
    assert other["neighbors"] == "reuse"
    assert other["selection"] == "compute"
    assert "compute" in {other.get("transition"), other.get("long tail")}
    assert everything(folder) == before


def test_a_damaged_artifact_is_planned_anew(folder):
    ds2_fast.select("pool.parquet", 20, **CASES["lexical"])
    file = folder / "pool.ds2" / "neighbors.npy"
    file.write_bytes(file.read_bytes()[:-8])
    found = actions(ds2_fast.plan_run("pool.parquet", 20, **CASES["lexical"]))
    assert found["lexical"] == "reuse"
    assert found["neighbors"] == found["selection"] == "compute"


def test_a_model_at_hand_is_timed_and_one_that_is_not_is_said(folder):
    away = ds2_fast.plan_run("pool.parquet", 20, embedder="tiny", score_col="rating")
    (step,) = [step for step in away.steps if step.name == "embedding"]
    assert "constant" in step.basis
    assert step.seconds == pytest.approx(ROWS / measuring.TEXTS_A_SECOND)
    assert any("`tiny` is not at hand" in note for note in away.notes)
    assert main(["model", "import", "tiny", "--name", "mine"]) == 0
    before = everything(folder)
    plan = ds2_fast.plan_run("pool.parquet", 20, embedder="mine", score_col="rating")
    (step,) = [step for step in plan.steps if step.name == "embedding"]
    assert step.action == "embed"
    assert "measured here" in step.basis
    assert step.disk == 2 * ROWS * 64
    assert everything(folder) == before
    ds2_fast.select("pool.parquet", 20, embedder="mine", score_col="rating")
    plan = ds2_fast.plan_run("pool.parquet", 20, embedder="mine", score_col="rating")
    assert actions(plan)["embedding"] == "reuse"


def test_ratings_are_priced_and_stored_ones_are_not(folder):
    options = {"price_in": 1e-6, "price_out": 2e-6, "rpm": 100}
    said = {"model": "openai/rater", "space": "lexical"}
    before = everything(folder)
    plan = ds2_fast.plan_run("unrated.parquet", 20, rating_options=options, **said)
    assert everything(folder) == before
    step = plan.steps[1]
    assert (step.name, step.action) == ("rating", "rate")
    assert step.samples is not None and 0 < step.samples <= ROWS
    assert step.seconds == pytest.approx(60 * step.samples / 100)
    assert step.dollars is not None and step.dollars > 0
    assert plan.dollars == step.dollars
    unknown = ds2_fast.plan_run("unrated.parquet", 20, **said)
    assert unknown.dollars is None
    assert unknown.seconds is None
    assert "not known" in unknown.describe()
    with RatingServer() as server:
        endpoint = {"api_base": server.base, "endpoint_label": "test", "max_concurrency": 8}
        ds2_fast.select("unrated.parquet", 20, rating_options=endpoint, **said)
        asked = server.requests
        plan = ds2_fast.plan_run("unrated.parquet", 20, rating_options=endpoint, **said)
        assert server.requests == asked > 0
    assert actions(plan)["rating"] == "reuse"
    assert plan.dollars == 0


def test_a_budget_is_priced(folder):
    plan = ds2_fast.plan_run(
        "unrated.parquet", 20, model="openai/rater", embeddings="rows.npy", budget="$0.01",
        rating_options={"price_in": 1e-7, "price_out": 1e-7},
    )  # fmt: skip
    (step,) = [step for step in plan.steps if step.name == "budget"]
    assert step.action == "rate"
    assert step.dollars == 0.01


def test_what_select_refuses_is_refused(folder):
    for arguments in (
        {"n": 20, "space": "lexical"} | {"data": "unrated.parquet"},
        {"n": ROWS + 1, "score_col": "rating", "data": "pool.parquet"},
        {"n": 20, "score_col": "ratign", "data": "pool.parquet"},
        {"n": 20, "score_col": "rating", "embeddings": "none.npy", "data": "pool.parquet"},
    ):
        with pytest.raises(PoolError):
            ds2_fast.plan_run(**arguments)
    assert not (folder / "pool.ds2").exists()


def test_the_command_takes_what_select_takes_and_prints(folder, capsys, monkeypatch):
    # A command with `--threads` sets it for the whole process, as other tests do.
    monkeypatch.delenv("RAYON_NUM_THREADS", raising=False)
    # `--config` comes to a command when it is first called.
    taken = [
        {p.name for p in one.params} - {"config_file"} for one in (plan_command, select_command)
    ]
    assert taken[0] == taken[1]
    arguments = ["plan", "pool.parquet", "-n", "20", "--score-col", "rating", "--space", "lexical"]
    before = everything(folder)
    assert main([*arguments, "-o", "subset.jsonl", "--no-html"]) == 0
    out, err = capsys.readouterr()
    names = [line.split()[0] for line in out.splitlines()]
    assert names[:3] == ["schema", "run", "pool"]
    assert names[-4:] == ["time", "memory", "disk", "money"]
    assert not err
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rows"] == ROWS
    assert [step["name"] for step in found["steps"]][:3] == ["pool", "lexical", "neighbors"]
    assert everything(folder) == before
    assert not os.environ.get("RAYON_NUM_THREADS")


def test_data_in_memory_have_no_run_directory(folder):
    frame = pl.read_parquet("pool.parquet")
    before = everything(folder)
    plan = ds2_fast.plan_run(frame, 20, score_col="rating", space="lexical")
    assert plan.run_dir is None
    assert "in memory" in plan.describe()
    assert everything(folder) == before
