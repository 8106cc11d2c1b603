"""Rows of a pool in the four shapes that training tools load."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ds2_fast.errors import PoolError
from ds2_fast.pool.conversation import Turn, conversations_of
from ds2_fast.pool.phrases import named
from ds2_fast.pool.pool import Pool
from ds2_fast.pool.schemas import Schema, Turns

Shape = Literal["messages", "sharegpt", "alpaca", "prompt-completion"]
SHAPES: tuple[Shape, ...] = get_args(Shape)

_SHAREGPT = {"user": "human", "assistant": "gpt", "system": "system", "tool": "observation"}
_CALLS = ("tool_calls", "function_call")
_CALLERS = frozenset({"tool_call", "function_call"})
_SPLIT = 2
"""Columns of a prompt that alpaca's instruction and input can hold."""


@dataclass(frozen=True)
class Converted:
    """Rows in another shape.

    Attributes:
        frame: the columns of the shape, after the sample's id and group if the pool has them.
        dropped: columns of the pool that are not among them.
        keys: keys of turns that are not among them, such as `weight`.
    """

    frame: pl.DataFrame
    dropped: tuple[str, ...]
    keys: tuple[str, ...]

    @property
    def note(self) -> str:
        """Say what was left out; empty if nothing was."""
        parts = [f"the columns {named(self.dropped)}"] if self.dropped else []
        parts += [f"the keys {named(self.keys)} of turns"] if self.keys else []
        return f"left out: {' and '.join(parts)}" if parts else ""


def convert_rows(pool: Pool, rows: Sequence[int] | NDArray[np.integer], shape: Shape) -> Converted:
    """Give rows of the pool in another shape, in the order given.

    `messages`: one column, lists of `{"role", "content"}`, roles system, user, assistant, tool.
    `sharegpt`: `conversations`, lists of `{"from", "value"}`, roles system, human, gpt,
    observation. `alpaca`: `instruction`, `input`, `output`; a prompt of two columns keeps them
    apart, else `input` is empty. `prompt-completion`: two texts. What the pool calls the sample's
    id and group is kept; a sample that the shape cannot hold is an error and never cut.

    Args:
        pool: the pool.
        rows: which rows, each in 0..N-1.
        shape: one of `SHAPES`.

    Raises:
        PoolError: a sample has turns, a system prompt, a tool call or a part that is no text where
            the shape has no place for it, or the pool is text without a prompt; names the row.
        ValueError: the shape is not known.

    Cost: O(turns), about 5 seconds for 340,000 samples.

    Example:
        >>> from ds2_fast import read_pool
        >>> pool = read_pool([{"question": "1 + 1?", "answer": "2"}])
        >>> convert_rows(pool, [0], "messages").frame["messages"].to_list()[0][1]
        {'role': 'assistant', 'content': '2'}
    """
    check_shape(pool, shape)
    schema = pool.schema
    chosen = np.asarray(rows, dtype=np.int64)
    frame = pool.frame[chosen]
    keys = _check_tools(frame, chosen, schema, shape)
    conversations = conversations_of(frame, schema)
    made = pl.DataFrame(_WRITERS[shape](frame, conversations, chosen, schema))
    kept = [name for name in dict.fromkeys((schema.id, schema.group)) if name is not None]
    kept = [name for name in kept if name not in made.columns]
    dropped = tuple(name for name in frame.columns if name not in {*kept, *_spoken(schema)})
    return Converted(pl.DataFrame([*frame.select(kept), *made]), dropped, keys)


def check_shape(pool: Pool, shape: Shape) -> None:
    """See whether the pool has what a shape needs, as far as its columns tell.

    Raises:
        PoolError: the pool is text without a prompt.
        ValueError: the shape is not known.
    """
    if shape not in SHAPES:
        raise ValueError(f"shape: expected one of {', '.join(SHAPES)}, got {shape!r}")
    if pool.schema.text is not None:
        raise PoolError(
            f"the samples are text (`{pool.schema.text}`) without prompt and response, which "
            f"`{shape}` needs",
            "leave out `--to`, or name the columns with `--prompt-col` and `--response-col`",
        )


def _spoken(schema: Schema) -> set[str | None]:
    """Name the columns that the conversation is made of."""
    columns = {turns.column for turns in schema.turns}
    return {*columns, *schema.prompt, schema.response, schema.system, schema.history}


def _messages(
    frame: pl.DataFrame, conversations: list[list[Turn]], rows: NDArray[np.int64], schema: Schema
) -> Mapping[str, pl.Series]:
    return {"messages": _listed(conversations, ("role", "content"), {})}


def _sharegpt(
    frame: pl.DataFrame, conversations: list[list[Turn]], rows: NDArray[np.int64], schema: Schema
) -> Mapping[str, pl.Series]:
    return {"conversations": _listed(conversations, ("from", "value"), _SHAREGPT)}


def _alpaca(
    frame: pl.DataFrame, conversations: list[list[Turn]], rows: NDArray[np.int64], schema: Schema
) -> Mapping[str, pl.Series]:
    pairs = _pairs(conversations, rows, "alpaca")
    prompts, inputs = [prompt for prompt, _ in pairs], [""] * len(pairs)
    if len(schema.prompt) == _SPLIT and not schema.encoded.intersection(schema.prompt):
        # Only what was asked in two columns can be written in two again.
        sides = [frame[name].cast(pl.String).fill_null("").to_list() for name in schema.prompt]
        prompts, inputs = sides
    return {
        "instruction": _texts(prompts),
        "input": _texts(inputs),
        "output": _texts([response for _, response in pairs]),
    }


def _prompt_completion(
    frame: pl.DataFrame, conversations: list[list[Turn]], rows: NDArray[np.int64], schema: Schema
) -> Mapping[str, pl.Series]:
    pairs = _pairs(conversations, rows, "prompt-completion")
    return {
        "prompt": _texts([prompt for prompt, _ in pairs]),
        "completion": _texts([response for _, response in pairs]),
    }


_Writer = Callable[
    [pl.DataFrame, list[list[Turn]], NDArray[np.int64], Schema], Mapping[str, pl.Series]
]
_WRITERS: Mapping[Shape, _Writer] = {
    "messages": _messages,
    "sharegpt": _sharegpt,
    "alpaca": _alpaca,
    "prompt-completion": _prompt_completion,
}


def _pairs(
    conversations: list[list[Turn]], rows: NDArray[np.int64], shape: Shape
) -> list[tuple[str, str]]:
    """Give prompt and response of samples that have one of each and nothing else."""
    pairs = []
    for row, turns in zip(rows.tolist(), conversations, strict=True):
        roles = [turn.role for turn in turns]
        # An empty text is no turn in a pool of columns.
        if roles not in (["user", "assistant"], ["user"], ["assistant"], []):
            raise _no_place(row, _too_much(roles), shape)
        said = {turn.role: turn.content for turn in turns}
        pairs.append((said.get("user", ""), said.get("assistant", "")))
    return pairs


def _too_much(roles: list[str]) -> str:
    for role, name in (("system", "a system prompt"), ("tool", "a tool's answer")):
        if role in roles:
            return name
    return f"{len(roles)} turns"


def _no_place(row: int, what: str, shape: Shape) -> PoolError:
    if shape in {"alpaca", "prompt-completion"} and "tool call" not in what:
        hint = "`--to messages` and `--to sharegpt` hold every turn"
    else:
        hint = "leave out `--to`: rows that are not converted keep all they have"
    return PoolError(f"row {row} has {what}, for which `{shape}` has no place", hint)


def _check_tools(
    frame: pl.DataFrame, rows: NDArray[np.int64], schema: Schema, shape: Shape
) -> tuple[str, ...]:
    """Refuse calls and parts that would be lost; give the keys of turns that will be."""
    _check_tools_column(frame, rows, shape)
    left: dict[str, None] = {}
    for turns in schema.turns:
        if turns.form != "messages":
            continue
        for row, item in _items(frame, turns, schema):
            if item.get(turns.keys[0]) in _CALLERS or any(item.get(key) for key in _CALLS):
                raise _no_place(int(rows[row]), "a tool call", shape)
            part = _foreign_part(item.get(turns.keys[1]))
            if part is not None:
                raise _no_place(int(rows[row]), f"a part of type `{part}`", shape)
            left.update(
                (key, None)
                for key, value in item.items()
                if value is not None and key not in {*turns.keys, *_CALLS}
            )
    return tuple(left)


def _items(
    frame: pl.DataFrame, turns: Turns, schema: Schema
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for row, stored in enumerate(frame[turns.column].to_list()):
        value = stored
        if turns.column in schema.encoded and stored is not None:
            value = json.loads(stored)
        for item in value if isinstance(value, list) else [value]:
            if isinstance(item, dict):
                yield row, item


def _foreign_part(content: object) -> str | None:
    """Name the type of a part of a content that is no text, such as `image_url`."""
    for part in content if isinstance(content, list) else [content]:
        if isinstance(part, dict) and part.get("text") is None:
            return str(part.get("type", "object"))
    return None


def _check_tools_column(frame: pl.DataFrame, rows: NDArray[np.int64], shape: Shape) -> None:
    if "tools" not in frame.columns:
        return
    for row, tools in enumerate(frame["tools"].to_list()):
        if tools not in (None, "", "[]", "null", []):
            raise _no_place(int(rows[row]), "tools (a list of possible tool calls)", shape)


def _listed(
    conversations: list[list[Turn]], keys: tuple[str, str], names: Mapping[str, str]
) -> pl.Series:
    """Make lists of objects column by column: of a million dicts polars takes ten times as long."""
    lengths = pl.Series([len(turns) for turns in conversations], dtype=pl.UInt32)
    rows = pl.int_range(len(conversations), dtype=pl.UInt32, eager=True)
    flat = pl.DataFrame(
        {
            "row": rows.repeat_by(lengths).explode(empty_as_null=False),
            keys[0]: _texts([names.get(turn.role, turn.role) for turns in conversations
                             for turn in turns]),
            keys[1]: _texts([turn.content for turns in conversations for turn in turns]),
        }
    )  # fmt: skip
    lists = flat.group_by("row", maintain_order=True).agg(turns=pl.struct(keys))
    found = pl.DataFrame({"row": rows}).join(lists, on="row", how="left", maintain_order="left")
    return found["turns"].fill_null(pl.lit([], dtype=lists.schema["turns"]))


def _texts(values: list[str]) -> pl.Series:
    return pl.Series(values, dtype=pl.String)
