"""Where a run is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from ds2_fast.line import default_run_dir


@pytest.mark.parametrize(
    ("source", "folder"),
    [
        ("data/pool.parquet", "data/pool.ds2"),
        ("data/pool.jsonl.gz", "data/pool.ds2"),
        ("pool.jsonl", "pool.ds2"),
        ("data/saved", "data/saved.ds2"),
        ("data/saved/", "data/saved.ds2"),
        ("data/parts/*.parquet", "data/parts.ds2"),
        ("data/[a-c]*/part-?.jsonl", "data.ds2"),
        ("data/.hidden", "data/hidden.ds2"),
        ("-", "stdin.ds2"),
    ],
)
def test_the_run_directory_is_beside_the_pool(tmp_path, monkeypatch, source, folder):
    monkeypatch.chdir(tmp_path)
    assert Path.cwd() / default_run_dir(source) == tmp_path / folder
