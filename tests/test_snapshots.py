"""What the program says, word for word: the happy path, and the errors people make most often.

`DS2_FAST_WRITE_SNAPSHOTS=1` writes the snapshots anew; read the difference before you keep it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ds2_fast.cli import main
from tiny_causal import make_folder

POOL = Path(__file__).parent.parent / "examples" / "sample_pool.parquet"
SNAPSHOTS = Path(__file__).parent / "golden" / "terminal"
SELECT = ("select", "pool.parquet", "-n", "20", "--score-col", "rating", "--space", "lexical")
CASES = {
    "select": (*SELECT, "-o", "subset.jsonl"),
    "select-again": (*SELECT, "--no-html"),
    "curate": ("curate", "pool.parquet", "--score-col", "rating", "--space", "lexical"),
    "report": ("report", "pool.ds2"),
    "compare": ("compare", "pool.ds2", "other.ds2"),
    "compare-strategies": (
        "compare",
        "pool.parquet",
        "--strategies",
        "ds2,longest,loose=deita,ids",
        "-n",
        "20",
        "--set",
        "loose.threshold=0.5",
        *SELECT[4:],
    ),
    "verify": ("verify", "pool.ds2", "--deep"),
    "error-verify-pool-changed": ("verify", "pool.ds2"),
    "error-no-such-file": ("select", "poll.parquet", "-n", "20"),
    "error-no-scores": ("select", "unrated.parquet", "-n", "20", "--space", "lexical"),
    "error-no-such-column": (*SELECT[:5], "ratign", *SELECT[6:]),
    "error-scores-off-the-scale": (*SELECT, "--scale", "1-3"),
    "error-unknown-schema": ("select", "odd.parquet", "-n", "20", "--score-col", "rating"),
    "error-damaged-line": ("select", "damaged.jsonl", "-n", "20", "--space", "lexical"),
    "error-n-too-large": (*SELECT[:3], "500", *SELECT[4:]),
    "error-embeddings-of-another-pool": (*SELECT[:6], "--embeddings", "rows.npy"),
    "error-embeddings-not-finite": (*SELECT[:6], "--embeddings", "nan.npy"),
    "error-output-format": (*SELECT, "-o", "subset.docx"),
    "error-no-such-space": (*SELECT[:7], "lexcal"),
    "error-does-not-fit": ("select", "turns.jsonl", *SELECT[2:], "--to", "alpaca", "-o", "s.json"),
    "error-no-run": ("report", "."),
    "select-deita": (*SELECT, "--strategy", "deita", "--threshold", "0.8", "-o", "subset.jsonl"),
    "strategies": ("strategies",),
    "strategies-deita": ("strategies", "deita"),
    "explain-deita": ("explain", "pool.ds2", "--row", "5", "-k", "2"),
    "compare-deita": ("compare", "other.ds2", "pool.ds2"),
    "verify-deita": ("verify", "pool.ds2"),
    "error-no-such-strategy": (*SELECT, "--strategy", "deeta"),
    "error-no-scores-for-deita": (
        "select",
        "unrated.parquet",
        "-n",
        "20",
        "--space",
        "lexical",
        "--strategy",
        "deita",
    ),
    "error-option-of-ds2": (*SELECT, "--strategy", "deita", "--dedup", "0.9"),
    "error-no-such-option-of-deita": (*SELECT, "--strategy", "deita", "--stratify", "topic"),
    "error-parts-of-a-strategy": (*SELECT, "--strategy", "kcenter+longest"),
    "error-not-to-be-curated": (*SELECT[:6], "--embeddings", "random.npy", "--strict"),
    "help": ("--help",),
    "help-select": ("select", "--help"),
    "help-losses": ("losses", "--help"),
    "help-tag": ("tag", "--help"),
    "error-no-tags": (*SELECT[:6], "--strategy", "instag"),
    "losses": (
        "losses",
        "pool.parquet",
        "--causal-lm",
        "lm",
        "-o",
        "losses.parquet",
        "--threads",
        "2",
    ),
    "error-no-language-model": ("losses", "pool.parquet"),
    "error-text-without-prompt": ("losses", "text.jsonl", "--causal-lm", "lm"),
    "error-not-causal": ("losses", "pool.parquet", "--causal-lm", "ahead"),
    "select-for-a-tool": (*SELECT, "--no-html", "-o", "tool/", "--to", "messages", "--emit", "trl"),
    "select-configured": ("select", "pool.parquet", "--no-html", "--config", "our.toml"),
    "usage-no-such-setting": (*SELECT, "--config", "wrong.toml"),
    "usage-no-n": ("select", "pool.parquet"),
    "usage-no-such-option": (*SELECT, "--seeds", "3"),
    "usage-no-such-command": ("selct", "pool.parquet"),
}
NEEDS_DEITA = ("explain-deita", "compare-deita", "verify-deita")
NEEDS_RUN = ("select-again", "report", "compare", "verify", "error-verify-pool-changed")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with pools, to which every path in the output is relative."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
    frame = pl.read_parquet(POOL).head(400).drop("truth")
    frame.write_parquet("pool.parquet")
    frame.drop("rating").write_parquet("unrated.parquet")
    Path("our.toml").write_text('seed = 7\n[select]\nn = 20\nspace = "lexical"\n', "utf-8")
    Path("wrong.toml").write_text("[select]\nspaze = 1\n", "utf-8")
    frame.select(alpha="instruction", rating="rating").write_parquet("odd.parquet")
    asked = pl.struct(role=pl.lit("user"), content="instruction")
    told = pl.struct(role=pl.lit("assistant"), content="output")
    turns = frame.select("id", "rating", messages=pl.concat_list(asked, told, asked, told))
    turns.write_ndjson("turns.jsonl")
    lines = frame.head(3).write_ndjson().splitlines()
    Path("damaged.jsonl").write_text("\n".join([lines[0], lines[1][:-9], lines[2], ""]), "utf-8")
    frame.head(9).select(text="output").write_ndjson("text.jsonl")
    make_folder(Path("lm"))
    make_folder(Path("ahead"), "everywhere")
    rng = np.random.default_rng(5)
    rows = rng.standard_normal((400, 16)).astype(np.float32)
    np.save("random.npy", rows)
    np.save("rows.npy", rows[:390])
    rows[17, 2] = np.nan
    np.save("nan.npy", rows)
    return tmp_path


def normalized(text: str, folder: Path) -> str:
    """What is the same on every machine: no folder, no seconds."""
    for path in {str(folder), str(folder.resolve())}:
        text = text.replace(f"{path}{os.sep}", "").replace(path, ".")
    text = re.sub(r"\((\d+ min )?\d+(\.\d)? s\)", "(# s)", text)
    # The last column of a table of strategies, which has a share in it.
    text = re.sub(r"(?m)^(.*\d%.*) \d\.\d\d *$", r"\1 #.##", text)
    return "\n".join(line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("case", CASES)
def test_the_program_says(capsys, folder, case):
    if case in NEEDS_RUN:
        assert main([*SELECT, "-q"]) == 0
    if case in NEEDS_DEITA:
        assert main([*SELECT, "--strategy", "deita", "--threshold", "0.8", "-q"]) == 0
    if case == "compare-deita":
        assert main([*SELECT, "-q", "--run-dir", "other.ds2"]) == 0
    if case == "compare":
        assert main([*SELECT, "-q", "-k", "5", "--noise-share", "1", "--run-dir", "other.ds2"]) == 0
    if case == "error-verify-pool-changed":
        with Path("pool.parquet").open("ab") as file:
            file.write(b"\n")
    capsys.readouterr()
    code = main(list(CASES[case]))
    out, err = capsys.readouterr()
    said = "\n".join(
        [
            f"$ ds2-fast {' '.join(CASES[case])}",
            f"--- exit code {code}",
            "--- stdout",
            normalized(out, folder),
            "--- stderr",
            normalized(err, folder),
            "",
        ]
    )
    file = SNAPSHOTS / f"{case}.txt"
    if os.environ.get("DS2_FAST_WRITE_SNAPSHOTS"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(said, "utf-8", newline="\n")
    assert said == file.read_text("utf-8")


def test_every_snapshot_is_of_a_case():
    assert {file.stem for file in SNAPSHOTS.glob("*.txt")} == set(CASES)
