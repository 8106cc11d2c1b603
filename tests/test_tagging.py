"""Intention tags of a pool: how answers are read, what a run keeps, and who uses it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ds2_fast
from ds2_fast.cli import main
from ds2_fast.errors import BudgetReachedError, PoolError, RatingError
from ds2_fast.pool import read_pool
from ds2_fast.rating.journal import load_journal
from ds2_fast.rating.transport import Answer
from ds2_fast.tag_line import queries_of
from ds2_fast.tagging import parse_tags, plan_tags, tag_queries
from ds2_fast.tagging.answer import LONGEST_TAG, TAGGING
from rating_server import RatingServer, content_key, tags_of

KEY = "sk-never-to-be-seen-0123456789"
FENCED = (
    'Sure [see below]:\n```json\n[\n  {"tag": "a", "explanation": "[x]"},\n  "b"\n]\n```\nDone [1].'
)
POSIX = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ('["Code  Review", "code review ", "PYTHON"]', ("code review", "python")),
        ('[{"tag": "a", "explanation": "it is"}, {"tag": "b"}]', ("a", "b")),
        (FENCED, ("a", "b")),
        ('Draft: ["x"]\nFinal: ["y", "z"]', ("y", "z")),
        ('["x", "y\nBroken, once more:\n["z"]', ("z",)),
        ('{"tags": ["a", "b"]}', ("a", "b")),
        ('["a", "", "  "]', ("a",)),
        ('["caf\\u00e9", "\\ud800x"]', ("café", "?x")),
    ],
)
def test_tags_are_read(text, tags):
    assert parse_tags(text) == (tags, None)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("A request about the weather.", "no_json"),
        ('{"tag": "a"}', "no_json"),
        ("[]", "no_tags"),
        ('[" "]', "no_tags"),
        ('["a", "b', "bad_json"),
        ('["a"]\nBetter:\n["b", "c', "bad_json"),
        ('[{"tag": "a", "kinds": ["b"]}, {"tag": "c"', "bad_json"),
        ("[1, 2]", "bad_json"),
        ('["a", 2]', "bad_json"),
        ('[["a"], ["b"]]', "bad_json"),
        ('[{"name": "a"}]', "bad_json"),
        (json.dumps(["a", "b" * (LONGEST_TAG + 1)]), "bad_json"),
        ("[" * 100_000, "bad_json"),
    ],
)
def test_what_is_no_list_of_tags_has_a_reason_and_no_tags(text, reason):
    assert parse_tags(text) == (None, reason)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=6))
def test_any_list_of_texts_comes_back_clean(texts):
    clean = dict.fromkeys(" ".join(text.lower().split()) for text in texts)
    wanted = tuple(tag for tag in clean if tag)
    said = json.dumps([{"tag": text, "explanation": "[it]"} for text in texts])
    assert parse_tags(f"Here:\n{said}\n")[0] == (wanted or None)


@pytest.fixture
def server():
    with RatingServer(latency=0.001) as running:
        yield running


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [{"id": f"s{i}", "instruction": f"Do {i % 40}.", "output": "x" * i} for i in range(50)]
    (tmp_path / "pool.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return tmp_path


def expected(server: RatingServer) -> dict[str, list[str]]:
    """The tags of each request that was sent, by what its user said."""
    return {
        entry.messages[1]["content"].split("\n")[1]: tags_of(entry.key) for entry in server.ledger
    }


@pytest.mark.parametrize("transport", ["litellm", "direct"])
def test_the_command_tags_a_pool_and_instag_uses_them(
    folder, server, capsys, monkeypatch, transport
):
    monkeypatch.setenv("SOME_KEY", KEY)
    command = ["tag", "pool.jsonl", "--model", "openai/m", "--api-base", server.base]
    command += ["--transport", transport, "--api-key-env", "SOME_KEY"]
    assert main([*command, "-o", "tags.parquet"]) == 0
    assert server.requests == 40, "equal requests are asked once"
    assert all(entry.authorization == f"Bearer {KEY}" for entry in server.ledger)
    frame = pl.read_parquet("tags.parquet")
    assert frame.columns == ["ds2_index", "ds2_id", "tags", "tags_status"]
    said = expected(server)
    assert frame["tags"].to_list() == [said[f"### user: Do {i % 40}."] for i in range(50)]
    assert set(frame["tags_status"]) == {"ok"}
    assert main([*command]) == 0
    assert server.requests == 40, "nothing is bought twice"
    capsys.readouterr()

    select = ["select", "pool.jsonl", "--strategy", "instag", "-n", "5", "--no-html"]
    assert main(select) == 0
    chosen = [int(row) for row in (folder / "pool.ds2" / "selected.txt").read_text().split()]
    first = max(range(50), key=lambda row: len(frame["tags"][row]))
    assert chosen[0] == first
    assert main(["verify", "pool.ds2"]) == 0

    told = "".join(capsys.readouterr())
    files = [file.read_bytes() for file in folder.rglob("*") if file.is_file()]
    assert KEY not in told and not any(KEY.encode() in data for data in files)


@pytest.mark.parametrize("transport", ["litellm", "direct"])
def test_a_refusal_that_repeats_the_key_does_not_show_it(folder, capsys, monkeypatch, transport):
    monkeypatch.setenv("SOME_KEY", KEY)
    with RatingServer(always="401", echo_key=True) as server:
        command = ["tag", "pool.jsonl", "--model", "openai/m", "--api-base", server.base]
        assert main([*command, "--transport", transport, "--api-key-env", "SOME_KEY"]) == 4
        assert server.requests == 1
    told = "".join(capsys.readouterr())
    assert "the provider refuses" in told and "[hidden]" in told
    files = {file.name: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
    assert "tags.jsonl" in files
    assert KEY not in told and not any(KEY.encode() in data for data in files.values())


def test_a_column_goes_before_the_tags_of_a_run(folder, server):
    rows = pl.read_ndjson("pool.jsonl").with_columns(
        tags=pl.Series([["z"] if i == 7 else [] for i in range(50)])
    )
    rows.write_parquet("tagged.parquet")
    ds2_fast.tag("tagged.parquet", "openai/m", tag_options={"api_base": server.base})
    chosen = ds2_fast.select("tagged.parquet", 1, strategy="instag", html=False)
    assert chosen.indices.tolist() == [7]


def test_other_texts_have_no_tags(folder, server):
    ds2_fast.tag("pool.jsonl", "openai/m", tag_options={"api_base": server.base})
    other = pl.read_ndjson("pool.jsonl").with_columns(instruction=pl.col("instruction") + "!")
    other.write_ndjson("other.jsonl")
    with pytest.raises(PoolError, match="no column of tags is known") as caught:
        ds2_fast.select("other.jsonl", 3, strategy="instag", run_dir="pool.ds2", html=False)
    assert "`--tags-col`" in caught.value.hint
    assert "ds2-fast tag POOL --model" in caught.value.hint


def test_damaged_tags_are_refused_and_made_anew_for_nothing(folder, server):
    options = {"api_base": server.base}
    before = ds2_fast.tag("pool.jsonl", "openai/m", tag_options=options)
    (folder / "pool.ds2" / "tags.parquet").write_bytes(b"PAR1")
    with pytest.raises(PoolError, match="are damaged or gone"):
        ds2_fast.select("pool.jsonl", 3, strategy="instag", html=False)
    asked = server.requests
    assert ds2_fast.tag("pool.jsonl", "openai/m", tag_options=options).frame.equals(before.frame)
    assert server.requests == asked


def test_another_model_makes_another_choice(folder):
    with RatingServer(answer='["a", "b"]') as server:
        ds2_fast.tag("pool.jsonl", "openai/m", tag_options={"api_base": server.base})
        first = ds2_fast.select("pool.jsonl", 3, strategy="instag", html=False)
    with RatingServer() as server:
        ds2_fast.tag("pool.jsonl", "openai/other", tag_options={"api_base": server.base})
        found = expected(server)
    second = ds2_fast.select("pool.jsonl", 3, strategy="instag", html=False)
    assert first.indices.tolist() == [0, 1, 2]
    counts = [len(found[f"### user: Do {i % 40}."]) for i in range(50)]
    assert counts[second.indices[0]] == max(counts) and second.indices[0] == counts.index(
        max(counts)
    )


@pytest.mark.parametrize(
    ("kind", "reason"),
    [("malformed", "no_json"), ("refusal", "refusal"), ("truncated", "length"),
     ("empty", "empty"), ("filtered", "content_filter"), ("400", "rejected")],
)  # fmt: skip
def test_what_cannot_be_read_has_no_tags_and_a_reason(tmp_path, kind, reason):
    # The first sample is answered; of the others every answer is bad, the second asked for too.
    queries = [[("user", f"Do {i}.")] for i in range(6)]
    with RatingServer(script=("ok",), per_sample=(kind,) * 3) as server:
        tags = tag_queries(
            queries, "openai/m", api_base=server.base, journal_path=tmp_path / "tags.jsonl",
            transport="direct", max_null=1.0,
        )  # fmt: skip
        assert tags.frame["tags"].is_null().to_list() == [False] + [True] * 5
        assert tags.frame["tags_status"].to_list() == ["ok"] + [reason] * 5
        assert tags.summary["reasons"] == {reason: 5}
        retried = kind in ("malformed", "refusal", "truncated", "empty")
        assert server.requests == 1 + 5 * (2 if retried else 1)
        if retried:
            asked = [entry.messages[1]["content"] for entry in server.ledger]
            assert sum(text.endswith(TAGGING.again) for text in asked) == 5
        with pytest.raises(RatingError, match=rf"5 of 6 rows have no tags \({reason} 5\)"):
            tag_queries(
                queries, "openai/m", api_base=server.base, journal_path=tmp_path / "tags.jsonl"
            )


def test_a_re_ask_that_is_answered_makes_good(tmp_path):
    queries = [[("user", f"Do {i}.")] for i in range(30)]
    with RatingServer(per_sample=("malformed", "429", "ok")) as server:
        tags = tag_queries(
            queries, "openai/m", api_base=server.base, journal_path=tmp_path / "tags.jsonl",
            transport="direct",
        )  # fmt: skip
    assert tags.frame["tags"].null_count() == 0


TAG = """
import sys
from ds2_fast.tagging import tag_queries
queries = [[("user", f"Do {i}.")] for i in range(300)]
tags = tag_queries(queries, "openai/m", api_base=sys.argv[1], journal_path=sys.argv[2],
                   transport=sys.argv[3], max_concurrency=16)
print(tags.summary["tagged"], tags.summary["warnings"])
"""


@POSIX
@pytest.mark.parametrize("transport", ["litellm", "direct"])
def test_kill_9_loses_nothing_stored_and_buys_nothing_stored_again(tmp_path, transport):
    journal = tmp_path / "tags.jsonl"
    command = [sys.executable, "-c", TAG]
    with RatingServer(latency=0.2) as server:  # a run of seconds: its heart beats once in each
        arguments = [server.base, str(journal), transport]
        process = subprocess.Popen([*command, *arguments])
        end = time.monotonic() + 60
        while server.requests < 130:
            assert time.monotonic() < end and process.poll() is None
            time.sleep(0.005)
        process.kill()
        process.wait(10)
        time.sleep(0.2)  # the server still answers what was in flight
        stored = load_journal(journal, TAGGING.restore).records
        assert len(stored) >= 60
        first = server.requests
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
        assert done.stdout.startswith("300 ") and "killed" in done.stdout
        assert server.requests - first == 300 - len(stored)
        bought = server.answered()
        assert len(bought) == 300 and bought.total() <= 300 + 16
    with RatingServer() as nobody:
        again = tag_queries(
            [[("user", f"Do {i}.")] for i in range(300)], "openai/m",
            api_base=nobody.base, endpoint_label=None, journal_path=tmp_path / "other.jsonl",
            transport="direct",
        )  # fmt: skip
    whole = load_journal(journal, TAGGING.restore).records
    assert sorted(record.ratings for record in whole.values()) == sorted(
        tuple(tags) for tags in again.frame["tags"].to_list()
    ), "a killed run ends with the tags of one that was not"


def test_the_cap_holds_and_the_same_call_goes_on(tmp_path):
    queries = [[("user", f"Do {i}.")] for i in range(40)]
    journal = tmp_path / "tags.jsonl"
    with RatingServer() as server:
        options = {"api_base": server.base, "journal_path": journal, "transport": "direct",
                   "price_in": 1.0, "price_out": 10.0, "max_tokens": 100}  # fmt: skip
        with pytest.raises(BudgetReachedError):
            tag_queries(queries, "openai/m", **options, max_cost=0.02)
        loaded = load_journal(journal, TAGGING.restore)
        assert 0 < len(loaded.records) < 40 and 0 < loaded.cost <= 0.02
        asked = server.requests
        tags = tag_queries(queries, "openai/m", **options, max_cost=1.0)
        assert tags.frame["tags"].null_count() == 0
        assert server.requests - asked == 40 - len(loaded.records)
    assert tags.summary["cost"]["total"] == pytest.approx(
        load_journal(journal, TAGGING.restore).cost
    )


def test_a_journal_that_was_edited_is_not_believed(tmp_path):
    journal = tmp_path / "tags.jsonl"
    with RatingServer(answer='["a"]') as server:
        options = {"api_base": server.base, "journal_path": journal, "transport": "direct"}
        queries = [[("user", f"Do {i}.")] for i in range(4)]
        tag_queries(queries, "openai/m", **options)
        lines = journal.read_text().splitlines()
        answers = [at for at, line in enumerate(lines) if '"r":["a"]' in line]
        for at, wrong in zip(answers, ("[]", '["A"]', "[3.0]", '"a"'), strict=True):
            lines[at] = lines[at].replace('"r":["a"]', f'"r":{wrong}')
        journal.write_text("\n".join(lines) + "\n")
        tags = tag_queries(queries, "openai/m", **options)
        assert server.requests == 4 + 4
    assert tags.frame["tags"].to_list() == [["a"]] * 4
    assert tags.summary["journal_lines_unreadable"] == 1


def test_the_user_alone_is_asked_about(tmp_path):
    turns = [("system", "S"), ("user", "U"), ("assistant", "A"), ("user", "V"), ("assistant", "B")]
    messages = [{"role": role, "content": content} for role, content in turns]
    pool = read_pool([
        {"messages": messages}, {"messages": messages[:1] + messages[2:3]},
    ])  # fmt: skip
    queries = queries_of(pool)
    assert queries == [[("user", "U"), ("user", "V")], []]
    seen = []

    async def rater(messages, params):
        seen.append(messages[1]["content"])
        return Answer('["a"]')

    tags = tag_queries(
        queries, "mine", journal_path=tmp_path / "tags.jsonl", rater=rater, max_null=1
    )
    assert tags.frame["tags"].to_list() == [["a"], None]
    assert tags.frame["tags_status"].to_list() == ["ok", "empty_sample"]
    assert "### user: U\n### user: V\n</sample" in seen[0] and len(seen) == 1
    with pytest.raises(PoolError, match="the text `text` does not tell what the user says"):
        queries_of(read_pool([{"text": "x"}]))


def test_a_plan_asks_nothing(folder, server, capsys):
    command = ["tag", "pool.jsonl", "--model", "openai/m", "--api-base", server.base]
    assert main([*command, "--dry-run", "--price-in", "1", "--price-out", "1"]) == 0
    out = capsys.readouterr().out
    assert "50 rows, 40 to tag, 10 duplicates" in out and "batch" not in out
    assert server.requests == 0 and not (folder / "pool.ds2").exists()
    assert main([*command, "-q"]) == 0
    plan = plan_tags(
        queries_of(read_pool("pool.jsonl")), "openai/m", api_base=server.base,
        journal_path=folder / "pool.ds2" / "tags.jsonl",
    )  # fmt: skip
    assert (plan.to_rate, plan.stored) == (0, 40)


def test_more_than_a_dollar_is_asked_about(folder, server, capsys):
    command = ["tag", "pool.jsonl", "--model", "openai/m", "--api-base", server.base]
    assert main([*command, "--price-in", "1000", "--price-out", "1000"]) == 2
    assert "this would spend about $" in capsys.readouterr().err
    assert server.requests == 0


def test_a_key_names_a_sample_whatever_is_added():
    messages = [{"role": "user", "content": "x"}]
    again = [{"role": "user", "content": "x" + TAGGING.again}]
    assert content_key(messages) == content_key(again)
