"""Losses of a pool: what is its prompt and its response, what a run keeps, and the command."""

from __future__ import annotations

import json
import math

import numpy as np
import polars as pl
import pytest

import ds2_fast
from ds2_fast.cli import main
from ds2_fast.errors import ModelError, PoolError
from ds2_fast.pool import prompts_and_responses, read_pool
from logprob_server import LogprobServer
from tiny_causal import IDS, WORDS, bigram_logits, losses_of, make_folder

ROWS = [
    {"id": "a", "instruction": "why is", "input": "the sky", "output": "blue . red"},
    {"id": "b", "instruction": "the cat", "input": "", "output": ""},
    {"id": "c", "instruction": "is the dog", "input": "", "output": "red"},
    {"id": "d", "instruction": "why ?", "input": "", "output": "the sky is blue"},
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pool.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    make_folder(tmp_path / "lm")
    return tmp_path


def mean_loss(before: str, response: str) -> float:
    ids = [IDS[word] for word in f"{before} {response}".split()]
    first = len(ids) - len(response.split())
    values = losses_of(bigram_logits()[ids], ids, first)
    return float(values.mean()) if len(values) else math.nan


@pytest.mark.parametrize(
    ("row", "prompt", "response"),
    [
        ({"instruction": "i", "input": "x", "output": "o"}, "i\nx", "o"),
        ({"instruction": "i", "input": "", "output": "o"}, "i", "o"),
        ({"prompt": "p", "completion": "c"}, "p", "c"),
        (
            {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"},
                          {"role": "assistant", "content": "a"}, {"role": "user", "content": "v"},
                          {"role": "assistant", "content": "b"}]},
            "s\nu\na\nv", "b",
        ),
        (
            {"messages": [{"role": "user", "content": "u"}, {"role": "assistant", "content": "a"},
                          {"role": "user", "content": "thanks"}]},
            "u", "a",
        ),
        ({"messages": [{"role": "user", "content": "u"}]}, "u", ""),
    ],
)  # fmt: skip
def test_the_response_is_the_last_turn_of_the_assistant(row, prompt, response):
    assert prompts_and_responses(read_pool([row])) == ([prompt], [response])


def test_text_has_no_prompt(folder):
    with pytest.raises(PoolError, match="the text `text` is not split into prompt and response"):
        prompts_and_responses(read_pool([{"text": "x"}]))


def test_the_command_writes_the_losses_of_each_sample(folder, capsys):
    command = ["losses", "pool.jsonl", "--causal-lm", "lm", "-o", "out.parquet"]
    assert main([*command, "--json"]) == 0
    out, err = capsys.readouterr()
    frame = pl.read_parquet("out.parquet")
    assert frame.columns == ["ds2_index", "ds2_id", "loss_conditioned", "loss_direct",
                             "loss_tokens", "loss_status"]  # fmt: skip
    assert frame["ds2_id"].to_list() == list("abcd")
    given = [mean_loss("why is the sky", "blue . red"), -1, mean_loss("is the dog", "red"),
             mean_loss("why ?", "the sky is blue")]  # fmt: skip
    lone = [mean_loss("", "blue . red"), -1, -1, mean_loss("", "the sky is blue")]
    assert frame["loss_conditioned"].is_null().to_list() == [False, True, False, False]
    assert frame["loss_conditioned"].fill_null(-1).to_list() == pytest.approx(given, rel=1e-6)
    assert frame["loss_direct"].fill_null(-1).to_list() == pytest.approx(lone, rel=1e-6)
    assert frame["loss_tokens"].to_list() == [3, 0, 1, 4]
    assert frame["loss_status"].to_list() == ["measured", "empty", "one_token", "measured"]
    assert "1 of 4 samples have no response" in err
    about = json.loads(out)
    assert (about["rows"], about["tokens"]) == (4, 8)
    assert about["status"] == {"empty": 1, "measured": 2, "one_token": 1}
    assert about["mean_direct"] == pytest.approx((lone[0] + lone[3]) / 2, rel=1e-6)

    assert main(command) == 0
    assert "(reused)" in capsys.readouterr().err
    assert pl.read_parquet("out.parquet").equals(frame)
    assert main([*command, "--template", "response"]) == 0
    assert "(reused)" not in capsys.readouterr().err
    assert not pl.read_parquet("out.parquet").equals(frame)


def test_the_same_bytes_for_any_number_of_threads(folder):
    rng = np.random.default_rng(4)
    rows = [
        {
            "instruction": " ".join(rng.choice(WORDS[2:], 5)),
            "output": " ".join(rng.choice(WORDS[2:], 9)),
        }
        for _ in range(700)
    ]
    pl.DataFrame(rows).write_parquet("pool.parquet")
    make_folder(folder / "attention", "attention")
    for threads in (1, 4):
        losses = ds2_fast.measure_pool(
            "pool.parquet", causal_lm="attention", threads=threads, run_dir=f"run{threads}"
        )
        assert len(losses) == 700
    one, four = ((folder / f"run{threads}" / "losses.parquet") for threads in (1, 4))
    assert one.read_bytes() == four.read_bytes()


def test_a_server_and_a_folder_agree(folder):
    rows = [{"prompt": row["instruction"], "completion": row["output"]} for row in ROWS]
    with LogprobServer() as server:
        told = ds2_fast.measure_pool(rows, model="tiny", api_base=server.base)
    # The server's white space is a token of its own, so only what has none is the same.
    assert told.conditioned[2] == pytest.approx(-_logprob(0, "red"), rel=1e-6)
    assert told.status.tolist() == ["measured", "empty", "one_token", "measured"]


def _logprob(before: int, word: str) -> float:
    row = bigram_logits()[before].astype(np.float64)
    return float(row[IDS[word]] - np.log(np.exp(row).sum()))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "token losses need a language model"),
        ({"causal_lm": "lm", "model": "x"}, "two models are named"),
        ({"model": "x"}, "the language model `x` needs the address of its server"),
        ({"model": "x", "api_base": "http://127.0.0.1:1/v1", "offline": True}, "opens no socket"),
    ],
)
def test_the_model_must_be_one(folder, options, said):
    with pytest.raises(ModelError, match=said):
        ds2_fast.measure_pool("pool.jsonl", **options)
    assert not (folder / "pool.ds2").exists()


def test_the_output_is_a_parquet_file_and_not_the_pool(folder):
    with pytest.raises(PoolError):
        ds2_fast.measure_pool("pool.jsonl", causal_lm="lm", output="losses.csv")


def test_a_damaged_artifact_is_made_anew_from_the_journal(folder, capsys):
    command = ["losses", "pool.jsonl", "--causal-lm", "lm"]
    assert main(command) == 0
    artifact = folder / "pool.ds2" / "losses.parquet"
    whole = artifact.read_bytes()
    artifact.write_bytes(whole[:-1])
    capsys.readouterr()
    assert main(command) == 0
    assert "had been damaged or changed" in capsys.readouterr().err
    assert artifact.read_bytes() == whole
