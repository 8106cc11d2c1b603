"""What is done with a journal besides asking: batch files, status, export, reparse, import."""

from __future__ import annotations

import json
import random
from pathlib import Path

import polars as pl
import pytest
from click.testing import CliRunner

from ds2_fast.cli import cli
from ds2_fast.errors import RunError
from ds2_fast.rating.batch import chunk_lines
from rating_chances import content_of
from rating_server import CRITERIA, RatingServer

COUNT = 25
MODEL = ("--model", "openai/gpt-4o-mini")


@pytest.fixture
def pool(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"id": f"s{i}", "instruction": f"q{i}", "output": "a " * 50} for i in range(COUNT)]
    rows.append(dict(rows[0]))  # a duplicate
    Path("pool.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return "pool.jsonl"


def invoke(*arguments):
    result = CliRunner().invoke(cli, ["rate", *map(str, arguments)], standalone_mode=False)
    if result.exception:
        raise result.exception
    return result


def result_of(line: dict, text: str, **more) -> dict:
    body = {
        "model": "gpt-4o-mini-2024-07-18",
        "system_fingerprint": "fp",
        "choices": [{"message": {"content": text}, "finish_reason": "stop", **more}],
        "usage": {"prompt_tokens": 600, "completion_tokens": 40},
    }
    return {
        "id": "batch_req_1",
        "custom_id": line["custom_id"],
        "response": {"status_code": 200, "body": body},
        "error": None,
    }


def answer(overall: int) -> str:
    return json.dumps({**dict.fromkeys(CRITERIA, 2), "Overall rating": overall})


def write(name: str, lines: list[dict]) -> str:
    Path(name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return name


def exported(pool, *options) -> list[dict]:
    result = invoke("batch-export", pool, *MODEL, *options)
    files = result.stdout.split()
    return [json.loads(line) for file in files for line in Path(file).read_text().splitlines()]


def test_a_batch_goes_out_and_comes_back_in_any_order(pool):
    plan = invoke("batch-export", pool, *MODEL, "--dry-run")
    assert "batch    about" in plan.stdout and not Path("pool.ds2").exists()
    lines = exported(pool)
    assert len({line["custom_id"] for line in lines}) == len(lines) == COUNT
    assert all(len(line["custom_id"]) <= 64 for line in lines)
    body = lines[0]["body"]
    assert (lines[0]["method"], lines[0]["url"]) == ("POST", "/v1/chat/completions")
    assert body["model"] == "gpt-4o-mini" and body["max_tokens"] == 128
    assert body["temperature"] == 0 and "<sample id=" in body["messages"][1]["content"]
    assert "logprobs" not in body

    results = [result_of(line, answer(i % 6)) for i, line in enumerate(lines)]
    results[3] = result_of(lines[3], "no idea")
    results[4] = {"custom_id": lines[4]["custom_id"], "response": None,
                  "error": {"code": "batch_expired", "message": "expired"}}  # fmt: skip
    results[5]["response"] = {
        "status_code": 400,
        "body": {"error": {"message": "the response was flagged by content policy"}},
    }
    strange = [{"custom_id": "x.y"}, {"nothing": 1}]
    shuffled = random.Random(0).sample(results[:20] + strange, 22)
    told = invoke("batch-import", "pool.ds2", write("a.jsonl", shuffled)).stderr
    assert "17 answers with ratings" in told and "2 no results of this run" in told
    assert "3 without a rating (" in told
    # 600 in at $0.075 and 40 out at $0.30 per million: half the price of the live service.
    assert f"${17 * (600 * 0.075 + 40 * 0.3) * 1e-6:,.4f}" in told
    again = invoke("batch-import", "pool.ds2", write("b.jsonl", results)).stderr
    assert "5 answers with ratings" in again and "17 known already" in again

    status = json.loads(invoke("status", "pool.ds2", "--json").stdout)["raters"][0]
    assert (status["rated"], status["null"]) == (22, 3)
    assert status["reasons"] == {"no_json": 1, "transport": 1, "content_filter": 1}
    open_again = exported(pool, "-o", "later")
    assert [line["custom_id"] for line in open_again] == [lines[4]["custom_id"]]

    invoke("export", "pool.ds2", "-o", "ratings.parquet")
    frame = pl.read_parquet("ratings.parquet")
    assert frame["id"].to_list()[:2] == ["s0", "s1"] and len(frame) == COUNT + 1
    wanted = [i % 6 if i not in {3, 4, 5} else None for i in range(COUNT)]
    assert frame["rating_gpt_4o_mini"].to_list() == [*wanted, 0]
    why = frame["rating_gpt_4o_mini_why"].to_list()
    assert why[3:6] == ["no_json", "not_rated", "content_filter"]


def test_probabilities_are_asked_for_where_they_are_required(pool):
    lines = exported(pool, "--expected", "require")
    assert {line["body"]["top_logprobs"] for line in lines} == {20}
    content = {"content": content_of(answer(4), {"4": 0.5, "5": 0.5})}
    results = [result_of(line, answer(4), logprobs=content) for line in lines]
    invoke("batch-import", "pool.ds2", write("a.jsonl", results))
    invoke("export", "pool.ds2", "-o", "r.parquet")
    frame = pl.read_parquet("r.parquet")
    assert frame["rating_gpt_4o_mini_ev"].to_list() == pytest.approx([4.5] * (COUNT + 1))


def test_files_are_cut_by_lines_and_by_bytes():
    lines = [b"x" * size for size in (4, 4, 4, 9, 1)]
    assert list(chunk_lines(lines, 2, 100)) == [lines[:2], lines[2:4], lines[4:]]
    assert list(chunk_lines(lines, 100, 10)) == [lines[:2], lines[2:3], lines[3:]]
    assert list(chunk_lines([], 2, 2)) == []


def test_a_stopped_run_of_two_raters_can_be_exported_with_its_pool(pool):
    with RatingServer() as server:
        base = ("--api-base", server.base, "--max-null", "100%")
        invoke(pool, "--model", "openai/a", "--model", "openai/b", *base, "-o", "both.parquet")
        assert server.requests == 2 * COUNT
        invoke(pool, "--model", "openai/c", *base, "--limit", 5)
    both = pl.read_parquet("both.parquet")
    assert {"rating_a", "rating_b", "rating_a_ev", "rating_b_why"} <= set(both.columns)
    told = invoke("export", "pool.ds2", "-o", "rated.jsonl", "--with-pool").stderr
    assert "rating_c: 5 of 26 rated by openai/c" in told
    frame = pl.read_ndjson("rated.jsonl")
    assert frame.columns[:3] == ["id", "instruction", "output"]
    assert frame["rating_a"].to_list() == both["rating_a"].to_list()
    assert frame["rating_c_why"].to_list()[5:] == ["skipped"] * 21
    assert sorted(p.name for p in Path("pool.ds2").glob("ratings*.parquet")) == [
        "ratings-a.parquet", "ratings-b.parquet", "ratings.parquet",
    ]  # fmt: skip
    Path(pool).write_text("")
    with pytest.raises(RunError, match="has changed since the run"):
        invoke("export", "pool.ds2", "-o", "r.parquet")


def test_what_could_not_be_read_is_read_again_for_nothing(pool):
    with RatingServer(answer="no json here") as server:
        arguments = (pool, "--model", "openai/a", "--api-base", server.base, "--reask", 0)
        invoke(*arguments, "--max-null", "100%", "--limit", 8)
        requests = server.requests
        journal = Path("pool.ds2/ratings.jsonl")
        # As if a later version could read what this one could not.
        journal.write_text(journal.read_text().replace("no json here", json.dumps(answer(5))[1:-1]))
        spent = json.loads(invoke("status", "pool.ds2", "--json").stdout)["raters"][0]
        assert (
            "8 answers have ratings now, 0 still have none" in invoke("reparse", "pool.ds2").stderr
        )
        assert "0 answers have ratings now" in invoke("reparse", "pool.ds2").stderr
        invoke(*arguments, "--limit", 8)
        assert server.requests == requests
    status = json.loads(invoke("status", "pool.ds2", "--json").stdout)["raters"][0]
    assert (status["rated"], status["requests"]) == (8, spent["requests"])
    assert (status["cost"], status["tokens"]) == (spent["cost"], spent["tokens"])
    assert "8 rated, 0 without a rating" in invoke("status", "pool.ds2").stdout


def test_ratings_of_elsewhere_are_imported(pool):
    lists = [[3, 3, 3, 9], [0, 0, 0, 0], [2, 2, 2, 5], None]
    rows = [{"instruction": f"q{i}", "output": "a", "gpt": x} for i, x in enumerate(lists)]
    Path("other.jsonl").write_text("\n".join(map(json.dumps, rows)))
    told = invoke("import", "other.jsonl", "--column", "gpt", "-o", "in.parquet").stderr
    assert "[0, 0, 0, 0]" in told and "unrated" in told
    frame = pl.read_parquet("in.parquet")
    assert frame["rating_gpt"].to_list() == [5, None, 1, None]
    assert frame["rating_gpt_raw_overall"].to_list() == [9.0, None, 5.0, None]
    assert frame["rating_gpt_why"].to_list() == [None, "imported_null", None, "imported_null"]
    assert frame["instruction"].to_list() == ["q0", "q1", "q2", "q3"]


RATERS = """
[[rater]]
model = "openai/a"
api_base = "{base}"

[[rater]]
model = "openai/b"
api_base = "{base}"
temperature = 1.0
repeats = 2
"""


def test_raters_have_options_of_their_own(pool):
    with RatingServer() as server:
        Path("raters.toml").write_text(RATERS.format(base=server.base))
        invoke(pool, "--raters", "raters.toml")
        asked = [(entry.params["model"], entry.params["temperature"]) for entry in server.ledger]
    assert asked.count(("a", 0.0)) == COUNT and asked.count(("b", 1.0)) == 2 * COUNT
    assert "all      about $0.00" in invoke(pool, "--raters", "raters.toml", "--dry-run").stdout


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no tables"),
        ("x = 1", "unknown key `x`"),
        ("[[rater]]", "rater 1: `model` must be a text, got None"),
        ('[[rater]]\nmodel = "a"\nmodels = 1', "rater 1: unknown key `models`"),
        ('[[rater]]\nmodel = "a"\n[[rater]]\nmodel = "a"', "rater 2: `a` is named twice"),
        ("[[", "not valid TOML"),
    ],
)
def test_a_bad_file_of_raters_is_refused_with_its_place(pool, text, says):
    Path("raters.toml").write_text(text)
    with pytest.raises(Exception, match=r"raters\.toml") as refused:
        invoke(pool, "--raters", "raters.toml")
    assert says in str(refused.value)


def test_a_folder_without_ratings_says_so(pool):
    for command in (("status",), ("reparse",), ("export", "-o", "x.parquet")):
        with pytest.raises(RunError, match="holds no ratings"):
            invoke(command[0], "nowhere", *command[1:])
