"""What a training tool is told, so that it loads a subset: a few lines to paste."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Any

from ds2_fast.errors import Ds2Error

TOOLS = ("trl", "llama-factory", "axolotl", "ms-swift")
"""The tools that are known."""

SHAPES = ("messages", "sharegpt", "alpaca", "prompt-completion")
"""The shapes of `ds2_fast.pool.convert_rows`, written out: that module loads polars."""

_KINDS = {".jsonl": "json", ".ndjson": "json", ".json": "json", ".parquet": "parquet",
          ".csv": "csv", ".arrow": "arrow"}  # fmt: skip


def write_snippet(tool: str, shape: str, path: str | Path) -> str:
    """Write the lines that make a tool load a subset.

    Args:
        tool: one of `TOOLS`.
        shape: what the subset was converted to, see `ds2_fast.pool.convert_rows`.
        path: the subset, a file or a dataset folder (without a suffix).

    Returns:
        Lines of Python (trl), JSON (llama-factory), YAML (axolotl) or shell (ms-swift).

    Raises:
        Ds2Error: the tool does not load this shape, or files of this kind.
        ValueError: tool or shape is not known.
    """
    if tool not in TOOLS:
        raise ValueError(f"tool: expected one of {', '.join(TOOLS)}, got {tool!r}")
    if shape not in SHAPES:
        raise ValueError(f"shape: expected one of {', '.join(SHAPES)}, got {shape!r}")
    if tool == "trl" and shape not in {"messages", "prompt-completion"}:
        raise Ds2Error(
            f"trl does not load `{shape}`", "use `--to messages` or `--to prompt-completion`"
        )
    file = PurePath(path)
    if file.suffix and file.suffix not in _KINDS:
        raise Ds2Error(f"{tool} does not load `{file.suffix}` files", "write .jsonl or .parquet")
    return _WRITERS[tool](shape, file)


def _trl(shape: str, file: PurePath) -> str:
    if file.suffix:
        kind = _KINDS[file.suffix]
        loaded = f'load_dataset("{kind}", data_files="{file.as_posix()}", split="train")'
    else:
        loaded = f'load_dataset("{file.as_posix()}", split="train")'
    lines = ["from datasets import load_dataset", f"train = {loaded}"]
    if shape == "prompt-completion":
        lines.append("# texts: SFTTrainer puts no chat template around them")
    return "\n".join([*lines, "SFTTrainer(model=..., train_dataset=train, ...)"])


def _llama_factory(shape: str, file: PurePath) -> str:
    entry: dict[str, Any] = {"file_name": (file if file.suffix else file / "data").as_posix()}
    if shape == "messages":
        entry |= {
            "formatting": "sharegpt",
            "columns": {"messages": "messages"},
            "tags": {
                "role_tag": "role",
                "content_tag": "content",
                "user_tag": "user",
                "assistant_tag": "assistant",
                "observation_tag": "tool",
                "system_tag": "system",
            },
        }
    elif shape == "sharegpt":
        entry |= {"formatting": "sharegpt", "columns": {"messages": "conversations"}}
    elif shape == "prompt-completion":
        entry["columns"] = {"prompt": "prompt", "response": "completion"}
    return "in dataset_info.json:\n" + json.dumps({file.stem: entry}, indent=2)


def _axolotl(shape: str, file: PurePath) -> str:
    lines = ["datasets:", f"  - path: {file.as_posix()}"]
    if file.suffix:
        lines.append(f"    ds_type: {_KINDS[file.suffix]}")
    lines += _AXOLOTL[shape]
    return "\n".join(lines)


_AXOLOTL: Mapping[str, tuple[str, ...]] = {
    "messages": ("    type: chat_template", "    field_messages: messages"),
    "sharegpt": (
        "    type: chat_template",
        "    field_messages: conversations",
        "    message_property_mappings:",
        "      role: from",
        "      content: value",
        "    roles:",  # an observation is none of the roles that are known without this
        "      user: [human]",
        "      assistant: [gpt]",
        "      system: [system]",
        "      tool: [observation]",
    ),
    "alpaca": ("    type: alpaca",),
    "prompt-completion": (
        "    type:",
        "      field_instruction: prompt",
        "      field_output: completion",
        '      format: "{instruction}"',
        '      no_input_format: "{instruction}"',
    ),
}


def _ms_swift(shape: str, file: PurePath) -> str:
    return f"swift sft --model ... --dataset {file.as_posix()}"


_WRITERS: Mapping[str, Callable[[str, PurePath], str]] = {
    "trl": _trl,
    "llama-factory": _llama_factory,
    "axolotl": _axolotl,
    "ms-swift": _ms_swift,
}
