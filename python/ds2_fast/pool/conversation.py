"""Rows to conversations, and to the text that is embedded."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

import polars as pl

from ds2_fast.errors import PoolError
from ds2_fast.garbage import uncollected
from ds2_fast.pool.columns import to_json
from ds2_fast.pool.schemas import Schema, Turns


class Turn(NamedTuple):
    """One turn of a conversation: `role` is user, assistant, system or tool."""

    role: str
    content: str


def texts_of(frame: pl.DataFrame, schema: Schema) -> pl.Series:
    """Write each sample as one text: the contents of its turns, joined by line ends.

    Empty contents are left out; a sample without content is the empty text. The text of alpaca
    rows is instruction, input and output.

    Returns:
        String `(N,)`, no nulls.

    Raises:
        PoolError: a column does not hold text, or a turn has a role that is not known.

    Cost: O(bytes); below 1 second for 340,000 samples in columns, about 1 second for `messages`
    of a parquet file, some seconds where JSON text has to be decoded.
    """
    if not schema.turns and schema.history is None:
        sides = (schema.system, *schema.prompt, schema.response, schema.text)
        return _joined([_plain(frame, name, schema) for name in sides if name])
    contents = _contents(frame, schema)
    if contents is not None:
        before = [_plain(frame, schema.system, schema)] if schema.system else []
        return _joined([*before, contents])
    conversations = conversations_of(frame, schema)
    joined = ["\n".join(turn.content for turn in turns if turn.content) for turns in conversations]
    return pl.Series("text", joined, dtype=pl.String)


def conversations_of(frame: pl.DataFrame, schema: Schema) -> list[list[Turn]]:
    """Write each sample as its turns, system prompt first.

    A pool of plain text has one turn per sample, of the assistant: nobody asked.

    Raises:
        PoolError: as `texts_of`.

    Cost: O(turns), about 2 seconds for 340,000 samples.
    """
    with uncollected():
        parts = list(_parts(frame, schema))
        return [list(chain.from_iterable(row)) for row in zip(*parts, strict=True)]


def check_roles(frame: pl.DataFrame, schema: Schema) -> None:
    """Refuse a role that is not known before anything is computed.

    Columns of JSON text are not looked at here: their roles are checked as they are decoded.

    Raises:
        PoolError: with the first row.
    """
    for turns in schema.turns:
        items = _native_messages(frame, turns)
        if items is None:
            continue
        role = turns.keys[0]
        spoken = frame[turns.column].drop_nulls().explode(empty_as_null=False)
        if any(_role(name, schema.roles) is None for name in spoken.struct.field(role).unique()):
            # Slow and sure: finds the row, for the error.
            conversations_of(frame.select(turns.column), Schema(schema.name, turns=(turns,),
                             roles=schema.roles))  # fmt: skip


def _parts(frame: pl.DataFrame, schema: Schema) -> Iterator[list[list[Turn]]]:
    """Give the turns of all rows, one list per column, in the order they are spoken."""
    if schema.system:
        yield _one_turn(_plain(frame, schema.system, schema), "system")
    if schema.text is not None:
        yield _one_turn(_plain(frame, schema.text, schema), "assistant")
    if schema.history:
        yield _spoken(frame, Turns(schema.history, "exchanges"), schema)
    if schema.prompt:
        prompt = _joined([_plain(frame, name, schema) for name in schema.prompt])
        yield _one_turn(prompt, "user")
    if schema.response:
        yield _one_turn(_plain(frame, schema.response, schema), "assistant")
    for turns in schema.turns:
        yield _spoken(frame, turns, schema)


def _one_turn(contents: pl.Series, role: str) -> list[list[Turn]]:
    return [[Turn(role, content)] if content else [] for content in contents.to_list()]


def _spoken(frame: pl.DataFrame, turns: Turns, schema: Schema) -> list[list[Turn]]:
    values = _decoded(frame[turns.column], turns.column in schema.encoded)
    spoken = []
    for row, value in enumerate(values):
        try:
            spoken.append(list(_turns(value, turns, schema.roles)))
        except _UnknownRoleError as error:
            raise PoolError(
                f"row {row}: unknown role `{error.role}` in `{turns.column}`",
                f"say what it means: `--role-map {error.role}=user` (or assistant, system, tool)",
            ) from None
    return spoken


def _decoded(column: pl.Series, encoded: bool) -> list[Any]:
    values = column.to_list()
    if encoded:
        return [None if value is None else json.loads(value) for value in values]
    return values


class _UnknownRoleError(Exception):
    def __init__(self, role: object) -> None:
        super().__init__(role)
        self.role = role


def _turns(value: object, turns: Turns, roles: Mapping[str, str]) -> Iterator[Turn]:
    if isinstance(value, str):
        yield Turn(turns.role, value)
        return
    items = value if isinstance(value, list) else [value]
    for index, item in enumerate(items):
        if item is None:
            continue
        if isinstance(item, str):
            yield Turn("assistant" if index % 2 else "user", item)
        elif turns.form == "exchanges":
            pair = item if isinstance(item, list) else [item.get(key) for key in turns.keys]
            for side, content in zip(("user", "assistant"), pair, strict=False):
                if content is not None:
                    yield Turn(side, content_text(content))
        else:
            name = item.get(turns.keys[0])
            role = _role(name, roles)
            if role is None:
                raise _UnknownRoleError(name)
            yield Turn(role, content_text(item.get(turns.keys[1])))


def _role(name: object, roles: Mapping[str, str]) -> str | None:
    return roles.get(name) or roles.get(name.lower()) if isinstance(name, str) else None


def content_text(value: object) -> str:
    """Give the text of a content: a string, or a list of parts of which the text ones count."""
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, list):
        return "\n".join(text for part in value if (text := content_text(part)))
    if isinstance(value, dict):
        return content_text(value.get("text"))
    return to_json(value)


def _native_messages(frame: pl.DataFrame, turns: Turns) -> pl.Struct | None:
    """Give the type of a turn, where the column is a typed list of objects with text contents."""
    dtype = frame.schema[turns.column]
    if turns.form != "messages" or not isinstance(dtype, pl.List):
        return None
    item = dtype.inner
    if not isinstance(item, pl.Struct):
        return None
    fields = {field.name: field.dtype for field in item.fields}
    both = [fields.get(key) for key in turns.keys]
    return item if both == [pl.String, pl.String] else None


def _contents(frame: pl.DataFrame, schema: Schema) -> pl.Series | None:
    """Join the contents inside polars, where the only column of turns is typed."""
    if len(schema.turns) != 1 or _native_messages(frame, schema.turns[0]) is None:
        return None
    turns = schema.turns[0]
    content = pl.element().struct.field(turns.keys[1])
    filled = pl.col(turns.column).list.eval(pl.when(content != "").then(content))
    return frame.select(filled.list.join("\n", ignore_nulls=True)).to_series()


def _joined(columns: list[pl.Series]) -> pl.Series:
    """Join texts row by row with line ends; nulls and empty texts are left out."""
    frame = pl.DataFrame([column.alias(str(index)) for index, column in enumerate(columns)])
    parts = [pl.when(pl.col(name) != "").then(pl.col(name)) for name in frame.columns]
    return frame.select(pl.concat_str(parts, separator="\n", ignore_nulls=True).alias("text"))[
        "text"
    ].fill_null("")


def _plain(frame: pl.DataFrame, name: str, schema: Schema) -> pl.Series:
    """Give a column as text."""
    column = frame[name]
    if name in schema.encoded:
        texts = [None if value is None else content_text(json.loads(value)) for value in column]
        return pl.Series(name, texts, dtype=pl.String)
    if column.dtype == pl.List(pl.String):
        return column.list.join("\n", ignore_nulls=True)
    if column.dtype.is_nested() or column.dtype in {pl.Binary, pl.Object}:
        raise PoolError(
            f"column `{name}` holds {column.dtype}, not text",
            "name the column of turns with `--messages-col`, or one of text with `--text-col`",
        )
    return column.cast(pl.String)
