"""Subsets in the four shapes, as training tools load them.

The data code of `datasets` and `trl` runs in the interpreter $DS2_FAST_TRAINERS, where it is set:
they need no GPU and no torch (`pip install --no-deps trl`, with `transformers` and `datasets`).
LLaMA-Factory, axolotl and ms-swift cannot be imported without torch: what their loaders look for is
written down here, from llamafactory 0.9.5, axolotl 0.19.0 and ms-swift 4.6.0.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import ds2_fast
from ds2_fast.errors import Ds2Error
from ds2_fast.pool import write_subset
from ds2_fast.pool.conversion import SHAPES
from ds2_fast.snippets import write_snippet

TURNS = [
    [("system", "Be brief."), ("user", "2 + 2?"), ("assistant", "4"), ("user", "And 3 + 3?"),
     ("assistant", "6")],
    [("user", "Weather?"), ("assistant", "I look."), ("tool", "rain"), ("assistant", "It rains.")],
]  # fmt: skip
PAIRS = [("2 + 2?", "4"), ("Name a color.", "blue\nor red")]
SAMPLES = {"messages": TURNS, "sharegpt": TURNS}


def written(folder: Path, shape: str, suffix: str = ".jsonl") -> Path:
    """A subset of two samples in a shape."""
    rows: list[dict[str, Any]] = [{"prompt": p, "response": r} for p, r in PAIRS]
    if shape in SAMPLES:
        rows = [{"messages": [{"role": r, "content": c} for r, c in turns]} for turns in TURNS]
    pool = ds2_fast.read_pool([{"id": f"s-{place}", **row} for place, row in enumerate(rows)])
    return write_subset(pool, [0, 1], folder / f"{shape}{suffix}", to=shape)


def in_shape(file: Path, shape: str) -> list[dict[str, Any]]:
    assert file.suffix == ".jsonl", shape
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


@pytest.fixture(scope="module")
def loaded(tmp_path_factory) -> dict[str, Any]:
    """What the libraries made of every shape."""
    trainers = os.environ.get("DS2_FAST_TRAINERS", sys.executable)
    folder = tmp_path_factory.mktemp("subsets")
    asked = []
    for shape in SHAPES:
        for suffix in (".jsonl", ".parquet"):
            file = str(written(folder, shape, suffix))
            try:
                lines = write_snippet("trl", shape, file)
            except Ds2Error:
                lines = ""
            asked.append({"shape": shape, "file": file, "trl": lines})
    (folder / "asked.json").write_text(json.dumps(asked), "utf-8")
    script = Path(__file__).parent / "trainer_loading.py"
    done = subprocess.run(
        [trainers, str(script), str(folder / "asked.json")],
        env={**os.environ, "HF_HOME": str(folder / "cache"), "PYTHONPATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_datasets_loads_every_shape(loaded):
    if loaded["datasets"] is None:
        pytest.skip("no `datasets`; name an interpreter that has it with $DS2_FAST_TRAINERS")
    columns = {
        "messages": ["id", "messages"],
        "sharegpt": ["id", "conversations"],
        "alpaca": ["id", "instruction", "input", "output"],
        "prompt-completion": ["id", "prompt", "completion"],
    }
    for each in loaded["subsets"]:
        assert each["loaded"]["rows"] == 2
        assert each["loaded"]["columns"] == columns[each["shape"]], each["file"]


def test_trl_prepares_the_shapes_that_it_is_said_to_load(loaded):
    if loaded["trl"] is None or loaded["transformers"] is None:
        pytest.skip("no `trl`; name an interpreter that has it with $DS2_FAST_TRAINERS")
    prepared = {(each["shape"], Path(each["file"]).suffix): each["prepared"]
                for each in loaded["subsets"]}  # fmt: skip
    for suffix in (".jsonl", ".parquet"):
        found = prepared["messages", suffix]
        assert found["conversational"]
        assert found["rows"] == 2
        assert found["first"]["text"] == "".join(f"<{role}>{said}\n" for role, said in TURNS[0])
        found = prepared["prompt-completion", suffix]
        assert not found["conversational"]
        assert (found["first"]["prompt"], found["first"]["completion"]) == PAIRS[0]
        assert prepared["alpaca", suffix] is prepared["sharegpt", suffix] is None


# What LLaMA-Factory looks for in an entry of dataset_info.json; what it takes without `tags`.
COLUMNS = {"prompt", "query", "response", "history", "messages", "system", "tools"}
TAGS = {"role_tag": "from", "content_tag": "value", "user_tag": "human", "assistant_tag": "gpt",
        "observation_tag": "observation", "function_tag": "function_call",
        "system_tag": "system"}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
def test_llama_factory_finds_the_columns_and_roles_it_looks_for(tmp_path, shape):
    file = written(tmp_path, shape)
    text = write_snippet("llama-factory", shape, file)
    entry = json.loads(text[text.index("{") :])[shape]
    assert entry["file_name"] == str(file)
    assert entry.get("formatting", "alpaca") in {"alpaca", "sharegpt"}
    assert set(entry.get("columns", {})) <= COLUMNS
    assert set(entry.get("tags", {})) <= set(TAGS)
    rows = in_shape(file, shape)
    if entry.get("formatting", "alpaca") == "alpaca":
        usual = {"prompt": "instruction", "query": "input", "response": "output"}
        names = entry.get("columns", usual)  # with `columns`, what is not named is not there
        for row, (prompt, response) in zip(rows, PAIRS, strict=True):
            query = [row[names[key]] for key in ("prompt", "query") if row.get(names.get(key))]
            assert ("\n".join(query), row[names["response"]]) == (prompt, response)
        return
    tags = entry.get("tags", TAGS)  # with `tags`, too
    for row, turns in zip(rows, TURNS, strict=True):
        said = row[entry["columns"]["messages"]]
        if said[0][tags["role_tag"]] == tags["system_tag"]:
            said = said[1:]
        assert len(said) % 2 == 0
        asking, answering = {tags["user_tag"], tags["observation_tag"]}, {tags["assistant_tag"]}
        for place, turn in enumerate(said):
            assert turn[tags["role_tag"]] in (answering if place % 2 else asking)
        assert [turn[tags["content_tag"]] for turn in said] == [
            words for role, words in turns if role != "system"
        ]


@pytest.mark.parametrize("shape", SHAPES)
def test_axolotl_finds_the_fields_and_roles_it_looks_for(tmp_path, shape):
    yaml = pytest.importorskip("yaml")
    file = written(tmp_path, shape)
    (entry,) = yaml.safe_load(write_snippet("axolotl", shape, file))["datasets"]
    assert (entry["path"], entry["ds_type"]) == (str(file), "json")
    rows = in_shape(file, shape)
    if shape in SAMPLES:
        assert entry["type"] == "chat_template"
        keys = entry.get("message_property_mappings", {"role": "role", "content": "content"})
        usual = {"user": ["human", "user"], "assistant": ["gpt", "assistant"],
                 "system": ["system"], "tool": ["tool"]}  # fmt: skip
        roles = {
            source: role
            for role, sources in entry.get("roles", usual).items()
            for source in sources
        }
        for row, turns in zip(rows, TURNS, strict=True):
            said = row[entry["field_messages"]]
            assert [(roles[turn[keys["role"]]], turn[keys["content"]]) for turn in said] == turns
    elif shape == "alpaca":
        assert entry["type"] == "alpaca"
        for row, (prompt, response) in zip(rows, PAIRS, strict=True):
            assert (row["instruction"], row["input"], row["output"]) == (prompt, "", response)
    else:
        fields = entry["type"]
        assert fields["format"] == fields["no_input_format"] == "{instruction}"
        for row, (prompt, response) in zip(rows, PAIRS, strict=True):
            assert row[fields["field_instruction"]] == prompt
            assert row[fields["field_output"]] == response
            assert "input" not in row
            assert "system" not in row


@pytest.mark.parametrize("shape", SHAPES)
def test_ms_swift_knows_the_columns_by_their_names(tmp_path, shape):
    file = written(tmp_path, shape)
    assert write_snippet("ms-swift", shape, file).endswith(f"--dataset {file}")
    queries = ("query", "prompt", "input", "instruction", "question", "problem")
    responses = ("response", "answer", "output", "targets", "target", "answer_key", "answers",
                 "solution", "text", "completion", "content")  # fmt: skip
    role = {"user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant",
            "system": "system", "tool": "tool", "observation": "tool"}  # fmt: skip
    for place, row in enumerate(in_shape(file, shape)):
        talks = [key for key in ("conversation", "conversations", "messages") if key in row]
        if talks:
            (talk,) = talks
            keys = ("role", "content") if "role" in row[talk][0] else ("from", "value")
            assert [(role[turn[keys[0]]], turn[keys[1]]) for turn in row[talk]] == TURNS[place]
        elif {"instruction", "input"} <= row.keys():
            assert (row["instruction"] or row["input"], row["output"]) == PAIRS[place]
            assert not row["input"]
        else:
            (query,) = (key for key in queries if key in row)
            (response,) = (key for key in responses if key in row)
            assert (row[query], row[response]) == PAIRS[place]


def test_embedding_atlas_finds_the_columns_it_is_told_of(tmp_path):
    # --neighbors: "{"ids", "distances"}, zero-based row indices"; --x and --y: numbers.
    rows = [{"prompt": f"Say {n}", "response": str(n), "rating": n % 4} for n in range(60)]
    ds2_fast.select(
        rows, 5, score_col="rating", space="lexical", run_dir=tmp_path / "run", html=False
    )
    sheet = pl.read_parquet(tmp_path / "run" / "scores.parquet")
    assert sheet.schema["projection_x"] == sheet.schema["projection_y"] == pl.Float32
    for place, near in enumerate(sheet["neighbors"].to_list()):
        assert list(near) == ["ids", "distances"]
        assert len(near["ids"]) == len(near["distances"]) > 0
        assert place not in near["ids"]
        assert all(0 <= row < len(sheet) for row in near["ids"])
        assert near["distances"] == sorted(near["distances"])
