"""Rows to the shapes training tools load, and dataset folders."""

from __future__ import annotations

import json

import polars as pl
import pytest

from ds2_fast import read_pool
from ds2_fast.errors import Ds2Error, PoolError
from ds2_fast.pool import SHAPES, check_folder, convert_rows, write_dataset, write_subset
from ds2_fast.snippets import SHAPES as SHAPES_WRITTEN_OUT
from ds2_fast.snippets import TOOLS, write_snippet

ALPACA = [
    {"id": "a", "instruction": "Add", "input": "1 and 2", "output": "3", "note": "x"},
    {"id": "b", "instruction": "Greet", "input": "", "output": "Hi ü", "note": "y"},
]
CHAT = [
    {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "1 + 1?", "weight": 1},
            {"role": "assistant", "content": [{"type": "text", "text": "2"}]},
            {"role": "tool", "content": "ok"},
        ]
    }
]


def one(data, shape, row=0):
    return convert_rows(read_pool(data), [row], shape).frame.to_dicts()[0]


def test_columns_become_turns():
    assert one(ALPACA, "messages") == {
        "id": "a",
        "messages": [
            {"role": "user", "content": "Add\n1 and 2"},
            {"role": "assistant", "content": "3"},
        ],
    }
    assert one(ALPACA, "sharegpt", 1)["conversations"] == [
        {"from": "human", "value": "Greet"},
        {"from": "gpt", "value": "Hi ü"},
    ]


def test_a_prompt_of_two_columns_stays_in_two():
    assert one(ALPACA, "alpaca") == {
        "id": "a", "instruction": "Add", "input": "1 and 2", "output": "3",
    }  # fmt: skip
    qa = [{"question": "1 + 1?", "answer": "2"}]
    assert one(qa, "alpaca") == {"instruction": "1 + 1?", "input": "", "output": "2"}
    assert one(ALPACA, "prompt-completion")["prompt"] == "Add\n1 and 2"


def test_turns_of_every_role_have_a_place_in_lists():
    assert [turn["role"] for turn in one(CHAT, "messages")["messages"]] == [
        "system", "user", "assistant", "tool",
    ]  # fmt: skip
    assert one(CHAT, "sharegpt")["conversations"][2:] == [
        {"from": "gpt", "value": "2"},
        {"from": "observation", "value": "ok"},
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_what_was_converted_is_read_as_the_same_conversation(tmp_path, shape):
    pool = read_pool(ALPACA)
    file = write_subset(pool, [1, 0], tmp_path / "subset.jsonl", to=shape)
    again = read_pool(file)
    assert again.conversations() == pool.conversations()[::-1]
    assert again.ids.to_list() == ["b", "a"]


def test_what_is_left_out_is_said():
    assert convert_rows(read_pool(ALPACA), [0], "messages").note == "left out: the columns `note`"
    assert "the keys `weight` of turns" in convert_rows(read_pool(CHAT), [0], "messages").note
    assert convert_rows(read_pool([{"question": "a", "answer": "b"}]), [0], "alpaca").note == ""


def test_a_sample_without_turns_is_an_empty_list():
    pool = read_pool([{"messages": PLAIN}, {"messages": []}, {"messages": None}])
    for rows in ([0, 1, 2], [1]):
        lists = convert_rows(pool, rows, "messages").frame["messages"].to_list()
        assert lists == [PLAIN if row == 0 else [] for row in rows]
    assert convert_rows(pool, [], "sharegpt").frame.height == 0


def turn(role, content, **more):
    return {"role": role, "content": content, **more}


CALL = {"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}
PLAIN = [turn("user", "a"), turn("assistant", "b")]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("row", "what"),
    [
        ({"messages": [turn("user", "a"), turn("assistant", "", tool_calls=[CALL])]}, "tool call"),
        ({"messages": [turn("user", "a"), turn("function_call", "{}")]}, "a tool call"),
        ({"messages": PLAIN, "tools": '[{"name": "add"}]'}, "tools"),
        ({"messages": [turn("user", [{"type": "image_url", "image_url": "x"}])]}, "`image_url`"),
    ],
)
def test_what_would_be_lost_is_refused_with_its_row(shape, row, what):
    plain = {"messages": PLAIN, "tools": "[]"}
    with pytest.raises(PoolError, match=f"row 2 has .*{what}"):
        convert_rows(read_pool([plain, plain, {**plain, **row}]), [0, 2], shape)
    assert convert_rows(read_pool([plain, plain, {**plain, **row}]), [1, 0], shape).frame.height


@pytest.mark.parametrize("shape", ["alpaca", "prompt-completion"])
@pytest.mark.parametrize(
    ("turns", "what"),
    [
        ([turn("system", "s"), *PLAIN], "a system prompt"),
        ([*PLAIN, *PLAIN], "4 turns"),
        ([turn("user", "a"), turn("tool", "t"), turn("assistant", "b")], "a tool's answer"),
    ],
)
def test_pairs_hold_one_prompt_and_one_response(shape, turns, what):
    pool = read_pool([{"messages": PLAIN}, {"messages": turns}])
    with pytest.raises(PoolError, match=f"row 1 has {what}, for which `{shape}`") as caught:
        convert_rows(pool, [0, 1], shape)
    assert "--to messages" in caught.value.hint
    assert convert_rows(pool, [0], shape).frame.height == 1


def test_plain_text_and_unknown_shapes_are_refused():
    with pytest.raises(PoolError, match="without prompt and response"):
        convert_rows(read_pool([{"text": "a"}]), [0], "messages")
    with pytest.raises(ValueError, match="got 'chatml'"):
        convert_rows(read_pool(ALPACA), [0], "chatml")


def test_a_dataset_folder_is_read_again(tmp_path):
    pool = read_pool(ALPACA)
    folder = tmp_path / "subset"
    check_folder(pool, folder)
    assert list(tmp_path.iterdir()) == []
    added = pl.DataFrame({"ds2_rank": [1, 2]})
    write_dataset(pool, [1, 0], folder, card="# card\n", add_columns=added, to="alpaca")
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == {"README.md", "data/train-00000-of-00001.parquet"}
    again = read_pool(folder)
    assert again.conversations() == pool.conversations()[::-1]
    assert again.frame["ds2_rank"].to_list() == [1, 2]
    with pytest.raises(PoolError, match="no split `test`"):
        read_pool(folder, split="test")
    # Over itself it is written, over the pool it is not.
    write_dataset(pool, [0], folder, card="# new\n")
    assert (folder / "README.md").read_text() == "# new\n"
    with pytest.raises(PoolError, match="file of the pool"):
        write_dataset(again, [0], folder, card="")


def test_a_folder_with_other_data_is_refused(tmp_path):
    pool = read_pool(ALPACA)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "test-00000-of-00001.parquet").touch()
    with pytest.raises(PoolError, match=r"already holds `data/test-00000-of-00001.parquet`"):
        check_folder(pool, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(Ds2Error, match="is a file, not a folder"):
        check_folder(pool, tmp_path / "file")
    with pytest.raises(Ds2Error, match="no"):
        check_folder(pool, tmp_path / "missing" / "folder")


@pytest.mark.filterwarnings("default")
def test_the_library_of_datasets_loads_the_folder(tmp_path):
    datasets = pytest.importorskip("datasets")
    write_dataset(read_pool(ALPACA), [1, 0], tmp_path / "subset", card="# card\n", to="messages")
    loaded = datasets.load_dataset(
        str(tmp_path / "subset"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert loaded["id"][:] == ["b", "a"]
    assert loaded[1]["messages"][1] == {"role": "assistant", "content": "3"}


def test_shapes_are_the_same_everywhere():
    assert SHAPES_WRITTEN_OUT == SHAPES


@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.parametrize("shape", SHAPES)
def test_snippets_name_the_file_and_its_columns(tool, shape):
    if tool == "trl" and shape in {"sharegpt", "alpaca"}:
        with pytest.raises(Ds2Error, match=f"trl does not load `{shape}`"):
            write_snippet(tool, shape, "out/subset.jsonl")
        return
    assert "out/subset.jsonl" in write_snippet(tool, shape, "out/subset.jsonl")
    assert "out/subset" in write_snippet(tool, shape, "out/subset")


def test_the_entry_for_llama_factory_describes_what_is_written(tmp_path):
    """Our own reader of dataset_info.json understands it, so the columns are right."""
    pool = read_pool(ALPACA)
    for shape in SHAPES:
        file = write_subset(pool, [0, 1], tmp_path / f"{shape}.jsonl", to=shape)
        title, _, entry = write_snippet("llama-factory", shape, file).partition("\n")
        assert title == "in dataset_info.json:"
        described = read_pool(file, dataset_info=json.loads(entry)[shape])
        assert described.conversations() == pool.conversations()


def test_a_kind_that_a_tool_does_not_load_is_refused():
    with pytest.raises(Ds2Error, match=r"does not load `\.gz` files"):
        write_snippet("trl", "messages", "subset.jsonl.gz")
