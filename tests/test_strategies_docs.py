"""The page on strategies is true: its tables, and the example of one's own.

`DS2_FAST_WRITE_SNAPSHOTS=1` writes the tables anew.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import polars as pl
import pytest

from ds2_fast.strategies import describe, find_strategy
from ds2_fast.strategies.registry import BUILT_IN

PAGE = Path(__file__).parent.parent / "docs" / "strategies.md"
POOL = Path(__file__).parent.parent / "examples" / "sample_pool.parquet"
ROLES = {"filter": "filter", "scorer": "scorer", "rule": "set rule"}
FOUND = [describe(find_strategy(name)) for name in BUILT_IN]


def strategy_table() -> str:
    lines = ["| strategy | brings | takes | needs | source |", "|---|---|---|---|---|"]
    for each in FOUND:
        roles = ", ".join(ROLES[role] for role in each["roles"])
        title = each["title"].rstrip(".")
        lines.append(
            f"| `{each['name']}` | {roles} | {title} | {each['needs']} | {each['source']} |"
        )
    return "\n".join(lines)


def option_table() -> str:
    lines = ["| strategy | option | what | default |", "|---|---|---|---|"]
    for each in FOUND:
        for option in each["options"]:
            text, _, told = option["text"].partition("  [default: ")
            default = "" if option["default"] in (None, []) else f"`{option['default']}`"
            told = told.rstrip("]") or default
            lines.append(f"| `{each['name']}` | `{option['flag']}` | {text} | {told} |")
    return "\n".join(lines)


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)


@pytest.mark.parametrize(
    ("name", "make"), [("strategies", strategy_table), ("options", option_table)]
)
def test_a_table_is_that_of_the_registry(name, make):
    page = PAGE.read_text("utf-8")
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    before, _, rest = page.partition(start)
    shown, _, after = rest.partition(end)
    if os.environ.get("DS2_FAST_WRITE_SNAPSHOTS"):
        shown = make() + "\n"
        PAGE.write_text(f"{before}{start}{shown}{end}{after}", "utf-8", newline="\n")
    assert shown == make() + "\n"


@pytest.fixture
def installed(tmp_path):
    """The example of the page as an installed package, and one that cannot be imported."""
    (module,) = blocks("python")
    project = tomllib.loads(*blocks("toml"))["project"]
    broken = {"name": "shattered", "version": "1", "entry-points": {
        "ds2_fast.strategies": {"shards": "shattered:Shards", "fog": "fog:Fog"},
    }}  # fmt: skip
    (tmp_path / "wordy.py").write_text(module, "utf-8")
    (tmp_path / "shattered.py").write_text("import no_such_module\n", "utf-8")
    (tmp_path / "fog.py").write_text(
        "from dataclasses import dataclass\nfrom ds2_fast.strategies import Strategy, option\n\n"
        '@dataclass(frozen=True)\nclass Fog(Strategy):\n    name = "fog"\n'
        '    depth: "Unknown" = option(1, "How deep.")\n'
    )
    for about in (project, broken):
        info = tmp_path / f"{about['name']}-{about['version']}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n"
        )
        ((group, points),) = about["entry-points"].items()
        lines = "".join(f"{name} = {target}\n" for name, target in points.items())
        (info / "entry_points.txt").write_text(f"[{group}]\n{lines}")
    pl.read_parquet(POOL).head(300).write_parquet(tmp_path / "pool.parquet")

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "ds2_fast", *arguments],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return run


def test_a_strategy_of_another_package_is_one_like_all(installed, tmp_path):
    code, out, err = installed("strategies")
    assert code == 0, err
    assert re.search(r"^wordy +scorer +The samples with the most distinct words *$", out, re.M)
    assert "fog" in out
    assert "cannot be loaded: `ds2-fast strategies shards` says why" in out
    code, out, _ = installed("strategies", "wordy")
    assert "--least-words" in out
    code, out, err = installed("select", "--help-all")
    assert (code, err) == (0, "")
    assert "wordy: Distinct words that a response must have." in " ".join(out.split())
    code, _, err = installed(
        "select", "pool.parquet", "--strategy", "wordy", "--least-words", "5", "-n", "20",
        "-o", "subset.jsonl",
    )  # fmt: skip
    assert code == 0, err
    words = pl.read_ndjson(tmp_path / "subset.jsonl")["output"].str.to_lowercase().str.split(" ")
    counts = pl.read_parquet(tmp_path / "pool.ds2" / "scores.parquet")["ds2_strategy_score"]
    assert words.list.n_unique().min() > counts.median()
    assert counts.drop_nulls().min() >= 5
    assert installed("verify", "pool.ds2")[0] == 0
    code, _, err = installed("select", "pool.parquet", "--strategy", "wordy", "--least-words", "0",
                             "-n", "20")  # fmt: skip
    assert code == 3
    assert "`--least-words` of the strategy `wordy` must be at least 1, got 0" in err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("shards", "of the package `shattered` cannot be loaded: No module named 'no_such_module'"),
        ("fog", "the types of the options of the strategy `fog` of the package `shattered`"),
    ],
)
def test_a_broken_package_is_said_when_it_is_named(installed, name, said):
    code, out, err = installed("select", "pool.parquet", "--strategy", name, "-n", "20")
    assert code == 1
    assert not out
    assert said in err
    assert len(err.splitlines()) == 3, "a sentence and a hint"
    code, _, err = installed("select", "pool.parquet", "--strategy", "longest", "-n", "20", "-q")
    assert (code, err) == (0, "")
    assert installed("--help")[0] == 0
