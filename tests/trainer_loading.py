"""Loads subsets with the data code of training libraries; knows nothing of ds2-fast.

    python tests/trainer_loading.py FILE.json

FILE.json holds a list of `{"shape", "file", "trl"}`: a subset, and the lines that load it in trl.
Prints one JSON object: the versions of the libraries, null for those that are not there, and what
was loaded of each subset: by `datasets` its columns and rows, by `trl` its first sample as text.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error"}
TEMPLATE = "{% for turn in messages %}<{{ turn.role }}>{{ turn.content }}\n{% endfor %}"


def there(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def with_datasets(file: str) -> dict[str, Any]:
    from datasets import load_dataset

    kind = "parquet" if file.endswith(".parquet") else "json"
    loaded = load_dataset(kind, data_files=file, split="train")
    return {"columns": loaded.column_names, "first": loaded[0], "rows": len(loaded)}


def with_trl(lines: str) -> dict[str, Any]:
    """What `SFTTrainer` does to a data set before it cuts it into tokens."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from trl.data_utils import (
        is_conversational,
        maybe_apply_chat_template,
        maybe_convert_to_chatml,
    )

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel({"[UNK]": 0}, unk_token="[UNK]")),
        chat_template=TEMPLATE,
    )
    known: dict[str, Any] = {}
    exec("\n".join(line for line in lines.splitlines() if "SFTTrainer" not in line), known)
    loaded = known["train"]
    made = [maybe_convert_to_chatml(sample) for sample in loaded]
    said = [maybe_apply_chat_template(sample, tokenizer) for sample in made]
    return {"conversational": is_conversational(made[0]), "first": said[0], "rows": len(said)}


def main() -> None:
    asked = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    found: dict[str, Any] = {name: there(name) for name in ("datasets", "trl", "transformers")}
    for each in asked:
        each["loaded"] = with_datasets(each["file"]) if found["datasets"] else None
        ready = found["trl"] and found["transformers"] and each["trl"]
        each["prepared"] = with_trl(each["trl"]) if ready else None
    print(json.dumps({**found, "subsets": asked}))


if __name__ == "__main__":
    main()
