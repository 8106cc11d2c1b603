"""The command line as a person meets it: what it prints, where, and with which exit code."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from ds2_fast.cli import main
from rating_server import RatingServer

POOL = Path(__file__).parent.parent / "examples" / "sample_pool.parquet"


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.fixture(scope="module")
def pool(tmp_path_factory):
    """A pool small enough to be quick, in a folder of its own."""
    file = tmp_path_factory.mktemp("pool") / "pool.parquet"
    pl.read_parquet(POOL).head(400).write_parquet(file)
    return file


SELECT = ("--no-html", "--score-col", "rating", "--space", "lexical")


def test_select_writes_the_subset_and_tells_each_stage(capsys, pool, tmp_path):
    output = tmp_path / "out.jsonl"
    code, out, err = run(
        capsys, "select", pool, "-n", 20, "-o", output, "--run-dir", tmp_path / "run", *SELECT
    )
    assert code == 0
    assert out == ""
    assert len(output.read_text().splitlines()) == 20
    for line in (
        "read 400 samples",
        "found 50 neighbors",
        "fitted T and p",
        "selected 20 of 400",
        "Trust check",
    ):
        assert line in err
    assert str(output) in err


def test_json_is_alone_on_stdout(capsys, pool, tmp_path):
    code, out, _ = run(
        capsys, "select", pool, "-n", "5%", "--json", "--run-dir", tmp_path / "run", *SELECT
    )
    assert code == 0
    assert json.loads(out)["selection"]["sizes"] == [20]
    code, again, _ = run(capsys, "report", tmp_path / "run", "--json")
    assert code == 0
    assert json.loads(again) == json.loads(out)


@pytest.fixture
def ignorant(tmp_path):
    """A pool whose neighbors know nothing: random vectors."""
    rng = np.random.default_rng(5)
    np.save(tmp_path / "rows.npy", rng.standard_normal((300, 16)).astype(np.float32))
    rows = [{"instruction": f"say {i}", "output": f"{i}", "rating": i % 6} for i in range(300)]
    pl.DataFrame(rows).write_ndjson(tmp_path / "pool.jsonl")
    return tmp_path / "pool.jsonl", "--embeddings", tmp_path / "rows.npy", "--score-col", "rating"


@pytest.mark.parametrize("command", [["select", "-n", "20"], ["curate"]])
def test_strict_runs_end_where_curation_should(capsys, ignorant, command):
    code, _, err = run(capsys, *command, *ignorant, "--strict")
    assert code == 6
    assert "neighbors know no more about these ratings than about" in " ".join(err.split())
    assert run(capsys, *command, *ignorant, "--strict", "--curation", "none")[0] == 0
    code, out, _ = run(capsys, *command, *ignorant, "--json")
    report = json.loads(out)
    assert (code, report["trust"]["verdict"]) == (0, "do not curate")
    assert report["scores"]["pool"] == report["scores"]["curated"]
    code, out, err = run(capsys, *command, *ignorant)
    assert "Trust check: do not curate" in err
    assert sum("no score was changed: neighbors know no more" in x for x in err.splitlines()) == 1
    assert "to move up: try another `--space`" in err


def test_intervals_are_reported_and_kept(capsys, pool, tmp_path):
    folder = tmp_path / "run"
    code, out, _ = run(capsys, "curate", pool, "--json", "--run-dir", folder, *SELECT)
    found = json.loads(out)["transition"]["intervals"]
    assert code == 0
    assert found == json.loads((folder / "intervals.json").read_text())
    assert "the neighbor graph" in found["conditions"]
    code, _, err = run(capsys, "curate", pool, "--run-dir", folder, *SELECT)
    assert "prior p, 95 %" in err
    assert f"200 resamplings of {found['blocks']} blocks" in err


def test_threads_hold_for_stages_that_take_no_number(capsys, monkeypatch, pool, tmp_path):
    monkeypatch.setenv("RAYON_NUM_THREADS", "7")
    folder = tmp_path / "run"
    arguments = ("select", pool, "-n", 5, "--run-dir", folder, "--threads", 1, *SELECT)
    assert run(capsys, *arguments)[0] == 0
    assert os.environ["RAYON_NUM_THREADS"] == "1"


def test_the_reference_needs_three_neighbors(capsys, pool, tmp_path):
    arguments = ("select", pool, "-n", 5, "--run-dir", tmp_path / "run", *SELECT)
    code, _, err = run(capsys, *arguments, "--preset", "reference", "-k", 2)
    assert code == 3
    assert "k = 2 leaves the `reference` long-tail score without a neighbor" in err
    assert run(capsys, *arguments, "--preset", "reference", "-k", 3)[0] == 0


def test_what_a_stage_warns_of_is_said(capsys, tmp_path):
    """One sample in 10 is rated, so the lists of the published code's rounds run short."""
    frame = pl.read_parquet(POOL).head(400)
    rated = pl.when(pl.int_range(pl.len()) % 10 == 0).then("rating")
    frame.with_columns(rated.alias("rating")).write_parquet(tmp_path / "pool.parquet")
    code, out, err = run(
        capsys, "select", tmp_path / "pool.parquet", "-n", 5, "--curation", "reference", *SELECT
    )
    assert (code, out) == (0, "")
    assert "care: " in err
    assert "of the voting lists found fewer than 10 members" in " ".join(err.split())
    report = json.loads((tmp_path / "pool.ds2" / "report.json").read_text())
    assert "of the voting lists" in report["curation"]["warnings"][0]


def test_quiet_says_nothing_when_nothing_is_wrong(capsys, pool, tmp_path):
    assert run(capsys, "select", pool, "-n", 5, "-q", "--run-dir", tmp_path / "run", *SELECT) == (
        0,
        "",
        "",
    )


def test_the_run_directory_is_beside_the_pool(capsys, tmp_path):
    file = tmp_path / "mine.jsonl"
    pl.read_parquet(POOL).head(100).write_ndjson(file)
    assert run(capsys, "curate", file, *SELECT)[0] == 0
    assert (tmp_path / "mine.ds2" / "scores.parquet").is_file()
    code, out, err = run(capsys, "report", tmp_path / "mine.ds2")
    assert (code, err) == (0, "")
    assert "Curated 100 samples" in out


def test_a_narrow_terminal_cuts_no_number(capsys, monkeypatch, pool, tmp_path):
    folder = tmp_path / "run"
    assert run(capsys, "curate", pool, "--run-dir", folder, *SELECT)[0] == 0
    wide = run(capsys, "report", folder)[1]
    monkeypatch.setenv("COLUMNS", "38")
    assert run(capsys, "report", folder)[1] == wide
    assert "…" not in wide


@pytest.mark.parametrize("left", ["", '{"pool": ', "[]", '{"pool": {}}', "\udcff"])
def test_a_damaged_report_is_said(capsys, pool, tmp_path, left):
    folder = tmp_path / "run"
    assert run(capsys, "curate", pool, "--run-dir", folder, *SELECT)[0] == 0
    (folder / "report.json").write_text(left, errors="surrogateescape")
    for options in ((), ("--json",)):
        code, out, err = run(capsys, "report", folder, *options)
        assert (code, out) == (1, "")
        assert "report.json` is damaged" in err
        assert "hint: " in err


def test_embed_writes_rows(capsys, pool, tmp_path):
    file = tmp_path / "rows.npy"
    code, out, _ = run(
        capsys, "embed", pool, "--space", "lexical", "-o", file, "--run-dir", tmp_path / "run"
    )
    assert (code, out) == (0, "")
    assert np.load(file).shape[0] == 400
    code, _, _ = run(
        capsys,
        "select",
        pool,
        "-n",
        5,
        "--score-col",
        "rating",
        "--embeddings",
        file,
        "--run-dir",
        tmp_path / "run",
    )
    assert code == 0


def broken(tmp_path: Path, kind: str) -> list[object]:
    """Arguments for one kind of bad input."""
    frame = pl.read_parquet(POOL).head(100)
    file = tmp_path / "pool.parquet"
    rows = np.ones((100, 4), np.float32) + np.arange(400, dtype=np.float32).reshape(100, 4) ** 0.5
    arguments: list[object] = ["select", file, "-n", 10, *SELECT]
    if kind == "missing file":
        return arguments
    if kind == "unknown schema":
        frame = frame.select(pl.col("instruction").alias("alpha"), pl.col("rating"))
    elif kind == "empty pool":
        frame = frame.head(0)
    elif kind == "no score column":
        frame = frame.drop("rating")
        arguments = ["select", file, "-n", 10, "--space", "lexical"]
    elif kind == "wrong score column":
        arguments = ["select", file, "-n", 10, "--space", "lexical", "--score-col", "ratign"]
    elif kind == "unknown space":
        arguments[-1] = "lexcal"
    elif kind == "scores out of range":
        arguments += ["--scale", "1-3"]
    elif kind == "n too large":
        arguments[3] = 101
    elif kind == "NaN embeddings":
        rows[17, 2] = np.nan
        arguments += ["--embeddings", tmp_path / "rows.npy"]
    elif kind == "wrong row count":
        rows = rows[:90]
        arguments += ["--embeddings", tmp_path / "rows.npy"]
    elif kind == "output in a folder that is not there":
        arguments += ["-o", tmp_path / "no" / "out.jsonl"]
    elif kind == "unknown output format":
        arguments += ["-o", tmp_path / "out.docx"]
    if "--embeddings" in arguments:
        np.save(tmp_path / "rows.npy", rows)
        arguments.remove("--space")
        arguments.remove("lexical")
    frame.write_parquet(file)
    return arguments


@pytest.mark.parametrize(
    ("kind", "code", "said"),
    [
        ("missing file", 3, ["pool.parquet"]),
        ("unknown schema", 3, ["alpha"]),
        ("empty pool", 3, ["no samples"]),
        ("no score column", 3, ["score"]),
        ("wrong score column", 3, ["`ratign`", "`rating`"]),
        ("unknown space", 3, ["`lexcal`", "lexical"]),
        ("scores out of range", 3, ["row "]),
        ("n too large", 3, ["101", "100"]),
        ("NaN embeddings", 3, ["row 17", "column 2"]),
        ("wrong row count", 3, ["90", "100"]),
        ("output in a folder that is not there", 1, ["no folder"]),
        ("unknown output format", 3, [".docx"]),
    ],
)
def test_bad_input_is_one_sentence_a_hint_and_an_exit_code(capsys, tmp_path, kind, code, said):
    arguments = broken(tmp_path, kind)
    before = sorted(tmp_path.iterdir())
    found, out, err = run(capsys, *arguments, "--run-dir", tmp_path / "run")
    assert (found, out) == (code, "")
    error = err[err.index("error: ") :].strip().split("\n\n")
    assert len(error) == 2, "one sentence, one hint"
    assert error[1].startswith("hint: ")
    assert "\n" not in error[0]
    assert not error[0].endswith(".")
    for word in said:
        assert word in err
    left = [
        path for path in sorted(tmp_path.iterdir()) if path not in before and path.name != "run"
    ]
    assert left == []


def test_a_read_only_output_folder_is_said(tmp_path, pool):
    if os.name != "posix" or os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o500)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "ds2_fast",
            "select",
            pool,
            "-n",
            "5",
            "-o",
            folder / "out.jsonl",
            *SELECT,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "permission denied" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["selct"], "did you mean `select`?"),
        (["select"], "error: missing argument `POOL...`"),
        (["select", "pool.parquet"], "error: missing option `-n` / `--n`"),
        (["select", "pool.parquet", "-n", "5", "--noise-share", "2"], "0<=x<=1"),
        (["select", "pool.parquet", "-n", "5", "-k", "256"], "2<=x<=255"),
        (["select", "pool.parquet", "-n", "5", "--prest", "paper"], "--preset"),
    ],
)
def test_wrong_usage_is_exit_code_2(capsys, arguments, said):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    assert said in err


def test_ctrl_c_is_exit_code_130_and_the_next_run_goes_on(tmp_path):
    file = tmp_path / "pool.parquet"
    pl.concat([pl.read_parquet(POOL)] * 12).write_parquet(file)
    command = [sys.executable, "-m", "ds2_fast", "select", str(file), "-n", "50", *SELECT]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        for line in process.stderr:
            if "scores" in line:
                break
        time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read()
    assert process.returncode == 130, rest
    assert "run the same command again" in rest
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "selected 50 of" in done.stderr


@pytest.mark.parametrize("command", ["rate", "embed"])
@pytest.mark.parametrize("name", ["pool.jsonl", "rows.txt", "no/rows"])
def test_an_output_that_cannot_be_is_refused_before_any_work(capsys, tmp_path, command, name):
    file = tmp_path / "pool.jsonl"
    pl.read_parquet(POOL).head(20).write_ndjson(file)
    before = file.read_bytes()
    if name.startswith("no/"):
        name += {"rate": ".parquet", "embed": ".npy"}[command]
    more = {"rate": ["--model", "openai/m", "--api-base", "http://127.0.0.1:9"], "embed": []}
    code, out, err = run(capsys, command, file, "-o", tmp_path / name, *more[command])
    assert (code, out) == (1 if name.startswith("no/") else 3, "")
    assert "error: " in err and "hint: " in err
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["pool.jsonl"]


def test_a_rating_file_is_never_the_pool(capsys, tmp_path):
    file = tmp_path / "pool.parquet"
    pl.read_parquet(POOL).head(20).write_parquet(file)
    before = file.read_bytes()
    asked = ("--model", "openai/m", "--api-base", "http://127.0.0.1:9")
    code, _, err = run(capsys, "rate", file, "-o", file, *asked)
    assert (code, file.read_bytes()) == (3, before)
    assert "never written over" in err


def test_a_dry_run_selects_nothing(capsys, pool, tmp_path):
    output, folder = tmp_path / "out.jsonl", tmp_path / "run"
    into = ("-n", 5, "-o", output, "--run-dir", folder, "--space", "lexical", "--dry-run")
    code, out, err = run(capsys, "select", pool, *into, "--model", "openai/gpt-4o-mini")
    assert code == 0
    assert "the pool has scores" in out
    code, _, err = run(capsys, "select", pool, *into)
    assert code == 2
    assert "--model" in err
    bare = tmp_path / "bare.parquet"
    pl.read_parquet(pool).drop("rating", "truth").write_parquet(bare)
    code, out, err = run(capsys, "select", bare, *into, "--model", "openai/gpt-4o-mini")
    assert code == 0
    assert "400 rows" in out
    assert not output.exists()
    assert not folder.exists()


def test_a_dry_run_tells_the_plan_of_a_pool_that_is_rated(capsys, tmp_path):
    bare = tmp_path / "bare.parquet"
    pl.read_parquet(POOL).head(30).drop("rating", "truth").write_parquet(bare)
    with RatingServer() as server:
        asked = ("--model", "openai/m", "--api-base", server.base)
        assert run(capsys, "rate", bare, *asked)[0] == 0
        code, out, _ = run(capsys, "rate", bare, *asked, "--dry-run")
        assert (code, server.requests) == (0, 30)
        assert "30 rows, 0 to rate" in out


def test_nothing_in_a_file_paints_the_terminal(capsys, tmp_path):
    file = tmp_path / "pool.jsonl"
    nasty = "[red]no[/red] \x1b[31mred\x07 \u202e back \\"
    rows = [
        {"instruction": nasty, "output": f"{nasty} {i} \u3000全角\u00a0fin", "rating": i % 6}
        for i in range(60)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    code, _, err = run(capsys, "select", file, "-n", 3, *SELECT)
    assert code == 0
    assert "\x1b" not in err and "\x07" not in err and "\u202e" not in err
    assert "[red]no[/red]" in err
    assert "\u3000全角\u00a0fin" in err
    code, _, err = run(
        capsys, "select", file, "-n", 3, "--score-col", "\x1b[31m", "--space", "lexical"
    )
    assert code == 3
    assert "\x1b" not in err


def start(*arguments, **pipes):
    return subprocess.Popen([sys.executable, "-m", "ds2_fast", *map(str, arguments)], **pipes)


def test_a_closed_stderr_stops_nothing(pool, tmp_path):
    output = tmp_path / "out.jsonl"
    select = ("select", pool, "-n", 20, "-o", output, "--run-dir", tmp_path / "run", "--json")
    with start(*select, *SELECT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stderr.close()
        assert json.loads(process.stdout.read())["selection"]["sizes"] == [20]
    assert process.returncode == 0
    assert len(output.read_text().splitlines()) == 20


def test_an_error_nobody_reads_keeps_its_exit_code(tmp_path):
    with start("select", tmp_path / "none.jsonl", "-n", 1, stderr=subprocess.PIPE) as process:
        process.stderr.close()
    assert process.returncode == 3


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_a_closed_stdout_is_no_traceback(capsys, pool, tmp_path, options):
    folder = tmp_path / "run"
    assert run(capsys, "curate", pool, "--run-dir", folder, *SELECT)[0] == 0
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start("report", folder, *options, **pipes) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 1
