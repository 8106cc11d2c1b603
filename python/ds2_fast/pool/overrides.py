"""What the user says about the columns, over what the pool looks like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypedDict, Unpack, cast

import polars as pl

from ds2_fast.errors import PoolError
from ds2_fast.pool.detection import conversation_of, detect, sides_of
from ds2_fast.pool.phrases import named, nearest
from ds2_fast.pool.schemas import ROLES, Columns, Schema

ID_COLUMNS = ("id", "uid", "uuid", "_id")
MEANINGS = ("user", "assistant", "system", "tool")


class ColumnNames(TypedDict, total=False):
    """What the user may say about the columns; every key is optional, None says nothing.

    Attributes:
        format: the schema to take, a name of `SCHEMAS`.
        prompt_col: the column (or columns, joined by line ends) of the user's turn.
        response_col: the column of the assistant's turn.
        system_col: the column of the system prompt.
        history_col: the column of earlier exchanges.
        messages_col: the column (or columns, joined) of turns.
        text_col: the column of text that is not split into turns.
        role_key: the key of a turn that names its role.
        content_key: the key of a turn that holds its content.
        role_map: role names of the pool to user, assistant, system or tool.
        group_col: the column of the sample's group.
        id_col: the column of the sample's id.
    """

    format: str | None
    prompt_col: str | Sequence[str] | None
    response_col: str | None
    system_col: str | None
    history_col: str | None
    messages_col: str | Sequence[str] | None
    text_col: str | None
    role_key: str | None
    content_key: str | None
    role_map: Mapping[str, str] | None
    group_col: str | None
    id_col: str | None


def find_schema(
    frame: pl.DataFrame, encoded: frozenset[str] = frozenset(), **said: Unpack[ColumnNames]
) -> Schema:
    """Tell the schema of a pool, as the user names it or as it looks.

    Args:
        frame: the pool.
        encoded: its columns of JSON text.
        **said: what the user says, see `ColumnNames`.

    Raises:
        PoolError: a column does not exist or does not hold what it is named for, two options
            exclude each other, or no schema fits.
    """
    _check_columns(frame, said)
    _check_exclusive(said)
    columns = Columns(frame, encoded, said.get("role_key"), said.get("content_key"))
    schema = _base(columns, said)
    history = said.get("history_col")
    is_json = history is not None and columns.is_json(history)
    return replace(
        schema,
        system=said.get("system_col") or schema.system,
        history=history or schema.history,
        encoded=schema.encoded | {history} if history and is_json else schema.encoded,
        group=said.get("group_col") or schema.group,
        id=said.get("id_col") or _id_column(frame),
        roles=_roles(said.get("role_map")),
    )


def _base(columns: Columns, said: ColumnNames) -> Schema:
    text, response = said.get("text_col"), said.get("response_col")
    prompts, messages = _tuple(said.get("prompt_col")), _tuple(said.get("messages_col"))
    if text:
        return Schema("text", text=text, encoded=columns.encoded & {text})
    if messages:
        return _conversation(columns, messages)
    if prompts and response:
        return sides_of(columns, "prompt-completion", prompts, response)
    schema = detect(columns, said.get("format"))
    if not prompts and not response:
        return schema
    if not schema.prompt or not schema.response:
        flag, other = ("--prompt-col", "--response-col")[:: 1 if prompts else -1]
        raise PoolError(
            f"`{flag}` alone does not fit a pool of schema {schema.name}", f"name `{other}` too"
        )
    return sides_of(columns, schema.name, prompts or schema.prompt, response or schema.response)


def _conversation(columns: Columns, names: tuple[str, ...]) -> Schema:
    found = []
    for name in names:
        turns = columns.turns(name)
        if turns is None or turns.form == "string":
            raise PoolError(
                f"column `{name}` holds no turns: {_keys_of(columns, name)}",
                "name its keys with `--role-key` and `--content-key`",
            )
        found.append(turns)
    name = "sharegpt" if found[0].keys == ("from", "value") else "messages"
    return conversation_of(columns, name, tuple(found))


def _keys_of(columns: Columns, name: str) -> str:
    value = next(iter(columns.peek(name)), None)
    first = value[0] if isinstance(value, list) and value else value
    if isinstance(first, dict):
        return f"its objects have the keys {named(first)}"
    return f"it is {columns.frame.schema[name]}"


def _check_columns(frame: pl.DataFrame, said: ColumnNames) -> None:
    for key, value in said.items():
        if not key.endswith("_col"):
            continue
        for name in _tuple(cast("str | Sequence[str] | None", value)):
            if name not in frame.columns:
                raise PoolError(
                    f"the pool has no column `{name}` (`--{key.replace('_', '-')}`)",
                    nearest(name, frame.columns),
                )


def _check_exclusive(said: ColumnNames) -> None:
    """Refuse two different ways to say where the conversation is."""
    sides = "--prompt-col" if said.get("prompt_col") else "--response-col"
    ways = {
        "--text-col": said.get("text_col"),
        "--messages-col": said.get("messages_col"),
        sides: said.get("prompt_col") or said.get("response_col"),
    }
    given = [flag for flag, value in ways.items() if value]
    if said.get("format") and given and given[0] != sides:
        given.insert(0, "--format")
    if len(given) > 1:
        raise PoolError(f"`{given[0]}` and `{given[1]}` exclude each other", "keep one of them")


def _id_column(frame: pl.DataFrame) -> str | None:
    for name in ID_COLUMNS:
        if name in frame.columns and not frame.schema[name].is_nested():
            return name
    return None


def _roles(role_map: Mapping[str, str] | None) -> Mapping[str, str]:
    for name, meaning in (role_map or {}).items():
        if meaning not in MEANINGS:
            raise PoolError(
                f"`--role-map {name}={meaning}`: `{meaning}` is no role",
                nearest(meaning, MEANINGS, "roles"),
            )
    return {**ROLES, **(role_map or {})}


def _tuple(names: str | Sequence[str] | None) -> tuple[str, ...]:
    if names is None:
        return ()
    return (names,) if isinstance(names, str) else tuple(names)
