"""Strategies compared on one pool: what is read, judged, repeated, run and drawn."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass

import numpy as np
import polars as pl
import pytest

import ds2_fast
from ds2_fast.bakeoff.entries import read_entries, read_settings
from ds2_fast.bakeoff.judges import known_columns
from ds2_fast.cli import main
from ds2_fast.errors import PoolError
from ds2_fast.pool import read_pool
from ds2_fast.strategies import Strategy, registry

EVIL = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\x1b[31m&amp;"\''
SAMPLES = 60


def make_frame(samples=SAMPLES):
    rng = np.random.default_rng(3)
    return pl.DataFrame(
        {
            "prompt": [f"question {row}" for row in range(samples)],
            "completion": ["x" * int(length) for length in rng.integers(1, 90, samples)],
            "score": rng.integers(0, 6, samples),
            "rating_other": rng.integers(1, 6, samples),
            "rating_other_ev": rng.random(samples),
            "source": [["web", "book"][row % 2] for row in range(samples)],
        }
    )


FRAME = make_frame()
ROWS = np.random.default_rng(4).standard_normal((SAMPLES, 8)).astype(np.float32)
OPTIONS = {"embeddings": ROWS, "score_col": "score", "seeds": 3}


def compare(strategies, n=12, frame=FRAME, **options):
    return ds2_fast.compare_strategies(frame, strategies, n, **{**OPTIONS, **options})


def rows_of(found, place=0):
    return {row["strategy"]: row for row in found.report["tables"][place]["strategies"]}


@pytest.fixture
def pool(tmp_path):
    FRAME.write_ndjson(tmp_path / "pool.jsonl")
    np.save(tmp_path / "rows.npy", ROWS)
    return tmp_path / "pool.jsonl"


# what is compared


def test_every_strategy_chooses_what_select_chooses():
    names = ["ds2", "ds2-raw", "longest", "knn", "kcenter", "column+mmr"]
    found = compare(names)
    assert found.labels == ("random", *names)
    for name in names:
        own = ds2_fast.select(FRAME, 12, strategy=name, score_col="score", embeddings=ROWS)
        (rows,) = found.rows[name, 12]
        assert rows.tolist() == own.indices.tolist(), name
    draws = found.rows["random", 12]
    for seed, rows in zip((42, 43, 44), draws, strict=True):
        own = ds2_fast.select(FRAME, 12, strategy="random", seed=seed, embeddings=ROWS)
        assert rows.tolist() == own.indices.tolist()


def test_the_control_comes_first_wherever_it_is_named():
    assert [entry.label for entry in read_entries("longest,random,knn")] == [
        "random", "longest", "knn",
    ]  # fmt: skip
    with pytest.raises(PoolError, match="nothing to compare"):
        read_entries("random")
    with pytest.raises(PoolError, match="drawn at random without options"):
        read_entries("random,knn", {"random": {"stratify": "source"}})
    with pytest.raises(PoolError, match="two strategies are called `knn`"):
        read_entries("knn,knn")
    with pytest.raises(PoolError, match="no strategy `logest`"):
        read_entries("logest")
    with pytest.raises(PoolError, match="names no strategy"):
        read_entries("knn,,longest")
    with pytest.raises(PoolError, match=r"`\.\./x` is no label"):
        read_entries("../x=knn")


def test_a_strategy_is_compared_with_itself_under_labels():
    text = "loose=deita,strict=deita,strata=random,mmr"
    options = read_settings(
        ["deita.threshold=0.9", "strict.threshold=0.2", "strata.stratify=source"], text
    )
    plans = {entry.label: entry.plan for entry in read_entries(text, options)}
    assert plans["loose"].rule.threshold == 0.9
    assert plans["strict"].rule.threshold == 0.2
    assert plans["strata"].rule.stratify == "source"
    assert plans["random"].rule.stratify is None
    for wrong, told in (
        ("deita.treshold=1", "no option `treshold`"),
        ("deita.threshold=high", "`high` is not a number"),
        ("threshold=1", "sets no option"),
        ("deita.threshold", "sets no option"),
        ("knn.k=3", "`knn` has no option"),
    ):
        with pytest.raises(PoolError, match=told):
            read_settings([wrong], text)
    with pytest.raises(PoolError, match="meant for `longest`, which is not compared"):
        read_entries("knn", {"longest": {"unit": "words"}})


def test_a_strategy_that_lacks_something_says_so_and_the_others_go_on():
    found = compare("ids,longest")
    failed = rows_of(found)["ids"]["failed"]
    assert "list of samples" in failed["message"]
    assert "--set ids.keep_ids=..." in failed["hint"]
    assert rows_of(found)["longest"]["failed"] is None
    assert ("ids", 12) not in found.rows
    assert found.report["tables"][0]["overlap"]["labels"] == ["random", "longest"]
    with pytest.raises(PoolError, match="list of samples"):
        compare("ids")


def test_without_a_space_everything_but_distances_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    found = compare("longest,knn", embeddings=None, offline=True, embedder="no/such-model")
    assert found.report["space"] is None
    assert found.report["why_no_space"]
    rows = rows_of(found)
    assert rows["knn"]["failed"]["message"] == found.report["why_no_space"]
    assert set(rows["longest"]["measures"]) == {"length", "seconds"}
    assert rows["longest"]["raters"]["score"]["mean"]["value"] is not None


# how they are judged


def test_figures_are_those_of_the_rows():
    found = compare("longest,knn")
    row = rows_of(found)["longest"]
    (rows,) = found.rows["longest", 12]
    for name in ("score", "rating_other"):
        assert row["raters"][name]["mean"]["value"] == FRAME[name][rows.tolist()].mean()
    draws = found.rows["random", 12]
    control = [FRAME["rating_other"][draw.tolist()].mean() for draw in draws]
    random = rows_of(found)["random"]["raters"]["rating_other"]
    assert random["mean"]["value"] == pytest.approx(np.mean(control))
    assert random["mean"]["values"] == control
    apart = row["raters"]["rating_other"]["over_control"]
    assert apart["value"] == pytest.approx(
        FRAME["rating_other"][rows.tolist()].mean() - np.mean(control)
    )
    assert apart["low"] < apart["value"] < apart["high"]
    unit = ROWS / np.linalg.norm(ROWS, axis=1, keepdims=True)
    distance = 1 - (unit @ unit[rows].T).max(axis=1)
    assert row["measures"]["coverage_mean"]["value"] == pytest.approx(distance.mean(), abs=1e-6)
    assert row["measures"]["coverage_max"]["value"] == pytest.approx(distance.max(), abs=1e-6)
    lengths = read_pool(FRAME).text.str.len_chars()
    assert row["measures"]["length"]["value"] == lengths[rows.tolist()].median()
    shares = {each["column"]: each for each in row["shares"]}
    web = (FRAME["source"][rows.tolist()] == "web").sum()
    assert shares["source"]["total_variation"]["value"] == pytest.approx(abs(web / 12 - 0.5))
    overlap = found.report["tables"][0]["overlap"]
    common = len(set(rows.tolist()) & set(found.rows["knn", 12][0].tolist()))
    assert overlap["labels"] == ["random", "longest", "knn"]
    assert overlap["shares"][1][2] == overlap["shares"][2][1] == common / 12
    assert overlap["shares"][1][1] is None
    assert overlap["shares"][0][0] is not None


def test_what_a_strategy_looked_at_does_not_judge_it():
    found = compare("ds2,longest,column,knn,picked=column,ds2+kcenter", held_out=["rating_other"])
    seen = {name: row["raters"]["score"]["used"] for name, row in rows_of(found).items()}
    assert seen == {
        "random": False, "ds2": True, "longest": False, "column": True, "knn": False,
        "picked": True, "ds2+kcenter": True,
    }  # fmt: skip
    assert not any(row["raters"]["rating_other"]["used"] for row in rows_of(found).values())
    ds2 = rows_of(found)["ds2"]
    apart = ds2["raters"]["rating_other"]["over_control"]["value"]
    spread = FRAME["rating_other"].std(ddof=0)
    assert ds2["held_out_gain"] == pytest.approx(apart / spread)
    frame = FRAME.with_columns(quality_score=pl.col("rating_other"), complexity_score=1)
    held_out = ["rating_other", "quality_score"]
    judged = rows_of(compare("deita,longest", frame=frame, held_out=held_out))["deita"]["raters"]
    assert {name: each["used"] for name, each in judged.items()} == {
        "score": False, "rating_other": False, "quality_score": True,
    }  # fmt: skip


def test_held_out_raters_are_all_others_that_are_known():
    assert known_columns(read_pool(FRAME)) == ["score", "rating_other"]
    raters = compare("longest").report["raters"]
    assert [(each["name"], each["role"]) for each in raters] == [
        ("score", "score"), ("rating_other", "held out"),
    ]  # fmt: skip
    other = compare("longest", score_col="rating_other").report["raters"]
    assert [each["name"] for each in other] == ["rating_other", "score"]
    for wrong, told in ((["nobody"], "no column `nobody`"), (["score"], "strategies are given")):
        with pytest.raises(PoolError, match=told):
            compare("longest", held_out=wrong)


def test_only_random_strategies_have_an_interval_over_seeds():
    rows = rows_of(compare("longest,alpagasus", strategy_options={"alpagasus": {"threshold": 2}}))
    for name, drawn in (("random", 3), ("alpagasus", 3), ("longest", 1)):
        figures = [*rows[name]["measures"].values(), rows[name]["raters"]["rating_other"]["mean"]]
        assert all(len(figure["values"]) == drawn for figure in figures)
        assert all((figure["half"] is None) == (drawn == 1) for figure in figures)
    with pytest.raises(ValueError, match=r"seeds must lie in 2\.\.30, got 1"):
        compare("longest", seeds=1)


def test_sizes_are_nested_where_the_strategy_is():
    options = {"strata": {"stratify": "source"}}
    found = compare("longest,strata=random", n="6,15", strategy_options=options)
    assert [table["n"] for table in found.report["tables"]] == [6, 15]
    for label in ("random", "longest"):
        for small, large in zip(found.rows[label, 6], found.rows[label, 15], strict=True):
            assert small.tolist() == large[:6].tolist()
    for rows in found.rows["strata", 6]:
        assert sorted(FRAME["source"][rows.tolist()]) == ["book"] * 3 + ["web"] * 3


def test_too_few_are_said_to_be():
    found = compare("alpagasus", n="2,40", strategy_options={"alpagasus": {"threshold": 5}})
    passing = int((FRAME["score"] >= 5).sum())
    small, large = (rows_of(found, place)["alpagasus"] for place in (0, 1))
    assert (small["selected"], small["why_fewer"]) == (2, "")
    assert large["selected"] == passing < 40
    assert f"only {passing} samples" in large["why_fewer"]


def test_the_same_call_gives_the_same_figures_on_any_threads():
    def figures(threads):
        report = compare("ds2,facility,kcenter", threads=threads).to_dict()
        for table in report["tables"]:
            for row in table["strategies"]:
                del row["measures"]["seconds"]
        return json.dumps(report)

    assert figures(1) == figures(4) == figures(None)


def test_inputs_are_made_once_and_kept(pool, monkeypatch):
    """A strategy that asks for what another one made gets it; a second call reads it again."""

    @dataclass(frozen=True)
    class Asking(Strategy):
        name = "asking"
        source = "this test"
        random = True

        def score(self, inputs):
            made.append((inputs.seed, id(inputs.analysis), id(inputs.texts)))
            return np.random.default_rng(inputs.seed).random(len(inputs))

    monkeypatch.setattr(registry, "_load", lambda name, point: Asking)
    monkeypatch.setattr(registry, "_entry_points", lambda: {"asking": None})
    made: list[tuple[int, int, int]] = []
    options = {"run_dir": pool.parent / "run", "embeddings": str(pool.parent / "rows.npy")}
    compare("asking,again=asking", frame=pool, **options)
    assert [seed for seed, *_ in made] == [42, 43, 44] * 2
    assert len({rest for _, *both in made for rest in [tuple(both)]}) == 1
    file = pool.parent / "run" / "curated.parquet"
    before = file.stat().st_mtime_ns
    compare("ds2", frame=pool, **options)
    assert file.stat().st_mtime_ns == before


# the user's command

SCRIPT = """
import json, os, sys
subset, label, n, seed = sys.argv[1:5]
rows = [json.loads(line) for line in open(subset)]
with open(os.environ["CALLS"], "a") as calls:
    calls.write(f"{label} {n} {seed} {len(rows)}\\n")
if label == "knn":
    sys.exit("out of memory\\nno more")
if label == "longest":
    print("all went well")
    sys.exit()
print("epoch 1 of 3")
print("mean score =", sum(row["score"] for row in rows) / len(rows))
"""


@pytest.fixture
def command(tmp_path, monkeypatch):
    script = tmp_path / "a script.py"
    script.write_text(SCRIPT)
    monkeypatch.setenv("CALLS", str(tmp_path / "calls.txt"))
    return f"'{sys.executable}' '{script}' {{subset}} {{strategy}} {{n}} {{seed}}"


def calls_of(folder):
    file = folder / "calls.txt"
    return file.read_text().splitlines() if file.exists() else []


def test_the_command_judges_every_subset_once(pool, command):
    options = {
        "frame": pool, "run_dir": pool.parent / "run", "run": command, "run_name": "mean",
        "embeddings": str(pool.parent / "rows.npy"),
    }  # fmt: skip
    found = compare("column,longest,knn", **options)
    rows = rows_of(found)
    assert rows["column"]["run"]["value"] == rows["column"]["raters"]["score"]["mean"]["value"]
    assert rows["random"]["run"]["values"] == pytest.approx(
        rows["random"]["raters"]["score"]["mean"]["values"]
    )
    assert rows["random"]["run"]["half"] is not None
    for name, why, stderr in (
        ("longest", "`all went well` has no number", ""),
        ("knn", "exit code 1", "out of memory\nno more"),
    ):
        assert rows[name]["run"]["value"] is None
        (failed,) = rows[name]["run"]["failed"]
        assert why in failed["why"]
        assert failed["stderr"] == stderr
    assert calls_of(pool.parent) == [
        *(f"random 12 {seed} 12" for seed in (42, 43, 44)),
        "column 12 42 12", "longest 12 42 12", "knn 12 42 12",
    ]  # fmt: skip
    again = compare("column,longest,knn", **options)
    assert rows_of(again)["column"]["run"]["value"] == rows["column"]["run"]["value"]
    assert rows_of(again)["random"]["run"]["reused"] == 3
    # What gave no number is run again; another command is another run.
    assert calls_of(pool.parent)[6:] == ["longest 12 42 12", "knn 12 42 12"]
    compare("column", **{**options, "run": f"{command} more"})
    assert len(calls_of(pool.parent)) == 12


def test_a_journal_that_was_cut_short_is_read_as_far_as_it_goes(pool, command):
    options = {
        "frame": pool, "run_dir": pool.parent / "run", "run": command,
        "embeddings": str(pool.parent / "rows.npy"),
    }  # fmt: skip
    compare("column", **options)
    journal = pool.parent / "run" / "bakeoff" / "runs.jsonl"
    journal.write_bytes(journal.read_bytes()[:-9])
    compare("column", **options)
    assert calls_of(pool.parent)[4:] == ["column 12 42 12"]
    compare("column", **options)
    assert len(calls_of(pool.parent)) == 5
    lines = journal.read_bytes().splitlines()
    assert len(lines) == 5
    assert json.loads(lines[-1])["strategy"] == "column"


def test_a_program_that_is_not_there_ends_it(pool):
    with pytest.raises(PoolError, match="cannot run `no-such-program`"):
        compare("longest", frame=pool, run_dir=pool.parent / "r", run="no-such-program {subset}")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_a_killed_comparison_repeats_no_finished_run(pool, command, how):
    """The second run of three hangs; after the kill it alone and the third are run."""
    folder = pool.parent
    slow = folder / "slow.py"
    slow.write_text(
        "import os, sys, time\n"
        "open(os.environ['CALLS'], 'a').write(sys.argv[2] + '\\n')\n"
        "if sys.argv[2] == '43' and not os.path.exists(os.environ['GO']): time.sleep(60)\n"
        "print(0.25)\n"
    )
    words = [
        sys.executable, "-m", "ds2_fast", "compare", str(pool), "--strategies", "longest", "-n",
        "9", "--score-col", "score", "--seeds", "3", "--embeddings", str(folder / "rows.npy"),
        "--json", "--run", f"'{sys.executable}' '{slow}' {{subset}} {{seed}}",
    ]  # fmt: skip
    environment = {**os.environ, "GO": str(folder / "go")}
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(words, env=environment, start_new_session=True, **silent)
    deadline = time.monotonic() + 60
    while calls_of(folder)[-1:] != ["43"]:
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, how)
    assert process.wait() == (130 if how is signal.SIGINT else -how)
    assert calls_of(folder) == ["42", "43"]
    (folder / "go").touch()
    done = subprocess.run(words, env=environment, check=True, capture_output=True)
    assert calls_of(folder) == ["42", "43", "43", "44", "42"], "the last is of the longest"
    report = json.loads(done.stdout)
    assert report["tables"][0]["strategies"][0]["run"]["values"] == [0.25] * 3
    assert report["tables"][0]["strategies"][0]["run"]["reused"] == 1


# the command line and the page


def test_the_command_line_prints_json_and_draws(capsys, pool):
    page = pool.parent / "page.html"
    command = [
        "compare", pool, "--strategies", "longest,strict=deita,ids", "-n", "6,12", "--seeds", 2,
        "--set", "strict.threshold=0.3", "--embeddings", pool.parent / "rows.npy",
        "--score-col", "score", "--html", page,
    ]  # fmt: skip
    command = [str(part) for part in command]
    assert main([*command, "--json"]) == 0
    out, err = capsys.readouterr()
    report = json.loads(out)
    assert [table["n"] for table in report["tables"]] == [6, 12]
    assert "measured 8 subsets" in err
    text = page.read_text("utf-8")
    assert "4 ways to choose 6 and 12 of 60 samples" in text
    assert "threshold 0.3" in text
    assert "--set ids.keep_ids=..." in text
    assert main(command) == 0
    out = capsys.readouterr().out
    assert "3 strategies choose 12 of 60 samples" in out
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a", "b", "-n", "5"], "`-n` is for comparing strategies"),
        (["a", "b", "--score-col", "x"], "`--score-col` is for comparing strategies"),
        (["a"], "two run folders can be compared, got 1"),
        (["pool.jsonl", "--strategies", "knn"], "how many samples"),
        (["--strategies", "knn", "-n", "3"], "there is no pool"),
    ],
)
def test_the_two_comparisons_are_kept_apart(capsys, words, told):
    assert main(["compare", *words]) == 2
    assert told in capsys.readouterr().err


def test_a_file_that_merely_lies_there_runs_no_command(capsys, pool, monkeypatch):
    monkeypatch.chdir(pool.parent)
    (pool.parent / "ds2-fast.toml").write_text("[compare]\nrun = 'touch {subset}.ran'\n", "utf-8")
    assert main(["compare", "pool.jsonl", "--strategies", "knn", "-n", "5"]) == 2
    assert "may only do if it is named" in capsys.readouterr().err


def test_an_unknown_name_costs_nothing(capsys, pool):
    assert main(["compare", str(pool), "--strategies", "ds2,deeta", "-n", "5"]) == 3
    out, err = capsys.readouterr()
    assert "no strategy `deeta`" in err
    assert "did you mean `deita`" in err
    assert out == ""
    assert not (pool.parent / "pool.ds2").exists()


def test_texts_of_the_pool_stay_texts_on_the_page(tmp_path):
    from test_page import Page

    frame = FRAME.rename({"rating_other": EVIL}).with_columns(
        source=pl.lit(EVIL) + pl.col("source")
    )
    found = compare("longest", frame=frame, held_out=[EVIL], run="echo 1 {subset}", run_name=EVIL)
    page = tmp_path / "page.html"
    from ds2_fast.page import draw_strategies

    draw_strategies(found, page)
    text = page.read_text("utf-8")
    read = Page(text)
    assert read.tags.count("script") == 1
    assert "img" not in read.tags
    assert "window.hacked=1" in read.text
    assert not {"\x00", "\x1b"} & set(text)
    assert [link for link in read.links if not link.startswith(("data:", "#"))] == []


def test_a_browser_shows_the_strategies(tmp_path):
    from chromium import open_browser
    from ds2_fast.page import draw_strategies
    from test_page import look

    names = "ds2,ds2-raw,longest,knn,kcenter,mmr,a-very-long-label-of-its-own=column,ids"
    draw_strategies(compare(names, n="6,12"), tmp_path / "page.html")
    with open_browser() as browser:
        look(browser, tmp_path / "page.html", tmp_path, "bakeoff")


def test_three_raters_of_a_real_pool(data_dir, tmp_path):
    frame = pl.read_parquet(data_dir / "alpaca52k_rated.parquet").head(3000)
    rows = np.load(data_dir / "alpaca52k_minilm_f16.npy", mmap_mode="r")[:3000]
    found = ds2_fast.compare_strategies(
        frame, "ds2,longest", 200, score_col="rating_gpt4o_mini", embeddings=np.array(rows), seeds=2
    )
    held_out = [each["name"] for each in found.report["raters"] if each["role"] == "held out"]
    assert held_out == ["rating_llama31_8b", "rating_mistral_7b"]
    ds2 = rows_of(found)["ds2"]
    assert all(ds2["raters"][name]["over_control"]["low"] > 0 for name in held_out)
