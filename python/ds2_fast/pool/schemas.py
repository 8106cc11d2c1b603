"""How the columns of a pool hold a conversation, and a look at what they hold."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import polars as pl

ROLES: Mapping[str, str] = {
    **dict.fromkeys(("user", "human", "prompter"), "user"),
    **dict.fromkeys(
        ("assistant", "gpt", "chatgpt", "bing", "bard", "model", "bot", "function_call",
         "tool_call"),
        "assistant",
    ),
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("tool", "function", "observation", "function_response"), "tool"),
}  # fmt: skip
"""The role names that are known, and the role each one means."""

CONVERSATION_COLUMNS = (
    "messages", "conversations", "conversation", "dialog", "dialogue", "data",
)  # fmt: skip
ROLE_KEYS = ("role", "from")
CONTENT_KEYS = ("content", "value", "text")
EXCHANGE_KEYS = (("human", "assistant"), ("input", "output"), ("user", "assistant"))
PEEKED = 100
"""Non-null values looked at to tell what a column holds."""

Form = Literal["messages", "strings", "exchanges", "string"]


@dataclass(frozen=True)
class Turns:
    """A column that holds turns.

    Attributes:
        column: its name.
        form: `messages` (objects with a role and a content), `strings` (user and assistant in
            turn), `exchanges` (objects with one turn of each), or `string` (one turn).
        keys: role and content key of `messages`; user and assistant key of `exchanges`.
        role: whose turn a `string` is.
    """

    column: str
    form: Form
    keys: tuple[str, str] = ("role", "content")
    role: str = "user"


@dataclass(frozen=True)
class Schema:
    """How a row becomes a conversation.

    A row holds its conversation in columns of turns (`turns`), in one column per side (`prompt`,
    `response`), or as text that is not split (`text`); exactly one of the three is set.

    Attributes:
        name: which of `SCHEMAS` it is.
        turns: columns of turns, joined in this order.
        prompt: columns that make up the user's turn, joined by a line end.
        response: column of the assistant's turn.
        text: column of text that is not split into turns.
        system: column of a system prompt that comes first.
        history: column of earlier exchanges, lists of `[user, assistant]`.
        encoded: columns of JSON text.
        roles: role name in the pool to `user`, `assistant`, `system` or `tool`.
        id: column of the sample's id.
        group: column of the sample's group.
        note: what is special about it, for the verdict.
    """

    name: str
    turns: tuple[Turns, ...] = ()
    prompt: tuple[str, ...] = ()
    response: str | None = None
    text: str | None = None
    system: str | None = None
    history: str | None = None
    encoded: frozenset[str] = frozenset()
    roles: Mapping[str, str] = field(default_factory=lambda: ROLES)
    id: str | None = None
    group: str | None = None
    note: str = ""

    @property
    def verdict(self) -> str:
        """Say in one sentence what the pool was taken for."""
        parts = [f"{self.name}:", self._turns()]
        if self.system:
            parts.append(f"after the system prompt `{self.system}`")
        if self.history:
            parts.append(f"and the earlier turns `{self.history}`")
        if self.note:
            parts.append(f"({self.note})")
        return " ".join(parts)

    def _turns(self) -> str:
        if self.text is not None:
            return f"text `{self.text}`, not split into prompt and response"
        if self.turns:
            return "turns " + " + ".join(map(_verdict, self.turns))
        return (
            f"user {' + '.join(f'`{name}`' for name in self.prompt)}, assistant `{self.response}`"
        )


def _verdict(turns: Turns) -> str:
    if turns.form in {"messages", "exchanges"}:
        return f"`{turns.column}` (`{turns.keys[0]}`, `{turns.keys[1]}`)"
    if turns.form == "strings":
        return f"`{turns.column}` (user and assistant in turn)"
    return f"`{turns.column}` ({turns.role})"


@dataclass(frozen=True)
class Columns:
    """The columns of a pool, with a look at what they hold.

    Attributes:
        frame: the pool.
        encoded: columns of JSON text.
        role_key: the only key that names the role of a turn, where the user named it.
        content_key: the only key of a turn's content, where the user named it.
    """

    frame: pl.DataFrame
    encoded: frozenset[str] = frozenset()
    role_key: str | None = None
    content_key: str | None = None

    def __contains__(self, names: str | Iterable[str]) -> bool:
        """Whether the pool has the column, or all of them."""
        wanted = (names,) if isinstance(names, str) else names
        return all(name in self.frame.columns for name in wanted)

    def first(self, *names: str) -> str | None:
        """Give the first of the names that is a column."""
        return next((name for name in names if name in self.frame.columns), None)

    def peek(self, name: str) -> list[Any]:
        """Give the first values of a column, JSON text decoded; empty for one that is absent."""
        if name not in self.frame.columns:
            return []
        column = self.frame[name]
        values: list[Any] = column.drop_nulls().head(PEEKED).to_list()
        if column.dtype == pl.String and self.is_json(name):
            values = [json.loads(value) for value in values]
        return values

    def is_json(self, name: str) -> bool:
        """Whether a text column holds JSON lists or objects, as tables of conversations do."""
        if name in self.encoded:
            return True
        column = self.frame[name]
        if column.dtype != pl.String or not column.null_count() < len(column):
            return False
        values = column.drop_nulls().head(PEEKED).to_list()
        try:
            return all(isinstance(json.loads(value), list | dict) for value in values)
        except ValueError:
            return False

    def turns(self, name: str, role: str = "user") -> Turns | None:
        """Tell the form of a column of turns; None where it holds none."""
        values = self.peek(name)
        if any(isinstance(value, str) for value in values) and name not in self.encoded:
            return Turns(name, "string", role=role)
        lists = [value if isinstance(value, list) else [value] for value in values]
        items = [item for items in lists for item in items if item is not None]
        objects = [item for item in items if isinstance(item, dict)]
        if items and all(isinstance(item, str) for item in items):
            return Turns(name, "strings")
        if not objects or len(objects) < len(items):
            return None
        keys = {key for item in objects for key, value in item.items() if value is not None}
        return self._keyed(name, keys)

    def _keyed(self, name: str, keys: set[str]) -> Turns | None:
        roles = (self.role_key,) if self.role_key else ROLE_KEYS
        contents = (self.content_key,) if self.content_key else CONTENT_KEYS
        role = next((key for key in roles if key in keys), None)
        content = next((key for key in contents if key in keys), None)
        if role and content:
            return Turns(name, "messages", (role, content))
        pair = next((pair for pair in EXCHANGE_KEYS if keys.issuperset(pair)), None)
        return Turns(name, "exchanges", pair) if pair else None
