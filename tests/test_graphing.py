"""The graph of a run: the method asked for, the index it leaves, room for it, tiny pools."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import polars as pl
import pytest

import ds2_fast
from ds2_fast.cli import main
from ds2_fast.cli.curate import curate as curate_command
from ds2_fast.cli.select import select as select_command
from ds2_fast.errors import PoolError, RunError
from ds2_fast.knn import MethodName, need_of
from ds2_fast.progress import Narrator
from ds2_fast.room import available_memory, check_room, free_disk

POOL = Path(__file__).parent.parent / "examples" / "sample_pool.parquet"


class Told(Narrator):
    def __init__(self):
        self.lines, self.warnings = {}, []

    def done(self, name, text):
        self.lines[name] = text

    def warn(self, text):
        self.warnings.append(text)


def make_pool(rows: int, dim: int = 16, seed: int = 0):
    rng = np.random.default_rng(seed)
    centers = rng.normal(size=(max(1, rows // 30), dim))
    kind = rng.integers(len(centers), size=rows)
    frame = pl.DataFrame(
        {
            "id": [f"s{row}" for row in range(rows)],
            "text": [f"sample {row} of kind {k}" for row, k in enumerate(kind)],
            "score": np.clip(kind % 6 + rng.integers(-1, 2, rows), 0, 5),
        }
    )
    embeddings = (centers[kind] + 0.7 * rng.normal(size=(rows, dim))).astype(np.float32)
    return frame, embeddings


def select(frame, embeddings, told=None, n=5, **options):
    return ds2_fast.select(
        frame,
        n,
        score_col="score",
        scale="0-5",
        embeddings=embeddings,
        narrator=told or Told(),
        html=False,
        **options,
    )


def test_a_graph_says_how_it_was_found(tmp_path):
    frame, rows = make_pool(400)
    told = Told()
    result = select(frame, rows, told, run_dir=tmp_path / "run")
    assert told.lines["neighbors"].startswith("found 50 neighbors of 400 samples exactly (")
    graph = result.manifest["graph"]
    assert (graph["method"], graph["asked"]) == ("exact", "auto")
    assert graph["why"] == "the exact search is quick enough for 400 rows"
    assert graph["seconds"] == result.manifest["stages"]["neighbors"]["seconds"]
    assert result.report["neighbors"]["method"] == "exact"
    assert result.report["neighbors"]["k"] == 50
    again = select(frame, rows, told, run_dir=tmp_path / "run", knn="exact")
    assert told.lines["neighbors"].endswith("(reused)")
    assert (again.manifest["graph"]["asked"], again.manifest["graph"]["why"]) == (
        "exact",
        "asked for",
    )


def test_usearch_leaves_an_index_that_is_used_again(tmp_path):
    frame, rows = make_pool(1200)
    folder = tmp_path / "run"
    told = Told()
    first = select(frame, rows, told, run_dir=folder, knn="usearch")
    assert (
        "with usearch, recall 0.9" in told.lines["neighbors"]
        or "recall 1.0" in (told.lines["neighbors"])
    )
    assert told.lines["index"].startswith("indexed 1,200 samples in index.usearch (")
    stage = first.manifest["stages"]["index"]
    assert (stage["params"]["dtype"], stage["params"]["metric"]) == ("f16", "cos")
    assert (stage["params"]["rows"], stage["params"]["dimensions"]) == (1200, 16)
    assert stage["params"]["library"].startswith("usearch ")
    assert stage["inputs"] == {
        "features": first.manifest["stages"]["neighbors"]["inputs"]["features"]
    }
    graph = first.manifest["graph"]
    assert (graph["method"], graph["asked"], graph["notices"]) == ("usearch", "usearch", [])
    assert graph["recall"]["rows"] == 1000
    select(frame, rows, told, run_dir=folder, knn="usearch")
    assert told.lines["index"].endswith("(reused)")
    assert told.lines["neighbors"].endswith("(reused)")
    # Another recall takes another graph from the same index; other rows take another index.
    select(frame, rows, told, run_dir=folder, knn="usearch", recall=0.5)
    assert told.lines["index"].endswith("(reused)")
    assert not told.lines["neighbors"].endswith("(reused)")
    select(frame, rows[:, :12].copy(), told, run_dir=folder, knn="usearch")
    assert not told.lines["index"].endswith("(reused)")
    elsewhere = tmp_path / "elsewhere"
    select(frame, rows, told, run_dir=elsewhere, knn="usearch", threads=1)
    select(frame, rows, told, run_dir=folder, knn="usearch", threads=2)
    for name in ("index.usearch", "neighbors.npy", "similarities.npy", "neighbors.json"):
        assert (elsewhere / name).read_bytes() == (folder / name).read_bytes(), name


def test_a_damaged_index_is_built_anew(tmp_path):
    frame, rows = make_pool(300)
    folder = tmp_path / "run"
    select(frame, rows, run_dir=folder, knn="usearch")
    file = folder / "index.usearch"
    good = file.read_bytes()
    file.write_bytes(good[:-100] + b"x" * 100)
    told = Told()
    select(frame, rows, told, run_dir=folder, knn="usearch")
    assert "`index.usearch` had been damaged or changed, so `index` ran anew" in told.warnings
    assert file.read_bytes() == good


def test_a_recall_that_is_missed_is_said_each_time(tmp_path, monkeypatch):
    monkeypatch.setattr("ds2_fast.knn.indexed.RAISES", 0)
    frame, _ = make_pool(2500)
    rows = np.random.default_rng(1).normal(size=(2500, 512)).astype(np.float32)
    exact = select(frame, rows, run_dir=tmp_path / "exact", knn="exact")
    for _ in range(2):
        told = Told()
        result = select(frame, rows, told, run_dir=tmp_path / "run", knn="usearch", recall=1)
        assert "samples exactly" in told.lines["neighbors"]
        assert len(told.warnings) == 1
        assert "the neighbors are found exactly instead" in told.warnings[0]
        graph = result.manifest["graph"]
        assert (graph["method"], graph["asked"]) == ("exact", "usearch")
        assert graph["notices"] == told.warnings
    assert result.indices.tolist() == exact.indices.tolist()


def test_without_the_library_the_graph_is_exact_and_that_is_said(tmp_path, monkeypatch):
    frame, rows = make_pool(300)
    with monkeypatch.context() as patch:
        for name in ("usearch", "usearch.index"):
            patch.setitem(sys.modules, name, None)
        told = Told()
        result = select(frame, rows, told, run_dir=tmp_path / "run", knn="usearch")
    assert told.warnings[0].startswith("usearch could not be loaded: ")
    assert told.warnings[0].endswith(": the neighbors are found exactly instead")
    assert result.manifest["graph"]["why"] == "`usearch` failed"
    # Once it can be loaded, it is used.
    told = Told()
    again = select(frame, rows, told, run_dir=tmp_path / "run", knn="usearch")
    assert told.warnings == []
    assert again.manifest["graph"]["method"] == "usearch"


def test_choices_there_are_not_are_refused_before_any_work(tmp_path):
    frame, rows = make_pool(30)
    with pytest.raises(ValueError, match=r"^method: expected one of"):
        select(frame, rows, knn="annoy", run_dir=tmp_path / "run")
    with pytest.raises(ValueError, match=r"^recall must lie in \(0, 1\], got 0$"):
        select(frame, rows, recall=0, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_command_line_takes_a_method_and_a_recall(capsys, tmp_path):
    pool = tmp_path / "pool.parquet"
    pl.read_parquet(POOL).head(300).write_parquet(pool)
    arguments = [
        "--score-col",
        "rating",
        "--space",
        "lexical",
        "--knn",
        "usearch",
        "--recall",
        "0.9",
    ]
    assert main(["select", str(pool), "-n", "5", "--json", *arguments]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["neighbors"]["method"] == "usearch"
    assert report["neighbors"]["recall_asked"] == 0.9
    assert main(["curate", str(pool), *arguments]) == 0
    assert "with usearch, recall " in capsys.readouterr().err
    assert main(["select", str(pool), "-n", "5", "--recall", "0"]) == 2
    assert main(["select", str(pool), "-n", "5", "--knn", "annoy"]) == 2


def test_the_command_line_knows_every_method():
    for command in (select_command, curate_command):
        (option,) = (option for option in command.params if option.name == "knn")
        assert tuple(option.type.choices) == get_args(MethodName)


@pytest.mark.parametrize("curation", ["bayes", "paper", "reference", "none"])
@pytest.mark.parametrize("rows", range(3, 12))
def test_a_tiny_pool_counts_as_many_neighbors_as_it_has(rows, curation):
    frame, embeddings = make_pool(rows)
    told = Told()
    result = select(frame, embeddings, told, n=rows - 1, curation=curation, keep_outliers=True)
    assert len(set(result.indices.tolist())) == rows - 1
    k = min(10, rows - 1)
    assert result.report["settings"]["k"] == k
    warning = f"the pool is small: {k} neighbors of each sample are counted instead of 10"
    assert (warning in told.warnings) == (k < 10)
    assert result.trust.verdict == "do not curate"


def test_a_pool_too_small_is_refused_in_words():
    for rows, named in ((1, "1 sample,"), (2, "2 samples,")):
        frame, embeddings = make_pool(rows)
        with pytest.raises(
            PoolError, match=f"^the pool has {named} and each is compared"
        ) as caught:
            select(frame, embeddings, n=1)
        assert "add samples" in caught.value.hint
    frame, embeddings = make_pool(5)
    with pytest.raises(
        PoolError, match=r"^the pool has 5 samples, and 5 neighbors need at least 6"
    ):
        select(frame, embeddings, n=1, k=5)
    assert len(select(frame, embeddings, n=1, k=4).indices) == 1


def write_system(root: Path, *, free: int, cgroup: str = "0::/a/b\n") -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/meminfo").write_text(
        f"MemTotal: 99999999 kB\nMemAvailable: {free // 1024} kB\nSwapFree: 1024 kB\n"
    )
    (root / "proc/self/cgroup").write_text(cgroup)
    return root


def cgroup_files(folder: Path, **files: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)


def test_memory_is_the_least_that_system_and_groups_allow(tmp_path):
    root = write_system(tmp_path / "plain", free=4 << 30)
    assert available_memory(root) == (4 << 30) + (1 << 20)
    group = root / "sys/fs/cgroup"
    cgroup_files(group / "a/b", memory__max="max\n", memory__current="5\n")
    assert available_memory(root) == (4 << 30) + (1 << 20)
    cgroup_files(
        group / "a",
        memory__max=f"{2 << 30}\n",
        memory__current=f"{1 << 30}\n",
        memory__stat=f"anon 7\ninactive_file {1 << 29}\n",
    )
    assert available_memory(root) == (2 << 30) - (1 << 30) + (1 << 29)
    cgroup_files(group / "a/b", memory__max="1000\n", memory__current="3000\n")
    assert available_memory(root) == 0


def test_memory_of_the_older_control_groups(tmp_path):
    root = write_system(tmp_path, free=4 << 30, cgroup="5:cpu,memory:/job\n4:pids:/job\n")
    cgroup_files(
        root / "sys/fs/cgroup/memory/job",
        memory__limit_in_bytes="5000\n",
        memory__usage_in_bytes="2000\n",
        memory__stat="total_inactive_file 100\n",
    )
    assert available_memory(root) == 3100


def test_a_system_that_does_not_say_is_not_checked(tmp_path):
    assert available_memory(tmp_path) is None
    check_room("work", memory=1 << 60, disk=0, folder=tmp_path, mend="", root=tmp_path)


def test_too_little_room_is_one_sentence(tmp_path):
    root = write_system(tmp_path / "root", free=1 << 30)
    with pytest.raises(RunError) as caught:
        check_room(
            "finding 10 neighbors", memory=3 << 30, disk=0, folder=tmp_path, mend="less", root=root
        )
    assert caught.value.message == (
        "finding 10 neighbors takes up to 3.2 GB of memory, and 1.1 GB are available"
    )
    assert caught.value.hint == "less"
    left = free_disk(tmp_path / "not" / "there")
    assert left is not None
    assert left > 0
    with pytest.raises(RunError, match=r"of disk, and `.*` has .* left$") as caught:
        check_room(
            "finding 10 neighbors",
            memory=0,
            disk=left * 2,
            folder=tmp_path / "not" / "there",
            mend="less",
            root=root,
        )
    assert "--run-dir" in caught.value.hint


def test_what_a_graph_takes_grows_with_rows_and_neighbors():
    million = need_of("exact", 10**6, 384, 10)
    assert 0.5e9 < million.memory < 0.8e9
    assert million.disk == 80_000_000
    for method in ("exact", "usearch"):
        for more in ((2 * 10**6, 384, 10), (10**6, 768, 10), (10**6, 384, 20)):
            assert need_of(method, *more).memory > need_of(method, 10**6, 384, 10).memory
    assert need_of("usearch", 10**6, 384, 10).disk > 10**6 * 768


def test_a_run_without_room_stops_before_the_search(tmp_path, monkeypatch):
    frame, rows = make_pool(300, dim=128)
    for free, method, hint in [
        (1000, "exact", "free some memory"),
        (need_of("exact", 300, 128, 50).memory, "usearch", "use `--knn exact`"),
    ]:
        monkeypatch.setattr("ds2_fast.room.available_memory", lambda *_, free=free: free)
        monkeypatch.setattr("ds2_fast.graphing.available_memory", lambda *_, free=free: free)
        with pytest.raises(RunError, match=r"of memory, and .* are available$") as caught:
            select(frame, rows, knn=method, run_dir=tmp_path / method)
        assert hint in caught.value.hint
        assert not (tmp_path / method / "neighbors.npy").exists()
        assert not (tmp_path / method / "index.usearch").exists()
