"""Entries of a LlamaFactory `dataset_info.json`, which say what the columns of a pool mean."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ds2_fast.errors import PoolError
from ds2_fast.pool.phrases import named, nearest


def read_dataset_info(
    info: str | os.PathLike[str] | Mapping[str, Any],
    dataset: str | None = None,
    file_name: str | None = None,
) -> dict[str, Any]:
    """Turn an entry of a LlamaFactory `dataset_info.json` into keywords of `find_schema`.

    Args:
        info: the file, or one entry of it.
        dataset: the name of the entry; not needed where the file has one entry, or one whose
            `file_name` is that of the pool.
        file_name: the name of the pool's file.

    Raises:
        PoolError: the file cannot be read or has no such entry.
    """
    entry = info if isinstance(info, Mapping) else _entry(Path(info), dataset, file_name)
    columns, tags = entry.get("columns") or {}, entry.get("tags") or {}
    shared = {"system_col": columns.get("system"), "history_col": columns.get("history")}
    if entry.get("formatting", "alpaca") == "alpaca":
        names = columns or {"prompt": "instruction", "query": "input", "response": "output"}
        return {
            **shared,
            "prompt_col": [names[key] for key in ("prompt", "query") if names.get(key)],
            "response_col": names.get("response") or names.get("chosen"),
        }
    turns = [columns.get("messages", "conversations"), columns.get("chosen")]
    meanings = {
        tags.get("user_tag", "human"): "user",
        tags.get("assistant_tag", "gpt"): "assistant",
        tags.get("observation_tag", "observation"): "tool",
        tags.get("function_tag", "function_call"): "assistant",
        tags.get("system_tag", "system"): "system",
    }
    return {
        **shared,
        "messages_col": [name for name in turns if name],
        "role_key": tags.get("role_tag", "from"),
        "content_key": tags.get("content_tag", "value"),
        "role_map": meanings,
    }


def _entry(path: Path, dataset: str | None, file_name: str | None) -> Mapping[str, Any]:
    try:
        entries = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise PoolError(
            f"cannot read `{path}`: {(error.strerror or str(error)).lower()}", "look at the path"
        ) from None
    except ValueError as error:
        raise PoolError(f"`{path}` is not JSON: {error}", "repair the file") from None
    if dataset is None:
        same = [name for name, entry in entries.items() if entry.get("file_name") == file_name]
        choice = list(entries) if len(entries) == 1 else same
        if len(choice) != 1:
            raise PoolError(
                f"which entry of `{path}` describes the pool is unclear",
                f"name it with `--dataset`: {named(entries)}",
            )
        dataset = choice[0]
    if dataset not in entries:
        raise PoolError(
            f"`{path}` has no entry `{dataset}`", nearest(dataset, list(entries), "entries")
        )
    entry: Mapping[str, Any] = entries[dataset]
    return entry
