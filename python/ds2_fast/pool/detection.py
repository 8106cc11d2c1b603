"""Telling the schema of a pool by its columns: the table of the schemas that are known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import polars as pl

from ds2_fast.errors import PoolError
from ds2_fast.pool.phrases import named
from ds2_fast.pool.schemas import CONVERSATION_COLUMNS, ROLES, Columns, Schema, Turns


def detect(columns: Columns, only: str | None = None) -> Schema:
    """Tell the schema of a pool; the first that fits wins.

    Args:
        columns: the columns of the pool.
        only: the one schema to try.

    Raises:
        PoolError: none fits, or the pool is a tree of messages.
    """
    if only is not None and only not in SCHEMAS:
        raise PoolError(f"there is no schema `{only}`", f"the schemas are {named(SCHEMAS)}")
    for name in (only,) if only else SCHEMAS:
        schema = SCHEMAS[name](columns)
        if schema is not None:
            return schema
    found = named(columns.frame.columns)
    if only:
        raise PoolError(
            f"the pool is not `{only}`: its columns are {found}",
            "leave out `--format`, or name the columns: `--prompt-col` and `--response-col`, "
            "`--messages-col`, or `--text-col`",
        )
    raise PoolError(
        f"no known schema in the columns {found}",
        "name them: `--prompt-col` and `--response-col`, `--messages-col`, or `--text-col`",
    )


def conversation_of(
    columns: Columns, name: str, turns: tuple[Turns, ...], note: str = ""
) -> Schema:
    """Make the schema of a pool with columns of turns."""
    encoded = frozenset(each.column for each in turns if columns.is_json(each.column))
    return Schema(name, turns=turns, system=_system(columns), encoded=encoded, note=note)


def sides_of(
    columns: Columns, name: str, prompt: tuple[str, ...], response: str, note: str = ""
) -> Schema:
    """Make the schema of a pool with one column for each side."""
    history = columns.first("history")
    if history and not any(isinstance(value, list) for value in columns.peek(history)):
        history = None
    used = {*prompt, response, *({history} if history else ())}
    encoded = frozenset(
        each
        for each in used
        if each in columns.encoded or (each == history and columns.is_json(each))
    )
    return Schema(
        name, prompt=prompt, response=response, system=_system(columns), history=history,
        encoded=encoded, note=note,
    )  # fmt: skip


def _system(columns: Columns) -> str | None:
    name = columns.first("system", "system_prompt")
    return name if name and columns.frame[name].dtype == pl.String else None


def _turn_columns(columns: Columns) -> Iterable[Turns]:
    if isinstance(next(iter(columns.peek("chosen")), None), dict):
        return  # A preference whose `conversations` lack the answer: see `_preference`.
    for name in CONVERSATION_COLUMNS:
        turns = columns.turns(name)
        if turns is not None and turns.form != "string":
            yield turns


def _turns_where(name: str, fits: Callable[[Turns], bool]) -> Callable[[Columns], Schema | None]:
    def find(columns: Columns) -> Schema | None:
        for turns in _turn_columns(columns):
            if fits(turns):
                return conversation_of(columns, name, (turns,))
        return None

    return find


def _sides(
    name: str,
    prompt: tuple[str, ...],
    *responses: str,
    extra: str | None = None,
    needs_extra: bool = False,
) -> Callable[[Columns], Schema | None]:
    def find(columns: Columns) -> Schema | None:
        response = columns.first(*responses)
        has_extra = extra is not None and extra in columns
        if response is None or prompt not in columns or (needs_extra and not has_extra):
            return None
        if columns.turns(prompt[0]) not in {None, Turns(prompt[0], "string")}:
            return None
        return sides_of(
            columns, name, (*prompt, extra) if has_extra and extra else prompt, response
        )

    return find


def _dolly(columns: Columns) -> Schema | None:
    schema = _sides("dolly", ("instruction",), "response", extra="context", needs_extra=True)(
        columns
    )
    return schema and replace(schema, group=columns.first("category"))


def _prompt_completion(columns: Columns) -> Schema | None:
    response = columns.first("completion", "response")
    if "prompt" not in columns or response is None:
        return None
    prompt, completion = columns.turns("prompt"), columns.turns(response, "assistant")
    if prompt is None or completion is None:
        return None
    if prompt.form == completion.form == "string":
        return sides_of(columns, "prompt-completion", ("prompt",), response)
    return conversation_of(columns, "prompt-completion", (prompt, completion))


def _tree(columns: Columns) -> Schema | None:
    if ("message_id", "parent_id", "role", "text") not in columns:
        return None
    raise PoolError(
        "the pool is a tree of messages (`message_id`, `parent_id`), not a list of conversations",
        "write each path from a root to a leaf as one row of `messages`, or rate single messages "
        "with `--text-col text`",
    )


def _preference(columns: Columns) -> Schema | None:
    if ("chosen", "rejected") not in columns:
        return None
    note = "rates `chosen`, keeps `rejected` untouched"
    chosen = columns.turns("chosen", "assistant")
    if chosen is None:
        return None
    before = _before_chosen(columns, chosen)
    if chosen.form == "string":
        if not before:
            return Schema("preference", text="chosen", note=note)
        if all(each.form == "string" for each in before):
            prompt = tuple(each.column for each in before)
            return sides_of(columns, "preference", prompt, "chosen", note)
    return conversation_of(columns, "preference", (*before, chosen), note)


def _before_chosen(columns: Columns, chosen: Turns) -> tuple[Turns, ...]:
    """Give the columns of the prompt, unless `chosen` repeats it."""
    if chosen.form == "messages":
        value = next(iter(columns.peek("chosen")), None)
        first = value[0] if isinstance(value, list) and value else value
        role = first.get(chosen.keys[0]) if isinstance(first, dict) else None
        if ROLES.get(str(role)) != "assistant":
            return ()
    name = columns.first("prompt", "conversations", "messages", "instruction", "question", "query")
    if name is None:
        return ()
    names = (name, "input") if name == "instruction" and "input" in columns else (name,)
    found = (columns.turns(each) for each in names)
    return tuple(each for each in found if each is not None)


def _text(columns: Columns) -> Schema | None:
    return Schema("text", text="text") if "text" in columns else None


SCHEMAS: Mapping[str, Callable[[Columns], Schema | None]] = {
    "messages": _turns_where(
        "messages", lambda turns: turns.column == "messages" and turns.keys == ("role", "content")
    ),
    "sharegpt": _turns_where("sharegpt", lambda turns: turns.keys == ("from", "value")),
    "conversations": _turns_where("conversations", lambda turns: turns.form == "messages"),
    "turns": _turns_where("turns", lambda turns: turns.form == "strings"),
    "exchanges": _turns_where("exchanges", lambda turns: turns.form == "exchanges"),
    "alpaca": _sides("alpaca", ("instruction",), "output", extra="input"),
    # Before gpteacher, which would leave out the context.
    "dolly": _dolly,
    "gpteacher": _sides("gpteacher", ("instruction",), "response", extra="input"),
    "query-response": _sides("query-response", ("query",), "response"),
    "prompt-completion": _prompt_completion,
    "qa": lambda columns: (
        _sides("qa", ("question",), "answer", "response")(columns)
        or _sides("qa", ("problem",), "solution", "generated_solution")(columns)
    ),
    "flan": _sides("flan", ("inputs",), "targets"),
    "oasst": _tree,
    "preference": _preference,
    "text": _text,
}
"""The schemas in the order they are tried."""
