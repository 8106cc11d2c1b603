"""What is shipped: the wheel's files, and a source archive that can be built."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tomllib
from importlib import metadata
from importlib.resources import files
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROMPTS = ("ds2-code-1-10", "ds2-fast-v1", "ds2-poster-0-5")
SECTIONS = (
    "verdict", "selection", "scores", "transition", "raters", "calibration", "rarity", "length",
    "shares", "atlas", "examples", "origin",
)  # fmt: skip
SHIPPED = (
    "py.typed",
    "_core.pyi",
    *(f"rating/prompts/{name}.toml" for name in PROMPTS),
    *(f"page/templates/{name}" for name in ("page.css", "page.js", "layout.html", "macros.html")),
    *(f"page/templates/{name}.html" for name in ("report", "comparison")),
    *(f"page/templates/sections/{name}.html" for name in SECTIONS),
)


def test_the_package_has_its_data_and_no_tests():
    for name in SHIPPED:
        assert files("ds2_fast").joinpath(name).is_file(), name
    installed = [str(file) for file in metadata.files("ds2-fast") or ()]
    assert installed
    assert not [name for name in installed if name.startswith(("tests", "benches", "examples"))]


@pytest.mark.skipif(shutil.which("cargo") is None, reason="needs cargo")
def test_the_source_archive_can_be_built(tmp_path):
    command = [sys.executable, "-m", "maturin", "sdist", "--out", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    (folder,) = tmp_path.glob("ds2_fast-*/")
    names = {file.relative_to(folder).as_posix() for file in folder.rglob("*")}
    assert {f"python/ds2_fast/{name}" for name in SHIPPED} <= names
    assert {"LICENSE", "README.md", "Cargo.lock", "pyproject.toml"} <= names
    assert not [name for name in names if name.startswith(("tests", "benches", "examples"))]
    # The lock file may name more crates than are shipped (the benchmarks); cargo has to drop them,
    # which it refuses if it is to leave the file as it is.
    settings = tomllib.loads((folder / "pyproject.toml").read_text("utf-8"))["tool"]["maturin"]
    lock = tomllib.loads((folder / "Cargo.lock").read_text("utf-8"))
    ours = {package["name"] for package in lock["package"] if "source" not in package}
    shipped = {path.name for path in (folder / "rust").iterdir()}
    assert shipped <= ours
    assert not settings.get("locked") or shipped == ours
