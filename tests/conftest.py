"""Fixtures: where the real pools and the real model are, if they are anywhere."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

settings.register_profile("dev", max_examples=25, deadline=None)
settings.register_profile("ci", max_examples=100, deadline=None, derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "dev")


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real pools: $DS2_FAST_DATA, or `shared/data` beside the repository."""
    folder = Path(os.environ.get("DS2_FAST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real pools at {folder}; set DS2_FAST_DATA")
    return folder


@pytest.fixture(scope="session")
def minilm_dir() -> Path:
    """Folder of the real all-MiniLM-L6-v2: $DS2_FAST_MINILM, or where `make model` puts it."""
    folder = Path(os.environ.get("DS2_FAST_MINILM", ROOT / ".models" / "all-MiniLM-L6-v2"))
    if not (folder / "tokenizer.json").is_file():
        pytest.skip(f"no model at {folder}; `make model` fetches it")
    return folder


@pytest.fixture
def journal(tmp_path):
    """Where a run of `rating_runs` keeps what it bought."""
    return tmp_path / "ratings.jsonl"


@pytest.fixture
def impatient(monkeypatch):
    """Make a run of `rating_runs` wait less between tries."""
    from ds2_fast.rating import patience

    monkeypatch.setattr(patience, "LONGEST_JITTER", 0.02)


@pytest.fixture(params=["direct", "litellm"])
def transport(request):
    """Let runs of `rating_runs` go through either transport."""
    from rating_runs import USED

    USED["transport"] = request.param
    return request.param
