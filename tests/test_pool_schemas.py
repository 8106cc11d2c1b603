"""Every schema of a pool: which one it is taken for, its text, its turns."""

from __future__ import annotations

import json

import polars as pl
import pytest

from ds2_fast.errors import PoolError
from ds2_fast.pool import SCHEMAS, read_pool
from ds2_fast.pool.columns import type_columns

USER_Q = ("user", "q")
ASSISTANT_A = ("assistant", "a")

CASES = {
    "messages": (
        {"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"},
                      {"role": "assistant", "content": "a", "weight": 1}]},
        "messages: turns `messages` (`role`, `content`)",
        [("system", "s"), USER_Q, ASSISTANT_A],
    ),
    "messages with parts, tools and no content": (
        {"messages": [{"role": "developer", "content": "s"},
                      {"role": "user", "content": [{"type": "text", "text": "q"},
                                                   {"type": "image_url", "image_url": {"url": "u"}},
                                                   {"type": "text", "text": "r"}]},
                      {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
                      {"role": "tool", "content": "t", "name": "f"},
                      {"role": "function", "content": "u"},
                      {"role": "assistant", "content": "a"}]},
        "messages: turns `messages` (`role`, `content`)",
        [("system", "s"), ("user", "q\nr"), ("assistant", ""), ("tool", "t"), ("tool", "u"),
         ASSISTANT_A],
    ),
    "sharegpt": (
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}],
         "system": "s", "tools": "[]"},
        "sharegpt: turns `conversations` (`from`, `value`) after the system prompt `system`",
        [("system", "s"), USER_Q, ASSISTANT_A],
    ),
    "sharegpt with other names": (
        {"dialog": [{"from": "prompter", "value": "q"}, {"from": "function_call", "value": "c"},
                    {"from": "observation", "value": "o"}, {"from": "bard", "value": "a"}]},
        "sharegpt: turns `dialog` (`from`, `value`)",
        [USER_Q, ("assistant", "c"), ("tool", "o"), ASSISTANT_A],
    ),
    "conversations": (
        {"conversations": [{"role": "User", "value": "q"}, {"role": "model", "value": "a"}]},
        "conversations: turns `conversations` (`role`, `value`)",
        [USER_Q, ASSISTANT_A],
    ),
    "turns": (
        {"conversations": ["q", "a", "q2"], "source": "x"},
        "turns: turns `conversations` (user and assistant in turn)",
        [USER_Q, ASSISTANT_A, ("user", "q2")],
    ),
    "turns in data": (
        {"id": "1", "data": ["q", "a"]},
        "turns: turns `data` (user and assistant in turn)",
        [USER_Q, ASSISTANT_A],
    ),
    "exchanges": (
        {"conversation": [{"human": "q", "assistant": "a"}, {"human": "q2", "assistant": "a2"}]},
        "exchanges: turns `conversation` (`human`, `assistant`)",
        [USER_Q, ASSISTANT_A, ("user", "q2"), ("assistant", "a2")],
    ),
    "exchanges of input and output": (
        {"conversation": [{"input": "q", "output": "a"}]},
        "exchanges: turns `conversation` (`input`, `output`)",
        [USER_Q, ASSISTANT_A],
    ),
    "alpaca": (
        {"instruction": "q", "input": "i", "output": "a"},
        "alpaca: user `instruction` + `input`, assistant `output`",
        [("user", "q\ni"), ASSISTANT_A],
    ),
    "alpaca without input": (
        {"instruction": "q", "input": "", "output": "a", "category": "c"},
        "alpaca: user `instruction` + `input`, assistant `output`",
        [USER_Q, ASSISTANT_A],
    ),
    "alpaca with system and history": (
        {"instruction": "q", "output": "a", "system": "s", "history": [["h", "g"], ["i", "j"]]},
        "alpaca: user `instruction`, assistant `output` after the system prompt `system` and the "
        "earlier turns `history`",
        [("system", "s"), ("user", "h"), ("assistant", "g"), ("user", "i"), ("assistant", "j"),
         USER_Q, ASSISTANT_A],
    ),
    "gpteacher": (
        {"instruction": "q", "input": "i", "response": "a"},
        "gpteacher: user `instruction` + `input`, assistant `response`",
        [("user", "q\ni"), ASSISTANT_A],
    ),
    "dolly": (
        {"instruction": "q", "context": "c", "response": "a", "category": "open_qa"},
        "dolly: user `instruction` + `context`, assistant `response`",
        [("user", "q\nc"), ASSISTANT_A],
    ),
    "query-response": (
        {"query": "q", "response": "a", "system": "s", "history": [["h", "g"]]},
        "query-response: user `query`, assistant `response` after the system prompt `system` and "
        "the earlier turns `history`",
        [("system", "s"), ("user", "h"), ("assistant", "g"), USER_Q, ASSISTANT_A],
    ),
    "prompt-completion": (
        {"prompt": "q", "completion": "a"},
        "prompt-completion: user `prompt`, assistant `completion`",
        [USER_Q, ASSISTANT_A],
    ),
    "prompt-completion with a response": (
        {"prompt": "q", "response": "a"},
        "prompt-completion: user `prompt`, assistant `response`",
        [USER_Q, ASSISTANT_A],
    ),
    "prompt-completion of messages": (
        {"prompt": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}],
         "completion": [{"role": "assistant", "content": "a"}]},
        "prompt-completion: turns `prompt` (`role`, `content`) + `completion` (`role`, `content`)",
        [("system", "s"), USER_Q, ASSISTANT_A],
    ),
    "qa": (
        {"question": "q", "answer": "a"},
        "qa: user `question`, assistant `answer`",
        [USER_Q, ASSISTANT_A],
    ),
    "qa as Orca has it": (
        {"id": "1", "system_prompt": "s", "question": "q", "response": "a"},
        "qa: user `question`, assistant `response` after the system prompt `system_prompt`",
        [("system", "s"), USER_Q, ASSISTANT_A],
    ),
    "qa of problems": (
        {"problem": "q", "generated_solution": "a"},
        "qa: user `problem`, assistant `generated_solution`",
        [USER_Q, ASSISTANT_A],
    ),
    "flan": (
        {"inputs": "q", "targets": "a"},
        "flan: user `inputs`, assistant `targets`",
        [USER_Q, ASSISTANT_A],
    ),
    "preference": (
        {"prompt": "q", "chosen": "a", "rejected": "b"},
        "preference: user `prompt`, assistant `chosen` (rates `chosen`, keeps `rejected` "
        "untouched)",
        [USER_Q, ASSISTANT_A],
    ),
    "preference with the prompt repeated": (
        {"prompt": "q", "chosen": [{"role": "user", "content": "q"},
                                   {"role": "assistant", "content": "a"}],
         "rejected": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "b"}]},
        "preference: turns `chosen` (`role`, `content`) (rates `chosen`, keeps `rejected` "
        "untouched)",
        [USER_Q, ASSISTANT_A],
    ),
    "preference with the answer only": (
        {"prompt": [{"role": "user", "content": "q"}],
         "chosen": [{"role": "assistant", "content": "a"}],
         "rejected": [{"role": "assistant", "content": "b"}]},
        "preference: turns `prompt` (`role`, `content`) + `chosen` (`role`, `content`) (rates "
        "`chosen`, keeps `rejected` untouched)",
        [USER_Q, ASSISTANT_A],
    ),
    "preference as LlamaFactory has it": (
        {"conversations": [{"from": "human", "value": "q"}],
         "chosen": {"from": "gpt", "value": "a"}, "rejected": {"from": "gpt", "value": "b"}},
        "preference: turns `conversations` (`from`, `value`) + `chosen` (`from`, `value`) (rates "
        "`chosen`, keeps `rejected` untouched)",
        [USER_Q, ASSISTANT_A],
    ),
    "preference of whole texts": (
        {"chosen": "Human: q Assistant: a", "rejected": "Human: q Assistant: b"},
        "preference: text `chosen`, not split into prompt and response (rates `chosen`, keeps "
        "`rejected` untouched)",
        [("assistant", "Human: q Assistant: a")],
    ),
    "text": (
        {"text": "t", "meta": {"a": 1}},
        "text: text `text`, not split into prompt and response",
        [("assistant", "t")],
    ),
}  # fmt: skip


def text_of(turns):
    return "\n".join(content for _, content in turns if content)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("kind", ["jsonl", "parquet", "csv"])
def test_schema(case, kind, tmp_path):
    row, verdict, turns = CASES[case]
    other = {key: None for key in row}
    path = tmp_path / f"pool.{kind}"
    if kind == "jsonl":
        path.write_text(json.dumps(row) + "\n" + json.dumps(other) + "\n")
    elif kind == "parquet":
        frame, _ = type_columns({key: [value] for key, value in row.items()})
        frame.write_parquet(path)
    else:
        # Tables hold lists and objects as JSON text.
        cells = {k: json.dumps(v) if isinstance(v, list | dict) else v for k, v in row.items()}
        pl.DataFrame([cells]).write_csv(path)
    pool = read_pool(path)
    assert pool.schema.name == case.split()[0]
    assert pool.schema.verdict == verdict
    assert [tuple(turn) for turn in pool.conversations()[0]] == turns
    assert pool.texts()[0] == text_of(turns)


@pytest.mark.parametrize("case", CASES)
def test_a_row_of_nulls_has_no_turns_and_no_text(case, tmp_path):
    row = CASES[case][0]
    pool = read_pool([row, dict.fromkeys(row), row])
    assert pool.conversations()[1] == []
    assert pool.texts()[1] == ""
    assert "1 sample without text (first: row 1)" in pool.notices


def test_every_schema_has_a_case():
    assert {case.split()[0] for case in CASES} == set(SCHEMAS) - {"oasst"}


def test_the_first_schema_that_fits_wins():
    row = {**CASES["text"][0], **CASES["alpaca"][0], **CASES["messages"][0]}
    assert read_pool([row]).schema.name == "messages"


def test_format_picks_another_one():
    row = {**CASES["text"][0], **CASES["alpaca"][0]}
    assert read_pool([row], format="text").texts() == ["t"]


def test_dolly_has_groups():
    pool = read_pool([CASES["dolly"][0]])
    assert pool.groups.to_list() == ["open_qa"]
    assert read_pool([CASES["alpaca"][0]]).groups is None


def test_mixed_contents_in_one_pool():
    """Text in one row, parts in the next: one column of two types, kept as JSON text."""
    pool = read_pool(
        [
            {"messages": [{"role": "user", "content": "q"}]},
            {"messages": [{"role": "user", "content": [{"type": "text", "text": "p"}]}]},
        ]
    )
    assert pool.texts() == ["q", "p"]
    assert pool.encoded == {"messages"}
    assert pool.notices == ("values of several types are kept as JSON text in `messages`",)


def test_answers_that_are_numbers():
    pool = read_pool([{"question": "q", "answer": 42}, {"question": "r", "answer": "many"}])
    assert pool.texts() == ["q\n42", "r\nmany"]
    assert read_pool([{"question": "q", "answer": 42}]).texts() == ["q\n42"]
    assert read_pool([{"question": "q", "answer": ["a", "b"]}]).texts() == ["q\na\nb"]


class TestOverrides:
    ROWS = ({"ask": "q", "more": "m", "reply": "a", "lang": "en", "key": "k1"},)

    def test_prompt_and_response(self):
        pool = read_pool(self.ROWS, prompt_col="ask", response_col="reply")
        assert pool.schema.verdict == "prompt-completion: user `ask`, assistant `reply`"
        assert pool.texts() == ["q\na"]

    def test_several_prompt_columns(self):
        pool = read_pool(self.ROWS, prompt_col=["ask", "more"], response_col="reply")
        assert pool.texts() == ["q\nm\na"]

    def test_one_side_over_what_was_told(self):
        rows = [{"instruction": "q", "input": "i", "output": "a", "better": "b"}]
        pool = read_pool(rows, response_col="better")
        assert pool.schema.verdict == "alpaca: user `instruction` + `input`, assistant `better`"

    def test_text_system_group_id(self):
        pool = read_pool(
            self.ROWS, text_col="reply", system_col="more", group_col="lang", id_col="key"
        )
        assert pool.texts() == ["m\na"]
        assert pool.groups.to_list() == ["en"]
        assert pool.ids.to_list() == ["k1"]

    def test_messages_with_keys_and_roles(self):
        rows = [{"chat": [{"speaker": "me", "said": "q"}, {"speaker": "it", "said": "a"}]}]
        pool = read_pool(
            rows, messages_col="chat", role_key="speaker", content_key="said",
            role_map={"me": "user", "it": "assistant"},
        )  # fmt: skip
        assert pool.conversations() == [[USER_Q, ASSISTANT_A]]

    def test_history_column(self):
        rows = [{"query": "q", "response": "a", "before": [["h", "g"]]}]
        assert read_pool(rows, history_col="before").texts() == ["h\ng\nq\na"]

    def test_ids_are_text_and_absent_without_a_column(self):
        assert read_pool([{"text": "t", "uuid": 7}]).ids.to_list() == ["7"]
        assert read_pool([{"text": "t"}]).ids is None


class TestDatasetInfo:
    def test_alpaca_entry(self):
        entry = {"columns": {"prompt": "ask", "query": "more", "response": "reply", "system": "sys",
                             "history": "past"}}  # fmt: skip
        rows = [{"ask": "q", "more": "m", "reply": "a", "sys": "s", "past": [["h", "g"]]}]
        assert read_pool(rows, dataset_info=entry).texts() == ["s\nh\ng\nq\nm\na"]

    def test_alpaca_entry_without_columns(self):
        rows = [{"instruction": "q", "input": "i", "output": "a"}]
        assert read_pool(rows, dataset_info={"file_name": "x.json"}).texts() == ["q\ni\na"]

    def test_sharegpt_entry_with_tags(self):
        entry = {
            "formatting": "sharegpt",
            "columns": {"messages": "chat", "system": "sys"},
            "tags": {"role_tag": "who", "content_tag": "what", "user_tag": "U",
                     "assistant_tag": "A"},
        }  # fmt: skip
        rows = [{"chat": [{"who": "U", "what": "q"}, {"who": "A", "what": "a"}], "sys": "s"}]
        pool = read_pool(rows, dataset_info=entry)
        assert pool.conversations() == [[("system", "s"), USER_Q, ASSISTANT_A]]

    def test_the_entry_of_the_pools_file(self, tmp_path):
        info = tmp_path / "dataset_info.json"
        info.write_text(
            json.dumps(
                {
                    "other": {
                        "file_name": "other.json",
                        "columns": {"prompt": "x", "response": "y"},
                    },
                    "mine": {
                        "file_name": "mine.jsonl",
                        "columns": {"prompt": "ask", "response": "reply"},
                    },
                }
            )
        )
        (tmp_path / "mine.jsonl").write_text('{"ask": "q", "reply": "a"}\n')
        pool = read_pool(tmp_path / "mine.jsonl", dataset_info=info)
        assert pool.texts() == ["q\na"]
        with pytest.raises(PoolError) as caught:
            read_pool([{"ask": "q", "reply": "a"}], dataset_info=info)
        assert caught.value.message == f"which entry of `{info}` describes the pool is unclear"
        assert caught.value.hint == "name it with `--dataset`: `other`, `mine`"
        with pytest.raises(PoolError) as caught:
            read_pool(tmp_path / "mine.jsonl", dataset_info=info, dataset="min")
        assert caught.value.message == f"`{info}` has no entry `min`"
        assert caught.value.hint == "did you mean `mine`? the entries are `other`, `mine`"


COLUMNS_HINT = "name them: `--prompt-col` and `--response-col`, `--messages-col`, or `--text-col`"


@pytest.mark.parametrize(
    ("rows", "said", "message", "hint"),
    [
        ([{"a": 1, "b": 2}], {}, "no known schema in the columns `a`, `b`", COLUMNS_HINT),
        ([], {}, "the pool is empty: it holds no samples", "look at the input"),
        (
            [{"prompt": "q", "reply": "a"}], {"prompt_col": "promt", "response_col": "reply"},
            "the pool has no column `promt` (`--prompt-col`)",
            "did you mean `prompt`? the columns are `prompt`, `reply`",
        ),
        (
            [{"text": "t"}], {"format": "alpaca"},
            "the pool is not `alpaca`: its columns are `text`",
            "leave out `--format`, or name the columns: `--prompt-col` and `--response-col`, "
            "`--messages-col`, or `--text-col`",
        ),
        (
            [{"text": "t"}], {"format": "alpacca"}, "there is no schema `alpacca`",
            "the schemas are " + ", ".join(f"`{name}`" for name in SCHEMAS),
        ),
        (
            [{"text": "t", "messages": []}], {"text_col": "text", "messages_col": "messages"},
            "`--text-col` and `--messages-col` exclude each other", "keep one of them",
        ),
        (
            [{"text": "t", "q": "q"}], {"text_col": "text", "response_col": "q"},
            "`--text-col` and `--response-col` exclude each other", "keep one of them",
        ),
        (
            [{"text": "t"}], {"format": "text", "text_col": "text"},
            "`--format` and `--text-col` exclude each other", "keep one of them",
        ),
        (
            [{"text": "t", "q": "q"}], {"prompt_col": "q"},
            "`--prompt-col` alone does not fit a pool of schema text", "name `--response-col` too",
        ),
        (
            [{"text": "t", "q": "q"}], {"response_col": "q"},
            "`--response-col` alone does not fit a pool of schema text", "name `--prompt-col` too",
        ),
        (
            [{"chat": [{"speaker": "x", "said": "q"}]}], {"messages_col": "chat"},
            "column `chat` holds no turns: its objects have the keys `speaker`, `said`",
            "name its keys with `--role-key` and `--content-key`",
        ),
        (
            [{"chat": "hello"}], {"messages_col": "chat"},
            "column `chat` holds no turns: it is String",
            "name its keys with `--role-key` and `--content-key`",
        ),
        (
            [{"messages": [{"role": "user", "content": "q"}]},
             {"messages": [{"role": "narrator", "content": "n"}]}], {},
            "row 1: unknown role `narrator` in `messages`",
            "say what it means: `--role-map narrator=user` (or assistant, system, tool)",
        ),
        (
            [{"messages": [{"role": None, "content": "q"}, {"role": "user", "content": "q"}]}], {},
            "row 0: unknown role `None` in `messages`",
            "say what it means: `--role-map None=user` (or assistant, system, tool)",
        ),
        (
            [{"text": "t"}], {"role_map": {"x": "usr"}},
            "`--role-map x=usr`: `usr` is no role",
            "did you mean `user`? the roles are `user`, `assistant`, `system`, `tool`",
        ),
        (
            [{"text": {"a": 1}}], {}, "column `text` holds Struct({'a': Int64}), not text",
            "name the column of turns with `--messages-col`, or one of text with `--text-col`",
        ),
        (
            [{"message_id": "1", "parent_id": None, "role": "prompter", "text": "t"}], {},
            "the pool is a tree of messages (`message_id`, `parent_id`), not a list of "
            "conversations",
            "write each path from a root to a leaf as one row of `messages`, or rate single "
            "messages with `--text-col text`",
        ),
    ],
)  # fmt: skip
def test_errors(rows, said, message, hint):
    with pytest.raises(PoolError) as caught:
        read_pool(rows, **said)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert caught.value.exit_code == 3


def test_ids_that_are_missing_or_shared_are_reported():
    ids = ["x", None, "y", "x", None]
    pool = read_pool([{"text": "t", "id": each} for each in ids])
    assert pool.notices == (
        "2 samples without `id` (first: row 1)",
        "2 samples share their `id` with another (first: `x` in rows 0 and 3)",
    )


def test_preview_and_description():
    rows = [{"text": ""}, {"instruction": "q" * 700, "output": "a", "id": "7"}]
    pool = read_pool(rows, format="alpaca")
    assert pool.preview() == (
        "row 1, id 7\n[user]\n" + "q" * 600 + " ... (100 characters more)\n[assistant]\na"
    )
    assert pool.describe().startswith(
        "2 samples from memory\n"
        "alpaca: user `instruction`, assistant `output`\n"
        "note: 1 sample without text (first: row 0)\n"
        "note: 1 sample without `id` (first: row 0)\n\n"
        "row 1, id 7\n[user]\n"
    )
