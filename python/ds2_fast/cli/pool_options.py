"""The options that say how a pool is to be read, the same on every command that reads one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TypeVar

import click

R = TypeVar("R")

FORMATS = (
    "messages", "sharegpt", "conversations", "turns", "exchanges", "alpaca", "dolly", "gpteacher",
    "query-response", "prompt-completion", "qa", "flan", "preference", "text",
)  # fmt: skip
"""The schemas a user can name, written out: the table itself would load polars for `--help`."""


def _role_map(
    ctx: click.Context, param: click.Parameter, value: str | None
) -> Mapping[str, str] | None:
    """Split `human=user,gpt=assistant`; what the roles are is checked where the pool is read."""
    if value is None:
        return None
    pairs = [pair.partition("=") for pair in value.split(",")]
    if not all(name.strip() and role.strip() for name, _, role in pairs):
        raise click.BadParameter(f"{value!r} is not of the form human=user,gpt=assistant")
    return {name.strip(): role.strip() for name, _, role in pairs}


_OPTIONS = (
    click.option("--format", type=click.Choice(FORMATS), metavar="NAME",
                 help=f"Schema of the pool: {', '.join(FORMATS)}.  [default: told by its columns]"),
    click.option("--prompt-col", metavar="COLUMN", multiple=True,
                 help="Column of the user's turn; repeat it to join several."),
    click.option("--response-col", metavar="COLUMN", help="Column of the assistant's turn."),
    click.option("--system-col", metavar="COLUMN", help="Column of the system prompt."),
    click.option("--history-col", metavar="COLUMN", help="Column of earlier turns."),
    click.option("--messages-col", metavar="COLUMN", multiple=True,
                 help="Column of turns; repeat it to join several."),
    click.option("--text-col", metavar="COLUMN", help="Column of text, not split into turns."),
    click.option("--role-key", metavar="KEY", help="Key of a turn that names its role."),
    click.option("--content-key", metavar="KEY", help="Key of a turn that holds its content."),
    click.option("--role-map", metavar="NAME=ROLE,...", callback=_role_map,
                 help="What role names mean: user, assistant, system or tool."),
    click.option("--group-col", metavar="COLUMN", help="Column of the sample's group."),
    click.option("--id-col", metavar="COLUMN",
                 help="Column of the sample's id.  [default: id, uid, uuid or _id]"),
    click.option("--split", default="train", show_default=True, metavar="NAME",
                 help="Part of a saved Hugging Face dataset."),
    click.option("--dataset-info", metavar="FILE", type=click.Path(dir_okay=False),
                 help="LlamaFactory dataset_info.json that describes the columns."),
    click.option("--dataset", metavar="NAME", help="Entry of --dataset-info."),
)  # fmt: skip

OPTION_NAMES = (
    "format", "prompt_col", "response_col", "system_col", "history_col", "messages_col",
    "text_col", "role_key", "content_key", "role_map", "group_col", "id_col", "split",
    "dataset_info", "dataset",
)  # fmt: skip


def pool_options(command: Callable[..., R]) -> Callable[..., R]:
    """Add the options of a pool to a command, which gets them as one mapping.

    The command is called with `pool_options`, the keywords of `read_pool` that the user gave:
    `read_pool(source, **pool_options)`.
    """

    @functools.wraps(command)
    def gathered(*args: object, **options: object) -> R:
        values = {name: options.pop(name) for name in OPTION_NAMES}
        said = {name: value for name, value in values.items() if value not in (None, ())}
        return command(*args, pool_options=said, **options)

    for option in reversed(_OPTIONS):
        gathered = option(gathered)
    return gathered
